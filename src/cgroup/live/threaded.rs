//! Threaded cgroups of v2 (cgroup-v2.rst, "Threads").
//!
//! A new cgroup below or beside a threaded one is in the state `domain invalid`: it accepts no process until its type
//! becomes `threaded`. That cannot be undone, and a threaded cgroup lacks the controllers that account for whole
//! processes, such as memory and io. mkdir(2) does not report this state, so the type is read only after the kernel has
//! refused an operation.

use std::os::fd::BorrowedFd;
use std::path::Path;

use super::cgroup::Cgroup;
use super::dir::{read_at, read_file, write_file};

const TYPE: &str = "cgroup.type";
const INVALID: &str = "domain invalid";

/// The type of a cgroup that is not a domain, for an error message.
pub fn kind(dir: BorrowedFd) -> Option<&'static str> {
    match read_at(dir, TYPE).ok()?.trim() {
        INVALID => Some("an invalid state"),
        "threaded" => Some("threaded mode"),
        _ => None,
    }
}

/// Whether a threaded cgroup can have this controller.
pub fn has(controller: &str) -> bool {
    matches!(controller, "cpu" | "cpuset" | "perf_event" | "pids" | "cgroup")
}

impl Cgroup {
    /// Switches this cgroup, and ancestors in the state `domain invalid`, to `threaded`. Returns whether the clone is
    /// worth retrying.
    pub fn become_threaded(&self) -> bool {
        let Some(place) = self.dirs.iter().find(|dir| dir.controllers.is_empty()) else { return false };
        let mut levels: Vec<_> = place.dir.ancestors().take_while(|dir| *dir != place.mount).collect();
        levels.reverse();
        let invalid = |dir: &Path| read_file(&dir.join(TYPE)).is_ok_and(|kind| kind.trim() == INVALID);
        levels.into_iter().fold(false, |_, dir| invalid(dir) && write_file(&dir.join(TYPE), "threaded").is_ok())
    }
}
