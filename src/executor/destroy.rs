//! Ending a container: kill, wait, remove.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

use super::hooks;
use crate::cgroup::Busy;
use crate::state::{Directory, Locked, Record};
use crate::sys::{self, Errno, reason};

/// How long a killed process may take to die.
const PATIENCE: Duration = Duration::from_secs(10);
/// After that time it may have been frozen once more by a `pause` that came in between.
const THAW_AGAIN: Duration = Duration::from_secs(1);
/// How often an `init` that its `create` has left is waited for. It ends when it has something to say to it.
const FAREWELLS: usize = 20;
/// Processes that fork while they are killed one by one are looked for again.
const ROUNDS: usize = 100;

/// Whose processes are killed when nothing tells whether those in the cgroup are the container's: its first process is
/// dead, and it has no namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// They are somebody else's, and stay.
    Spared,
    /// `--force`: the cgroup says that they are the container's.
    Killed,
}

/// Kill the first process, and with it everything in its pid namespace, and wait for its end.
///
/// # Errors
/// It cannot be killed, or does not die; nobody can tell whether it lives.
pub fn kill_and_wait(record: &Record) -> Result<()> {
    if record.pid == 0 {
        return Ok(());
    }
    let opened = sys::process::pidfd_open(record.pid);
    // Looked at with the handle open: the pid may have become another's.
    if !record.alive()? {
        return Ok(());
    }
    let pidfd = match opened {
        Ok(pidfd) => pidfd,
        Err(Errno::ESRCH) => return Ok(()),
        Err(errno) => bail!("pidfd_open: {}", reason(errno)),
    };
    match sys::process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL) {
        Ok(()) => {}
        Err(Errno::ESRCH) => return Ok(()),
        Err(errno) => bail!("kill: {}", reason(errno)),
    }
    for patience in [THAW_AGAIN, PATIENCE - THAW_AGAIN] {
        record.cgroup.let_die()?;
        if wait_for_exit(pidfd.as_fd(), Some(patience))? {
            return Ok(());
        }
    }
    bail!("container init still running");
}

/// Wait until the process behind a pidfd is dead; false when the time is up.
///
/// # Errors
/// What poll(2) answers.
pub fn wait_for_exit(pidfd: BorrowedFd<'_>, patience: Option<Duration>) -> Result<bool> {
    let begin = Instant::now();
    loop {
        let left = patience.map(|patience| patience.saturating_sub(begin.elapsed()));
        // Rounded up: poll(2) counts in milliseconds, and a wait of less than one is none.
        let milliseconds = left.map(|left| left + Duration::from_micros(999));
        let timeout =
            milliseconds.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        match poll(&mut [PollFd::new(pidfd, PollFlags::POLLIN)], timeout) {
            Ok(0) if left.is_some_and(|left| left.is_zero()) => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => bail!("poll: {}", reason(errno)),
        }
    }
}

/// Remove what is left of a container whose first process is dead, then run the poststop hooks. What failed in those
/// comes back as warnings; `None` says that somebody else has removed it.
///
/// # Errors
/// A cgroup that cannot be removed, because others live in it or without permission; nothing is lost then.
pub fn destroy(record: &Record, directory: &Directory, unknown: Unknown) -> Result<Option<Vec<String>>> {
    match directory.lock_record()? {
        Some(locked) if locked.record.is_of(record) => destroy_locked(&locked, directory, unknown).map(Some),
        _ => Ok(None),
    }
}

/// The same for who has the record already.
///
/// # Errors
/// As [`destroy`].
pub fn destroy_locked(locked: &Locked, directory: &Directory, unknown: Unknown) -> Result<Vec<String>> {
    let record = &locked.record;
    kill_survivors(record, unknown)?;
    let stays = remove_cgroup(record)?;
    if let Some(groups) = &record.rdt {
        groups.remove()?;
    }
    directory.remove()?;
    let mut warnings = hooks::poststop(record)?;
    warnings.extend(stays);
    Ok(warnings)
}

/// A container that never had a process may have a cgroup in its record that was another's before: that one stays, and a
/// warning says so.
fn remove_cgroup(record: &Record) -> Result<Option<String>> {
    for _ in 0..FAREWELLS {
        match record.cgroup.remove() {
            Err(error) if record.pid == 0 && error.is::<Busy>() => {}
            other => return other.map(|()| None),
        }
    }
    Ok(record.cgroup.remove().err().map(|error| format!("{error:#}")))
}

/// End a container that cannot go on, whatever it is doing, and remove it.
///
/// # Errors
/// As [`kill_and_wait`] and [`destroy`].
pub fn discard(record: &Record, directory: &Directory) -> Result<Vec<String>> {
    kill_and_wait(record)?;
    Ok(destroy(record, directory, Unknown::Killed)?.unwrap_or_default())
}

/// Without a pid namespace of its own the end of a container's first process is not the end of the others. Those that
/// are in the container's cgroup and in its namespaces are killed; who else lives in that cgroup is not.
///
/// Says whether there was anybody to kill.
///
/// # Errors
/// The cgroup cannot be read; a process cannot be killed.
pub fn kill_survivors(record: &Record, unknown: Unknown) -> Result<bool> {
    // A create that was killed before it knew its process: that ends by itself, and whoever else is in the cgroup was
    // there before.
    if record.namespaces.pid || record.pid == 0 {
        return Ok(false);
    }
    let own = |pid: i32| record.is_own(pid).unwrap_or(unknown == Unknown::Killed);
    let mut killed = false;
    for _ in 0..ROUNDS {
        let all = record.cgroup.pids()?;
        let (ours, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|pid| own(pid.as_raw()));
        if ours.is_empty() {
            return Ok(killed);
        }
        if others.is_empty() {
            // At once, so that nobody forks away.
            record.cgroup.kill_all(Signal::SIGKILL)?;
            return Ok(true);
        }
        for pid in ours {
            match sys::process::pidfd_open(pid.as_raw()) {
                // Once more behind the handle, as the pid may have become another's.
                Ok(pidfd) if own(pid.as_raw()) => {
                    let sent = sys::process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL);
                    sent.or_else(|errno| if errno == Errno::ESRCH { Ok(()) } else { Err(errno) })
                        .map_err(|errno| anyhow!("kill {pid}: {}", reason(errno)))?;
                    wait_for_exit(pidfd.as_fd(), Some(PATIENCE)).with_context(|| format!("kill {pid}"))?;
                }
                Ok(_) | Err(Errno::ESRCH) => {}
                Err(errno) => bail!("pidfd_open {pid}: {}", reason(errno)),
            }
        }
        killed = true;
    }
    Ok(killed)
}
