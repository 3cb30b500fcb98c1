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

impl Status {
    /// The word for users and engines.
    pub fn word(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }

    /// Whether the state names a process.
    pub(super) fn has_process(self) -> bool {
        !matches!(self, Status::Stopped | Status::Creating)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
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
