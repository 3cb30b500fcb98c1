//! The table of mounts: proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A line of the table. A field is decoded only on demand: callers need few of many lines, and names may not be UTF-8.
#[derive(Clone, Copy, Debug)]
pub struct MountinfoLine<'a> {
    /// The mount's id, unique on the host until it is reused.
    pub id: u64,
    root: &'a [u8],
    point: &'a [u8],
    /// The type of the file system.
    pub kind: &'a [u8],
    /// The options of the superblock.
    pub options: &'a [u8],
}

/// The lines of a table. Malformed lines are skipped.
pub fn lines(table: &(impl AsRef<[u8]> + ?Sized)) -> impl Iterator<Item = MountinfoLine<'_>> {
    table.as_ref().split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let (root, point) = (fields.nth(2)?, fields.next()?);
        // The mount's own options and any number of optional fields precede the `-`.
        let mut super_block = fields.skip(1).skip_while(|field| *field != b"-").skip(1);
        Some(MountinfoLine { id, root, point, kind: super_block.next()?, options: super_block.nth(1)? })
    })
}

impl MountinfoLine<'_> {
    /// The mounted directory, as a path in its file system.
    pub fn root(&self) -> PathBuf {
        unescape(self.root)
    }

    /// The mount point, relative to the root of the process that the table belongs to.
    pub fn point(&self) -> PathBuf {
        unescape(self.point)
    }

    /// Whether the mount shows the root of its file system.
    pub fn is_whole(&self) -> bool {
        self.root == b"/"
    }
}

/// Decodes a path: the kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn names_need_not_be_utf8() {
        let table = b"24 1 0:20 /a\\040b /caf\xe9\\134040 rw shared:1 master:2 - fuse.\xe9  ro,lowerdir=\xe9\n";
        let line = lines(table).next().unwrap();
        assert_eq!((line.id, line.kind, line.options), (24, &b"fuse.\xe9"[..], &b"ro,lowerdir=\xe9"[..]));
        assert_eq!(line.root(), PathBuf::from("/a b"));
        assert_eq!(line.point().as_os_str(), OsStr::from_bytes(b"/caf\xe9\\040"));
        assert!(!line.is_whole());
    }

    #[test]
    fn what_is_no_line_is_left_out() {
        assert_eq!(lines("\n1 2 3\nx 1 0:20 / / rw - proc proc rw\n24 1 0:20 / / rw proc proc rw\n").count(), 0);
    }
}
