//! `linux.resources` in the files of cgroup v2; pure.

use anyhow::Result;
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxResources, LinuxThrottleDevice, LinuxWeightDevice,
};

use super::scalar::{self, Destination};
use super::wanted::Wanted;
use crate::cgroup::writes::{Fallback, UsageCheck, Writes};
use crate::spec::{Extras, Field, refuse};
use crate::tables::limit::{DEFAULT_PERIOD, Version, io_weight};

/// The order of the controllers, by their v1 names.
const ORDER: &[&str] = &["memory", "pids", "cpu", "cpuset", "blkio", "hugetlb", "rdma"];

/// Appends `wanted` to `writes`, in the v2 directory `target`.
pub fn plan(writes: &mut Writes, target: usize, wanted: Wanted) -> Result<()> {
    for name in scalar::controllers(ORDER) {
        controller(writes, target, name, wanted)?;
    }
    let asks = |network: &LinuxNetwork| {
        network.class_id().unwrap_or(0) != 0 || network.priorities().as_ref().is_some_and(|list| !list.is_empty())
    };
    if wanted.resources.network().as_ref().is_some_and(asks) {
        writes.notes.push(
            "linux.resources.network: cgroup v2 has no network controllers, as in runc this is \
             left to the engine's packet filter"
                .to_owned(),
        );
    }
    Ok(())
}

/// Appends the fields of `wanted` that belong to one controller.
pub fn controller(writes: &mut Writes, target: usize, name: &'static str, wanted: Wanted) -> Result<()> {
    let resources = wanted.resources;
    if let ("memory", Some(memory)) = (name, resources.memory()) {
        swap(writes, target, memory);
        writes.usage = UsageCheck::of(resources, target);
    }
    scalar::plan(writes, wanted, Destination { controller: name, version: Version::V2, target: Some(target) })?;
    match name {
        "cpu" => resources.cpu().iter().for_each(|cpu| bandwidth(writes, target, cpu)),
        "blkio" => resources.block_io().iter().try_for_each(|wanted| block_io(writes, target, wanted))?,
        "hugetlb" => hugepages(writes, target, wanted.extras),
        "rdma" => rdma(writes, target, resources),
        _ => {}
    }
    Ok(())
}

/// Appends the limit of swap. It is written before that of memory.
fn swap(writes: &mut Writes, target: usize, memory: &LinuxMemory) {
    let (limit, swap) = (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0));
    if let Some(value) = swap_max(limit, swap) {
        // A kernel without swap has no such file. Then "max" and "0" hold anyway.
        let holds = value == "max" || value == "0";
        let fallback = if holds { Fallback::Skip } else { Fallback::Fail };
        let field = if swap == 0 { "linux.resources.memory.limit" } else { "linux.resources.memory.swap" };
        writes.add_or(target, "memory.swap.max", value, Field::of(field), fallback);
    }
}

/// `memory.swap.max` for the values of the spec, where `swap` is the sum of memory and swap, and 0 is unset. A check
/// has made sure that `swap` is not below `limit`.
fn swap_max(limit: i64, swap: i64) -> Option<String> {
    match (limit, swap) {
        // As on v1, lifting one limit lifts the other.
        (-1, 0) | (_, -1) => Some("max".to_owned()),
        (_, 0) => None,
        (-1, swap) => Some(swap.to_string()),
        (limit, swap) => Some((swap - limit).to_string()),
    }
}

/// Appends quota and period, which share one file.
fn bandwidth(writes: &mut Writes, target: usize, cpu: &LinuxCpu) {
    let (quota, period) = (cpu.quota().unwrap_or(0), cpu.period().unwrap_or(0));
    if quota == 0 && period == 0 {
        return;
    }
    let field = if quota != 0 { "linux.resources.cpu.quota" } else { "linux.resources.cpu.period" };
    let quota = if quota > 0 { quota.to_string() } else { "max".to_owned() };
    let period = if period == 0 { DEFAULT_PERIOD } else { period };
    writes.add_or(target, "cpu.max", format!("{quota} {period}"), Field::of(field), Fallback::Later);
}

fn block_io(writes: &mut Writes, target: usize, block_io: &LinuxBlockIo) -> Result<()> {
    if let Some(weight) = block_io.weight().filter(|weight| *weight != 0) {
        // The file of BFQ has the range of the spec. Without BFQ there is only io.weight, with a range ten times as
        // wide.
        let fallback = Fallback::Instead("io.weight", io_weight(weight.into()).to_string());
        let field = Field::of("linux.resources.blockIO.weight");
        writes.add_or(target, "io.bfq.weight", weight, field, fallback);
    }
    for (index, device) in block_io.weight_device().iter().flatten().enumerate() {
        weight_device(writes, target, device, index)?;
    }
    for (list, key, devices) in [
        ("linux.resources.blockIO.throttleReadBpsDevice", "rbps", block_io.throttle_read_bps_device()),
        ("linux.resources.blockIO.throttleWriteBpsDevice", "wbps", block_io.throttle_write_bps_device()),
        ("linux.resources.blockIO.throttleReadIOPSDevice", "riops", block_io.throttle_read_iops_device()),
        ("linux.resources.blockIO.throttleWriteIOPSDevice", "wiops", block_io.throttle_write_iops_device()),
    ] {
        for (index, device) in devices.iter().flatten().enumerate() {
            let value = throttle(device, key);
            writes.add(target, "io.max", value, Field::item(list, index));
        }
    }
    Ok(())
}

fn weight_device(writes: &mut Writes, target: usize, device: &LinuxWeightDevice, index: usize) -> Result<()> {
    let field = Field::item("linux.resources.blockIO.weightDevice", index);
    if device.leaf_weight().unwrap_or(0) != 0 {
        refuse!(field.member("leafWeight"), "cgroup v2 has no leaf weight");
    }
    if let Some(weight) = device.weight().filter(|weight| *weight != 0) {
        let value = format!("{}:{} {weight}", device.major(), device.minor());
        writes.add(target, "io.bfq.weight", value, field);
    }
    Ok(())
}

/// The value of a rate. As on v1, 0 lifts the limit.
fn throttle(device: &LinuxThrottleDevice, key: &str) -> String {
    let (major, minor) = (device.major(), device.minor());
    match device.rate() {
        0 => format!("{major}:{minor} {key}=max"),
        rate => format!("{major}:{minor} {key}={rate}"),
    }
}

/// Appends the limit of usage and, since Linux 5.7, the same limit of reservations.
pub fn hugepages(writes: &mut Writes, target: usize, extras: &Extras) {
    for (index, (size, limit)) in extras.hugepage_limits.iter().enumerate() {
        let field = Field::item("linux.resources.hugepageLimits", index);
        writes.add(target, format!("hugetlb.{size}.max"), limit, field.clone());
        writes.add_or(target, format!("hugetlb.{size}.rsvd.max"), limit, field, Fallback::Skip);
    }
}

pub fn rdma(writes: &mut Writes, target: usize, resources: &LinuxResources) {
    let mut limits: Vec<_> = resources.rdma().iter().flatten().collect();
    limits.sort_by_key(|(device, _)| device.as_str());
    for (device, limit) in limits {
        let mut value = device.clone();
        for (key, limit) in [("hca_handle", limit.hca_handles()), ("hca_object", limit.hca_objects())] {
            if let Some(limit) = limit {
                value.push_str(&format!(" {key}={limit}"));
            }
        }
        writes.add(target, "rdma.max", value, Field::of("linux.resources.rdma").member(device));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
