//! The namespaces in which the pids and start times of a record are valid.

use std::os::unix::fs::MetadataExt;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::sys::Call;

/// Inode numbers of the pid and time namespace. 0: an older version wrote the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    pid: u64,
    time: u64,
}

impl Origin {
    /// Those of this process.
    ///
    /// # Errors
    /// A `/proc` that is not there, or another pid namespace's.
    pub fn here() -> Result<Origin> {
        let pid = namespace("self", "pid").named("/proc/self/ns/pid")?;
        // A kernel without time namespaces has one clock.
        let time = match namespace("self", "time") {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            other => other.named("/proc/self/ns/time")?,
        };
        Ok(Origin { pid, time })
    }

    /// Check that a process which cannot be found from here is dead.
    ///
    /// # Errors
    /// This process is in other namespaces than the one that wrote the record.
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

/// The inode number of a process's namespace, which identifies it (namespaces(7)).
fn namespace(process: &str, kind: &str) -> std::io::Result<u64> {
    std::fs::metadata(format!("/proc/{process}/ns/{kind}")).map(|file| file.ino())
}
