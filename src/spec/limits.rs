//! Reads the scalars of `linux.resources` that `oci-spec` has no type for, or a wrong one: the rows of the table with
//! [`Getter::Json`].

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::tables::limit::{Getter, SCALARS, Scalar};

/// The rows of these scalars.
fn scalars() -> impl Iterator<Item = &'static Scalar> {
    SCALARS.iter().filter(|scalar| matches!(scalar.getter, Getter::Json))
}

/// Whether `path` is the field of such a scalar.
pub(super) fn reads(path: &str) -> bool {
    scalars().any(|scalar| scalar.field == path)
}

/// The section named `key`, if it has such a scalar.
pub(super) fn section(key: &str) -> Option<&'static str> {
    scalars().map(Scalar::section).find(|section| *section == key)
}

/// Reads the scalars of one section into a list, and skips all other fields.
pub(super) struct Section<'l> {
    pub name: &'static str,
    pub limits: &'l mut Vec<(&'static str, i64)>,
}

impl<'de> DeserializeSeed<'de> for Section<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Section<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(scalar) = map.next_key_seed(Name { section: self.name })? {
            let Some(scalar) = scalar else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if let Some(value) = map.next_value()? {
                self.limits.push((scalar.field, value));
            }
        }
        Ok(())
    }
}

/// Looks up the row for a key, without copying the key.
struct Name {
    section: &'static str,
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static Scalar>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static Scalar>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(scalars().find(|scalar| scalar.section() == self.section && scalar.name() == key))
    }
}
