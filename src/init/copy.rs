//! `tmpcopyup`: copy a directory tree into the tmpfs that covers it.

use core::ffi::CStr;

use super::files::Fd;
use super::op::why;
use super::path::read_link;
use super::sys::{self, Fault, FileStat, Try};

/// The maximum depth of [`copy_tree`]. Each level keeps two descriptors open, and the usual limit is 1024.
const DEEPEST: usize = 256;

/// Copy the content of one directory into another: all kinds of files, with owners, modes, times and extended
/// attributes. Other containers may change the source at the same time. So the copy opens nothing that could block or
/// have a side effect, and takes the type of a file from its descriptor, not from its name.
#[inline(never)]
pub fn copy_tree(from: i32, to: i32) -> Try<()> {
    let mut levels: [(i32, i32); DEEPEST] = [(-1, -1); DEEPEST];
    levels[0] = (list(from)?, sys::duplicate(to)?);
    let mut depth = 0;
    // After a fault this process exits, which closes all descriptors.
    loop {
        let (old, new) = levels[depth];
        if let Some(inner) = copy_entries(old, new)? {
            depth += 1;
            *levels.get_mut(depth).ok_or(Fault::because(why::TOO_DEEP, sys::ELOOP))? = inner;
            continue;
        }
        // The attributes of the top directory are those of the mount.
        if depth > 0 {
            like(old, new)?;
        }
        sys::close(old);
        sys::close(new);
        if depth == 0 {
            return Ok(());
        }
        depth -= 1;
    }
}

/// Open a directory to read its entries.
fn list(directory: i32) -> Try<i32> {
    sys::openat2(directory, c".", sys::O_RDONLY | sys::O_CLOEXEC | sys::O_NOFOLLOW | sys::O_DIRECTORY, 0, 0)
}

/// Copy the remaining entries of a directory, up to the first subdirectory. Create and open that one; the next call
/// continues after it.
#[inline(never)]
fn copy_entries(from: i32, to: i32) -> Try<Option<(i32, i32)>> {
    // struct linux_dirent64: inode, position of the next entry, length of this entry, type, name.
    const NAME: usize = 19;
    let mut entries = [0u8; 2048];
    loop {
        let filled = sys::getdents(from, &mut entries)?;
        if filled == 0 {
            return Ok(None);
        }
        let mut rest = &entries[..filled];
        while let Some((head, _)) = rest.split_first_chunk::<NAME>() {
            let length = usize::from(u16::from_ne_bytes([head[16], head[17]]));
            let name = CStr::from_bytes_until_nul(&rest[NAME..length]).unwrap_or(c".");
            if name != c"."
                && name != c".."
                && let Some(inner) = copy_entry(from, to, name)?
            {
                let mut next = [0u8; 8];
                next.copy_from_slice(&head[8..16]);
                sys::seek(from, i64::from_ne_bytes(next))?;
                return Ok(Some(inner));
            }
            rest = &rest[length..];
        }
    }
}

/// Copy one file of any kind. For a directory, return it and its empty copy, both open.
fn copy_entry(from: i32, to: i32, name: &CStr) -> Try<Option<(i32, i32)>> {
    const TRIES: usize = 64;
    let mut last = Fault::because(why::UNSTEADY, sys::EBUSY);
    for _ in 0..TRIES {
        let file = match sys::openat2(from, name, sys::O_PATH | sys::O_CLOEXEC | sys::O_NOFOLLOW, 0, 0) {
            Err(fault) if fault.errno == sys::ENOENT => return Ok(None),
            other => Fd(other?),
        };
        let stat = sys::fstat(file.0)?;
        if stat.is_directory() {
            sys::mkdirat(to, name, 0o700)?;
            let old = Fd(list(file.0)?);
            let new =
                sys::openat2(to, name, sys::O_RDONLY | sys::O_CLOEXEC | sys::O_NOFOLLOW | sys::O_DIRECTORY, 0, 0)?;
            return Ok(Some((old.keep(), new)));
        }
        if stat.is_file() {
            match copy_file(from, to, name)? {
                None => return Ok(None),
                // Another process replaced the file, so look it up again.
                Some(fault) => last = fault,
            }
            continue;
        }
        copy_special(&file, &stat, to, name)?;
        return Ok(None);
    }
    Err(last)
}

/// Copy a regular file. Return the fault if it could not be opened as one.
fn copy_file(from: i32, to: i32, name: &CStr) -> Try<Option<Fault>> {
    // If a FIFO has replaced the file, O_NONBLOCK keeps the open from blocking; a device is not opened at all, since
    // the source is a `nodev` mount.
    let flags = sys::O_RDONLY | sys::O_CLOEXEC | sys::O_NOFOLLOW | sys::O_NONBLOCK | sys::O_NOCTTY;
    let old = match sys::openat2(from, name, flags, 0, 0) {
        Ok(fd) => Fd(fd),
        Err(fault) => return Ok(Some(fault)),
    };
    if !sys::fstat(old.0)?.is_file() {
        return Ok(Some(Fault::because(why::UNSTEADY, sys::EBUSY)));
    }
    let create = sys::O_WRONLY | sys::O_CREAT | sys::O_EXCL | sys::O_CLOEXEC | sys::O_NOFOLLOW;
    let new = Fd(sys::openat2(to, name, create, 0o600, 0)?);
    while sys::sendfile(new.0, old.0, 1 << 20)? > 0 {}
    like(old.0, new.0).map(|()| None)
}

/// Copy a symbolic link, FIFO, socket or device.
fn copy_special(file: &Fd, stat: &FileStat, to: i32, name: &CStr) -> Try<()> {
    if stat.is_link() {
        sys::symlinkat(read_link(file.0, c"")?.as_cstr(), to, name)?;
        sys::fchownat(to, name, stat.uid, stat.gid)?;
    } else {
        sys::mknodat(to, name, stat.mode, stat.rdev)?;
        sys::fchownat(to, name, stat.uid, stat.gid)?;
        sys::fchmodat(to, name, stat.mode & 0o7777)?;
    }
    sys::set_times_at(to, name, &stat.times)
}

/// Copy owner, mode, extended attributes and times.
fn like(old: i32, new: i32) -> Try<()> {
    let stat = sys::fstat(old)?;
    sys::fchown(new, stat.uid, stat.gid)?;
    sys::fchmod(new, stat.mode & 0o7777)?;
    copy_attributes(old, new)?;
    sys::set_times(new, &stat.times)
}

/// Copy the extended attributes, of which a file has few. Skip an attribute that the new file system cannot store, such
/// as an SELinux label if the mount has a label of its own.
#[inline(never)]
fn copy_attributes(old: i32, new: i32) -> Try<()> {
    let (mut names, mut value) = ([0u8; 1024], [0u8; 4096]);
    let filled = match sys::flistxattr(old, &mut names) {
        Err(fault) if fault.errno == sys::EOPNOTSUPP => 0,
        other => other?,
    };
    let mut rest = &names[..filled];
    while let Ok(name) = CStr::from_bytes_until_nul(rest) {
        let length = sys::fgetxattr(old, name, &mut value)?;
        match sys::fsetxattr(new, name, &value[..length]) {
            Err(fault) if fault.errno == sys::EOPNOTSUPP => {}
            other => other?,
        }
        rest = &rest[name.to_bytes_with_nul().len()..];
    }
    Ok(())
}
