//! The system calls of `init`, and all of its `unsafe`.
//!
//! There is no C library: the start-up code, the four memory functions that the compiler calls,
//! and one wrapper a system call, each taking types that make the call safe.

use core::arch::{asm, global_asm};
use core::ffi::CStr;

use crate::op::{BASE, DATA, Header, List, Op, Slot, Text};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("init knows the system call interface of x86_64 only");

/// Why something did not work.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Number of the system call, or one of [`crate::op::why`].
    pub step: u32,
    /// The error it gave.
    pub errno: i32,
    /// Depends on the operation.
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
pub const EINTR: i32 = 4;
pub const EAGAIN: i32 = 11;
pub const EACCES: i32 = 13;
pub const EBUSY: i32 = 16;
pub const EEXIST: i32 = 17;
pub const ENOTDIR: i32 = 20;
pub const EISDIR: i32 = 21;
pub const EINVAL: i32 = 22;
pub const EXDEV: i32 = 18;
pub const EROFS: i32 = 30;
pub const ENOSYS: i32 = 38;
pub const ENAMETOOLONG: i32 = 36;
pub const ELOOP: i32 = 40;
pub const EOPNOTSUPP: i32 = 95;

pub const AT_FDCWD: i32 = -100;
pub const AT_EMPTY_PATH: u32 = 0x1000;
pub const AT_RECURSIVE: u32 = 0x8000;
pub const AT_SYMLINK_NOFOLLOW: u32 = 0x100;
pub const O_RDONLY: u64 = 0;
pub const O_WRONLY: u64 = 1;
pub const O_RDWR: u64 = 2;
pub const O_CREAT: u64 = 0o100;
pub const O_EXCL: u64 = 0o200;
pub const O_NOCTTY: u64 = 0o400;
pub const O_NONBLOCK: u64 = 0o4000;
pub const O_DIRECTORY: u64 = 0o200000;
pub const O_NOFOLLOW: u64 = 0o400000;
pub const O_CLOEXEC: u64 = 0o2000000;
pub const O_PATH: u64 = 0o10000000;
pub const RESOLVE_NO_XDEV: u64 = 1;
pub const RESOLVE_NO_MAGICLINKS: u64 = 2;
pub const RESOLVE_NO_SYMLINKS: u64 = 4;
pub const RESOLVE_BENEATH: u64 = 8;
pub const RESOLVE_IN_ROOT: u64 = 16;
pub const OPEN_TREE_CLONE: u32 = 1;

macro_rules! numbers {
    ($($name:ident = $value:expr;)*) => { $(pub const $name: usize = $value;)* };
}

numbers! {
    READ = 0; WRITE = 1; CLOSE = 3; FSTAT = 5; LSEEK = 8; MMAP = 9; RT_SIGACTION = 13; RT_SIGPROCMASK = 14;
    IOCTL = 16; SENDFILE = 40; SOCKET = 41; SENDMSG = 46; CLONE = 56; EXECVE = 59; FCNTL = 72; GETCWD = 79; CHDIR = 80; FCHDIR = 81;
    FCHMOD = 91; FCHOWN = 93; UMASK = 95; SETSID = 112; SETGROUPS = 116; SETRESUID = 117;
    SETRESGID = 119; CAPGET = 125; CAPSET = 126; PERSONALITY = 135; FSTATFS = 138;
    PIVOT_ROOT = 155; PRCTL = 157; CHROOT = 161; MOUNT = 165; UMOUNT2 = 166; SETHOSTNAME = 170;
    SETDOMAINNAME = 171; FSETXATTR = 190; FGETXATTR = 193; FLISTXATTR = 196; SCHED_SETAFFINITY = 203; GETDENTS64 = 217; EXIT_GROUP = 231;
    SET_MEMPOLICY = 238; KEYCTL = 250; IOPRIO_SET = 251; OPENAT = 257; MKDIRAT = 258; MKNODAT = 259;
    FCHOWNAT = 260; NEWFSTATAT = 262; UNLINKAT = 263; SYMLINKAT = 266; READLINKAT = 267; FCHMODAT = 268; FACCESSAT = 269; UNSHARE = 272; UTIMENSAT = 280;
    DUP3 = 292; PRLIMIT64 = 302; SETNS = 308; SCHED_SETATTR = 314; SECCOMP = 317; EXECVEAT = 322; STATX = 332; OPEN_TREE = 428;
    MOVE_MOUNT = 429; FSOPEN = 430; FSCONFIG = 431; FSMOUNT = 432; CLONE3 = 435;
    CLOSE_RANGE = 436; OPENAT2 = 437; FACCESSAT2 = 439; MOUNT_SETATTR = 442;
}

global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {entry}",
    "ud2",
    entry = sym entry,
);

/// Called by `_start` with the initial stack: `argc`, then `argv`.
extern "C" fn entry(stack: *const usize) -> ! {
    // SAFETY: execve(2) puts argc and a null-terminated argv of C strings there, which live as
    // long as the process.
    let argument = |index: usize| unsafe {
        let count = *stack;
        if index < count { Some(CStr::from_ptr(*stack.add(1 + index) as *const _)) } else { None }
    };
    let number = |index| argument(index).map_or(0, decimal);
    crate::main(number(2) as i32, number(3), number(4))
}

fn decimal(text: &CStr) -> usize {
    text.to_bytes().iter().fold(0, |sum, digit| sum * 10 + (digit.wrapping_sub(b'0')) as usize)
}

/// # Safety
/// As for C's `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller gives two valid, disjoint ranges of `count` bytes.
    unsafe { asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _) };
    to
}

/// # Safety
/// As for C's `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= count {
        // SAFETY: forward copying is right when the target does not start inside the source.
        return unsafe { memcpy(to, from, count) };
    }
    // SAFETY: both ranges hold `count` > 0 bytes; they are walked from their last byte down.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") count => _,
             inout("rdi") to.add(count - 1) => _, inout("rsi") from.add(count - 1) => _);
    }
    to
}

/// # Safety
/// As for C's `memset`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller gives a valid range of `count` bytes.
    unsafe { asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") byte as u8) };
    to
}

/// # Safety
/// As for C's `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    for at in 0..count {
        // SAFETY: the caller gives two valid ranges of `count` bytes.
        let (x, y) = unsafe { (a.add(at).read_volatile(), b.add(at).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// # Safety
/// As for C's `strlen`.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: the caller gives a string that ends in a NUL byte.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(125)
}

/// # Safety
/// What the arguments mean to this system call must be valid: pointers, lengths and all.
unsafe fn raw(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel clobbers only rcx, r11 and rax; memory is assumed changed.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a[0], in("rsi") a[1],
             in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

macro_rules! call {
    ($number:expr $(, $argument:expr)*) => {{
        let given = [$($argument as usize),*];
        let mut all = [0usize; 6];
        all[..given.len()].copy_from_slice(&given);
        // SAFETY: every caller of this macro passes numbers, or pointers made from references and
        // slices that outlive the call, with their own lengths.
        let result = unsafe { raw($number, all) };
        if result < 0 {
            Err(Fault { step: $number as u32, errno: -result as i32, detail: 0 })
        } else {
            Ok(result as usize)
        }
    }};
}

/// Drop the value of a call that is only done for its effect.
macro_rules! done {
    ($($call:tt)*) => { call!($($call)*).map(|_| ()) };
}

/// The mapped program: the sealed list of operations and what they refer to.
#[derive(Clone, Copy)]
pub struct Program(&'static Header);

impl Program {
    /// Map the program that lies in `fd` from `offset` on.
    pub fn map(fd: i32, offset: usize, length: usize) -> Try<Program> {
        const READ_WRITE: usize = 3;
        const PRIVATE_FIXED_NOREPLACE: usize = 0x10_0002;
        let at = call!(MMAP, BASE, length, READ_WRITE, PRIVATE_FIXED_NOREPLACE, fd, offset)?;
        // SAFETY: the parent wrote a Header at the start, of the same definition and compiler,
        // into a file that is sealed against any change; the mapping is never removed.
        Ok(Program(unsafe { &*(at as *const Header) }))
    }

    pub fn channel(self) -> i32 {
        self.0.channel
    }

    pub fn ops(self) -> &'static [Op] {
        // SAFETY: `count` values of Op were written at `ops`, aligned, by the same compiler.
        unsafe {
            core::slice::from_raw_parts((BASE + self.0.ops as usize) as *const Op, self.0.count as usize)
        }
    }

    /// The descriptor behind a slot.
    pub fn slot(self, index: u32) -> i32 {
        // SAFETY: the parent wrote one i32 for every slot that an operation names.
        unsafe { *((BASE + self.0.slots as usize) as *const i32).add(index as usize) }
    }

    /// The descriptor of a mount that was kept open, if it was.
    pub fn kept(self, slot: Slot) -> Option<i32> {
        (slot != Slot::NONE).then(|| self.slot(slot.0)).filter(|fd| *fd >= 0)
    }

    /// Keep a descriptor open in a slot.
    pub fn keep(self, slot: Slot, fd: i32) {
        // SAFETY: the mapping is private and writable, and the parent wrote one i32 for every slot
        // that an operation names.
        unsafe { ((BASE + self.0.slots as usize) as *mut i32).add(slot.0 as usize).write(fd) };
    }

    pub fn text(self, text: Text) -> &'static CStr {
        // SAFETY: the parent wrote `len` bytes without a NUL and one NUL behind them.
        unsafe {
            let bytes = core::slice::from_raw_parts((BASE + DATA + text.at as usize) as *const u8, text.len as usize + 1);
            CStr::from_bytes_with_nul_unchecked(bytes)
        }
    }

    fn list<T>(self, list: List) -> &'static [T] {
        // SAFETY: private, and used with the element type that the operation's description names;
        // the parent aligns every list to 8 bytes.
        unsafe { core::slice::from_raw_parts((BASE + DATA + list.at as usize) as *const T, list.len as usize) }
    }

    pub fn texts(self, list: List) -> &'static [Text] {
        self.list(list)
    }

    pub fn words(self, list: List) -> &'static [u64] {
        self.list(list)
    }

    pub fn numbers(self, list: List) -> &'static [u32] {
        self.list(list)
    }

    pub fn pairs(self, list: List) -> &'static [(u32, u32)] {
        self.list(list)
    }

    /// Put an address into an array of addresses, such as `envp`.
    pub fn put(self, list: List, index: u32, text: &'static CStr) {
        let place = (BASE + DATA + list.at as usize) as *mut usize;
        if index < list.len {
            // SAFETY: the mapping is private and writable, and the index is inside the list.
            unsafe { place.add(index as usize).write(text.as_ptr() as usize) };
        }
    }
}

/// A buffer that lives as long as the process, for the one string that `init` composes.
pub fn lasting() -> &'static mut [u8; 512] {
    static mut BUFFER: [u8; 512] = [0; 512];
    // SAFETY: one thread, and only the operation HOME, of which there is one, calls this.
    unsafe { &mut *(&raw mut BUFFER) }
}

/// A seccomp filter may forbid this process to leave; then it ends by a fault, which no filter sees.
pub fn exit(status: i32) -> ! {
    let _ = call!(EXIT_GROUP, status);
    // SAFETY: the instruction raises SIGILL here and does nothing else; nothing runs after it.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}

pub fn close(fd: i32) {
    let _ = call!(CLOSE, fd);
}

pub fn read(fd: i32, buffer: &mut [u8]) -> Try<usize> {
    loop {
        match call!(READ, fd, buffer.as_mut_ptr(), buffer.len()) {
            Err(fault) if fault.errno == EINTR => {}
            other => return other,
        }
    }
}

pub fn write(fd: i32, bytes: &[u8]) -> Try<usize> {
    call!(WRITE, fd, bytes.as_ptr(), bytes.len())
}

/// Send one [`crate::op::Message`]; it is plain data of fixed size.
pub fn send(fd: i32, message: &crate::op::Message) -> Try<()> {
    // The peer of a SOCK_SEQPACKET that is gone gives EPIPE; SIGPIPE is fatal, which is as well.
    done!(WRITE, fd, message as *const crate::op::Message, size_of::<crate::op::Message>())
}

/// Send a message together with a descriptor (`SCM_RIGHTS`, unix(7)).
pub fn send_descriptor(socket: i32, message: &crate::op::Message, fd: i32) -> Try<()> {
    const SOL_SOCKET: i32 = 1;
    const SCM_RIGHTS: i32 = 1;
    #[repr(C)]
    struct Control {
        length: usize,
        level: i32,
        kind: i32,
        fd: i32,
    }
    // struct msghdr: name and its size, buffers and their number, control data and its size, flags.
    let control = Control { length: 20, level: SOL_SOCKET, kind: SCM_RIGHTS, fd };
    let buffer = [message as *const crate::op::Message as usize, size_of::<crate::op::Message>()];
    let header = [0, 0, buffer.as_ptr() as usize, 1, &control as *const Control as usize, size_of::<Control>(), 0];
    done!(SENDMSG, socket, header.as_ptr(), 0)
}

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

pub fn openat2(dir: i32, path: &CStr, flags: u64, mode: u64, resolve: u64) -> Try<i32> {
    let how = OpenHow { flags, mode, resolve };
    // A rename elsewhere in the tree makes a look-up with RESOLVE_IN_ROOT uncertain: try again.
    for _ in 0..64 {
        match call!(OPENAT2, dir, path.as_ptr(), &how as *const OpenHow, size_of::<OpenHow>()) {
            Err(fault) if fault.errno == EAGAIN || fault.errno == EINTR => {}
            other => return other.map(|fd| fd as i32),
        }
    }
    Err(Fault { step: OPENAT2 as u32, errno: EAGAIN, detail: 0 })
}

pub fn dup_over(from: i32, to: i32) -> Try<()> {
    done!(DUP3, from, to, 0)
}

/// Another descriptor for the same, from 3 on.
pub fn duplicate(fd: i32) -> Try<i32> {
    const F_DUPFD_CLOEXEC: usize = 1030;
    call!(FCNTL, fd, F_DUPFD_CLOEXEC, 3).map(|fd| fd as i32)
}

pub fn mkdirat(dir: i32, name: &CStr, mode: u32) -> Try<()> {
    done!(MKDIRAT, dir, name.as_ptr(), mode)
}

pub fn mknodat(dir: i32, name: &CStr, mode: u32, device: u64) -> Try<()> {
    done!(MKNODAT, dir, name.as_ptr(), mode, device)
}

pub fn symlinkat(target: &CStr, dir: i32, name: &CStr) -> Try<()> {
    done!(SYMLINKAT, target.as_ptr(), dir, name.as_ptr())
}

pub fn unlinkat(dir: i32, name: &CStr) -> Try<()> {
    done!(UNLINKAT, dir, name.as_ptr(), 0)
}

pub fn readlinkat(dir: i32, name: &CStr, buffer: &mut [u8]) -> Try<usize> {
    call!(READLINKAT, dir, name.as_ptr(), buffer.as_mut_ptr(), buffer.len())
}

pub fn fchownat(dir: i32, name: &CStr, uid: u32, gid: u32) -> Try<()> {
    done!(FCHOWNAT, dir, name.as_ptr(), uid, gid, AT_SYMLINK_NOFOLLOW)
}

/// Not for a symbolic link: its target is changed.
pub fn fchmodat(dir: i32, name: &CStr, mode: u32) -> Try<()> {
    done!(FCHMODAT, dir, name.as_ptr(), mode)
}

/// Access and modification time of an open file.
pub fn set_times(fd: i32, times: &[[i64; 2]; 2]) -> Try<()> {
    done!(UTIMENSAT, fd, 0, times.as_ptr(), 0)
}

/// The same of a name, not of what a link leads to.
pub fn set_times_at(dir: i32, name: &CStr, times: &[[i64; 2]; 2]) -> Try<()> {
    done!(UTIMENSAT, dir, name.as_ptr(), times.as_ptr(), AT_SYMLINK_NOFOLLOW)
}

pub fn flistxattr(fd: i32, names: &mut [u8]) -> Try<usize> {
    call!(FLISTXATTR, fd, names.as_mut_ptr(), names.len())
}

pub fn fgetxattr(fd: i32, name: &CStr, value: &mut [u8]) -> Try<usize> {
    call!(FGETXATTR, fd, name.as_ptr(), value.as_mut_ptr(), value.len())
}

pub fn fsetxattr(fd: i32, name: &CStr, value: &[u8]) -> Try<()> {
    done!(FSETXATTR, fd, name.as_ptr(), value.as_ptr(), value.len(), 0)
}

/// Set the position in a file or directory.
pub fn seek(fd: i32, position: i64) -> Try<()> {
    const SEEK_SET: usize = 0;
    done!(LSEEK, fd, position, SEEK_SET)
}

pub fn fchown(fd: i32, uid: u32, gid: u32) -> Try<()> {
    done!(FCHOWN, fd, uid, gid)
}

pub fn fchmod(fd: i32, mode: u32) -> Try<()> {
    done!(FCHMOD, fd, mode)
}

/// Major number 1, minor number 3.
pub const NULL_DEVICE: u64 = 0x103;

/// The kernel's `struct stat` of x86_64, as far as it is looked at.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Stat {
    pub device: u64,
    pub inode: u64,
    _links: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    _pad: u32,
    pub rdev: u64,
    _size: [u64; 3],
    /// Access and modification, as seconds and nanoseconds.
    pub times: [[i64; 2]; 2],
    _rest: [u64; 5],
}

impl Stat {
    pub fn is_directory(&self) -> bool {
        self.mode & 0o170000 == 0o040000
    }

    pub fn is_file(&self) -> bool {
        self.mode & 0o170000 == 0o100000
    }

    pub fn is_link(&self) -> bool {
        self.mode & 0o170000 == 0o120000
    }

    pub fn is_device(&self) -> bool {
        self.mode & 0o170000 == 0o020000
    }

    pub fn is_null_device(&self) -> bool {
        self.is_device() && self.rdev == NULL_DEVICE
    }

    /// Type and, of a device, number: is it the node that `mknod(2)` makes of these?
    pub fn is_node(&self, mode: u32, device: u64) -> bool {
        const FORMAT: u32 = 0o170000;
        const FIFO: u32 = 0o010000;
        self.mode & FORMAT == mode & FORMAT && (mode & FORMAT == FIFO || self.rdev == device)
    }

    pub fn is_same_file(&self, other: &Stat) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

const NO_STAT: Stat =
    Stat { device: 0, inode: 0, _links: 0, mode: 0, uid: 0, gid: 0, _pad: 0, rdev: 0, _size: [0; 3], times: [[0; 2]; 2], _rest: [0; 5] };

pub fn fstat(fd: i32) -> Try<Stat> {
    let mut stat = NO_STAT;
    call!(FSTAT, fd, &mut stat as *mut Stat)?;
    Ok(stat)
}

pub fn lstatat(dir: i32, name: &CStr) -> Try<Stat> {
    let mut stat = NO_STAT;
    call!(NEWFSTATAT, dir, name.as_ptr(), &mut stat as *mut Stat, AT_SYMLINK_NOFOLLOW)?;
    Ok(stat)
}

/// The id of the mount that `fd` lies on, and whether it is the root of that mount.
pub fn mount_id(fd: i32) -> Try<(u64, bool)> {
    const STATX_MNT_ID: u32 = 0x1000;
    const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
    // struct statx: stx_attributes is the second word, stx_mnt_id the nineteenth.
    let mut buffer = [0u64; 32];
    call!(STATX, fd, c"".as_ptr(), AT_EMPTY_PATH, STATX_MNT_ID, buffer.as_mut_ptr())?;
    Ok((buffer[18], buffer[1] & STATX_ATTR_MOUNT_ROOT != 0))
}

/// Type of the file system that `fd` lies on, and its `ST_*` flags.
pub fn fstatfs(fd: i32) -> Try<(u64, u64)> {
    let mut buffer = [0u64; 15];
    call!(FSTATFS, fd, buffer.as_mut_ptr())?;
    Ok((buffer[0], buffer[10]))
}

pub fn getdents(fd: i32, buffer: &mut [u8]) -> Try<usize> {
    call!(GETDENTS64, fd, buffer.as_mut_ptr(), buffer.len())
}

pub fn sendfile(to: i32, from: i32, count: usize) -> Try<usize> {
    call!(SENDFILE, to, from, 0, count)
}

pub fn open_tree(dir: i32, path: &CStr, flags: u32) -> Try<i32> {
    call!(OPEN_TREE, dir, path.as_ptr(), flags as u64 | O_CLOEXEC).map(|fd| fd as i32)
}

/// Attach the tree behind `from` at the place behind `to`.
pub fn move_mount(from: i32, to: i32, path: &CStr) -> Try<()> {
    const FROM_EMPTY_PATH: usize = 0x4;
    const TO_EMPTY_PATH: usize = 0x40;
    let flags = if path.is_empty() { FROM_EMPTY_PATH | TO_EMPTY_PATH } else { FROM_EMPTY_PATH };
    done!(MOVE_MOUNT, from, c"".as_ptr(), to, path.as_ptr(), flags)
}

#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

pub fn mount_setattr(fd: i32, path: &CStr, recursive: bool, set: u64, clear: u64, propagation: u64) -> Try<()> {
    let attr = MountAttr { set, clear, propagation, user_namespace: 0 };
    let flags = if path.is_empty() { AT_EMPTY_PATH } else { 0 } | if recursive { AT_RECURSIVE } else { 0 };
    done!(MOUNT_SETATTR, fd, path.as_ptr(), flags, &attr as *const MountAttr, size_of::<MountAttr>())
}

pub fn fsopen(kind: &CStr) -> Try<i32> {
    const FSOPEN_CLOEXEC: usize = 1;
    call!(FSOPEN, kind.as_ptr(), FSOPEN_CLOEXEC).map(|fd| fd as i32)
}

pub fn fsconfig_string(fd: i32, key: &CStr, value: &CStr) -> Try<()> {
    done!(FSCONFIG, fd, 1, key.as_ptr(), value.as_ptr(), 0)
}

pub fn fsconfig_flag(fd: i32, key: &CStr) -> Try<()> {
    done!(FSCONFIG, fd, 0, key.as_ptr(), 0, 0)
}

pub fn fsconfig_create(fd: i32) -> Try<()> {
    done!(FSCONFIG, fd, 6, 0, 0, 0)
}

pub fn fsmount(fd: i32, attributes: u64) -> Try<i32> {
    const FSMOUNT_CLOEXEC: usize = 1;
    call!(FSMOUNT, fd, FSMOUNT_CLOEXEC, attributes).map(|fd| fd as i32)
}

pub fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: u64, data: &CStr) -> Try<()> {
    done!(MOUNT, source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr())
}

/// Detach what is mounted at a path, with all below it. A link at its end is not followed.
pub fn detach(path: &CStr) -> Try<()> {
    const MNT_DETACH: usize = 2;
    const UMOUNT_NOFOLLOW: usize = 8;
    done!(UMOUNT2, path.as_ptr(), MNT_DETACH | UMOUNT_NOFOLLOW)
}

pub fn pivot_root(new: &CStr, old: &CStr) -> Try<()> {
    done!(PIVOT_ROOT, new.as_ptr(), old.as_ptr())
}

pub fn chroot(path: &CStr) -> Try<()> {
    done!(CHROOT, path.as_ptr())
}

pub fn chdir(path: &CStr) -> Try<()> {
    done!(CHDIR, path.as_ptr())
}

pub fn fchdir(fd: i32) -> Try<()> {
    done!(FCHDIR, fd)
}

pub fn getcwd(buffer: &mut [u8]) -> Try<usize> {
    call!(GETCWD, buffer.as_mut_ptr(), buffer.len())
}

pub fn setns(fd: i32, kind: u32) -> Try<()> {
    done!(SETNS, fd, kind)
}

pub fn unshare(flags: u64) -> Try<()> {
    done!(UNSHARE, flags)
}

/// What a fork returns.
pub enum Fork {
    Parent(i32),
    Child,
}

/// A sibling with its own copy of the memory, in new namespaces.
pub fn fork_sibling(flags: u64) -> Try<Fork> {
    const CLONE_PARENT: u64 = 0x8000;
    // struct clone_args: flags, then fields that are all left at 0; with CLONE_PARENT the exit
    // signal is inherited and has to be 0 here.
    let mut args = [0u64; 11];
    args[0] = flags | CLONE_PARENT;
    // Without CLONE_VM the child goes on with a copy of this very stack.
    let forked = match call!(CLONE3, args.as_ptr(), size_of_val(&args)) {
        // A sandbox may know the older call only.
        Err(fault) if matches!(fault.errno, EPERM | ENOSYS) => call!(CLONE, args[0], 0, 0, 0, 0).map_err(|_| fault),
        other => other,
    };
    match forked? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid as i32)),
    }
}

pub fn setgroups(groups: &[u32]) -> Try<()> {
    done!(SETGROUPS, groups.len(), groups.as_ptr())
}

pub fn setresgid(gid: u32) -> Try<()> {
    done!(SETRESGID, gid, gid, gid)
}

pub fn setresuid(uid: u32) -> Try<()> {
    done!(SETRESUID, uid, uid, uid)
}

const CAPABILITY_HEADER: [u32; 2] = [0x2008_0522, 0];

/// The permitted capabilities of this process.
pub fn permitted() -> Try<u64> {
    let mut data = [0u32; 6];
    call!(CAPGET, CAPABILITY_HEADER.as_ptr(), data.as_mut_ptr())?;
    Ok(u64::from(data[1]) | u64::from(data[4]) << 32)
}

pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Try<()> {
    let sets = [effective, permitted, inheritable];
    let mut data = [0u32; 6];
    for (at, set) in sets.iter().enumerate() {
        data[at] = *set as u32;
        data[at + 3] = (*set >> 32) as u32;
    }
    done!(CAPSET, CAPABILITY_HEADER.as_ptr(), data.as_ptr())
}

/// Is this capability in the bounding set?
pub fn in_bounding_set(capability: u64) -> bool {
    const PR_CAPBSET_READ: usize = 23;
    call!(PRCTL, PR_CAPBSET_READ, capability, 0, 0, 0).is_ok_and(|answer| answer == 1)
}

pub fn prctl(option: u32, a: u64, b: u64) -> Try<()> {
    done!(PRCTL, option, a, b, 0, 0)
}

pub fn setsid() -> Try<()> {
    done!(SETSID)
}

/// `KEYCTL_JOIN_SESSION_KEYRING`, then `KEYCTL_SETPERM`: everything for who possesses it, and for the same user's other
/// processes no more than to find it (view, read, search, link), which exec needs to join it by its name.
pub fn session_keyring(name: &CStr) -> Try<()> {
    const POSSESSOR_ALL_USER_FINDS: usize = 0x3f1b_0000;
    let key = call!(KEYCTL, 1, name.as_ptr())?;
    done!(KEYCTL, 5, key, POSSESSOR_ALL_USER_FINDS)
}

pub fn sched_setaffinity(mask: &[u64]) -> Try<()> {
    done!(SCHED_SETAFFINITY, 0, size_of_val(mask), mask.as_ptr())
}

pub fn sethostname(name: &CStr) -> Try<()> {
    done!(SETHOSTNAME, name.as_ptr(), name.count_bytes())
}

pub fn setdomainname(name: &CStr) -> Try<()> {
    done!(SETDOMAINNAME, name.as_ptr(), name.count_bytes())
}

/// Bring `lo` up: `SIOCSIFFLAGS` with `IFF_UP | IFF_RUNNING`. Where there are no sockets of AF_INET
/// (`RestrictAddressFamilies=`), or no such requests, netlink does it.
pub fn loopback_up() -> Try<()> {
    loopback_up_by_request().or_else(|_| loopback_up_by_netlink())
}

fn loopback_up_by_request() -> Try<()> {
    const AF_INET_DGRAM_CLOEXEC: (usize, usize) = (2, 2 | O_CLOEXEC as usize);
    const SIOCSIFFLAGS: usize = 0x8914;
    let socket = call!(SOCKET, AF_INET_DGRAM_CLOEXEC.0, AF_INET_DGRAM_CLOEXEC.1, 0)?;
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    request[16] = 0x41;
    let result = done!(IOCTL, socket, SIOCSIFFLAGS, request.as_ptr());
    close(socket as i32);
    result
}

/// `RTM_NEWLINK` for the first interface of a network namespace, which `lo` is, with `IFF_UP`.
#[inline(never)]
fn loopback_up_by_netlink() -> Try<()> {
    const AF_NETLINK_RAW_CLOEXEC: (usize, usize) = (16, 3 | O_CLOEXEC as usize);
    const NETLINK_ROUTE: usize = 0;
    // struct nlmsghdr: length, type RTM_NEWLINK with the flags REQUEST and ACK, sequence, port; struct ifinfomsg: family
    // and type, index, flags, the flags that change.
    const REQUEST: [u32; 8] = [32, 16 | 5 << 16, 1, 0, 0, 1, 1, 1];
    let socket = call!(SOCKET, AF_NETLINK_RAW_CLOEXEC.0, AF_NETLINK_RAW_CLOEXEC.1, NETLINK_ROUTE)? as i32;
    // The answer is a struct nlmsghdr, and behind it the negative error, 0 for none.
    let mut answer = [0i32; 20];
    let sent = call!(WRITE, socket, REQUEST.as_ptr(), size_of_val(&REQUEST));
    let heard = sent.and_then(|_| call!(READ, socket, answer.as_mut_ptr(), size_of_val(&answer)));
    close(socket);
    match heard {
        Ok(_) if answer[4] != 0 => Err(Fault { step: WRITE as u32, errno: -answer[4], detail: 0 }),
        other => other.map(|_| ()),
    }
}

/// Unlock the terminal behind a ptmx and open its other end, without any name (`TIOCGPTPEER`).
pub fn terminal_peer(master: i32) -> Try<i32> {
    const TIOCSPTLCK: usize = 0x4004_5431;
    const TIOCGPTPEER: usize = 0x5441;
    let unlock = 0i32;
    done!(IOCTL, master, TIOCSPTLCK, &unlock as *const i32)?;
    call!(IOCTL, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC).map(|fd| fd as i32)
}

/// `TIOCSWINSZ`
pub fn set_window_size(terminal: i32, rows: u16, columns: u16) -> Try<()> {
    const TIOCSWINSZ: usize = 0x5414;
    let size = [rows, columns, 0, 0];
    done!(IOCTL, terminal, TIOCSWINSZ, size.as_ptr())
}

/// Make a terminal the one that controls this session (`TIOCSCTTY`).
pub fn take_terminal(terminal: i32) -> Try<()> {
    const TIOCSCTTY: usize = 0x540e;
    done!(IOCTL, terminal, TIOCSCTTY, 0)
}

/// Take `O_NONBLOCK` from a descriptor that has no other status flags.
pub fn set_blocking(fd: i32) -> Try<()> {
    const F_SETFL: usize = 4;
    done!(FCNTL, fd, F_SETFL, 0)
}

/// The default action for every signal, and none of them blocked.
pub fn reset_signals() -> Try<()> {
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SIGKILL and SIGSTOP answer EINVAL, and need nothing.
        let _ = call!(RT_SIGACTION, signal, default.as_ptr(), 0, 8);
    }
    const SIG_SETMASK: usize = 2;
    done!(RT_SIGPROCMASK, SIG_SETMASK, default.as_ptr(), 0, 8)
}

pub fn umask(mask: u32) {
    let _ = call!(UMASK, mask);
}

pub fn setrlimit(resource: u32, soft: u64, hard: u64) -> Try<()> {
    let limit = [soft, hard];
    done!(PRLIMIT64, 0, resource, limit.as_ptr(), 0)
}

#[repr(C)]
pub struct SchedAttr {
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

pub fn sched_setattr(attr: &SchedAttr) -> Try<()> {
    done!(SCHED_SETATTR, 0, attr as *const SchedAttr, 0)
}

pub fn ioprio_set(value: u32) -> Try<()> {
    const IOPRIO_WHO_PROCESS: usize = 1;
    done!(IOPRIO_SET, IOPRIO_WHO_PROCESS, 0, value)
}

pub fn personality(domain: u32) -> Try<()> {
    done!(PERSONALITY, domain)
}

pub fn set_mempolicy(mode: u32, nodes: &[u64]) -> Try<()> {
    if nodes.is_empty() {
        return done!(SET_MEMPOLICY, mode, 0, 0);
    }
    // The kernel counts one bit more than it reads.
    done!(SET_MEMPOLICY, mode, nodes.as_ptr(), nodes.len() * 64 + 1)
}

/// May this path be executed with the effective identity?
///
/// A seccomp filter may be in force already, and an old profile knows the old call only. That one
/// asks for the real identity, which is the same here.
pub fn executable(path: &CStr) -> Try<()> {
    const X_OK: usize = 1;
    const AT_EACCESS: usize = 0x200;
    match done!(FACCESSAT2, AT_FDCWD, path.as_ptr(), X_OK, AT_EACCESS) {
        Err(fault) if matches!(fault.errno, EPERM | ENOSYS) => done!(FACCESSAT, AT_FDCWD, path.as_ptr(), X_OK),
        other => other,
    }
}

/// `openat(2)` from the working directory: older than any seccomp profile.
pub fn open(path: &CStr, flags: u64) -> Try<i32> {
    call!(OPENAT, AT_FDCWD, path.as_ptr(), flags, 0).map(|fd| fd as i32)
}

/// Close all descriptors from `first` to `last`, these two included. Where a sandbox does not know how, it is done one by
/// one; a filter of the container's own that is in force by then may forbid that, too.
pub fn close_range(first: u32, last: u32) -> Try<()> {
    match done!(CLOSE_RANGE, first, last, 0) {
        Err(fault) if matches!(fault.errno, EPERM | ENOSYS) => close_one_by_one(first, last).map_err(|_| fault),
        other => other,
    }
}

#[inline(never)]
fn close_one_by_one(first: u32, last: u32) -> Try<()> {
    const NOFILE: usize = 7;
    let mut limit = [0u64; 2];
    call!(PRLIMIT64, 0, NOFILE, 0, limit.as_mut_ptr())?;
    // No descriptor has a number above the limit that was in force when it was made, and the runtime has lowered none.
    let end = limit[1].min(u64::from(last) + 1);
    for fd in u64::from(first)..end {
        match call!(CLOSE, fd) {
            Err(fault) if matches!(fault.errno, EPERM | ENOSYS) => return Err(fault),
            _ => {}
        }
    }
    Ok(())
}

/// Have the next `execve(2)` close them; Linux 5.11.
pub fn close_range_on_exec(first: u32) -> Try<()> {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    done!(CLOSE_RANGE, first, u32::MAX, CLOSE_RANGE_CLOEXEC)
}

#[repr(C)]
struct SockFprog {
    length: u16,
    filter: *const u64,
}

/// `SECCOMP_SET_MODE_FILTER`; gives the listener, where the flags ask for one.
pub fn seccomp(filter: &[u64], flags: u32) -> Try<i32> {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    let program = SockFprog { length: filter.len() as u16, filter: filter.as_ptr() };
    call!(SECCOMP, SECCOMP_SET_MODE_FILTER, flags, &program as *const SockFprog).map(|listener| listener as i32)
}

/// Run another program; returns only when it could not.
pub fn execve(path: &CStr, program: Program, argv: List, envp: List) -> Fault {
    let (argv, envp): (&[usize], &[usize]) = (program.list(argv), program.list(envp));
    match call!(EXECVE, path.as_ptr(), argv.as_ptr(), envp.as_ptr()) {
        Err(fault) => fault,
        Ok(_) => Fault::because(EXECVEAT as u32, EINVAL),
    }
}
