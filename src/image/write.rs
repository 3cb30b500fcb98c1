//! From a directory in the form of overlayfs to the tar file of a layer.
//!
//! The same directory always gives the same bytes: members come in the order of [`TreeWalk`], with numbers in the place of
//! names of users, and with no other time than that of modification.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Result, bail};
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, major, minor};

use super::header::{BLOCK, TarHeader};
use super::layer::WHITEOUT;
use super::shift::Shift;
use super::tree::{TreeStep, TreeWalk};
use super::union::{display, is_opaque, is_whiteout, kind};
use crate::sys::{Call, again};

const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";

/// Attributes that are a part of the host or of overlayfs, not of the file.
const LEFT_OUT: &[&[u8]] = &[
    b"trusted.overlay.",
    b"user.overlay.",
    b"user.fuseoverlayfs.",
    b"security.selinux",
    b"security.ima",
    b"security.evm",
    b"system.nfs4",
];
/// overlayfs writes these where a file or directory is not complete without the layers below.
const INCOMPLETE: [&str; 2] = [".overlay.redirect", ".overlay.metacopy"];

/// Facts about a layer that was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The number of members.
    pub members: u64,
    /// The newest time of modification of its files, in seconds.
    pub newest: i64,
}

/// Writes a directory as a layer. With `with_root` the root directory has an entry of its own.
///
/// # Errors
/// The error of reading or writing. A file that a layer cannot have: its name begins with `.wh.`.
pub fn write(root: BorrowedFd<'_>, with_root: bool, shift: &Shift, out: &mut dyn Write) -> Result<Written> {
    let walk = TreeWalk::new(root)?;
    let mut writer =
        LayerWriter { walk, shift, out, links: HashMap::new(), written: Written::default(), buffer: vec![0; 1 << 17] };
    if with_root {
        let stat = fstat(root).named("fstat")?;
        writer.directory(b".", &stat)?;
    }
    if is_opaque(root).named("fgetxattr")? {
        writer.marker(OPAQUE_MARKER)?;
    }
    while let Some(step) = writer.walk.next()? {
        match step {
            TreeStep::Left => {}
            TreeStep::Directory(stat) => {
                let path = writer.path()?;
                writer.directory(&path, &stat)?;
                if is_opaque(writer.walk.here()).named("fgetxattr")? {
                    writer.marker(&[&path[..], b"/", OPAQUE_MARKER].concat())?;
                }
            }
            TreeStep::File(name, stat) => writer.file(&name, &stat)?,
        }
    }
    // Two empty blocks are the end.
    writer.out.write_all(&[0; 2 * BLOCK]).named("write a layer")?;
    Ok(writer.written)
}

struct LayerWriter<'a> {
    walk: TreeWalk,
    shift: &'a Shift,
    out: &'a mut dyn Write,
    /// The first path of each file with several names, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    written: Written,
    buffer: Vec<u8>,
}

impl LayerWriter<'_> {
    /// The path of the present entry.
    fn path(&self) -> Result<Vec<u8>> {
        let path = self.walk.path();
        if path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.starts_with(WHITEOUT)) {
            bail!("/{}: a layer cannot have a file whose name begins with .wh.", display(path));
        }
        Ok(path.to_vec())
    }

    fn directory(&mut self, path: &[u8], stat: &FileStat) -> Result<()> {
        let path = [path, b"/"].concat();
        let attributes = self.attributes(c".", &path)?;
        self.member(TarHeader { letter: b'5', path: &path, attributes, ..TarHeader::default() }, stat)
    }

    /// Writes an empty file that removes something of the layers below.
    fn marker(&mut self, path: &[u8]) -> Result<()> {
        let header = TarHeader { letter: b'0', path, ..TarHeader::default() };
        self.written.members += 1;
        self.out.write_all(&header.bytes()?).named("write a layer")
    }

    fn file(&mut self, name: &CString, stat: &FileStat) -> Result<()> {
        let path = self.path()?;
        if is_whiteout(stat) {
            let directory = path.len() - name.to_bytes().len();
            return self.marker(&[&path[..directory], WHITEOUT, name.to_bytes()].concat());
        }
        // A socket is of use only to the process that has bound it.
        if kind(stat) == SFlag::S_IFSOCK {
            return Ok(());
        }
        if stat.st_nlink > 1 {
            let first = self.links.entry((stat.st_dev, stat.st_ino)).or_insert_with(|| path.clone()).clone();
            if first != path {
                return self
                    .member(TarHeader { letter: b'1', path: &path, target: &first, ..TarHeader::default() }, stat);
            }
        }
        let attributes = self.attributes(name, &path)?;
        let header = TarHeader { path: &path, attributes, ..TarHeader::default() };
        match kind(stat) {
            SFlag::S_IFREG => self.regular(name, header, stat),
            SFlag::S_IFLNK => {
                let target = again(|| readlinkat(self.walk.here(), name.as_c_str()));
                let target = target.named(format_args!("readlink {}", display(&path)))?;
                let target = std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str());
                self.member(TarHeader { letter: b'2', target, ..header }, stat)
            }
            SFlag::S_IFCHR => self.member(TarHeader { letter: b'3', device: device(stat), ..header }, stat),
            SFlag::S_IFBLK => self.member(TarHeader { letter: b'4', device: device(stat), ..header }, stat),
            SFlag::S_IFIFO => self.member(TarHeader { letter: b'6', ..header }, stat),
            _ => bail!("/{}: a file of a type that a layer cannot have", display(&path)),
        }
    }

    fn regular(&mut self, name: &CString, header: TarHeader<'_>, stat: &FileStat) -> Result<()> {
        let path = display(header.path);
        // The container may replace the file meanwhile, and must not make this process wait for a fifo.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let file = again(|| openat(self.walk.here(), name.as_c_str(), flags, Mode::empty()));
        let mut file = File::from(file.named(format_args!("open {path}"))?);
        let now = fstat(file.as_fd()).named(format_args!("fstat {path}"))?;
        if (now.st_dev, now.st_ino) != (stat.st_dev, stat.st_ino) {
            bail!("/{path}: the file changed while it was read");
        }
        let size = now.st_size as u64;
        self.member(TarHeader { letter: b'0', size, ..header }, &now)?;
        let mut left = size;
        while left > 0 {
            let most = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = match file.read(&mut self.buffer[..most]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                count => count.named(format_args!("read {path}"))?,
            };
            if count == 0 {
                bail!("/{path}: the file changed while it was read");
            }
            self.out.write_all(&self.buffer[..count]).named("write a layer")?;
            left -= count as u64;
        }
        let padding = (size.next_multiple_of(BLOCK as u64) - size) as usize;
        self.out.write_all(&[0; BLOCK][..padding]).named("write a layer")
    }

    /// Writes a header, with the properties that all members have.
    fn member(&mut self, header: TarHeader<'_>, stat: &FileStat) -> Result<()> {
        let header = TarHeader {
            mode: stat.st_mode,
            uid: self.shift.uid(stat.st_uid),
            gid: self.shift.gid(stat.st_gid),
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            ..header
        };
        self.written.members += 1;
        self.written.newest = self.written.newest.max(stat.st_mtime);
        self.out.write_all(&header.bytes()?).named("write a layer")
    }

    fn attributes(&self, name: &std::ffi::CStr, path: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut kept = Vec::new();
        for (name, value) in self.walk.attributes(name)? {
            let text = name.to_string_lossy();
            if INCOMPLETE.iter().any(|end| text.ends_with(end)) {
                bail!(
                    "/{}: {text}: overlayfs has only noted a change here, which a layer cannot hold; mount it with \
                     redirect_dir=off,metacopy=off",
                    display(path)
                );
            }
            let name = name.into_bytes();
            if LEFT_OUT.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            let value = if name == b"security.capability" { self.shift.capabilities(value) } else { value };
            kept.push((name, value));
        }
        Ok(kept)
    }
}

fn device(stat: &FileStat) -> (u64, u64) {
    (major(stat.st_rdev), minor(stat.st_rdev))
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
