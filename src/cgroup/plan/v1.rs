//! `linux.resources` in the files of the v1 controllers; pure.
//!
//! On a hybrid host, values of a controller in the v2 hierarchy are written there.

use anyhow::Result;
use oci_spec::runtime::{LinuxBlockIo, LinuxMemory, LinuxNetwork, LinuxThrottleDevice};

use super::scalar::{self, Destination};
use super::v2;
use super::wanted::Wanted;
use crate::cgroup::layout::{Layout, Mode};
use crate::cgroup::writes::{Fallback, UsageCheck, Writes};
use crate::spec::{Extras, Field, refuse};
use crate::tables::limit::Version;

const ORDER: &[&str] = &["memory", "cpu", "cpuset", "pids", "blkio", "hugetlb", "rdma", "net_cls", "net_prio"];

/// Appends `wanted` to `writes`. Fails if a needed controller is missing.
pub fn plan(writes: &mut Writes, layout: &Layout, wanted: Wanted) -> Result<()> {
    for controller in scalar::controllers(ORDER) {
        match v2_instead(writes, layout, controller) {
            Some(target) => v2::controller(writes, target, controller, wanted)?,
            None => controller_of_v1(writes, controller, wanted)?,
        }
    }
    Ok(())
}

/// The v2 target, on a hybrid host, of a controller that no v1 hierarchy has. If v2 lacks the controller, too, the
/// write fails. v2 never has the network controllers.
fn v2_instead(writes: &Writes, layout: &Layout, controller: &str) -> Option<usize> {
    let hybrid = layout.mode() == Mode::Hybrid && !matches!(controller, "net_cls" | "net_prio");
    writes.v2_target().filter(|_| hybrid && writes.target_of(controller).is_none())
}

fn controller_of_v1(writes: &mut Writes, controller: &'static str, wanted: Wanted) -> Result<()> {
    let resources = wanted.resources;
    if let ("memory", Some(wanted)) = (controller, resources.memory()) {
        lift_memory(writes, wanted)?;
    }
    let into = Destination { controller, version: Version::V1, target: writes.target_of(controller) };
    scalar::plan(writes, wanted, into)?;
    match controller {
        "memory" => writes.usage = into.target.and_then(|target| UsageCheck::of(resources, target)),
        "blkio" => resources.block_io().iter().try_for_each(|wanted| block_io(writes, wanted))?,
        "hugetlb" => hugepages(writes, wanted.extras)?,
        "rdma" if resources.rdma().as_ref().is_some_and(|limits| !limits.is_empty()) => {
            let target = target(writes, controller, "linux.resources.rdma")?;
            v2::rdma(writes, target, resources);
        }
        "net_prio" => resources.network().iter().try_for_each(|wanted| priorities(writes, wanted))?,
        _ => {}
    }
    Ok(())
}

/// The target of a controller that `field` needs.
fn target(writes: &Writes, controller: &str, field: impl Into<Field>) -> Result<usize> {
    match writes.target_of(controller) {
        Some(target) => Ok(target),
        None => refuse!(field, "cgroup controller {controller:?} is not available"),
    }
}

/// Lifts the limit of memory plus swap before that of memory. The other limits follow, memory first, which is the right
/// order for a new cgroup, whose limits are infinite. In a cgroup with limits, the kernel may refuse one of the two
/// writes, which is then repeated at the end.
fn lift_memory(writes: &mut Writes, memory: &LinuxMemory) -> Result<()> {
    let (field, fallback) = match (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0)) {
        // -1 for memory lifts both limits. A kernel without swap accounting has only one of them.
        (-1, 0) => (Field::of("linux.resources.memory.limit"), Fallback::Skip),
        (_, -1) => (Field::of("linux.resources.memory.swap"), Fallback::Fail),
        _ => return Ok(()),
    };
    let target = target(writes, "memory", &field)?;
    writes.add_or(target, "memory.memsw.limit_in_bytes", -1, field, fallback);
    Ok(())
}

fn block_io(writes: &mut Writes, block_io: &LinuxBlockIo) -> Result<()> {
    let set = |value: Option<u16>| value.filter(|value| *value != 0);
    let mut rows: Vec<(Field, &'static str, String, Fallback)> = Vec::new();
    for (index, device) in block_io.weight_device().iter().flatten().enumerate() {
        let field = Field::item("linux.resources.blockIO.weightDevice", index);
        let value = |weight| format!("{}:{} {weight}", device.major(), device.minor());
        if let Some(value) = set(device.weight()).map(value) {
            // The file of CFQ until Linux 5.0, and of BFQ since.
            let fallback = Fallback::Instead("blkio.bfq.weight_device", value.clone());
            rows.push((field.clone(), "blkio.weight_device", value, fallback));
        }
        if let Some(value) = set(device.leaf_weight()).map(value) {
            rows.push((field, "blkio.leaf_weight_device", value, Fallback::Fail));
        }
    }
    for (list, file, devices) in throttles(block_io) {
        for (index, device) in devices.iter().enumerate() {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            rows.push((Field::item(list, index), file, value, Fallback::Fail));
        }
    }
    for (field, file, value, fallback) in rows {
        let target = target(writes, "blkio", &field)?;
        writes.add_or(target, file, value, field, fallback);
    }
    Ok(())
}

fn throttles(block_io: &LinuxBlockIo) -> [(&'static str, &'static str, &[LinuxThrottleDevice]); 4] {
    fn list(devices: &Option<Vec<LinuxThrottleDevice>>) -> &[LinuxThrottleDevice] {
        devices.as_deref().unwrap_or_default()
    }
    [
        (
            "linux.resources.blockIO.throttleReadBpsDevice",
            "blkio.throttle.read_bps_device",
            list(block_io.throttle_read_bps_device()),
        ),
        (
            "linux.resources.blockIO.throttleWriteBpsDevice",
            "blkio.throttle.write_bps_device",
            list(block_io.throttle_write_bps_device()),
        ),
        (
            "linux.resources.blockIO.throttleReadIOPSDevice",
            "blkio.throttle.read_iops_device",
            list(block_io.throttle_read_iops_device()),
        ),
        (
            "linux.resources.blockIO.throttleWriteIOPSDevice",
            "blkio.throttle.write_iops_device",
            list(block_io.throttle_write_iops_device()),
        ),
    ]
}

fn hugepages(writes: &mut Writes, extras: &Extras) -> Result<()> {
    for (index, (size, limit)) in extras.hugepage_limits.iter().enumerate() {
        let field = Field::item("linux.resources.hugepageLimits", index);
        let target = target(writes, "hugetlb", &field)?;
        let reserve = format!("hugetlb.{size}.rsvd.limit_in_bytes");
        writes.add(target, format!("hugetlb.{size}.limit_in_bytes"), limit, field.clone());
        // The kernel has limits of reservations since 5.7.
        writes.add_or(target, reserve, limit, field, Fallback::Skip);
    }
    Ok(())
}

fn priorities(writes: &mut Writes, network: &LinuxNetwork) -> Result<()> {
    for (index, priority) in network.priorities().iter().flatten().enumerate() {
        let field = Field::item("linux.resources.network.priorities", index);
        let target = target(writes, "net_prio", &field)?;
        let value = format!("{} {}", priority.name(), priority.priority());
        writes.add(target, "net_prio.ifpriomap", value, field);
    }
    Ok(())
}
