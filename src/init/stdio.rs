//! The standard descriptors.

use super::files::Fd;
use super::sys::{self, Try};

/// Make the standard descriptors the process's own.
pub fn own_stdio(uid: u32) -> Try<()> {
    let mut own = None;
    for fd in 0..3 {
        // A closed one needs nothing.
        let Ok(stat) = sys::fstat(fd) else { continue };
        if !stat.is_null_device() {
            give(fd, &stat, uid)?;
            continue;
        }
        if own.is_none() {
            own = null_device().or_else(another_null_device);
        }
        if let Some(own) = &own {
            sys::dup_over(own.0, fd)?;
        }
    }
    Ok(())
}

/// The container's null device, where it has one and may open it.
fn null_device() -> Option<Fd> {
    let flags = sys::O_RDWR | sys::O_CLOEXEC | sys::O_NOFOLLOW | sys::O_NONBLOCK;
    let null = Fd(sys::openat2(sys::AT_FDCWD, c"/dev/null", flags, 0, sys::RESOLVE_NO_SYMLINKS).ok()?);
    sys::fstat(null.0).is_ok_and(|stat| stat.is_null_device()).then_some(null)
}

/// A null device that is nobody's, on a file system that nobody sees: the mode of the host's could be changed
/// through a descriptor. In a user namespace, which may make none, the host's mostly belongs to nobody; where the
/// host's root is mapped, the devices that are bound from the host are as open to him.
#[inline(never)]
fn another_null_device() -> Option<Fd> {
    const CHARACTER: u32 = 0o020000;
    let context = Fd(sys::fsopen(c"tmpfs").ok()?);
    sys::fsconfig_create(context.0).ok()?;
    let made = Fd(sys::fsmount(context.0, 0).ok()?);
    sys::mknodat(made.0, c"null", CHARACTER | 0o666, sys::NULL_DEVICE).ok()?;
    sys::openat2(made.0, c"null", sys::O_RDWR | sys::O_CLOEXEC, 0, 0).ok().map(Fd)
}

/// Change the owner of what the caller gave to the process. Where that is forbidden, or the owner
/// is nobody in the user namespace, it stays usable by descriptor.
fn give(fd: i32, stat: &sys::Stat, uid: u32) -> Try<()> {
    if stat.uid == uid {
        return Ok(());
    }
    match sys::fchown(fd, uid, u32::MAX) {
        Err(fault) if matches!(fault.errno, sys::EPERM | sys::EINVAL | sys::EROFS) => Ok(()),
        other => other,
    }
}
