//! Starts the sealed `init`: puts its image and its program into a memfd, or into a file that is as safe, and calls
//! `clone3(2)`.

use std::arch::asm;
use std::ffi::{CStr, CString};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;

use super::write::write_all;
use crate::init::op::{DATA, Header, Op};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the clone of init is written for x86_64");

/// `MFD_EXEC`, Linux 6.3.
const MFD_EXEC: u32 = 0x10;
const PAGE: usize = 4096;
/// The name of the file, which `/proc/PID/exe` of `init` shows.
pub const NAME: &CStr = c"tare-init";

/// A sealed file that holds a program image and the list of operations for it.
#[derive(Debug)]
pub struct Sealed {
    file: OwnedFd,
    /// Offset of the operations.
    offset: usize,
    /// Length from there to the end of the file.
    length: usize,
}

impl Sealed {
    /// Writes and seals the file: from then on nothing can change it, not even the container. `stamps` is the memory
    /// for a trace, or -1.
    ///
    /// # Errors
    /// The error of `memfd_create(2)`, `writev(2)`, `fcntl(2)` or, for the fallback, of the calls that mount.
    pub fn new(
        image: &[u8],
        data: &[u8],
        ops: &[Op],
        slots: &[RawFd],
        channel: RawFd,
        stamps: RawFd,
    ) -> nix::Result<Sealed> {
        const ZEROES: [u8; PAGE] = [0; PAGE];
        let offset = image.len().next_multiple_of(PAGE);
        let ops_at = (DATA + data.len()).next_multiple_of(8);
        let slots_at = ops_at + size_of_val(ops);
        let header = Header { ops: ops_at as u32, count: ops.len() as u32, slots: slots_at as u32, channel, stamps };
        // SAFETY: Header and Op are plain values of fixed layout; their bytes, padding included,
        // are only handed to the kernel, which copies them.
        let (header, ops) = unsafe {
            (
                std::slice::from_raw_parts((&raw const header).cast::<u8>(), size_of::<Header>()),
                std::slice::from_raw_parts(ops.as_ptr().cast::<u8>(), size_of_val(ops)),
            )
        };
        let slots: Vec<u8> = slots.iter().flat_map(|fd| fd.to_ne_bytes()).collect();
        let mut parts = [
            IoSlice::new(image),
            IoSlice::new(&ZEROES[..offset - image.len()]),
            IoSlice::new(header),
            IoSlice::new(data),
            IoSlice::new(&ZEROES[..ops_at - DATA - data.len()]),
            IoSlice::new(ops),
            IoSlice::new(&slots),
        ];
        let total: usize = parts.iter().map(|part| part.len()).sum();
        let file = match memfd() {
            // `vm.memfd_noexec=2` forbids to execute memfds, or a sandbox forbids to make one.
            Err(Errno::EACCES | Errno::EPERM | Errno::ENOSYS) => unlinked_file(&mut parts)?,
            file => {
                let file = file?;
                write_all(file.as_fd(), &mut parts)?;
                seal(&file)?;
                file
            }
        };
        Ok(Sealed { file, offset, length: total - offset })
    }
}

/// Makes an unlinked file with these parts, on a private tmpfs that is read-only from then on. Like a sealed memfd, it
/// cannot be changed.
#[cold]
fn unlinked_file(parts: &mut [IoSlice<'_>]) -> nix::Result<OwnedFd> {
    use nix::fcntl::{OFlag, openat};
    use nix::sys::stat::Mode;
    let mount = super::mount::private_tmpfs()?;
    let flags = OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    let writable = openat(&mount, NAME, flags | OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL, Mode::S_IRWXU)?;
    write_all(writable.as_fd(), parts)?;
    drop(writable);
    let file = openat(&mount, NAME, flags | OFlag::O_RDONLY, Mode::empty())?;
    nix::unistd::unlinkat(&mount, NAME, nix::unistd::UnlinkatFlags::NoRemoveDir)?;
    super::mount::make_read_only(&mount)?;
    Ok(file)
}

fn memfd() -> nix::Result<OwnedFd> {
    let create = |flags: u32| {
        // SAFETY: the name is a C string; the result is checked before it is used.
        let fd = unsafe { libc::syscall(libc::SYS_memfd_create, NAME.as_ptr(), flags) };
        // SAFETY: a new descriptor, which only this code owns.
        Errno::result(fd).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    };
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    match create(flags | MFD_EXEC) {
        Err(Errno::EINVAL) => create(flags),
        other => other,
    }
}

fn seal(file: &OwnedFd) -> nix::Result<()> {
    const F_SEAL_EXEC: i32 = 0x20;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    let add = |seals: i32| {
        // SAFETY: fcntl with an integer argument on a descriptor of our own.
        Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) })
    };
    match add(seals | F_SEAL_EXEC) {
        Err(Errno::EINVAL) => add(seals).map(drop),
        other => other.map(drop),
    }
}

/// A process that has just been started.
#[derive(Debug)]
pub struct Child {
    /// Its pid in the caller's pid namespace.
    pub pid: i32,
    /// The pidfd, which is safe from pid reuse.
    pub pidfd: OwnedFd,
}

/// `struct clone_args` of `linux/sched.h`.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The arguments of the child between the clone and `execveat(2)`. The child shares the runtime's memory.
struct Start {
    image: RawFd,
    argv: [*const libc::c_char; 6],
    envp: [*const libc::c_char; 1],
    /// Whether to raise all capabilities into the ambient set first.
    ambient: bool,
    /// The descriptors that become the standard descriptors; -1 leaves one as it is.
    stdio: [RawFd; 3],
    /// The errno, if the child could not execute the program.
    failed: AtomicI32,
}

/// Runs a sealed program in a new process.
///
/// The runtime is suspended until the child has left its memory (`CLONE_VFORK`), so the kernel copies no page table and
/// the child needs only a small stack.
///
/// `namespaces` are `CLONE_NEW*`. A child in a new user namespace has all capabilities there, but `execveat(2)` would
/// drop them, because its uid is not mapped yet. So the child raises them into the ambient set.
///
/// # Errors
/// The error of `clone3(2)` or `execveat(2)`. Without `clone3(2)` a process cannot be started in a cgroup.
pub fn start(
    sealed: &Sealed,
    namespaces: u64,
    cgroup: Option<BorrowedFd<'_>>,
    stdio: [Option<RawFd>; 3],
) -> nix::Result<Child> {
    let word = |number: usize| CString::new(number.to_string()).map_err(|_| Errno::EINVAL);
    let numbers = [word(sealed.file.as_raw_fd() as usize)?, word(sealed.offset)?, word(sealed.length)?];
    let words = [c"tare", c"init", &numbers[0], &numbers[1], &numbers[2]];
    let mut start = Start {
        image: sealed.file.as_raw_fd(),
        argv: [std::ptr::null(); 6],
        envp: [std::ptr::null()],
        ambient: namespaces & libc::CLONE_NEWUSER as u64 != 0,
        stdio: stdio.map(|fd| fd.unwrap_or(-1)),
        failed: AtomicI32::new(0),
    };
    for (place, word) in start.argv.iter_mut().zip(&words) {
        *place = word.as_ptr();
    }
    // The program reads its operations from the file that it was started from, so the descriptor must survive execve.
    nix::fcntl::fcntl(&sealed.file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()))?;
    let born = match vfork(&start, namespaces, cgroup, libc::CLONE_VM as u64) {
        // Before Linux 6.2, `CLONE_VM` across time namespaces is EINVAL.
        Err(Errno::EINVAL) => vfork(&start, namespaces, cgroup, 0),
        other => other,
    };
    let child = born?;
    match start.failed.load(Ordering::Acquire) {
        0 => Ok(child),
        errno => {
            let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(child.pid), None);
            Err(Errno::from_raw(errno))
        }
    }
}

fn vfork(start: &Start, namespaces: u64, cgroup: Option<BorrowedFd<'_>>, memory: u64) -> nix::Result<Child> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut stack = vec![0u128; 1024];
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: namespaces | memory | (libc::CLONE_VFORK | libc::CLONE_PIDFD) as u64,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: stack.as_mut_ptr() as u64,
        stack_size: size_of_val(stack.as_slice()) as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    let by_clone3 = [&raw const args as usize, size_of::<CloneArgs>(), 0];
    // SAFETY: `start` stays valid because of CLONE_VFORK: this thread continues only after the child has called
    // execveat(2) or exited. The arguments name the stack.
    let cloned = |number, arguments| unsafe { call(number, arguments, child, start) };
    let mut result = cloned(libc::SYS_clone3, by_clone3);
    const KNOWN_TO_CLONE: u64 = !(CLONE_INTO_CGROUP | libc::CLONE_NEWTIME as u64);
    if (result == -(libc::ENOSYS as isize) || result == -(libc::EPERM as isize))
        && args.flags & KNOWN_TO_CLONE == args.flags
    {
        // A sandbox may allow only `clone(2)`, which returns the pidfd through another argument.
        let flags = args.flags | args.exit_signal;
        let stack = stack.as_mut_ptr_range().end as usize;
        result = cloned(libc::SYS_clone, [flags as usize, stack, &raw mut pidfd as usize]);
    }
    drop(stack);
    if result < 0 {
        return Err(Errno::from_raw(-result as i32));
    }
    // SAFETY: clone3(2) has stored a new descriptor there, which only this code owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Child { pid: result as i32, pidfd })
}

/// Makes a clone system call with these arguments, and has the child call `entry` with `argument`, on the stack that
/// the arguments name. Returns the pid, or the negative errno.
///
/// # Safety
/// `argument` stays valid while the child runs `entry`, and the child has a stack of its own.
pub(super) unsafe fn call<T>(
    number: libc::c_long,
    arguments: [usize; 3],
    entry: extern "C" fn(*const T) -> !,
    argument: *const T,
) -> isize {
    let result: isize;
    // SAFETY: the caller's promise. The registers that hold the two pointers survive the system call, and the child
    // does not touch this stack.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") number as isize => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") 0,
            in("r8") 0,
            in("r12") argument,
            in("r13") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// Whether `clone3(2)` works here: only it can start a process in a cgroup.
pub fn has_clone3() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    // SAFETY: no arguments. A kernel that has the call answers EINVAL.
    *HAS.get_or_init(|| Errno::result(unsafe { libc::syscall(libc::SYS_clone3, 0, 0) }) == Err(Errno::EINVAL))
}

/// The child's code before `execveat(2)`: system calls only, on the runtime's memory.
extern "C" fn child(start: *const Start) -> ! {
    // SAFETY: `vfork` passes a valid pointer and waits for the child.
    let start = unsafe { &*start };
    if start.ambient {
        raise_ambient();
    }
    // SAFETY: argv and envp are null-terminated arrays of C strings that the runtime keeps. The exit does not run any
    // of the runtime's clean-up.
    unsafe {
        for (place, fd) in start.stdio.iter().enumerate() {
            if *fd >= 0 {
                libc::syscall(libc::SYS_dup2, *fd, place);
            }
        }
        libc::syscall(
            libc::SYS_execveat,
            start.image,
            c"".as_ptr(),
            start.argv.as_ptr(),
            start.envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
        start.failed.store(Errno::last_raw(), Ordering::Release);
        libc::syscall(libc::SYS_exit_group, 255);
    }
    std::process::abort()
}

/// Raises capabilities into the inheritable and then the ambient set. Without uid 0 both are necessary to keep
/// capabilities over `execve(2)`.
fn raise_ambient() {
    const HEADER: [u32; 2] = [0x2008_0522, 0];
    const PR_CAP_AMBIENT: i32 = 47;
    const PR_CAP_AMBIENT_RAISE: u64 = 2;
    let mut data = [0u32; 6];
    // SAFETY: both calls take a header of two and data of six 32-bit words (version 3).
    unsafe {
        libc::syscall(libc::SYS_capget, HEADER.as_ptr(), data.as_mut_ptr());
        (data[2], data[5]) = (data[1], data[4]);
        libc::syscall(libc::SYS_capset, HEADER.as_ptr(), data.as_ptr());
    }
    for capability in 0..64u64 {
        // SAFETY: prctl with integers only.
        if unsafe { libc::syscall(libc::SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) } != 0 {
            break;
        }
    }
}
