//! `update`: limits of a container that runs.

use crate::harness::*;
use anyhow::ensure;
use std::fs;

tests![
    pids_by_option,
    memory_by_option_with_a_suffix,
    cpu_period_keeps_the_quota,
    cpu_shares,
    cpuset,
    resources_from_standard_input,
    resources_from_a_file_leave_the_rest,
    options_are_ignored_beside_resources,
    device_rules_are_not_touched,
    stopped,
    unknown_container,
    wrong_value_is_refused_and_undone,
    paused_stays_paused,
    created,
    exec_and_delete_still_work,
];

/// A running container with its pids limit at 50, or a skip where there is no such controller.
fn running() -> Result<Container> {
    let resources = json!({
        "pids": { "limit": 50 },
        "memory": { "limit": 67_108_864 },
        "cpu": { "quota": 50_000, "period": 100_000 },
    });
    Bundle::new(["pause"]).set("/linux/resources", resources).start()
}

fn check(container: &Container, controller: &str, v1: (&str, &str), v2: (&str, &str)) -> Result {
    let (file, wanted) = if container.is_v2() { v2 } else { v1 };
    equal(file, container.cgroup_file(controller, file)?.as_str(), wanted)
}

fn update<const N: usize>(container: &Container, options: [&str; N]) -> Result<Output> {
    container.call(["update"]).args(options).arg(&container.id).output()
}

fn pids(container: &Container, wanted: &str) -> Result {
    check(container, "pids", ("pids.max", wanted), ("pids.max", wanted))
}

/// `--pids-limit`.
fn pids_by_option() -> Result {
    let container = running()?;
    update(&container, ["--pids-limit", "33"])?.success()?;
    pids(&container, "33")?;
    update(&container, ["--pids-limit", "-1"])?.success()?;
    pids(&container, "max")
}

/// `--memory` takes sizes with a suffix.
fn memory_by_option_with_a_suffix() -> Result {
    let container = running()?;
    update(&container, ["--memory", "50M"])?.success()?;
    check(&container, "memory", ("memory.limit_in_bytes", "52428800"), ("memory.max", "52428800"))
}

/// A period alone keeps the quota.
fn cpu_period_keeps_the_quota() -> Result {
    let container = running()?;
    update(&container, ["--cpu-period", "200000"])?.success()?;
    check(&container, "cpu", ("cpu.cfs_period_us", "200000"), ("cpu.max", "50000 200000"))?;
    check(&container, "cpu", ("cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 200000"))
}

/// `--cpu-share`.
fn cpu_shares() -> Result {
    let container = running()?;
    update(&container, ["--cpu-share", "2048"])?.success()?;
    check(&container, "cpu", ("cpu.shares", "2048"), ("cpu.weight", "159"))
}

/// `--cpuset-cpus`.
fn cpuset() -> Result {
    let container = running()?;
    update(&container, ["--cpuset-cpus", "0"])?.success()?;
    check(&container, "cpuset", ("cpuset.cpus", "0"), ("cpuset.cpus", "0"))
}

/// CRI-O sends the specification's resources through `--resources -`.
fn resources_from_standard_input() -> Result {
    let container = running()?;
    let call = container.call(["update", "--resources", "-", &container.id]);
    call.stdin(r#"{ "pids": { "limit": 22 }, "cpu": { "shares": 100 } }"#)?.output()?.success()?;
    pids(&container, "22")
}

/// What the file does not speak of stays as it was.
fn resources_from_a_file_leave_the_rest() -> Result {
    let container = running()?;
    let file = container.aside("resources.json");
    fs::write(&file, r#"{ "memory": { "limit": 41943040 } }"#)?;
    update(&container, ["-r", &file.to_string_lossy()])?.success()?;
    check(&container, "memory", ("memory.limit_in_bytes", "41943040"), ("memory.max", "41943040"))?;
    check(&container, "cpu", ("cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000"))
}

/// With `--resources` the other options do not count.
fn options_are_ignored_beside_resources() -> Result {
    let container = running()?;
    let call = container.call(["update", "--resources", "-", "--pids-limit", "11", &container.id]);
    call.stdin(r#"{ "pids": { "limit": 22 } }"#)?.output()?.success()?;
    pids(&container, "22")
}

/// Device rules are not update's: a container keeps what it has.
fn device_rules_are_not_touched() -> Result {
    let words =
        ["mknod", "/dev/kmsg2", "c:1:11", ",", "trap", "USR1", ",", "open", "/dev/kmsg2", ",", "open", "/dev/null"];
    let container = Bundle::new(words)
        .capabilities(&["CAP_MKNOD", "CAP_SYSLOG", "CAP_DAC_OVERRIDE"])
        .set("/linux/resources/devices", json!([{ "allow": false, "access": "rwm" }]))
        .start()?;
    container.wait_output("ready")?;
    let call = container.call(["update", "--resources", "-", &container.id]);
    call.stdin(r#"{ "devices": [{ "allow": true, "access": "rwm" }], "pids": { "limit": 10 } }"#)?
        .output()?
        .success()?;
    container.kill("USR1")?.success()?;
    container.wait_output("open /dev/kmsg2: EPERM")?;
    container.wait_output("open /dev/null: ok")
}

/// A stopped container has no limits to change.
fn stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    update(&container, ["--pids-limit", "33"])?.fails_with("container not running").map(drop)
}

/// An unknown one neither.
fn unknown_container() -> Result {
    let container = Bundle::new(["true"]).build()?;
    update(&container, ["--pids-limit", "33"])?.fails_with("does not exist").map(drop)
}

/// What the kernel refuses is an error, and the limits are what they were.
fn wrong_value_is_refused_and_undone() -> Result {
    let container = running()?;
    update(&container, ["--cpu-quota", "5"])?.failure()?;
    check(&container, "cpu", ("cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000"))?;
    update(&container, ["--memory", "much"])?.failure()?;
    equal("status", container.status()?, "running")
}

/// A paused container can be updated, and stays paused.
fn paused_stays_paused() -> Result {
    let container = running()?;
    container.command(["pause"])?.success()?;
    update(&container, ["--pids-limit", "44"])?.success()?;
    pids(&container, "44")?;
    equal("status", container.status()?, "paused")
}

/// So can one that is not started.
fn created() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    update(&container, ["--pids-limit", "44"])?.success()?;
    pids(&container, "44")?;
    equal("status", container.status()?, "created")
}

/// What was stored is still a state that the other commands can use.
fn exec_and_delete_still_work() -> Result {
    let container = running()?;
    update(&container, ["--pids-limit", "44"])?.success()?;
    container.exec([], ["true"])?.success()?;
    container.command(["delete", "--force"])?.success()?;
    ensure!(!container.state_dir().exists(), "no state");
    container.nothing_left()
}
