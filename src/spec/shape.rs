//! Objects where objects belong.
//!
//! The derived parsers take a list for a struct, field by field in their order: `"linux": []` would
//! pass as an empty object. One walk over the document, without building anything, refuses that.

use std::fmt;

use anyhow::{Result, anyhow};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Keys of the specification whose values are objects, wherever they stand.
const OBJECTS: [&str; 22] = [
    "process",
    "root",
    "hooks",
    "linux",
    "user",
    "consoleSize",
    "capabilities",
    "scheduler",
    "ioPriority",
    "execCPUAffinity",
    "resources",
    "memory",
    "cpu",
    "pids",
    "blockIO",
    "network",
    "seccomp",
    "intelRdt",
    "personality",
    "memoryPolicy",
    "monotonic",
    "boottime",
];

/// Keys whose values are lists of objects.
const LISTS: [&str; 17] = [
    "mounts",
    "rlimits",
    "namespaces",
    "uidMappings",
    "gidMappings",
    "devices",
    "hugepageLimits",
    "weightDevice",
    "throttleReadBpsDevice",
    "throttleWriteBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteIOPSDevice",
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
];

/// Refuse a list where the specification has an object. What is not JSON at all is left to the
/// parser that comes after.
pub fn check(text: &str) -> Result<()> {
    let mut parser = serde_json::Deserializer::from_str(text);
    match (Value { must_be_object: true, elements_too: false }).deserialize(&mut parser) {
        Err(error) if error.is_data() && error.to_string().starts_with(MARK) => {
            let text = error.to_string();
            let text = text[MARK.len()..].split(" at line ").next().unwrap_or_default();
            let place = if text.starts_with(':') { "config.json" } else { "" };
            Err(anyhow!("{place}{text}"))
        }
        _ => Ok(()),
    }
}

const MARK: &str = "shape: ";

/// Put the place of a value in front of a complaint about something below it.
fn below<E: Error>(place: &str, error: E) -> E {
    let text = error.to_string();
    let Some(rest) = text.strip_prefix(MARK) else { return error };
    let rest = rest.split(" at line ").next().unwrap_or_default();
    let dot = if rest.starts_with([':', '[']) { "" } else { "." };
    E::custom(format!("{MARK}{place}{dot}{rest}"))
}

/// A value, and what it may be.
struct Value {
    must_be_object: bool,
    /// The elements of a list must be objects.
    elements_too: bool,
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let seed = Value { must_be_object: OBJECTS.contains(&&*key), elements_too: LISTS.contains(&&*key) };
            map.next_value_seed(seed).map_err(|error| below(&key, error))?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<(), A::Error> {
        if self.must_be_object {
            return Err(A::Error::custom(format!("{MARK}: invalid type: sequence, expected an object")));
        }
        if !self.elements_too {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        let mut index = 0;
        loop {
            let next = list.next_element_seed(Value { must_be_object: true, elements_too: false });
            if next.map_err(|error| below(&format!("[{index}]"), error))?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_no_objects() {
        for (text, message) in [
            (r#"{"linux": []}"#, "linux: invalid type: sequence, expected an object"),
            (r#"{"process": {"user": [0, 0]}}"#, "process.user: invalid type: sequence, expected an object"),
            (r#"{"mounts": [{}, []]}"#, "mounts[1]: invalid type: sequence, expected an object"),
            ("[]", "config.json: invalid type: sequence, expected an object"),
        ] {
            assert_eq!(check(text).unwrap_err().to_string(), message);
        }
        for text in
            [r#"{"process": {"args": ["a"]}, "x": [[1]]}"#, "{", "null", r#"{"linux": null, "ociVersion": 1.5}"#]
        {
            assert!(check(text).is_ok(), "{text}");
        }
    }
}
