//! Headers of tar files in the form of POSIX.1-2001.

use anyhow::{Result, bail};

use super::union::display;

/// The size of a header, and the unit of all lengths.
pub const BLOCK: usize = 512;

/// The largest number of eight octal digits with the NUL behind them, which is what ids and device numbers have.
const MOST_SHORT: u64 = 0o7_777_777;
/// The same for sizes and times.
const MOST_LONG: u64 = 0o77_777_777_777;
/// The longest name that stands in the header itself.
const LONGEST_NAME: usize = 100;

/// The properties of a member. What does not fit into the header stands in a PAX record.
#[derive(Default)]
pub struct TarHeader<'a> {
    /// The type's letter in a tar file.
    pub letter: u8,
    pub path: &'a [u8],
    /// The target of a link of either kind.
    pub target: &'a [u8],
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    /// Seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Major and minor number.
    pub device: (u64, u64),
    /// Names of attributes with their values.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl TarHeader<'_> {
    /// The bytes of the header, with the PAX header in front of it that it needs.
    ///
    /// # Errors
    /// A name of an attribute that a record cannot hold.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let records = self.records()?;
        let mut out = Vec::with_capacity(3 * BLOCK);
        if !records.is_empty() {
            let pax = TarHeader {
                letter: b'x',
                path: b"PaxHeaders.0/member",
                mode: 0o644,
                size: records.len() as u64,
                ..TarHeader::default()
            };
            out.extend(pax.block());
            out.extend(&records);
            out.resize(out.len().next_multiple_of(BLOCK), 0);
        }
        out.extend(self.block());
        Ok(out)
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, shortened(self.path));
        put(100, &octal::<7>(u64::from(self.mode & 0o7777)));
        put(108, &octal::<7>(fitting(self.uid.into(), MOST_SHORT)));
        put(116, &octal::<7>(fitting(self.gid.into(), MOST_SHORT)));
        put(124, &octal::<11>(fitting(self.size, MOST_LONG)));
        put(136, &octal::<11>(fitting(u64::try_from(self.modified.0).unwrap_or_default(), MOST_LONG)));
        put(156, &[self.letter]);
        put(157, shortened(self.target));
        put(257, b"ustar\x0000");
        put(329, &octal::<7>(self.device.0));
        put(337, &octal::<7>(self.device.1));
        // The sum counts its own field as blanks.
        put(148, b"        ");
        let sum = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..154].copy_from_slice(&octal::<6>(sum));
        block[154..156].copy_from_slice(b"\0 ");
        block
    }

    fn records(&self) -> Result<Vec<u8>> {
        let mut records = Vec::new();
        let mut add = |key: &[u8], value: &[u8]| record(&mut records, key, value);
        if self.path.len() > LONGEST_NAME {
            add(b"path", self.path);
        }
        if self.target.len() > LONGEST_NAME {
            add(b"linkpath", self.target);
        }
        for (key, number, most) in [
            (&b"uid"[..], u64::from(self.uid), MOST_SHORT),
            (b"gid", self.gid.into(), MOST_SHORT),
            (b"size", self.size, MOST_LONG),
        ] {
            if number > most {
                add(key, number.to_string().as_bytes());
            }
        }
        let (seconds, nanoseconds) = self.modified;
        if nanoseconds != 0 || !u64::try_from(seconds).is_ok_and(|seconds| seconds <= MOST_LONG) {
            add(b"mtime", time(seconds, nanoseconds).as_bytes());
        }
        for (name, value) in &self.attributes {
            if name.contains(&b'=') {
                bail!("{}: {}: a tar file cannot hold the name of this attribute", display(self.path), display(name));
            }
            add(&[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
        Ok(records)
    }
}

/// Adds a record, which begins with its own length.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend(length.to_string().as_bytes());
    for part in [&b" "[..], key, b"=", value, b"\n"] {
        records.extend(part);
    }
}

/// A time with its fraction, if it has one. Nanoseconds count upwards, also before 1970.
fn time(seconds: i64, nanoseconds: i64) -> String {
    let (sign, seconds, nanoseconds) = match (seconds, nanoseconds) {
        (..0, 1..) => ("-", -(seconds + 1), 1_000_000_000 - nanoseconds),
        (..0, _) => ("-", -seconds, 0),
        _ => ("", seconds, nanoseconds),
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn shortened(name: &[u8]) -> &[u8] {
    &name[..name.len().min(LONGEST_NAME)]
}

/// 0 in the place of a number that stands in a record.
fn fitting(number: u64, most: u64) -> u64 {
    if number > most { 0 } else { number }
}

fn octal<const DIGITS: usize>(mut number: u64) -> [u8; DIGITS] {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number & 7) as u8;
        number >>= 3;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        for (length, wanted) in [(1, "6 a=x\n"), (3, "8 a=xxx\n"), (4, "9 a=xxxx\n"), (5, "11 a=xxxxx\n")] {
            let mut records = Vec::new();
            record(&mut records, b"a", "x".repeat(length).as_bytes());
            assert_eq!(String::from_utf8(records).unwrap(), wanted);
        }
    }

    #[test]
    fn times() {
        for (time_of, wanted) in
            [((0, 5), "0.000000005"), ((7, 500_000_000), "7.5"), ((-1, 500_000_000), "-0.5"), ((-7, 0), "-7")]
        {
            assert_eq!(time(time_of.0, time_of.1), wanted);
        }
        assert_eq!(time(1 << 34, 0), "17179869184");
    }

    #[test]
    fn only_large_values_have_records() {
        let plain = TarHeader { letter: b'0', path: b"a", uid: 0o7_777_777, size: MOST_LONG, ..TarHeader::default() };
        assert_eq!(plain.bytes().unwrap().len(), BLOCK);
        let large = TarHeader { letter: b'0', path: b"a", uid: 0o10_000_000, ..TarHeader::default() };
        let bytes = large.bytes().unwrap();
        assert_eq!(bytes.len(), 3 * BLOCK);
        assert!(bytes[BLOCK..].starts_with(b"15 uid=2097152\n"));
        let wrong =
            TarHeader { attributes: vec![(b"user.a=b".to_vec(), Vec::new())], path: b"p", ..TarHeader::default() };
        assert!(wrong.bytes().unwrap_err().to_string().starts_with("p: user.a=b: a tar file"));
    }
}
