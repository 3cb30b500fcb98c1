//! Values in D-Bus's wire format (D-Bus specification, "Marshaling").
//!
//! Own code, because a library costs more than these files: zbus is asynchronous and brings 26 packages, and a call of
//! systemd is on the way of every `create` with `--systemd-cgroup`.

use super::gvariant::GVariant;

/// The largest message that is accepted, in bytes. systemd's answers to the calls of `bus` have some hundred.
pub const LARGEST: usize = 1 << 20;
/// The specification's limit for arrays, in bytes.
const LARGEST_ARRAY: usize = 1 << 26;
/// The specification's limit for signatures, in bytes.
const LONGEST_SIGNATURE: usize = 255;
/// The specification's limit for values in values.
const DEEPEST: usize = 64;

/// The reason why a value or a message is not valid.
pub type Invalid = &'static str;

/// The types that have no other types in them.
const BASIC: &[u8] = b"ybnqiuxtdsog";

/// The alignment of a type, by its first letter.
fn alignment(code: u8) -> usize {
    match code {
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 1,
    }
}

/// Splits off the first complete type of a signature.
fn split_type(signature: &str) -> Result<(&str, &str), Invalid> {
    signature.split_at_checked(type_end(signature.as_bytes(), 0)?).ok_or("the signature is not valid")
}

/// The length of the first complete type.
fn type_end(signature: &[u8], depth: usize) -> Result<usize, Invalid> {
    match signature.first() {
        _ if depth > DEEPEST => Err("the signature has too many levels"),
        Some(b'v') => Ok(1),
        Some(code) if BASIC.contains(code) => Ok(1),
        // A dictionary: an array of entries, which are like structs of a basic type and any type.
        Some(b'a') if signature.get(1) == Some(&b'{') => {
            let end = 3 + type_end(signature.get(3..).unwrap_or_default(), depth + 2)?;
            match (signature[2], signature.get(end)) {
                (key, Some(b'}')) if BASIC.contains(&key) => Ok(end + 1),
                _ => Err("the signature is not valid"),
            }
        }
        Some(b'a') => Ok(1 + type_end(&signature[1..], depth + 1)?),
        Some(b'(') => {
            let mut end = 1;
            while signature.get(end) != Some(&b')') || end == 1 {
                end += type_end(&signature[end..], depth + 1)?;
            }
            Ok(end + 1)
        }
        _ => Err("the signature is not valid"),
    }
}

fn check_signature(mut signature: &str) -> Result<(), Invalid> {
    if signature.len() > LONGEST_SIGNATURE {
        return Err("the signature is too long");
    }
    while !signature.is_empty() {
        (_, signature) = split_type(signature)?;
    }
    Ok(())
}

/// Checks a text of type `s`, `o` or `g`.
fn check_text(code: u8, text: &str) -> Result<(), Invalid> {
    let element =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match code {
        _ if text.contains('\0') => Err("a text has a NUL"),
        b'g' => check_signature(text),
        b'o' if text != "/" && !text.strip_prefix('/').is_some_and(|names| names.split('/').all(element)) => {
            Err("the object path is not valid")
        }
        _ => Ok(()),
    }
}

/// Checks that a value can be sent.
pub fn check(value: &GVariant) -> Result<(), Invalid> {
    Marshaller::default().value(value)
}

/// Writes values. The first byte must be at a multiple of eight.
#[derive(Default)]
pub struct Marshaller {
    pub bytes: Vec<u8>,
}

impl Marshaller {
    pub fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn length(&mut self, length: usize) -> Result<(), Invalid> {
        let length = u32::try_from(length).map_err(|_| "a text is too long")?;
        self.align(4);
        self.bytes.extend(length.to_le_bytes());
        Ok(())
    }

    /// Appends a value, in little endian.
    pub fn value(&mut self, value: &GVariant) -> Result<(), Invalid> {
        match value {
            GVariant::Bool(value) => self.length((*value).into())?,
            GVariant::Double(value) => {
                self.align(8);
                self.bytes.extend(value.to_le_bytes());
            }
            GVariant::Integer(code, number) => {
                let size = alignment(*code as u8);
                self.align(size);
                // The number is in range: the constructor of the value checked it.
                self.bytes.extend(&number.to_le_bytes()[..size]);
            }
            GVariant::Text(code, text) => {
                check_text(*code as u8, text)?;
                match code {
                    'g' => self.bytes.push(text.len() as u8),
                    _ => self.length(text.len())?,
                }
                self.bytes.extend(text.as_bytes());
                self.bytes.push(0);
            }
            GVariant::Array(element, values) => self.array(element, values)?,
            GVariant::Tuple(fields) => {
                self.align(8);
                fields.iter().try_for_each(|field| self.value(field))?;
            }
            GVariant::Variant(value) => {
                self.value(&GVariant::Text('g', value.signature()))?;
                self.value(value)?;
            }
        }
        Ok(())
    }

    fn array(&mut self, element: &str, values: &[GVariant]) -> Result<(), Invalid> {
        let signature = format!("a{element}");
        check_signature(&signature)?;
        if !split_type(&signature)?.1.is_empty() {
            return Err("the type of an array's elements is more than one type");
        }
        self.length(0)?;
        let length = self.bytes.len();
        self.align(alignment(element.as_bytes()[0]));
        let start = self.bytes.len();
        values.iter().try_for_each(|value| self.value(value))?;
        let count = self.bytes.len() - start;
        if count > LARGEST_ARRAY {
            return Err("an array is too long");
        }
        self.bytes[length - 4..length].copy_from_slice(&(count as u32).to_le_bytes());
        Ok(())
    }
}

/// Reads values. The first byte must be at a multiple of eight.
pub struct Unmarshaller<'a> {
    bytes: &'a [u8],
    at: usize,
    big_endian: bool,
}

impl<'a> Unmarshaller<'a> {
    pub fn new(bytes: &'a [u8], big_endian: bool) -> Unmarshaller<'a> {
        Unmarshaller { bytes, at: 0, big_endian }
    }

    /// Reads values of these types.
    pub fn values(&mut self, mut signature: &str) -> Result<Vec<GVariant>, Invalid> {
        let mut values = Vec::new();
        while !signature.is_empty() {
            let (first, rest) = split_type(signature)?;
            values.push(self.value(first, 0)?);
            signature = rest;
        }
        Ok(values)
    }

    /// The bytes that are left.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Invalid> {
        let end = self.at.checked_add(count).ok_or("a value is cut off")?;
        let taken = self.bytes.get(self.at..end).ok_or("a value is cut off")?;
        self.at = end;
        Ok(taken)
    }

    /// Skips padding, which must be zero.
    pub fn align(&mut self, to: usize) -> Result<(), Invalid> {
        let padding = self.take(self.at.next_multiple_of(to) - self.at)?;
        if padding.iter().all(|byte| *byte == 0) { Ok(()) } else { Err("the padding is not zero") }
    }

    fn number(&mut self, size: usize) -> Result<u64, Invalid> {
        self.align(size)?;
        let bytes = self.take(size)?.iter();
        let join = |number, byte: &u8| number << 8 | u64::from(*byte);
        Ok(if self.big_endian { bytes.fold(0, join) } else { bytes.rev().fold(0, join) })
    }

    fn text(&mut self, code: u8) -> Result<String, Invalid> {
        let length = self.number(if code == b'g' { 1 } else { 4 })?;
        let bytes = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        let text = str::from_utf8(bytes).map_err(|_| "a text is not UTF-8")?;
        check_text(code, text)?;
        if self.take(1)? == [0] { Ok(text.to_owned()) } else { Err("a text has no end") }
    }

    /// Reads a value of one complete type.
    fn value(&mut self, signature: &str, depth: usize) -> Result<GVariant, Invalid> {
        if depth > DEEPEST {
            return Err("too many levels");
        }
        let code = *signature.as_bytes().first().ok_or("the signature is not valid")?;
        let size = alignment(code);
        Ok(match code {
            b'b' => match self.number(size)? {
                number @ (0 | 1) => GVariant::Bool(number == 1),
                _ => return Err("a truth value is neither 0 nor 1"),
            },
            b'd' => GVariant::Double(f64::from_bits(self.number(size)?)),
            b'n' => GVariant::Integer('n', i128::from(self.number(size)? as i16)),
            b'i' => GVariant::Integer('i', i128::from(self.number(size)? as i32)),
            b'x' => GVariant::Integer('x', i128::from(self.number(size)? as i64)),
            b'y' | b'q' | b'u' | b't' => GVariant::Integer(code.into(), self.number(size)?.into()),
            b's' | b'o' | b'g' => GVariant::Text(code.into(), self.text(code)?),
            b'a' => self.array(&signature[1..], depth)?,
            b'(' | b'{' => {
                self.align(8)?;
                let mut rest = &signature[1..signature.len() - 1];
                let mut fields = Vec::new();
                while !rest.is_empty() {
                    let (first, other) = split_type(rest)?;
                    fields.push(self.value(first, depth + 1)?);
                    rest = other;
                }
                GVariant::Tuple(fields)
            }
            _ => {
                let signature = self.text(b'g')?;
                if !split_type(&signature)?.1.is_empty() {
                    return Err("a variant has more than one value");
                }
                GVariant::Variant(Box::new(self.value(&signature, depth + 1)?))
            }
        })
    }

    fn array(&mut self, element: &str, depth: usize) -> Result<GVariant, Invalid> {
        let count = usize::try_from(self.number(4)?).unwrap_or(usize::MAX);
        self.align(alignment(element.as_bytes()[0]))?;
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len()).ok_or("a value is cut off")?;
        let mut values = Vec::new();
        while self.at < end {
            values.push(self.value(element, depth + 1)?);
        }
        if self.at > end {
            return Err("an array ends within a value");
        }
        Ok(GVariant::Array(element.to_owned(), values))
    }
}
