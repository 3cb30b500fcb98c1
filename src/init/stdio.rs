//! The standard descriptors.

use super::files::Fd;
use super::sys::{self, Try};

/// Give the standard descriptors to the process's user.
pub fn own_stdio(uid: u32) -> Try<()> {
    let mut own = None;
    for fd in 0..3 {
        // The descriptor is closed.
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

/// The container's null device, if it exists and can be opened.
fn null_device() -> Option<Fd> {
    let flags = sys::O_RDWR | sys::O_CLOEXEC | sys::O_NOFOLLOW | sys::O_NONBLOCK;
    let null = Fd(sys::openat2(sys::AT_FDCWD, c"/dev/null", flags, 0, sys::RESOLVE_NO_SYMLINKS).ok()?);
    sys::fstat(null.0).is_ok_and(|stat| stat.is_null_device()).then_some(null)
}

/// A null device on a private tmpfs: through a descriptor of the host's null device the container could change the mode
/// of that device. In a user namespace mknod(2) fails, so the process keeps the host's device, whose owner is usually not
/// mapped there. If the owner is mapped, the container's root can change all devices that are bound from the host in the
/// same way.
#[inline(never)]
fn another_null_device() -> Option<Fd> {
    const CHARACTER: u32 = 0o020000;
    let context = Fd(sys::fsopen(c"tmpfs").ok()?);
    sys::fsconfig_create(context.0).ok()?;
    let made = Fd(sys::fsmount(context.0, 0).ok()?);
    sys::mknodat(made.0, c"null", CHARACTER | 0o666, sys::NULL_DEVICE).ok()?;
    sys::openat2(made.0, c"null", sys::O_RDWR | sys::O_CLOEXEC, 0, 0).ok().map(Fd)
}

/// Change the owner of a descriptor that the caller passed. If the kernel forbids it, or the user namespace does not
/// map the owner, the descriptor stays usable, but cannot be opened again by name.
fn give(fd: i32, stat: &sys::FileStat, uid: u32) -> Try<()> {
    if stat.uid == uid {
        return Ok(());
    }
    match sys::fchown(fd, uid, u32::MAX) {
        Err(fault) if matches!(fault.errno, sys::EPERM | sys::EINVAL | sys::EROFS) => Ok(()),
        other => other,
    }
}
