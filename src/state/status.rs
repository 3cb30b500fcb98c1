//! The status of a container. It is never stored, but derived each time.

use std::fmt;

use serde::Serialize;

/// The states of runtime.md, "State", in the runtime-spec, and `paused`, which every engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `create` is running.
    Creating,
    /// `init` waits for `start`.
    Created,
    /// The user's program runs.
    Running,
    /// The cgroup is frozen.
    Paused,
    /// There is no process.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        })
    }
}

/// The error of a command that needs a running process of the container.
#[derive(Debug)]
pub struct NotRunning;

impl fmt::Display for NotRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("container not running")
    }
}

impl std::error::Error for NotRunning {}
