//! Ending a container: kill, wait, remove.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::hooks;
use super::wait::wait_for_exit;
use crate::cgroup::{Busy, Mark};
use crate::state::{Directory, Locked, Record};
use crate::sys::{self, Errno, reason};

/// How long a killed process may take to die.
const PATIENCE: Duration = Duration::from_secs(10);
/// After that time it may have been frozen once more by a `pause` that came in between.
const THAW_AGAIN: Duration = Duration::from_secs(1);
/// How often an `init` that its `create` has left is waited for. It ends when it has something to say to it.
const FAREWELLS: usize = 2;

/// Who is killed of those that live in the cgroup when the first process is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// All, if a mark says that the cgroup is still the container's.
    Own,
    /// All, unless a mark says that it is another one's: `--force`.
    Unknown,
    /// All: the first process has lived until a moment ago, and since then nobody could take over the cgroup.
    All,
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

/// Remove what is left of a container whose first process is dead, then run the poststop hooks. What failed in those
/// comes back as warnings; `None` says that somebody else has removed it.
///
/// # Errors
/// A cgroup that cannot be removed, because others live in it or without permission; nothing is lost then.
pub fn destroy(record: &Record, directory: &Directory, survivors: Survivors) -> Result<Option<Vec<String>>> {
    match directory.lock_record()? {
        Some(locked) if locked.record.is_of(record) => destroy_locked(&locked, directory, survivors).map(Some),
        _ => Ok(None),
    }
}

/// The same for who has the record already.
///
/// # Errors
/// As [`destroy`].
pub fn destroy_locked(locked: &Locked, directory: &Directory, survivors: Survivors) -> Result<Vec<String>> {
    let record = &locked.record;
    kill_survivors(record, survivors)?;
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
    let is_busy = |removed: &Result<()>| removed.as_ref().is_err_and(|error| record.pid == 0 && error.is::<Busy>());
    let mut removed = record.cgroup.remove();
    for _ in 0..FAREWELLS {
        if is_busy(&removed) {
            removed = record.cgroup.remove();
        }
    }
    if is_busy(&removed) { Ok(removed.err().map(|error| format!("{error:#}"))) } else { removed.map(|()| None) }
}

/// Kill a container whatever it is doing, and remove it, for who has the record already.
///
/// # Errors
/// As [`kill_and_wait`] and [`destroy`].
pub fn end_locked(locked: &Locked, directory: &Directory, otherwise: Survivors) -> Result<Vec<String>> {
    let record = &locked.record;
    let claim = if record.alive()? { record.cgroup.claim()? } else { None };
    // Alive behind the claim: so it is the container's.
    let survivors = if claim.is_some() && record.alive()? { Survivors::All } else { otherwise };
    kill_and_wait(record)?;
    destroy_locked(locked, directory, survivors)
}

/// End a container that cannot go on, and remove it.
///
/// # Errors
/// As [`kill_and_wait`] and [`destroy`].
pub fn discard(record: &Record, directory: &Directory) -> Result<Vec<String>> {
    match directory.lock_record()? {
        Some(locked) if locked.record.is_of(record) => end_locked(&locked, directory, Survivors::Unknown),
        _ => Ok(Vec::new()),
    }
}

/// Without a pid namespace of its own the end of a container's first process is not the end of the others: all that is in
/// its cgroup is killed, unless the cgroup is another container's by now.
///
/// Says whether there was anybody to kill.
///
/// # Errors
/// The cgroup cannot be read; a process cannot be killed.
pub fn kill_survivors(record: &Record, survivors: Survivors) -> Result<bool> {
    let Record { cgroup, namespaces, pid, .. } = record;
    let mark = || cgroup.mark_for(record.owner().token);
    let own = || match survivors {
        Survivors::All => Ok(true),
        Survivors::Own => Ok(mark()? == Mark::Own),
        Survivors::Unknown => Ok::<_, anyhow::Error>(mark()? != Mark::Other),
    };
    // A create that was killed before it knew its process: that ends by itself, and whoever else is in the cgroup was
    // there before.
    let nobody = survivors != Survivors::All && (namespaces.pid || *pid == 0);
    if nobody || cgroup.is_empty()? || !own()? {
        return Ok(false);
    }
    cgroup.kill_all(Signal::SIGKILL).map(|()| true)
}
