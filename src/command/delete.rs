//! `delete`: remove a container and its record.

use std::os::fd::AsFd;

use anyhow::{Result, bail};

use super::log::Log;
use super::shared::{Chosen, each, tell};
use crate::cli::{DeleteArgs, Global};
use crate::executor::{Survivors, destroy_locked, end_locked};
use crate::state::{Directory, Gate, Locked, MISSING, Root, Status};
use crate::sys::{self, CallError, Errno};
use crate::trace;

pub fn run(global: &Global, args: &DeleteArgs, log: &Log) -> Result<()> {
    let chosen = Chosen::of(&args.id, args.regex);
    each(global, &chosen, log, |root, id| delete(root, id, args.force, log))
}

fn delete(root: &Root, id: &str, force: bool, log: &Log) -> Result<()> {
    let place = root.container(id)?;
    // A second round is necessary only if the first one has ended the process that was creating the container.
    for _ in 0..2 {
        let Some(directory) = place.open()? else { break };
        match trace::work("load and lock the record", || directory.lock_record()) {
            Ok(Some(locked)) => {
                if force && locked.record.status(&directory)? == Status::Creating {
                    end_creation(locked, &directory)?;
                    continue;
                }
                return end(&locked, &directory, force, log);
            }
            Ok(None) => {}
            Err(error) if !force => return Err(error),
            // The runtime cannot find the container's processes without a record; they keep running.
            Err(error) => log.warning(&format!("{error:#}; the record is removed, and nothing else")),
        }
        // A create that was killed early has left the directory, or another process creates the container now. With the
        // lock held that process has ended: there is a record, or nothing to keep.
        trace::wait("wait for the directory's lock", || directory.lock())?;
        match directory.load() {
            Ok(Some(_)) => continue,
            Err(error) if !force => return Err(error),
            Ok(None) | Err(_) => directory.remove()?,
        }
        break;
    }
    if force { Ok(()) } else { bail!(MISSING) }
}

fn end(locked: &Locked, directory: &Directory, force: bool, log: &Log) -> Result<()> {
    let record = &locked.record;
    let refused = |status| bail!("cannot delete container {} that is not stopped: {status}", record.id);
    let survivors = if force { Survivors::Unknown } else { Survivors::Own };
    let mut _shut: Option<Gate<'_>> = None;
    match trace::work("look up the status", || record.status(directory))? {
        Status::Stopped => {
            tell(log, destroy_locked(locked, directory, survivors)?);
            return Ok(());
        }
        // While this command holds the gate, `start` cannot open it.
        Status::Created => match directory.take_gate() {
            Ok(None) if !force && record.alive()? => return refused(Status::Running),
            Ok(gate) => _shut = gate,
            Err(error) if !force => return Err(error),
            Err(_) => {}
        },
        _ if force => {}
        status => return refused(status),
    }
    tell(log, end_locked(locked, directory, survivors)?);
    Ok(())
}

/// Kills the process that creates the container. It would otherwise go on to create what this command removes.
fn end_creation(locked: Locked, directory: &Directory) -> Result<()> {
    if let Some(creator) = locked.record.creator()? {
        let opened = sys::process::pidfd_open(creator);
        // Check again with the pidfd open: the pid may have been reused before.
        if locked.record.creator()?.is_some() && directory.being_created()? {
            let step = if opened.is_ok() { "kill" } else { "pidfd_open" };
            let killed = opened.and_then(|pidfd| sys::process::pidfd_send_signal(pidfd.as_fd(), libc::SIGKILL));
            match killed {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => {
                    bail!(CallError::new(format_args!("{step} {creator}, which creates the container"), errno))
                }
            }
        }
    }
    // The creating process replaces the record without locking it, so the lock on the record must not be kept. The lock
    // on the directory becomes free when that process has ended.
    drop(locked);
    directory.lock()
}
