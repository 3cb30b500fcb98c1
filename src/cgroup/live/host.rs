//! Reads the cgroup hierarchies of this host.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};

use crate::cgroup::layout::{HierarchyMount, Layout};
use crate::cgroup::path::below_mount;

impl Layout {
    /// Reads the hierarchies. On a v2 host this is one statfs(2); otherwise it reads /proc/self/mountinfo and
    /// /proc/self/cgroup once.
    ///
    /// Fails if a file cannot be read.
    pub fn read() -> Result<Layout> {
        if cgroups_rs::hierarchies::is_cgroup2_unified_mode() {
            return Ok(Layout::unified(None));
        }
        Ok(Layout::of_mounts(&read("/proc/self/mountinfo")?, &own_cgroups()?, is_uncovered))
    }

    /// Adds the caller's own cgroup to the layout. On a v2 host this reads /proc/self/cgroup, for the few configs that
    /// need it.
    ///
    /// Fails if the file cannot be read.
    pub fn with_own(&self) -> Result<Layout> {
        if self.knows_own() {
            return Ok(self.clone());
        }
        let text = own_cgroups()?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
        Ok(Layout::unified(Some(below_mount(Path::new("/"), Path::new(path)))))
    }
}

/// Whether no other mount covers this one. mountinfo also lists covered mounts, and a mkdir(2) there would write to the
/// other file system.
fn is_uncovered(mount: &HierarchyMount) -> bool {
    let magic = if mount.options.is_some() { CGROUP_SUPER_MAGIC } else { CGROUP2_SUPER_MAGIC };
    // A mount that cannot be examined causes an error later, with its name.
    statfs(&mount.point).map_or_else(|errno| errno != Errno::ENOENT, |found| found.filesystem_type() == magic)
}

/// The text of /proc/self/cgroup.
fn own_cgroups() -> Result<String> {
    const PATH: &str = "/proc/self/cgroup";
    String::from_utf8(read(PATH)?).context(PATH)
}

/// Reads a file in /proc. These files report no size, so without a buffer of this size a dozen small reads would be
/// necessary.
fn read(path: &str) -> Result<Vec<u8>> {
    let mut text = Vec::with_capacity(16 << 10);
    File::open(path).and_then(|mut file| file.read_to_end(&mut text)).with_context(|| path.to_owned())?;
    Ok(text)
}
