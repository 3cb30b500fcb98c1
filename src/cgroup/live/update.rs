//! New limits for an existing cgroup: all of them or none.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::Result;

use super::apply::{apply, check_usage};
use super::before::Before;
use super::cgroup::Cgroup;
use super::controllers::hand_down;
use super::dir;
use crate::cgroup::plan::CgroupPlan;
use crate::cgroup::systemd::Unit;
use crate::cgroup::writes::{Target, Write};
use crate::spec::refuse;
use crate::sys::Call;

impl Cgroup {
    /// Carries out a plan of [`CgroupPlan::update`]. Device rules stay as they are.
    ///
    /// After a failure the files get their old values back. The result lets the caller do the same if a later step
    /// fails.
    pub fn update(&self, plan: &CgroupPlan) -> Result<Before> {
        let place = |target: &Target| {
            let mut dirs = self.dirs.iter();
            Some(dirs.find(|dir| dir.controllers == target.controllers)?.dir.as_path())
        };
        let dirs: Vec<Option<&Path>> = plan.writes.targets.iter().map(place).collect();
        let lost = |write: &&Write| dirs[write.target].is_none() && !write.is_device_rule();
        if let Some(Write { field, file, .. }) = plan.writes.all.iter().find(lost) {
            refuse!(field, "{file}: the container has no cgroup for it");
        }
        let open = |dir: &Path| dir::open_dir(dir).named(format_args!("linux.cgroupsPath: open {}", dir.display()));
        let leaf = self.path_for_v2().map(open).transpose()?;
        if let Some(leaf) = &leaf {
            // On a hybrid host only the controllers that a config asks for are enabled.
            hand_down(plan, &[], leaf.as_fd())?;
        }
        check_usage(plan, &dirs)?;
        let before = Before::of(self.unit.clone(), plan, &dirs)?;
        let write = || apply(plan, |write| !write.is_device_rule(), &dirs, leaf.as_ref().map(OwnedFd::as_fd));
        let applied = match &self.unit {
            // systemd must not get a value that the kernel refuses.
            Some(unit) => write().and_then(|()| self.tell(unit, plan, &dirs)),
            None => write(),
        };
        match applied {
            Ok(()) => Ok(before),
            Err(error) => {
                before.restore();
                Err(error)
            }
        }
    }

    /// Tells systemd the new limits, which the kernel has accepted, and restores the exact values where systemd rounds.
    ///
    /// On v1 systemd denies all devices for a moment, so the container is frozen during this.
    fn tell(&self, unit: &Unit, plan: &CgroupPlan, dirs: &[Option<&Path>]) -> Result<()> {
        let exact = Before::of_systemd(plan, dirs)?;
        // If freezing fails, the container sees the denial.
        let frozen = self.path_for_v1("devices").is_some() && !self.is_frozen()? && self.freeze().is_ok();
        let told = unit.set(&plan.writes.all);
        exact.restore();
        // If the cgroup has children, v1 refuses changes of device rules, both systemd's and these.
        let _ = apply(plan, Write::is_device_rule, dirs, None);
        let thawed = if frozen { self.thaw() } else { Ok(()) };
        told.and(thawed)
    }
}
