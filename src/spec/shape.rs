//! The values of `config.json` that must be objects.
//!
//! The derived parsers accept a list for a struct, with the fields in their order: `"linux": []` would pass as an empty
//! object. This module walks over the document once, without allocating, and refuses such lists.

use std::cell::RefCell;
use std::fmt;

use anyhow::Result;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::refuse;

/// A property of the document. Every struct in the types of `oci-spec` has a row.
pub struct Property {
    pub key: &'static str,
    pub shape: Shape,
    /// Whether the pre-pass reads it, because the type of `oci-spec` cannot hold every valid value.
    pub beside: bool,
    /// The properties of the object or objects.
    pub members: &'static [Property],
}

/// The form of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Any value: the parser checks it.
    Plain,
    /// An object with the property names of the specification.
    Object,
    /// A list of objects.
    Objects,
    /// An object with names of the config's author. Its values are objects.
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
    // The specification does not have these lists here, but `oci-spec` does.
    objects("uidMappings", &[]),
    objects("gidMappings", &[]),
];

/// `process`.
pub const PROCESS: &[Property] = &[
    object("consoleSize", &[]),
    object("user", &[]),
    object("capabilities", &[]),
    objects("rlimits", &[]),
    object("ioPriority", &[]),
    object("scheduler", &[plain("flags").beside()]),
    // oci-spec's check compiles a Unicode regex, which takes longer than everything else.
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

/// Removes from an object the properties that the pre-pass reads, so that `oci-spec` accepts the rest.
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

/// Refuses a list in the place of an object. Errors of JSON's syntax are left to the parser that runs next.
pub fn check(text: &str, members: &'static [Property], document: &str) -> Result<()> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let list = RefCell::new(None);
    let walked = ValueSeed { shape: Shape::Object, members, list: &list }.deserialize(&mut parser);
    match (walked, list.into_inner()) {
        (Err(_), Some(place)) => {
            let place = if place.is_empty() { document.to_owned() } else { place };
            refuse!(place, "invalid type: sequence, expected an object")
        }
        _ => Ok(()),
    }
}

/// A value, and the form that it must have.
struct ValueSeed<'a> {
    shape: Shape,
    members: &'static [Property],
    /// The place of a list that should be an object, relative to the value that the walk is in. It is passed beside the
    /// error, because serde's errors hold only a text.
    list: &'a RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.shape == Shape::Plain {
            return deserializer.deserialize_ignored_any(IgnoredAny).map(drop);
        }
        deserializer.deserialize_any(self)
    }
}

impl ValueSeed<'_> {
    fn object(&self, members: &'static [Property]) -> Self {
        ValueSeed { shape: Shape::Object, members, list: self.list }
    }

    /// Prepends the place of a value to the place of the list in it.
    fn below<T, E>(&self, place: impl fmt::Display, result: Result<T, E>) -> Result<T, E> {
        if let Some(rest) = self.list.borrow_mut().as_mut().filter(|_| result.is_err()) {
            let dot = if rest.is_empty() || rest.starts_with('[') { "" } else { "." };
            *rest = format!("{place}{dot}{rest}");
        }
        result
    }

    fn members<'de, A: MapAccess<'de>>(&self, mut map: A) -> Result<(), A::Error> {
        while let Some(property) = map.next_key_seed(KeySeed(self.members))? {
            match property {
                None => map.next_value::<IgnoredAny>().map(drop)?,
                Some(Property { key, shape, members, .. }) => {
                    let seed = ValueSeed { shape: *shape, ..self.object(members) };
                    self.below(key, map.next_value_seed(seed))?;
                }
            }
        }
        Ok(())
    }

    fn values<'de, A: MapAccess<'de>>(&self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.below(&key, map.next_value_seed(self.object(self.members)))?;
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
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
            self.list.replace(Some(String::new()));
            return Err(A::Error::custom("a list"));
        }
        let mut index = 0;
        while self.below(format_args!("[{index}]"), list.next_element_seed(self.object(self.members)))?.is_some() {
            index += 1;
        }
        Ok(())
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

/// Looks up the row for a key.
struct KeySeed(&'static [Property]);

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<&'static Property>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<&'static Property>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(find(self.0, key))
    }
}
