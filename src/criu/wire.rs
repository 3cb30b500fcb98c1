//! Protocol Buffers' wire format (protobuf.dev, "Encoding"), as far as CRIU's messages need it.
//!
//! Own code, because a library costs more than these lines: `protobuf` needs a code generator, `prost` a derive macro with
//! its own parser of Rust, and tare has nine small messages.

use std::fmt;

/// Bytes that are not a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// A value as the bytes have it. The types of the message say how to read it.
#[derive(Clone, Copy, Debug)]
pub enum Encoded<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// A number of four or eight bytes, which no known field has.
    Fixed,
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

/// A message: a list of numbered fields.
pub trait WireMessage: Default {
    /// Appends the fields.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes the value of a field. Ignores an unknown field: a newer CRIU may have more of them.
    fn read(&mut self, number: u64, value: Encoded<'_>) -> Result<(), Malformed>;

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn parse(mut bytes: &[u8]) -> Result<Self, Malformed> {
        let mut message = Self::default();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let value = match (key & 7) as u8 {
                VARINT => Encoded::Varint(varint(&mut bytes)?),
                BYTES => {
                    let length = usize::try_from(varint(&mut bytes)?).unwrap_or(usize::MAX);
                    Encoded::Bytes(take(&mut bytes, length)?)
                }
                FIXED64 => take(&mut bytes, 8).map(|_| Encoded::Fixed)?,
                FIXED32 => take(&mut bytes, 4).map(|_| Encoded::Fixed)?,
                _ => return Err(Malformed("unknown wire type")),
            };
            message.read(key >> 3, value)?;
        }
        Ok(message)
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(Malformed("a value is cut off"))?;
    *bytes = rest;
    Ok(taken)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        // The tenth byte has the highest bit of the number, and no other.
        if shift == 63 && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Malformed("a number has more than 64 bits"))
}

fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_key(out: &mut Vec<u8>, number: u64, wire_type: u8) {
    put_varint(out, number << 3 | u64::from(wire_type));
}

fn put_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    put_key(out, number, BYTES);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The type of a field.
pub trait Value {
    /// Appends the field `number` with this value.
    fn put(&self, number: u64, out: &mut Vec<u8>);

    /// Takes a value. If a field is repeated in the bytes, the last value counts, and a list has all of them.
    fn set(&mut self, value: Encoded<'_>) -> Result<(), Malformed>;
}

/// A number in a varint. A negative one has its sign extended to 64 bits.
macro_rules! number {
    ($($kind:ty),*) => {$(
        impl Value for $kind {
            fn put(&self, number: u64, out: &mut Vec<u8>) {
                put_key(out, number, VARINT);
                put_varint(out, *self as u64);
            }

            fn set(&mut self, value: Encoded<'_>) -> Result<(), Malformed> {
                let Encoded::Varint(number) = value else { return Err(Malformed("a field is not a number")) };
                // Protocol Buffers keep the low bits of a number that is too large.
                *self = number as $kind;
                Ok(())
            }
        }
    )*};
}
number!(i32, u32);

impl Value for bool {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        u32::from(*self).put(number, out);
    }

    fn set(&mut self, value: Encoded<'_>) -> Result<(), Malformed> {
        let Encoded::Varint(number) = value else { return Err(Malformed("a field is not a truth value")) };
        *self = number != 0;
        Ok(())
    }
}

impl Value for String {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        put_bytes(out, number, self.as_bytes());
    }

    fn set(&mut self, value: Encoded<'_>) -> Result<(), Malformed> {
        let Encoded::Bytes(bytes) = value else { return Err(Malformed("a field is not a text")) };
        *self = str::from_utf8(bytes).map_err(|_| Malformed("a text is not UTF-8"))?.to_owned();
        Ok(())
    }
}

impl<M: WireMessage> Value for M {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        put_bytes(out, number, &self.to_bytes());
    }

    fn set(&mut self, value: Encoded<'_>) -> Result<(), Malformed> {
        let Encoded::Bytes(bytes) = value else { return Err(Malformed("a field is not a message")) };
        *self = M::parse(bytes)?;
        Ok(())
    }
}

/// An optional field.
impl<T: Value + Default> Value for Option<T> {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        if let Some(value) = self {
            value.put(number, out);
        }
    }

    fn set(&mut self, value: Encoded<'_>) -> Result<(), Malformed> {
        self.insert(T::default()).set(value)
    }
}

/// A repeated field.
impl<T: Value + Default> Value for Vec<T> {
    fn put(&self, number: u64, out: &mut Vec<u8>) {
        self.iter().for_each(|value| value.put(number, out));
    }

    fn set(&mut self, value: Encoded<'_>) -> Result<(), Malformed> {
        let mut element = T::default();
        element.set(value)?;
        self.push(element);
        Ok(())
    }
}
