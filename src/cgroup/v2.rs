//! `linux.resources` in the files of cgroup v2; pure.

use anyhow::{Result, bail};
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxResources, LinuxThrottleDevice, LinuxWeightDevice,
};

use super::plan::{Fallback, Plan, UsageCheck};
use crate::spec::{Extras, Field};

/// What the kernel takes for a `cpu.max` without a period, in microseconds.
const DEFAULT_PERIOD: u64 = 100_000;

/// Appends to `plan` what `resources` ask for in the v2 directory `target`.
pub(super) fn plan(plan: &mut Plan, target: usize, resources: &LinuxResources, extras: &Extras) -> Result<()> {
    if let Some(wanted) = resources.memory() {
        memory(plan, target, wanted)?;
    }
    pids(plan, target, extras);
    if let Some(wanted) = resources.cpu() {
        cpu(plan, target, wanted)?;
        cpuset(plan, target, wanted);
    }
    if let Some(wanted) = resources.block_io() {
        block_io(plan, target, wanted)?;
    }
    hugepages(plan, target, extras);
    rdma(plan, target, resources);
    let asks = |network: &LinuxNetwork| {
        network.class_id().unwrap_or(0) != 0 || network.priorities().as_ref().is_some_and(|list| !list.is_empty())
    };
    if resources.network().as_ref().is_some_and(asks) {
        plan.notes.push(
            "linux.resources.network: cgroup v2 has no network controllers, as in runc this is \
             left to the engine's packet filter"
                .to_owned(),
        );
    }
    Ok(())
}

/// `-1` is how the spec says "no limit", and for processes any other negative number as well; `max` how the kernel does.
fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

#[allow(deprecated, reason = "memory.kernel is still a field of the spec")]
pub(super) fn memory(plan: &mut Plan, target: usize, memory: &LinuxMemory) -> Result<()> {
    const FIELD: &str = "linux.resources.memory";
    if memory.swappiness().is_some() {
        bail!("{FIELD}.swappiness: cgroup v2 has no swappiness");
    }
    if memory.disable_oom_killer() == Some(true) {
        bail!("{FIELD}.disableOOMKiller: cgroup v2 cannot disable the OOM killer");
    }
    if memory.use_hierarchy() == Some(false) {
        plan.notes.push(format!("{FIELD}.useHierarchy: cgroup v2 always counts sub-cgroups"));
    }
    for (name, value) in [("kernel", memory.kernel()), ("kernelTCP", memory.kernel_tcp())] {
        if value.is_some_and(|value| value != 0) {
            plan.notes.push(format!("{FIELD}.{name}: cgroup v2 has no separate limit, ignored"));
        }
    }
    let (limit, swap) = (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0));
    if memory.check_before_update() == Some(true) {
        plan.usage = Some(UsageCheck { target, limit, swap });
    }
    if let Some(value) = swap_max(limit, swap) {
        // Without swap in the kernel nothing uses any, so "as much as you like" and "none" hold.
        let holds = value == "max" || value == "0";
        let fallback = if holds { Fallback::Skip } else { Fallback::Fail };
        let field = if swap == 0 { "limit" } else { "swap" };
        let field = Field::of(FIELD).member(field);
        plan.write_or(target, "memory.swap.max", value, field, fallback);
    }
    if limit != 0 {
        plan.write(target, "memory.max", or_max(limit), Field::of("linux.resources.memory.limit"));
    }
    if let Some(value) = memory.reservation().filter(|value| *value != 0) {
        let field = Field::of("linux.resources.memory.reservation");
        plan.write(target, "memory.low", or_max(value), field);
    }
    Ok(())
}

/// `memory.swap.max` for the spec's values, of which `swap` means memory and swap together and 0
/// means unset. Checked before: `swap` is not below `limit`.
fn swap_max(limit: i64, swap: i64) -> Option<String> {
    match (limit, swap) {
        // As on v1, where lifting one limit lifts the other.
        (-1, 0) | (_, -1) => Some("max".to_owned()),
        (_, 0) => None,
        (-1, swap) => Some(swap.to_string()),
        (limit, swap) => Some((swap - limit).to_string()),
    }
}

pub(super) fn pids(plan: &mut Plan, target: usize, extras: &Extras) {
    let value = match extras.pids_limit {
        None => return,
        // The kernel would take 0 for "not even the first", its users mean "no children".
        Some(0) => "1".to_owned(),
        Some(limit) => or_max(limit),
    };
    plan.write(target, "pids.max", value, Field::of("linux.resources.pids.limit"));
}

pub(super) fn cpu(plan: &mut Plan, target: usize, cpu: &LinuxCpu) -> Result<()> {
    let field = |name: &str| Field::of("linux.resources.cpu").member(name);
    if cpu.realtime_runtime().unwrap_or(0) != 0 {
        bail!("{}: cgroup v2 has no realtime limits", field("realtimeRuntime"));
    }
    if cpu.realtime_period().unwrap_or(0) != 0 {
        bail!("{}: cgroup v2 has no realtime limits", field("realtimePeriod"));
    }
    if let Some(idle) = cpu.idle() {
        plan.write(target, "cpu.idle", idle, field("idle"));
    }
    if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
        plan.write(target, "cpu.weight", weight_of_shares(shares), field("shares"));
    }
    // A burst above the old quota is refused until the new one is there, and the other way round.
    if let Some(burst) = cpu.burst() {
        plan.write_or(target, "cpu.max.burst", burst, field("burst"), Fallback::Later);
    }
    let (quota, period) = (cpu.quota().unwrap_or(0), cpu.period().unwrap_or(0));
    if quota != 0 || period != 0 {
        let name = if quota != 0 { "quota" } else { "period" };
        let quota = if quota > 0 { quota.to_string() } else { "max".to_owned() };
        let period = if period == 0 { DEFAULT_PERIOD } else { period };
        let value = format!("{quota} {period}");
        plan.write_or(target, "cpu.max", value, field(name), Fallback::Later);
    }
    Ok(())
}

pub(super) fn cpuset(plan: &mut Plan, target: usize, cpu: &LinuxCpu) {
    for (name, file, list) in [("cpus", "cpuset.cpus", cpu.cpus()), ("mems", "cpuset.mems", cpu.mems())] {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            plan.write(target, file, list, Field::of("linux.resources.cpu").member(name));
        }
    }
}

/// `cpu.weight` (1 to 10000) for v1 shares (2 to 262144): the curve that runc 1.3.2 and crun 1.23
/// brought, through the two ends and from default to default (1024 to 100).
fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10_f64.powf(exponent).ceil() as u64
        }
    }
}

pub(super) fn block_io(plan: &mut Plan, target: usize, block_io: &LinuxBlockIo) -> Result<()> {
    let field = |name: &str| Field::of("linux.resources.blockIO").member(name);
    if block_io.leaf_weight().unwrap_or(0) != 0 {
        bail!("{}: cgroup v2 has no leaf weight", field("leafWeight"));
    }
    if let Some(weight) = block_io.weight().filter(|weight| *weight != 0) {
        // BFQ takes the spec's values as they are; where it is not in use io.weight has a range
        // that is ten times as wide.
        let linear = 1 + (u64::from(weight) - 10) * 9999 / 990;
        let fallback = Fallback::Instead("io.weight", linear.to_string());
        plan.write_or(target, "io.bfq.weight", weight, field("weight"), fallback);
    }
    for (index, device) in block_io.weight_device().iter().flatten().enumerate() {
        weight_device(plan, target, device, index)?;
    }
    for (name, key, devices) in [
        ("throttleReadBpsDevice", "rbps", block_io.throttle_read_bps_device()),
        ("throttleWriteBpsDevice", "wbps", block_io.throttle_write_bps_device()),
        ("throttleReadIOPSDevice", "riops", block_io.throttle_read_iops_device()),
        ("throttleWriteIOPSDevice", "wiops", block_io.throttle_write_iops_device()),
    ] {
        for (index, device) in devices.iter().flatten().enumerate() {
            let value = throttle(device, key);
            plan.write(target, "io.max", value, Field::item(field(name).as_str(), index));
        }
    }
    Ok(())
}

fn weight_device(plan: &mut Plan, target: usize, device: &LinuxWeightDevice, index: usize) -> Result<()> {
    let field = Field::item("linux.resources.blockIO.weightDevice", index);
    if device.leaf_weight().unwrap_or(0) != 0 {
        bail!("{field}.leafWeight: cgroup v2 has no leaf weight");
    }
    if let Some(weight) = device.weight().filter(|weight| *weight != 0) {
        let value = format!("{}:{} {weight}", device.major(), device.minor());
        plan.write(target, "io.bfq.weight", value, field);
    }
    Ok(())
}

/// A rate of 0 lifts the limit, as on v1.
fn throttle(device: &LinuxThrottleDevice, key: &str) -> String {
    let (major, minor) = (device.major(), device.minor());
    match device.rate() {
        0 => format!("{major}:{minor} {key}=max"),
        rate => format!("{major}:{minor} {key}={rate}"),
    }
}

/// The limit and, where the kernel has it (5.7), the same limit for reserving.
pub(super) fn hugepages(plan: &mut Plan, target: usize, extras: &Extras) {
    for (index, (size, limit)) in extras.hugepage_limits.iter().enumerate() {
        let field = Field::item("linux.resources.hugepageLimits", index);
        plan.write(target, format!("hugetlb.{size}.max"), limit, field.clone());
        plan.write_or(target, format!("hugetlb.{size}.rsvd.max"), limit, field, Fallback::Skip);
    }
}

pub(super) fn rdma(plan: &mut Plan, target: usize, resources: &LinuxResources) {
    let mut limits: Vec<_> = resources.rdma().iter().flatten().collect();
    limits.sort_by_key(|(device, _)| device.as_str());
    for (device, limit) in limits {
        let mut value = device.clone();
        for (key, limit) in [("hca_handle", limit.hca_handles()), ("hca_object", limit.hca_objects())] {
            if let Some(limit) = limit {
                value.push_str(&format!(" {key}={limit}"));
            }
        }
        plan.write(target, "rdma.max", value, Field::of("linux.resources.rdma").member(device));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_to_weight() {
        for (shares, weight) in [(1, 1), (2, 1), (1024, 100), (262_144, 10_000), (300_000, 10_000)] {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
    }

    #[test]
    fn swap_is_what_is_left_of_both() {
        for (limit, swap, wanted) in [
            (0, 0, None),
            (10, 0, None),
            (-1, 0, Some("max")),
            (10, -1, Some("max")),
            (0, -1, Some("max")),
            (-1, 10, Some("10")),
            (10, 10, Some("0")),
            (10, 15, Some("5")),
        ] {
            assert_eq!(swap_max(limit, swap).as_deref(), wanted, "{limit} {swap}");
        }
    }
}
