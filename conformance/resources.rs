//! `linux.resources`, one row for a field: the kernel and systemd report the value that was asked for.
//!
//! Each field of config-linux.md has a row. The value is set by create, and by update in JSON and with the option, if
//! there is one; with the cgroupfs driver and, if systemd runs, with the systemd driver. `devices` has no value that
//! can be read back on v2: `cgroups::devices_*` open some. `intelRdt` is not in a cgroup.

use crate::harness::machine::Layout;
use crate::harness::*;
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A field with a value, and the places where the value must appear.
struct Row {
    field: &'static str,
    /// The value as `linux.resources`, with the fields that it needs. `DISK` stands for `"major": …, "minor": …` of a
    /// disk, `RDMA` for the name of a device.
    resources: &'static str,
    /// The resources of the container before an update.
    before: &'static str,
    /// The value as options of `update`.
    options: &'static [&'static str],
    v1: Place,
    v2: Place,
    /// The property and its value in systemd on v2. An empty name means that there is no property.
    property: (&'static str, &'static str),
}

/// The effect of a value on one version of cgroup.
enum Place {
    /// The first of these files that the kernel has contains this line; `DISK` stands for `MAJOR:MINOR`. An empty text
    /// means that the file is empty.
    File(&'static [(&'static str, &'static str)]),
    /// The runtime reports an error that names the field.
    Refused,
    /// The runtime accepts the value and writes nothing, by design.
    Nothing,
}

use Place::{File, Nothing, Refused};

const ROW: Row =
    Row { field: "", resources: "{}", before: "{}", options: &[], v1: Nothing, v2: Nothing, property: ("", "") };

/// Each row makes four tests.
macro_rules! rows {
    ($($name:ident: $row:expr),+ $(,)?) => {
        pub const TESTS: &[Test] = &[$(
            test(concat!(stringify!($name), "_at_create"), || at_create(&$row)),
            test(concat!(stringify!($name), "_by_update"), || by_update(&$row)),
            test(concat!(stringify!($name), "_at_create_with_systemd"), || at_create_with_systemd(&$row)),
            test(concat!(stringify!($name), "_by_update_with_systemd"), || by_update_with_systemd(&$row)),
        )+];
    };
}

const fn test(function: &'static str, run: fn() -> Result) -> Test {
    Test { module: module_path!(), function, run }
}

const UNLIMITED: &str = "9223372036854771712";

rows! {
    memory_limit: Row {
        field: "memory.limit",
        resources: r#"{ "memory": { "limit": 52428800 } }"#,
        options: &["--memory", "50M"],
        v1: File(&[("memory.limit_in_bytes", "52428800")]),
        v2: File(&[("memory.max", "52428800")]),
        property: ("MemoryMax", "52428800"),
        ..ROW
    },
    memory_limit_unlimited: Row {
        field: "memory.limit",
        resources: r#"{ "memory": { "limit": -1 } }"#,
        before: r#"{ "memory": { "limit": 67108864 } }"#,
        options: &["--memory", "-1"],
        v1: File(&[("memory.limit_in_bytes", UNLIMITED)]),
        v2: File(&[("memory.max", "max")]),
        property: ("MemoryMax", "infinity"),
    },
    memory_reservation: Row {
        field: "memory.reservation",
        resources: r#"{ "memory": { "reservation": 20971520 } }"#,
        options: &["--memory-reservation", "20mb"],
        v1: File(&[("memory.soft_limit_in_bytes", "20971520")]),
        v2: File(&[("memory.low", "20971520")]),
        property: ("MemoryLow", "20971520"),
        ..ROW
    },
    // Memory and swap together; the file of v2 counts swap alone.
    memory_swap: Row {
        field: "memory.swap",
        resources: r#"{ "memory": { "limit": 52428800, "swap": 83886080 } }"#,
        options: &["--memory", "50M", "--memory-swap", "80MiB"],
        v1: File(&[("memory.memsw.limit_in_bytes", "83886080")]),
        v2: File(&[("memory.swap.max", "31457280")]),
        property: ("MemorySwapMax", "31457280"),
        ..ROW
    },
    memory_swap_unlimited: Row {
        field: "memory.swap",
        resources: r#"{ "memory": { "limit": 52428800, "swap": -1 } }"#,
        before: r#"{ "memory": { "limit": 52428800, "swap": 83886080 } }"#,
        options: &["--memory-swap", "-1"],
        v1: File(&[("memory.memsw.limit_in_bytes", UNLIMITED)]),
        v2: File(&[("memory.swap.max", "max")]),
        property: ("MemorySwapMax", "infinity"),
    },
    // Since Linux 5.16 there is one limit for all memory.
    memory_kernel: Row {
        field: "memory.kernel",
        resources: r#"{ "memory": { "kernel": 33554432 } }"#,
        ..ROW
    },
    memory_kernel_tcp: Row {
        field: "memory.kernelTCP",
        resources: r#"{ "memory": { "kernelTCP": 33554432 } }"#,
        v1: File(&[("memory.kmem.tcp.limit_in_bytes", "33554432")]),
        ..ROW
    },
    memory_swappiness: Row {
        field: "memory.swappiness",
        resources: r#"{ "memory": { "swappiness": 33 } }"#,
        v1: File(&[("memory.swappiness", "33")]),
        v2: Refused,
        ..ROW
    },
    memory_disable_oom_killer: Row {
        field: "memory.disableOOMKiller",
        resources: r#"{ "memory": { "disableOOMKiller": true } }"#,
        v1: File(&[("memory.oom_control", "oom_kill_disable 1")]),
        v2: Refused,
        ..ROW
    },
    memory_use_hierarchy: Row {
        field: "memory.useHierarchy",
        resources: r#"{ "memory": { "useHierarchy": true } }"#,
        v1: File(&[("memory.use_hierarchy", "1")]),
        ..ROW
    },
    // `update::memory_below_the_usage_is_refused` has a value that it refuses.
    memory_check_before_update: Row {
        field: "memory.checkBeforeUpdate",
        resources: r#"{ "memory": { "limit": 52428800, "checkBeforeUpdate": true } }"#,
        v1: File(&[("memory.limit_in_bytes", "52428800")]),
        v2: File(&[("memory.max", "52428800")]),
        property: ("MemoryMax", "52428800"),
        ..ROW
    },
    // v2 has weights from 1 to 10000. v1's default becomes v2's default.
    cpu_shares: Row {
        field: "cpu.shares",
        resources: r#"{ "cpu": { "shares": 512 } }"#,
        options: &["--cpu-share", "512"],
        v1: File(&[("cpu.shares", "512")]),
        v2: File(&[("cpu.weight", "59")]),
        property: ("CPUWeight", "59"),
        ..ROW
    },
    cpu_shares_default: Row {
        field: "cpu.shares",
        resources: r#"{ "cpu": { "shares": 1024 } }"#,
        before: r#"{ "cpu": { "shares": 2048 } }"#,
        options: &["--cpu-share", "1024"],
        v1: File(&[("cpu.shares", "1024")]),
        v2: File(&[("cpu.weight", "100")]),
        property: ("CPUWeight", "100"),
    },
    cpu_shares_least: Row {
        field: "cpu.shares",
        resources: r#"{ "cpu": { "shares": 2 } }"#,
        options: &["--cpu-share", "2"],
        v1: File(&[("cpu.shares", "2")]),
        v2: File(&[("cpu.weight", "1")]),
        property: ("CPUWeight", "1"),
        ..ROW
    },
    // A quota without a period has the default period.
    cpu_quota: Row {
        field: "cpu.quota",
        resources: r#"{ "cpu": { "quota": 25000 } }"#,
        options: &["--cpu-quota", "25000"],
        v1: File(&[("cpu.cfs_quota_us", "25000")]),
        v2: File(&[("cpu.max", "25000 100000")]),
        property: ("CPUQuotaPerSecUSec", "250ms"),
        ..ROW
    },
    cpu_quota_negative: Row {
        field: "cpu.quota",
        resources: r#"{ "cpu": { "quota": -5 } }"#,
        before: r#"{ "cpu": { "quota": 50000 } }"#,
        options: &["--cpu-quota", "-5"],
        v1: File(&[("cpu.cfs_quota_us", "-1")]),
        v2: File(&[("cpu.max", "max 100000")]),
        property: ("CPUQuotaPerSecUSec", "infinity"),
    },
    cpu_quota_unlimited: Row {
        field: "cpu.quota",
        resources: r#"{ "cpu": { "quota": -1 } }"#,
        before: r#"{ "cpu": { "quota": 50000 } }"#,
        options: &["--cpu-quota", "-1"],
        v1: File(&[("cpu.cfs_quota_us", "-1")]),
        v2: File(&[("cpu.max", "max 100000")]),
        property: ("CPUQuotaPerSecUSec", "infinity"),
    },
    cpu_period: Row {
        field: "cpu.period",
        resources: r#"{ "cpu": { "quota": 40000, "period": 80000 } }"#,
        options: &["--cpu-quota", "40000", "--cpu-period", "80000"],
        v1: File(&[("cpu.cfs_period_us", "80000")]),
        v2: File(&[("cpu.max", "40000 80000")]),
        property: ("CPUQuotaPeriodUSec", "80ms"),
        ..ROW
    },
    cpu_period_alone: Row {
        field: "cpu.period",
        resources: r#"{ "cpu": { "period": 80000 } }"#,
        options: &["--cpu-period", "80000"],
        v1: File(&[("cpu.cfs_period_us", "80000")]),
        v2: File(&[("cpu.max", "max 80000")]),
        property: ("CPUQuotaPeriodUSec", "80ms"),
        ..ROW
    },
    // The burst must not exceed the quota at any moment of the update.
    cpu_burst: Row {
        field: "cpu.burst",
        resources: r#"{ "cpu": { "quota": 50000, "burst": 40000 } }"#,
        before: r#"{ "cpu": { "quota": 20000 } }"#,
        options: &["--cpu-burst", "40000", "--cpu-quota", "50000"],
        v1: File(&[("cpu.cfs_burst_us", "40000")]),
        v2: File(&[("cpu.max.burst", "40000")]),
        ..ROW
    },
    cpu_idle: Row {
        field: "cpu.idle",
        resources: r#"{ "cpu": { "idle": 1 } }"#,
        options: &["--cpu-idle", "1"],
        v1: File(&[("cpu.idle", "1")]),
        v2: File(&[("cpu.idle", "1")]),
        property: ("CPUWeight", "idle"),
        ..ROW
    },
    cpu_realtime_period: Row {
        field: "cpu.realtimePeriod",
        resources: r#"{ "cpu": { "realtimePeriod": 500000 } }"#,
        options: &["--cpu-rt-period", "500000"],
        v1: File(&[("cpu.rt_period_us", "500000")]),
        v2: Refused,
        ..ROW
    },
    cpu_realtime_runtime: Row {
        field: "cpu.realtimeRuntime",
        resources: r#"{ "cpu": { "realtimeRuntime": 1000 } }"#,
        options: &["--cpu-rt-runtime", "1000"],
        v1: File(&[("cpu.rt_runtime_us", "1000")]),
        v2: Refused,
        ..ROW
    },
    cpu_cpus: Row {
        field: "cpu.cpus",
        resources: r#"{ "cpu": { "cpus": "0" } }"#,
        options: &["--cpuset-cpus", "0"],
        v1: File(&[("cpuset.cpus", "0")]),
        v2: File(&[("cpuset.cpus", "0")]),
        property: ("AllowedCPUs", "0"),
        ..ROW
    },
    cpu_mems: Row {
        field: "cpu.mems",
        resources: r#"{ "cpu": { "mems": "0" } }"#,
        options: &["--cpuset-mems", "0"],
        v1: File(&[("cpuset.mems", "0")]),
        v2: File(&[("cpuset.mems", "0")]),
        property: ("AllowedMemoryNodes", "0"),
        ..ROW
    },
    pids_limit: Row {
        field: "pids.limit",
        resources: r#"{ "pids": { "limit": 77 } }"#,
        options: &["--pids-limit", "77"],
        v1: File(&[("pids.max", "77")]),
        v2: File(&[("pids.max", "77")]),
        property: ("TasksMax", "77"),
        ..ROW
    },
    // 0 would forbid even the first process. As in runc 1.4 it means 1.
    pids_limit_of_zero: Row {
        field: "pids.limit",
        resources: r#"{ "pids": { "limit": 0 } }"#,
        v1: File(&[("pids.max", "1")]),
        v2: File(&[("pids.max", "1")]),
        property: ("TasksMax", "1"),
        ..ROW
    },
    pids_limit_negative: Row {
        field: "pids.limit",
        resources: r#"{ "pids": { "limit": -5 } }"#,
        before: r#"{ "pids": { "limit": 50 } }"#,
        options: &["--pids-limit", "-5"],
        v1: File(&[("pids.max", "max")]),
        v2: File(&[("pids.max", "max")]),
        property: ("TasksMax", "infinity"),
    },
    pids_unlimited: Row {
        field: "pids.limit",
        resources: r#"{ "pids": { "limit": -1 } }"#,
        before: r#"{ "pids": { "limit": 50 } }"#,
        options: &["--pids-limit", "-1"],
        v1: File(&[("pids.max", "max")]),
        v2: File(&[("pids.max", "max")]),
        property: ("TasksMax", "infinity"),
    },
    // If BFQ is not in use, weights of v2 have the range of `io.weight`, which is ten times as large.
    block_io_weight: Row {
        field: "blockIO.weight",
        resources: r#"{ "blockIO": { "weight": 300 } }"#,
        options: &["--blkio-weight", "300"],
        v1: File(&[("blkio.weight", "300"), ("blkio.bfq.weight", "300")]),
        v2: File(&[("io.bfq.weight", "default 300"), ("io.weight", "default 2930")]),
        ..ROW
    },
    // A file of CFQ, which Linux 5.0 removed.
    block_io_leaf_weight: Row {
        field: "blockIO.leafWeight",
        resources: r#"{ "blockIO": { "leafWeight": 300 } }"#,
        v1: File(&[("blkio.leaf_weight", "300")]),
        v2: Refused,
        ..ROW
    },
    block_io_weight_device: Row {
        field: "blockIO.weightDevice",
        resources: r#"{ "blockIO": { "weightDevice": [{ DISK, "weight": 400 }] } }"#,
        v1: File(&[("blkio.weight_device", "DISK 400"), ("blkio.bfq.weight_device", "DISK 400")]),
        v2: File(&[("io.bfq.weight", "DISK 400")]),
        ..ROW
    },
    block_io_leaf_weight_device: Row {
        field: "blockIO.weightDevice",
        resources: r#"{ "blockIO": { "weightDevice": [{ DISK, "leafWeight": 400 }] } }"#,
        v1: File(&[("blkio.leaf_weight_device", "DISK 400")]),
        v2: Refused,
        ..ROW
    },
    block_io_read_bps: Row {
        field: "blockIO.throttleReadBpsDevice",
        resources: r#"{ "blockIO": { "throttleReadBpsDevice": [{ DISK, "rate": 10485760 }] } }"#,
        v1: File(&[("blkio.throttle.read_bps_device", "DISK 10485760")]),
        v2: File(&[("io.max", "DISK rbps=10485760 wbps=max riops=max wiops=max")]),
        property: ("IOReadBandwidthMax", "/dev/block/DISK 10485760"),
        ..ROW
    },
    block_io_write_bps: Row {
        field: "blockIO.throttleWriteBpsDevice",
        resources: r#"{ "blockIO": { "throttleWriteBpsDevice": [{ DISK, "rate": 10485760 }] } }"#,
        v1: File(&[("blkio.throttle.write_bps_device", "DISK 10485760")]),
        v2: File(&[("io.max", "DISK rbps=max wbps=10485760 riops=max wiops=max")]),
        property: ("IOWriteBandwidthMax", "/dev/block/DISK 10485760"),
        ..ROW
    },
    block_io_read_iops: Row {
        field: "blockIO.throttleReadIOPSDevice",
        resources: r#"{ "blockIO": { "throttleReadIOPSDevice": [{ DISK, "rate": 99 }] } }"#,
        v1: File(&[("blkio.throttle.read_iops_device", "DISK 99")]),
        v2: File(&[("io.max", "DISK rbps=max wbps=max riops=99 wiops=max")]),
        property: ("IOReadIOPSMax", "/dev/block/DISK 99"),
        ..ROW
    },
    block_io_write_iops: Row {
        field: "blockIO.throttleWriteIOPSDevice",
        resources: r#"{ "blockIO": { "throttleWriteIOPSDevice": [{ DISK, "rate": 99 }] } }"#,
        v1: File(&[("blkio.throttle.write_iops_device", "DISK 99")]),
        v2: File(&[("io.max", "DISK rbps=max wbps=max riops=max wiops=99")]),
        property: ("IOWriteIOPSMax", "/dev/block/DISK 99"),
        ..ROW
    },
    // A rate of 0 is no limit.
    block_io_unthrottled: Row {
        field: "blockIO.throttleReadBpsDevice",
        resources: r#"{ "blockIO": { "throttleReadBpsDevice": [{ DISK, "rate": 0 }] } }"#,
        before: r#"{ "blockIO": { "throttleReadBpsDevice": [{ DISK, "rate": 10485760 }] } }"#,
        v1: File(&[("blkio.throttle.read_bps_device", "")]),
        v2: File(&[("io.max", "")]),
        ..ROW
    },
    hugepage_limits: Row {
        field: "hugepageLimits",
        resources: r#"{ "hugepageLimits": [{ "pageSize": "2MB", "limit": 4194304 }] }"#,
        v1: File(&[("hugetlb.2MB.limit_in_bytes", "4194304")]),
        v2: File(&[("hugetlb.2MB.max", "4194304")]),
        ..ROW
    },
    // Since Linux 5.7 pages are counted when they are reserved, too.
    hugepage_limits_of_reserved_pages: Row {
        field: "hugepageLimits",
        resources: r#"{ "hugepageLimits": [{ "pageSize": "2MB", "limit": 8388608 }] }"#,
        v1: File(&[("hugetlb.2MB.rsvd.limit_in_bytes", "8388608")]),
        v2: File(&[("hugetlb.2MB.rsvd.max", "8388608")]),
        ..ROW
    },
    network_class_id: Row {
        field: "network.classID",
        resources: r#"{ "network": { "classID": 1048577 } }"#,
        v1: File(&[("net_cls.classid", "1048577")]),
        ..ROW
    },
    network_priorities: Row {
        field: "network.priorities",
        resources: r#"{ "network": { "priorities": [{ "name": "lo", "priority": 3 }] } }"#,
        v1: File(&[("net_prio.ifpriomap", "lo 3")]),
        ..ROW
    },
    rdma: Row {
        field: "rdma",
        resources: r#"{ "rdma": { "RDMA": { "hcaHandles": 2, "hcaObjects": 2000 } } }"#,
        v1: File(&[("rdma.max", "RDMA hca_handle=2 hca_object=2000")]),
        v2: File(&[("rdma.max", "RDMA hca_handle=2 hca_object=2000")]),
        ..ROW
    },
    unified_pids_max: Row {
        field: "unified",
        resources: r#"{ "unified": { "pids.max": "20" } }"#,
        v1: Refused,
        v2: File(&[("pids.max", "20")]),
        property: ("TasksMax", "20"),
        ..ROW
    },
    unified_memory_high: Row {
        field: "unified",
        resources: r#"{ "unified": { "memory.high": "62914560" } }"#,
        v1: Refused,
        v2: File(&[("memory.high", "62914560")]),
        property: ("MemoryHigh", "62914560"),
        ..ROW
    },
    unified_memory_oom_group: Row {
        field: "unified",
        resources: r#"{ "unified": { "memory.oom.group": "1" } }"#,
        v1: Refused,
        v2: File(&[("memory.oom.group", "1")]),
        ..ROW
    },
    unified_cgroup_max_depth: Row {
        field: "unified",
        resources: r#"{ "unified": { "cgroup.max.depth": "3" } }"#,
        v1: Refused,
        v2: File(&[("cgroup.max.depth", "3")]),
        ..ROW
    },
    // `unified` is written last.
    unified_after_the_others: Row {
        field: "unified",
        resources: r#"{ "pids": { "limit": 30 }, "unified": { "pids.max": "31" } }"#,
        v1: Refused,
        v2: File(&[("pids.max", "31")]),
        property: ("TasksMax", "31"),
        ..ROW
    },
    unified_hugetlb: Row {
        field: "unified",
        resources: r#"{ "unified": { "hugetlb.2MB.max": "6291456" } }"#,
        v1: Refused,
        v2: File(&[("hugetlb.2MB.max", "6291456")]),
        ..ROW
    },
}

/// A row whose placeholders are filled in for this machine.
struct Case<'a> {
    row: &'a Row,
    disk: Option<Disk>,
    rdma: Option<String>,
}

impl<'a> Case<'a> {
    fn new(row: &'a Row) -> Result<Self> {
        let disk = row.resources.contains("DISK").then(Disk::new).transpose()?;
        if let (Some(disk), true) = (&disk, row.resources.to_lowercase().contains("weight")) {
            disk.use_bfq()?;
        }
        let devices = fs::read_dir("/sys/class/infiniband").into_iter().flatten().flatten();
        let rdma = devices.map(|entry| entry.file_name().to_string_lossy().into_owned()).next();
        if rdma.is_none() && row.resources.contains("RDMA") {
            return skip("there is no RDMA device");
        }
        Ok(Self { row, disk, rdma })
    }

    fn json(&self, text: &str) -> String {
        let text = text.replace("RDMA", self.rdma.as_deref().unwrap_or_default());
        match &self.disk {
            Some(disk) => text.replace("DISK", &format!(r#""major": {}, "minor": {}"#, disk.major, disk.minor)),
            None => text,
        }
    }

    fn resources(&self) -> Result<Value> {
        serde_json::from_str(&self.json(self.row.resources)).with_context(|| self.row.field)
    }

    fn before(&self) -> Result<Value> {
        serde_json::from_str(&self.json(self.row.before)).with_context(|| self.row.field)
    }

    fn text(&self, wanted: &str) -> String {
        let wanted = wanted.replace("RDMA", self.rdma.as_deref().unwrap_or_default());
        self.disk.as_ref().map_or(wanted.clone(), |disk| wanted.replace("DISK", &disk.numbers()))
    }

    fn field(&self) -> String {
        format!("linux.resources.{}", self.row.field)
    }

    /// The place for this container: v1's, unless the v2 hierarchy has the controller.
    fn place(&self, container: &Container) -> &'a Place {
        match container.is_v2() || self.is_in_v2_of_hybrid() {
            true => &self.row.v2,
            false => &self.row.v1,
        }
    }

    fn is_in_v2_of_hybrid(&self) -> bool {
        let File([(file, _), ..]) = self.row.v2 else { return false };
        machine::get().layout == Layout::Hybrid && has_v2(file)
    }

    /// Reads the value back from the cgroup that `dir` returns for a file.
    fn check(&self, files: &[(&str, &str)], dir: impl Fn(&str) -> Result<PathBuf>) -> Result {
        for (file, wanted) in files {
            let path = dir(file)?.join(file);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let wanted = self.text(wanted);
            let found =
                if wanted.is_empty() { text.trim().is_empty() } else { text.lines().any(|l| l.trim() == wanted) };
            ensure!(found, "{file}: wanted {wanted:?}, saw {text:?}");
            return Ok(());
        }
        skip(format!("this kernel has no {}", files[0].0))
    }
}

fn controller(file: &str) -> &str {
    file.split('.').next().unwrap_or_default()
}

/// Whether the v2 hierarchy has the controller of this file.
fn has_v2(file: &str) -> bool {
    let Some(mount) = &machine::get().v2 else { return false };
    let controllers = fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
    controller(file) == "cgroup" || controllers.split_whitespace().any(|name| name == controller(file))
}

/// The container's directory that has this file, in the hierarchy of its controller.
fn directory(container: &Container, file: &str) -> Result<PathBuf> {
    let machine = machine::get();
    let v1 = |name: &str| machine.v1.iter().any(|h| h.controllers.iter().any(|has| has == name));
    match &machine.v2 {
        Some(mount) if !container.is_v2() && !v1(controller(file)) && has_v2(file) => {
            Ok(mount.join(machine::cgroup_parent().trim_start_matches('/')).join(&container.id))
        }
        _ => container.cgroup(controller(file)),
    }
}

/// Skips the test if the kernel has none of these files.
fn one_is_there(files: &[(&str, &str)], view: View) -> Result {
    for (file, _) in files.iter().filter(|(file, _)| view == View::Machine || has_v2(file)) {
        // On a hybrid machine controllers of v2 are enabled only when they are needed.
        let v1 = |name: &str| machine::get().v1.iter().any(|h| h.controllers.iter().any(|has| has == name));
        if machine::get().layout == Layout::Hybrid && !v1(controller(file)) && has_v2(file) {
            return Ok(());
        }
        if files_of_a_cgroup(view, controller(file))?.iter().any(|name| name == file) {
            return Ok(());
        }
    }
    skip(format!("this kernel has no {}", files[0].0))
}

/// The names of the files in the cgroups of a container without limits. They are looked up once for all rows.
fn files_of_a_cgroup(view: View, controller: &str) -> Result<Vec<String>> {
    static SEEN: Mutex<BTreeMap<(bool, String), Vec<String>>> = Mutex::new(BTreeMap::new());
    let mut seen = SEEN.lock().map_err(|_| anyhow::anyhow!("another test has panicked"))?;
    let key = (view == View::Machine, controller.to_owned());
    if let Some(names) = seen.get(&key) {
        return Ok(names.clone());
    }
    let probe = Bundle::new(["pause"]).view(view).create()?;
    let names = names_in(&probe.cgroup(controller)?)?;
    Ok(seen.entry(key).or_insert(names).clone())
}

/// The names of the files in the cgroups of a scope.
fn files_of_a_scope(controller: &str) -> Result<Vec<String>> {
    static SEEN: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());
    let mut seen = SEEN.lock().map_err(|_| anyhow::anyhow!("another test has panicked"))?;
    if let Some(names) = seen.get(controller) {
        return Ok(names.clone());
    }
    let probe = scope::created(Bundle::new(["pause"]))?;
    let names = names_in(&scope::directory_of(&probe, controller))?;
    Ok(seen.entry(controller.to_owned()).or_insert(names).clone())
}

fn names_in(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    Ok(entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// The views in which a row can be tested: on a hybrid machine the v2 hierarchy alone has few controllers.
fn views(row: &Row) -> Vec<View> {
    let beside = machine::get().layout == Layout::Hybrid && matches!(row.v2, File([(file, _), ..]) if has_v2(file));
    if beside { vec![View::Machine, View::Unified] } else { vec![View::Machine] }
}

/// The value is in force when create returns.
fn at_create(row: &Row) -> Result {
    let case = Case::new(row)?;
    for view in views(row) {
        let container = Bundle::new(["pause"]).view(view).set("/linux/resources", case.resources()?).build()?;
        match case.place(&container) {
            Refused => {
                names_field(&container.create()?, &case.field())?;
                container.nothing_left()?;
            }
            Nothing => drop(container.create()?.success()?),
            File(files) => {
                one_is_there(files, view)?;
                room_for(row, &container)?;
                container.create()?.success()?;
                case.check(files, |file| directory(&container, file))?;
            }
        }
    }
    Ok(())
}

/// Real-time CPU time must be available in the parent cgroup: give it some.
fn room_for(row: &Row, container: &Container) -> Result {
    if row.field == "cpu.realtimeRuntime" && !container.is_v2() {
        let cgroup = container.cgroup("cpu")?;
        let above = cgroup.parent().context("a parent")?;
        fs::create_dir_all(above)?;
        fs::write(above.join("cpu.rt_runtime_us"), "10000")?;
    }
    Ok(())
}

/// The value is in force when update returns, whatever the value before, and both by JSON and by options.
fn by_update(row: &Row) -> Result {
    updated(row, |container, case| {
        let json = case.json(row.resources);
        container.call(["update", "--resources", "-", &container.id]).stdin(&json)?.output()
    })?;
    if row.options.is_empty() {
        return Ok(());
    }
    updated(row, |container, _| container.call(["update"]).args(row.options).arg(&container.id).output())
        .with_context(|| format!("{:?}", row.options))
}

fn updated(row: &Row, update: impl Fn(&Container, &Case) -> Result<Output>) -> Result {
    let case = Case::new(row)?;
    for view in views(row) {
        let bundle = Bundle::new(["pause"]).view(view).set("/linux/resources", case.before()?);
        let container = bundle.build()?;
        if let File(files) = case.place(&container) {
            one_is_there(files, view)?;
        }
        room_for(row, &container)?;
        container.create()?.success()?;
        container.start()?;
        let output = update(&container, &case)?;
        match case.place(&container) {
            Refused => names_field(&output, &case.field())?,
            Nothing => drop(output.success()?),
            File(files) => {
                output.success()?;
                case.check(files, |file| directory(&container, file))?;
            }
        }
        equal("status", container.status()?, "running")?;
    }
    Ok(())
}

/// With the systemd driver the unit's property has the value, too.
fn at_create_with_systemd(row: &Row) -> Result {
    with_systemd(row, |case| {
        let bundle = Bundle::new(["pause"]).set("/linux/resources", case.resources()?);
        let container = scope::build(bundle, scope::PATH)?;
        let output = scope::launch(&container, &["create"])?;
        Ok((container, output))
    })
}

/// With the systemd driver an update changes the unit's property, too.
fn by_update_with_systemd(row: &Row) -> Result {
    with_systemd(row, |case| {
        let container = scope::created(Bundle::new(["pause"]).set("/linux/resources", case.before()?))?;
        let json = case.json(row.resources);
        let output = container.call(["update", "--resources", "-", &container.id]).stdin(&json)?.output()?;
        Ok((container, output))
    })
}

fn with_systemd(row: &Row, ask: impl Fn(&Case) -> Result<(Container, Output)>) -> Result {
    scope::systemd_runs()?;
    if row.field == "cpu.realtimeRuntime" && scope::v1() {
        return skip("systemd gives its slices no real-time CPU time");
    }
    let case = Case::new(row)?;
    let beside = case.is_in_v2_of_hybrid();
    let place = if scope::v1() && !beside { &row.v1 } else { &row.v2 };
    let directory = |container: &Container, file: &str| match &machine::get().v2 {
        Some(mount) if beside => mount.join("system.slice").join(scope::unit(container)),
        _ => scope::directory_of(container, controller(file)),
    };
    if let File(files) = place {
        let there = |file: &str| Ok(beside || files_of_a_scope(controller(file))?.iter().any(|name| name == file));
        if !files.iter().map(|(file, _)| there(file)).collect::<Result<Vec<bool>>>()?.contains(&true) {
            return skip(format!("this kernel has no {}", files[0].0));
        }
    }
    let (container, output) = ask(&case)?;
    match place {
        Refused => return names_field(&output, &case.field()),
        Nothing => return output.success().map(drop),
        File(files) => {
            output.success()?;
            case.check(files, |file| Ok(directory(&container, file)))?;
        }
    }
    let (name, wanted) = row.property;
    // systemd has other properties on v1; `systemd::` tests them.
    if name.is_empty() || scope::v1() {
        return Ok(());
    }
    equal(name, scope::property(&container, name)?, case.text(wanted))
}
