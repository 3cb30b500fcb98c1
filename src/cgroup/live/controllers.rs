//! The controllers of a v2 cgroup. Each must be enabled in `cgroup.subtree_control` of every level above.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::dir::{contents, open_subtree_control, put, read_at, read_file};
use crate::cgroup::layout::Mode;
use crate::cgroup::plan::CgroupPlan;
use crate::cgroup::writes::Target;
use crate::sys::Call;

/// Enables for the v2 leaf every controller of the hierarchy, as runc does: programs that read its statistics expect
/// this. On a hybrid host, whose v2 hierarchy belongs to systemd, only the controllers that the plan writes to.
///
/// Makes one write for each level, from the top down, and only if a controller is missing: even a write without effect
/// takes the kernel's cgroup lock. A controller may be impossible to enable (processes in a level above, no
/// permission); then the write of its limit fails later.
///
/// Fails if the list of controllers cannot be read.
pub fn hand_down(plan: &CgroupPlan, made: &[PathBuf], leaf: BorrowedFd) -> Result<()> {
    let Some(target) = plan.writes.v2_target() else { return Ok(()) };
    let asked = || plan.writes.all.iter().filter(|write| write.target == target);
    if plan.writes.mode != Mode::Unified && asked().next().is_none() {
        return Ok(());
    }
    let needed: Vec<&str> = asked().filter_map(|write| write.file.split('.').next()).collect();
    let target = &plan.writes.targets[target];
    let available = available(plan.writes.mode, &target.mount, &needed)?;
    let lacks = |names: &str| {
        read_at(leaf, "cgroup.controllers")
            .map(|has| missing(names, &has).count() > 0)
            .named(format_args!("linux.cgroupsPath: cgroup.controllers of {}", target.dir().display()))
    };
    if !lacks(&available)? {
        return Ok(());
    }
    let controls = enable_at_each_level(target, made, &available);
    let needed: Vec<&str> = available.split_whitespace().filter(|name| needed.contains(name)).collect();
    let needed = needed.join(" ");
    // Another process can disable a controller while the level below does not enable it yet. systemd does this when a
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

/// The controllers to enable: all of a v2 host, the needed ones of a hybrid host.
fn available(mode: Mode, mount: &Path, needed: &[&str]) -> Result<String> {
    if mode != Mode::Unified {
        let mut names = needed.to_vec();
        names.dedup();
        return Ok(names.join(" "));
    }
    let file = mount.join("cgroup.controllers");
    read_file(&file).named(format_args!("linux.cgroupsPath: {}", file.display()))
}

/// Enables controllers at each level above the target, from the top down. Returns the open files.
fn enable_at_each_level(target: &Target, made: &[PathBuf], controllers: &str) -> Vec<OwnedFd> {
    let mut controls = Vec::new();
    let mut level = target.mount.clone();
    for name in &target.path {
        if let Ok(control) = open_subtree_control(&level) {
            // A level that this run has made enables nothing yet, so there is no need to read it.
            let new = made.contains(&level);
            let has = if new { String::new() } else { contents(&control).unwrap_or_default() };
            enable(&control, missing(controllers, &has));
            controls.push(control);
        }
        level.push(name);
    }
    controls
}

/// The names in `wanted` that `has` lacks.
pub fn missing<'a>(wanted: &'a str, has: &'a str) -> impl Iterator<Item = &'a str> + Clone {
    wanted.split_whitespace().filter(move |name| !has.split_whitespace().any(|has| has == *name))
}

/// The maximum number of attempts if another process disables controllers.
const HAND_DOWN_ATTEMPTS: u32 = 16;

/// Writes `+name …` to a subtree_control file. If the kernel refuses the names together, writes them one by one, so
/// that a refused controller does not affect the others.
pub fn enable<'a>(control: &OwnedFd, names: impl Iterator<Item = &'a str> + Clone) {
    let all: String = names.clone().map(|name| format!("+{name} ")).collect();
    if !all.is_empty() && put(control, &all).is_err() {
        for name in names {
            let _ = put(control, &format!("+{name}"));
        }
    }
}
