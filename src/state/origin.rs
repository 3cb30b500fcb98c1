//! From where the pids and start times of a record are seen.

use std::os::unix::fs::MetadataExt;

use anyhow::{Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::sys;

/// The namespaces that give a pid and a start time their meaning, by their inode numbers. 0 says that the record is
/// older than this.
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
        let pid = namespace("self", "pid").map_err(|error| anyhow!("/proc/self/ns/pid: {}", sys::io(error)))?;
        // A kernel without time namespaces has one time.
        let time = match namespace("self", "time") {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            other => other.map_err(|error| anyhow!("/proc/self/ns/time: {}", sys::io(error)))?,
        };
        Ok(Origin { pid, time })
    }

    /// Make sure that a process which is not found from here does not live.
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

/// The inode number of a namespace of a process, which tells it from all others (namespaces(7)).
fn namespace(process: &str, kind: &str) -> std::io::Result<u64> {
    std::fs::metadata(format!("/proc/{process}/ns/{kind}")).map(|file| file.ino())
}
