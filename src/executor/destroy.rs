//! Ending a container: kill, wait, remove.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Result, anyhow, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::hooks;
use crate::state::{Directory, Record, alive};
use crate::sys::{self, Errno, reason};

/// How long a killed process may take to die, in milliseconds.
const PATIENCE: u16 = 10_000;

/// Kill the first process, and with it everything in its pid namespace, and wait for its end.
pub fn kill_and_wait(record: &Record) -> Result<()> {
    // A frozen process cannot die on cgroup v1.
    let _ = record.cgroup.thaw();
    if record.pid == 0 {
        return Ok(());
    }
    let pidfd = match sys::process::pidfd_open(record.pid) {
        Ok(pidfd) if alive(record.pid, record.start_time) => pidfd,
        Ok(_) | Err(Errno::ESRCH) => return Ok(()),
        Err(errno) => return Err(anyhow!("pidfd_open: {}", reason(errno))),
    };
    match sys::process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL) {
        Ok(()) => {}
        Err(Errno::ESRCH) => return Ok(()),
        Err(errno) => bail!("kill: {}", reason(errno)),
    }
    if !wait_for_exit(pidfd.as_fd(), PollTimeout::from(PATIENCE)) {
        bail!("container init still running");
    }
    Ok(())
}

/// Wait until the process behind a pidfd is dead; false when the time is up.
pub fn wait_for_exit(pidfd: BorrowedFd<'_>, patience: PollTimeout) -> bool {
    loop {
        match poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], patience) {
            Ok(0) => return false,
            Err(Errno::EINTR) => {}
            _ => return true,
        }
    }
}

/// Remove what is left of a container whose first process is dead, then run the poststop hooks.
///
/// # Errors
/// A cgroup that cannot be removed; or a failed hook, when everything else is gone already.
pub fn destroy(record: &Record, directory: &Directory) -> Result<Vec<String>> {
    if !record.namespaces.pid || record.pid == 0 {
        record.cgroup.kill_all(Signal::SIGKILL)?;
    }
    if let Err(error) = record.cgroup.remove() {
        // Somebody was moved in from outside.
        record.cgroup.kill_all(Signal::SIGKILL)?;
        record.cgroup.remove().map_err(|_| error)?;
    }
    if let Some(groups) = &record.rdt {
        groups.remove()?;
    }
    directory.remove()?;
    hooks::poststop(record)
}
