//! Tests with plans of whole configs.

use std::path::Path;

use oci_spec::runtime::LinuxResources;

use super::*;
use crate::cgroup::layout::Layout;
use crate::cgroup::systemd;
use crate::spec::Extras;

pub fn unified() -> Layout {
    let mountinfo = "24 23 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    Layout::parse(mountinfo, "0::/user/me/shell\n")
}

pub fn hybrid() -> Layout {
    let mut mountinfo = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n".to_owned();
    let mut cgroup = "0::/own\n".to_owned();
    for name in ["memory", "cpu,cpuacct", "cpuset", "devices", "freezer", "pids", "blkio"] {
        mountinfo += &format!("1 1 0:1 / /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}\n");
        cgroup += &format!("1:{name}:/own\n");
    }
    Layout::parse(&mountinfo, &cgroup)
}

fn legacy() -> Layout {
    let mountinfo = "1 1 0:1 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n";
    Layout::parse(mountinfo, "1:devices:/\n")
}

fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).unwrap()
}

pub fn plan(layout: &Layout, path: Option<&str>, json: &str, extras: &Extras) -> anyhow::Result<CgroupPlan> {
    CgroupPlan::new(
        layout,
        &Request {
            id: "box",
            cgroups_path: path.map(Path::new),
            resources: Some(&resources(json)),
            extras,
            systemd: None,
            disabled: false,
            rootless: false,
            in_user_namespace: false,
            delegate_to: None,
            inside: None,
        },
    )
}

/// The writes, without those for devices.
fn writes(layout: &Layout, json: &str, extras: &Extras) -> Vec<String> {
    let plan = plan(layout, None, json, extras).unwrap();
    let writes = plan.writes().iter().filter(|write| !write.file.starts_with("devices."));
    writes.map(|write| format!("{} = {}", write.file, write.value)).collect()
}

fn refusal(layout: &Layout, json: &str) -> String {
    plan(layout, None, json, &Extras::default()).unwrap_err().to_string()
}

#[test]
fn paths() {
    for (path, on_v2, on_v1) in [
        (None, "/sys/fs/cgroup/user/me/box", "/sys/fs/cgroup/memory/own/box"),
        (Some(""), "/sys/fs/cgroup/user/me/box", "/sys/fs/cgroup/memory/own/box"),
        (Some("a/b"), "/sys/fs/cgroup/user/me/a/b", "/sys/fs/cgroup/memory/own/a/b"),
        (Some("../../a"), "/sys/fs/cgroup/user/me/a", "/sys/fs/cgroup/memory/own/a"),
        (Some("/a/b"), "/sys/fs/cgroup/a/b", "/sys/fs/cgroup/memory/a/b"),
        (Some("/../a/./b"), "/sys/fs/cgroup/a/b", "/sys/fs/cgroup/memory/a/b"),
    ] {
        let dir = |layout: &Layout| plan(layout, path, "{}", &Extras::default()).unwrap().targets()[0].dir();
        assert_eq!(dir(&unified()), Path::new(on_v2), "{path:?}");
        let hybrid = plan(&hybrid(), path, "{}", &Extras::default()).unwrap();
        let memory = hybrid.targets().iter().find(|t| t.controllers == "memory").unwrap();
        assert_eq!(memory.dir(), Path::new(on_v1), "{path:?}");
    }
    for path in ["/", "/..", "a/.."] {
        let error = plan(&unified(), Some(path), "{}", &Extras::default()).unwrap_err();
        assert!(error.to_string().starts_with("linux.cgroupsPath: "), "{path}: {error}");
    }
}

const MANY: &str = r#"{
    "memory": {"limit": 536870912, "swap": 1073741824, "reservation": 1048576},
    "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "burst": 1000, "cpus": "0-1",
            "mems": "0", "idle": 0},
    "blockIO": {"weight": 500, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}]}
}"#;

fn many_extras() -> Extras {
    let hugepage_limits = vec![("2MB".to_owned(), u64::MAX)];
    Extras { limits: vec![("linux.resources.pids.limit", 0)], hugepage_limits }
}

#[test]
fn v2_writes() {
    assert_eq!(
        writes(&unified(), MANY, &many_extras()),
        [
            "memory.swap.max = 536870912",
            "memory.max = 536870912",
            "memory.low = 1048576",
            "pids.max = 1",
            "cpu.idle = 0",
            "cpu.weight = 100",
            "cpu.max.burst = 1000",
            "cpu.max = 50000 100000",
            "cpuset.cpus = 0-1",
            "cpuset.mems = 0",
            "io.bfq.weight = 500",
            "io.max = 8:0 rbps=1000",
            "hugetlb.2MB.max = 18446744073709551615",
            "hugetlb.2MB.rsvd.max = 18446744073709551615",
        ]
    );
}

/// A hybrid host on which only controllers that v2 does not have are on v1.
fn mostly_v2() -> Layout {
    let mountinfo = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
                     1 1 0:1 / /sys/fs/cgroup/net rw - cgroup cgroup rw,net_cls,net_prio\n";
    Layout::parse(mountinfo, "1:net_cls,net_prio:/own\n0::/own\n")
}

#[test]
fn hybrid_without_a_controller_in_v1_is_v2() {
    assert_eq!(writes(&mostly_v2(), MANY, &many_extras()), {
        let mut wanted = writes(&unified(), MANY, &many_extras());
        // The sections are in the order of v1.
        let pids = wanted.remove(3);
        wanted.insert(9, pids);
        wanted
    });
    let network = r#"{"network": {"classID": 5}}"#;
    assert_eq!(writes(&mostly_v2(), network, &Extras::default()), ["net_cls.classid = 5"]);
    let swappiness = refusal(&mostly_v2(), r#"{"memory": {"swappiness": 5}}"#);
    assert_eq!(swappiness, "linux.resources.memory.swappiness: cgroup v2 has no swappiness");
}

#[test]
fn hybrid_writes() {
    assert_eq!(
        writes(&hybrid(), MANY, &many_extras()),
        [
            "memory.limit_in_bytes = 536870912",
            "memory.memsw.limit_in_bytes = 1073741824",
            "memory.soft_limit_in_bytes = 1048576",
            "cpu.shares = 1024",
            "cpu.cfs_period_us = 100000",
            "cpu.cfs_burst_us = 1000",
            "cpu.cfs_quota_us = 50000",
            "cpu.idle = 0",
            "cpuset.cpus = 0-1",
            "cpuset.mems = 0",
            "pids.max = 1",
            "blkio.weight = 500",
            "blkio.throttle.read_bps_device = 8:0 1000",
            "hugetlb.2MB.max = 18446744073709551615",
            "hugetlb.2MB.rsvd.max = 18446744073709551615",
        ]
    );
}

#[test]
fn unlimited_values() {
    let extras = Extras { limits: vec![("linux.resources.pids.limit", -1)], ..Extras::default() };
    let json = r#"{"memory": {"limit": -1, "reservation": -1}, "cpu": {"quota": -1}}"#;
    let v2 = ["memory.swap.max = max", "memory.max = max", "memory.low = max", "pids.max = max"];
    let v2: Vec<&str> = v2.into_iter().chain(["cpu.max = max 100000"]).collect();
    assert_eq!(writes(&unified(), json, &extras), v2);
    let v1 = writes(&hybrid(), json, &extras);
    assert_eq!(v1[..2], ["memory.memsw.limit_in_bytes = -1", "memory.limit_in_bytes = -1"]);
}

#[test]
fn what_docker_always_sends_asks_for_nothing() {
    let json = r#"{"memory": {"disableOOMKiller": false}, "cpu": {"shares": 0}, "pids": {},
                   "blockIO": {"weight": 0}, "network": {}}"#;
    for layout in [unified(), hybrid()] {
        assert_eq!(writes(&layout, json, &Extras::default()), [""; 0]);
    }
}

#[test]
fn unified_comes_last_line_by_line() {
    let json = r#"{"memory": {"limit": 5}, "unified": {"memory.high": "4", "io.max": "8:0 rbps=1\n8:1 wbps=2\n"}}"#;
    let wanted = ["memory.max = 5", "io.max = 8:0 rbps=1", "io.max = 8:1 wbps=2", "memory.high = 4"];
    assert_eq!(writes(&unified(), json, &Extras::default()), wanted);
    let on_hybrid = r#"{"unified": {"hugetlb.2MB.max": "0"}}"#;
    assert_eq!(writes(&hybrid(), on_hybrid, &Extras::default()), ["hugetlb.2MB.max = 0"]);
}

#[test]
fn refusals_name_the_field() {
    let field = "linux.resources";
    for (layout, json, wanted) in [
        (
            legacy(),
            r#"{"unified": {"memory.high": "1"}}"#,
            "unified.memory.high: invalid configuration: cannot use unified on cgroup v1",
        ),
        (
            hybrid(),
            r#"{"unified": {"io.max": "1"}}"#,
            "unified.io.max: invalid configuration: cannot use unified on cgroup v1, which has controller \"blkio\" here",
        ),
        (
            unified(),
            r#"{"unified": {"../x": "1"}}"#,
            "unified.../x: unified resource \"../x\" must be a file name (no slashes)",
        ),
        (
            unified(),
            r#"{"unified": {"memory": "1"}}"#,
            "unified.memory: unified resource \"memory\" must be in the form \
             CONTROLLER.PARAMETER",
        ),
        (legacy(), r#"{"memory": {"limit": 1}}"#, "memory.limit: cgroup controller \"memory\" is not available"),
        (hybrid(), r#"{"network": {"classID": 1}}"#, "network.classID: cgroup controller \"net_cls\" is not available"),
        (hybrid(), r#"{"cpu": {"shares": 1}}"#, "cpu.shares: the minimum allowed cpu-shares is 2"),
        (
            unified(),
            r#"{"memory": {"disableOOMKiller": true}}"#,
            "memory.disableOOMKiller: cgroup v2 cannot disable the OOM killer",
        ),
        (unified(), r#"{"cpu": {"realtimeRuntime": 5}}"#, "cpu.realtimeRuntime: cgroup v2 has no realtime limits"),
    ] {
        assert_eq!(refusal(&layout, json), format!("{field}.{wanted}"), "{json}");
    }
}

#[test]
fn lines_for_people() {
    let plan = plan(&unified(), Some("/a"), r#"{"memory": {"limit": 5}}"#, &Extras::default());
    let plan = plan.unwrap();
    let lines: Vec<String> = plan.lines().map(|line| line.to_string()).collect();
    assert_eq!(lines[0], "linux.cgroupsPath  mkdir /sys/fs/cgroup/a");
    assert_eq!(lines[1], "linux.resources.memory.limit  write memory.max = 5");
    assert_eq!(lines[2], "linux.resources.devices  device deny a *:* rwm");
    assert!(lines.last().unwrap().contains("attach device program of "));
}

/// The properties of a scope have the names that systemd uses on this kind of host. On v1 only root can have a scope.
#[test]
fn scopes() {
    let (extras, json) = (Extras::default(), r#"{"memory": {"limit": 5}, "cpu": {"quota": 5000, "period": 10000}}"#);
    let scope = |layout: &Layout, user| {
        let manager = systemd::Manager { user, root: Default::default() };
        let asked = systemd::Asked { manager: &manager, program: "tare", annotations: None };
        let resources = resources(json);
        let request = Request {
            id: "box",
            cgroups_path: None,
            resources: Some(&resources),
            extras: &extras,
            systemd: Some(asked),
            disabled: false,
            rootless: user,
            in_user_namespace: false,
            delegate_to: None,
            inside: None,
        };
        CgroupPlan::new(layout, &request)
    };
    let lines =
        |layout: &Layout| -> Vec<String> { scope(layout, false).unwrap().lines().map(|line| line.operation).collect() };
    for (layout, limit, accounting) in [
        (unified(), "MemoryMax", "IO"),
        (hybrid(), "MemoryLimit", "BlockIO"),
        (hybrid(), "CPUQuotaPeriodUSec", "BlockIO"),
    ] {
        let lines = lines(&layout);
        assert!(lines.iter().any(|line| line.starts_with(&format!("property {limit} = uint64 "))), "{lines:?}");
        assert!(lines.contains(&format!("property {accounting}Accounting = true")), "{lines:?}");
    }
    assert!(!lines(&unified()).iter().any(|line| line.starts_with("mkdir")));
    let freezer = "mkdir /sys/fs/cgroup/freezer/system.slice/tare-box.scope";
    assert!(lines(&hybrid()).iter().any(|line| line == freezer));
    let error = scope(&legacy(), true).unwrap_err().to_string();
    assert_eq!(error, "linux.cgroupsPath: on cgroup v1 a user's service manager cannot delegate cgroups");
}
