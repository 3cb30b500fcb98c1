//! Paths inside the container's root. Each is opened once and then used by its descriptor.

use core::ffi::CStr;

use super::op::{Rules, why};
use super::path::{PathBuffer, ShortBuffer, TextBuffer, last_part, read_link};
use super::sys::{self, Fault, Try};

pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;
pub const SYSFS_MAGIC: u64 = 0x6265_6572;

/// A descriptor that is closed when it goes out of scope.
pub struct Fd(pub i32);

impl Fd {
    /// Return the descriptor without closing it.
    pub fn keep(self) -> i32 {
        let fd = self.0;
        core::mem::forget(self);
        fd
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        sys::close(self.0);
    }
}

/// A place in the root; `made` is true if this process created it.
pub struct MountPoint {
    pub fd: Fd,
    pub made: bool,
}

/// Open a path in the root. Magic links are not followed, and no path leaves the root.
pub fn look(root: i32, path: &CStr, flags: u64) -> Try<Fd> {
    let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
    sys::openat2(root, path, sys::O_PATH | sys::O_CLOEXEC | flags, 0, resolve).map(Fd)
}

/// Open the mount point. Create it if it is missing.
pub fn target(root: i32, path: &CStr, directory: bool, rules: Rules) -> Try<MountPoint> {
    let plain = rules.has(Rules::PLAIN) || rules.has(Rules::LIVING);
    let target = match open_target(root, path, rules) {
        Ok(fd) => MountPoint { fd, made: false },
        Err(fault) if rules.has(Rules::EXISTING) => return Err(if plain { not_plain(fault) } else { fault }),
        Err(fault) if fault.errno == sys::ENOENT && plain => {
            MountPoint { fd: make_plain(root, path, directory)?, made: true }
        }
        Err(fault) if fault.errno == sys::ENOENT => MountPoint { fd: make_target(root, path, directory)?, made: true },
        Err(fault) if plain => return Err(not_plain(fault)),
        Err(fault) => return Err(fault),
    };
    if !rules.has(Rules::IN_PROC) {
        let kind = sys::fstatfs(target.fd.0)?.0;
        if kind == PROC_SUPER_MAGIC || rules.has(Rules::LIVING) && kind == SYSFS_MAGIC {
            return Err(Fault::because(why::INSIDE_PROC, sys::EPERM));
        }
    }
    Ok(target)
}

fn open_target(root: i32, path: &CStr, rules: Rules) -> Try<Fd> {
    let mut flags = sys::O_PATH | sys::O_CLOEXEC;
    let mut resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
    if rules.has(Rules::NO_FOLLOW) {
        flags |= sys::O_NOFOLLOW;
    }
    if rules.has(Rules::PLAIN) {
        flags |= sys::O_DIRECTORY;
    }
    if rules.has(Rules::PLAIN) || rules.has(Rules::LIVING) {
        resolve |= sys::RESOLVE_NO_SYMLINKS;
    }
    sys::openat2(root, path, flags, 0, resolve).map(Fd)
}

fn not_plain(fault: Fault) -> Fault {
    if matches!(fault.errno, sys::ELOOP | sys::ENOTDIR) { Fault::because(why::NOT_PLAIN, fault.errno) } else { fault }
}

/// Open a path without symbolic links.
pub fn plain(root: i32, path: &CStr, flags: u64) -> Try<Fd> {
    let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_SYMLINKS;
    sys::openat2(root, path, sys::O_PATH | sys::O_CLOEXEC | flags, 0, resolve).map(Fd)
}

/// Create a directory or an empty file, and its missing parents, on a path without symbolic links.
#[inline(never)]
fn make_plain(root: i32, path: &CStr, directory: bool) -> Try<Fd> {
    let mut here = plain(root, c"/", sys::O_DIRECTORY)?;
    let mut parts = path.to_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let (name, last) = (ShortBuffer::new(part)?, parts.peek().is_none());
        let name = name.as_cstr();
        here = match plain(here.0, name, sys::O_NOFOLLOW) {
            Err(fault) if fault.errno != sys::ENOENT => return Err(not_plain(fault)),
            Err(_) if last && !directory => make_file(here.0, name)?,
            Err(_) => {
                make_directory(here.0, name)?;
                plain(here.0, name, sys::O_DIRECTORY | sys::O_NOFOLLOW).map_err(not_plain)?
            }
            Ok(there) => there,
        };
    }
    Ok(here)
}

/// Create a directory if it is missing.
pub fn ensure_directory(root: i32, path: &CStr) -> Try<()> {
    match look(root, path, sys::O_DIRECTORY) {
        Err(fault) if fault.errno == sys::ENOENT => make(root, path, true).map(|_| ()),
        other => other.map(|_| ()),
    }
}

/// Create a directory or an empty file, and its missing parents.
///
/// Each step is looked up from the root again: if another process replaces a component by a symbolic link, the link
/// leads at worst to another place inside the root. Other processes may create the same path at the same time.
pub fn make(root: i32, path: &CStr, directory: bool) -> Try<Fd> {
    match ShortBuffer::new(path.to_bytes()) {
        Ok(parent) => make_below(root, path, directory, parent),
        Err(_) => make_at_length(root, path, directory),
    }
}

#[cold]
#[inline(never)]
fn make_at_length(root: i32, path: &CStr, directory: bool) -> Try<Fd> {
    make_below(root, path, directory, PathBuffer::new(path.to_bytes())?)
}

/// `done` is the path, of which this looks up the parent.
#[inline(never)]
fn make_below<const SIZE: usize>(root: i32, path: &CStr, directory: bool, mut done: TextBuffer<SIZE>) -> Try<Fd> {
    done.pop();
    // In most cases only the last component is missing.
    if let (Ok(parent), Some(name)) = (look(root, done.as_cstr(), sys::O_DIRECTORY), last_part(path)) {
        return make_last(root, path, &parent, name, directory);
    }
    make_from_root(root, path, directory)
}

#[inline(never)]
fn make_from_root(root: i32, path: &CStr, directory: bool) -> Try<Fd> {
    let mut done = PathBuffer::new(b"")?;
    let mut parent = look(root, c"/", sys::O_DIRECTORY)?;
    let mut parts = path.to_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        done.append(b"/")?;
        done.append(part)?;
        let last = parts.peek().is_none();
        parent = match look(root, done.as_cstr(), 0) {
            Err(fault) if fault.errno == sys::ENOENT => {
                make_last(root, done.as_cstr(), &parent, part, !last || directory)?
            }
            other => other?,
        };
    }
    Ok(parent)
}

/// Like `make`, but follow a dangling symbolic link on the path and create its target.
fn make_target(root: i32, path: &CStr, directory: bool) -> Try<Fd> {
    match make(root, path, directory) {
        Err(fault) if fault.errno == sys::EEXIST => make_past_links(root, path, directory, fault),
        other => other,
    }
}

// Not inlined: this code is rarely used and its path buffers need stack. A container that waits for `start` keeps every
// stack page that was once touched.
#[inline(never)]
fn make_past_links(root: i32, path: &CStr, directory: bool, mut fault: Fault) -> Try<Fd> {
    const MOST: usize = 16;
    let mut path = PathBuffer::new(path.to_bytes())?;
    for _ in 0..MOST {
        path = past_link(root, path.as_cstr(), fault)?;
        match make(root, path.as_cstr(), directory) {
            Err(again) if again.errno == sys::EEXIST => fault = again,
            other => return other,
        }
    }
    Err(Fault::because(why::TOO_LONG, sys::ELOOP))
}

/// Replace the first dangling symbolic link of a path by its target. The result is looked up from the root again, so it
/// cannot leave the root. Returns `fault` if no link dangles.
#[inline(never)]
fn past_link(root: i32, path: &CStr, fault: Fault) -> Try<PathBuffer> {
    let mut done = PathBuffer::new(b"")?;
    let mut parts = path.to_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty());
    for part in &mut parts {
        done.append(b"/")?;
        done.append(part)?;
        let missing = matches!(look(root, done.as_cstr(), 0), Err(fault) if fault.errno == sys::ENOENT);
        if !missing {
            continue;
        }
        let link = look(root, done.as_cstr(), sys::O_NOFOLLOW)?;
        let text = read_link(link.0, c"").map_err(|_| fault)?;
        if text.as_cstr().to_bytes().first() == Some(&b'/') {
            done = text;
        } else {
            done.pop();
            done.append(b"/")?;
            done.append(text.as_cstr().to_bytes())?;
        }
        for part in parts {
            done.append(b"/")?;
            done.append(part)?;
        }
        return Ok(done);
    }
    Err(fault)
}

/// Create `name` in `parent`, the directory of `path`.
fn make_last(root: i32, path: &CStr, parent: &Fd, name: &[u8], directory: bool) -> Try<Fd> {
    let name = ShortBuffer::new(name)?;
    if !directory {
        return make_file(parent.0, name.as_cstr());
    }
    make_directory(parent.0, name.as_cstr())?;
    look(root, path, sys::O_DIRECTORY)
}

fn make_directory(parent: i32, name: &CStr) -> Try<()> {
    match sys::mkdirat(parent, name, 0o755) {
        Err(fault) if fault.errno == sys::EEXIST => {
            // Another process created the directory, which is fine, or a dangling symbolic link has this name, which is
            // an error.
            let made =
                sys::openat2(parent, name, sys::O_PATH | sys::O_CLOEXEC | sys::O_NOFOLLOW | sys::O_DIRECTORY, 0, 0);
            made.map(sys::close).map_err(|_| fault)
        }
        other => other,
    }
}

fn make_file(parent: i32, name: &CStr) -> Try<Fd> {
    let create = sys::O_CREAT | sys::O_EXCL | sys::O_NOFOLLOW | sys::O_CLOEXEC;
    match sys::openat2(parent, name, create, 0o755, 0) {
        Ok(fd) => sys::close(fd),
        Err(fault) if fault.errno == sys::EEXIST => {
            let there = Fd(sys::openat2(parent, name, sys::O_PATH | sys::O_CLOEXEC | sys::O_NOFOLLOW, 0, 0)?);
            return if sys::fstat(there.0)?.is_link() { Err(fault) } else { Ok(there) };
        }
        Err(fault) => return Err(fault),
    }
    sys::openat2(parent, name, sys::O_PATH | sys::O_CLOEXEC | sys::O_NOFOLLOW, 0, 0).map(Fd)
}

/// Create a symbolic link with the same target as `link`. An existing link with that target is accepted.
#[inline(never)]
pub fn copy_link(root: i32, path: &CStr, link: i32, rules: Rules) -> Try<()> {
    let mut directory = PathBuffer::new(path.to_bytes())?;
    directory.pop();
    let parent = target(root, directory.as_cstr(), true, rules.only(Rules::LIVING))?.fd;
    let name = PathBuffer::new(last_part(path).unwrap_or_default())?;
    let text = read_link(link, c"")?;
    match sys::symlinkat(text.as_cstr(), parent.0, name.as_cstr()) {
        Err(fault) if fault.errno == sys::EEXIST => match read_link(parent.0, name.as_cstr()) {
            Ok(there) if there.as_cstr().to_bytes().iter().eq(text.as_cstr().to_bytes()) => Ok(()),
            _ => Err(fault),
        },
        other => other,
    }
}

/// Open a directory by a path without symbolic links.
pub fn open_plain(path: &CStr) -> Try<i32> {
    let flags = sys::O_PATH | sys::O_CLOEXEC | sys::O_DIRECTORY;
    sys::openat2(sys::AT_FDCWD, path, flags, 0, sys::RESOLVE_NO_SYMLINKS)
}
