//! The types of the statistics, in the structure of runc.

use std::collections::BTreeMap;

use serde::Serialize;

/// Statistics of a cgroup. A value that the kernel does not report is 0 or absent.
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
    /// Time used.
    pub usage: CpuUsage,
    /// Time refused because of the quota.
    pub throttling: Throttling,
    /// Time spent waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// CPU time used, in nanoseconds.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct CpuUsage {
    /// In total.
    #[serde(skip_serializing_if = "zero")]
    pub total: u64,
    /// For each CPU (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// For each CPU, in the kernel (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// For each CPU, in user space (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In user space.
    pub user: u64,
}

/// Throttling by the quota.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods in which a process ran.
    #[serde(skip_serializing_if = "zero")]
    pub periods: u64,
    /// Periods in which the quota was used up.
    #[serde(skip_serializing_if = "zero")]
    pub throttled_periods: u64,
    /// Nanoseconds of throttling.
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
    /// Page cache.
    #[serde(skip_serializing_if = "zero")]
    pub cache: u64,
    /// Memory.
    pub usage: MemoryEntry,
    /// Memory and swap together. v2 counts them apart, so there this is the sum.
    pub swap: MemoryEntry,
    /// Kernel memory (v1).
    pub kernel: MemoryEntry,
    /// TCP buffers (v1).
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// `memory.stat`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// Time spent waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One kind of memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MemoryEntry {
    /// The limit. Without one, the largest number that the kernel reports.
    pub limit: u64,
    /// Current usage.
    #[serde(skip_serializing_if = "zero")]
    pub usage: u64,
    /// Peak usage.
    #[serde(skip_serializing_if = "zero")]
    pub max: u64,
    /// The number of times that the limit was reached (v1).
    pub failcnt: u64,
}

/// Processes.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Pids {
    /// Current number.
    #[serde(skip_serializing_if = "zero")]
    pub current: u64,
    /// The limit; 0 if there is none.
    #[serde(skip_serializing_if = "zero")]
    pub limit: u64,
}

impl Pids {
    pub(super) fn of(current: Option<u64>, limit: Option<u64>) -> Pids {
        Pids { current: current.unwrap_or(0), limit: limit.filter(|limit| *limit != u64::MAX).unwrap_or(0) }
    }
}

/// A number for each device and operation.
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
    /// `Read`, `Write`, …; empty if the kernel does not distinguish them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The number.
    #[serde(skip_serializing_if = "zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct HugePages {
    /// Current usage.
    #[serde(skip_serializing_if = "zero")]
    pub usage: u64,
    /// Peak usage (v1).
    #[serde(skip_serializing_if = "zero")]
    pub max: u64,
    /// The number of times that the limit was reached.
    pub failcnt: u64,
}

/// Pressure stall information of v2 (accounting/psi.rst): the time spent waiting for a resource.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Stall,
    /// All tasks waited at once.
    pub full: Stall,
}

/// Shares of the last 10, 60 and 300 seconds in percent, and the total in microseconds.
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
