//! `--systemd-cgroup`: the container's cgroup is a scope that systemd makes and removes.

use crate::harness::scope::*;
use crate::harness::*;
use anyhow::{bail, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

tests![
    without_systemd,
    life_cycle,
    scope_is_in_its_slice,
    path_absent,
    path_without_slice,
    slices_are_nested,
    slice_of_a_kernels_name,
    slice_of_the_root,
    path_of_cgroupfs_is_refused,
    slice_as_unit_is_refused,
    limits_are_in_both_places,
    limits_survive_a_reload,
    failure_leaves_nothing,
    unit_that_is_there_is_left_alone,
    cgroup_that_is_frozen_is_refused,
    update_tells_systemd,
    update_that_fails_is_undone,
    devices_survive_a_reload,
    devices_denied_after_all_are_allowed,
    exec_joins,
    exec_in_a_sub_cgroup,
    pause_and_resume,
    kill_of_all_in_the_hosts_pid_namespace,
    delete_ends_who_is_left,
    delete_ends_who_has_moved_in,
    killed_by_the_kernel_is_forgotten,
    run_cleans_up,
    properties_by_annotation,
    property_in_seconds,
    property_that_is_none,
    annotations_are_for_systemd_only,
    cgroup_namespace_begins_at_the_scope,
    delegated_cgroup_is_below_the_scope,
    subgroup_of_the_scope,
    subgroup_needs_v2,
    features_say_so,
    user_has_a_manager_of_his_own,
    user_has_a_subgroup,
];

/// Without systemd create fails with runc's words.
fn without_systemd() -> Result {
    if Path::new("/run/systemd/system").is_dir() {
        return skip("systemd runs here");
    }
    let container = build_anywhere(Bundle::new(["true"]), "system.slice:tare:ID")?;
    launch(&container, &["create"])?
        .fails_with("systemd not running on this host, cannot use systemd cgroups manager")?;
    container.nothing_left()
}

/// `--systemd-cgroup` is given to create only. Later commands know it from the state.
fn life_cycle() -> Result {
    let container = created(Bundle::new(["echo", "up", ",", "pause"]))?;
    equal("status", container.status()?, "created")?;
    equal("ActiveState", property(&container, "ActiveState")?, "active")?;
    container.start()?;
    container.wait_output("up")?;
    let processes = container.command(["ps", "-f", "json"])?;
    equal("ps", processes.success()?.stdout.trim(), format!("[{}]", container.pid()?))?;
    contains("events", &container.command(["events", "--stats"])?.success()?.stdout, "\"pids\":{\"current\":1")?;
    container.stop()?;
    container.command(["delete"])?.success()?;
    nothing_left(&container)
}

/// The scope is delegated. It has no ordering dependencies on the system's services, and is not stopped with them.
fn scope_is_in_its_slice() -> Result {
    let container = created(Bundle::new(["pause"]))?;
    equal("cgroup", cgroup(&container)?, format!("/system.slice/{}", unit(&container)))?;
    for (name, wanted) in [
        ("Slice", "system.slice"),
        ("Delegate", "yes"),
        ("DefaultDependencies", "no"),
        ("MemoryAccounting", "yes"),
        (if v1() { "BlockIOAccounting" } else { "IOAccounting" }, "yes"),
        ("TasksAccounting", "yes"),
    ] {
        equal(name, property(&container, name)?.as_str(), wanted)?;
    }
    Ok(())
}

/// Without a path the scope is in `system.slice`, and its name has the runtime and the id.
fn path_absent() -> Result {
    let container = build(Bundle::new(["pause"]), "")?;
    launch(&container, &["create"])?.success()?;
    let path = cgroup(&container)?;
    let end = format!("-{}.scope", container.id);
    ensure!(path.starts_with("/system.slice/") && path.ends_with(&end), "{path}");
    container.command(["delete", "--force"])?.success()?;
    ensure!(!Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/')).exists(), "left behind: {path}");
    container.nothing_left()
}

/// podman leaves the slice out: `:libpod:ID`.
fn path_without_slice() -> Result {
    let container = build(Bundle::new(["pause"]), ":tare:ID")?;
    launch(&container, &["create"])?.success()?;
    equal("cgroup", cgroup(&container)?, format!("/system.slice/{}", unit(&container)))
}

/// An existing cgroup of the scope's name that is frozen is refused: it would freeze the container.
fn cgroup_that_is_frozen_is_refused() -> Result {
    on_v2()?;
    let container = build(Bundle::new(["true"]), "system.slice:tare:ID")?;
    let dir = Path::new("/sys/fs/cgroup/system.slice").join(unit(&container));
    std::fs::create_dir(&dir)?;
    std::fs::write(dir.join("cgroup.freeze"), "1")?;
    let output = launch(&container, &["create"]);
    std::fs::remove_dir(&dir)?;
    output?.fails_with("container's cgroup unexpectedly frozen").map(drop)
}

/// `a-b.slice` is below `a.slice`, as the kubelet's `kubepods-burstable-pod….slice`.
fn slices_are_nested() -> Result {
    let container = build(Bundle::new(["pause"]), "tareconf-burst-pod1.slice:tare:ID")?;
    launch(&container, &["create"])?.success()?;
    let above = "/tareconf.slice/tareconf-burst.slice/tareconf-burst-pod1.slice";
    equal("cgroup", cgroup(&container)?, format!("{above}/{}", unit(&container)))?;
    container.command(["delete", "--force"])?.success()?;
    systemctl(["stop", "tareconf.slice"])?;
    nothing_left(&container)
}

/// systemd escapes the cgroup of `memory.slice`, which begins like a file of the kernel: `_memory.slice`. Limits are
/// set there.
fn slice_of_a_kernels_name() -> Result {
    let bundle = Bundle::new(["pause"]).set("/linux/resources", json!({ "pids": { "limit": 50 } }));
    let container = build(bundle, "memory-tareconf.slice:tare:ID")?;
    launch(&container, &["create"])?.success()?;
    let scope = format!("/_memory.slice/memory-tareconf.slice/{}", unit(&container));
    equal("cgroup", cgroup(&container)?, &*scope)?;
    if !v1() {
        let limit = fs::read_to_string(format!("/sys/fs/cgroup{scope}/pids.max"))?;
        equal("limit", limit.trim_end(), "50")?;
    }
    container.command(["delete", "--force"])?.success()?;
    systemctl(["stop", "memory.slice"])?;
    nothing_left(&container)
}

/// `-.slice` is the root slice.
fn slice_of_the_root() -> Result {
    let container = build(Bundle::new(["pause"]), "-.slice:tare:ID")?;
    launch(&container, &["create"])?.success()?;
    equal("cgroup", cgroup(&container)?, format!("/{}", unit(&container)))
}

/// A path in the form of cgroupfs is refused with runc's words.
fn path_of_cgroupfs_is_refused() -> Result {
    for path in ["/a/b", "a:b", "a:b:c:d", "x"] {
        let container = build(Bundle::new(["pause"]), path)?;
        let words = format!(
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {path:?} instead"
        );
        let output = launch(&container, &["create"])?;
        ensure!(output.stderr.replace("\\\"", "\"").contains(&words), "{output}");
        output.failure()?;
        nothing_left(&container)?;
    }
    Ok(())
}

/// A slice holds no processes, so the unit cannot be a slice.
fn slice_as_unit_is_refused() -> Result {
    let container = build(Bundle::new(["pause"]), "system.slice:tare:ID.slice")?;
    launch(&container, &["create"])?.failure()?;
    nothing_left(&container)
}

fn limited() -> Bundle {
    let mut resources = json!({
        "memory": { "limit": 67_108_864, "reservation": 33_554_432 },
        "cpu": { "quota": 12_345, "period": 100_000, "shares": 2048 },
        "pids": { "limit": 50 },
    });
    if !v1() {
        resources["unified"] = json!({ "memory.high": "62914560" });
    }
    Bundle::new(["pause"]).set("/linux/resources", resources)
}

/// The values of [`limited`] in the kernel's files.
fn files() -> &'static [(&'static str, &'static str)] {
    match v1() {
        true => &[
            ("memory.limit_in_bytes", "67108864"),
            ("memory.soft_limit_in_bytes", "33554432"),
            ("cpu.cfs_quota_us", "12345"),
            ("cpu.cfs_period_us", "100000"),
            ("cpu.shares", "2048"),
            ("pids.max", "50"),
        ],
        false => &[
            ("memory.max", "67108864"),
            ("memory.low", "33554432"),
            ("memory.high", "62914560"),
            ("cpu.max", "12345 100000"),
            ("cpu.weight", "174"),
            ("pids.max", "50"),
        ],
    }
}

fn properties() -> &'static [(&'static str, &'static str)] {
    match v1() {
        true => {
            &[("MemoryLimit", "67108864"), ("CPUQuotaPerSecUSec", "130ms"), ("CPUShares", "2048"), ("TasksMax", "50")]
        }
        false => &[
            ("MemoryMax", "67108864"),
            ("MemoryLow", "33554432"),
            ("MemoryHigh", "62914560"),
            ("CPUQuotaPerSecUSec", "130ms"),
            ("CPUWeight", "174"),
            ("TasksMax", "50"),
        ],
    }
}

/// The limits are in the kernel's files and in systemd's properties. systemd counts CPUs in whole percents, while the
/// kernel has the exact value.
fn limits_are_in_both_places() -> Result {
    let container = created(limited())?;
    for (name, wanted) in files() {
        equal(name, file(&container, name)?.as_str(), *wanted)?;
    }
    for (name, wanted) in properties() {
        equal(name, property(&container, name)?.as_str(), *wanted)?;
    }
    Ok(())
}

/// At a reload systemd writes the values of its properties.
fn limits_survive_a_reload() -> Result {
    let container = created(limited())?;
    systemctl(["daemon-reload"])?;
    // systemd has the quota in whole percents only.
    for (name, wanted) in files().iter().filter(|(name, _)| !["cpu.max", "cpu.cfs_quota_us"].contains(name)) {
        equal(name, file(&container, name)?.as_str(), *wanted)?;
    }
    Ok(())
}

/// If create fails after it has started the unit, the unit is removed.
fn failure_leaves_nothing() -> Result {
    for bundle in [
        Bundle::new(["pause"]).set("/linux/resources/unified", json!({ "memory.nosuch": "1" })),
        Bundle::new(["pause"]).set("/process/args", json!(["/nosuch"])),
    ] {
        let container = build(bundle, "system.slice:tare:ID")?;
        launch(&container, &["create"])?.failure()?;
        nothing_left(&container)?;
    }
    Ok(())
}

/// A second container with the same unit is refused, and the first one is not affected.
fn unit_that_is_there_is_left_alone() -> Result {
    let first = started(Bundle::new(["pause"]))?;
    let path = format!("system.slice:tare:{}", first.id);
    let second = build(Bundle::new(["pause"]), &path)?;
    launch(&second, &["create"])?.failure()?;
    equal("status", first.status()?, "running")?;
    equal("ActiveState", property(&first, "ActiveState")?, "active")?;
    second.nothing_left()
}

/// `update` changes the unit's properties, too: a reload does not restore old limits.
fn update_tells_systemd() -> Result {
    let container = started(limited())?;
    let options = ["update", "--memory", "80M", "--cpu-quota", "23456", "--pids-limit", "60"];
    container.command(options)?.success()?;
    let (files, limit): (&[_], _) = match v1() {
        true => (&[("memory.limit_in_bytes", "83886080"), ("cpu.cfs_quota_us", "23456")], "MemoryLimit"),
        false => (&[("memory.max", "83886080"), ("cpu.max", "23456 100000")], "MemoryMax"),
    };
    for (name, wanted) in files.iter().chain(&[("pids.max", "60")]) {
        equal(name, file(&container, name)?.as_str(), *wanted)?;
    }
    for (name, wanted) in [(limit, "83886080"), ("CPUQuotaPerSecUSec", "240ms"), ("TasksMax", "60")] {
        equal(name, property(&container, name)?.as_str(), wanted)?;
    }
    systemctl(["daemon-reload"])?;
    equal(files[0].0, file(&container, files[0].0)?.as_str(), "83886080")?;
    container.command(["delete", "--force"])?.success()?;
    nothing_left(&container)
}

/// A value that the kernel refuses is neither in its files nor in systemd's properties afterwards.
fn update_that_fails_is_undone() -> Result {
    let container = started(limited())?;
    let call = container.call(["update", "--resources", "-", &container.id]);
    let document = r#"{ "pids": { "limit": 44 }, "unified": { "memory.nosuch": "1" } }"#;
    call.stdin(document)?.output()?.failure()?;
    equal("pids.max", file(&container, "pids.max")?.as_str(), "50")?;
    equal("TasksMax", property(&container, "TasksMax")?.as_str(), "50")
}

/// At a reload systemd applies its own device rules again: they are the container's (runc#3551: /dev/null and terminals
/// were lost).
fn devices_survive_a_reload() -> Result {
    let words = ["mknod", "/dev/kmsg2", "c:1:11", ",", "open", "/dev/kmsg2", ",", "pause"];
    let container = started(
        Bundle::new(words)
            .capabilities(&["CAP_MKNOD", "CAP_SYSLOG", "CAP_DAC_OVERRIDE"])
            .set("/linux/resources/devices", json!([{ "allow": false, "access": "rwm" }])),
    )?;
    container.wait_output("open /dev/kmsg2: EPERM")?;
    let devices = || -> Result {
        let output = container.exec([], ["open", "/dev/null", ",", "openw", "/dev/null", ",", "open", "/dev/kmsg2"])?;
        output.has_line("open /dev/null: ok")?.has_line("openw /dev/null: ok")?.has_line("open /dev/kmsg2: EPERM")?;
        Ok(())
    };
    devices()?;
    systemctl(["daemon-reload"])?;
    devices()?;
    systemctl(["set-property", "--runtime", &unit(&container), "CPUWeight=50"])?;
    devices()
}

/// systemd has no device rule for "all except this one". The runtime's own rules must stay in force, also on v1, where
/// systemd writes the same files.
fn devices_denied_after_all_are_allowed() -> Result {
    let rules = json!([
        { "allow": true, "access": "rwm" },
        { "allow": false, "type": "c", "major": 1, "minor": 11, "access": "rw" },
    ]);
    let words = [
        "mknod",
        "/dev/kmsg2",
        "c:1:11",
        ",",
        "open",
        "/dev/kmsg2",
        ",",
        "mknod",
        "/dev/mem2",
        "c:1:1",
        ",",
        "open",
        "/dev/mem2",
        ",",
        "open",
        "/dev/null",
        ",",
        "pause",
    ];
    let container = started(
        Bundle::new(words)
            .capabilities(&["CAP_MKNOD", "CAP_SYSLOG", "CAP_DAC_OVERRIDE", "CAP_SYS_RAWIO"])
            .set("/linux/resources/devices", rules),
    )?;
    container.wait_output("open /dev/kmsg2: EPERM")?;
    container.wait_output("open /dev/null: ok")?;
    if v1() {
        container.command(["update", "--pids-limit", "60"])?.success()?;
    } else {
        systemctl(["daemon-reload"])?;
    }
    container.exec([], ["open", "/dev/null", ",", "open", "/dev/kmsg2"])?.has_line("open /dev/kmsg2: EPERM").map(drop)
}

/// A process of exec is in the scope, too.
fn exec_joins() -> Result {
    let container = started(Bundle::new(["pause"]))?;
    let output = container.exec([], ["cat", "/proc/self/cgroup"])?;
    equal("cgroup", cgroup_in(&output.success()?.stdout)?, format!("/system.slice/{}", unit(&container)))
}

/// The container may make sub-cgroups in the scope, and exec can join one.
fn exec_in_a_sub_cgroup() -> Result {
    let container = started(Bundle::new(["pause"]))?;
    fs::create_dir(directory_of(&container, "memory").join("below"))?;
    let (place, begin) = if v1() { ("memory:below", ":memory:") } else { ("below", "0::") };
    let output = container.exec(["--cgroup", place], ["cat", "/proc/self/cgroup"])?;
    contains("cgroup", &output.success()?.stdout, &format!("{begin}/system.slice/{}/below\n", unit(&container)))?;
    container.command(["delete", "--force"])?.success()?;
    nothing_left(&container)
}

/// `pause` and `resume` work in a scope.
fn pause_and_resume() -> Result {
    let container = started(Bundle::new(["pause"]))?;
    container.command(["pause"])?.success()?;
    equal("status", container.status()?, "paused")?;
    container.command(["resume"])?.success()?;
    equal("status", container.status()?, "running")?;
    container.command(["pause"])?.success()?;
    container.command(["delete", "--force"])?.success()?;
    nothing_left(&container)
}

/// Without a pid namespace SIGKILL reaches all processes of the cgroup.
fn kill_of_all_in_the_hosts_pid_namespace() -> Result {
    let container = started(Bundle::new(["fork", "3", ",", "pause"]).without_namespace("pid"))?;
    container.wait_output("forked: 3")?;
    container.kill("KILL")?.success()?;
    eventually("the end of all", || Ok(container.processes().is_empty()))?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    nothing_left(&container)
}

/// delete kills processes that have survived the first one. It does not wait for systemd's timeout for processes that
/// ignore SIGTERM.
fn delete_ends_who_is_left() -> Result {
    let container = started(Bundle::new(["fork", "3", ",", "pause"]).without_namespace("pid"))?;
    container.wait_output("forked: 3")?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(container.pid()?), nix::sys::signal::Signal::SIGKILL)?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    nothing_left(&container)
}

/// delete does not wait for a process either that was moved into the scope from outside and ignores SIGTERM.
fn delete_ends_who_has_moved_in() -> Result {
    let container = started(Bundle::new(["pause"]))?;
    let mut other = Command::new("sh").args(["-c", "trap '' TERM; exec sleep 100"]).spawn()?;
    let moved = [directory(&container), directory_of(&container, "devices")]
        .iter()
        .try_for_each(|dir| fs::write(dir.join("cgroup.procs"), other.id().to_string()));
    let comm = || Ok(fs::read_to_string(format!("/proc/{}/comm", other.id()))?.trim() == "sleep");
    eventually("the other process", comm)?;
    let begin = std::time::Instant::now();
    let deleted = container.command(["delete", "--force"]);
    let took = begin.elapsed();
    let _ = other.kill();
    other.wait()?;
    moved?;
    deleted?.success()?;
    ensure!(took < std::time::Duration::from_secs(20), "delete took {took:?}");
    nothing_left(&container)
}

/// After an OOM kill systemd marks the scope as failed. delete resets that.
fn killed_by_the_kernel_is_forgotten() -> Result {
    let container =
        started(Bundle::new(["alloc", "64"]).set("/linux/resources/memory", json!({ "limit": 16_777_216 })))?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    nothing_left(&container)
}

/// `run` in the foreground removes the unit.
fn run_cleans_up() -> Result {
    let container = build(Bundle::new(["exit", "7"]), "system.slice:tare:ID")?;
    equal("status", launch(&container, &["run"])?.code()?, 7)?;
    nothing_left(&container)
}

/// `org.systemd.property.NAME` sets a property from a GVariant text: podman sets TimeoutStopUSec.
fn properties_by_annotation() -> Result {
    let container = created(Bundle::new(["pause"]).set(
        "/annotations",
        json!({
            "org.systemd.property.TimeoutStopUSec": "uint64 12000000",
            "org.systemd.property.KillSignal": "10",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "org.systemd.property.After": "['basic.target']",
        }),
    ))?;
    for (name, wanted) in [("TimeoutStopUSec", "12s"), ("KillSignal", "10"), ("CollectMode", "inactive-or-failed")] {
        equal(name, property(&container, name)?.as_str(), wanted)?;
    }
    contains("After", &property(&container, "After")?, "basic.target")
}

/// A property in seconds stands for the one in microseconds.
fn property_in_seconds() -> Result {
    let annotation = json!({ "org.systemd.property.TimeoutStopSec": "7" });
    let container = created(Bundle::new(["pause"]).set("/annotations", annotation))?;
    equal("TimeoutStopUSec", property(&container, "TimeoutStopUSec")?.as_str(), "7s")
}

/// An invalid name, an invalid value and an unknown property are refused.
fn property_that_is_none() -> Result {
    for (name, value) in [("Kill.Signal", "10"), ("KillSignal", "x"), ("NoSuchProperty", "10"), ("KillSignal", "'a'")] {
        let annotation = json!({ format!("org.systemd.property.{name}"): value });
        let container = build(Bundle::new(["pause"]).set("/annotations", annotation), "system.slice:tare:ID")?;
        let output = launch(&container, &["create"])?;
        output.failure()?;
        if runtime::is("tare") {
            output.fails_with(&format!("annotations.org.systemd.property.{name}: "))?;
        }
        nothing_left(&container)?;
    }
    Ok(())
}

/// With cgroupfs these annotations are ignored.
fn annotations_are_for_systemd_only() -> Result {
    Bundle::new(["true"]).set("/annotations", json!({ "org.systemd.property.x": "?" })).run()?.success().map(drop)
}

/// init waits until it is in the scope, and then makes its cgroup namespace.
fn cgroup_namespace_begins_at_the_scope() -> Result {
    let container = started(Bundle::new(["cat", "/proc/self/cgroup", ",", "pause"]).namespace("cgroup"))?;
    eventually("output", || Ok(!container.output()?.is_empty()))?;
    let output = container.output()?;
    ensure!(output.lines().all(|line| line.ends_with(":/")), "{output}");
    Ok(())
}

/// `run.oci.delegate-cgroup`: the container is in a cgroup below the scope, in which the controllers are enabled.
fn delegated_cgroup_is_below_the_scope() -> Result {
    if !runtime::is("tare") {
        return skip("an extension of crun, which gives the sub-cgroup of the scope another name");
    }
    on_v2()?;
    let annotation = json!({ "run.oci.delegate-cgroup": "own/inner" });
    let container = started(limited().namespace("cgroup").set("/annotations", annotation))?;
    equal("cgroup", cgroup(&container)?, format!("/system.slice/{}/own/inner", unit(&container)))?;
    contains("controllers", &file(&container, "own/inner/cgroup.controllers")?, "pids")?;
    equal("pids.max", file(&container, "pids.max")?.as_str(), "50")?;
    container.exec([], ["cat", "/proc/self/cgroup"])?.success()?.has_line("0::/")?;
    container.command(["delete", "--force"])?.success()?;
    nothing_left(&container)
}

fn subgroup(bundle: Bundle, name: &str) -> Bundle {
    bundle.set("/annotations", json!({ "run.oci.systemd.subgroup": name }))
}

/// `run.oci.systemd.subgroup`: the container's cgroup is below the scope, and has the limits, too.
fn subgroup_of_the_scope() -> Result {
    if !runtime::is("tare") {
        return skip("an extension of crun, which always makes such a cgroup");
    }
    on_v2()?;
    let container = started(subgroup(limited(), "box/inner").namespace("cgroup"))?;
    let inner = |name: &str| file(&container, &format!("box/inner/{name}"));
    let wanted = format!("/system.slice/{}/box/inner", unit(&container));
    equal("cgroup", cgroup(&container)?.as_str(), wanted.as_str())?;
    for (name, value) in files() {
        equal(name, inner(name)?.as_str(), *value)?;
    }
    equal("TasksMax", property(&container, "TasksMax")?.as_str(), "50")?;
    equal("MemoryMax", property(&container, "MemoryMax")?.as_str(), "67108864")?;
    container.exec([], ["cat", "/proc/self/cgroup"])?.success()?.has_line("0::/")?;
    container.command(["update", "--pids-limit", "60"])?.success()?;
    equal("pids.max", inner("pids.max")?.as_str(), "60")?;
    equal("TasksMax", property(&container, "TasksMax")?.as_str(), "60")?;
    container.command(["pause"])?.success()?;
    equal("cgroup.freeze", inner("cgroup.freeze")?.as_str(), "1")?;
    container.command(["resume"])?.success()?;
    container.command(["delete", "--force"])?.success()?;
    nothing_left(&container)
}

/// On v1 cgroups cannot be delegated.
fn subgroup_needs_v2() -> Result {
    if !runtime::is("tare") || !v1() {
        return skip("tare refuses it, and this needs v1 hierarchies");
    }
    let container = build(subgroup(Bundle::new(["pause"]), "box"), "system.slice:tare:ID")?;
    launch(&container, &["create"])?
        .fails_with("annotations.run.oci.systemd.subgroup: only on hosts with cgroup v2")?;
    nothing_left(&container)
}

/// `features` lists the driver, and the annotations as unsafe.
fn features_say_so() -> Result {
    let features: Value = serde_json::from_str(&Call::new(["features"]).output()?.success()?.stdout)?;
    for place in ["/linux/cgroup/systemd", "/linux/cgroup/systemdUser"] {
        equal(place, features.pointer(place), Some(&json!(true)))?;
    }
    let unsafe_ones = features["potentiallyUnsafeConfigAnnotations"].to_string();
    contains("potentiallyUnsafeConfigAnnotations", &unsafe_ones, "\"org.systemd.property.\"")
}

/// An ordinary user's container is a scope of the user's own systemd.
fn user_has_a_manager_of_his_own() -> Result {
    asked_by_user(|bundle| bundle, "")
}

/// systemd moves the process into the scope, and the runtime moves it on into the cgroup below.
fn user_has_a_subgroup() -> Result {
    if !runtime::is("tare") {
        return skip("an extension of crun, which always makes such a cgroup");
    }
    asked_by_user(|bundle| subgroup(bundle, "box"), "/box")
}

fn asked_by_user(change: impl Fn(Bundle) -> Bundle, below: &str) -> Result {
    const USER: u32 = 1000;
    on_v2()?;
    let runtime = format!("/run/user/{USER}");
    let bus = Path::new(&runtime).join("bus");
    let name = nix::unistd::User::from_uid(USER.into())?.map(|user| user.name).unwrap_or_default();
    // With lingering the user's systemd starts at boot, and may not be ready yet.
    if !name.is_empty() && Path::new("/var/lib/systemd/linger").join(name).exists() {
        eventually("the service manager of the user", || Ok(bus.exists()))?;
    }
    if !bus.exists() {
        return skip(format!("user {USER} has no service manager here"));
    }
    let limit = json!({ "limit": 30 });
    let bundle = Bundle::new(["pause"]).user(USER).user_namespace(USER, 1).set("/linux/resources/pids", limit);
    let container = build(change(bundle), ":tare:ID")?;
    let call = |words: &[&str]| {
        let call = Call::new(["--root"]).arg(container.state_root()).args(words).user(USER).no_env();
        call.env("XDG_RUNTIME_DIR", &runtime)
    };
    let create = call(&["--systemd-cgroup", "create", "--bundle"]).arg(container.bundle()).arg(&container.id);
    create.output_to(container.aside("out"), container.aside("err")).output()?.success()?;
    let path = cgroup(&container)?;
    let wanted = format!("/user.slice/user-{USER}.slice/user@{USER}.service/user.slice/{}{below}", unit(&container));
    equal("cgroup", path.as_str(), wanted.as_str())?;
    let dir = Path::new("/sys/fs/cgroup").join(path.trim_start_matches('/'));
    equal("pids.max", fs::read_to_string(dir.join("pids.max"))?.trim(), "30")?;
    call(&["start", &container.id]).output()?.success()?;
    let output = call(&["exec", &container.id, "/payload", "cat", "/proc/self/cgroup"]).output()?;
    output.success()?.has_line(&format!("0::{wanted}"))?;
    call(&["update", "--pids-limit", "40", &container.id]).output()?.success()?;
    equal("pids.max", fs::read_to_string(dir.join("pids.max"))?.trim(), "40")?;
    call(&["delete", "--force", &container.id]).output()?.success()?;
    if dir.exists() {
        bail!("left behind: {path}");
    }
    container.nothing_left()
}
