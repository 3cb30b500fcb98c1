//! The status of a container, derived from its process, gate and cgroup.

use anyhow::Result;

use super::directory::Directory;
use super::record::Record;
use super::status::Status;
use super::text::STARTED;

impl Record {
    /// Derive the status from the process, the gate and the cgroup.
    ///
    /// # Errors
    /// One of them cannot be read. Then the command must fail instead of acting on a guess.
    pub fn status(&self, directory: &Directory) -> Result<Status> {
        if self.pid == 0 {
            // Use the state of the lock at the time when the record was read: since then `create` may have saved a
            // process and ended.
            return Ok(if self.creating { Status::Creating } else { Status::Stopped });
        }
        let creating = || Ok(self.complete == 0 && directory.being_created()?);
        derive(
            || self.alive(),
            creating,
            || self.cgroup.is_frozen(),
            || Ok(self.complete != STARTED && directory.is_gated()?),
        )
    }
}

/// The status of a container with a process. Each question is only asked if the answers before leave it open.
pub(super) fn derive(
    alive: impl FnOnce() -> Result<bool>,
    creating: impl FnOnce() -> Result<bool>,
    frozen: impl FnOnce() -> Result<bool>,
    gated: impl FnOnce() -> Result<bool>,
) -> Result<Status> {
    if !alive()? {
        return Ok(Status::Stopped);
    }
    if creating()? {
        return Ok(Status::Creating);
    }
    // A cgroup that is being removed at this moment is not frozen.
    if frozen()? {
        return Ok(Status::Paused);
    }
    Ok(if gated()? { Status::Created } else { Status::Running })
}
