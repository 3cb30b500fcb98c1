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

pub fn run(global: &Global, args: &KillArgs, log: &Log) -> Result<()> {
    let text = args.signal.as_deref().unwrap_or("SIGTERM");
    let number = signal::number(text).ok_or_else(|| anyhow!("unknown signal {text:?}"))?;
    each(global, &Chosen::of(&args.id, args.regex), log, |root, id| {
        let (directory, record) = root.load(id)?;
        match send(&record, record.status(&directory)?, number, log) {
            // `--all` and `--regex` ask for containers without processes: one that has none is no error.
            Err(error) if (args.all || args.regex) && error.is::<NotRunning>() => Ok(()),
            other => other,
        }
    })
}

/// Signals whose default action is to end the process, and that users send for this purpose.
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
        // init is pid 1 of its namespace while it waits for `start`. The kernel discards signals that pid 1 has no
        // handler for, and init has no handlers.
        signal_init(record, libc::SIGKILL)?;
    }
    if number == libc::SIGKILL {
        record.cgroup.let_die()?;
    }
    Ok(())
}

/// Without a pid namespace the other processes outlive the first one. This kills all processes in the cgroup, also if
/// the first one is dead already.
fn kill_everything(record: &Record, status: Status, log: &Log) -> Result<()> {
    if status == Status::Stopped {
        // The cgroup may belong to another container by now.
        return if kill_survivors(record, Survivors::Own)? { Ok(()) } else { bail!(NotRunning) };
    }
    if record.cgroup.host_dirs().is_empty() {
        log.warning("the container has no cgroup of its own: only its first process is killed");
        return signal_init(record, libc::SIGKILL);
    }
    record.cgroup.kill_all(Signal::SIGKILL)
}

fn signal_init(record: &Record, number: i32) -> Result<()> {
    let failed = |call| {
        move |errno| match errno {
            Errno::ESRCH => NotRunning.into(),
            errno => anyhow::Error::from(CallError::new(call, errno)),
        }
    };
    let pidfd = sys::process::pidfd_open(record.pid).map_err(failed("pidfd_open"))?;
    // The pid may have been reused between the status check and pidfd_open(2).
    if !record.alive()? {
        bail!(NotRunning);
    }
    sys::process::pidfd_send_signal(pidfd.as_fd(), number).map_err(failed("kill"))
}
