//! `linux.resources.unified`: files of cgroup v2 by name; pure.

use anyhow::Result;
use oci_spec::runtime::LinuxResources;

use crate::cgroup::layout::{Layout, Mode};
use crate::cgroup::writes::Writes;
use crate::spec::{Field, refuse};

/// Appends the map to `writes`, after everything else, line by line and in the order of the keys.
///
/// Fails for keys that are not `CONTROLLER.PARAMETER`, on hosts without v2, and on hybrid hosts
/// when v1 has the controller. Whether v2 has it shows when the file is written.
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

/// The v1 controller that does what the v2 controller does.
fn v1_name(controller: &str) -> &str {
    if controller == "io" { "blkio" } else { controller }
}
