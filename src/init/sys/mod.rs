//! The system calls of `init`, and all of its `unsafe`. There is no C library: each call has one wrapper, whose
//! argument types make the call safe.

#[macro_use]
mod call;
mod channel;
#[cfg(any(test, fuzzing))]
pub mod fake;
mod files;
mod mounts;
mod network;
mod process;
mod program;
mod stamps;
#[cfg(not(any(test, fuzzing)))]
mod start;
mod terminal;

pub use channel::*;
pub use files::*;
pub use mounts::*;
pub use network::*;
pub use process::*;
pub use program::*;
pub use stamps::*;
pub use terminal::*;

use super::calls;

/// The reason why an operation failed.
#[derive(Clone, Copy)]
pub struct Fault {
    /// The number of the system call, or one of [`super::op::why`].
    pub step: u32,
    pub errno: i32,
    /// A number whose meaning depends on the operation.
    pub detail: u64,
}

impl Fault {
    /// A failure that is not that of one system call.
    pub fn because(why: u32, errno: i32) -> Fault {
        Fault { step: why, errno, detail: 0 }
    }
}

pub type Try<T> = Result<T, Fault>;

pub const EPERM: i32 = 1;
pub const ENOENT: i32 = 2;
pub const ERANGE: i32 = 34;
pub const EINTR: i32 = 4;
pub const EBADF: i32 = 9;
pub const EAGAIN: i32 = 11;
pub const EACCES: i32 = 13;
pub const EBUSY: i32 = 16;
pub const EEXIST: i32 = 17;
pub const EXDEV: i32 = 18;
pub const ENOTDIR: i32 = 20;
pub const EISDIR: i32 = 21;
pub const EINVAL: i32 = 22;
pub const EROFS: i32 = 30;
pub const ENAMETOOLONG: i32 = 36;
pub const ENOSYS: i32 = 38;
pub const ELOOP: i32 = 40;
pub const EOPNOTSUPP: i32 = 95;

pub const AT_FDCWD: i32 = -100;
pub const AT_EMPTY_PATH: u32 = 0x1000;
pub const AT_RECURSIVE: u32 = 0x8000;
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
