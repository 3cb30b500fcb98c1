//! Tests of the table in [`super::shape`] against the types of `oci-spec`, and of the refusals.

use std::cell::RefCell;
use std::collections::BTreeMap;

use oci_spec::runtime::Spec;
use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::shape::{CONFIG, PROCESS, Property, Shape, check};

#[test]
fn lists_are_no_objects() {
    for (text, place) in [
        (r#"{"linux": []}"#, "linux"),
        (r#"{"process": {"user": [0, 0]}}"#, "process.user"),
        (r#"{"mounts": [{}, []]}"#, "mounts[1]"),
        (r#"{"hooks": {"poststart": [["/bin/true", null, null, null]]}}"#, "hooks.poststart[0]"),
        (r#"{"hooks": {"poststop": [["/bin/true", null, null, null]]}}"#, "hooks.poststop[0]"),
        (r#"{"linux": {"seccomp": {"syscalls": [{}, [["read"], null]]}}}"#, "linux.seccomp.syscalls[1]"),
        (r#"{"linux": {"seccomp": {"syscalls": [{"args": [[]]}]}}}"#, "linux.seccomp.syscalls[0].args[0]"),
        (
            r#"{"linux": {"resources": {"network": {"priorities": [["lo", 1]]}}}}"#,
            "linux.resources.network.priorities[0]",
        ),
        (r#"{"linux": {"resources": {"rdma": {"mlx": [1, 2]}}}}"#, "linux.resources.rdma.mlx"),
        (r#"{"linux": {"netDevices": {"eth0": ["net0"]}}}"#, "linux.netDevices.eth0"),
        ("[]", "config.json"),
    ] {
        let refusal = check(text, CONFIG, "config.json").unwrap_err().to_string();
        assert_eq!(refusal, format!("{place}: invalid type: sequence, expected an object"));
    }
    assert!(check("[]", PROCESS, "process").unwrap_err().to_string().starts_with("process: "));
    for text in [
        r#"{"process": {"args": ["a"]}, "x": [[1]], "y": {"memory": []}}"#,
        "{",
        "null",
        r#"{"linux": null, "ociVersion": 1.5, "mounts": {}}"#,
    ] {
        assert!(check(text, CONFIG, "config.json").is_ok(), "{text}");
    }
}

/// The table has a row for every struct that `oci-spec` would accept a list for, and no other rows.
#[test]
fn the_table_has_every_struct_of_oci_spec() {
    let found = RefCell::new(BTreeMap::new());
    Spec::deserialize(Trace { place: String::new(), within: Shape::Plain, found: &found }).unwrap();
    let found = found.into_inner();
    let mut rows = BTreeMap::from([(String::new(), Shape::Object)]);
    collect("", CONFIG, &mut rows);
    assert_eq!(rows, found);
}

fn collect(place: &str, members: &[Property], rows: &mut BTreeMap<String, Shape>) {
    for property in members.iter().filter(|property| property.shape != Shape::Plain) {
        let place = format!("{place}.{}", property.key);
        collect(&place, property.members, rows);
        rows.insert(place, property.shape);
    }
}

/// A deserializer that gives each type a valid value, and records the places of structs.
#[derive(Clone)]
struct Trace<'a> {
    place: String,
    /// The container of the next struct: a list or a map.
    within: Shape,
    found: &'a RefCell<BTreeMap<String, Shape>>,
}

impl<'a> Trace<'a> {
    fn member(&self, key: &str) -> Trace<'a> {
        Trace { place: format!("{}.{key}", self.place), within: Shape::Plain, found: self.found }
    }

    fn element(&self, within: Shape) -> Trace<'a> {
        Trace { within, ..self.clone() }
    }
}

impl<'de> Deserializer<'de> for Trace<'_> {
    type Error = Error;

    /// The text is a number: `oci-spec` checks that lists of CPUs have digits.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(if self.place.starts_with(".process.capabilities.") { "CAP_KILL" } else { "1" })
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_bool(true)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(1)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(1)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(1)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(1)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(1)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_u8(1)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Once(Some(self.element(Shape::Objects))))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Members::new(vec![("1", self.element(Shape::Map))]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let shape = if self.within == Shape::Plain { Shape::Object } else { self.within };
        self.found.borrow_mut().insert(self.place.clone(), shape);
        // The sections of other platforms have no rows.
        let keys = fields.iter().filter(|key| !["solaris", "windows", "vm", "zos"].contains(key));
        visitor.visit_map(Members::new(keys.map(|key| (*key, self.member(key))).collect()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(First(variants[0]))
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct
        identifier ignored_any
    }
}

struct Once<'a>(Option<Trace<'a>>);

impl<'de> SeqAccess<'de> for Once<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.take().map(|inner| seed.deserialize(inner)).transpose()
    }
}

struct Members<'a> {
    left: std::vec::IntoIter<(&'static str, Trace<'a>)>,
    value: Option<Trace<'a>>,
}

impl<'a> Members<'a> {
    fn new(all: Vec<(&'static str, Trace<'a>)>) -> Members<'a> {
        Members { left: all.into_iter(), value: None }
    }
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.left.next() else { return Ok(None) };
        self.value = Some(value);
        let key: StrDeserializer<'_, Error> = key.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.value.take().expect("a key comes before its value"))
    }
}

struct First(&'static str);

impl<'de> EnumAccess<'de> for First {
    type Error = Error;
    type Variant = First;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, First), Error> {
        let name: StrDeserializer<'_, Error> = self.0.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for First {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Err(serde::de::Error::custom("no plain variant"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("no plain variant"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("no plain variant"))
    }
}
