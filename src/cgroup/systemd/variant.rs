//! Converts properties to the types of the D-Bus library.

use anyhow::{Context, Result};
use zbus::{Array, ObjectPath, Signature, Str, Structure, Variant};

use super::answer::plain;
use super::gvariant::GVariant;
use super::scope::ScopeProperty;

/// Properties as the argument of a call.
pub type Properties<'a> = Vec<(&'a str, Variant<'static>)>;

pub fn variants(properties: &[ScopeProperty]) -> Result<Properties<'_>> {
    properties
        .iter()
        .map(|property| {
            let value = variant(&property.value).map_err(plain);
            Ok((property.name.as_str(), value.with_context(|| property.field.to_string())?))
        })
        .collect()
}

fn variant(value: &GVariant) -> zbus::Result<Variant<'static>> {
    Ok(match value {
        GVariant::Bool(value) => Variant::Bool(*value),
        GVariant::Double(value) => Variant::F64(*value),
        // The number is in range: the constructor of the value checked it.
        GVariant::Integer(code, number) => match code {
            'y' => Variant::U8(*number as u8),
            'n' => Variant::I16(*number as i16),
            'q' => Variant::U16(*number as u16),
            'u' => Variant::U32(*number as u32),
            'x' => Variant::I64(*number as i64),
            't' => Variant::U64(*number as u64),
            _ => Variant::I32(*number as i32),
        },
        GVariant::Text('o', text) => Variant::ObjectPath(ObjectPath::try_from(text.clone())?),
        GVariant::Text('g', text) => Variant::Signature(Signature::try_from(text.as_str())?),
        GVariant::Text(_, text) => Variant::Str(Str::from(text.clone())),
        GVariant::Array(element, values) => {
            let mut array = Array::new(&Signature::try_from(element.as_str())?);
            for value in values {
                array.append(variant(value)?)?;
            }
            Variant::Array(array)
        }
        GVariant::Tuple(fields) => {
            let mut structure = Structure::builder();
            for field in fields {
                structure = structure.append_field(variant(field)?);
            }
            Variant::Structure(structure.build()?)
        }
    })
}
