//! Makes a cgroup from a plan.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::Result;

use super::apply::{apply, check_usage};
use super::cgroup::Cgroup;
use super::controllers::hand_down;
use super::cpuset::inherit_cpuset;
use super::dir::open_dir;
use super::directories::{Made, Undo};
use super::inside::make_inside;
use super::install::{delegate, install_program};
use super::make::{living, make, refuse_used};
use super::owner::{self, Mark, Owner};
use crate::cgroup::layout::Mode;
use crate::cgroup::plan::CgroupPlan;
use crate::cgroup::writes::Target;
use crate::spec::refuse;
use crate::sys::Call;
use crate::trace;

impl Cgroup {
    /// Makes the cgroup with all its limits and device rules. It has no processes yet.
    ///
    /// Takes over an empty cgroup with the same path. Fails, leaving nothing behind, if that cgroup has processes or is
    /// frozen, or if the kernel refuses a write; the error names the field. A rootless caller without permission gets a
    /// cgroup without directories, if the config asks for no limits and no path.
    ///
    /// A scope of systemd does not exist after this: systemd creates it with its first process ([`Cgroup::admit`]).
    pub fn create(plan: &CgroupPlan, owner: Owner<'_>) -> Result<Cgroup> {
        if let Some(scope) = &plan.scope {
            // systemd would accept a frozen cgroup, and the process would never run.
            let old = |target: &Target| {
                let dir = target.mount.join(&scope.path);
                let there = dir.try_exists().named(format_args!("linux.cgroupsPath: stat {}", dir.display()))?;
                Ok(there.then_some(Made { dir, new: false }))
            };
            let there = plan.writes.targets.iter().map(old).collect::<Result<Vec<_>>>()?;
            refuse_used(&living(plan, &there), &there)?;
            return Ok(Cgroup::intended(plan));
        }
        let mut undo = Undo { made: Vec::new() };
        let cgroup = build(plan, &mut undo, owner)?;
        undo.made.clear();
        Ok(cgroup)
    }

    /// The cgroup that the plan will make. The record has it before the cgroup exists, so that `delete` can remove what
    /// a killed `create` has left.
    pub fn intended(plan: &CgroupPlan) -> Cgroup {
        let made: Vec<_> =
            plan.writes.targets.iter().map(|target| Some(Made { dir: target.dir(), new: true })).collect();
        living(plan, &made)
    }
}

/// Makes and fills the directories.
fn build(plan: &CgroupPlan, undo: &mut Undo, owner: Owner<'_>) -> Result<Cgroup> {
    let mut made = Vec::with_capacity(plan.writes.targets.len());
    trace::work("make its directories", || {
        plan.writes.targets.iter().enumerate().try_for_each(|(index, target)| {
            made.push(make(plan, undo, index, target)?);
            anyhow::Ok(())
        })
    })?;
    let cgroup = living(plan, &made);
    let claim = claim(&made)?;
    refuse_used(&cgroup, &made)?;
    mark(&made, owner)?;
    if let Some(target) = plan.writes.target_of("cpuset")
        && let Some(made) = &made[target]
    {
        inherit_cpuset(made, &plan.writes.targets[target].mount)?;
    }
    let v2 = plan.writes.v2_target().and_then(|target| made[target].as_ref());
    let leaf = match plan.writes.mode {
        Mode::Unified => claim,
        _ => {
            cgroup.claim.replace(claim);
            v2.map(|made| open_leaf(plan, made)).transpose()?.flatten()
        }
    };
    if let Some(leaf) = &leaf {
        hand_down(plan, &undo.made, leaf.as_fd())?;
    }
    let dirs: Vec<Option<&Path>> = made.iter().map(|made| Some(&*made.as_ref()?.dir)).collect();
    check_usage(plan, &dirs)?;
    trace::work("write the limits", || apply(plan, |_| true, &dirs, leaf.as_ref().map(OwnedFd::as_fd)))?;
    if let (Some(leaf), Some(made)) = (leaf, v2) {
        finish_v2(plan, undo, &cgroup, made, leaf)?;
    }
    Ok(cgroup)
}

/// Attaches the device program and delegates. Keeps the directory for the processes open, and the lock on `leaf`.
fn finish_v2(plan: &CgroupPlan, undo: &mut Undo, cgroup: &Cgroup, made: &Made, leaf: OwnedFd) -> Result<()> {
    trace::work("load the device program", || install_program(plan, leaf.as_fd(), made.new))?;
    if let Some(inside) = &plan.inside {
        cgroup.leaf.replace(Some(make_inside(plan, undo, &made.dir, inside)?));
        cgroup.claim.replace(Some(leaf));
    } else {
        delegate(plan, leaf.as_fd())?;
        cgroup.leaf.replace(Some(leaf));
    }
    Ok(())
}

/// Marks the first directory with its owner, if processes may outlive the first one or if the cgroup existed before.
fn mark(made: &[Option<Made>], owner: Owner<'_>) -> Result<()> {
    let Some(first) = made.iter().flatten().next() else { return Ok(()) };
    // This run has made the directory, but another container has taken it over since.
    if first.new && owner::mark_of(&first.dir, owner.token)? != Mark::None {
        refuse!("linux.cgroupsPath", "container's cgroup is not empty: another container is in it");
    }
    if owner.shares_pids || !first.new {
        owner::mark(&first.dir, owner.token);
    }
    Ok(())
}

/// Opens the v2 directory. On a hybrid host only if the plan needs it.
fn open_leaf(plan: &CgroupPlan, made: &Made) -> Result<Option<OwnedFd>> {
    let target = plan.writes.v2_target();
    let written = || plan.writes.all.iter().any(|write| Some(write.target) == target);
    let idle = plan.program.is_none() && plan.delegate_to.is_none();
    if plan.writes.mode == Mode::Hybrid && idle && !written() {
        return Ok(None);
    }
    let leaf = open_dir(&made.dir).named(format_args!("open {}", made.dir.display()))?;
    Ok(Some(leaf))
}

/// Locks the first directory of a new cgroup. If two containers take over the same empty cgroup at once, the second one
/// is refused. Later the processes in the cgroup show that it is in use.
fn claim(made: &[Option<Made>]) -> Result<Option<OwnedFd>> {
    let Some(made) = made.iter().flatten().next() else { return Ok(None) };
    match owner::claim(&made.dir)? {
        Some(claim) => Ok(Some(claim)),
        None => refuse!("linux.cgroupsPath", "container's cgroup is not empty: another container is about to be in it"),
    }
}
