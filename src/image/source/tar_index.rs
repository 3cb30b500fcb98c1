//! The files in a tar file: where each begins.
//!
//! The reader of layers is not used: it reads all data, and an image is mostly data, which one seek skips.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tar::Header;

use super::blob::Blob;
use crate::image::layer::{Records, number};
use crate::sys::Call;

const BLOCK: u64 = 512;
/// The maximum size of a header that extends another one.
const MAX_EXTENSION: u64 = 1 << 20;
/// The maximum number of members. An image has some for each layer.
const MAX_MEMBERS: usize = 65536;
/// No name of a file of an image is longer.
const MAX_NAME: usize = 1024;
/// The maximum number of links from one file to another.
const MAX_LINKS: usize = 8;

/// A member that an image may need.
#[derive(Debug, PartialEq, Eq)]
enum TarPlace {
    /// A regular file: the position and the size of its content.
    File(u64, u64),
    /// A link to another member.
    Link(String),
}

/// A tar file whose members are known.
#[derive(Debug)]
pub struct TarIndex {
    file: Arc<File>,
    places: HashMap<String, TarPlace>,
}

/// The extensions of the next header.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
}

impl TarIndex {
    /// Reads all headers of a tar file.
    ///
    /// # Errors
    /// It is not a tar file, or has too many members; the error of reading it.
    pub fn new(file: File) -> Result<TarIndex> {
        let end = file.metadata().named("stat")?.len();
        let mut index = TarIndex { file: Arc::new(file), places: HashMap::new() };
        let (mut position, mut extended) = (0, Extended::default());
        // A last block that is cut off is no header.
        while end - position >= BLOCK {
            let Some(header) = index.header(position)? else { break };
            let stored = header.entry_size().context("the size of a member")?;
            position += BLOCK;
            let kind = header.as_bytes()[156];
            let size = match kind {
                b'x' | b'g' | b'L' | b'K' => stored,
                _ => extended.size.unwrap_or(stored),
            };
            // Links and directories have no content, whatever their size says.
            let size = if matches!(kind, b'1'..=b'6') { 0 } else { size };
            let Some(next) = position.checked_add(size.next_multiple_of(BLOCK)).filter(|_| size <= end - position)
            else {
                bail!("the tar file ends within a member");
            };
            match kind {
                b'x' | b'g' | b'L' | b'K' => index.extension(kind, position, size, &mut extended)?,
                _ => index.member(&header, std::mem::take(&mut extended), position, size)?,
            }
            position = next.min(end);
        }
        Ok(index)
    }

    /// The content of a file by its path. Links are followed. `None` if there is no such file.
    ///
    /// # Errors
    /// Too many links.
    pub fn file(&self, path: &str) -> Result<Option<Blob>> {
        let mut path = path;
        for _ in 0..MAX_LINKS {
            match self.places.get(path) {
                None => return Ok(None),
                Some(TarPlace::File(position, size)) => {
                    return Ok(Some(Blob::new(Arc::clone(&self.file), *position, *size)));
                }
                Some(TarPlace::Link(target)) => path = target,
            }
        }
        bail!("{path}: too many links in the tar file")
    }

    /// The header at a position; `None` for a block of zeros, which ends the file.
    fn header(&self, position: u64) -> Result<Option<Header>> {
        let mut header = Header::new_old();
        self.file.read_exact_at(header.as_mut_bytes(), position).named("read a header of the tar file")?;
        let bytes = header.as_bytes();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum: u32 = bytes[..148].iter().chain(&[b' '; 8]).chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum();
        match header.cksum() {
            Ok(wanted) if wanted == sum => Ok(Some(header)),
            _ => bail!("not a tar file: the checksum of a header is wrong"),
        }
    }

    fn extension(&self, kind: u8, position: u64, size: u64, extended: &mut Extended) -> Result<()> {
        if size > MAX_EXTENSION {
            bail!("a header of the tar file is longer than {MAX_EXTENSION} bytes");
        }
        let mut bytes = vec![0; size as usize];
        self.file.read_exact_at(&mut bytes, position).named("read a header of the tar file")?;
        if matches!(kind, b'L' | b'K') {
            bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
            *(if kind == b'L' { &mut extended.path } else { &mut extended.link }) = Some(bytes);
            return Ok(());
        }
        for record in Records(&bytes) {
            let (key, value) = record?;
            match key {
                b"comment" => {}
                _ if kind == b'g' => bail!("a global pax header sets {}, which is not supported", key.escape_ascii()),
                b"path" => extended.path = Some(value.to_vec()),
                b"linkpath" => extended.link = Some(value.to_vec()),
                b"size" => extended.size = Some(number(value).context("a pax header has a bad size")?),
                key if key.starts_with(b"GNU.sparse.") => extended.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn member(&mut self, header: &Header, extended: Extended, position: u64, size: u64) -> Result<()> {
        let path = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = || extended.link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
        let Some(name) = name(&path, "") else { return Ok(()) };
        let place = match header.as_bytes()[156] {
            // A sparse file is none of an image's files.
            _ if extended.sparse => None,
            b'0' | b'7' | 0 => Some(TarPlace::File(position, size)),
            b'1' => self::name(&link(), "").map(TarPlace::Link),
            b'2' => self::name(&link(), name.rsplit_once('/').map_or("", |(folder, _)| folder)).map(TarPlace::Link),
            _ => None,
        };
        // The last member with a name is the one that an unpacking program leaves.
        match place {
            Some(place) => _ = self.places.insert(name, place),
            None => _ = self.places.remove(&name),
        }
        if self.places.len() > MAX_MEMBERS {
            bail!("the tar file has more than {MAX_MEMBERS} members");
        }
        Ok(())
    }
}

/// The clean name of a member, seen from a folder. `None` for a name that no file of an image has.
fn name(path: &[u8], folder: &str) -> Option<String> {
    let path = std::str::from_utf8(path).ok().filter(|path| path.len() <= MAX_NAME)?;
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').filter(|_| !path.starts_with('/')).chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}
