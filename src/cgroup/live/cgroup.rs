//! A cgroup that exists.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::dir::open_dir;
use super::entrance::Entrance;
use crate::cgroup::layout::{HostDir, Mode};
use crate::cgroup::plan::Existing;
use crate::cgroup::systemd::Unit;
use crate::sys::Call;
use crate::sys::clone::has_clone3;

/// A container's cgroup: its directories, as the record keeps them.
///
/// If there are no directories (rootless without permission, no hierarchy mounted), every operation succeeds and does
/// nothing. A directory that another process has removed counts as empty.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Cgroup {
    pub(in crate::cgroup) mode: Mode,
    pub(in crate::cgroup) dirs: Vec<HostDir>,
    /// The cgroup of the container's processes, relative to the v2 directory, if it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cgroup) inside: Option<PathBuf>,
    /// The unit, if systemd made the cgroup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::cgroup) unit: Option<Unit>,
    /// The v2 directory, open since it was made.
    #[serde(skip)]
    pub(in crate::cgroup) leaf: RefCell<Option<OwnedFd>>,
    /// A locked directory of the cgroup. Until the first process is in the cgroup, the lock prevents other containers
    /// from taking it over.
    #[serde(skip)]
    pub(in crate::cgroup) claim: RefCell<Option<OwnedFd>>,
}

impl Cgroup {
    /// A cgroup below `/c`, which does not exist, for tests of decisions.
    #[cfg(test)]
    pub(in crate::cgroup) fn example(mode: Mode, controllers: &[&str]) -> Cgroup {
        Cgroup { mode, dirs: crate::cgroup::layout::example(controllers), ..Cgroup::default() }
    }

    /// The unit that it belongs to, if systemd has made it.
    pub fn unit(&self) -> Option<&Unit> {
        self.unit.as_ref()
    }

    /// The inputs for the plan of an update.
    pub fn existing(&self) -> Existing<'_> {
        Existing { mode: self.mode, dirs: &self.dirs, is_unit: self.unit.is_some() }
    }

    /// The kind of host that it was made on; [`Mode::None`] if the container has no cgroup.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The container's directory in each hierarchy, for a `cgroup` mount inside the container.
    pub fn host_dirs(&self) -> &[HostDir] {
        &self.dirs
    }

    /// The directory in the v2 hierarchy.
    pub fn path_for_v2(&self) -> Option<&Path> {
        self.dirs.iter().find(|dir| dir.controllers.is_empty()).map(|dir| dir.dir.as_path())
    }

    /// The directory of a v1 `controller`.
    pub fn path_for_v1(&self, controller: &str) -> Option<&Path> {
        let has = |dir: &&HostDir| dir.controllers.split(',').any(|name| name == controller);
        self.dirs.iter().find(has).map(|dir| dir.dir.as_path())
    }

    /// The way into the cgroup for its first process. `None` if systemd will make the cgroup, because it does not exist
    /// yet, and if clone3(2) is missing, which starts a process in the v2 directory.
    ///
    /// After [`Cgroup::create`] the v2 directory may be open already.
    pub fn entrance(&self) -> Result<Option<Entrance>> {
        let own = self.path_for_v2();
        if self.unit.is_some() || own.is_some() && !has_clone3() {
            return Ok(None);
        }
        let v2 = match (self.leaf.take(), own) {
            (Some(leaf), _) => Some(leaf),
            (None, None) => None,
            (None, Some(own)) => {
                let place = self.inside.as_ref().map_or_else(|| own.to_owned(), |inside| own.join(inside));
                Some(open_dir(&place).named(format_args!("open {}", place.display()))?)
            }
        };
        Entrance::new(v2, &self.dirs).map(Some)
    }
}
