//! Pidfds and limits of other processes, and child processes.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::thread::{Builder, JoinHandle};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, fstat};
use nix::sys::statfs::fstatfs;

use super::heap;

/// Opens a pidfd, which is safe from pid reuse.
///
/// # Errors
/// ESRCH if there is no such process.
pub fn pidfd_open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: integers only; the result is a new descriptor, which only this code owns.
    let opened = unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        Errno::result(fd).map(|fd| OwnedFd::from_raw_fd(fd as RawFd))
    };
    // Older kernels answer EINVAL if the pid is only the number of a process group or session whose leader has exited.
    opened.map_err(|errno| if errno == Errno::EINVAL { Errno::ESRCH } else { errno })
}

/// The number of a process in the file system of pidfds, which no other process gets until the next boot (Linux 6.9);
/// `None` on older kernels.
///
/// # Errors
/// The error of fstatfs(2) or fstat(2).
pub fn pidfd_number(pidfd: BorrowedFd<'_>) -> nix::Result<Option<u64>> {
    const PID_FS_MAGIC: i64 = 0x5049_4446;
    let is_there = fstatfs(pidfd)?.filesystem_type().0 as i64 == PID_FS_MAGIC;
    if is_there { Ok(Some(fstat(pidfd)?.st_ino)) } else { Ok(None) }
}

/// Whether the process with this pid has this [`pidfd_number`] and has not exited. False also if the kernel cannot
/// tell.
pub fn runs(pid: i32, number: u64) -> bool {
    let Ok(pidfd) = pidfd_open(pid) else { return false };
    // A pidfd is readable when the process has exited, even if its parent has not waited for it.
    let exited = || poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO);
    fstat(&pidfd).is_ok_and(|found| found.st_ino == number) && exited() == Ok(0)
}

/// Sends a signal through a pidfd; 0 only checks the permission.
///
/// # Errors
/// ESRCH if the process has exited, EINVAL for an invalid signal.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> nix::Result<()> {
    // SAFETY: integers only; no siginfo.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<u8>(), 0) };
    Errno::result(result).map(drop)
}

/// Copies a descriptor of another process, by its number there.
///
/// # Errors
/// EPERM without the right to trace the process, EBADF if the process has no such descriptor.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, number: i32) -> nix::Result<OwnedFd> {
    // SAFETY: integers only; the result is a new descriptor, which only this code owns.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0);
        Errno::result(fd).map(|fd| OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Whether seccomp(2) supports these filter flags. This loads no filter.
pub fn knows_seccomp_flags(flags: u32) -> bool {
    // SAFETY: the kernel checks the flags before it reads the program, and answers EFAULT for this address.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::null::<libc::sock_fprog>())
    };
    Errno::result(result) == Err(Errno::EFAULT)
}

/// Sets a resource limit of another process.
///
/// # Errors
/// The error of `prlimit(2)`.
pub fn prlimit(pid: i32, resource: u32, soft: u64, hard: u64) -> nix::Result<()> {
    let limit = [soft, hard];
    // SAFETY: the array has the layout of struct rlimit64.
    let result = unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, limit.as_ptr(), std::ptr::null::<u8>()) };
    Errno::result(result).map(drop)
}

/// Borrows a descriptor by its number.
pub fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY: callers hold the descriptor open while they use the result. If the number is not open, calls on it fail
    // with EBADF.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Takes ownership of a descriptor that a system call has just returned.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: callers pass the result of a call that returns a new descriptor, once.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The `CLONE_NEW*` flag of the namespace that a descriptor refers to (`NS_GET_NSTYPE`, ioctl_ns(2)).
///
/// # Errors
/// ENOTTY if the descriptor is not a namespace.
pub fn namespace_kind(namespace: BorrowedFd<'_>) -> nix::Result<u32> {
    const NS_GET_NSTYPE: u64 = 0xb703;
    // SAFETY: this ioctl takes no argument.
    let kind = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE as _) };
    Errno::result(kind).map(|kind| kind as u32)
}

/// Starts a process in a new user namespace, and in other new namespaces. The process waits until it is killed.
///
/// # Errors
/// The error of `clone(2)`.
pub fn hold_user_namespace(others: i32) -> nix::Result<super::clone::Child> {
    let mut pidfd: RawFd = -1;
    let flags = others | libc::CLONE_NEWUSER | libc::CLONE_PIDFD | libc::SIGCHLD;
    let parent = std::process::id() as i32;
    // SAFETY: a plain fork: the child has a copy of the memory and only makes system calls; the kernel stores the pidfd
    // in a variable that outlives the call.
    unsafe {
        let pid = libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0);
        if pid == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // If the runtime exits before prctl(2), the kernel does not send the death signal.
            while libc::getppid() == parent {
                libc::pause();
            }
            libc::_exit(0);
        }
        let pid = Errno::result(pid)? as i32;
        Ok(super::clone::Child { pid, pidfd: OwnedFd::from_raw_fd(pidfd) })
    }
}

/// Makes new files of this thread those of another user, without loss of rights.
///
/// # Errors
/// The error of `capset(2)`.
pub fn make_files_as(uid: u32, gid: u32) -> nix::Result<()> {
    const HEADER: [u32; 2] = [0x2008_0522, 0];
    let mut data = [0u32; 6];
    // SAFETY: integers, a header of two and data of six 32-bit words (version 3). The calls affect this thread alone.
    unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsuid, uid);
        // setfsuid(2) has lowered the effective set.
        Errno::result(libc::syscall(libc::SYS_capget, HEADER.as_ptr(), data.as_mut_ptr()))?;
        (data[0], data[3]) = (data[1], data[4]);
        Errno::result(libc::syscall(libc::SYS_capset, HEADER.as_ptr(), data.as_ptr())).map(drop)
    }
}

/// Does work in a copy of this process, and waits for it: for changes of the process that cannot be undone. `None` if the
/// copy did not end by itself.
///
/// Only the main thread may call this: the copy has its allocator (`heap.rs`) and no other thread.
///
/// # Errors
/// The error of `fork(2)` or `waitpid(2)`.
pub fn in_a_copy(work: impl FnOnce() -> u8) -> nix::Result<Option<u8>> {
    use nix::sys::wait::{WaitStatus, waitpid};
    // SAFETY: the C library's fork(2) leaves its own locks free in the child, and no other thread has the main thread's
    // part of the heap.
    let child = match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { child } => child,
        nix::unistd::ForkResult::Child => {
            let status = work();
            // SAFETY: ends the copy without the clean-up of the original.
            unsafe { libc::_exit(i32::from(status)) }
        }
    };
    match super::again(|| waitpid(child, None))? {
        WaitStatus::Exited(_, status) => Ok(u8::try_from(status).ok()),
        _ => Ok(None),
    }
}

/// All signals of the kernel. The C library's own set lacks those that it reserves for itself, in musl also signal 34.
pub fn all_signals() -> SigSet {
    // SAFETY: a set is plain bits, and each combination of them is a valid set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        std::ptr::write_bytes(&raw mut set, 0xff, 1);
        SigSet::from_sigset_t_unchecked(set)
    }
}

/// Starts a thread. `std::thread::spawn` would panic if the kernel refuses it.
///
/// At the first thread musl unblocks the signals that it reserves, 33 and 34, which would then end this process. If
/// this thread blocks signals, both threads block all of them again.
///
/// # Errors
/// The thread cannot be started.
pub fn thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::io::Result<JoinHandle<T>> {
    let blocks = SigSet::thread_get_mask()?.contains(Signal::SIGTERM);
    let block = move || if blocks { all_signals().thread_block() } else { Ok(()) };
    heap::prepare_a_thread()?;
    let thread = Builder::new().spawn(move || {
        // Without it, only signals 33 and 34 are not forwarded.
        let _ = block();
        work()
    })?;
    block()?;
    Ok(thread)
}

/// Unblocks all signals, after discarding those that are pending.
///
/// # Errors
/// The error of `sigprocmask(2)`.
pub fn admit_signals() -> nix::Result<()> {
    let set = all_signals();
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the siginfo is null, and the set and the timeout outlive the call.
    while unsafe { libc::sigtimedwait(set.as_ref(), std::ptr::null_mut(), &at_once) } > 0 {}
    SigSet::empty().thread_set_mask()
}

/// Makes the kernel keep dead children as zombies until wait(2). If the caller started the runtime with SIGCHLD
/// ignored, this is inherited, and wait(2) would report nothing.
pub fn expect_children() {
    // SAFETY: the default action runs no code of this program. The call cannot fail for this signal.
    let _ = unsafe { nix::sys::signal::signal(nix::sys::signal::SIGCHLD, nix::sys::signal::SigHandler::SigDfl) };
}

/// Ends this process by the signal. Returns if that fails.
pub fn die_of(signal: nix::sys::signal::Signal) {
    use nix::sys::signal::{SigHandler, raise};
    // SAFETY: the default action runs no code of this program.
    let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    let _ = SigSet::from(signal).thread_unblock();
    let _ = raise(signal);
}

/// Runs a command without input and collects its output.
///
/// [`Command::output`](std::process::Command::output) is not used, because it panics if it cannot read from the
/// command.
///
/// # Errors
/// The command cannot be started, or its output cannot be read.
pub fn output(command: &mut std::process::Command) -> std::io::Result<std::process::Output> {
    use std::io::Read;
    use std::process::{Output, Stdio};
    fn all(mut from: impl Read) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map(|_| bytes)
    }
    expect_children();
    heap::prepare_a_thread()?;
    let ((stdout, theirs), (stderr, their_errors)) = (std::io::pipe()?, std::io::pipe()?);
    let mut child = command.stdin(Stdio::null()).stdout(theirs).stderr(their_errors).spawn()?;
    // This drops the runtime's copies of the write ends of the pipes.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let read = std::thread::scope(|scope| -> std::io::Result<_> {
        let errors = std::thread::Builder::new().spawn_scoped(scope, || all(stderr))?;
        let output = all(stdout);
        let errors = errors.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((output?, errors?))
    });
    if read.is_err() {
        let _ = child.kill();
    }
    let (status, (stdout, stderr)) = (child.wait()?, read?);
    Ok(Output { status, stdout, stderr })
}

/// Runs a command without input and output, and returns what it writes to standard error.
///
/// This starts no thread, unlike [`output`]. A thread that has ended is a part of the process for a moment longer, and as
/// long as setns(2) refuses a user namespace.
///
/// # Errors
/// The command cannot be started, or its message cannot be read.
pub fn complain(command: &mut std::process::Command) -> std::io::Result<(std::process::ExitStatus, String)> {
    use std::io::{Read, Seek};
    use std::process::Stdio;
    expect_children();
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    let mut message = std::fs::File::from(nix::sys::memfd::memfd_create(c"message", flags)?);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(message.try_clone()?).status()?;
    message.rewind()?;
    let mut bytes = Vec::new();
    message.read_to_end(&mut bytes)?;
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

/// Gives a command an empty signal mask, if signals are blocked here, and the caller's limits, if some were raised.
pub fn start_as_called(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let unblocked = SigSet::thread_get_mask().is_ok_and(|mask| mask == SigSet::empty());
    if unblocked && super::limits::raised().is_empty() {
        return;
    }
    let restore = || Ok(SigSet::empty().thread_set_mask().and_then(|()| super::limits::restore())?);
    // SAFETY: between fork and execve the closure makes only system calls, which need no lock and no allocator.
    unsafe { command.pre_exec(restore) };
}

/// The umask of this process. umask(2) sets a mask to return the old one, so a process with threads must not call this.
pub fn umask() -> Mode {
    let mask = nix::sys::stat::umask(Mode::all());
    nix::sys::stat::umask(mask);
    mask
}

/// Marks all descriptors from this number on close-on-exec: by close_range(2) (Linux 5.11), or one by one.
///
/// # Errors
/// close_range(2) fails and the list of descriptors cannot be read.
pub fn close_on_exec_from(first: u32) -> nix::Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: integers only; the call closes no descriptor, so no `OwnedFd` becomes invalid.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    let Err(errno) = Errno::result(result) else { return Ok(()) };
    for entry in std::fs::read_dir("/proc/self/fd").map_err(|_| errno)? {
        let name = entry.map_err(|_| errno)?.file_name();
        let number = name.to_str().and_then(|name| name.parse::<RawFd>().ok()).unwrap_or(-1);
        if number >= first as RawFd {
            use nix::fcntl::{FcntlArg, FdFlag, fcntl};
            fcntl(borrow(number), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
    }
    Ok(())
}
