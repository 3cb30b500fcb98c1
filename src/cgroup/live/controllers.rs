//! Which controllers a v2 cgroup has: those that every level above it hands down.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use anyhow::Result;

use super::dir::{contents, open_subtree_control, put, read_at, read_file};
use crate::cgroup::layout::Mode;
use crate::cgroup::plan::Plan;
use crate::sys::Call;

/// Enables for the v2 leaf every controller that the hierarchy has, as runc does and as those
/// who read its statistics expect; on hybrid hosts only what is about to be written, because
/// the hierarchy is somebody else's.
///
/// One write a level, top down, and only where something is missing: a write that changes
/// nothing still takes the kernel's cgroup lock. What cannot be enabled (processes in a level
/// above, no permission) shows when its limit is written, so that is left to it.
///
/// Fails when it cannot be read which controllers there are.
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
            // A level that we have just made hands nothing down yet; no need to ask it.
            let new = made.contains(&level);
            let has = if new { String::new() } else { contents(&control).unwrap_or_default() };
            enable(&control, missing(&available, &has));
            controls.push(control);
        }
        level.push(name);
    }
    // Until the level below hands a controller on, whoever else has a hand in the levels above may take it away
    // again: systemd does, when a unit ends and no other wants it. So quickly one after the other.
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

/// How often a controller that somebody takes away is handed down again.
const HAND_DOWN_ATTEMPTS: u32 = 16;

/// Writes `+name …` to a subtree_control file; one by one where all at once is refused, so that
/// one controller that cannot be had does not take the others with it.
pub fn enable<'a>(control: &OwnedFd, names: impl Iterator<Item = &'a str> + Clone) {
    let all: String = names.clone().map(|name| format!("+{name} ")).collect();
    if !all.is_empty() && put(control, &all).is_err() {
        for name in names {
            let _ = put(control, &format!("+{name}"));
        }
    }
}
