//! `linux.resources.unified`: files of cgroup v2 by name; pure.

use anyhow::Result;
use oci_spec::runtime::LinuxResources;

use crate::cgroup::layout::{Layout, Mode};
use crate::cgroup::writes::Writes;
use crate::spec::{Field, refuse};

/// Appends the map to `writes`, after all other limits, line by line and sorted by key.
///
/// Fails for a key that is not `CONTROLLER.PARAMETER`, on a host without v2, and on a hybrid host if v1 has the
/// controller. If v2 lacks it, the write fails.
pub fn plan(writes: &mut Writes, layout: &Layout, resources: &LinuxResources) -> Result<()> {
    let mut entries: Vec<_> = resources.unified().iter().flatten().collect();
    entries.sort();
    for (key, value) in entries {
        let field = Field::of("linux.resources.unified").member(key);
        if key.contains('/') {
            refuse!(field, "unified resource {key:?} must be a file name (no slashes)");
        }
        let Some((controller, _)) = key.split_once('.').filter(|(name, _)| !name.is_empty()) else {
            refuse!(field, "unified resource {key:?} must be in the form CONTROLLER.PARAMETER");
        };
        let Some(target) = writes.v2_target() else {
            refuse!(field, "invalid configuration: cannot use unified on cgroup v1");
        };
        if writes.mode == Mode::Hybrid && layout.v1_of(v1_name(controller)).is_some() {
            refuse!(
                field,
                "invalid configuration: cannot use unified on cgroup v1, which has controller {:?} here",
                v1_name(controller)
            );
        }
        for line in value.lines() {
            writes.add(target, key.clone(), line, field.clone());
        }
    }
    Ok(())
}

/// The v1 controller that corresponds to a v2 controller.
fn v1_name(controller: &str) -> &str {
    if controller == "io" { "blkio" } else { controller }
}
