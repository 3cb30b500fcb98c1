//! The directories of the container's cgroup.

use std::path::Path;

use anyhow::Result;

use crate::cgroup::layout::{Layout, Mode};
use crate::cgroup::path::clean;
use crate::cgroup::writes::Target;
use crate::spec::refuse;

/// The directory with this path in each hierarchy.
pub fn at(layout: &Layout, path: &Path) -> Vec<Target> {
    let target = |controllers: &str, mount: &Path| Target {
        controllers: controllers.to_owned(),
        mount: mount.to_owned(),
        path: path.to_owned(),
    };
    let v1 = layout.v1().iter().map(|hierarchy| target(&hierarchy.controllers, &hierarchy.mount));
    v1.chain(layout.v2_mount().map(|mount| target("", mount))).collect()
}

/// The container's directory in each hierarchy.
///
/// An absolute path is below the mount. A relative path, or the id if there is no path, is below the caller's own
/// cgroup on v1. On v2 it is *beside* the caller's own, because a cgroup with processes cannot enable controllers for
/// its children. Hybrid hosts follow v1.
pub fn of(layout: &Layout, id: &str, cgroups_path: Option<&Path>) -> Result<Vec<Target>> {
    let asked = cgroups_path.unwrap_or(Path::new(""));
    let absolute = asked.is_absolute();
    let mut inner = clean(asked);
    if asked.as_os_str().is_empty() {
        inner = clean(Path::new(id));
    }
    let below = |own: &Path| {
        if absolute { inner.clone() } else { own.join(&inner) }
    };
    let mut targets: Vec<Target> = layout
        .v1()
        .iter()
        .map(|hierarchy| Target {
            controllers: hierarchy.controllers.clone(),
            mount: hierarchy.mount.clone(),
            path: below(&hierarchy.own),
        })
        .collect();
    if let Some(mount) = layout.v2_mount() {
        let path = match (absolute, layout.mode()) {
            (true, _) => inner.clone(),
            (false, Mode::Unified) => below(layout.v2_own()?.parent().unwrap_or(Path::new(""))),
            (false, _) => below(layout.v2_own()?),
        };
        targets.push(Target { controllers: String::new(), mount: mount.to_owned(), path });
    }
    if inner.as_os_str().is_empty() {
        refuse!("linux.cgroupsPath", "{asked:?} is the root of the hierarchy, not a cgroup of its own");
    }
    Ok(targets)
}
