//! A cgroup below the container's own, for its processes.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::Result;
use nix::unistd::Pid;

use super::controllers::enable;
use super::dir::{open_dir, open_subtree_control, read_file, write_file};
use super::directories::Undo;
use super::install::delegate;
use crate::cgroup::plan::CgroupPlan;
use crate::spec::annotation::DELEGATE_CGROUP_FIELD;
use crate::sys::Call;

/// Makes the delegated cgroup, with every controller of the container's own.
pub fn make_inside(plan: &CgroupPlan, undo: &mut Undo, own: &Path, inside: &Path) -> Result<OwnedFd> {
    const FIELD: &str = DELEGATE_CGROUP_FIELD;
    let mut dir = own.to_owned();
    for name in inside {
        let has = read_file(&dir.join("cgroup.controllers"))
            .named(format_args!("{FIELD}: read the controllers of {}", dir.display()))?;
        let control =
            open_subtree_control(&dir).named(format_args!("{FIELD}: enable the controllers of {}", dir.display()))?;
        enable(&control, has.split_whitespace());
        dir.push(name);
        undo.make(&dir).named(format_args!("{FIELD}: mkdir {}", dir.display()))?;
    }
    let leaf = open_dir(&dir).named(format_args!("{FIELD}: open {}", dir.display()))?;
    delegate(plan, leaf.as_fd())?;
    Ok(leaf)
}

/// Like [`make_inside`], for a container's own cgroup that has a process. The process moves first: a cgroup with
/// processes cannot enable controllers for its children.
pub fn move_inside(plan: &CgroupPlan, own: &Path, inside: &Path, pid: Pid) -> Result<()> {
    enter(&own.join(inside), DELEGATE_CGROUP_FIELD, pid)?;
    // `enter` has made the directory.
    make_inside(plan, &mut Undo { made: Vec::new() }, own, inside).map(drop)
}

/// Makes `dir` and moves `pid` there. systemd removes the directory together with the unit's cgroup.
pub fn enter(dir: &Path, field: &str, pid: Pid) -> Result<()> {
    let mut undo = Undo { made: Vec::new() };
    undo.make(dir).named(format_args!("{field}: mkdir {}", dir.display()))?;
    let moved = write_file(&dir.join("cgroup.procs"), &pid.to_string());
    moved.named(format_args!("{field}: move init to {}", dir.display()))?;
    undo.made.clear();
    Ok(())
}
