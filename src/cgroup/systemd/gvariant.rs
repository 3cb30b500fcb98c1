//! Values for systemd, and their text format: the part of GVariant's text format that properties of units need. The
//! parser lacks dictionaries, variants and maybes, because no property has them.

use std::fmt;

/// A value with its type.
#[derive(Clone, Debug, PartialEq)]
pub enum GVariant {
    /// `b`
    Bool(bool),
    /// A number of type `y`, `n`, `q`, `i`, `u`, `x` or `t`, in the range of the type.
    Integer(char, i128),
    /// `d`
    Double(f64),
    /// A text of type `s`, `o` or `g`.
    Text(char, String),
    /// An array: the type of the elements, and the elements.
    Array(String, Vec<GVariant>),
    /// Values of different types.
    Tuple(Vec<GVariant>),
    /// `v`: a value that names its type. Arguments of calls have it.
    Variant(Box<GVariant>),
}

/// The names of types in texts.
const KEYWORDS: [(&str, char); 12] = [
    ("boolean", 'b'),
    ("byte", 'y'),
    ("int16", 'n'),
    ("uint16", 'q'),
    ("int32", 'i'),
    ("uint32", 'u'),
    ("int64", 'x'),
    ("uint64", 't'),
    ("double", 'd'),
    ("string", 's'),
    ("objectpath", 'o'),
    ("signature", 'g'),
];

fn range(code: char) -> Option<(i128, i128)> {
    Some(match code {
        'y' => (0, u8::MAX.into()),
        'n' => (i16::MIN.into(), i16::MAX.into()),
        'q' => (0, u16::MAX.into()),
        'i' => (i32::MIN.into(), i32::MAX.into()),
        'u' => (0, u32::MAX.into()),
        'x' => (i64::MIN.into(), i64::MAX.into()),
        't' => (0, u64::MAX.into()),
        _ => return None,
    })
}

impl GVariant {
    /// A string.
    pub fn text(text: impl Into<String>) -> GVariant {
        GVariant::Text('s', text.into())
    }

    /// A `t`.
    pub fn u64(number: u64) -> GVariant {
        GVariant::Integer('t', number.into())
    }

    /// A `u`.
    pub fn u32(number: u32) -> GVariant {
        GVariant::Integer('u', number.into())
    }

    /// An array of bytes.
    pub fn bytes(bytes: &[u8]) -> GVariant {
        GVariant::Array("y".to_owned(), bytes.iter().map(|byte| GVariant::Integer('y', (*byte).into())).collect())
    }

    /// The type, as D-Bus spells it.
    pub fn signature(&self) -> String {
        match self {
            GVariant::Bool(_) => "b".to_owned(),
            GVariant::Double(_) => "d".to_owned(),
            GVariant::Integer(code, _) | GVariant::Text(code, _) => code.to_string(),
            GVariant::Array(element, _) => format!("a{element}"),
            GVariant::Tuple(fields) => format!("({})", fields.iter().map(GVariant::signature).collect::<String>()),
            GVariant::Variant(_) => "v".to_owned(),
        }
    }

    /// A number of seconds in microseconds.
    pub(super) fn microseconds(&self) -> Option<GVariant> {
        let number = match self {
            GVariant::Integer(_, seconds) => u64::try_from(seconds.checked_mul(1_000_000)?).ok()?,
            // The largest number means infinity.
            GVariant::Double(seconds) if *seconds >= 0.0 && seconds * 1e6 < u64::MAX as f64 => (seconds * 1e6) as u64,
            _ => return None,
        };
        Some(GVariant::u64(number))
    }
}

impl fmt::Display for GVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, values: &[GVariant]| {
            values.iter().enumerate().try_for_each(|(index, value)| match (index, value) {
                (0, value) => write!(f, "{value}"),
                (_, GVariant::Integer(_, number)) => write!(f, ", {number}"),
                (_, value) => write!(f, ", {value}"),
            })
        };
        match self {
            GVariant::Bool(value) => write!(f, "{value}"),
            GVariant::Double(value) => write!(f, "{value:?}"),
            GVariant::Integer('i', value) => write!(f, "{value}"),
            GVariant::Integer(code, value) => write!(f, "{} {value}", keyword(*code)),
            GVariant::Text('s', text) => quoted(f, text),
            GVariant::Text(code, text) => write!(f, "{} ", keyword(*code)).and_then(|()| quoted(f, text)),
            GVariant::Variant(value) => write!(f, "<{value}>"),
            GVariant::Array(element, values) if values.is_empty() => write!(f, "@a{element} []"),
            GVariant::Array(_, values) => write!(f, "[").and_then(|()| list(f, values)).and_then(|()| write!(f, "]")),
            GVariant::Tuple(values) => {
                write!(f, "(")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                write!(f, ")")
            }
        }
    }
}

fn keyword(code: char) -> &'static str {
    KEYWORDS.iter().find(|(_, known)| *known == code).map_or("", |(word, _)| word)
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Parses a text. A number without a type is an `i`, one with a point a `d`.
pub(super) fn parse(text: &str) -> Result<GVariant, String> {
    let mut parser = Parser { rest: text };
    let value = parser.value(None, 0)?;
    parser.space();
    if parser.rest.is_empty() { Ok(value) } else { Err(format!("{:?} is left over", parser.rest)) }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, token: char) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes the text up to the next character that cannot be part of a word, a number or a type.
    fn word(&mut self) -> &'a str {
        self.space();
        let end = self.rest.find(|c: char| c.is_whitespace() || ",])'\"[".contains(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn value(&mut self, expected: Option<&str>, depth: u8) -> Result<GVariant, String> {
        if depth > 16 {
            return Err("too many levels".to_owned());
        }
        self.space();
        match self.rest.chars().next() {
            None => Err("the value is missing".to_owned()),
            Some('@') => {
                self.eat('@');
                let end = self.rest.find(char::is_whitespace).ok_or("the value is missing")?;
                let (signature, rest) = self.rest.split_at(end);
                self.rest = rest;
                fits(self.value(Some(signature), depth + 1)?, Some(signature))
            }
            Some('[') => self.array(expected, depth),
            Some('(') => self.tuple(expected, depth),
            Some('\'' | '"') => {
                let code = expected.and_then(|text| text.chars().next()).filter(|code| "sog".contains(*code));
                fits(GVariant::Text(code.unwrap_or('s'), self.string()?), expected)
            }
            Some(_) => {
                let word = self.word();
                match KEYWORDS.iter().find(|(known, _)| *known == word) {
                    Some((_, code)) => fits(self.value(Some(&code.to_string()), depth + 1)?, Some(&code.to_string())),
                    None => fits(plain(word, expected)?, expected),
                }
            }
        }
    }

    fn array(&mut self, expected: Option<&str>, depth: u8) -> Result<GVariant, String> {
        self.eat('[');
        let mut element = expected.and_then(|text| text.strip_prefix('a')).map(str::to_owned);
        let mut values = Vec::new();
        while !self.eat(']') {
            if !values.is_empty() && !self.eat(',') {
                return Err("\",\" or \"]\" is missing".to_owned());
            }
            let value = fits(self.value(element.as_deref(), depth + 1)?, element.as_deref())?;
            element.get_or_insert_with(|| value.signature());
            values.push(value);
        }
        let element = element.ok_or("the type of an empty array is not known; it takes one: @as []")?;
        fits(GVariant::Array(element, values), expected)
    }

    fn tuple(&mut self, expected: Option<&str>, depth: u8) -> Result<GVariant, String> {
        self.eat('(');
        let mut wanted = expected.and_then(|text| text.strip_prefix('(')?.strip_suffix(')')).unwrap_or_default();
        let mut fields = Vec::new();
        while !self.eat(')') {
            if !fields.is_empty() && !self.eat(',') {
                return Err("\",\" or \")\" is missing".to_owned());
            }
            let (first, rest) = wanted.split_at(type_length(wanted));
            wanted = rest;
            fields.push(self.value((!first.is_empty()).then_some(first), depth + 1)?);
        }
        if fields.is_empty() {
            return Err("a tuple without fields is no value".to_owned());
        }
        fits(GVariant::Tuple(fields), expected)
    }

    fn string(&mut self) -> Result<String, String> {
        let mut chars = self.rest.char_indices();
        let quote = chars.next().map(|(_, quote)| quote);
        let mut text = String::new();
        while let Some((index, c)) = chars.next() {
            match c {
                c if Some(c) == quote => {
                    self.rest = &self.rest[index + c.len_utf8()..];
                    return Ok(text);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some(c) if "\\'\"".contains(c) => text.push(c),
                    other => return Err(format!("unknown escape \\{}", other.unwrap_or_default())),
                },
                c => text.push(c),
            }
        }
        Err("a string does not end".to_owned())
    }
}

/// The length of the first complete type in a signature.
fn type_length(signature: &str) -> usize {
    let mut depth = 0;
    for (index, c) in signature.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 && c != 'a' {
            return index + c.len_utf8();
        }
    }
    signature.len()
}

/// Parses a word or a number.
fn plain(word: &str, expected: Option<&str>) -> Result<GVariant, String> {
    let nothing = || format!("{word:?} is not a value");
    match word {
        "true" => return Ok(GVariant::Bool(true)),
        "false" => return Ok(GVariant::Bool(false)),
        _ => {}
    }
    let (sign, digits) = word.strip_prefix('-').map_or((1, word), |digits| (-1, digits));
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err(nothing());
    }
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let octal = digits.strip_prefix('0').filter(|rest| !rest.is_empty());
    let number = match (hex, octal) {
        (Some(hex), _) => i128::from_str_radix(hex, 16).ok(),
        (None, Some(octal)) if octal.bytes().all(|byte| byte.is_ascii_digit()) => i128::from_str_radix(octal, 8).ok(),
        _ => digits.parse().ok(),
    };
    let code = expected.and_then(|text| text.chars().next()).unwrap_or('i');
    match number {
        Some(number) if code != 'd' => {
            let number = sign * number;
            match range(code) {
                Some((least, most)) if (least..=most).contains(&number) => Ok(GVariant::Integer(code, number)),
                _ => Err(format!("{number} is not in the range of type {code:?}")),
            }
        }
        // A number that is too large is no infinity.
        _ => word.parse().ok().filter(|number: &f64| number.is_finite()).map(GVariant::Double).ok_or_else(nothing),
    }
}

fn fits(value: GVariant, expected: Option<&str>) -> Result<GVariant, String> {
    match expected {
        Some(expected) if value.signature() != expected => Err(format!("{value} is not of type {expected:?}")),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_values() {
        for (text, signature, again) in [
            ("true", "b", "true"),
            ("15", "i", "15"),
            ("-0x10", "i", "-16"),
            ("010", "i", "8"),
            ("1.5", "d", "1.5"),
            ("uint64 18446744073709551615", "t", "uint64 18446744073709551615"),
            ("@t 5", "t", "uint64 5"),
            ("byte 0xff", "y", "byte 255"),
            (r#"  "a'b" "#, "s", r"'a\'b'"),
            (r"'a\\b\n'", "s", "'a\\\\b\n'"),
            ("objectpath '/a'", "o", "objectpath '/a'"),
            ("['a', 'b' ]", "as", "['a', 'b']"),
            ("@as []", "as", "@as []"),
            ("[uint32 1, 2]", "au", "[uint32 1, 2]"),
            ("@a(st) [('/dev/sda', 1), ('/dev/sdb', 2)]", "a(st)", "[('/dev/sda', uint64 1), ('/dev/sdb', uint64 2)]"),
            ("('x', true, [1])", "(sbai)", "('x', true, [1])"),
        ] {
            let value = parse(text).unwrap();
            assert_eq!((value.signature(), value.to_string()), (signature.to_owned(), again.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_value() {
        for (text, wanted) in [
            ("", "the value is missing"),
            ("yes", "\"yes\" is not a value"),
            ("1e999", "\"1e999\" is not a value"),
            ("1 2", "\"2\" is left over"),
            ("2147483648", "2147483648 is not in the range of type 'i'"),
            ("byte -1", "-1 is not in the range of type 'y'"),
            ("[]", "the type of an empty array is not known; it takes one: @as []"),
            ("['a', true]", "true is not of type \"s\""),
            ("[1, 'a']", "'a' is not of type \"i\""),
            ("['a'", "\",\" or \"]\" is missing"),
            ("'a", "a string does not end"),
            (r"'\x'", r"unknown escape \x"),
            ("string true", "true is not of type \"s\""),
            ("()", "a tuple without fields is no value"),
            ("{'a': 1}", "\"{\" is not a value"),
            ("@(s\u{2e2}d) ('a', 11)", "11 is not in the range of type '\u{2e2}'"),
        ] {
            assert_eq!(parse(text).unwrap_err(), wanted, "{text}");
        }
        assert!(parse(&"[".repeat(100)).is_err());
    }
}
