//! Where `config.json` has objects.
//!
//! The derived parsers take a list for a struct, field by field in their order: `"linux": []` would pass as an empty
//! object. One walk over the document, which builds nothing, refuses that.

use std::fmt;

use anyhow::{Result, anyhow};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A property of the document that is no plain value for `oci-spec`: every struct of its types has a row.
pub struct Property {
    /// Its name.
    pub key: &'static str,
    /// Its form.
    pub shape: Shape,
    /// The pre-pass reads it, since the type of `oci-spec` cannot hold every valid value.
    pub beside: bool,
    /// What its objects have in turn.
    pub members: &'static [Property],
}

/// The form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Left to the parser.
    Plain,
    /// An object with the names of the specification.
    Object,
    /// A list of such objects.
    Objects,
    /// An object with names of the config's author; its values are such objects.
    Map,
}

impl Property {
    const fn new(key: &'static str, shape: Shape, members: &'static [Property]) -> Property {
        Property { key, shape, beside: false, members }
    }

    const fn beside(self) -> Property {
        Property { beside: true, ..self }
    }
}

const fn plain(key: &'static str) -> Property {
    Property::new(key, Shape::Plain, &[])
}

const fn object(key: &'static str, members: &'static [Property]) -> Property {
    Property::new(key, Shape::Object, members)
}

const fn objects(key: &'static str, members: &'static [Property]) -> Property {
    Property::new(key, Shape::Objects, members)
}

const fn map(key: &'static str, members: &'static [Property]) -> Property {
    Property::new(key, Shape::Map, members)
}

/// The whole document, without the sections of other platforms.
pub const CONFIG: &[Property] = &[
    object("root", &[]),
    objects("mounts", &[objects("uidMappings", &[]), objects("gidMappings", &[])]),
    object("process", PROCESS),
    object("hooks", HOOKS),
    object("linux", LINUX),
    // The specification has no such lists here; `oci-spec` has.
    objects("uidMappings", &[]),
    objects("gidMappings", &[]),
];

/// `process`
pub const PROCESS: &[Property] = &[
    object("consoleSize", &[]),
    object("user", &[]),
    object("capabilities", &[]),
    objects("rlimits", &[]),
    object("ioPriority", &[]),
    object("scheduler", &[plain("flags").beside()]),
    // The check in oci-spec compiles a Unicode regex, which costs more than the rest.
    object("execCPUAffinity", &[]).beside(),
];

const HOOKS: &[Property] = &[
    objects("prestart", &[]),
    objects("createRuntime", &[]),
    objects("createContainer", &[]),
    objects("startContainer", &[]),
    objects("poststart", &[]),
    objects("poststop", &[]),
];

const LINUX: &[Property] = &[
    objects("uidMappings", &[]),
    objects("gidMappings", &[]),
    objects("namespaces", &[]),
    objects("devices", &[]),
    map("netDevices", &[]),
    map("timeOffsets", &[]),
    object("resources", RESOURCES),
    object("seccomp", &[objects("syscalls", &[objects("args", &[])])]),
    object("intelRdt", &[]),
    object("memoryPolicy", &[]),
    object("personality", &[]),
];

const RESOURCES: &[Property] = &[
    objects("devices", &[]),
    object("memory", &[]),
    object("cpu", &[]),
    object("pids", &[]).beside(),
    object("blockIO", BLOCK_IO),
    objects("hugepageLimits", &[]).beside(),
    object("network", &[objects("priorities", &[])]),
    map("rdma", &[]),
];

const BLOCK_IO: &[Property] = &[
    objects("weightDevice", &[]),
    objects("throttleReadBpsDevice", &[]),
    objects("throttleWriteBpsDevice", &[]),
    objects("throttleReadIOPSDevice", &[]),
    objects("throttleWriteIOPSDevice", &[]),
];

/// The row of a property.
pub fn find(members: &'static [Property], key: &str) -> Option<&'static Property> {
    members.iter().find(|property| property.key == key)
}

/// Remove from an object what the pre-pass reads, so that `oci-spec` takes the rest.
pub fn without_beside(value: &mut serde_json::Value, members: &[Property]) {
    let Some(object) = value.as_object_mut() else { return };
    for property in members {
        if property.beside {
            object.remove(property.key);
        } else if let Some(inner) = object.get_mut(property.key).filter(|_| property.shape == Shape::Object) {
            without_beside(inner, property.members);
        }
    }
}

/// Refuse a list where the specification has an object. What is not JSON at all is left to the parser that comes after.
pub fn check(text: &str, members: &'static [Property], document: &str) -> Result<()> {
    let mut parser = serde_json::Deserializer::from_str(text);
    match (Value { shape: Shape::Object, members }).deserialize(&mut parser) {
        Err(error) if error.is_data() && error.to_string().starts_with(MARK) => {
            let text = error.to_string();
            let text = text[MARK.len()..].split(" at line ").next().unwrap_or_default();
            let place = if text.starts_with(':') { document } else { "" };
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
    shape: Shape,
    members: &'static [Property],
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.shape == Shape::Plain {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        deserializer.deserialize_any(self)
    }
}

impl Value {
    fn members<'de, A: MapAccess<'de>>(&self, mut map: A) -> Result<(), A::Error> {
        while let Some(property) = map.next_key_seed(Key(self.members))? {
            match property {
                None => map.next_value::<IgnoredAny>().map(drop)?,
                Some(Property { key, shape, members, .. }) => {
                    let seed = Value { shape: *shape, members };
                    map.next_value_seed(seed).map_err(|error| below(key, error))?;
                }
            }
        }
        Ok(())
    }

    fn values<'de, A: MapAccess<'de>>(&self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let seed = Value { shape: Shape::Object, members: self.members };
            map.next_value_seed(seed).map_err(|error| below(&key, error))?;
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        match self.shape {
            Shape::Object => self.members(map),
            Shape::Map => self.values(map),
            Shape::Plain | Shape::Objects => {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(())
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if self.shape != Shape::Objects {
            return Err(A::Error::custom(format!("{MARK}: invalid type: sequence, expected an object")));
        }
        let mut index = 0;
        loop {
            let next = list.next_element_seed(Value { shape: Shape::Object, members: self.members });
            if next.map_err(|error| below(&format!("[{index}]"), error))?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A name in an object: its row, where it has one.
struct Key(&'static [Property]);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<&'static Property>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<&'static Property>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(find(self.0, key))
    }
}
