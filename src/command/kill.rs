//! `kill`: send a signal.

use std::os::fd::AsFd;

use anyhow::{Result, anyhow, bail};
use nix::sys::signal::Signal;

use super::log::Log;
use super::shared::{Chosen, each};
use crate::cli::{Global, KillArgs};
use crate::executor::{Survivors, kill_survivors};
use crate::state::{NotRunning, Record, Status};
use crate::sys::{self, CallError, Errno};
use crate::tables::signal;

/// The command.
pub fn run(global: &Global, args: &KillArgs, log: &Log) -> Result<()> {
    let text = args.signal.as_deref().unwrap_or("SIGTERM");
    let number = signal::number(text).ok_or_else(|| anyhow!("unknown signal {text:?}"))?;
    each(global, &Chosen::of(&args.id, args.regex), log, |root, id| {
        let (directory, record) = root.load(id)?;
        match send(&record, record.status(&directory)?, number, log) {
            // With --all, as with --regex, a container without processes has what was asked for.
            Err(error) if (args.all || args.regex) && error.is::<NotRunning>() => Ok(()),
            other => other,
        }
    })
}

/// What ends a process that does not handle it, as far as people send it to end one.
const FATAL: [i32; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

fn send(record: &Record, status: Status, number: i32, log: &Log) -> Result<()> {
    if number == libc::SIGKILL && !record.namespaces.pid {
        return kill_everything(record, status, log);
    }
    if matches!(status, Status::Stopped | Status::Creating) {
        bail!(NotRunning);
    }
    signal_init(record, number)?;
    if status == Status::Created && FATAL.contains(&number) {
        // Waiting for start it is the first process of its namespace, and the kernel keeps such
        // signals from it; there is nothing in it yet that could handle them.
        signal_init(record, libc::SIGKILL)?;
    }
    if number == libc::SIGKILL {
        record.cgroup.let_die()?;
    }
    Ok(())
}

/// Without a pid namespace the end of the first process is not the end of the others: all that is
/// in the cgroup is killed, even when the first one is dead already.
fn kill_everything(record: &Record, status: Status, log: &Log) -> Result<()> {
    if status == Status::Stopped {
        // The cgroup may be another container's by now.
        return if kill_survivors(record, Survivors::Own)? { Ok(()) } else { bail!(NotRunning) };
    }
    if record.cgroup.host_dirs().is_empty() {
        log.warning("the container has no cgroup of its own: only its first process is killed");
        return signal_init(record, libc::SIGKILL);
    }
    record.cgroup.kill_all(Signal::SIGKILL)
}

fn signal_init(record: &Record, number: i32) -> Result<()> {
    let gone = |errno| match errno {
        Errno::ESRCH => NotRunning.into(),
        errno => CallError::new("kill", errno).into(),
    };
    let pidfd = sys::process::pidfd_open(record.pid).map_err(gone)?;
    // Between the look at the status and the handle, the pid may have become another's.
    if !record.alive()? {
        bail!(NotRunning);
    }
    sys::process::pidfd_send_signal(pidfd.as_fd(), number).map_err(gone)
}
