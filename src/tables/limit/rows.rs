//! The rows. The rows of a controller stand in the order in which v1 files are written.

use super::Form::{Note, Noted, Nothing, Refuse};
use super::Getter::{Json, Typed};
use super::OnRefusal::{Instead, Later, Skip};
use super::OptionKind::{Ignored, Signed, Size, Text, Unsigned};
use super::PropertyKind::{Bits, Code, Number, OomPolicy, Switch};
use super::forms::{
    CODE, any, bytes, knob, list, number, option, or_max, or_minus_one, outcome, plain, positive, processes, property,
    shares, swappiness, switched_on, text, weight, weight_of_shares, zero_or_one,
};
use super::{Getter, Knob, Scalar, Setting, UnitProperty};

/// The defaults of a row. If a version of cgroup has no file for the field, the field is refused there.
const ROW: Scalar = Scalar {
    field: "",
    getter: Getter::Json,
    zero_is_unset: true,
    check: any,
    controller: "",
    v1: outcome(|_| Refuse("cgroup v1 has no such limit")),
    v2: outcome(|_| Refuse("cgroup v2 has no such limit")),
    option: None,
};

#[allow(deprecated, reason = "memory.kernel is still a field of the spec")]
pub const SCALARS: &[Scalar] = &[
    Scalar {
        field: "linux.resources.memory.limit",
        getter: Typed(|all| number(all.memory().as_ref()?.limit())),
        check: bytes,
        controller: "memory",
        v1: knob("memory.limit_in_bytes", plain).or(Later).unit("MemoryLimit", Number),
        v2: knob("memory.max", or_max).unit("MemoryMax", Number),
        option: option(10, "memory", Size, "SIZE", "memory, for example 50M; -1 for no limit"),
        ..ROW
    },
    // The limit of memory plus swap. v2 has a file for swap alone, so code computes the difference, and handles -1.
    Scalar {
        field: "linux.resources.memory.swap",
        getter: Typed(|all| number(all.memory().as_ref()?.swap())),
        check: bytes,
        controller: "memory",
        v1: knob("memory.memsw.limit_in_bytes", positive).or(Later),
        v2: CODE,
        option: option(12, "memory-swap", Size, "SIZE", "memory and swap together; -1 for no limit"),
        ..ROW
    },
    Scalar {
        field: "linux.resources.memory.reservation",
        getter: Typed(|all| number(all.memory().as_ref()?.reservation())),
        check: bytes,
        controller: "memory",
        v1: knob("memory.soft_limit_in_bytes", plain),
        v2: knob("memory.low", or_max).unit("MemoryLow", Number),
        option: option(11, "memory-reservation", Size, "SIZE", "memory that the container keeps under memory pressure"),
        ..ROW
    },
    // Deprecated in Linux 5.4 and refused since 5.16: kernel memory counts towards the limit of all memory.
    Scalar {
        field: "linux.resources.memory.kernel",
        getter: Typed(|all| number(all.memory().as_ref()?.kernel())),
        check: bytes,
        controller: "memory",
        v1: knob("memory.kmem.limit_in_bytes", |limit| {
            Noted(limit.to_string(), "kernels since 5.16 ignore this limit")
        })
        .or(Skip),
        v2: outcome(|_| Note("cgroup v2 has no separate limit, ignored")),
        option: option(13, "kernel-memory", Ignored, "SIZE", "has no effect"),
        ..ROW
    },
    Scalar {
        field: "linux.resources.memory.kernelTCP",
        getter: Typed(|all| number(all.memory().as_ref()?.kernel_tcp())),
        check: bytes,
        controller: "memory",
        v1: knob("memory.kmem.tcp.limit_in_bytes", plain),
        v2: outcome(|_| Note("cgroup v2 has no separate limit, ignored")),
        option: option(14, "kernel-memory-tcp", Ignored, "SIZE", "has no effect"),
        ..ROW
    },
    Scalar {
        field: "linux.resources.memory.useHierarchy",
        getter: Typed(|all| all.memory().as_ref()?.use_hierarchy().map(Setting::Switch)),
        controller: "memory",
        v1: knob("memory.use_hierarchy", |on| match on {
            Setting::Switch(false) => Note("the cgroup inherits the setting of its parent"),
            _ => plain(on),
        }),
        v2: outcome(|on| match on {
            Setting::Switch(false) => Note("cgroup v2 always counts sub-cgroups"),
            _ => Nothing,
        }),
        ..ROW
    },
    Scalar {
        field: "linux.resources.memory.disableOOMKiller",
        getter: Typed(|all| all.memory().as_ref()?.disable_oom_killer().map(Setting::Switch)),
        controller: "memory",
        v1: knob("memory.oom_control", switched_on),
        v2: outcome(|on| match on {
            Setting::Switch(false) => Nothing,
            _ => Refuse("cgroup v2 cannot disable the OOM killer"),
        }),
        ..ROW
    },
    Scalar {
        field: "linux.resources.memory.swappiness",
        getter: Typed(|all| number(all.memory().as_ref()?.swappiness())),
        zero_is_unset: false,
        check: swappiness,
        controller: "memory",
        v1: knob("memory.swappiness", plain),
        v2: outcome(|_| Refuse("cgroup v2 has no swappiness")),
        ..ROW
    },
    // v1 checks period and runtime against each other; `Later` tries both orders.
    Scalar {
        field: "linux.resources.cpu.realtimePeriod",
        getter: Typed(|all| number(all.cpu().as_ref()?.realtime_period())),
        controller: "cpu",
        v1: knob("cpu.rt_period_us", plain).or(Later),
        v2: outcome(|_| Refuse("cgroup v2 has no realtime limits")),
        option: option(5, "cpu-rt-period", Unsigned, "USEC", "length of a realtime period (cgroup v1)"),
        ..ROW
    },
    Scalar {
        field: "linux.resources.cpu.realtimeRuntime",
        getter: Typed(|all| number(all.cpu().as_ref()?.realtime_runtime())),
        controller: "cpu",
        v1: knob("cpu.rt_runtime_us", or_minus_one).or(Later),
        v2: outcome(|_| Refuse("cgroup v2 has no realtime limits")),
        option: option(6, "cpu-rt-runtime", Signed, "USEC", "realtime CPU time in a period (cgroup v1)"),
        ..ROW
    },
    Scalar {
        field: "linux.resources.cpu.shares",
        getter: Typed(|all| number(all.cpu().as_ref()?.shares())),
        controller: "cpu",
        v1: knob("cpu.shares", shares).or(Later).unit("CPUShares", Number),
        v2: knob("cpu.weight", weight_of_shares).unit("CPUWeight", Number),
        option: option(4, "cpu-share", Unsigned, "N", "weight of CPU time, 2 to 262144"),
        ..ROW
    },
    // v2 has quota and period in one file.
    Scalar {
        field: "linux.resources.cpu.period",
        getter: Typed(|all| number(all.cpu().as_ref()?.period())),
        controller: "cpu",
        v1: knob("cpu.cfs_period_us", plain).or(Later).unit("CPUQuotaPeriodUSec", Code),
        v2: CODE,
        option: option(1, "cpu-period", Unsigned, "USEC", "length of a CPU period"),
        ..ROW
    },
    // The kernel checks the burst against the current quota, so the right order of the two writes depends on the old
    // values.
    Scalar {
        field: "linux.resources.cpu.burst",
        getter: Typed(|all| number(all.cpu().as_ref()?.burst())),
        zero_is_unset: false,
        controller: "cpu",
        v1: knob("cpu.cfs_burst_us", plain).or(Later),
        v2: knob("cpu.max.burst", plain).or(Later),
        option: option(3, "cpu-burst", Unsigned, "USEC", "CPU time that may be saved for a period"),
        ..ROW
    },
    Scalar {
        field: "linux.resources.cpu.quota",
        getter: Typed(|all| number(all.cpu().as_ref()?.quota())),
        controller: "cpu",
        v1: knob("cpu.cfs_quota_us", or_minus_one).or(Later).unit("CPUQuotaPerSecUSec", Code),
        v2: CODE,
        option: option(2, "cpu-quota", Signed, "USEC", "CPU time in a period, -1 for no limit"),
        ..ROW
    },
    // The kernel refuses to set the weight of an idle group.
    Scalar {
        field: "linux.resources.cpu.idle",
        getter: Typed(|all| number(all.cpu().as_ref()?.idle())),
        zero_is_unset: false,
        check: zero_or_one,
        controller: "cpu",
        v1: knob("cpu.idle", plain).or(Later),
        // Since systemd 252 the weight 0 means idle.
        v2: Knob { first: true, property: Some(property("CPUWeight", Code, Some(252))), ..knob("cpu.idle", plain) },
        option: option(9, "cpu-idle", Signed, "0|1", "1: run only when no other process does"),
    },
    // On a v1 hierarchy that is mounted with `noprefix` the files have the names of the fields.
    Scalar {
        field: "linux.resources.cpu.cpus",
        getter: Typed(|all| text(all.cpu().as_ref()?.cpus())),
        check: list,
        controller: "cpuset",
        v1: knob("cpuset.cpus", plain).or(Instead("cpus")),
        v2: knob("cpuset.cpus", plain).unit("AllowedCPUs", Bits),
        option: option(7, "cpuset-cpus", Text, "LIST", "CPUs to use"),
        ..ROW
    },
    Scalar {
        field: "linux.resources.cpu.mems",
        getter: Typed(|all| text(all.cpu().as_ref()?.mems())),
        check: list,
        controller: "cpuset",
        v1: knob("cpuset.mems", plain).or(Instead("mems")),
        v2: knob("cpuset.mems", plain).unit("AllowedMemoryNodes", Bits),
        option: option(8, "cpuset-mems", Text, "LIST", "memory nodes to use"),
        ..ROW
    },
    // oci-spec cannot tell 0, "no children", from an absent field.
    Scalar {
        field: "linux.resources.pids.limit",
        getter: Json,
        zero_is_unset: false,
        controller: "pids",
        v1: knob("pids.max", processes),
        v2: knob("pids.max", processes).unit("TasksMax", Number),
        option: option(15, "pids-limit", Signed, "N", "number of processes; -1 for no limit"),
        ..ROW
    },
    // The file of CFQ until Linux 5.0, and of BFQ since. Code handles v2.
    Scalar {
        field: "linux.resources.blockIO.weight",
        getter: Typed(|all| number(all.block_io().as_ref()?.weight())),
        check: weight,
        controller: "blkio",
        v1: knob("blkio.weight", plain).or(Instead("blkio.bfq.weight")).unit("BlockIOWeight", Number),
        v2: CODE,
        option: option(0, "blkio-weight", Unsigned, "N", "weight of block I/O, 10 to 1000"),
        ..ROW
    },
    Scalar {
        field: "linux.resources.blockIO.leafWeight",
        getter: Typed(|all| number(all.block_io().as_ref()?.leaf_weight())),
        check: weight,
        controller: "blkio",
        v1: knob("blkio.leaf_weight", plain),
        v2: outcome(|_| Refuse("cgroup v2 has no leaf weight")),
        ..ROW
    },
    // An update to 0 is saved in the config, and has no other effect.
    Scalar {
        field: "linux.resources.network.classID",
        getter: Typed(|all| number(all.network().as_ref()?.class_id())),
        zero_is_unset: false,
        controller: "net_cls",
        v1: knob("net_cls.classid", positive),
        v2: CODE,
        ..ROW
    },
    #[cfg(test)]
    MADE_UP,
];

/// Properties for files without a scalar in the spec; `linux.resources.unified` can name these files.
pub const OTHER_PROPERTIES: &[(&str, UnitProperty)] = &[
    ("memory.high", property("MemoryHigh", Number, None)),
    ("memory.min", property("MemoryMin", Number, None)),
    ("memory.swap.max", property("MemorySwapMax", Number, None)),
    ("memory.zswap.max", property("MemoryZSwapMax", Number, Some(253))),
    ("memory.zswap.writeback", property("MemoryZSwapWriteback", Switch, Some(256))),
    ("memory.oom.group", property("OOMPolicy", OomPolicy, Some(253))),
    ("cpu.max", property("CPUQuotaPerSecUSec", Code, None)),
    ("io.weight", property("IOWeight", Number, None)),
    ("io.bfq.weight", property("IOWeight", Code, None)),
    ("blkio.bfq.weight", property("BlockIOWeight", Code, None)),
];

/// A made-up scalar that the tests lead along the whole road.
#[cfg(test)]
const MADE_UP: Scalar = Scalar {
    field: "linux.resources.cpu.madeUp",
    getter: Json,
    check: zero_or_one,
    controller: "cpu",
    v1: knob("cpu.made_up_us", plain).unit("CPUMadeUp", Number),
    v2: Knob { property: Some(property("CPUMadeUp", Number, Some(299))), ..knob("cpu.made.up", plain) },
    option: option(99, "cpu-made-up", Unsigned, "N", "a limit that does not exist"),
    ..ROW
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn rows_are_whole() {
        let mut seen = HashSet::new();
        for row in SCALARS {
            assert!(!row.controller.is_empty(), "{}: no controller", row.field);
            assert_eq!(row.field, format!("linux.resources.{}.{}", row.section(), row.name()));
            assert!(seen.insert(row.field.to_owned()), "{}: twice", row.field);
            if let Some(option) = row.option {
                assert!(seen.insert(option.name.to_owned()), "--{}: twice", option.name);
                assert!(seen.insert(option.order.to_string()), "{}: this place in the help twice", option.order);
            }
        }
    }
}
