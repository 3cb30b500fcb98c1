//! The new mount API for the runtime, which opens trees for `init` to attach.

use std::ffi::{CStr, CString};
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

/// Whether the kernel has overlayfs. This loads the module if that is installed.
pub fn has_overlay() -> bool {
    !matches!(Making::begin(c"overlay"), Err(Errno::ENODEV))
}

/// Whether a path, or the closest directory above it that exists, is on an overlay.
pub fn is_on_overlay(path: &Path) -> bool {
    let there = path.ancestors().find_map(|path| nix::sys::statfs::statfs(path).ok());
    there.is_some_and(|system| system.filesystem_type() == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC)
}

/// A file system that is about to be made (fsopen(2)).
#[derive(Debug)]
pub struct Making(OwnedFd);

impl Making {
    /// Begins a file system of this type.
    ///
    /// # Errors
    /// ENODEV if the kernel does not have the type.
    pub fn begin(kind: &CStr) -> nix::Result<Making> {
        const FSOPEN_CLOEXEC: u32 = 1;
        // SAFETY: a C string; the result is a new descriptor, which only this code owns.
        unsafe {
            let context = libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC);
            Errno::result(context).map(|fd| Making(OwnedFd::from_raw_fd(fd as RawFd)))
        }
    }

    /// Sets an option; without a value it is a flag.
    ///
    /// # Errors
    /// EINVAL for an option or value that the file system refuses.
    pub fn set(&self, key: &CStr, value: Option<&CStr>) -> nix::Result<()> {
        let (command, value) = value.map_or((0, std::ptr::null()), |value| (1, value.as_ptr()));
        self.configure(command, key.as_ptr(), value, 0)
    }

    /// Sets an option to an open file.
    ///
    /// # Errors
    /// EINVAL or EBADF if the kernel takes no descriptor for this option.
    pub fn set_file(&self, key: &CStr, file: BorrowedFd<'_>) -> nix::Result<()> {
        self.configure(5, key.as_ptr(), std::ptr::null(), file.as_raw_fd())
    }

    /// Makes the file system, and a mount of it that is not attached anywhere.
    ///
    /// # Errors
    /// That of `fsconfig(2)` or `fsmount(2)`.
    pub fn finish(self) -> nix::Result<OwnedFd> {
        const FSCONFIG_CMD_CREATE: u32 = 6;
        const FSMOUNT_CLOEXEC: u32 = 1;
        self.configure(FSCONFIG_CMD_CREATE, std::ptr::null(), std::ptr::null(), 0)?;
        // SAFETY: integers; the result is a new descriptor, which only this code owns.
        unsafe {
            let mount = libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), FSMOUNT_CLOEXEC, 0);
            Errno::result(mount).map(|fd| OwnedFd::from_raw_fd(fd as RawFd))
        }
    }

    fn configure(&self, command: u32, key: *const i8, value: *const i8, number: RawFd) -> nix::Result<()> {
        // SAFETY: null or C strings of the callers, which outlive the call.
        let done = unsafe { libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), command, key, value, number) };
        Errno::result(done).map(drop)
    }
}

/// Attaches a detached mount at a path.
///
/// # Errors
/// The error of `move_mount(2)`.
pub fn attach(mount: &OwnedFd, path: &CStr) -> nix::Result<()> {
    const FROM_EMPTY_PATH: u32 = 0x4;
    let (from, empty) = (mount.as_raw_fd(), c"".as_ptr());
    // SAFETY: C strings and integers.
    let moved =
        unsafe { libc::syscall(libc::SYS_move_mount, from, empty, libc::AT_FDCWD, path.as_ptr(), FROM_EMPTY_PATH) };
    Errno::result(moved).map(drop)
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
