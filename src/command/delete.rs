//! `delete`: remove what is left of a container.

use anyhow::{Result, bail};

use super::{Log, root};
use crate::cli::Invocation;
use crate::executor::{destroy, kill_and_wait};
use crate::state::{Directory, Record, Status};

/// The command.
pub fn run(invocation: &Invocation, log: &Log) -> Result<()> {
    let force = invocation.flag("force");
    let root = root(&invocation.global)?;
    let directory = root.container(invocation.id())?;
    let record = match directory.load() {
        Ok(record) => record,
        Err(_) => return forget(&directory, force),
    };
    match record.status(&directory) {
        Status::Stopped => {}
        Status::Created => kill_and_wait(&record)?,
        _ if force => kill_and_wait(&record)?,
        status => bail!("cannot delete container {} that is not stopped: {status}", record.id),
    }
    remove(&record, &directory, log)
}

/// There is no record, but there may be a directory of a create that was killed very early.
fn forget(directory: &Directory, force: bool) -> Result<()> {
    if directory.path().is_dir() && !directory.being_created() {
        directory.remove()?;
    }
    if force { Ok(()) } else { bail!("container does not exist") }
}

fn remove(record: &Record, directory: &Directory, log: &Log) -> Result<()> {
    for warning in destroy(record, directory)? {
        log.warning(&warning);
    }
    Ok(())
}
