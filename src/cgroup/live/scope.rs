//! A cgroup that systemd makes together with its first process.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::unistd::Pid;

use super::apply::apply;
use super::cgroup::Cgroup;
use super::controllers::hand_down;
use super::cpuset::inherit_cpuset;
use super::dir::open_dir;
use super::directories::Undo;
use super::inside::{enter, move_inside};
use super::install::{delegate, install_program};
use super::kill;
use super::make::make;
use super::owner::{self, Owner};
use crate::cgroup::layout::{Mode, SYSTEMD};
use crate::cgroup::plan::CgroupPlan;
use crate::cgroup::writes::Target;
use crate::spec::annotation::SYSTEMD_SUBGROUP;
use crate::sys::Call;

impl Cgroup {
    /// Moves the first process into the cgroup, if it was not started there. With systemd this creates the cgroup.
    ///
    /// Fails if the kernel or systemd refuses. The unit is then not started, or stopped again.
    pub fn admit(&self, plan: &CgroupPlan, pid: Pid) -> Result<()> {
        match &plan.scope {
            Some(scope) => scope.start(pid),
            None => self.attach(pid),
        }
    }

    /// Finishes a scope: joins the other v1 hierarchies, marks the owner, writes the exact values, attaches the device
    /// program, delegates.
    pub fn settle(plan: &CgroupPlan, pid: Pid, owner: Owner<'_>) -> Result<()> {
        let Some(scope) = &plan.scope else { return Ok(()) };
        if plan.writes.mode != Mode::Unified {
            join_v1(plan, pid)?;
        }
        let dirs: Vec<PathBuf> = plan.writes.targets.iter().map(Target::dir).collect();
        if let Some(first) = dirs.first() {
            owner::mark(first, owner.token);
        }
        let own = plan.writes.v2_target().map(|target| &dirs[target]);
        if let (Some(own), Some(_)) = (own, &scope.unit.subgroup) {
            enter(own, &format!("annotations.{SYSTEMD_SUBGROUP}"), pid)?;
        }
        let open = |dir: &PathBuf| open_dir(dir).named(format_args!("open {}", dir.display()));
        let leaf = own.map(open).transpose()?;
        if let Some(leaf) = &leaf {
            hand_down(plan, &[], leaf.as_fd())?;
        }
        let places: Vec<Option<&Path>> = dirs.iter().map(|dir| Some(&**dir)).collect();
        apply(plan, |_| true, &places, leaf.as_ref().map(OwnedFd::as_fd))?;
        let (Some(own), Some(leaf)) = (own, leaf) else { return Ok(()) };
        // systemd's own program stays attached. The kernel allows an access only if both programs do.
        install_program(plan, leaf.as_fd(), true)?;
        match &plan.inside {
            None => delegate(plan, leaf.as_fd()),
            Some(inside) => move_inside(plan, own, inside, pid),
        }
    }
}

/// Moves the first process of a scope into the other v1 hierarchies. systemd has moved it only in its own hierarchy,
/// and manages fewer than half of the v1 controllers.
fn join_v1(plan: &CgroupPlan, pid: Pid) -> Result<()> {
    let mut undo = Undo { made: Vec::new() };
    let cpuset = plan.writes.target_of("cpuset");
    for (index, target) in plan.writes.targets.iter().enumerate().filter(|(_, target)| target.controllers != SYSTEMD) {
        let Some(made) = make(plan, &mut undo, index, target)? else { continue };
        if Some(index) == cpuset {
            inherit_cpuset(&made, &target.mount)?;
        }
        kill::put(&made.dir, pid)?;
    }
    undo.made.clear();
    Ok(())
}
