//! The controllers of a v2 cgroup: those that every level above enables in `cgroup.subtree_control`.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use anyhow::Result;

use super::dir::{contents, open_subtree_control, put, read_at, read_file};
use crate::cgroup::layout::Mode;
use crate::cgroup::plan::Plan;
use crate::sys::Call;

/// Enables for the v2 leaf every controller of the hierarchy, as runc does: readers of its statistics expect that. On a
/// hybrid host, whose v2 hierarchy belongs to systemd, only the controllers that the plan writes to.
///
/// Writes once for each level, from the top down, and only if a controller is missing: even a write without effect
/// takes the kernel's cgroup lock. A controller can be impossible to enable (processes in a level above, no
/// permission); the write of its limit fails then.
///
/// Fails when the list of controllers cannot be read.
pub fn hand_down(plan: &Plan, made: &[PathBuf], leaf: BorrowedFd) -> Result<()> {
    let Some(target) = plan.writes.v2_target() else { return Ok(()) };
    let asked = || plan.writes.all.iter().filter(|write| write.target == target);
    if plan.writes.mode != Mode::Unified && asked().next().is_none() {
        return Ok(());
    }
    let target = &plan.writes.targets[target];
    let available = if plan.writes.mode == Mode::Unified {
        let file = target.mount.join("cgroup.controllers");
        read_file(&file).named(format_args!("linux.cgroupsPath: {}", file.display()))?
    } else {
        let mut names: Vec<&str> = asked().filter_map(|w| w.file.split('.').next()).collect();
        names.dedup();
        names.join(" ")
    };
    let lacks = |names: &str| {
        read_at(leaf, "cgroup.controllers")
            .map(|has| missing(names, &has).count() > 0)
            .named(format_args!("linux.cgroupsPath: cgroup.controllers of {}", target.dir().display()))
    };
    if !lacks(&available)? {
        return Ok(());
    }
    let is_needed = |name: &&str| asked().any(|write| write.file.split('.').next() == Some(name));
    let needed = available.split_whitespace().filter(is_needed).collect::<Vec<_>>().join(" ");
    let mut controls = Vec::new();
    let mut level = target.mount.clone();
    for name in &target.path {
        if let Ok(control) = open_subtree_control(&level) {
            // A level made by this plan enables nothing yet, so there is no need to read it.
            let new = made.contains(&level);
            let has = if new { String::new() } else { contents(&control).unwrap_or_default() };
            enable(&control, missing(&available, &has));
            controls.push(control);
        }
        level.push(name);
    }
    // A controller that the level below does not enable yet can be disabled by another process. systemd does so when a
    // unit ends and no other unit needs the controller. So all levels are written again without a pause.
    for _ in 0..HAND_DOWN_ATTEMPTS {
        if needed.is_empty() || !lacks(&needed)? {
            return Ok(());
        }
        for control in &controls {
            enable(control, needed.split_whitespace());
        }
    }
    Ok(())
}

/// The names in `wanted` that `has` lacks.
pub fn missing<'a>(wanted: &'a str, has: &'a str) -> impl Iterator<Item = &'a str> + Clone {
    wanted.split_whitespace().filter(move |name| !has.split_whitespace().any(|has| has == *name))
}

/// How often controllers are enabled again after another process disabled them.
const HAND_DOWN_ATTEMPTS: u32 = 16;

/// Writes `+name …` to a subtree_control file. If the kernel refuses all names at once, writes them one by one, so that
/// one refused controller does not affect the others.
pub fn enable<'a>(control: &OwnedFd, names: impl Iterator<Item = &'a str> + Clone) {
    let all: String = names.clone().map(|name| format!("+{name} ")).collect();
    if !all.is_empty() && put(control, &all).is_err() {
        for name in names {
            let _ = put(control, &format!("+{name}"));
        }
    }
}
