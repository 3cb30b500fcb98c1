//! `delete`: remove what is left of a container.

use std::os::fd::AsFd;

use anyhow::{Result, bail};

use super::{Log, each};
use crate::cli::Invocation;
use crate::executor::{destroy, kill_and_wait};
use crate::state::{Directory, Record, Root, Status};
use crate::sys;

/// The command.
pub fn run(invocation: &Invocation, log: &Log) -> Result<()> {
    let force = invocation.flag("force");
    each(invocation, log, |root, id| delete(root, id, force, log))
}

fn delete(root: &Root, id: &str, force: bool, log: &Log) -> Result<()> {
    let directory = root.container(id)?;
    if let Ok(record) = directory.load() {
        return end(&record, &directory, force, log);
    }
    if directory.path().is_dir() {
        // Left by a create that was killed very early, or somebody is just at it: once nobody
        // holds the lock there is a record, or there is nothing to keep.
        let lock = directory.wait_for_creator()?;
        if let Ok(record) = directory.load() {
            drop(lock);
            return end(&record, &directory, force, log);
        }
        directory.remove()?;
    }
    if force { Ok(()) } else { bail!("container does not exist") }
}

fn end(record: &Record, directory: &Directory, force: bool, log: &Log) -> Result<()> {
    match record.status(directory) {
        Status::Creating if force => return end_creation(record, directory, log),
        Status::Stopped => {}
        Status::Created => kill_and_wait(record)?,
        _ if force => kill_and_wait(record)?,
        status => bail!("cannot delete container {} that is not stopped: {status}", record.id),
    }
    remove(record, directory, log)
}

/// Whoever creates the container is ended first: it would go on making what is removed here. Then
/// nobody else writes the record, and it says all that there is.
fn end_creation(record: &Record, directory: &Directory, log: &Log) -> Result<()> {
    // The lock is held as long as its holder lives: seen held behind the handle, the pid is the
    // creator's still.
    if let Ok(creator) = sys::process::pidfd_open(record.creator)
        && directory.being_created()
    {
        let _ = sys::process::pidfd_send_signal(creator.as_fd(), libc::SIGKILL);
    }
    let _lock = directory.wait_for_creator()?;
    // Without a record it was quicker, and has undone everything by itself.
    let Ok(record) = directory.load() else { return Ok(()) };
    kill_and_wait(&record)?;
    remove(&record, directory, log)
}

fn remove(record: &Record, directory: &Directory, log: &Log) -> Result<()> {
    for warning in destroy(record, directory)? {
        log.warning(&warning);
    }
    Ok(())
}
