//! `pause` and `resume`.

use anyhow::{Result, bail};

use super::log::Log;
use super::shared::root;
use crate::cli::Global;
use crate::state::{NotRunning, Status};
use crate::sys::{self, CallError, Errno};

/// Freezes the cgroup of the container.
pub fn pause(global: &Global, id: &str, log: &Log) -> Result<()> {
    let (directory, record) = root(global)?.load(id)?;
    let _turn = record.cgroup.freezing()?;
    match record.status(&directory)? {
        Status::Running | Status::Created => explain(record.cgroup.freeze(), "pause", global, log)?,
        _ => bail!(NotRunning),
    }
    // On v1 a frozen process does not die. `kill` thaws the cgroup, but if it did so between our status check and our
    // freeze, the process would stay.
    let dies = || anyhow::Ok(!record.alive()? || sys::proc::is_dying(record.pid).map_err(sys::io)?);
    match dies() {
        Ok(false) => Ok(()),
        Ok(true) => record.cgroup.let_die().and_then(|()| bail!(NotRunning)),
        Err(error) => record.cgroup.thaw().and(Err(error)),
    }
}

/// Thaws the cgroup of the container.
pub fn resume(global: &Global, id: &str, log: &Log) -> Result<()> {
    let (directory, record) = root(global)?.load(id)?;
    let _turn = record.cgroup.freezing()?;
    match record.status(&directory)? {
        Status::Paused => explain(record.cgroup.thaw(), "resume", global, log),
        _ => bail!("container not paused"),
    }
}

/// Adds a warning to EPERM: the usual cause is that an ordinary user lacks access to the cgroup.
fn explain(result: Result<()>, verb: &str, global: &Global, log: &Log) -> Result<()> {
    result.inspect_err(|error| {
        if error.downcast_ref::<CallError>().is_some_and(|failed| failed.errno() == Some(Errno::EPERM)) {
            let name = &global.name;
            log.warning(&format!("{name} {verb} failure might be caused by lack of full access to cgroups"));
        }
    })
}
