//! The pretended kernel's calls on files and mounts. Before `init` has entered the root, a call that changes something
//! must name a directory in the root, and a name in that directory without a slash.

use super::kernel::{OpenedIn, PretendedKernel};
use crate::init::calls;
use crate::init::fake::MadeCall;

const AT_FDCWD: i32 = -100;
const O_PATH: u64 = 0o10000000;
const O_CLOEXEC: u64 = 0o2000000;
const O_NOFOLLOW: u64 = 0o400000;
/// Rights to write, and the creation of a file.
const O_CHANGES: u64 = 0o1 | 0o2 | 0o100 | 0o1000;
const RESOLVE_NO_SYMLINKS: u64 = 4;
const RESOLVE_BENEATH: u64 = 8;
const RESOLVE_IN_ROOT: u64 = 16;
const PROC_MAGIC: u64 = 0x9fa0;
const DEVPTS_MAGIC: u64 = 0x1cd1;

/// The path of a new file system, in which there is no symbolic link yet.
const NEW: &[u8] = b"(new)";

/// Whether a name is an entry of its directory.
fn is_entry(name: &[u8]) -> bool {
    !name.contains(&b'/') && !matches!(name, b"" | b"..")
}

impl PretendedKernel {
    pub(super) fn on_files(&mut self, call: &MadeCall) -> isize {
        let [first, second, third, fourth, fifth, _] = call.arguments;
        match call.number {
            calls::OPENAT => self.open_at(first, &call.text(1), third as u64, RESOLVE_NO_SYMLINKS),
            calls::OPENAT2 => {
                let how = call.bytes(2, 24);
                let word = |at: usize| how[at..at + 8].iter().rev().fold(0u64, |all, byte| all << 8 | u64::from(*byte));
                self.open_at(first, &call.text(1), word(0), word(16))
            }
            calls::MKDIRAT | calls::MKNODAT | calls::UNLINKAT | calls::FCHOWNAT | calls::FCHMODAT => {
                self.changes(first, &call.text(1), call.number);
                0
            }
            calls::SYMLINKAT => {
                self.changes(second, &call.text(2), call.number);
                0
            }
            calls::UTIMENSAT if second != 0 => {
                self.changes(first, &call.text(1), call.number);
                0
            }
            calls::UTIMENSAT | calls::FCHMOD | calls::FSETXATTR => self.changes_open(first, call.number),
            calls::FCHOWN if first > 2 => self.changes_open(first, call.number),
            calls::FSTAT => self.stat(call, first, 1),
            calls::NEWFSTATAT => self.stat(call, first, 2),
            calls::FSTATFS => self.file_system(call, first),
            calls::READLINKAT => {
                call.fill(2, b"target");
                6
            }
            calls::GETCWD => {
                let text: &[u8] = if self.choice() == 1 { b"(unreachable)/\0" } else { b"/\0" };
                call.fill(0, text);
                text.len() as isize
            }
            calls::STATX => {
                let mut words = [0u64; 32];
                (words[1], words[18]) = (0x2000 * u64::from(self.choice() != 1), 7);
                call.fill(4, &words.map(u64::to_ne_bytes).concat());
                0
            }
            calls::GETDENTS64 => self.entries(call),
            calls::FGETXATTR => -61,
            calls::FCHDIR => {
                self.cwd = self.origin(first);
                0
            }
            calls::IOCTL if second == 0x5441 => {
                self.open(OpenedIn::Inside, b"pty", fourth == 0 && third as u64 & O_CLOEXEC != 0)
            }
            calls::SOCKET => self.open(OpenedIn::Other, b"", true),
            _ => self.on_mounts(call, [first, second, third, fourth, fifth]),
        }
    }

    fn open_at(&mut self, dir: usize, path: &[u8], flags: u64, resolve: u64) -> isize {
        let closed = flags & O_CLOEXEC != 0;
        let changes = flags & O_PATH == 0 && flags & O_CHANGES != 0;
        if self.entered && dir as i32 == AT_FDCWD {
            let origin = if path == b"/proc" { OpenedIn::Proc } else { OpenedIn::Inside };
            return self.open(origin, path, closed);
        }
        let origin = match (dir as i32, self.origin(dir)) {
            (AT_FDCWD, _) => self.named(path, flags),
            // Without a mount namespace the path itself is the root.
            (_, OpenedIn::RootPath) if resolve & (RESOLVE_IN_ROOT | RESOLVE_BENEATH) != 0 => OpenedIn::Inside,
            (_, origin @ (OpenedIn::Host | OpenedIn::RootPath)) => {
                assert!(flags & O_PATH != 0 && !changes, "a file of the host is opened: {origin:?}");
                OpenedIn::Host
            }
            (_, OpenedIn::Proc) => OpenedIn::Proc,
            (_, OpenedIn::Source) => {
                assert!(!changes, "a file of a source is opened for writing");
                OpenedIn::Source
            }
            (_, _) => {
                let stays = resolve & (RESOLVE_IN_ROOT | RESOLVE_BENEATH) != 0
                    || is_entry(path) && (resolve & RESOLVE_NO_SYMLINKS != 0 || flags & O_NOFOLLOW != 0)
                    || is_entry(path) && self.files.get(&(dir as i32)).is_some_and(|file| file.path == NEW);
                assert!(stays, "a path that may lead out of the root: {}", path.escape_ascii());
                OpenedIn::Inside
            }
        };
        self.open(origin, path, closed)
    }

    /// The place of a path of the host.
    fn named(&self, path: &[u8], flags: u64) -> OpenedIn {
        let is_one_of = |paths: &[Vec<u8>]| paths.iter().any(|known| known == path);
        match path {
            _ if is_one_of(&self.upper) && flags & O_CHANGES == 0 => return OpenedIn::Upper,
            _ if is_one_of(&self.layers) && flags & O_CHANGES == 0 => return OpenedIn::Host,
            _ => {}
        }
        assert!(flags & O_PATH != 0, "a file of the host is opened: {}", path.escape_ascii());
        match path {
            path if path == self.root && self.root_covered => OpenedIn::Inside,
            path if path == self.root => OpenedIn::RootPath,
            b"/proc" => OpenedIn::Proc,
            _ => OpenedIn::Host,
        }
    }

    /// Checks a change of an entry of a directory.
    fn changes(&self, dir: usize, name: &[u8], number: u32) {
        let origin = self.origin(dir);
        let in_proc = origin == OpenedIn::Proc && name.starts_with(b"self/fd/");
        let what = calls::name(number).unwrap_or_default();
        let inside = origin == OpenedIn::Inside && is_entry(name);
        assert!(inside || in_proc, "{what} of {:?} in {origin:?}", name.escape_ascii().to_string());
    }

    /// Checks a change of an open file.
    fn changes_open(&self, fd: usize, number: u32) -> isize {
        let origin = self.origin(fd);
        let what = calls::name(number).unwrap_or_default();
        assert!(
            matches!(origin, OpenedIn::Inside | OpenedIn::Given | OpenedIn::Upper),
            "{what} of a file in {origin:?}"
        );
        0
    }

    fn stat(&mut self, call: &MadeCall, fd: usize, at: usize) -> isize {
        let file = self.files.get(&(fd as i32));
        let path = file.map(|file| file.path.clone()).unwrap_or_default();
        let known = self.devices.iter().find(|(host, ..)| *host == path).map(|(_, mode, device)| (*mode, *device));
        let (mode, device): (u32, u64) = match (self.choice() % 8, path.as_slice()) {
            (0, _) if known.is_some() => known.unwrap_or_default(),
            (0, b"pty") => (0o020620, 136 << 8),
            (0, b"ptmx" | b"/dev/ptmx") => (0o020666, 5 << 8 | 2),
            (0, path) if path.ends_with(b"null") => (0o020666, 0x103),
            (0, _) if fd > 2 && !self.entered => (0o040755, 0),
            (1, _) => (0o040755, 0),
            (2, _) => (0o120777, 0),
            (3, _) => (0o020666, 0x103),
            (4, _) => (0o010644, 0),
            _ => (0o100644, 0),
        };
        // `..` comes to an end, and procfs has its root.
        let inode = if matches!(path.as_slice(), b"/proc" | b"..") { 1 } else { 2 + (fd as u32 as u64) };
        let mut stat = vec![0u8; 144];
        stat[8..16].copy_from_slice(&inode.to_ne_bytes());
        stat[24..28].copy_from_slice(&mode.to_ne_bytes());
        stat[40..48].copy_from_slice(&device.to_ne_bytes());
        call.fill(at, &stat);
        0
    }

    fn file_system(&mut self, call: &MadeCall, fd: usize) -> isize {
        let path = self.files.get(&(fd as i32)).map(|file| file.path.clone()).unwrap_or_default();
        let kind = match (self.choice() % 4, self.origin(fd), path.as_slice()) {
            (0, OpenedIn::Proc, _) | (1, ..) => PROC_MAGIC,
            (0, _, b"/dev/pts" | b"pty") => DEVPTS_MAGIC,
            (2, ..) => 0x6265_6572,
            _ => 0xef53,
        };
        let mut words = [0u64; 15];
        words[0] = kind;
        call.fill(1, &words.map(u64::to_ne_bytes).concat());
        0
    }

    /// An entry of a directory for each answer of the fuzzer that asks for one.
    fn entries(&mut self, call: &MadeCall) -> isize {
        if self.choice() != 9 {
            return 0;
        }
        // struct linux_dirent64: inode, offset, length, type, name.
        let mut entry = [0u8; 24];
        entry[16..18].copy_from_slice(&24u16.to_ne_bytes());
        entry[18] = [4, 8, 10, 0][usize::from(self.choice()) % 4];
        entry[19] = b'x';
        call.fill(1, &entry);
        24
    }

    fn on_mounts(&mut self, call: &MadeCall, [first, second, third, fourth, _]: [usize; 5]) -> isize {
        match call.number {
            calls::FSOPEN => self.open(OpenedIn::Other, &call.text(0), second == 1),
            calls::FSMOUNT => self.open(OpenedIn::Inside, NEW, second == 1),
            calls::OPEN_TREE => {
                let origin = match (first as i32, self.origin(first)) {
                    (AT_FDCWD, _) if self.entered => OpenedIn::Inside,
                    (AT_FDCWD, _) | (_, OpenedIn::Host) => OpenedIn::Source,
                    (_, OpenedIn::RootPath) => OpenedIn::Inside,
                    (_, origin) => origin,
                };
                self.open(origin, &call.text(1), third as u64 & O_CLOEXEC != 0)
            }
            calls::MOVE_MOUNT => {
                let (target, path) = (self.origin(third), call.text(3));
                let place = match target {
                    OpenedIn::Inside => path.is_empty() || is_entry(&path),
                    OpenedIn::RootPath => path.is_empty(),
                    _ => false,
                };
                let whole = third as i32 == AT_FDCWD && path == b"/" && self.origin(first) == OpenedIn::Inside;
                assert!(place || whole || self.entered, "a mount at {} in {target:?}", path.escape_ascii());
                // From now on the mount is a part of the root.
                if let Some(file) = self.files.get_mut(&(first as i32)) {
                    file.origin = OpenedIn::Inside;
                }
                0
            }
            calls::MOUNT => self.mount(&call.text(1), fourth),
            calls::UMOUNT2 => {
                let path = call.text(0);
                assert!(self.entered || self.buried.contains(&path), "a mount is detached: {}", path.escape_ascii());
                0
            }
            calls::PIVOT_ROOT | calls::CHROOT => {
                let inside = matches!(self.cwd, OpenedIn::Inside | OpenedIn::RootPath);
                assert!(inside, "another directory becomes the root: {:?}", self.cwd);
                self.entered = true;
                0
            }
            calls::MOUNT_SETATTR => {
                let (origin, path) = (self.origin(first), call.text(1));
                let attributes = call.bytes(3, 24);
                let propagates = attributes[..16].iter().all(|byte| *byte == 0);
                let inside = matches!(origin, OpenedIn::Inside | OpenedIn::Source);
                let path = path.escape_ascii();
                assert!(self.entered || inside || propagates, "flags of {path} in {origin:?}");
                0
            }
            _ => 0,
        }
    }

    /// mount(2), for kernels without the newer calls.
    fn mount(&mut self, target: &[u8], flags: usize) -> isize {
        const PROPAGATION: usize = 0xf << 17 | 1 << 14;
        let named = target.strip_prefix(b"self/fd/").and_then(|fd| std::str::from_utf8(fd).ok()?.parse().ok());
        let inside = match named {
            Some(fd) => self.cwd == OpenedIn::Proc && matches!(self.origin(fd), OpenedIn::Inside | OpenedIn::RootPath),
            None if target == b"." => matches!(self.cwd, OpenedIn::Inside | OpenedIn::RootPath),
            None => target == self.root || self.buried.iter().any(|path| path == target),
        };
        let propagates = flags != 0 && flags & !PROPAGATION == 0;
        assert!(self.entered || inside || propagates, "a mount at {}", target.escape_ascii());
        self.root_covered |= !propagates && (target == b"." || target == self.root);
        0
    }
}
