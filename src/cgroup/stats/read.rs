//! The statistics of a cgroup.

use std::ffi::OsString;
use std::path::Path;

use anyhow::Result;

use super::types::{HugePages, Stats};
use super::{v1, v2};
use crate::cgroup::layout::Mode;
use crate::cgroup::live::Cgroup;
use crate::cgroup::live::dir::is_gone;
use crate::sys::{Call, directory};

impl Cgroup {
    /// Reads the current usage. A missing controller and a removed cgroup count as 0.
    ///
    /// Fails if a file cannot be read.
    pub fn stats(&self) -> Result<Stats> {
        type Read = fn(&Path, &str) -> Result<Option<HugePages>>;
        let mut stats = match (self.mode(), self.path_for_v2()) {
            (Mode::Unified, Some(dir)) => v2::stats(dir)?,
            _ => v1::stats(self)?,
        };
        let v1 = self.path_for_v1("hugetlb").map(|dir| (dir, v1::huge_pages as Read));
        let v2 = self.path_for_v2().map(|dir| (dir, v2::huge_pages as Read));
        if let Some((dir, read)) = v1.or(v2) {
            for size in page_sizes(dir)? {
                if let Some(pages) = read(dir, &size)? {
                    stats.hugetlb.insert(size, pages);
                }
            }
        }
        Ok(stats)
    }
}

/// The sizes of huge pages for which the cgroup has files.
fn page_sizes(dir: &Path) -> Result<Vec<String>> {
    let entries = match directory::entries(dir) {
        Err(errno) if is_gone(errno) => return Ok(Vec::new()),
        other => other.named(dir.display())?,
    };
    let size = |name: OsString| {
        let name = name.to_str()?.strip_prefix("hugetlb.")?;
        let size = name.strip_suffix(".max").or_else(|| name.strip_suffix(".limit_in_bytes"))?;
        (!size.contains('.')).then(|| size.to_owned())
    };
    Ok(entries.into_iter().filter_map(|(name, _)| size(name)).collect())
}
