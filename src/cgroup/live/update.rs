//! New limits for a cgroup that exists, all of them or none.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::Result;

use super::apply::{apply, check_usage};
use super::before::Before;
use super::cgroup::Cgroup;
use super::controllers::hand_down;
use super::dir;
use crate::cgroup::plan::Plan;
use crate::cgroup::systemd::Unit;
use crate::cgroup::writes::{Target, Write};
use crate::spec::refuse;
use crate::sys::Call;

impl Cgroup {
    /// Carries out a plan of [`Plan::update`]. Device rules are left as they are.
    ///
    /// On failure the files have their old values again. The result takes them back, too, when what
    /// comes after the limits fails.
    pub fn update(&self, plan: &Plan) -> Result<Before> {
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
            // On a hybrid host nothing was handed down that nobody asked for.
            hand_down(plan, &[], leaf.as_fd())?;
        }
        check_usage(plan, &dirs)?;
        let before = Before::of(self.unit.clone(), plan, &dirs)?;
        let write = || apply(plan, |write| !write.is_device_rule(), &dirs, leaf.as_ref().map(OwnedFd::as_fd));
        let applied = match &self.unit {
            // What the kernel refuses systemd need not know.
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

    /// Tells systemd of limits that are in the kernel's files, and puts these right again where systemd changes them.
    ///
    /// On v1 it denies every device before it allows some again, so nobody may run meanwhile.
    fn tell(&self, unit: &Unit, plan: &Plan, dirs: &[Option<&Path>]) -> Result<()> {
        let exact = Before::of_systemd(plan, dirs)?;
        // Whoever cannot be frozen has to live with it.
        let frozen = self.path_for_v1("devices").is_some() && !self.is_frozen()? && self.freeze().is_ok();
        let told = unit.set(&plan.writes.all);
        exact.restore();
        // With a cgroup below, neither systemd can take anything back nor we.
        let _ = apply(plan, Write::is_device_rule, dirs, None);
        let thawed = if frozen { self.thaw() } else { Ok(()) };
        told.and(thawed)
    }
}
