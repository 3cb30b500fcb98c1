//! `--systemd-cgroup` with faults on systemd's side: units that vanish, a bus that fails, a manager that restarts.

use crate::harness::bus::{Fault, FaultyBus};
use crate::harness::scope::*;
use crate::harness::*;
use anyhow::ensure;
use std::fs;
use std::path::Path;

tests![
    two_hundred_cycles_leave_nothing,
    unit_killed_while_created,
    unit_stopped_while_running,
    unit_that_lost_its_process,
    bus_that_closes_during_create,
    bus_that_closes_during_update,
    bus_that_closes_during_delete,
    bus_that_is_back,
    bus_that_is_silent,
    without_a_bus_root_asks_directly,
    without_any_way_to_systemd,
    reload_loses_nothing,
    new_manager_loses_nothing,
    reload_of_a_frozen_container,
    update_leaves_the_rest_alone,
];

/// The socket at which systemd listens for root, without a bus.
const PRIVATE: &std::ffi::CStr = c"/run/systemd/private";
/// The messages of one call: Hello, AddMatch, the method.
const MESSAGES: usize = 3;

/// After many cycles no unit, cgroup or job is left.
fn two_hundred_cycles_leave_nothing() -> Result {
    let container = build(Bundle::new(["pause"]), "system.slice:tare:ID")?;
    let before = systemctl(["list-units", "--all", "--plain", "--no-legend", "*.scope"])?;
    for _ in 0..200 {
        launch(&container, &["create"])?.success()?;
        container.command(["start"])?.success()?;
        container.command(["delete", "--force"])?.success()?;
    }
    nothing_left(&container)?;
    let transient = Path::new("/run/systemd/transient").join(unit(&container));
    ensure!(!transient.exists(), "left behind: {}", transient.display());
    equal("scopes", systemctl(["list-units", "--all", "--plain", "--no-legend", "*.scope"])?, before)
}

/// Checks that another container of this name works.
fn next_one_works(container: &Container) -> Result {
    launch(container, &["create"])?.success()?;
    equal("cgroup", cgroup(container)?, format!("/system.slice/{}", unit(container)))?;
    container.command(["delete", "--force"])?.success()?;
    gone(container)
}

/// After `systemctl kill` before `start` the container is stopped, and can be deleted.
fn unit_killed_while_created() -> Result {
    let container = created(Bundle::new(["pause"]))?;
    systemctl(["kill", "--signal=KILL", &unit(&container)])?;
    container.wait_status("stopped")?;
    container.command(["start"])?.failure()?;
    container.exec([], ["true"])?.failure()?;
    container.command(["delete"])?.success()?;
    gone(&container)?;
    next_one_works(&container)
}

/// `systemctl stop` of a running container's unit ends the container. Later commands fail, or have nothing left to do.
fn unit_stopped_while_running() -> Result {
    let annotation = json!({ "org.systemd.property.TimeoutStopUSec": "uint64 1000000" });
    let container = started(Bundle::new(["pause"]).set("/annotations", annotation))?;
    systemctl(["stop", &unit(&container)])?;
    container.wait_status("stopped")?;
    ensure!(!directory(&container).exists(), "systemd left {}", directory(&container).display());
    container.exec([], ["true"])?.failure()?;
    container.command(["pause"])?.failure()?;
    container.command(["kill"])?.failure()?;
    container.command(["delete"])?.success()?;
    gone(&container)?;
    next_one_works(&container)
}

/// A container whose process was moved to another cgroup runs on without its unit, which systemd removes.
fn unit_that_lost_its_process() -> Result {
    on_v2()?;
    let container = started(Bundle::new(["pause"]))?;
    let elsewhere = Path::new("/sys/fs/cgroup").join(format!("tare-conformance-{}", container.id));
    fs::create_dir(&elsewhere)?;
    fs::write(elsewhere.join("cgroup.procs"), container.pid()?.to_string())?;
    let checked = eventually("the end of the unit", || Ok(!directory(&container).exists())).and_then(|()| {
        equal("status", container.status()?, "running")?;
        container.call(["update", "--pids-limit", "20", &container.id]).output()?.failure()?;
        container.command(["pause"])?.failure()?;
        container.kill("KILL")?.success()?;
        container.wait_status("stopped")?;
        container.command(["delete"])?.success()?;
        gone(&container)
    });
    let _ = fs::write(elsewhere.join("cgroup.kill"), "1");
    eventually("an empty cgroup", || Ok(fs::remove_dir(&elsewhere).is_ok()))?;
    checked?;
    next_one_works(&container)
}

/// The call over a bus that fails, without another way to systemd.
fn over(bus: &FaultyBus, call: Call) -> Call {
    call.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address()).hiding(PRIVATE)
}

/// Checks that the error is one line.
fn one_line(output: &Output) -> Result {
    output.failure()?;
    if runtime::is("tare") {
        equal("lines of the message", output.stderr.trim_end().lines().count(), 1)?;
    }
    Ok(())
}

fn faulty(container: &Container, fault: Fault, messages: usize, connections: usize) -> Result<FaultyBus> {
    FaultyBus::new(container.aside(&format!("bus{messages}")), fault, messages, connections)
}

fn create_call(container: &Container) -> Call {
    let call = container.call(["--systemd-cgroup", "create", "--bundle"]).arg(container.bundle());
    call.arg(&container.id)
}

/// Wherever the bus fails during create: create fails, and nothing is left.
fn bus_that_closes_during_create() -> Result {
    let container = build(Bundle::new(["pause"]), "system.slice:tare:ID")?;
    for messages in 0..=MESSAGES {
        let bus = faulty(&container, Fault::Closes, messages, usize::MAX)?;
        let output = over(&bus, create_call(&container)).output()?;
        one_line(&output).map_err(|error| error.context(format!("after {messages} messages")))?;
        gone(&container)?;
    }
    next_one_works(&container)
}

/// An update that does not reach systemd changes nothing.
fn bus_that_closes_during_update() -> Result {
    let container = started(Bundle::new(["pause"]).set("/linux/resources/pids", json!({ "limit": 50 })))?;
    for messages in 0..MESSAGES {
        let bus = faulty(&container, Fault::Closes, messages, usize::MAX)?;
        let call = container.call(["update", "--pids-limit", "60", &container.id]);
        // The last message of a create gets through here, its answer does not.
        one_line(&over(&bus, call).output()?)?;
        equal("pids.max", file(&container, "pids.max")?.as_str(), "50")?;
    }
    container.command(["update", "--pids-limit", "70"])?.success()?;
    equal("pids.max", file(&container, "pids.max")?.as_str(), "70")?;
    equal("TasksMax", property(&container, "TasksMax")?.as_str(), "70")?;
    container.command(["delete", "--force"])?.success()?;
    gone(&container)
}

/// systemd removes a unit whose processes have ended: delete succeeds without the bus.
fn bus_that_closes_during_delete() -> Result {
    for messages in 0..=MESSAGES {
        let container = started(Bundle::new(["pause"]))?;
        let bus = faulty(&container, Fault::Closes, messages, usize::MAX)?;
        over(&bus, container.call(["delete", "--force", &container.id])).output()?.success()?;
        gone(&container)?;
    }
    Ok(())
}

/// The runtime repeats a call that can be repeated: a bus that works again a moment later causes no error.
fn bus_that_is_back() -> Result {
    let container = started(Bundle::new(["pause"]))?;
    let bus = faulty(&container, Fault::Closes, 2, 1)?;
    over(&bus, container.call(["update", "--pids-limit", "60", &container.id])).output()?.success()?;
    equal("TasksMax", property(&container, "TasksMax")?.as_str(), "60")?;
    let bus = faulty(&container, Fault::Closes, 3, 1)?;
    over(&bus, container.call(["delete", "--force", &container.id])).output()?.success()?;
    gone(&container)
}

/// A bus that does not answer is an error after some time; the runtime does not wait for ever.
fn bus_that_is_silent() -> Result {
    let container = build(Bundle::new(["pause"]), "system.slice:tare:ID")?;
    for messages in [0, MESSAGES - 1] {
        let bus = faulty(&container, Fault::IsSilent, messages, usize::MAX)?;
        let output = over(&bus, create_call(&container)).patience(50).output()?;
        one_line(&output)?;
        output.fails_with("timed out")?;
        gone(&container)?;
    }
    next_one_works(&container)
}

/// Without a D-Bus daemon root uses systemd's private socket.
fn without_a_bus_root_asks_directly() -> Result {
    systemd_runs()?;
    if !Path::new("/run/systemd/private").exists() {
        return skip("systemd has no private socket here");
    }
    let container = build(Bundle::new(["pause"]), "system.slice:tare:ID")?;
    let call = |call: Call| call.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nosuch/bus").output();
    let (out, err) = (container.aside("out"), container.aside("err"));
    call(create_call(&container).output_to(out, err))?.success()?;
    equal("cgroup", cgroup(&container)?, format!("/system.slice/{}", unit(&container)))?;
    call(container.call(["start", &container.id]))?.success()?;
    call(container.call(["update", "--pids-limit", "60", &container.id]))?.success()?;
    equal("TasksMax", property(&container, "TasksMax")?.as_str(), "60")?;
    call(container.call(["delete", "--force", &container.id]))?.success()?;
    gone(&container)
}

/// Without any way to systemd create fails, and nothing is left.
fn without_any_way_to_systemd() -> Result {
    let container = build(Bundle::new(["pause"]), "system.slice:tare:ID")?;
    let call = create_call(&container).env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nosuch/bus").hiding(PRIVATE);
    one_line(&call.output()?)?;
    gone(&container)
}

/// Checks limits and devices of a container after systemd has read its state anew.
fn all_is_there(container: &Container) -> Result {
    let kept = if v1() { KEPT_V1 } else { KEPT };
    // Scopes have the property OOMPolicy since systemd 253.
    let told = |name: &str| name != "memory.oom.group" || version().is_ok_and(|version| version >= 253);
    for (name, wanted) in kept.iter().filter(|(name, _)| told(name)) {
        equal(name, file(container, name)?.as_str(), *wanted)?;
    }
    let output = container.exec([], ["open", "/dev/null", ",", "open", "/dev/kmsg2"])?;
    output.has_line("open /dev/null: ok")?.has_line("open /dev/kmsg2: EPERM")?;
    equal("cgroup", cgroup(container)?, format!("/system.slice/{}", unit(container)))
}

const KEPT: &[(&str, &str)] = &[
    ("memory.max", "67108864"),
    ("memory.low", "33554432"),
    ("memory.high", "62914560"),
    ("memory.oom.group", "1"),
    ("cpu.weight", "174"),
    ("cpu.max", "20000 100000"),
    ("pids.max", "50"),
];

const KEPT_V1: &[(&str, &str)] = &[
    ("memory.limit_in_bytes", "67108864"),
    ("memory.soft_limit_in_bytes", "33554432"),
    ("cpu.shares", "2048"),
    ("cpu.cfs_quota_us", "20000"),
    ("cpu.cfs_period_us", "100000"),
    ("pids.max", "50"),
];

fn kept() -> Bundle {
    let mut resources = json!({
        "memory": { "limit": 67_108_864, "reservation": 33_554_432 },
        "cpu": { "quota": 20_000, "period": 100_000, "shares": 2048 },
        "pids": { "limit": 50 },
        "devices": [{ "allow": false, "access": "rwm" }],
    });
    if !v1() {
        resources["unified"] = json!({ "memory.high": "62914560", "memory.oom.group": "1" });
    }
    Bundle::new(["mknod", "/dev/kmsg2", "c:1:11", ",", "count", "/number"])
        .capabilities(&["CAP_MKNOD", "CAP_SYSLOG", "CAP_DAC_OVERRIDE"])
        .set("/linux/resources", resources)
}

/// `systemctl daemon-reload` loses no limit.
fn reload_loses_nothing() -> Result {
    let container = started(kept())?;
    eventually("counting", || Ok(container.read("number").is_ok()))?;
    all_is_there(&container)?;
    systemctl(["daemon-reload"])?;
    all_is_there(&container)?;
    container.command(["delete", "--force"])?.success()?;
    gone(&container)
}

/// `systemctl daemon-reexec` loses no limit.
fn new_manager_loses_nothing() -> Result {
    let container = started(kept())?;
    eventually("counting", || Ok(container.read("number").is_ok()))?;
    systemctl(["daemon-reexec"])?;
    all_is_there(&container)?;
    container.command(["update", "--pids-limit", "60"])?.success()?;
    equal("pids.max", file(&container, "pids.max")?.as_str(), "60")?;
    container.command(["delete", "--force"])?.success()?;
    gone(&container)
}

/// A frozen container stays frozen when the manager reloads or restarts.
fn reload_of_a_frozen_container() -> Result {
    let container = started(Bundle::new(["count", "/number"]))?;
    let number = || container.read("number").unwrap_or_default();
    eventually("counting", || Ok(!number().is_empty()))?;
    container.command(["pause"])?.success()?;
    let before = number();
    for words in ["daemon-reload", "daemon-reexec"] {
        systemctl([words])?;
        equal("status", container.status()?, "paused")?;
        equal("number", number(), before.clone())?;
    }
    container.command(["resume"])?.success()?;
    eventually("counting on", || Ok(!number().is_empty() && number() != before))?;
    container.command(["delete", "--force"])?.success()?;
    gone(&container)
}

/// systemd writes all files of a controller when one property changes. Values that systemd does not know exactly, or
/// not at all, stay.
fn update_leaves_the_rest_alone() -> Result {
    on_v2()?;
    let resources = json!({
        "cpu": { "quota": 12_345, "period": 100_000 },
        "unified": { "memory.oom.group": "1", "memory.high": "62914560" },
    });
    let container = started(Bundle::new(["pause"]).set("/linux/resources", resources))?;
    for options in [["--memory", "64M"], ["--cpu-share", "512"], ["--pids-limit", "40"]] {
        container.command(["update", options[0], options[1]])?.success()?;
        for (name, wanted) in [("memory.oom.group", "1"), ("memory.high", "62914560"), ("cpu.max", "12345 100000")] {
            equal(name, file(&container, name)?.as_str(), wanted)?;
        }
    }
    Ok(())
}
