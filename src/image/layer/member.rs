//! A member of a layer: a file, a link, a directory or a device, with its attributes.

use std::fmt;

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    Regular,
    Directory,
    Symlink,
    /// Another name of an earlier member, or of a file of a layer below.
    HardLink,
    Fifo,
    CharacterDevice,
    BlockDevice,
}

/// A part of a sparse file with data; all else is a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub offset: u64,
    pub length: u64,
}

/// A member of a tar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub kind: MemberKind,
    /// The name, as the tar file has it.
    pub path: Vec<u8>,
    /// The target of a link.
    pub link: Vec<u8>,
    /// The permission bits.
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// The time of the last change, in seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// The numbers of a device.
    pub device: (u32, u32),
    /// The size of the file, holes included.
    pub size: u64,
    /// `None` if the file has no holes.
    pub parts: Option<Vec<Extent>>,
    /// The extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A name from a tar file for a message: with control characters escaped, and not too long.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 200;
        let text = String::from_utf8_lossy(self.0);
        let mut letters = text.chars();
        write!(f, "\"{}", letters.by_ref().take(MOST).collect::<String>().escape_debug())?;
        f.write_str(if letters.next().is_some() { "…\"" } else { "\"" })
    }
}
