//! What a container uses: the numbers behind `events`, in runc's structure and under its names.

mod v1;
mod v2;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Result, anyhow};
use nix::errno::Errno;
use serde::Serialize;

use super::dir::{is_gone, number_of, read_file};
use super::layout::Mode;
use super::living::Cgroup;
use crate::sys::{directory, reason};

/// Statistics of a cgroup. What the kernel does not say is 0 or absent.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// CPU time.
    pub cpu: Cpu,
    /// Processors and memory nodes (v1).
    pub cpuset: CpuSet,
    /// Memory.
    pub memory: Memory,
    /// Processes.
    pub pids: Pids,
    /// Block devices.
    pub blkio: BlockIo,
    /// Huge pages by their size: `2MB`.
    pub hugetlb: BTreeMap<String, HugePages>,
}

/// CPU time.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// What was used.
    pub usage: CpuUsage,
    /// What was wanted and not given.
    pub throttling: Throttling,
    /// How much was waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// CPU time that was used, in nanoseconds.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct CpuUsage {
    /// In all.
    #[serde(skip_serializing_if = "zero")]
    pub total: u64,
    /// By processor (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// By processor, in the kernel (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// By processor, in programs (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// How often the quota was used up.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods in which something ran.
    #[serde(skip_serializing_if = "zero")]
    pub periods: u64,
    /// Periods in which the quota did not suffice.
    #[serde(skip_serializing_if = "zero")]
    pub throttled_periods: u64,
    /// Nanoseconds of standing still.
    #[serde(skip_serializing_if = "zero")]
    pub throttled_time: u64,
}

/// The v1 cpuset.
#[derive(Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names of the kernel's files, cgroup-v1/cpusets.rst")]
pub struct CpuSet {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u64>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u64>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory, in bytes.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Pages of files.
    #[serde(skip_serializing_if = "zero")]
    pub cache: u64,
    /// Memory.
    pub usage: MemoryEntry,
    /// Memory and swap together, also on v2, which counts them apart.
    pub swap: MemoryEntry,
    /// The kernel's part (v1).
    pub kernel: MemoryEntry,
    /// That of its TCP buffers (v1).
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// How much was waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One kind of memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MemoryEntry {
    /// The limit; without one the largest number that the kernel shows.
    pub limit: u64,
    /// Now.
    #[serde(skip_serializing_if = "zero")]
    pub usage: u64,
    /// The most there ever was.
    #[serde(skip_serializing_if = "zero")]
    pub max: u64,
    /// How often the limit was hit (v1).
    pub failcnt: u64,
}

/// Processes.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Pids {
    /// Now.
    #[serde(skip_serializing_if = "zero")]
    pub current: u64,
    /// The limit; 0 without one.
    #[serde(skip_serializing_if = "zero")]
    pub limit: u64,
}

/// Lists of a number for each device and operation.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names of the kernel's files, cgroup-v1/blkio-controller.rst")]
pub struct BlockIo {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_queue_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlockIoEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// A number for a device and an operation.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct BlockIoEntry {
    /// The device's major number.
    #[serde(skip_serializing_if = "zero")]
    pub major: u64,
    /// Its minor number.
    #[serde(skip_serializing_if = "zero")]
    pub minor: u64,
    /// `Read`, `Write`, …; empty where the kernel does not tell them apart.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The number.
    #[serde(skip_serializing_if = "zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct HugePages {
    /// Now.
    #[serde(skip_serializing_if = "zero")]
    pub usage: u64,
    /// The most there ever was (v1).
    #[serde(skip_serializing_if = "zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Pressure stall information, v2: how much was waited for a resource (accounting/psi.rst).
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// By at least one task.
    pub some: Stall,
    /// By all of them at once.
    pub full: Stall,
}

/// Shares of the last 10, 60 and 300 seconds in percent, and microseconds in all.
#[derive(Debug, Default, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the names of the kernel's file")]
pub struct Stall {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

fn zero(value: &u64) -> bool {
    *value == 0
}

impl Cgroup {
    /// What the container uses now. A controller that is not there, or a cgroup that vanishes
    /// meanwhile, counts nothing.
    ///
    /// Fails when a file cannot be read.
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

/// The sizes of huge pages that a cgroup has files for.
fn page_sizes(dir: &Path) -> Result<Vec<String>> {
    let entries = match directory::entries(dir) {
        Err(errno) if is_gone(errno) => return Ok(Vec::new()),
        other => other.map_err(|errno| anyhow!("{}: {}", dir.display(), reason(errno)))?,
    };
    let size = |name: OsString| {
        let name = name.to_str()?.strip_prefix("hugetlb.")?;
        let size = name.strip_suffix(".max").or_else(|| name.strip_suffix(".limit_in_bytes"))?;
        (!size.contains('.')).then(|| size.to_owned())
    };
    Ok(entries.into_iter().filter_map(|(name, _)| size(name)).collect())
}

/// The text of a file; none where there is no such file, or the kernel knows it and has no support for it.
fn text(dir: &Path, file: &str) -> Result<String> {
    match read_file(&dir.join(file)) {
        Err(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP) => Ok(String::new()),
        other => other.map_err(|errno| anyhow!("{}: {}", dir.join(file).display(), reason(errno))),
    }
}

/// The number that a file consists of; `max` is the largest there is, as for runc.
fn number(dir: &Path, file: &str) -> Result<Option<u64>> {
    Ok(match text(dir, file)?.trim() {
        "max" => Some(u64::MAX),
        text => text.parse().ok(),
    })
}

/// A file of lines `key number`.
fn numbers(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| line.split_once(' ').and_then(|(key, value)| Some((key.to_owned(), value.parse().ok()?)));
    text.lines().filter_map(line).collect()
}

fn pids(current: Option<u64>, limit: Option<u64>) -> Pids {
    Pids { current: current.unwrap_or(0), limit: limit.filter(|limit| *limit != u64::MAX).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that stands for a cgroup.
    pub(super) struct Fake(pub std::path::PathBuf);

    impl Fake {
        pub(super) fn new(name: &str, files: &[(&str, &str)]) -> Fake {
            let dir = std::env::temp_dir().join(format!("tare-stats-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            for (file, text) in files {
                std::fs::write(dir.join(file), text).unwrap();
            }
            Fake(dir)
        }
    }

    impl Drop for Fake {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn nothing_is_what_nothing_says() {
        let text = serde_json::to_string(&Cgroup::default().stats().unwrap()).unwrap();
        let wanted = r#"{"cpu":{"usage":{"kernel":0,"user":0},"throttling":{}},"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},"memory":{"usage":{"limit":0,"failcnt":0},"swap":{"limit":0,"failcnt":0},"kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0}},"pids":{},"blkio":{},"hugetlb":{}}"#;
        assert_eq!(text, wanted);
    }
}
