//! Ending a container: kill, wait, remove.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use super::hooks;
use super::union;
use super::wait::{PATIENCE, wait_for_end};
use crate::cgroup::{Busy, Mark};
use crate::state::{Directory, Locked, Record};
use crate::sys::clone::Child;
use crate::sys::{self, CallError, Errno};
use crate::trace;

/// After this time thaw again: a concurrent `pause` may have frozen the container.
const THAW_AGAIN: Duration = Duration::from_secs(1);
/// The number of times to wait for an `init` whose `create` was killed. Such an `init` exits at its next message.
const FAREWELLS: usize = 2;

/// The processes in the cgroup to kill after the first process is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// All, if the mark says that the cgroup is this container's.
    Own,
    /// All, unless the mark names another container: `--force`.
    Unknown,
    /// All: the first process lived until a moment ago, so no other container can have taken over the cgroup.
    All,
}

/// Kills the first process, and with it its pid namespace, and waits until it is dead.
///
/// # Errors
/// It cannot be killed, or does not die, or it is unknown whether it lives.
pub fn kill_and_wait(record: &Record) -> Result<()> {
    if record.pid == 0 {
        return Ok(());
    }
    let opened = sys::process::pidfd_open(record.pid);
    // Check after pidfd_open(2): the pid may have been reused before.
    if !record.alive()? {
        return Ok(());
    }
    let pidfd = match opened {
        Ok(pidfd) => pidfd,
        Err(Errno::ESRCH) => return Ok(()),
        Err(errno) => bail!(CallError::new("pidfd_open", errno)),
    };
    let process = Child { pid: record.pid, pidfd };
    match sys::process::pidfd_send_signal(process.pidfd.as_fd(), libc::SIGKILL) {
        Ok(()) => {}
        Err(Errno::ESRCH) => return Ok(()),
        Err(errno) => bail!(CallError::new("kill", errno)),
    }
    for patience in [THAW_AGAIN, PATIENCE - THAW_AGAIN] {
        record.cgroup.let_die()?;
        if trace::wait("wait for the end of the first process", || wait_for_end(&process, patience))? {
            return Ok(());
        }
    }
    bail!("container init still running");
}

/// Removes a container whose first process is dead, then runs the poststop hooks. Failed hooks are returned as
/// warnings; `None` if another command has removed the container.
///
/// # Errors
/// The cgroup cannot be removed, because it has other processes or permission is missing. The record stays then.
pub fn destroy(record: &Record, directory: &Directory, survivors: Survivors) -> Result<Option<Vec<String>>> {
    match directory.lock_record()? {
        Some(locked) if locked.record.is_of(record) => destroy_locked(&locked, directory, survivors).map(Some),
        _ => Ok(None),
    }
}

/// Like [`destroy`], for a caller that holds the record's lock.
///
/// # Errors
/// The errors of [`destroy`].
pub fn destroy_locked(locked: &Locked, directory: &Directory, survivors: Survivors) -> Result<Vec<String>> {
    let record = &locked.record;
    trace::work("end the other processes", || kill_survivors(record, survivors))?;
    let stays = trace::work("remove the cgroup", || remove_cgroup(record))?;
    if let Some(groups) = &record.rdt {
        groups.remove()?;
    }
    if record.union.is_some() {
        trace::work("remove the writable layer", || union::remove(record))?;
    }
    trace::work("remove the state directory", || directory.remove())?;
    let mut warnings = hooks::poststop(record)?;
    warnings.extend(stays);
    Ok(warnings)
}

/// Removes the cgroup. A record without a process may name a cgroup that belongs to another container: that cgroup
/// stays, with a warning.
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

/// Kills a container in any state and removes it, for a caller that holds the record's lock.
///
/// # Errors
/// The errors of [`kill_and_wait`] and [`destroy`].
pub fn end_locked(locked: &Locked, directory: &Directory, otherwise: Survivors) -> Result<Vec<String>> {
    let record = &locked.record;
    let claim = || Ok::<_, anyhow::Error>(if record.alive()? { record.cgroup.claim()? } else { None });
    let claim = trace::work("claim the cgroup", claim)?;
    // The claim on the cgroup was taken while the process lived, so the cgroup is this container's.
    let survivors = if claim.is_some() && record.alive()? { Survivors::All } else { otherwise };
    trace::work("end the first process", || kill_and_wait(record))?;
    destroy_locked(locked, directory, survivors)
}

/// Kills and removes a container that cannot continue.
///
/// # Errors
/// The errors of [`kill_and_wait`] and [`destroy`].
pub fn discard(record: &Record, directory: &Directory) -> Result<Vec<String>> {
    match directory.lock_record()? {
        Some(locked) if locked.record.is_of(record) => end_locked(&locked, directory, Survivors::Unknown),
        _ => Ok(Vec::new()),
    }
}

/// Kills the processes that outlive the first one: without a pid namespace these are all in the cgroup, unless it
/// belongs to another container by now.
///
/// Returns whether any process was killed.
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
    // `create` was killed before it knew its process. That process exits by itself; all others were in the cgroup
    // before.
    let nobody = survivors != Survivors::All && (namespaces.pid || *pid == 0);
    if nobody || cgroup.is_empty()? || !own()? {
        return Ok(false);
    }
    cgroup.kill_all(Signal::SIGKILL).map(|()| true)
}
