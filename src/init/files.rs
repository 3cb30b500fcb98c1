//! Paths inside the container's root: opened, never named.

use core::ffi::CStr;

use crate::op::{place, why};
use crate::sys::{self, Fault, Try};

pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// A descriptor that is closed when it goes out of scope.
pub struct Fd(pub i32);

impl Drop for Fd {
    fn drop(&mut self) {
        sys::close(self.0);
    }
}

/// A place in the root, and whether it had to be made.
pub struct Target {
    pub fd: Fd,
    pub made: bool,
}

/// A path of at most `PATH_MAX` bytes that can be cut.
pub struct PathBuffer {
    bytes: [u8; 4096],
    len: usize,
}

impl PathBuffer {
    pub fn new(path: &[u8]) -> Try<PathBuffer> {
        let mut buffer = PathBuffer { bytes: [0; 4096], len: 0 };
        buffer.append(path)?;
        Ok(buffer)
    }

    /// Add bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) -> Try<()> {
        let end = self.len + bytes.len();
        if end >= self.bytes.len() {
            return Err(Fault::because(why::TOO_LONG, sys::ENAMETOOLONG));
        }
        self.bytes[self.len..end].copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    pub fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }

    /// Cut the last component off; false when nothing but `/` is left.
    pub fn pop(&mut self) -> bool {
        let cut = self.bytes[..self.len].iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        let had = self.len > 1;
        let keep = cut.max(1);
        self.bytes[keep..].fill(0);
        self.len = keep;
        had
    }
}

/// Open a path in the root without following magic links, and without leaving the root.
pub fn look(root: i32, path: &CStr, flags: u64) -> Try<Fd> {
    let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
    sys::openat2(root, path, sys::O_PATH | sys::O_CLOEXEC | flags, 0, resolve).map(Fd)
}

/// Open the place where something will be mounted; make it when it is missing.
pub fn target(root: i32, path: &CStr, directory: bool, rules: u32) -> Try<Target> {
    let target = match open_target(root, path, rules) {
        Ok(fd) => Target { fd, made: false },
        Err(fault) if fault.errno == sys::ENOENT => Target { fd: make_target(root, path, directory)?, made: true },
        Err(fault) if rules & place::PLAIN != 0 && matches!(fault.errno, sys::ELOOP | sys::ENOTDIR) => {
            return Err(Fault::because(why::NOT_PLAIN, fault.errno));
        }
        Err(fault) => return Err(fault),
    };
    if rules & place::IN_PROC == 0 && sys::fstatfs(target.fd.0)?.0 == PROC_SUPER_MAGIC {
        return Err(Fault::because(why::INSIDE_PROC, sys::EPERM));
    }
    Ok(target)
}

fn open_target(root: i32, path: &CStr, rules: u32) -> Try<Fd> {
    let mut flags = sys::O_PATH | sys::O_CLOEXEC;
    let mut resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
    if rules & place::NO_FOLLOW != 0 {
        flags |= sys::O_NOFOLLOW;
    }
    if rules & place::PLAIN != 0 {
        flags |= sys::O_DIRECTORY;
        resolve |= sys::RESOLVE_NO_SYMLINKS;
    }
    sys::openat2(root, path, flags, 0, resolve).map(Fd)
}

/// Make a directory where there is none.
pub fn ensure_directory(root: i32, path: &CStr) -> Try<()> {
    match look(root, path, sys::O_DIRECTORY) {
        Err(fault) if fault.errno == sys::ENOENT => make(root, path, true).map(|_| ()),
        other => other.map(|_| ()),
    }
}

/// Make a directory or an empty file, and every missing directory above it.
///
/// Each step is looked up from the root again, so a component that another process exchanges for a
/// link leads at worst to another place inside the root. Concurrent makers are tolerated.
pub fn make(root: i32, path: &CStr, directory: bool) -> Try<Fd> {
    let mut done = PathBuffer::new(path.to_bytes())?;
    done.pop();
    // Mostly only the last component is missing.
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

/// The same where links may lead to what is missing: what they lead to is made.
fn make_target(root: i32, path: &CStr, directory: bool) -> Try<Fd> {
    match make(root, path, directory) {
        Err(fault) if fault.errno == sys::EEXIST => make_past_links(root, path, directory, fault),
        other => other,
    }
}

// Rare, and with a path or two on the stack: apart, so that the others' stack stays small. Every
// page of it that was ever touched is one that a waiting container keeps.
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

/// A path whose first component that is a dangling link is replaced by what the link says. It is
/// looked up from the root again, so it leads nowhere else. Without such a link the fault stands.
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

/// The last component of a path, which ends in no slash.
fn last_part(path: &CStr) -> Option<&[u8]> {
    path.to_bytes().rsplit(|byte| *byte == b'/').next().filter(|part| !part.is_empty())
}

/// Make `name` in the directory that holds the end of `path`.
fn make_last(root: i32, path: &CStr, parent: &Fd, name: &[u8], directory: bool) -> Try<Fd> {
    let name = PathBuffer::new(name)?;
    if !directory {
        return make_file(parent.0, name.as_cstr());
    }
    make_directory(parent.0, name.as_cstr())?;
    look(root, path, sys::O_DIRECTORY)
}

fn make_directory(parent: i32, name: &CStr) -> Try<()> {
    match sys::mkdirat(parent, name, 0o755) {
        Err(fault) if fault.errno == sys::EEXIST => {
            // Somebody else was quicker, or a dangling link stands there: only the first is well.
            let made = sys::openat2(parent, name, sys::O_PATH | sys::O_CLOEXEC | sys::O_NOFOLLOW | sys::O_DIRECTORY, 0, 0);
            made.map(|fd| sys::close(fd)).map_err(|_| fault)
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

/// Make a symbolic link of the same text as the one that `link` is. One that is there already is as
/// good, when it says the same.
#[inline(never)]
pub fn copy_link(root: i32, path: &CStr, link: i32) -> Try<()> {
    let mut directory = PathBuffer::new(path.to_bytes())?;
    directory.pop();
    ensure_directory(root, directory.as_cstr())?;
    let parent = look(root, directory.as_cstr(), sys::O_DIRECTORY)?;
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

#[inline(never)]
fn read_link(directory: i32, name: &CStr) -> Try<PathBuffer> {
    let mut text = PathBuffer::new(b"")?;
    text.len = sys::readlinkat(directory, name, &mut text.bytes[..4095])?;
    Ok(text)
}

/// Copy what is in one directory into another, with owners, modes and links: `tmpcopyup`.
///
/// Only plain files, directories and symbolic links are copied; there is nothing else that a
/// directory of an image should hold, and devices come from the runtime.
#[inline(never)]
pub fn copy_tree(from: i32, to: i32) -> Try<()> {
    const LIST: u64 = sys::O_RDONLY | sys::O_CLOEXEC | sys::O_NOFOLLOW;
    let list = Fd(sys::openat2(from, c".", LIST | sys::O_DIRECTORY, 0, 0)?);
    let mut entries = [0u8; 2048];
    loop {
        let filled = sys::getdents(list.0, &mut entries)?;
        if filled == 0 {
            return Ok(());
        }
        let mut rest = &entries[..filled];
        while rest.len() > 19 {
            let length = usize::from(u16::from_ne_bytes([rest[16], rest[17]]));
            let name = CStr::from_bytes_until_nul(&rest[19..length]).unwrap_or(c".");
            if name != c"." && name != c".." {
                copy_entry(list.0, to, name)?;
            }
            rest = &rest[length..];
        }
    }
}

fn copy_entry(from: i32, to: i32, name: &CStr) -> Try<()> {
    let stat = sys::lstatat(from, name)?;
    let open = sys::O_CLOEXEC | sys::O_NOFOLLOW;
    if stat.is_directory() {
        sys::mkdirat(to, name, stat.mode & 0o7777)?;
        let (old, new) = (
            Fd(sys::openat2(from, name, open | sys::O_DIRECTORY, 0, 0)?),
            Fd(sys::openat2(to, name, open | sys::O_DIRECTORY, 0, 0)?),
        );
        copy_tree(old.0, new.0)?;
        sys::fchown(new.0, stat.uid, stat.gid)?;
        sys::fchmod(new.0, stat.mode & 0o7777)
    } else if stat.is_link() {
        sys::symlinkat(read_link(from, name)?.as_cstr(), to, name)?;
        sys::fchownat(to, name, stat.uid, stat.gid)
    } else if stat.is_file() {
        let old = Fd(sys::openat2(from, name, open, 0, 0)?);
        let new = Fd(sys::openat2(to, name, open | sys::O_WRONLY | sys::O_CREAT | sys::O_EXCL, 0o600, 0)?);
        while sys::sendfile(new.0, old.0, 1 << 20)? > 0 {}
        sys::fchown(new.0, stat.uid, stat.gid)?;
        sys::fchmod(new.0, stat.mode & 0o7777)
    } else {
        Ok(())
    }
}

/// Write a file of procfs in one go. `path` begins with `/proc/`.
pub fn write(path: &CStr, value: &[u8]) -> Try<()> {
    let file = open_in_proc(path, sys::O_WRONLY)?;
    sys::write(file.0, value).map(|_| ())
}

/// Open the very file that procfs has at this path. Somebody may have mounted over it, over a directory above it, or over
/// `/proc` itself, to protect it or, where the mount namespace is another container's, to lead the writer astray; and a
/// read-only mount says nothing of a container's own sysctls. A procfs that nobody else sees is asked then.
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

/// What is mounted on `/proc`, if it is a whole procfs.
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

/// Has the user namespace that this process is in setgroups(2) denied?
pub fn setgroups_is_denied() -> bool {
    let mut text = [0u8; 5];
    let file = open_in_proc(c"/proc/self/setgroups", sys::O_RDONLY);
    file.and_then(|file| sys::read(file.0, &mut text)).is_ok() && text.starts_with(b"deny")
}

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
            own = null_device();
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
