//! Statistics of the v1 controllers.
//!
//! `cgroups-rs` reads `cpuacct`, `cpuset` and `pids`. It does not read `memory`, because its reader keeps a fixed set
//! of the keys of `memory.stat` and reads eleven files too many, and not `blkio`, because its reader knows only some
//! operations.

use std::path::Path;

use anyhow::Result;
use cgroups_rs::MaxValue;
use cgroups_rs::cpuacct::CpuAcctController;
use cgroups_rs::cpuset::CpuSetController;
use cgroups_rs::pid::PidController;

use super::files::{number, numbers, text};
use super::types::{BlockIo, BlockIoEntry, Cpu, CpuSet, HugePages, Memory, MemoryEntry, Pids, Stats};
use crate::cgroup::live::Cgroup;
use crate::cgroup::live::dir::number_of;

/// The number of nanoseconds in a tick of `cpuacct.stat`: `USER_HZ` is 100 on all architectures of Linux.
const TICK: u64 = 10_000_000;

pub fn stats(cgroup: &Cgroup) -> Result<Stats> {
    let of = |controller| cgroup.path_for_v1(controller);
    let mut stats = Stats::default();
    if let Some(dir) = of("cpuacct") {
        accounting(dir, &mut stats.cpu)?;
    }
    if let Some(dir) = of("cpu") {
        let text = text(dir, "cpu.stat")?;
        let throttling = &mut stats.cpu.throttling;
        throttling.periods = number_of(&text, "nr_periods").unwrap_or(0);
        throttling.throttled_periods = number_of(&text, "nr_throttled").unwrap_or(0);
        throttling.throttled_time = number_of(&text, "throttled_time").unwrap_or(0);
    }
    stats.cpuset = of("cpuset").map_or_else(|| Ok(CpuSet::default()), cpuset)?;
    stats.memory = of("memory").map_or_else(|| Ok(Memory::default()), memory)?;
    stats.pids = of("pids").map_or_else(|| Ok(Pids::default()), pids)?;
    stats.blkio = of("blkio").map_or_else(|| Ok(BlockIo::default()), block_io)?;
    Ok(stats)
}

fn accounting(dir: &Path, cpu: &mut Cpu) -> Result<()> {
    // cgroups-rs would treat an unreadable file as 0.
    text(dir, "cpuacct.usage")?;
    let found = CpuAcctController::new(dir.to_owned()).cpuacct();
    let usage = &mut cpu.usage;
    usage.total = found.usage;
    usage.kernel = number_of(&found.stat, "system").unwrap_or(0) * TICK;
    usage.user = number_of(&found.stat, "user").unwrap_or(0) * TICK;
    usage.percpu = found.usage_percpu.split_whitespace().filter_map(|text| text.parse().ok()).collect();
    // The lines after the first one have the form `CPU USER SYSTEM`.
    for line in found.usage_all.lines().skip(1) {
        let fields: Vec<u64> = line.split_whitespace().filter_map(|text| text.parse().ok()).collect();
        if let [_, user, kernel] = fields[..] {
            usage.percpu_user.push(user);
            usage.percpu_kernel.push(kernel);
        }
    }
    Ok(())
}

fn cpuset(dir: &Path) -> Result<CpuSet> {
    let found = CpuSetController::new(dir.to_owned(), false).cpuset();
    let members = |ranges: Vec<(u64, u64)>| ranges.into_iter().flat_map(|(first, last)| first..=last).collect();
    // cgroups-rs reads this file as an unsigned number, but -1 is the usual value.
    let level = text(dir, "cpuset.sched_relax_domain_level")?;
    Ok(CpuSet {
        cpus: members(found.cpus),
        cpu_exclusive: found.cpu_exclusive.into(),
        mems: members(found.mems),
        mem_hardwall: found.mem_hardwall.into(),
        mem_exclusive: found.mem_exclusive.into(),
        memory_migrate: found.memory_migrate.into(),
        memory_spread_page: found.memory_spread_page.into(),
        memory_spread_slab: found.memory_spread_slab.into(),
        memory_pressure: found.memory_pressure,
        sched_load_balance: found.sched_load_balance.into(),
        sched_relax_domain_level: level.trim().parse().unwrap_or(0),
    })
}

fn memory(dir: &Path) -> Result<Memory> {
    let raw = numbers(&text(dir, "memory.stat")?);
    let entry = |kind: &str| {
        let number = |name: &str| anyhow::Ok(number(dir, &format!("memory.{kind}{name}"))?.unwrap_or(0));
        anyhow::Ok(MemoryEntry {
            limit: number("limit_in_bytes")?,
            usage: number("usage_in_bytes")?,
            max: number("max_usage_in_bytes")?,
            failcnt: number("failcnt")?,
        })
    };
    Ok(Memory {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: entry("")?,
        swap: entry("memsw.")?,
        kernel: entry("kmem.")?,
        kernel_tcp: entry("kmem.tcp.")?,
        raw,
        psi: None,
    })
}

fn pids(dir: &Path) -> Result<Pids> {
    text(dir, "pids.current")?;
    let controller = PidController::new(dir.to_owned(), false);
    let limit = match controller.get_pid_max() {
        Ok(MaxValue::Value(limit)) => u64::try_from(limit).ok(),
        _ => None,
    };
    Ok(Pids::of(controller.get_pid_current().ok(), limit))
}

pub fn huge_pages(dir: &Path, size: &str) -> Result<Option<HugePages>> {
    // If both files exist (since Linux 5.7), the limit applies to reservations.
    for kind in ["rsvd.", ""] {
        let number = |name: &str| number(dir, &format!("hugetlb.{size}.{kind}{name}"));
        if let Some(usage) = number("usage_in_bytes")? {
            let (max, failcnt) = (number("max_usage_in_bytes")?.unwrap_or(0), number("failcnt")?.unwrap_or(0));
            return Ok(Some(HugePages { usage, max, failcnt }));
        }
    }
    Ok(None)
}

/// The statistics of the first scheduler that has counted anything: BFQ, CFQ of old kernels, or the throttling layer,
/// which counts only bytes and operations.
fn block_io(dir: &Path) -> Result<BlockIo> {
    let mut found = BlockIo::default();
    for kind in ["bfq.", "", "throttle."] {
        let list = |name: &str| anyhow::Ok(entries(&text(dir, &format!("blkio.{kind}{name}"))?));
        found.io_serviced_recursive = list("io_serviced_recursive")?;
        if found.io_serviced_recursive.is_empty() {
            continue;
        }
        found.io_service_bytes_recursive = list("io_service_bytes_recursive")?;
        found.io_queue_recursive = list("io_queued_recursive")?;
        found.io_service_time_recursive = list("io_service_time_recursive")?;
        found.io_wait_time_recursive = list("io_wait_time_recursive")?;
        found.io_merged_recursive = list("io_merged_recursive")?;
        found.io_time_recursive = list("time_recursive")?;
        found.sectors_recursive = list("sectors_recursive")?;
        break;
    }
    Ok(found)
}

/// Parses lines such as `8:0 Read 4096` or `8:0 4096`. The last one, `Total 4096`, has no device.
fn entries(text: &str) -> Vec<BlockIoEntry> {
    let entry = |line: &str| {
        let mut fields = line.split(' ');
        let (major, minor) = fields.next()?.split_once(':')?;
        let rest: Vec<&str> = fields.collect();
        let (op, value) = match rest[..] {
            [op, value] => (op, value),
            [value] => ("", value),
            _ => return None,
        };
        Some(BlockIoEntry {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
            op: op.to_owned(),
            value: value.parse().ok()?,
        })
    };
    text.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fake;
    use super::*;

    #[test]
    fn lists_of_devices() {
        let text = "8:0 Read 4096\n8:0 Discard 0\n8:16 77\nTotal 4096\n";
        let found: Vec<_> = entries(text).into_iter().map(|it| (it.major, it.minor, it.op, it.value)).collect();
        let entry = |minor, op: &str, value| (8, minor, op.to_owned(), value);
        assert_eq!(found, [entry(0, "Read", 4096), entry(0, "Discard", 0), entry(16, "", 77)]);
    }

    #[test]
    fn the_throttling_layer_counts_where_no_scheduler_does() {
        let fake = Fake::new(
            "blkio",
            &[
                ("blkio.bfq.io_serviced_recursive", "Total 0\n"),
                ("blkio.throttle.io_serviced_recursive", "8:0 Read 1\n8:0 Total 1\nTotal 1\n"),
                ("blkio.throttle.io_service_bytes_recursive", "8:0 Read 4096\nTotal 4096\n"),
            ],
        );
        let found = block_io(&fake.0).unwrap();
        assert_eq!((found.io_serviced_recursive.len(), found.io_service_bytes_recursive[0].value), (2, 4096));
    }

    #[test]
    fn processors_and_their_time() {
        let fake = Fake::new(
            "cpu",
            &[
                ("cpuacct.stat", "user 3\nsystem 5\n"),
                ("cpuacct.usage", "90000000\n"),
                ("cpuacct.usage_percpu", "70000000 20000000 \n"),
                ("cpuacct.usage_all", "cpu user system\n0 30 40\n1 0 20\n"),
                ("cpuset.cpus", "0-2,5\n"),
                ("cpuset.mems", "0\n"),
                ("cpuset.sched_load_balance", "1\n"),
                ("cpuset.sched_relax_domain_level", "-1\n"),
                ("pids.current", "4\n"),
                ("pids.max", "max\n"),
            ],
        );
        let mut cpu = Cpu::default();
        accounting(&fake.0, &mut cpu).unwrap();
        assert_eq!((cpu.usage.total, cpu.usage.user, cpu.usage.kernel), (90_000_000, 30_000_000, 50_000_000));
        assert_eq!(cpu.usage.percpu, [70_000_000, 20_000_000]);
        assert_eq!((cpu.usage.percpu_user, cpu.usage.percpu_kernel), (vec![30, 0], vec![40, 20]));
        let set = cpuset(&fake.0).unwrap();
        assert_eq!((set.cpus, set.mems), (vec![0, 1, 2, 5], vec![0]));
        assert_eq!((set.sched_load_balance, set.sched_relax_domain_level), (1, -1));
        assert_eq!(pids(&fake.0).unwrap(), Pids { current: 4, limit: 0 });
    }

    #[test]
    fn huge_pages_that_are_reserved_count_first() {
        let fake = Fake::new(
            "huge-v1",
            &[
                ("hugetlb.2MB.usage_in_bytes", "1\n"),
                ("hugetlb.2MB.rsvd.usage_in_bytes", "2\n"),
                ("hugetlb.2MB.rsvd.max_usage_in_bytes", "3\n"),
                ("hugetlb.2MB.rsvd.failcnt", "4\n"),
            ],
        );
        assert_eq!(huge_pages(&fake.0, "2MB").unwrap(), Some(HugePages { usage: 2, max: 3, failcnt: 4 }));
        assert_eq!(huge_pages(&fake.0, "1GB").unwrap(), None);
    }
}
