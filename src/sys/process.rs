//! Handles and limits of other processes, and child processes.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::stat::Mode;

/// A pidfd, which is safe from pid reuse.
///
/// # Errors
/// ESRCH when there is no such process.
pub fn pidfd_open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: integers only; a result is a new descriptor of our own.
    let opened = unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        Errno::result(fd).map(|fd| OwnedFd::from_raw_fd(fd as RawFd))
    };
    // Older kernels answer EINVAL for the number of a process group or session whose leader is gone.
    opened.map_err(|errno| if errno == Errno::EINVAL { Errno::ESRCH } else { errno })
}

/// Send a signal through a pidfd; 0 only checks the permission.
///
/// # Errors
/// ESRCH when the process is gone, EINVAL for no signal.
pub fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> nix::Result<()> {
    // SAFETY: integers only, and no siginfo.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<u8>(), 0) };
    Errno::result(result).map(drop)
}

/// The C library's name of a signal; in lower case it is Go's.
pub fn signal_text(signal: i32) -> String {
    // SAFETY: the answer is a string that stands until this thread asks again.
    let text = unsafe { std::ffi::CStr::from_ptr(libc::strsignal(signal)) };
    text.to_string_lossy().to_lowercase()
}

/// Copy a descriptor of another process, by its number there.
///
/// # Errors
/// EPERM for who may not trace the process, EBADF where it has no such descriptor.
pub fn pidfd_getfd(pidfd: BorrowedFd<'_>, number: i32) -> nix::Result<OwnedFd> {
    // SAFETY: integers only; a result is a new descriptor of our own.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0);
        Errno::result(fd).map(|fd| OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Does seccomp(2) support these filter flags? Nothing is loaded.
pub fn knows_seccomp_flags(flags: u32) -> bool {
    // SAFETY: the kernel looks at the flags first, and finds no program at this address.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::null::<libc::sock_fprog>())
    };
    Errno::result(result) == Err(Errno::EFAULT)
}

/// Set a resource limit of another process.
///
/// # Errors
/// What `prlimit(2)` answers.
pub fn prlimit(pid: i32, resource: u32, soft: u64, hard: u64) -> nix::Result<()> {
    let limit = [soft, hard];
    // SAFETY: the array has the layout of struct rlimit64.
    let result = unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, limit.as_ptr(), std::ptr::null::<u8>()) };
    Errno::result(result).map(drop)
}

/// Borrow a descriptor by its number.
pub fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY: callers name descriptors that they hold open while they use the result; a number
    // that is not open makes the calls on it fail with EBADF.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Own a descriptor that a system call has just returned.
pub fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: callers pass the result of a call that gives a new descriptor, once.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// `CLONE_NEW*` of the namespace behind a descriptor (`NS_GET_NSTYPE`, ioctl_ns(2)).
///
/// # Errors
/// ENOTTY when it is no namespace.
pub fn namespace_kind(namespace: BorrowedFd<'_>) -> nix::Result<u32> {
    const NS_GET_NSTYPE: u64 = 0xb703;
    // SAFETY: this ioctl takes no argument.
    let kind = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE as _) };
    Errno::result(kind).map(|kind| kind as u32)
}

/// Start a process in a new user namespace, and in other new namespaces, that waits to be killed.
///
/// # Errors
/// What `clone(2)` answers.
pub fn hold_user_namespace(others: i32) -> nix::Result<super::clone::Child> {
    let mut pidfd: RawFd = -1;
    let flags = others | libc::CLONE_NEWUSER | libc::CLONE_PIDFD | libc::SIGCHLD;
    let parent = std::process::id() as i32;
    // SAFETY: a plain fork: the child has a copy of everything and only makes system calls; the
    // parent gets its pidfd in a variable that lives here.
    unsafe {
        let pid = libc::syscall(libc::SYS_clone, flags, 0, &raw mut pidfd, 0, 0);
        if pid == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // The death signal does not come if the parent exited before prctl(2).
            while libc::getppid() == parent {
                libc::pause();
            }
            libc::_exit(0);
        }
        let pid = Errno::result(pid)? as i32;
        Ok(super::clone::Child { pid, pidfd: OwnedFd::from_raw_fd(pidfd) })
    }
}

/// Unblock signals, after dropping those that are pending.
///
/// # Errors
/// What `sigprocmask(2)` answers.
pub fn admit_signals() -> nix::Result<()> {
    // SAFETY: the set is filled before it is read, no siginfo is asked for, and the time lives here.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigfillset(&mut set);
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        while libc::sigtimedwait(&set, std::ptr::null_mut(), &at_once) > 0 {}
    }
    nix::sys::signal::SigSet::empty().thread_set_mask()
}

/// Keep dead children as zombies until they are collected. The caller may have started this program with SIGCHLD
/// ignored, which is inherited: then wait(2) reports nothing.
pub fn expect_children() {
    // SAFETY: the default action runs no code of ours. The call cannot fail for this signal.
    let _ = unsafe { nix::sys::signal::signal(nix::sys::signal::SIGCHLD, nix::sys::signal::SigHandler::SigDfl) };
}

/// Die of this signal. Returns if that fails.
pub fn die_of(signal: nix::sys::signal::Signal) {
    use nix::sys::signal::{SigHandler, SigSet, raise};
    // SAFETY: the default action runs no code of ours.
    let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) };
    let _ = SigSet::from(signal).thread_unblock();
    let _ = raise(signal);
}

/// Run a command without input and collect its output.
///
/// Own code: [`Command::output`](std::process::Command::output) panics if it cannot read from the command.
///
/// # Errors
/// What keeps it from being run, or read from.
pub fn output(command: &mut std::process::Command) -> std::io::Result<std::process::Output> {
    use std::io::Read;
    use std::process::{Output, Stdio};
    fn all(mut from: impl Read) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map(|_| bytes)
    }
    expect_children();
    let ((stdout, theirs), (stderr, their_errors)) = (std::io::pipe()?, std::io::pipe()?);
    let mut child = command.stdin(Stdio::null()).stdout(theirs).stderr(their_errors).spawn()?;
    // This drops the runtime's copies of the writing ends.
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

/// Give a command an empty signal mask if signals are blocked here, and the caller's limits if some were raised.
pub fn start_as_called(command: &mut std::process::Command) {
    use nix::sys::signal::SigSet;
    use std::os::unix::process::CommandExt;
    let unblocked = SigSet::thread_get_mask().is_ok_and(|mask| mask == SigSet::empty());
    if unblocked && super::limits::raised().is_empty() {
        return;
    }
    let restore = || Ok(SigSet::empty().thread_set_mask().and_then(|()| super::limits::restore())?);
    // SAFETY: between fork and execve system calls are made, which need no lock and no memory.
    unsafe { command.pre_exec(restore) };
}

/// The umask of this process. umask(2) returns it only while it sets another one: not for a process with threads.
pub fn umask() -> Mode {
    let mask = nix::sys::stat::umask(Mode::all());
    nix::sys::stat::umask(mask);
    mask
}

/// Mark all descriptors from this number on close-on-exec: by one call (Linux 5.11), or one by one.
///
/// # Errors
/// Where neither is to be had.
pub fn close_on_exec_from(first: u32) -> nix::Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: integers only; no descriptor is closed here, so none of ours is invalidated.
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
