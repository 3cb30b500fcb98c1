//! A parent for the processes that lose theirs.

use super::Result;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::process::exit;

/// Continues in a child of this process. This process stays: it reaps orphans, and ends with the child's status.
///
/// A pid namespace does not end while one of its processes is a zombie. If a runtime is killed, its zombies fall to the
/// machine's pid 1, and in some virtual machines pid 1 takes seconds to reap them.
pub fn continue_below_one() -> Result {
    prctl::set_child_subreaper(true)?;
    // SAFETY: this process has one thread, so the child may do everything.
    let ForkResult::Parent { child } = (unsafe { fork()? }) else {
        return Ok(prctl::set_pdeathsig(Signal::SIGKILL)?);
    };
    loop {
        match waitpid(None::<Pid>, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => exit(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => exit(128 + signal as i32),
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(_) => exit(2),
        }
    }
}
