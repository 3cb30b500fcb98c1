//! Statistics of cgroup v2, under the names of v1 if runc's structure has those.
//!
//! This is own code: for v2 `cgroups-rs` reads neither `io.stat` nor pressure nor peaks.

use std::path::Path;

use anyhow::Result;

use super::files::{number, numbers, text};
use super::types::{BlockIo, BlockIoEntry, Cpu, HugePages, Memory, MemoryEntry, Pids, Pressure, Stall, Stats};
use crate::cgroup::live::dir::number_of;

/// The number of nanoseconds in a microsecond, which is the unit of v2.
const MICROSECOND: u64 = 1000;

pub fn stats(dir: &Path) -> Result<Stats> {
    Ok(Stats {
        cpu: cpu(dir)?,
        memory: memory(dir)?,
        pids: Pids::of(number(dir, "pids.current")?, number(dir, "pids.max")?),
        blkio: block_io(dir)?,
        ..Stats::default()
    })
}

fn cpu(dir: &Path) -> Result<Cpu> {
    let text = text(dir, "cpu.stat")?;
    let number = |key| number_of(&text, key).unwrap_or(0);
    let mut cpu = Cpu { psi: pressure(dir, "cpu.pressure")?, ..Cpu::default() };
    cpu.usage.total = number("usage_usec") * MICROSECOND;
    cpu.usage.user = number("user_usec") * MICROSECOND;
    cpu.usage.kernel = number("system_usec") * MICROSECOND;
    cpu.throttling.periods = number("nr_periods");
    cpu.throttling.throttled_periods = number("nr_throttled");
    cpu.throttling.throttled_time = number("throttled_usec") * MICROSECOND;
    Ok(cpu)
}

fn memory(dir: &Path) -> Result<Memory> {
    let raw = numbers(&text(dir, "memory.stat")?);
    let entry = |kind: &str| {
        let number = |name: &str| anyhow::Ok(number(dir, &format!("memory.{kind}{name}"))?.unwrap_or(0));
        // The kernel has peaks since 5.19, and peaks of swap since 6.5.
        anyhow::Ok(MemoryEntry { limit: number("max")?, usage: number("current")?, max: number("peak")?, failcnt: 0 })
    };
    let (usage, alone) = (entry("")?, entry("swap.")?);
    // The two peaks may be from different times, so there is no peak of the sum.
    let swap = MemoryEntry {
        limit: alone.limit.saturating_add(usage.limit),
        usage: alone.usage.saturating_add(usage.usage),
        max: 0,
        failcnt: 0,
    };
    Ok(Memory {
        cache: raw.get("file").copied().unwrap_or(0),
        usage,
        swap,
        psi: pressure(dir, "memory.pressure")?,
        raw,
        ..Memory::default()
    })
}

/// Parses lines such as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
fn block_io(dir: &Path) -> Result<BlockIo> {
    let text = text(dir, "io.stat")?;
    let mut found = BlockIo { psi: pressure(dir, "io.pressure")?, ..BlockIo::default() };
    for line in text.lines() {
        let mut fields = line.split(' ');
        let device = fields.next().and_then(|device| device.split_once(':'));
        let Some((Ok(major), Ok(minor))) = device.map(|(major, minor)| (major.parse(), minor.parse())) else {
            continue;
        };
        for (key, value) in fields.filter_map(|field| field.split_once('=')) {
            let (op, bytes) = match key {
                "rbytes" => ("Read", true),
                "wbytes" => ("Write", true),
                "dbytes" => ("Discard", true),
                "rios" => ("Read", false),
                "wios" => ("Write", false),
                "dios" => ("Discard", false),
                // runc's structure has no place for costs and latencies.
                _ => continue,
            };
            let list = if bytes { &mut found.io_service_bytes_recursive } else { &mut found.io_serviced_recursive };
            list.push(BlockIoEntry { major, minor, op: op.to_owned(), value: value.parse().unwrap_or(0) });
        }
    }
    Ok(found)
}

pub fn huge_pages(dir: &Path, size: &str) -> Result<Option<HugePages>> {
    // If both files exist (since Linux 5.7), the limit applies to reservations.
    for kind in ["rsvd.", ""] {
        if let Some(usage) = number(dir, &format!("hugetlb.{size}.{kind}current"))? {
            let events = text(dir, &format!("hugetlb.{size}.events"))?;
            return Ok(Some(HugePages { usage, max: 0, failcnt: number_of(&events, "max").unwrap_or(0) }));
        }
    }
    Ok(None)
}

/// Parses `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and the same for `full`, which `cpu` has since 5.13. `None`
/// if the kernel does not measure pressure.
fn pressure(dir: &Path, file: &str) -> Result<Option<Pressure>> {
    Ok(pressure_of(&text(dir, file)?))
}

fn pressure_of(text: &str) -> Option<Pressure> {
    if text.is_empty() {
        return None;
    }
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let (kind, fields) = line.split_once(' ')?;
        let value = |key: &str| fields.split(' ').find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
        let share = |key| value(key).and_then(|text| text.parse().ok()).unwrap_or(0.0);
        let total = value("total").and_then(|text| text.parse().ok()).unwrap_or(0);
        let stall = Stall { avg10: share("avg10"), avg60: share("avg60"), avg300: share("avg300"), total };
        match kind {
            "some" => pressure.some = stall,
            "full" => pressure.full = stall,
            _ => {}
        }
    }
    Some(pressure)
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fake;
    use super::*;

    /// An unreadable directory is an error, not a count of 0.
    #[test]
    fn what_cannot_be_read_is_an_error() {
        for file in ["cpu.stat", "memory.swap.max", "pids.current", "io.stat", "io.pressure"] {
            let fake = Fake::new(file, &[]);
            assert!(stats(&fake.0).is_ok());
            std::fs::create_dir(fake.0.join(file)).unwrap();
            let error = stats(&fake.0).unwrap_err().to_string();
            assert!(error.ends_with(&format!("/{file}: is a directory")), "{error}");
        }
    }

    #[test]
    fn a_whole_cgroup() {
        let fake = Fake::new(
            "v2",
            &[
                (
                    "cpu.stat",
                    "usage_usec 90\nuser_usec 30\nsystem_usec 60\nnr_periods 4\nnr_throttled 3\nthrottled_usec 7\n",
                ),
                (
                    "cpu.pressure",
                    "some avg10=1.50 avg60=0.00 avg300=0.25 total=99\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
                ),
                ("memory.stat", "anon 5\nfile 6\n"),
                ("memory.current", "100\n"),
                ("memory.max", "1000\n"),
                ("memory.peak", "500\n"),
                ("memory.swap.current", "10\n"),
                ("memory.swap.max", "max\n"),
                ("pids.current", "2\n"),
                ("pids.max", "50\n"),
                ("io.stat", "8:0 rbytes=4096 wbytes=1 rios=2 wios=3 dbytes=4 dios=5 cost.usage=6\n8:16\n"),
                ("hugetlb.2MB.current", "9\n"),
                ("hugetlb.2MB.rsvd.current", "11\n"),
                ("hugetlb.2MB.events", "max 12\n"),
            ],
        );
        let found = stats(&fake.0).unwrap();
        assert_eq!((found.cpu.usage.total, found.cpu.usage.user, found.cpu.usage.kernel), (90_000, 30_000, 60_000));
        assert_eq!(found.cpu.throttling.throttled_time, 7000);
        let psi = found.cpu.psi.unwrap();
        assert_eq!((psi.some.avg10, psi.some.avg300, psi.some.total, psi.full.total), (1.5, 0.25, 99, 7));
        assert_eq!((found.memory.cache, found.memory.raw.len(), found.memory.psi), (6, 2, None));
        assert_eq!(found.memory.usage, MemoryEntry { limit: 1000, usage: 100, max: 500, failcnt: 0 });
        assert_eq!(found.memory.swap, MemoryEntry { limit: u64::MAX, usage: 110, max: 0, failcnt: 0 });
        assert_eq!((found.pids.current, found.pids.limit), (2, 50));
        let values = |list: &[BlockIoEntry]| list.iter().map(|it| (it.op.clone(), it.value)).collect::<Vec<_>>();
        let wanted = |r, w, d| [("Read".to_owned(), r), ("Write".to_owned(), w), ("Discard".to_owned(), d)];
        assert_eq!(values(&found.blkio.io_service_bytes_recursive), wanted(4096, 1, 4));
        assert_eq!(values(&found.blkio.io_serviced_recursive), wanted(2, 3, 5));
        assert_eq!(huge_pages(&fake.0, "2MB").unwrap(), Some(HugePages { usage: 11, max: 0, failcnt: 12 }));
    }
}
