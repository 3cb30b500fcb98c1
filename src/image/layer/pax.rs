//! The records of a pax header (pax(1), "pax Extended Header").

use anyhow::{Result, bail};

/// The records: `LENGTH KEY=VALUE\n`, where the length counts the whole record. A value may contain any byte, also a
/// line feed, as extended attributes with capabilities do. The parser of the crate `tar` splits at line feeds, and so
/// loses those.
pub struct Records<'a>(pub &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = split(self.0);
        match record {
            Ok((_, _, rest)) => self.0 = rest,
            Err(_) => self.0 = &[],
        }
        Some(record.map(|(key, value, _)| (key, value)))
    }
}

fn split(bytes: &[u8]) -> Result<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(20).position(|byte| *byte == b' ');
    let length = blank.and_then(|blank| number(&bytes[..blank]));
    let record = length.and_then(|length| bytes.split_at_checked(usize::try_from(length).ok()?));
    let (Some(blank), Some((record, rest))) = (blank, record) else { bail!("a pax record has a wrong length") };
    let text = record.get(blank + 1..).and_then(|text| text.strip_suffix(b"\n"));
    let equals = text.and_then(|text| text.iter().position(|byte| *byte == b'='));
    match (text, equals) {
        (Some(text), Some(equals)) if equals > 0 => Ok((&text[..equals], &text[equals + 1..], rest)),
        _ => bail!("a pax record is not of the form KEY=VALUE"),
    }
}

/// A decimal number without a sign.
pub fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

/// A time: seconds with an optional sign and fraction. Digits beyond nanoseconds are cut off.
pub fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |text| (true, text));
    let point = text.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = point.map_or((text, &b""[..]), |point| (&text[..point], &text[point + 1..]));
    let seconds = i64::try_from(number(whole)?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanoseconds = digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanoseconds) {
        (false, nanoseconds) => (seconds, nanoseconds),
        (true, 0) => (-seconds, 0),
        (true, nanoseconds) => (-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
        Records(bytes).collect()
    }

    #[test]
    fn records() {
        assert_eq!(all(b"").unwrap(), []);
        assert_eq!(all(b"9 path=a\n9 size=7\n").unwrap(), [(&b"path"[..], &b"a"[..]), (b"size", b"7")]);
        assert_eq!(all(b"11 x=\n\n=\n\n\n").unwrap(), [(&b"x"[..], &b"\n\n=\n\n"[..])]);
        assert_eq!(all(b"5 k=\n").unwrap(), [(&b"k"[..], &b""[..])]);
        for bad in [
            &b"9 path=a"[..],
            b"x path=a\n",
            b"8 path=a\n",
            b"99 path=a\n",
            b"5 =a\n",
            b"7 path\n",
            b"0 a=b\n",
            b"2 a=b\n",
            b"\0\0",
        ] {
            assert!(all(bad).is_err(), "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn times() {
        for (text, wanted) in [
            ("0", Some((0, 0))),
            ("12.5", Some((12, 500_000_000))),
            ("12.0000000019", Some((12, 1))),
            ("-1", Some((-1, 0))),
            ("-1.25", Some((-2, 750_000_000))),
            ("1.", Some((1, 0))),
            ("", None),
            (".5", None),
            ("1.x", None),
            ("1e3", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time(text.as_bytes()), wanted, "{text}");
        }
    }
}
