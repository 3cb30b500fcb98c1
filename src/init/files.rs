//! Paths inside the container's root: opened, never named.

use core::ffi::CStr;

use crate::op::{place, why};
use crate::sys::{self, Fault, Stat, Try};

pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;
pub const SYSFS_MAGIC: u64 = 0x6265_6572;

/// A descriptor that is closed when it goes out of scope.
pub struct Fd(pub i32);

impl Fd {
    /// Take the descriptor out, so that it stays open.
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
    let plain = rules & (place::PLAIN | place::LIVING) != 0;
    let target = match open_target(root, path, rules) {
        Ok(fd) => Target { fd, made: false },
        Err(fault) if rules & place::EXISTING != 0 => return Err(if plain { not_plain(fault) } else { fault }),
        Err(fault) if fault.errno == sys::ENOENT && plain => Target { fd: make_plain(root, path, directory)?, made: true },
        Err(fault) if fault.errno == sys::ENOENT => Target { fd: make_target(root, path, directory)?, made: true },
        Err(fault) if plain => return Err(not_plain(fault)),
        Err(fault) => return Err(fault),
    };
    if rules & place::IN_PROC == 0 {
        let kind = sys::fstatfs(target.fd.0)?.0;
        if kind == PROC_SUPER_MAGIC || rules & place::LIVING != 0 && kind == SYSFS_MAGIC {
            return Err(Fault::because(why::INSIDE_PROC, sys::EPERM));
        }
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
    }
    if rules & (place::PLAIN | place::LIVING) != 0 {
        resolve |= sys::RESOLVE_NO_SYMLINKS;
    }
    sys::openat2(root, path, flags, 0, resolve).map(Fd)
}

fn not_plain(fault: Fault) -> Fault {
    if matches!(fault.errno, sys::ELOOP | sys::ENOTDIR) { Fault::because(why::NOT_PLAIN, fault.errno) } else { fault }
}

/// Open a path that no link leads to.
pub fn plain(root: i32, path: &CStr, flags: u64) -> Try<Fd> {
    let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_SYMLINKS;
    sys::openat2(root, path, sys::O_PATH | sys::O_CLOEXEC | flags, 0, resolve).map(Fd)
}

/// Make a directory or an empty file, and every missing directory above it, where no link leads to.
#[inline(never)]
fn make_plain(root: i32, path: &CStr, directory: bool) -> Try<Fd> {
    let mut here = plain(root, c"/", sys::O_DIRECTORY)?;
    let mut parts = path.to_bytes().split(|byte| *byte == b'/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let (name, last) = (PathBuffer::new(part)?, parts.peek().is_none());
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
pub fn last_part(path: &CStr) -> Option<&[u8]> {
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
pub fn copy_link(root: i32, path: &CStr, link: i32, rules: u32) -> Try<()> {
    let mut directory = PathBuffer::new(path.to_bytes())?;
    directory.pop();
    let parent = target(root, directory.as_cstr(), true, rules & place::LIVING)?.fd;
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

/// How deep [`copy_tree`] goes. Each level holds two descriptors, and a process has 1024 by default.
const DEEPEST: usize = 256;

/// Copy what is in one directory into another, with all kinds of files, owners, modes, times and extended
/// attributes: `tmpcopyup`. Other containers may write to what is copied: nothing of it is opened that could wait
/// or do something, and what a file is says the descriptor, not a name that was looked at before.
#[inline(never)]
pub fn copy_tree(from: i32, to: i32) -> Try<()> {
    let mut levels: [(i32, i32); DEEPEST] = [(-1, -1); DEEPEST];
    levels[0] = (list(from)?, sys::duplicate(to)?);
    let mut depth = 0;
    // A fault ends this process, and with it what is open.
    loop {
        let (old, new) = levels[depth];
        if let Some(inner) = copy_entries(old, new)? {
            depth += 1;
            *levels.get_mut(depth).ok_or(Fault::because(why::TOO_DEEP, sys::ELOOP))? = inner;
            continue;
        }
        // The mount says what the top directory is like.
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

/// A directory open for reading its entries.
fn list(directory: i32) -> Try<i32> {
    sys::openat2(directory, c".", sys::O_RDONLY | sys::O_CLOEXEC | sys::O_NOFOLLOW | sys::O_DIRECTORY, 0, 0)
}

/// Copy the entries that are left in a directory, up to the first directory: that one is made and opened, and the
/// next call goes on behind it.
#[inline(never)]
fn copy_entries(from: i32, to: i32) -> Try<Option<(i32, i32)>> {
    // struct linux_dirent64: inode, position of the next entry, length of this one, type, name.
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

/// Copy one file, whatever it is. A directory comes back open, with the empty one that was made for it.
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
            let new = sys::openat2(to, name, sys::O_RDONLY | sys::O_CLOEXEC | sys::O_NOFOLLOW | sys::O_DIRECTORY, 0, 0)?;
            return Ok(Some((old.keep(), new)));
        }
        if stat.is_file() {
            match copy_file(from, to, name)? {
                None => return Ok(None),
                // It was exchanged for something else meanwhile: look again.
                Some(fault) => last = fault,
            }
            continue;
        }
        copy_special(&file, &stat, to, name)?;
        return Ok(None);
    }
    Err(last)
}

/// A file with its content, or why it could not be opened as one.
fn copy_file(from: i32, to: i32, name: &CStr) -> Try<Option<Fault>> {
    // A FIFO that has taken the file's place does not hold the open back, and a device is not opened at all: the
    // mount that is copied from has `nodev`.
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

/// A link, FIFO, socket or device: what cannot be opened.
fn copy_special(file: &Fd, stat: &Stat, to: i32, name: &CStr) -> Try<()> {
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

/// Give a copy the owner, mode, extended attributes and times of what it is a copy of.
fn like(old: i32, new: i32) -> Try<()> {
    let stat = sys::fstat(old)?;
    sys::fchown(new, stat.uid, stat.gid)?;
    sys::fchmod(new, stat.mode & 0o7777)?;
    copy_attributes(old, new)?;
    sys::set_times(new, &stat.times)
}

/// Extended attributes, of which a file has few. Those that the new file system cannot hold stay behind, such as a
/// label below a mount that has one of its own.
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
