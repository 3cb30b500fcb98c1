//! Parts of the v2 hierarchy that are for threads (cgroup-v2.rst, "Threads").
//!
//! Below a threaded cgroup, and beside one, a new cgroup is neither a domain nor threaded: it takes no process until it
//! is made threaded, which cannot be taken back, and then has no controllers that account for whole processes, such as
//! memory and io. The kernel says nothing of all this when the directory is made, so nobody asks before it refuses.

use std::os::fd::BorrowedFd;
use std::path::Path;

use super::cgroup::Cgroup;
use super::dir::{read_at, read_file, write_file};

const TYPE: &str = "cgroup.type";
const INVALID: &str = "domain invalid";

/// What a cgroup is that is no domain, as a person says it.
pub fn kind(dir: BorrowedFd) -> Option<&'static str> {
    match read_at(dir, TYPE).ok()?.trim() {
        INVALID => Some("an invalid state"),
        "threaded" => Some("threaded mode"),
        _ => None,
    }
}

/// Whether threads can be divided by this controller.
pub fn has(controller: &str) -> bool {
    matches!(controller, "cpu" | "cpuset" | "perf_event" | "pids" | "cgroup")
}

impl Cgroup {
    /// Makes the v2 cgroup that the kernel let no process be born into one that takes processes, with those above it
    /// that are no better. Returns whether it is worth another try.
    pub fn become_threaded(&self) -> bool {
        let Some(place) = self.dirs.iter().find(|dir| dir.controllers.is_empty()) else { return false };
        let mut levels: Vec<_> = place.dir.ancestors().take_while(|dir| *dir != place.mount).collect();
        levels.reverse();
        let invalid = |dir: &Path| read_file(&dir.join(TYPE)).is_ok_and(|kind| kind.trim() == INVALID);
        levels.into_iter().fold(false, |_, dir| invalid(dir) && write_file(&dir.join(TYPE), "threaded").is_ok())
    }
}
