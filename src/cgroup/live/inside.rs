//! A cgroup below the container's own, for its processes.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::{Result, anyhow};
use nix::unistd::Pid;

use super::controllers::enable;
use super::dir::{open_dir, open_subtree_control, read_file, write_file};
use super::directories::Undo;
use super::install::delegate;
use crate::cgroup::plan::Plan;
use crate::spec::annotation::DELEGATE_CGROUP_FIELD;
use crate::sys::reason;

/// Makes the cgroup that is handed over, with every controller that the container's own has.
pub fn make_inside(plan: &Plan, undo: &mut Undo, own: &Path, inside: &Path) -> Result<OwnedFd> {
    let failed =
        |what: &str, dir: &Path, errno| anyhow!("{DELEGATE_CGROUP_FIELD}: {what} {}: {}", dir.display(), reason(errno));
    let mut dir = own.to_owned();
    for name in inside {
        let has = read_file(&dir.join("cgroup.controllers"))
            .map_err(|errno| failed("read the controllers of", &dir, errno))?;
        let control = open_subtree_control(&dir).map_err(|errno| failed("hand down controllers of", &dir, errno))?;
        enable(&control, has.split_whitespace());
        dir.push(name);
        undo.make(&dir).map_err(|errno| failed("mkdir", &dir, errno))?;
    }
    let leaf = open_dir(&dir).map_err(|errno| failed("open", &dir, errno))?;
    delegate(plan, leaf.as_fd())?;
    Ok(leaf)
}

/// The same as [`make_inside`] where there is a process already: it has to be out of the way before
/// controllers can be handed down.
pub fn move_inside(plan: &Plan, own: &Path, inside: &Path, pid: Pid) -> Result<()> {
    enter(&own.join(inside), DELEGATE_CGROUP_FIELD, pid)?;
    // There is nothing left to make.
    make_inside(plan, &mut Undo { made: Vec::new() }, own, inside).map(drop)
}

/// Makes `dir`, which is below the unit's cgroup and goes with it, and moves `pid` there.
pub fn enter(dir: &Path, field: &str, pid: Pid) -> Result<()> {
    let failed = |what: &str, errno| anyhow!("{field}: {what} {}: {}", dir.display(), reason(errno));
    let mut undo = Undo { made: Vec::new() };
    undo.make(dir).map_err(|errno| failed("mkdir", errno))?;
    let moved = write_file(&dir.join("cgroup.procs"), &pid.to_string());
    moved.map_err(|errno| failed("move init to", errno))?;
    undo.made.clear();
    Ok(())
}
