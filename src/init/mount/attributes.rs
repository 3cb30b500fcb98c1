//! Flags and propagation of mounts, with mount_setattr(2) and without.

use core::ffi::CStr;

use super::super::files::{Fd, PROC_SUPER_MAGIC, open_plain};
use super::super::op::{Attributes, Propagation, Rules, why};
use super::super::path::in_proc;
use super::super::sys::{self, Fault, Try};

pub const MOUNT_ATTR_RDONLY: u64 = 1;
pub const MOUNT_ATTR_NODEV: u64 = 4;
/// All flags that a remount with exact flags clears: `ro nosuid nodev noexec nosymfollow`.
const PLAIN_FLAGS: u64 = 0x20_000f;
/// The only flag of these that the kernel never locks.
pub const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x20_0000;
const MOUNT_ATTR_NOATIME: u64 = 0x10;
const MOUNT_ATTR_STRICTATIME: u64 = 0x20;
const MOUNT_ATTR_NODIRATIME: u64 = 0x80;

// The flags of mount(2). The first four are those of mount_setattr(2) too.
const MS_RDONLY: u64 = 1;
const MS_NOSUID: u64 = 2;
const MS_NODEV: u64 = 4;
const MS_NOEXEC: u64 = 8;
const MS_NOSYMFOLLOW: u64 = 256;
const MS_NOATIME: u64 = 1024;
const MS_NODIRATIME: u64 = 2048;
const MS_STRICTATIME: u64 = 1 << 24;
pub const MS_SLAVE: u64 = 1 << 19;
const MS_REC: u64 = 16384;
pub const MS_PRIVATE: u64 = 1 << 18;

pub fn propagate(fd: i32, path: &CStr, recursive: bool, flags: u64) -> Try<()> {
    match sys::mount_setattr(fd, path, recursive, 0, 0, flags) {
        Err(fault) if fault.errno == sys::ENOSYS => {
            sys::mount(c"", path, c"", flags | if recursive { MS_REC } else { 0 }, c"")
        }
        other => other,
    }
}

/// Change the propagation of an open mount.
pub fn propagate_here(fd: i32, recursive: bool, flags: u64) -> Try<()> {
    match sys::mount_setattr(fd, c"", recursive, 0, 0, flags) {
        Err(fault) if fault.errno == sys::ENOSYS => named(fd, &|path| propagate(sys::AT_FDCWD, path, recursive, flags)),
        other => other,
    }
}

pub fn set_propagation(fd: i32, it: Propagation) -> Try<()> {
    it.changes().try_for_each(|(flags, recursive)| propagate_here(fd, recursive, flags))
}

/// Set flags and propagation of an attached mount.
pub fn set_attributes(fd: i32, it: &Attributes, rules: Rules) -> Try<()> {
    match set_flags(fd, it, rules) {
        Err(fault) if fault.errno == sys::ENOSYS => set_flags_by_name(fd, it, rules)?,
        other => other?,
    }
    set_propagation(fd, it.propagation)
}

/// Set the flags, with as few calls as possible.
pub fn set_flags(fd: i32, it: &Attributes, rules: Rules) -> Try<()> {
    let exact = rules.has(Rules::EXACT);
    if it.set | it.clear != 0 || exact {
        let set = |clear: u64| sys::mount_setattr(fd, c"", false, it.set, clear & !it.set | it.clear, 0);
        match set(if exact { PLAIN_FLAGS } else { 0 }) {
            // Flags of the source are locked in this user namespace and stay.
            Err(fault) if exact && fault.errno == sys::EPERM => set(MOUNT_ATTR_NOSYMFOLLOW)?,
            other => other?,
        }
    }
    if it.tree_set | it.tree_clear != 0 {
        sys::mount_setattr(fd, c"", true, it.tree_set, it.tree_clear, 0)?;
    }
    Ok(())
}

/// Set flags with mount(2), for Linux before 5.12. A remount replaces all flags, so the call repeats the flags that
/// must stay. It changes one mount, never the mounts below it.
#[inline(never)]
pub fn set_flags_by_name(fd: i32, it: &Attributes, rules: Rules) -> Try<()> {
    const MS_REMOUNT: u64 = 32;
    const MS_BIND: u64 = 4096;
    // statfs(2) reports the flags with the numbers of mount(2), except this one.
    const ST_NOSYMFOLLOW: u64 = 8192;
    const KEPT: u64 = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | ST_NOSYMFOLLOW;
    if it.tree_set | it.tree_clear != 0 {
        return Err(Fault::because(why::NEEDS_SETATTR, sys::ENOSYS));
    }
    let exact = rules.has(Rules::EXACT);
    if it.set | it.clear == 0 && !exact {
        return Ok(());
    }
    let had = sys::fstatfs(fd)?.1 & KEPT;
    let had = if had & ST_NOSYMFOLLOW != 0 { had & !ST_NOSYMFOLLOW | MS_NOSYMFOLLOW } else { had };
    let change = |clear: u64| {
        let flags = had & !legacy_flags(clear) | legacy_flags(it.set);
        named(fd, &|path| sys::mount(c"", path, c"", flags | MS_REMOUNT | MS_BIND, c""))
    };
    match change(it.clear | if exact { PLAIN_FLAGS } else { 0 }) {
        Err(fault) if exact && fault.errno == sys::EPERM => change(it.clear),
        other => other,
    }
}

/// Use a call that takes a path on a descriptor. A directory becomes the working directory and is named `.`, so the
/// call does not look up a name in the container. Other files are named through `/proc`, after a check that it is a
/// procfs.
#[inline(never)]
pub fn named(fd: i32, call: &dyn Fn(&CStr) -> Try<()>) -> Try<()> {
    const PROC_ROOT_INO: u64 = 1;
    let old = Fd(sys::openat2(sys::AT_FDCWD, c".", sys::O_PATH | sys::O_CLOEXEC, 0, 0)?);
    let result = if sys::fstat(fd)?.is_directory() {
        sys::fchdir(fd)?;
        call(c".")
    } else {
        let proc = Fd(open_plain(c"/proc")?);
        if sys::fstatfs(proc.0)?.0 != PROC_SUPER_MAGIC || sys::fstat(proc.0)?.inode != PROC_ROOT_INO {
            return Err(Fault::because(why::NOT_PROC, sys::EINVAL));
        }
        sys::fchdir(proc.0)?;
        call(in_proc(fd)?.as_cstr())
    };
    sys::fchdir(old.0)?;
    result
}

/// The flags of mount(2) for `MOUNT_ATTR_*`.
pub fn legacy_flags(attributes: u64) -> u64 {
    const SAME: u64 = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    const PAIRS: [(u64, u64); 4] = [
        (MOUNT_ATTR_NOATIME, MS_NOATIME),
        (MOUNT_ATTR_STRICTATIME, MS_STRICTATIME),
        (MOUNT_ATTR_NODIRATIME, MS_NODIRATIME),
        (MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW),
    ];
    PAIRS.iter().fold(attributes & SAME, |flags, (new, old)| if attributes & new != 0 { flags | old } else { flags })
}

#[cfg(test)]
mod tests {
    use super::{PLAIN_FLAGS, legacy_flags};
    use crate::tables::mount_option::{ATIME, NODIRATIME, RELATIME, flags};

    /// The numbers agree with those of the C library for both calls.
    #[test]
    fn flags_of_mount_setattr_have_flags_of_mount() {
        for (attribute, flag) in [
            (libc::MOUNT_ATTR_RDONLY, libc::MS_RDONLY),
            (libc::MOUNT_ATTR_NOSUID, libc::MS_NOSUID),
            (libc::MOUNT_ATTR_NODEV, libc::MS_NODEV),
            (libc::MOUNT_ATTR_NOEXEC, libc::MS_NOEXEC),
            (libc::MOUNT_ATTR_NOATIME, libc::MS_NOATIME),
            (libc::MOUNT_ATTR_STRICTATIME, libc::MS_STRICTATIME),
            (libc::MOUNT_ATTR_NODIRATIME, libc::MS_NODIRATIME),
            (libc::MOUNT_ATTR_NOSYMFOLLOW, 256),
            (0, 0),
        ] {
            assert_eq!(legacy_flags(attribute), flag, "{attribute:#x}");
            assert_eq!(legacy_flags(attribute | libc::MOUNT_ATTR_RDONLY), flag | libc::MS_RDONLY);
        }
    }

    /// Every flag of the table works on kernels without mount_setattr(2), and a remount with exact flags clears it.
    /// The access time is the exception of the second rule: mount(2) keeps it if no option names it.
    #[test]
    fn flags_of_the_table_are_known_here() {
        for (bit, name, _) in flags().into_iter().filter(|(bit, ..)| *bit != RELATIME) {
            assert_ne!(legacy_flags(bit), 0, "{name}: no flag of mount(2) in legacy_flags");
            assert_ne!(bit & (PLAIN_FLAGS | ATIME | NODIRATIME), 0, "{name}: not in PLAIN_FLAGS");
        }
    }
}
