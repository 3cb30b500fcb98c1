//! The attributes of files in a layer.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, UtimensatFlags, fchmod, fchmodat, futimens, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat};

use super::member::Member;
use super::notes::Notes;
use super::owners::MappedIds;
use crate::sys::{Call, Errno, xattr};

/// FileAttributes that must not come from an image: overlayfs would act upon them.
const OVERLAY: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];
/// The bits that give a program its owner's rights.
const SET_ID: u32 = 0o6000;

/// The attributes of a file, as they are set.
#[derive(Clone, Debug)]
pub struct FileAttributes {
    pub mode: u32,
    /// `None` if new files belong to this owner anyway.
    pub owner: Option<(u32, u32)>,
    pub modified: TimeSpec,
    pub xattrs: Vec<(CString, Vec<u8>)>,
}

impl FileAttributes {
    /// Those of a directory that no layer describes.
    pub fn implied(ids: &MappedIds) -> FileAttributes {
        FileAttributes { mode: 0o755, owner: ids.to_set((0, 0)), modified: TimeSpec::new(0, 0), xattrs: Vec::new() }
    }

    /// Those of a member of a tar file.
    pub fn of_member(member: &Member, ids: &MappedIds, notes: &mut Notes) -> Result<FileAttributes> {
        let (owner, own) = ids.owner(member.uid, member.gid)?;
        let mut mode = member.mode;
        if !own && !ids.is_single() {
            notes.add("belongs to root: its owner has no mapping in this user namespace", &member.path);
            // A program must not gain root's rights in place of its owner's.
            mode &= !SET_ID;
        }
        let mut xattrs = Vec::new();
        for (name, value) in &member.xattrs {
            if OVERLAY.iter().any(|prefix| name.starts_with(prefix)) {
                notes.add("loses an attribute of overlayfs", &member.path);
            } else if let Ok(name) = CString::new(name.as_slice()) {
                xattrs.push((name, value.clone()));
            } else {
                notes.add("loses an attribute with a NUL in its name", &member.path);
            }
        }
        let owner = ids.to_set(owner);
        Ok(FileAttributes { mode, owner, modified: TimeSpec::new(member.modified.0, member.modified.1.into()), xattrs })
    }

    /// Those of a file in a layer below.
    pub fn of_file(stat: &FileStat, file: BorrowedFd<'_>, ids: &MappedIds) -> Result<FileAttributes> {
        let mut xattrs = xattr::all(&path_of(file, None)).named("read the attributes of a file below")?;
        xattrs.retain(|(name, _)| !OVERLAY.iter().any(|prefix| name.to_bytes().starts_with(prefix)));
        Ok(FileAttributes {
            mode: stat.st_mode & 0o7777,
            owner: ids.to_set((stat.st_uid, stat.st_gid)),
            modified: TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec),
            xattrs,
        })
    }

    /// Sets all of them on an open file or directory, the time last. The order is the kernel's: a change of the owner
    /// clears the bits for set-id programs and the capabilities, and a change of an attribute sets the time.
    pub fn set_open(&self, file: BorrowedFd<'_>, path: &[u8], notes: &mut Notes) -> Result<()> {
        if let Some((uid, gid)) = self.owner {
            fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).named("fchown")?;
        }
        self.set_xattrs(&path_of(file, None), true, path, notes)?;
        fchmod(file, Mode::from_bits_truncate(self.mode)).named("fchmod")?;
        futimens(file, &self.modified, &self.modified).named("futimens")
    }

    /// [`FileAttributes::set_open`] for a new regular file, which already has its mode unless that has set-id bits.
    pub fn set_new(&self, file: BorrowedFd<'_>, path: &[u8], notes: &mut Notes) -> Result<()> {
        if self.owner.is_none() && self.xattrs.is_empty() && self.mode & SET_ID == 0 {
            return futimens(file, &self.modified, &self.modified).named("futimens");
        }
        self.set_open(file, path, notes)
    }

    /// Sets all of them on a new symbolic link, which has no mode.
    pub fn set_link(&self, directory: BorrowedFd<'_>, name: &CStr, path: &[u8], notes: &mut Notes) -> Result<()> {
        if let Some((uid, gid)) = self.owner {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            fchownat(directory, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW).named("fchownat")?;
        }
        self.set_xattrs(&path_of(directory, Some(name)), false, path, notes)?;
        utimensat(directory, name, &self.modified, &self.modified, UtimensatFlags::NoFollowSymlink).named("utimensat")
    }

    /// Sets all of them on a new entry that must not be opened: a device or a FIFO.
    pub fn set_node(&self, directory: BorrowedFd<'_>, name: &CStr, path: &[u8], notes: &mut Notes) -> Result<()> {
        self.set_link(directory, name, path, notes)?;
        let mode = Mode::from_bits_truncate(self.mode);
        // The entry is new, and nobody else writes here: there is no link to follow.
        fchmodat(directory, name, mode, FchmodatFlags::FollowSymlink).named("fchmodat")
    }

    fn set_xattrs(&self, file: &Path, follow: bool, path: &[u8], notes: &mut Notes) -> Result<()> {
        for (name, value) in &self.xattrs {
            let set = if follow { xattr::set } else { xattr::set_of_link };
            match set(file, name, value) {
                Err(Errno::EOPNOTSUPP) => notes.add("loses an attribute: the file system has no such ones", path),
                Err(Errno::EPERM) => notes.add("loses an attribute: this user may not set it", path),
                other => other.named(format_args!("setxattr {}", name.to_bytes().escape_ascii()))?,
            }
        }
        Ok(())
    }
}

/// A path to an open file, or to an entry of an open directory, for calls that take a path only.
fn path_of(file: BorrowedFd<'_>, name: Option<&CStr>) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    match name {
        Some(name) => path.join(std::ffi::OsStr::from_bytes(name.to_bytes())),
        None => path,
    }
}
