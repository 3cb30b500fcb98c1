//! Sparse files in tar files: GNU's old form, and the three forms in pax headers (GNU tar's manual, "Sparse Formats").

use std::io::{self, Read};

use anyhow::{Context, Result, anyhow, bail};
use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use super::member::Extent;
use super::pax::number;

const BLOCK: u64 = 512;

/// The sparse file that the records of a pax header describe.
#[derive(Default)]
pub struct Described {
    /// Version 1.0: the map precedes the data.
    pub in_data: bool,
    /// The real name; the member's own is made up.
    pub name: Option<Vec<u8>>,
    pub size: Option<u64>,
    /// Versions 0.0 and 0.1. An offset waits for its length.
    parts: Vec<Extent>,
    offset: Option<u64>,
    seen: bool,
}

impl Described {
    /// Takes a record of the vendor `GNU.sparse`, without this prefix. Returns whether it is known.
    pub fn take(&mut self, key: &[u8], value: &[u8]) -> Result<bool> {
        let bad =
            || anyhow!("GNU.sparse.{}: {:?} is not a number", key.escape_ascii(), value.escape_ascii().to_string());
        let one = || number(value).ok_or_else(bad);
        match key {
            b"major" => self.in_data = one()? == 1,
            b"minor" | b"numblocks" => _ = one()?,
            b"name" => self.name = Some(value.to_vec()),
            b"size" | b"realsize" => self.size = Some(one()?),
            b"offset" => self.offset = Some(one()?),
            b"numbytes" => {
                let offset = self.offset.take().context("GNU.sparse.numbytes without an offset")?;
                self.parts.push(Extent { offset, length: one()? });
            }
            b"map" => self.parts = pairs(value).ok_or_else(bad)?,
            _ => return Ok(false),
        }
        self.seen = true;
        Ok(true)
    }

    /// The map, if the header has one.
    pub fn parts(self) -> Option<Vec<Extent>> {
        (self.seen && !self.in_data).then_some(self.parts)
    }
}

/// `OFFSET,LENGTH,OFFSET,LENGTH…`
fn pairs(text: &[u8]) -> Option<Vec<Extent>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let numbers: Vec<u64> = text.split(|byte| *byte == b',').map(number).collect::<Option<_>>()?;
    let (pairs, []) = numbers.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[offset, length]| Extent { offset: *offset, length: *length }).collect())
}

/// Reads the map of version 1.0, decimal numbers in lines in whole blocks, and returns it with its size.
pub fn read_map(mut from: impl Read, most: u64) -> Result<(Vec<Extent>, u64)> {
    let (mut text, mut done) = (Vec::new(), 0);
    let mut line = |from: &mut dyn Read| -> Result<u64> {
        loop {
            if let Some(end) = text[done..].iter().position(|byte| *byte == b'\n') {
                let found = number(&text[done..done + end]).context("the map of a sparse file is not in numbers")?;
                done += end + 1;
                return Ok(found);
            }
            if text.len() as u64 >= most || text.len() - done >= BLOCK as usize {
                bail!("the map of a sparse file is too long");
            }
            let old = text.len();
            text.resize(old + BLOCK as usize, 0);
            from.read_exact(&mut text[old..]).context("the map of a sparse file")?;
        }
    };
    let count = line(&mut from)?;
    let mut parts = Vec::new();
    for _ in 0..count {
        parts.push(Extent { offset: line(&mut from)?, length: line(&mut from)? });
    }
    Ok((parts, text.len() as u64))
}

/// The map of GNU's old form: in the header and in the blocks after it. Returns the size of the file, too.
pub fn read_old(header: &Header, mut from: impl Read, most: u64) -> Result<(Vec<Extent>, u64)> {
    let gnu = header.as_gnu().context("a sparse file without GNU's header")?;
    let mut parts = Vec::new();
    add(&mut parts, &gnu.sparse)?;
    let mut more = gnu.is_extended();
    let mut extension = GnuExtSparseHeader::new();
    while more {
        if parts.len() as u64 * 24 > most {
            bail!("the map of a sparse file is too long");
        }
        from.read_exact(extension.as_mut_bytes()).context("the map of a sparse file")?;
        add(&mut parts, &extension.sparse)?;
        more = extension.is_extended();
    }
    Ok((parts, field(gnu.real_size(), "size")?))
}

fn add(parts: &mut Vec<Extent>, rows: &[GnuSparseHeader]) -> Result<()> {
    for row in rows.iter().filter(|row| !row.is_empty()) {
        parts.push(Extent { offset: field(row.offset(), "offset")?, length: field(row.length(), "length")? });
    }
    Ok(())
}

/// A field of a header. The crate's error has the bytes of the field, which may be control characters for a terminal.
pub fn field<T>(number: io::Result<T>, name: &str) -> Result<T> {
    number.ok().with_context(|| format!("a header of the tar file has a bad {name}"))
}

/// Checks a map: the parts are in order, within the file, and have as much data as the tar file.
pub fn check(parts: &[Extent], size: u64, data: u64) -> Result<()> {
    let (mut end, mut sum) = (0, 0u64);
    for Extent { offset, length } in parts {
        let next = offset.checked_add(*length).filter(|next| *offset >= end && *next <= size);
        end = next.context("the parts of a sparse file overlap, or are out of order")?;
        sum += length;
    }
    if sum != data {
        bail!("a sparse file has {data} bytes of data, and its map has {sum}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(offset: u64, length: u64) -> Extent {
        Extent { offset, length }
    }

    #[test]
    fn maps_in_pax_records() {
        let mut old = Described::default();
        for (key, value) in
            [("size", "9"), ("numblocks", "2"), ("offset", "0"), ("numbytes", "1"), ("offset", "8"), ("numbytes", "1")]
        {
            assert!(old.take(key.as_bytes(), value.as_bytes()).unwrap());
        }
        assert_eq!((old.size, old.parts()), (Some(9), Some(vec![part(0, 1), part(8, 1)])));
        let mut map = Described::default();
        assert!(map.take(b"map", b"0,1,8,1").unwrap() && !map.take(b"other", b"").unwrap());
        assert_eq!(map.parts(), Some(vec![part(0, 1), part(8, 1)]));
        assert_eq!(Described::default().parts(), None);
        for (key, value) in [("map", "0,1,2"), ("map", "x"), ("size", "-1"), ("numbytes", "1")] {
            assert!(Described::default().take(key.as_bytes(), value.as_bytes()).is_err(), "{key}={value}");
        }
    }

    #[test]
    fn maps_before_the_data() {
        let mut text = b"2\n0\n1\n8\n1\n".to_vec();
        text.resize(512, 0);
        assert_eq!(read_map(&text[..], 4096).unwrap(), (vec![part(0, 1), part(8, 1)], 512));
        assert!(read_map(&b"2\n0\n"[..], 4096).is_err());
        assert!(read_map(&[b'1'; 1024][..], 4096).is_err());
        let endless = std::iter::repeat_n(b"1\n", 1 << 20).flatten().copied().collect::<Vec<u8>>();
        let endless = [b"999999999\n".to_vec(), endless].concat();
        assert!(read_map(&endless[..], 4096).is_err());
    }

    #[test]
    fn maps_that_do_not_fit() {
        assert!(check(&[part(0, 1), part(8, 1)], 9, 2).is_ok());
        assert!(check(&[], 1 << 60, 0).is_ok());
        for (parts, size, data) in [
            (&[part(0, 2), part(1, 1)][..], 9, 3),
            (&[part(8, 2)], 9, 2),
            (&[part(u64::MAX, 2)], u64::MAX, 2),
            (&[part(0, 1)], 9, 2),
        ] {
            assert!(check(parts, size, data).is_err());
        }
    }
}
