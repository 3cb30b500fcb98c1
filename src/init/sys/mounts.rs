//! Mounts, the root and the working directory.

use core::ffi::CStr;

use super::{AT_EMPTY_PATH, AT_RECURSIVE, O_CLOEXEC, Try};

pub const OPEN_TREE_CLONE: u32 = 1;

/// The id of the mount that `fd` is on, and whether `fd` is the root of that mount.
pub fn mount_id(fd: i32) -> Try<(u64, bool)> {
    const STATX_MNT_ID: u32 = 0x1000;
    const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
    // struct statx: stx_attributes is the second word, stx_mnt_id the nineteenth.
    let mut buffer = [0u64; 32];
    call!(STATX, fd, c"".as_ptr(), AT_EMPTY_PATH, STATX_MNT_ID, buffer.as_mut_ptr())?;
    Ok((buffer[18], buffer[1] & STATX_ATTR_MOUNT_ROOT != 0))
}

pub fn open_tree(dir: i32, path: &CStr, flags: u32) -> Try<i32> {
    call!(OPEN_TREE, dir, path.as_ptr(), flags as u64 | O_CLOEXEC).map(|fd| fd as i32)
}

/// Attach the tree of descriptor `from` at the place of descriptor `to`.
pub fn move_mount(from: i32, to: i32, path: &CStr) -> Try<()> {
    const FROM_EMPTY_PATH: usize = 0x4;
    const TO_EMPTY_PATH: usize = 0x40;
    let flags = if path.is_empty() { FROM_EMPTY_PATH | TO_EMPTY_PATH } else { FROM_EMPTY_PATH };
    done!(MOVE_MOUNT, from, c"".as_ptr(), to, path.as_ptr(), flags)
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

pub fn mount_setattr(fd: i32, path: &CStr, recursive: bool, set: u64, clear: u64, propagation: u64) -> Try<()> {
    let attr = MountAttr { set, clear, propagation, user_namespace: 0 };
    let flags = if path.is_empty() { AT_EMPTY_PATH } else { 0 } | if recursive { AT_RECURSIVE } else { 0 };
    done!(MOUNT_SETATTR, fd, path.as_ptr(), flags, &attr as *const MountAttr, size_of::<MountAttr>())
}

pub fn fsopen(kind: &CStr) -> Try<i32> {
    const FSOPEN_CLOEXEC: usize = 1;
    call!(FSOPEN, kind.as_ptr(), FSOPEN_CLOEXEC).map(|fd| fd as i32)
}

const FSCONFIG_SET_FLAG: usize = 0;
const FSCONFIG_SET_STRING: usize = 1;
const FSCONFIG_CMD_CREATE: usize = 6;

pub fn fsconfig_string(fd: i32, key: &CStr, value: &CStr) -> Try<()> {
    done!(FSCONFIG, fd, FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr(), 0)
}

pub fn fsconfig_flag(fd: i32, key: &CStr) -> Try<()> {
    done!(FSCONFIG, fd, FSCONFIG_SET_FLAG, key.as_ptr(), 0, 0)
}

/// Give a file system the open file `of` for a key.
pub fn fsconfig_descriptor(fd: i32, key: &CStr, of: i32) -> Try<()> {
    const FSCONFIG_SET_FD: usize = 5;
    done!(FSCONFIG, fd, FSCONFIG_SET_FD, key.as_ptr(), 0, of)
}

pub fn fsconfig_create(fd: i32) -> Try<()> {
    done!(FSCONFIG, fd, FSCONFIG_CMD_CREATE, 0, 0, 0)
}

pub fn fsmount(fd: i32, attributes: u64) -> Try<i32> {
    const FSMOUNT_CLOEXEC: usize = 1;
    call!(FSMOUNT, fd, FSMOUNT_CLOEXEC, attributes).map(|fd| fd as i32)
}

pub fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: u64, data: &CStr) -> Try<()> {
    done!(MOUNT, source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr())
}

/// Detach the mount at a path with all mounts below it. A symbolic link at the end of the path is not followed.
pub fn detach(path: &CStr) -> Try<()> {
    const MNT_DETACH: usize = 2;
    const UMOUNT_NOFOLLOW: usize = 8;
    done!(UMOUNT2, path.as_ptr(), MNT_DETACH | UMOUNT_NOFOLLOW)
}

pub fn pivot_root(new: &CStr, old: &CStr) -> Try<()> {
    done!(PIVOT_ROOT, new.as_ptr(), old.as_ptr())
}

pub fn chroot(path: &CStr) -> Try<()> {
    done!(CHROOT, path.as_ptr())
}

pub fn chdir(path: &CStr) -> Try<()> {
    done!(CHDIR, path.as_ptr())
}

pub fn fchdir(fd: i32) -> Try<()> {
    done!(FCHDIR, fd)
}

pub fn getcwd(buffer: &mut [u8]) -> Try<usize> {
    call!(GETCWD, buffer.as_mut_ptr(), buffer.len())
}
