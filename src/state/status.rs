//! The status of a container is never stored: it is what its process is doing.

use std::fmt;

use serde::Serialize;

/// runtime-spec, runtime.md, "State", and `paused`, which every engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `create` is at work.
    Creating,
    /// The process waits for `start`.
    Created,
    /// The user's program runs.
    Running,
    /// Its cgroup is frozen.
    Paused,
    /// There is no process any more.
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

/// State letter and start time (field 22) of `/proc/PID/stat`, proc_pid_stat(5).
fn stat(pid: i32) -> Option<(u8, u64)> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold anything, also parentheses.
    let rest = &text[text.iter().rposition(|byte| *byte == b')')? + 2..];
    let rest = std::str::from_utf8(rest).ok()?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.bytes().next()?;
    let start = fields.nth(18)?.parse().ok()?;
    Some((state, start))
}

/// When a process was started, in clock ticks after boot.
pub fn start_time(pid: i32) -> Option<u64> {
    stat(pid).map(|(_, start)| start)
}

/// Does the process that was started then still live? A zombie does not.
pub fn alive(pid: i32, started: u64) -> bool {
    stat(pid).is_some_and(|(state, start)| start == started && !matches!(state, b'Z' | b'X'))
}

#[cfg(test)]
mod tests {
    #[test]
    fn own_process_is_alive_and_another_start_is_another_process() {
        let pid = std::process::id() as i32;
        let start = super::start_time(pid).unwrap();
        assert!(super::alive(pid, start));
        assert!(!super::alive(pid, start + 1));
    }
}
