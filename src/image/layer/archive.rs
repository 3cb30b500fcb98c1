//! Reading a tar file: ustar, pax and GNU's forms.
//!
//! The crate `tar` has the types of headers. Its iterator is not used: it reads names and pax headers of any size into
//! memory, splits binary attributes at line feeds, and knows no sparse files of pax.

use std::io::{self, BufRead, Read};

use anyhow::{Context, Result, bail};
use tar::Header;

use super::member::{Member, MemberKind, Shown};
use super::pax::{Records, number, time};
use super::sparse::{self, Described, field};

const BLOCK: u64 = 512;
/// The most bytes of all headers of one member. The kernel limits an attribute to 64 KiB, and a path to 4 KiB.
const METADATA: u64 = 1 << 20;
const XATTR: &[u8] = b"SCHILY.xattr.";

/// A tar file that is read once, from its beginning to its end.
pub struct Archive<R> {
    from: R,
    /// The data of the present member that was not read yet.
    data: u64,
    /// The bytes from there to the next header.
    padding: u64,
}

/// The extension headers before a member.
#[derive(Default)]
struct Extensions {
    pax: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    /// The bytes of all headers.
    bytes: u64,
}

impl<R: BufRead> Archive<R> {
    pub fn new(from: R) -> Archive<R> {
        Archive { from, data: 0, padding: 0 }
    }

    /// The next member, or `None` at the end of the file. Data of the member before it is skipped.
    ///
    /// # Errors
    /// The stream cannot be read, ends within a member, or is not a tar file.
    pub fn next(&mut self) -> Result<Option<Member>> {
        if self.pass(self.data)? < self.data {
            bail!("the tar file ends within a file");
        }
        // umoci ends a tar file with the last byte of the last file.
        self.pass(self.padding)?;
        (self.data, self.padding) = (0, 0);
        let mut extensions = Extensions::default();
        loop {
            let Some(header) = self.header()? else {
                if extensions.bytes > 0 {
                    bail!("the tar file ends after a header that describes a file");
                }
                return Ok(None);
            };
            let place = match header.as_bytes()[156] {
                b'x' => &mut extensions.pax,
                b'L' => &mut extensions.name,
                b'K' => &mut extensions.link,
                b'g' => {
                    let bytes = self.extension(&header, &mut extensions.bytes)?;
                    global(&bytes)?;
                    continue;
                }
                _ => return self.member(&header, extensions).map(Some),
            };
            if place.is_some() {
                bail!("a tar file with two headers of one kind for one file");
            }
            let bytes = self.extension(&header, &mut extensions.bytes)?;
            *place = Some(bytes);
        }
    }

    /// The data of the present member, without the holes of a sparse file.
    pub fn data(&mut self) -> MemberData<'_, R> {
        MemberData(self)
    }

    /// Reads on to the end of the stream.
    ///
    /// # Errors
    /// The stream cannot be read; a stream that checks digests finds a wrong one.
    pub fn finish(mut self) -> io::Result<R> {
        loop {
            match self.from.fill_buf()?.len() {
                0 => return Ok(self.from),
                length => self.from.consume(length),
            }
        }
    }

    /// Reads a header. `None` at the end, which is a block of zeros or the end of the stream.
    fn header(&mut self) -> Result<Option<Header>> {
        if self.from.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut header = Header::new_old();
        self.from.read_exact(header.as_mut_bytes()).context("the tar file ends within a header")?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The sum counts the field of the sum as blanks. Old programs have added signed bytes.
        let counted = || bytes[..148].iter().chain(&[b' '; 8]).chain(&bytes[156..]);
        let unsigned: i64 = counted().map(|byte| i64::from(*byte)).sum();
        let signed: i64 = counted().map(|byte| i64::from(*byte as i8)).sum();
        let wanted = header.cksum().map(i64::from);
        if !wanted.is_ok_and(|wanted| wanted == unsigned || wanted == signed) {
            bail!("not a tar file: the checksum of a header is wrong");
        }
        Ok(Some(header))
    }

    /// Reads the content of an extension header.
    fn extension(&mut self, header: &Header, sum: &mut u64) -> Result<Vec<u8>> {
        let size = field(header.entry_size(), "size")?;
        *sum = sum.saturating_add(size).saturating_add(BLOCK);
        if *sum > METADATA {
            bail!("the headers of a file in the tar file are longer than {METADATA} bytes");
        }
        let mut bytes = vec![0; size as usize];
        self.from.read_exact(&mut bytes).context("the tar file ends within a header")?;
        self.pass(padding(size))?;
        Ok(bytes)
    }

    fn member(&mut self, header: &Header, extensions: Extensions) -> Result<Member> {
        let text = |bytes: Vec<u8>| bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        let mut member = Member {
            kind: MemberKind::Regular,
            path: extensions.name.map_or_else(|| header.path_bytes().into_owned(), text),
            link: extensions
                .link
                .map(text)
                .or_else(|| Some(header.link_name_bytes()?.into_owned()))
                .unwrap_or_default(),
            mode: field(header.mode(), "mode")? & 0o7777,
            uid: field(header.uid(), "owner")?,
            gid: field(header.gid(), "group")?,
            // A negative number is in the binary form, which the crate returns as it is.
            modified: (field(header.mtime(), "time")?.cast_signed(), 0),
            device: (
                header.device_major().ok().flatten().unwrap_or(0),
                header.device_minor().ok().flatten().unwrap_or(0),
            ),
            size: field(header.entry_size(), "size")?,
            parts: None,
            xattrs: Vec::new(),
        };
        let mut described = Described::default();
        for record in Records(extensions.pax.as_deref().unwrap_or_default()) {
            let (key, value) = record?;
            apply(&mut member, &mut described, key, value)?;
        }
        member.kind = kind(header, &member)?;
        if member.kind != MemberKind::Regular {
            // Some programs give the size of the target here. No data follows in any case.
            member.size = 0;
            return Ok(member);
        }
        self.set_data(&mut member, header, described)
            .with_context(|| format!("{} in the tar file", Shown(&member.path)))?;
        Ok(member)
    }

    /// Finds the size of the data that follows, the size of the file, and its holes.
    fn set_data(&mut self, member: &mut Member, header: &Header, mut described: Described) -> Result<()> {
        let stored = member.size;
        (self.data, self.padding) = (stored, padding(stored));
        if header.as_bytes()[156] == b'S' {
            let (parts, size) = sparse::read_old(header, &mut self.from, METADATA)?;
            (member.parts, member.size) = (Some(parts), size);
        } else {
            if let Some(name) = described.name.take() {
                member.path = name;
            }
            member.size = described.size.unwrap_or(stored);
            if described.in_data {
                let (parts, bytes) = sparse::read_map(self.data(), METADATA)?;
                debug_assert_eq!(self.data, stored - bytes);
                member.parts = Some(parts);
            } else {
                member.parts = described.parts();
            }
        }
        match &member.parts {
            Some(parts) => sparse::check(parts, member.size, self.data),
            None if member.size != stored => bail!("a sparse file without a map"),
            None => Ok(()),
        }
    }

    /// Skips bytes, and returns their number, which is less at the end of the stream.
    fn pass(&mut self, count: u64) -> Result<u64> {
        let mut passed = 0;
        while passed < count {
            let length = self.from.fill_buf()?.len() as u64;
            if length == 0 {
                break;
            }
            let step = length.min(count - passed);
            self.from.consume(step as usize);
            passed += step;
        }
        Ok(passed)
    }
}

/// The data of a member.
pub struct MemberData<'a, R>(&'a mut Archive<R>);

impl<R: BufRead> BufRead for MemberData<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let most = usize::try_from(self.0.data).unwrap_or(usize::MAX);
        if most == 0 {
            return Ok(&[]);
        }
        let bytes = self.0.from.fill_buf()?;
        if bytes.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the tar file ends within a file"));
        }
        Ok(&bytes[..bytes.len().min(most)])
    }

    fn consume(&mut self, amount: usize) {
        self.0.from.consume(amount);
        self.0.data -= amount as u64;
    }
}

impl<R: BufRead> Read for MemberData<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}

fn padding(size: u64) -> u64 {
    (BLOCK - size % BLOCK) % BLOCK
}

/// A global header holds for all later members. `git archive` writes one with a comment; nothing else is expected in a
/// layer, and programs disagree about the rest.
fn global(bytes: &[u8]) -> Result<()> {
    for record in Records(bytes) {
        let (key, _) = record?;
        if key != b"comment" {
            bail!("a global pax header sets {}, which is not supported", Shown(key));
        }
    }
    Ok(())
}

fn apply(member: &mut Member, described: &mut Described, key: &[u8], value: &[u8]) -> Result<()> {
    let bad =
        || format!("the pax header of {} has a bad {}: {}", Shown(&member.path), key.escape_ascii(), Shown(value));
    let one = || number(value).with_context(bad);
    match key {
        b"path" => member.path = value.to_vec(),
        b"linkpath" => member.link = value.to_vec(),
        b"size" => member.size = one()?,
        b"uid" => member.uid = one()?,
        b"gid" => member.gid = one()?,
        b"mtime" => member.modified = time(value).with_context(bad)?,
        _ => {
            if let Some(name) = key.strip_prefix(XATTR) {
                // A later record with the same key replaces the earlier one.
                member.xattrs.retain(|(other, _)| other != name);
                member.xattrs.push((name.to_vec(), value.to_vec()));
            } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                described.take(key, value)?;
            }
            // Times of access, names of users, comments and other vendors' records change nothing in a layer.
        }
    }
    Ok(())
}

fn kind(header: &Header, member: &Member) -> Result<MemberKind> {
    Ok(match header.as_bytes()[156] {
        // The first tar had no directories, and marked them so.
        b'0' | 0 if member.path.ends_with(b"/") => MemberKind::Directory,
        b'0' | 0 | b'7' | b'S' => MemberKind::Regular,
        b'1' => MemberKind::HardLink,
        b'2' => MemberKind::Symlink,
        b'3' => MemberKind::CharacterDevice,
        b'4' => MemberKind::BlockDevice,
        b'5' => MemberKind::Directory,
        b'6' => MemberKind::Fifo,
        other => bail!("{} in the tar file is of the unknown type \"{}\"", Shown(&member.path), other.escape_ascii()),
    })
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod archive_tests;
