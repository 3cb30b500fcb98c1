//! Files of procfs, opened so that no other mount can redirect the access.

use core::ffi::CStr;

use super::files::{Fd, PROC_SUPER_MAGIC};
use super::op::why;
use super::sys::{self, Fault, Try};

/// Write a file of procfs with one write(2). `path` begins with `/proc/`.
pub fn write(path: &CStr, value: &[u8]) -> Try<()> {
    let file = open_in_proc(path, sys::O_WRONLY)?;
    sys::write(file.0, value).map(|_| ())
}

/// Open the kernel's own file at this path of procfs. Another process may have mounted over the file, a directory above
/// it or `/proc` itself: to protect it or, in another container's mount namespace, to redirect the write. A read-only
/// mount does not protect the container's own sysctls either. If anything is mounted there, a private procfs is opened
/// instead.
fn open_in_proc(path: &CStr, flags: u64) -> Try<Fd> {
    let first = match proc_of_this_tree().and_then(|proc| open_below(&proc, path, flags)) {
        Err(fault) => fault,
        found => return found,
    };
    proc_of_our_own().and_then(|proc| open_below(&proc, path, flags)).map_err(|_| first)
}

fn open_below(proc: &Fd, path: &CStr, flags: u64) -> Try<Fd> {
    let resolve = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_XDEV | sys::RESOLVE_NO_MAGICLINKS;
    let inside = CStr::from_bytes_with_nul(path.to_bytes_with_nul().strip_prefix(b"/proc/").unwrap_or_default());
    let inside = inside.map_err(|_| Fault::because(why::NOT_PLAIN, sys::EINVAL))?;
    sys::openat2(proc.0, inside, flags | sys::O_CLOEXEC, 0, resolve).map(Fd)
}

/// The mount at `/proc`, if it is the root of a procfs.
fn proc_of_this_tree() -> Try<Fd> {
    const PROC_ROOT_INODE: u64 = 1;
    let proc = Fd(sys::open(c"/proc", sys::O_PATH | sys::O_DIRECTORY | sys::O_NOFOLLOW | sys::O_CLOEXEC)?);
    if sys::fstatfs(proc.0)?.0 != PROC_SUPER_MAGIC || sys::fstat(proc.0)?.inode != PROC_ROOT_INODE {
        return Err(Fault::because(why::NOT_PLAIN, sys::EINVAL));
    }
    Ok(proc)
}

#[inline(never)]
fn proc_of_our_own() -> Try<Fd> {
    const NOSUID_NODEV_NOEXEC: u64 = 2 | 4 | 8;
    let context = Fd(sys::fsopen(c"proc")?);
    sys::fsconfig_create(context.0)?;
    sys::fsmount(context.0, NOSUID_NODEV_NOEXEC).map(Fd)
}

/// Whether the user namespace denies setgroups(2).
pub fn setgroups_is_denied() -> bool {
    let mut text = [0u8; 5];
    let file = open_in_proc(c"/proc/self/setgroups", sys::O_RDONLY);
    file.and_then(|file| sys::read(file.0, &mut text)).is_ok() && text.starts_with(b"deny")
}
