//! A walk through all of a directory, in a fixed order.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::vec::IntoIter;

use anyhow::Result;
use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};

use super::union::{display, kind};
use crate::sys::{Call, CallError, Errno, again, xattr};

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// A walk: a directory comes before its content, and names come in the order of their bytes. It needs two descriptors
/// and no stack, however deep the tree is. It follows no link.
pub struct TreeWalk {
    here: OwnedFd,
    levels: Vec<TreeLevel>,
    path: Vec<u8>,
}

/// A directory on the way from the root to the present one.
struct TreeLevel {
    identity: (u64, u64),
    names: IntoIter<CString>,
    /// The length of the directory's path.
    path: usize,
}

/// A step of a walk.
pub enum TreeStep {
    /// The walk has entered a directory.
    Directory(FileStat),
    /// An entry that is no directory, in the present directory.
    File(CString, FileStat),
    /// The walk has left a directory.
    Left,
}

impl TreeWalk {
    /// A walk that begins in this directory. The root itself is not a step.
    ///
    /// # Errors
    /// The error of openat(2), fstat(2) or getdents(2).
    pub fn new(root: BorrowedFd<'_>) -> Result<TreeWalk> {
        let here = enter(root, c".").named("open the writable layer")?;
        let mut walk = TreeWalk { here, levels: Vec::new(), path: Vec::new() };
        walk.level()?;
        Ok(walk)
    }

    /// The path of the last step, relative to the root, without a slash in front.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The present directory: after [`TreeStep::Directory`] it is that one.
    pub fn here(&self) -> BorrowedFd<'_> {
        self.here.as_fd()
    }

    /// The path of an entry of the present directory for calls without a form for descriptors. Only the last name of
    /// it is the tree's. `.` is the directory itself.
    pub fn path_of(&self, name: &CStr) -> PathBuf {
        let name = std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes());
        PathBuf::from(format!("/proc/self/fd/{}", self.here.as_raw_fd())).join::<&std::ffi::OsStr>(name)
    }

    /// The attributes of an entry of the present directory.
    ///
    /// # Errors
    /// The error of llistxattr(2) or lgetxattr(2).
    pub fn attributes(&self, name: &CStr) -> Result<Vec<(CString, Vec<u8>)>> {
        // The kernel would follow a link that ends a path of /proc; `.` behind it is the directory.
        xattr::all_of_link(&self.path_of(name)).named(format_args!("lgetxattr {}", display(&self.path)))
    }

    /// The next step; `None` at the end. An entry that is gone meanwhile is left out.
    ///
    /// # Errors
    /// The error of openat(2), fstat(2) or getdents(2). ESTALE if a directory was moved meanwhile.
    pub fn next(&mut self) -> Result<Option<TreeStep>> {
        loop {
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            self.path.truncate(level.path);
            let Some(name) = level.names.next() else {
                self.levels.pop();
                return self.leave();
            };
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend(name.to_bytes());
            match self.step(name) {
                Err(Errno::ENOENT) => {}
                Ok(TreeStep::Directory(stat)) => {
                    self.level()?;
                    return Ok(Some(TreeStep::Directory(stat)));
                }
                step => return step.map(Some).named(format_args!("open {}", display(&self.path))),
            }
        }
    }

    fn step(&mut self, name: CString) -> nix::Result<TreeStep> {
        let stat = fstatat(&self.here, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if kind(&stat) != SFlag::S_IFDIR {
            return Ok(TreeStep::File(name, stat));
        }
        self.here = enter(self.here.as_fd(), &name)?;
        Ok(TreeStep::Directory(fstat(&self.here)?))
    }

    /// Goes to the directory above.
    fn leave(&mut self) -> Result<Option<TreeStep>> {
        let Some(above) = self.levels.last() else { return Ok(None) };
        let up = enter(self.here.as_fd(), c"..").named(format_args!("open {}/..", display(&self.path)))?;
        let stat = fstat(&up).named("fstat")?;
        if (stat.st_dev, stat.st_ino) != above.identity {
            return Err(CallError::new(format_args!("open {}/..", display(&self.path)), Errno::ESTALE).into());
        }
        self.here = up;
        Ok(Some(TreeStep::Left))
    }

    /// Lists the present directory.
    fn level(&mut self) -> Result<()> {
        let (names, stat) = names(self.here.as_fd()).named(format_args!("read directory {}", display(&self.path)))?;
        let identity = (stat.st_dev, stat.st_ino);
        self.levels.push(TreeLevel { identity, names: names.into_iter(), path: self.path.len() });
        Ok(())
    }
}

fn enter(parent: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    again(|| openat(parent, name, DIRECTORY, Mode::empty()))
}

/// The names in a directory, sorted, and its properties.
fn names(directory: BorrowedFd<'_>) -> nix::Result<(Vec<CString>, FileStat)> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(enter(directory, c".")?)?.iter() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort_unstable();
    Ok((names, fstat(directory)?))
}
