//! The status of a container, derived from its process, gate and cgroup.

use anyhow::Result;

use super::directory::Directory;
use super::record::Record;
use super::status::Status;

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
        if !self.alive()? {
            return Ok(Status::Stopped);
        }
        if directory.being_created()? {
            return Ok(Status::Creating);
        }
        // A cgroup that is being removed at this moment is not frozen.
        if self.cgroup.is_frozen()? {
            return Ok(Status::Paused);
        }
        Ok(if directory.is_gated()? { Status::Created } else { Status::Running })
    }
}
