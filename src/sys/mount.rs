//! The new mount API for the runtime, which opens trees for `init` to attach.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

const AT_RECURSIVE: u32 = 0x8000;
const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;

/// The mounts that a call applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// One mount.
    Mount,
    /// A mount and all mounts below it.
    Tree,
}

impl Depth {
    /// The depth of an option that exists in a recursive and a plain form, such as `rbind` and `bind`.
    pub fn of(recursive: bool) -> Depth {
        if recursive { Depth::Tree } else { Depth::Mount }
    }

    fn flag(self) -> u32 {
        match self {
            Depth::Mount => 0,
            Depth::Tree => AT_RECURSIVE,
        }
    }
}

/// The treatment of a path whose last component is a symbolic link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// The link itself.
    NoLink,
    /// The target of the link.
    Links,
}

impl Follow {
    /// The setting for a mount option such as `src-nofollow`.
    pub fn of(follow: bool) -> Follow {
        if follow { Follow::Links } else { Follow::NoLink }
    }
}

/// Makes a detached copy of the mount, or the tree of mounts, at a path.
///
/// # Errors
/// The error of `open_tree(2)`.
pub fn open_tree(path: &Path, depth: Depth, follow: Follow) -> nix::Result<OwnedFd> {
    const OPEN_TREE_CLONE: u32 = 1;
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    let mut flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as u32 | depth.flag();
    if follow == Follow::NoLink {
        flags |= libc::AT_SYMLINK_NOFOLLOW as u32;
    }
    // SAFETY: the path is a C string; the result is a new descriptor, which only this code owns.
    unsafe {
        let fd = libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags);
        Errno::result(fd).map(|fd| OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Maps the owners of files on a detached mount by the mappings of a user namespace.
///
/// # Errors
/// The error of `mount_setattr(2)`: EINVAL for a file system that does not support this.
pub fn map_owners(tree: &OwnedFd, user_namespace: BorrowedFd<'_>, depth: Depth) -> nix::Result<()> {
    let flags = libc::AT_EMPTY_PATH as u32 | depth.flag();
    set_attributes(tree, flags, &[MOUNT_ATTR_IDMAP, 0, 0, user_namespace.as_raw_fd() as u64])
}

/// Makes a tmpfs that is not attached anywhere.
///
/// # Errors
/// The error of the mount calls: EPERM without CAP_SYS_ADMIN.
pub fn private_tmpfs() -> nix::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: u32 = 1;
    const FSCONFIG_CMD_CREATE: u32 = 6;
    const FSMOUNT_CLOEXEC: u32 = 1;
    // SAFETY: C strings and integers; each result is checked and is a new descriptor, which only this code owns.
    unsafe {
        let context = Errno::result(libc::syscall(libc::SYS_fsopen, c"tmpfs".as_ptr(), FSOPEN_CLOEXEC))?;
        let context = OwnedFd::from_raw_fd(context as RawFd);
        let none = std::ptr::null::<u8>();
        Errno::result(libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, none, none, 0))?;
        let mount = Errno::result(libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, 0))?;
        Ok(OwnedFd::from_raw_fd(mount as RawFd))
    }
}

/// Makes a mount read-only.
///
/// # Errors
/// The error of `mount_setattr(2)`: EBUSY if a file on the mount is open for writing.
pub fn make_read_only(mount: &OwnedFd) -> nix::Result<()> {
    const MOUNT_ATTR_RDONLY: u64 = 1;
    set_attributes(mount, libc::AT_EMPTY_PATH as u32, &[MOUNT_ATTR_RDONLY, 0, 0, 0])
}

fn set_attributes(mount: &OwnedFd, flags: u32, attributes: &[u64; 4]) -> nix::Result<()> {
    let (fd, size) = (mount.as_raw_fd(), size_of_val(attributes));
    // SAFETY: the array has the layout and the size of struct mount_attr.
    let result = unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), flags, attributes.as_ptr(), size) };
    Errno::result(result).map(drop)
}
