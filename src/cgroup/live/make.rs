//! The directories of a plan.

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;

use super::cgroup::Cgroup;
use super::directories::{Made, Undo};
use super::kill;
use crate::cgroup::layout::{HostDir, Mode};
use crate::cgroup::plan::Plan;
use crate::cgroup::writes::{Target, Write};
use crate::sys::reason;

/// Makes the directory of one target; `None` where a rootless caller may not and need not.
pub fn make(plan: &Plan, undo: &mut Undo, index: usize, target: &Target) -> Result<Option<Made>> {
    let dir = target.dir();
    let errno = match undo.make(&dir) {
        Ok(new) => return Ok(Some(Made { dir, new })),
        Err(errno) => errno,
    };
    let error =
        anyhow!("linux.cgroupsPath: unable to apply cgroup configuration: mkdir {}: {}", dir.display(), reason(errno));
    let forbidden = matches!(errno, Errno::EACCES | Errno::EPERM | Errno::EROFS);
    if !plan.rootless || plan.has_path || !forbidden {
        return Err(error);
    }
    let limit = |write: &&Write| write.target == index && !write.is_device_rule();
    match plan.writes.all.iter().find(limit) {
        None => Ok(None),
        Some(write) => {
            let controller = write.file.split('.').next().unwrap_or_default();
            Err(error.context(format!(
                "{}: rootless needs no limits + no cgrouppath when no permission is granted \
                 for cgroups: cannot set {controller} limit: container could not join or \
                 create cgroup",
                write.field
            )))
        }
    }
}

/// The cgroup that consists of these directories.
pub fn living(plan: &Plan, made: &[Option<Made>]) -> Cgroup {
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

/// A cgroup that was there before may be taken over if nobody lives in it.
pub fn refuse_used(cgroup: &Cgroup, made: &[Option<Made>]) -> Result<()> {
    let old = || made.iter().flatten().filter(|made| !made.new);
    if old().next().is_none() {
        return Ok(());
    }
    for made in old() {
        let count = kill::members_of(&made.dir)
            .map_err(|errno| anyhow!("linux.cgroupsPath: {}: {}", made.dir.display(), reason(errno)))?
            .len();
        if count > 0 {
            bail!("linux.cgroupsPath: container's cgroup is not empty: {count} process(es) found");
        }
    }
    if cgroup.is_frozen().context("linux.cgroupsPath")? {
        bail!("linux.cgroupsPath: container's cgroup unexpectedly frozen");
    }
    Ok(())
}
