//! Waits for a process: forwards signals to it, reaps it, and reaps its orphans.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigmaskHow, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::relay::Relay;
use crate::sys::clone::Child;
use crate::sys::{self, Call, CallError, Errno};

/// The new parent of processes whose parent in the container exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// This process becomes their parent and reaps them.
    Adopt,
    /// The kernel chooses another parent.
    Leave,
}

impl Orphans {
    /// The setting for `--no-subreaper`.
    pub fn of(no_subreaper: bool) -> Orphans {
        if no_subreaper { Orphans::Leave } else { Orphans::Adopt }
    }
}

/// Blocks all signals, so that none is lost between the clone and the wait.
pub fn prepare_to_wait(orphans: Orphans) -> Result<()> {
    sys::process::expect_children();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&sys::process::all_signals()), None).named("sigprocmask")?;
    if orphans == Orphans::Adopt {
        nix::sys::prctl::set_child_subreaper(true).named("prctl")?;
    }
    Ok(())
}

/// Waits until the process of a pidfd is dead; false if the time is up.
///
/// # Errors
/// The error of poll(2).
pub fn wait_for_exit(pidfd: BorrowedFd<'_>, patience: Option<Duration>) -> Result<bool> {
    let begin = Instant::now();
    loop {
        let left = patience.map(|patience| patience.saturating_sub(begin.elapsed()));
        // Rounded up: poll(2) takes milliseconds, and 0 would not wait at all.
        let milliseconds = left.map(|left| left + Duration::from_micros(999));
        let timeout =
            milliseconds.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        match poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_some_and(|left| left.is_zero()) => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => bail!(CallError::new("poll", errno)),
        }
    }
}

/// The time that a killed process may take to exit.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two looks for dead children.
const GLANCE: Duration = Duration::from_millis(10);

/// Waits until a killed process is dead, like [`wait_for_exit`], and reaps the other dead children of this process
/// meanwhile.
///
/// A fault may leave a child that nobody knows: if `init` is killed after it has forked and before it has sent the pid.
/// That child is in the container's pid namespace, whose first process does not end before the child is reaped.
///
/// # Errors
/// The error of poll(2).
pub fn wait_for_end(process: &Child, patience: Duration) -> Result<bool> {
    let begin = Instant::now();
    while !wait_for_exit(process.pidfd.as_fd(), Some(GLANCE))? {
        if begin.elapsed() > patience {
            return Ok(false);
        }
        reap_others(process.pid);
    }
    Ok(true)
}

/// Reaps all dead children up to the one with the pid `except`.
fn reap_others(except: i32) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while let Some(dead) = waitid(Id::All, look).ok().and_then(|status| status.pid()) {
        if dead.as_raw() == except || waitpid(dead, Some(WaitPidFlag::WNOHANG)).is_err() {
            return;
        }
    }
}

/// Forwards every signal to the process until the process ends, and changes of the window size to its terminal. Returns
/// the status in the form of a shell: the exit code, or 128 plus the signal.
pub fn forward_until_exit(child: &Child, relay: &mut Relay) -> Result<i32> {
    let all = sys::process::all_signals();
    // A thread that has ended may have left some unblocked: sys::process::thread says why.
    all.thread_block().named("sigprocmask")?;
    let signals = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC).named("signalfd")?;
    loop {
        if let Some(status) = reap(child.pid)? {
            return Ok(status);
        }
        if !relay.wait(Some(signals.as_fd()))? {
            continue;
        }
        let signal = signals.read_signal().named("signalfd")?;
        match signal.map_or(0, |signal| signal.ssi_signo as i32) {
            libc::SIGCHLD | libc::SIGURG => {}
            libc::SIGWINCH => relay.resize(),
            signal => drop(sys::process::pidfd_send_signal(child.pidfd.as_fd(), signal)),
        }
    }
}

/// Reaps all dead children. Returns the status of process `pid` if it is one of them.
fn reap(pid: i32) -> Result<Option<i32>> {
    let mut found = None;
    loop {
        match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(dead, code)) if dead.as_raw() == pid => found = Some(code),
            Ok(WaitStatus::Signaled(dead, signal, _)) if dead.as_raw() == pid => found = Some(128 + signal as i32),
            Ok(WaitStatus::StillAlive) => return Ok(found),
            Ok(_) => {}
            Err(Errno::ECHILD) => return Ok(Some(found.unwrap_or(255))),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(CallError::new("waitpid", errno).into()),
        }
    }
}
