//! `linux.resources` in the files of the v1 controllers; pure.
//!
//! On a hybrid host a controller that lives in the v2 hierarchy is written there.

use anyhow::{Result, bail};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxResources, LinuxThrottleDevice};

use super::layout::{Layout, Mode};
use super::plan::{Fallback, Plan, UsageCheck};
use super::v2;
use crate::spec::{Extras, Field};

/// Appends to `plan` what `resources` ask for. Fails when a controller is missing that is needed.
pub(super) fn plan(plan: &mut Plan, layout: &Layout, resources: &LinuxResources, extras: &Extras) -> Result<()> {
    if let Some(wanted) = resources.memory() {
        match v2_instead(plan, layout, "memory") {
            Some(target) => v2::memory(plan, target, wanted)?,
            None => memory(plan, wanted)?,
        }
    }
    if let Some(wanted) = resources.cpu() {
        match v2_instead(plan, layout, "cpu") {
            Some(target) => v2::cpu(plan, target, wanted)?,
            None => cpu(plan, wanted)?,
        }
        match v2_instead(plan, layout, "cpuset") {
            Some(target) => v2::cpuset(plan, target, wanted),
            None => cpuset(plan, wanted)?,
        }
    }
    if extras.pids_limit.is_some() {
        let target = match v2_instead(plan, layout, "pids") {
            Some(target) => target,
            None => controller(plan, "pids", "linux.resources.pids.limit")?,
        };
        v2::pids(plan, target, extras);
    }
    if let Some(wanted) = resources.block_io() {
        match v2_instead(plan, layout, "blkio") {
            Some(target) => v2::block_io(plan, target, wanted)?,
            None => block_io(plan, wanted)?,
        }
    }
    if !extras.hugepage_limits.is_empty() {
        match v2_instead(plan, layout, "hugetlb") {
            Some(target) => v2::hugepages(plan, target, extras),
            None => hugepages(plan, extras)?,
        }
    }
    if resources.rdma().as_ref().is_some_and(|limits| !limits.is_empty()) {
        let target = match v2_instead(plan, layout, "rdma") {
            Some(target) => target,
            None => controller(plan, "rdma", "linux.resources.rdma")?,
        };
        v2::rdma(plan, target, resources);
    }
    if let Some(wanted) = resources.network() {
        network(plan, wanted)?;
    }
    Ok(())
}

/// The v2 target of a hybrid host for a controller that is in no v1 hierarchy. Whether v2 has it shows when its files
/// are written.
fn v2_instead(plan: &Plan, layout: &Layout, controller: &str) -> Option<usize> {
    plan.v2_target().filter(|_| layout.mode() == Mode::Hybrid && plan.target_of(controller).is_none())
}

/// The target of a controller that `field` needs.
fn controller(plan: &Plan, name: &str, field: impl std::fmt::Display) -> Result<usize> {
    match plan.target_of(name) {
        Some(target) => Ok(target),
        None => bail!("{field}: cgroup controller {name:?} is not available"),
    }
}

/// Memory and swap go in this order into a new cgroup, whose limits are infinite; where there are
/// limits already, the one that is refused first fits after the other.
#[allow(deprecated, reason = "memory.kernel is still a field of the spec")]
fn memory(plan: &mut Plan, memory: &LinuxMemory) -> Result<()> {
    let field = |name: &str| Field::of("linux.resources.memory").member(name);
    let (limit, swap) = (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0));
    let mut writes: Vec<(&str, &'static str, String, Fallback)> = Vec::new();
    let swap_file = "memory.memsw.limit_in_bytes";
    match (limit, swap) {
        // Whoever lifts the limit lifts both; a kernel without swap accounting has only one.
        (-1, 0) => writes.push(("limit", swap_file, "-1".to_owned(), Fallback::Skip)),
        (_, -1) => writes.push(("swap", swap_file, "-1".to_owned(), Fallback::Fail)),
        _ => {}
    }
    if limit != 0 {
        writes.push(("limit", "memory.limit_in_bytes", limit.to_string(), Fallback::Later));
    }
    if swap > 0 {
        writes.push(("swap", swap_file, swap.to_string(), Fallback::Later));
    }
    let mut optional = |name, file, value: Option<i64>, fallback| {
        if let Some(value) = value.filter(|value| *value != 0) {
            writes.push((name, file, value.to_string(), fallback));
        }
    };
    let soft = "memory.soft_limit_in_bytes";
    optional("reservation", soft, memory.reservation(), Fallback::Fail);
    // Deprecated in 5.4 and refused since 5.16, where all memory counts as one.
    optional("kernel", "memory.kmem.limit_in_bytes", memory.kernel(), Fallback::Skip);
    let tcp = "memory.kmem.tcp.limit_in_bytes";
    optional("kernelTCP", tcp, memory.kernel_tcp(), Fallback::Fail);
    if memory.use_hierarchy() == Some(true) {
        writes.push(("useHierarchy", "memory.use_hierarchy", "1".to_owned(), Fallback::Fail));
    }
    if memory.disable_oom_killer() == Some(true) {
        writes.push(("disableOOMKiller", "memory.oom_control", "1".to_owned(), Fallback::Fail));
    }
    if let Some(value) = memory.swappiness() {
        writes.push(("swappiness", "memory.swappiness", value.to_string(), Fallback::Fail));
    }
    if memory.use_hierarchy() == Some(false) {
        plan.notes.push(format!("{}: what the parent does is inherited", field("useHierarchy")));
    }
    if memory.kernel().unwrap_or(0) != 0 {
        plan.notes.push(format!("{}: kernels since 5.16 ignore this limit", field("kernel")));
    }
    let Some((name, ..)) = writes.first() else {
        return Ok(());
    };
    let target = controller(plan, "memory", field(name))?;
    if memory.check_before_update() == Some(true) {
        plan.usage = Some(UsageCheck { target, limit, swap });
    }
    for (name, file, value, fallback) in writes {
        plan.write_or(target, file, value, field(name), fallback);
    }
    Ok(())
}

fn cpu(plan: &mut Plan, cpu: &LinuxCpu) -> Result<()> {
    let field = |name: &str| Field::of("linux.resources.cpu").member(name);
    match cpu.shares() {
        Some(1) => bail!("{}: the minimum allowed cpu-shares is 2", field("shares")),
        Some(262_145..) => bail!("{}: the maximum allowed cpu-shares is 262144", field("shares")),
        _ => {}
    }
    let text = |value: u64| (value != 0).then(|| value.to_string());
    // To the kernel any negative time is no limit; to systemd only this one.
    let signed = |value: i64| (value != 0).then(|| value.max(-1).to_string());
    // Of each pair the kernel checks one against the other; `Later` tries both orders.
    let writes = [
        ("realtimePeriod", "cpu.rt_period_us", cpu.realtime_period().and_then(text)),
        ("realtimeRuntime", "cpu.rt_runtime_us", cpu.realtime_runtime().and_then(signed)),
        ("shares", "cpu.shares", cpu.shares().and_then(text)),
        ("period", "cpu.cfs_period_us", cpu.period().and_then(text)),
        ("burst", "cpu.cfs_burst_us", cpu.burst().map(|burst| burst.to_string())),
        ("quota", "cpu.cfs_quota_us", cpu.quota().and_then(signed)),
        ("idle", "cpu.idle", cpu.idle().map(|idle| idle.to_string())),
    ];
    for (name, file, value) in writes {
        if let Some(value) = value {
            let target = controller(plan, "cpu", field(name))?;
            plan.write_or(target, file, value, field(name), Fallback::Later);
        }
    }
    Ok(())
}

fn cpuset(plan: &mut Plan, cpu: &LinuxCpu) -> Result<()> {
    for (name, file, list) in [("cpus", "cpuset.cpus", cpu.cpus()), ("mems", "cpuset.mems", cpu.mems())] {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            let field = Field::of("linux.resources.cpu").member(name);
            let target = controller(plan, "cpuset", &field)?;
            // A hierarchy mounted with `noprefix` has the field's own name.
            plan.write_or(target, file, list, field, Fallback::Instead(name, list.to_owned()));
        }
    }
    Ok(())
}

fn block_io(plan: &mut Plan, block_io: &LinuxBlockIo) -> Result<()> {
    let field = |name: &str| Field::of("linux.resources.blockIO").member(name);
    let mut writes: Vec<(Field, &'static str, String, Fallback)> = Vec::new();
    // CFQ's file until it went in 5.0, BFQ's since.
    let or_bfq = |file, value: &str| Fallback::Instead(file, value.to_owned());
    let set = |value: Option<u16>| value.filter(|value| *value != 0);
    if let Some(weight) = set(block_io.weight()) {
        let value = weight.to_string();
        let fallback = or_bfq("blkio.bfq.weight", &value);
        writes.push((field("weight"), "blkio.weight", value, fallback));
    }
    if let Some(weight) = set(block_io.leaf_weight()) {
        let value = weight.to_string();
        writes.push((field("leafWeight"), "blkio.leaf_weight", value, Fallback::Fail));
    }
    for (index, device) in block_io.weight_device().iter().flatten().enumerate() {
        let field = Field::item(field("weightDevice").as_str(), index);
        let value = |weight| format!("{}:{} {weight}", device.major(), device.minor());
        if let Some(value) = set(device.weight()).map(value) {
            let fallback = or_bfq("blkio.bfq.weight_device", &value);
            writes.push((field.clone(), "blkio.weight_device", value, fallback));
        }
        if let Some(value) = set(device.leaf_weight()).map(value) {
            writes.push((field, "blkio.leaf_weight_device", value, Fallback::Fail));
        }
    }
    for (name, file, devices) in throttles(block_io) {
        for (index, device) in devices.iter().enumerate() {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            let field = Field::item(field(name).as_str(), index);
            writes.push((field, file, value, Fallback::Fail));
        }
    }
    for (field, file, value, fallback) in writes {
        let target = controller(plan, "blkio", &field)?;
        plan.write_or(target, file, value, field, fallback);
    }
    Ok(())
}

fn throttles(block_io: &LinuxBlockIo) -> [(&str, &'static str, &[LinuxThrottleDevice]); 4] {
    fn list(devices: &Option<Vec<LinuxThrottleDevice>>) -> &[LinuxThrottleDevice] {
        devices.as_deref().unwrap_or_default()
    }
    [
        ("throttleReadBpsDevice", "blkio.throttle.read_bps_device", list(block_io.throttle_read_bps_device())),
        ("throttleWriteBpsDevice", "blkio.throttle.write_bps_device", list(block_io.throttle_write_bps_device())),
        ("throttleReadIOPSDevice", "blkio.throttle.read_iops_device", list(block_io.throttle_read_iops_device())),
        ("throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", list(block_io.throttle_write_iops_device())),
    ]
}

fn hugepages(plan: &mut Plan, extras: &Extras) -> Result<()> {
    for (index, (size, limit)) in extras.hugepage_limits.iter().enumerate() {
        let field = Field::item("linux.resources.hugepageLimits", index);
        let target = controller(plan, "hugetlb", &field)?;
        let reserve = format!("hugetlb.{size}.rsvd.limit_in_bytes");
        plan.write(target, format!("hugetlb.{size}.limit_in_bytes"), limit, field.clone());
        // Reservations can be limited since 5.7.
        plan.write_or(target, reserve, limit, field, Fallback::Skip);
    }
    Ok(())
}

fn network(plan: &mut Plan, network: &LinuxNetwork) -> Result<()> {
    if let Some(id) = network.class_id().filter(|id| *id != 0) {
        let field = Field::of("linux.resources.network.classID");
        let target = controller(plan, "net_cls", &field)?;
        plan.write(target, "net_cls.classid", id, field);
    }
    for (index, priority) in network.priorities().iter().flatten().enumerate() {
        let field = Field::item("linux.resources.network.priorities", index);
        let target = controller(plan, "net_prio", &field)?;
        let value = format!("{} {}", priority.name(), priority.priority());
        plan.write(target, "net_prio.ifpriomap", value, field);
    }
    Ok(())
}
