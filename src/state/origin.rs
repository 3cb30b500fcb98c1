//! The namespaces in which the pids and start times of a record are valid.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::sys::{Call, namespace};

/// The inode numbers of the pid and the time namespace. 0 means that an older version has written the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pid: u64,
    time: u64,
}

impl Origin {
    /// The namespaces of this process.
    ///
    /// # Errors
    /// `/proc` is missing, or belongs to another pid namespace.
    pub fn here() -> Result<Origin> {
        let pid = namespace::inode("self", "pid").named("/proc/self/ns/pid")?;
        // A kernel without time namespaces has only one clock of this kind.
        let time = match namespace::inode("self", "time") {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            other => other.named("/proc/self/ns/time")?,
        };
        Ok(Origin { pid, time })
    }

    /// Checks that a process which cannot be found from here is dead.
    ///
    /// # Errors
    /// This process is in other namespaces than the process that wrote the record.
    pub fn can_tell(self, pid: i32) -> Result<()> {
        if self == Origin::default() {
            return Ok(());
        }
        let here = Origin::here()?;
        for (kind, then, now) in [("pid", self.pid, here.pid), ("time", self.time, here.time)] {
            if then != now {
                bail!(
                    "the container was created in another {kind} namespace: from here nobody can tell whether its \
                     process {pid} lives"
                );
            }
        }
        Ok(())
    }
}
