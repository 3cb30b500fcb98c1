//! Files and descriptors.

use core::ffi::CStr;

use super::{AT_FDCWD, AT_SYMLINK_NOFOLLOW, EAGAIN, EINTR, ENOSYS, EPERM, Fault, Try, calls};

pub const O_RDONLY: u64 = 0;
pub const O_WRONLY: u64 = 1;
pub const O_RDWR: u64 = 2;
pub const O_CREAT: u64 = 0o100;
pub const O_EXCL: u64 = 0o200;
pub const O_NOCTTY: u64 = 0o400;
pub const O_NONBLOCK: u64 = 0o4000;
pub const O_DIRECTORY: u64 = 0o200000;
pub const O_NOFOLLOW: u64 = 0o400000;
pub const O_CLOEXEC: u64 = 0o2000000;
pub const O_PATH: u64 = 0o10000000;

pub const RESOLVE_NO_XDEV: u64 = 1;
pub const RESOLVE_NO_MAGICLINKS: u64 = 2;
pub const RESOLVE_NO_SYMLINKS: u64 = 4;
pub const RESOLVE_BENEATH: u64 = 8;
pub const RESOLVE_IN_ROOT: u64 = 16;

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

pub fn openat2(dir: i32, path: &CStr, flags: u64, mode: u64, resolve: u64) -> Try<i32> {
    let how = OpenHow { flags, mode, resolve };
    // With RESOLVE_IN_ROOT the kernel answers EAGAIN when a rename happens during the look-up: try again.
    for _ in 0..64 {
        match call!(OPENAT2, dir, path.as_ptr(), &how as *const OpenHow, size_of::<OpenHow>()) {
            Err(fault) if fault.errno == EAGAIN || fault.errno == EINTR => {}
            other => return other.map(|fd| fd as i32),
        }
    }
    Err(Fault { step: calls::OPENAT2, errno: EAGAIN, detail: 0 })
}

/// `openat(2)` from the working directory. Every seccomp profile allows this call.
pub fn open(path: &CStr, flags: u64) -> Try<i32> {
    call!(OPENAT, AT_FDCWD, path.as_ptr(), flags, 0).map(|fd| fd as i32)
}

pub fn close(fd: i32) {
    let _ = call!(CLOSE, fd);
}

/// Close all descriptors from `first` to `last`, inclusive. Where a sandbox forbids close_range(2), close them one by
/// one; the container's own filter, if it is in force, may forbid that too.
pub fn close_range(first: u32, last: u32) -> Try<()> {
    match done!(CLOSE_RANGE, first, last, 0) {
        Err(fault) if matches!(fault.errno, EPERM | ENOSYS) => close_one_by_one(first, last).map_err(|_| fault),
        other => other,
    }
}

#[inline(never)]
fn close_one_by_one(first: u32, last: u32) -> Try<()> {
    const NOFILE: usize = 7;
    let mut limit = [0u64; 2];
    call!(PRLIMIT64, 0, NOFILE, 0, limit.as_mut_ptr())?;
    // No descriptor has a number above the limit at the time when it was opened, and the runtime has not lowered the
    // limit.
    let end = limit[1].min(u64::from(last) + 1);
    for fd in u64::from(first)..end {
        match call!(CLOSE, fd) {
            Err(fault) if matches!(fault.errno, EPERM | ENOSYS) => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}

/// Mark all descriptors from `first` on close-on-exec; Linux 5.11.
pub fn close_range_on_exec(first: u32) -> Try<()> {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    done!(CLOSE_RANGE, first, u32::MAX, CLOSE_RANGE_CLOEXEC)
}

pub fn dup_over(from: i32, to: i32) -> Try<()> {
    done!(DUP3, from, to, 0)
}

/// Duplicate a descriptor; the new number is 3 or more.
pub fn duplicate(fd: i32) -> Try<i32> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    call!(FCNTL, fd, F_DUPFD_CLOEXEC, 3).map(|fd| fd as i32)
}

/// Clear `O_NONBLOCK` of a descriptor that has no other status flag.
pub fn set_blocking(fd: i32) -> Try<()> {
    const F_SETFL: usize = 4;
    done!(FCNTL, fd, F_SETFL, 0)
}

pub fn read(fd: i32, buffer: &mut [u8]) -> Try<usize> {
    loop {
        match call!(READ, fd, buffer.as_mut_ptr(), buffer.len()) {
            Err(fault) if fault.errno == EINTR => {}
            other => return other,
        }
    }
}

pub fn write(fd: i32, bytes: &[u8]) -> Try<usize> {
    call!(WRITE, fd, bytes.as_ptr(), bytes.len())
}

pub fn sendfile(to: i32, from: i32, count: usize) -> Try<usize> {
    call!(SENDFILE, to, from, 0, count)
}

/// Set the position in a file or directory.
pub fn seek(fd: i32, position: i64) -> Try<()> {
    const SEEK_SET: usize = 0;
    done!(LSEEK, fd, position, SEEK_SET)
}

pub fn getdents(fd: i32, buffer: &mut [u8]) -> Try<usize> {
    call!(GETDENTS64, fd, buffer.as_mut_ptr(), buffer.len())
}

pub fn mkdirat(dir: i32, name: &CStr, mode: u32) -> Try<()> {
    done!(MKDIRAT, dir, name.as_ptr(), mode)
}

pub fn mknodat(dir: i32, name: &CStr, mode: u32, device: u64) -> Try<()> {
    done!(MKNODAT, dir, name.as_ptr(), mode, device)
}

pub fn symlinkat(target: &CStr, dir: i32, name: &CStr) -> Try<()> {
    done!(SYMLINKAT, target.as_ptr(), dir, name.as_ptr())
}

pub fn unlinkat(dir: i32, name: &CStr) -> Try<()> {
    done!(UNLINKAT, dir, name.as_ptr(), 0)
}

pub fn readlinkat(dir: i32, name: &CStr, buffer: &mut [u8]) -> Try<usize> {
    call!(READLINKAT, dir, name.as_ptr(), buffer.as_mut_ptr(), buffer.len())
}

/// Whether this process may execute this path, by its effective ids.
///
/// A seccomp filter may be in force. Old profiles allow only faccessat(2), which checks the real ids; both are the same
/// here.
pub fn executable(path: &CStr) -> Try<()> {
    const X_OK: usize = 1;
    const AT_EACCESS: usize = 0x200;
    match done!(FACCESSAT2, AT_FDCWD, path.as_ptr(), X_OK, AT_EACCESS) {
        Err(fault) if matches!(fault.errno, EPERM | ENOSYS) => done!(FACCESSAT, AT_FDCWD, path.as_ptr(), X_OK),
        other => other,
    }
}

pub fn fchown(fd: i32, uid: u32, gid: u32) -> Try<()> {
    done!(FCHOWN, fd, uid, gid)
}

pub fn fchownat(dir: i32, name: &CStr, uid: u32, gid: u32) -> Try<()> {
    done!(FCHOWNAT, dir, name.as_ptr(), uid, gid, AT_SYMLINK_NOFOLLOW)
}

pub fn fchmod(fd: i32, mode: u32) -> Try<()> {
    done!(FCHMOD, fd, mode)
}

/// Change the mode of a file. Do not use it for a symbolic link: it would change the target.
pub fn fchmodat(dir: i32, name: &CStr, mode: u32) -> Try<()> {
    done!(FCHMODAT, dir, name.as_ptr(), mode)
}

/// Set the access and the modification time of an open file.
pub fn set_times(fd: i32, times: &[[i64; 2]; 2]) -> Try<()> {
    done!(UTIMENSAT, fd, 0, times.as_ptr(), 0)
}

/// Set the access and the modification time of a file by its name. A symbolic link is not followed.
pub fn set_times_at(dir: i32, name: &CStr, times: &[[i64; 2]; 2]) -> Try<()> {
    done!(UTIMENSAT, dir, name.as_ptr(), times.as_ptr(), AT_SYMLINK_NOFOLLOW)
}

pub fn flistxattr(fd: i32, names: &mut [u8]) -> Try<usize> {
    call!(FLISTXATTR, fd, names.as_mut_ptr(), names.len())
}

pub fn fgetxattr(fd: i32, name: &CStr, value: &mut [u8]) -> Try<usize> {
    call!(FGETXATTR, fd, name.as_ptr(), value.as_mut_ptr(), value.len())
}

pub fn fsetxattr(fd: i32, name: &CStr, value: &[u8]) -> Try<()> {
    done!(FSETXATTR, fd, name.as_ptr(), value.as_ptr(), value.len(), 0)
}

/// The device number of `/dev/null`: major 1, minor 3.
pub const NULL_DEVICE: u64 = 0x103;

/// The kernel's `struct stat` on x86_64. The fields that init does not use have no name.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FileStat {
    pub device: u64,
    pub inode: u64,
    _links: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    _pad: u32,
    pub rdev: u64,
    _size: [u64; 3],
    /// Access and modification time, each as seconds and nanoseconds.
    pub times: [[i64; 2]; 2],
    _rest: [u64; 5],
}

impl FileStat {
    pub fn is_directory(&self) -> bool {
        self.mode & 0o170000 == 0o040000
    }

    pub fn is_file(&self) -> bool {
        self.mode & 0o170000 == 0o100000
    }

    pub fn is_link(&self) -> bool {
        self.mode & 0o170000 == 0o120000
    }

    pub fn is_device(&self) -> bool {
        self.mode & 0o170000 == 0o020000
    }

    pub fn is_null_device(&self) -> bool {
        self.is_device() && self.rdev == NULL_DEVICE
    }

    /// Whether this is the node that `mknod(2)` makes from this type and device number.
    pub fn is_node(&self, mode: u32, device: u64) -> bool {
        const FORMAT: u32 = 0o170000;
        const FIFO: u32 = 0o010000;
        self.mode & FORMAT == mode & FORMAT && (mode & FORMAT == FIFO || self.rdev == device)
    }

    pub fn is_same_file(&self, other: &FileStat) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

const NO_STAT: FileStat = FileStat {
    device: 0,
    inode: 0,
    _links: 0,
    mode: 0,
    uid: 0,
    gid: 0,
    _pad: 0,
    rdev: 0,
    _size: [0; 3],
    times: [[0; 2]; 2],
    _rest: [0; 5],
};

pub fn fstat(fd: i32) -> Try<FileStat> {
    let mut stat = NO_STAT;
    call!(FSTAT, fd, &mut stat as *mut FileStat)?;
    Ok(stat)
}

pub fn lstatat(dir: i32, name: &CStr) -> Try<FileStat> {
    let mut stat = NO_STAT;
    call!(NEWFSTATAT, dir, name.as_ptr(), &mut stat as *mut FileStat, AT_SYMLINK_NOFOLLOW)?;
    Ok(stat)
}

/// The type of the file system that `fd` is on, and its `ST_*` flags.
pub fn fstatfs(fd: i32) -> Try<(u64, u64)> {
    let mut buffer = [0u64; 15];
    call!(FSTATFS, fd, buffer.as_mut_ptr())?;
    Ok((buffer[0], buffer[10]))
}
