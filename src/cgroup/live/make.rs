//! Makes the directories of a plan.

use anyhow::{Context, Result, bail};
use nix::errno::Errno;

use super::cgroup::Cgroup;
use super::directories::{Made, Undo};
use super::kill;
use crate::cgroup::layout::{HostDir, Mode};
use crate::cgroup::plan::CgroupPlan;
use crate::cgroup::writes::{Target, Write};
use crate::spec::refuse;
use crate::sys::{Call, CallError};

/// Makes the directory of one target. `None` if a rootless caller may not make it and does not need it.
pub fn make(plan: &CgroupPlan, undo: &mut Undo, index: usize, target: &Target) -> Result<Option<Made>> {
    let dir = target.dir();
    let errno = match undo.make(&dir) {
        Ok(new) => return Ok(Some(Made { dir, new })),
        Err(errno) => errno,
    };
    let error = CallError::new(
        format_args!("linux.cgroupsPath: unable to apply cgroup configuration: mkdir {}", dir.display()),
        errno,
    );
    let forbidden = matches!(errno, Errno::EACCES | Errno::EPERM | Errno::EROFS);
    if !plan.rootless || plan.has_path || !forbidden {
        bail!(error);
    }
    let limit = |write: &&Write| write.target == index && !write.is_device_rule();
    match plan.writes.all.iter().find(limit) {
        None => Ok(None),
        Some(write) => {
            let controller = write.file.split('.').next().unwrap_or_default();
            Err(anyhow::Error::from(error).context(format!(
                "{}: rootless needs no limits + no cgrouppath when no permission is granted \
                 for cgroups: cannot set {controller} limit: container could not join or \
                 create cgroup",
                write.field
            )))
        }
    }
}

/// The cgroup that has these directories.
pub fn living(plan: &CgroupPlan, made: &[Option<Made>]) -> Cgroup {
    let dirs: Vec<HostDir> = plan
        .writes
        .targets
        .iter()
        .zip(made)
        .filter_map(|(target, made)| {
            Some(HostDir {
                controllers: target.controllers.clone(),
                mount: target.mount.clone(),
                dir: made.as_ref()?.dir.clone(),
            })
        })
        .collect();
    let mode = if dirs.is_empty() { Mode::None } else { plan.writes.mode };
    let unit = plan.scope.as_ref().map(|scope| scope.unit.clone());
    Cgroup { mode, dirs, inside: plan.inside.clone(), unit, ..Cgroup::default() }
}

/// Refuses an existing cgroup that has processes or is frozen; any other may be taken over.
pub fn refuse_used(cgroup: &Cgroup, made: &[Option<Made>]) -> Result<()> {
    let old = || made.iter().flatten().filter(|made| !made.new);
    if old().next().is_none() {
        return Ok(());
    }
    for made in old() {
        let count = kill::members_of(&made.dir).named(format_args!("linux.cgroupsPath: {}", made.dir.display()))?.len();
        if count > 0 {
            refuse!("linux.cgroupsPath", "container's cgroup is not empty: {count} process(es) found");
        }
    }
    if cgroup.is_frozen().context("linux.cgroupsPath")? {
        refuse!("linux.cgroupsPath", "container's cgroup unexpectedly frozen");
    }
    Ok(())
}
