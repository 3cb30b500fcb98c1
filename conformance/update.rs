//! `update`: limits of a running container. `resources` has a row for each single field.

use crate::harness::runtime;
use crate::harness::*;
use anyhow::ensure;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

tests![
    memory_unlimited_lifts_swap_too,
    memory_below_the_usage_is_refused,
    cpu_realtime,
    block_io_throttles_are_merged_by_device,
    unified_in_the_unified_view,
    updates_add_up,
    idle_and_shares,
    failure_restores_what_was_set_before_it,
    kernel_memory_is_ignored_with_a_warning,
    rdt_without_a_configuration,
    bad_values_name_the_option,
    bad_documents_are_refused,
    memory_by_option_with_a_suffix,
    cpu_period_keeps_the_quota,
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
    record_stays_the_owners,
];

/// A running container with a pids limit of 50. Skips the test if the machine lacks the controller.
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

/// `--memory` takes sizes with a suffix.
fn memory_by_option_with_a_suffix() -> Result {
    let container = running()?;
    for (size, wanted) in [("50M", "52428800"), ("20mb", "20971520"), ("30MiB", "31457280"), ("0.05G", "53686272")] {
        update(&container, ["--memory", size])?.success()?;
        check(&container, "memory", ("memory.limit_in_bytes", wanted), ("memory.max", wanted))?;
    }
    Ok(())
}

/// A new period keeps the quota.
fn cpu_period_keeps_the_quota() -> Result {
    let container = running()?;
    update(&container, ["--cpu-period", "200000"])?.success()?;
    check(&container, "cpu", ("cpu.cfs_period_us", "200000"), ("cpu.max", "50000 200000"))?;
    check(&container, "cpu", ("cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 200000"))
}

/// CRI-O passes the specification's `resources` through `--resources -`.
fn resources_from_standard_input() -> Result {
    let container = running()?;
    let call = container.call(["update", "--resources", "-", &container.id]);
    call.stdin(r#"{ "pids": { "limit": 22 }, "cpu": { "shares": 100 } }"#)?.output()?.success()?;
    pids(&container, "22")
}

/// Fields that the file lacks keep their values.
fn resources_from_a_file_leave_the_rest() -> Result {
    let container = running()?;
    let file = container.aside("resources.json");
    fs::write(&file, r#"{ "memory": { "limit": 41943040 } }"#)?;
    update(&container, ["-r", &file.to_string_lossy()])?.success()?;
    check(&container, "memory", ("memory.limit_in_bytes", "41943040"), ("memory.max", "41943040"))?;
    check(&container, "cpu", ("cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000"))
}

/// With `--resources` the other options are ignored.
fn options_are_ignored_beside_resources() -> Result {
    let container = running()?;
    let call = container.call(["update", "--resources", "-", "--pids-limit", "11", &container.id]);
    call.stdin(r#"{ "pids": { "limit": 22 } }"#)?.output()?.success()?;
    pids(&container, "22")
}

/// update does not change device rules: the container keeps its own.
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

/// A stopped container is an error.
fn stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    update(&container, ["--pids-limit", "33"])?.fails_with("container not running").map(drop)
}

/// An unknown container is an error.
fn unknown_container() -> Result {
    let container = Bundle::new(["true"]).build()?;
    update(&container, ["--pids-limit", "33"])?.fails_with("does not exist").map(drop)
}

/// If the kernel refuses a value, that is an error, and all limits have their old values.
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

/// A created container can be updated.
fn created() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    update(&container, ["--pids-limit", "44"])?.success()?;
    pids(&container, "44")?;
    equal("status", container.status()?, "created")
}

/// The other commands can use the state that update has written.
fn exec_and_delete_still_work() -> Result {
    let container = running()?;
    update(&container, ["--pids-limit", "44"])?.success()?;
    container.exec([], ["true"])?.success()?;
    container.command(["delete", "--force"])?.success()?;
    ensure!(!container.state_dir().exists(), "the state is left");
    container.nothing_left()
}

/// Root may update the container of a user, who can still read the state.
fn record_stays_the_owners() -> Result {
    if !runtime::is("tare") {
        return skip("runc's record becomes root's, crun does not change its own");
    }
    const USER: u32 = 64_321;
    let container = running()?;
    for path in [container.state_dir(), container.state_dir().join("state.json")] {
        chown(path, Some(USER), Some(USER))?;
    }
    update(&container, ["--pids-limit", "44"])?.success()?;
    let record = fs::metadata(container.state_dir().join("state.json"))?;
    equal("owner", (record.uid(), record.gid(), record.mode() & 0o777), (USER, USER, 0o600))
}

/// Skips the test unless the kernel counts swap.
fn counts_swap(container: &Container) -> Result {
    let file = if container.is_v2() { "memory.swap.max" } else { "memory.memsw.limit_in_bytes" };
    if container.cgroup("memory")?.join(file).exists() { Ok(()) } else { skip("this kernel does not count swap") }
}

/// A limit of -1 without a swap limit lifts both. A later limit does not meet an old swap limit.
fn memory_unlimited_lifts_swap_too() -> Result {
    let container = running()?;
    counts_swap(&container)?;
    update(&container, ["--memory", "80M", "--memory-swap", "100M"])?.success()?;
    update(&container, ["--memory", "-1"])?.success()?;
    let unlimited = "9223372036854771712";
    check(&container, "memory", ("memory.limit_in_bytes", unlimited), ("memory.max", "max"))?;
    check(&container, "memory", ("memory.memsw.limit_in_bytes", unlimited), ("memory.swap.max", "max"))?;
    update(&container, ["--memory", "200M"])?.success()?;
    check(&container, "memory", ("memory.limit_in_bytes", "209715200"), ("memory.max", "209715200"))
}

/// With `checkBeforeUpdate` a limit below the current use is refused.
fn memory_below_the_usage_is_refused() -> Result {
    let container = running()?;
    for (json, words) in [
        (r#"{ "memory": { "limit": 4096, "checkBeforeUpdate": true } }"#, "rejecting memory limit 4096 <= usage "),
        (
            r#"{ "memory": { "limit": 4096, "swap": 8192, "checkBeforeUpdate": true } }"#,
            "rejecting memory+swap limit 8192 <= usage ",
        ),
    ] {
        let output = container.call(["update", "-r", "-", &container.id]).stdin(json)?.output()?;
        output.failure()?;
        // On v1 runc leaves the refusal to the kernel, with other words.
        if runtime::is("tare") || container.is_v2() {
            contains("the message", &output.stderr, words)?;
        }
        check(&container, "memory", ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864"))?;
    }
    Ok(())
}

/// `--cpu-rt-runtime` exists on v1 only. It is refused if the parent cgroup has no real-time CPU time.
fn cpu_realtime() -> Result {
    let container = running()?;
    if container.is_v2() || !container.cgroup("cpu")?.join("cpu.rt_period_us").exists() {
        return skip("no realtime limits here");
    }
    // The parent cgroup has none unless it was set there.
    let above = container.cgroup("cpu")?.parent().unwrap_or(Path::new("/")).join("cpu.rt_runtime_us");
    if fs::read_to_string(above)?.trim() == "0" {
        names_field(&update(&container, ["--cpu-rt-runtime", "1000"])?, "linux.resources.cpu.realtimeRuntime")?;
    }
    Ok(())
}

/// Limits of block devices: an entry replaces the one of the same device, entries of other devices stay, and 0 removes
/// an entry.
fn block_io_throttles_are_merged_by_device() -> Result {
    let device = std::os::unix::fs::MetadataExt::dev(&fs::metadata("/")?);
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    if major == 0 {
        return skip("the root file system is on no disk");
    }
    let container = running()?;
    let (controller, file) =
        if container.is_v2() { ("io", "io.max") } else { ("blkio", "blkio.throttle.read_bps_device") };
    if !container.cgroup(controller)?.join(file).exists() {
        return skip(format!("this kernel has no {file}"));
    }
    let device = |rate: u64| json!({ "major": major, "minor": minor, "rate": rate });
    let rate = |name: &str, rate: u64| json!({ "blockIO": { name: [device(rate)] } }).to_string();
    let set = |json: String| -> Result {
        container.call(["update", "-r", "-", &container.id]).stdin(&json)?.output()?.success().map(drop)
    };
    // A device that is listed twice is replaced as one.
    set(json!({ "blockIO": { "throttleReadBpsDevice": [device(485_760), device(485_761)] } }).to_string())?;
    set(rate("throttleReadBpsDevice", 10_485_760))?;
    set(rate("throttleWriteIOPSDevice", 77))?;
    let v2 = format!("{major}:{minor} rbps=10485760 wbps=max riops=max wiops=77");
    check(
        &container,
        controller,
        ("blkio.throttle.read_bps_device", &format!("{major}:{minor} 10485760")),
        ("io.max", &v2),
    )?;
    check(
        &container,
        controller,
        ("blkio.throttle.write_iops_device", &format!("{major}:{minor} 77")),
        ("io.max", &v2),
    )?;
    set(rate("throttleReadBpsDevice", 0))?;
    let v2 = format!("{major}:{minor} rbps=max wbps=max riops=max wiops=77");
    check(&container, controller, ("blkio.throttle.read_bps_device", ""), ("io.max", &v2))?;
    check(&container, controller, ("blkio.throttle.write_iops_device", &format!("{major}:{minor} 77")), ("io.max", &v2))
}

/// `unified` in JSON adds to the entries of earlier updates.
fn unified_in_the_unified_view() -> Result {
    let container = Bundle::new(["pause"]).view(View::Unified).start()?;
    if !container.cgroup("hugetlb")?.join("hugetlb.2MB.max").exists() {
        return skip("there is no hugetlb controller");
    }
    for (json, wanted) in [
        (r#"{ "unified": { "hugetlb.2MB.max": "6291456" } }"#, "6291456"),
        (r#"{ "unified": { "hugetlb.2MB.rsvd.max": "6291456" } }"#, "6291456"),
        (r#"{ "unified": { "hugetlb.2MB.max": "max" } }"#, "max"),
    ] {
        container.call(["update", "-r", "-", &container.id]).stdin(json)?.output()?.success()?;
        equal("hugetlb.2MB.max", container.cgroup_file("hugetlb", "hugetlb.2MB.max")?.as_str(), wanted)?;
    }
    let json = r#"{ "unified": { "nosuch.max": "1" } }"#;
    let output = container.call(["update", "-r", "-", &container.id]).stdin(json)?.output()?;
    output.fails_with("nosuch").map(drop)
}

/// Updates accumulate: each one starts from the result of the one before.
fn updates_add_up() -> Result {
    let container = running()?;
    update(&container, ["--cpu-period", "50000"])?.success()?;
    update(&container, ["--cpu-quota", "20000"])?.success()?;
    update(&container, ["--cpu-burst", "10000"])?.success()?;
    check(&container, "cpu", ("cpu.cfs_period_us", "50000"), ("cpu.max", "20000 50000"))?;
    check(&container, "cpu", ("cpu.cfs_quota_us", "20000"), ("cpu.max", "20000 50000"))?;
    counts_swap(&container)?;
    update(&container, ["--memory", "80M", "--memory-swap", "90M"])?.success()?;
    // More than both were before; swap keeps its value.
    update(&container, ["--memory", "85M"])?.success()?;
    check(&container, "memory", ("memory.limit_in_bytes", "89128960"), ("memory.max", "89128960"))?;
    names_field(&update(&container, ["--memory", "95M"])?, "linux.resources.memory.swap")?;
    pids(&container, "50")
}

/// An idle cgroup has no shares. When it is no longer idle, it has its old shares.
fn idle_and_shares() -> Result {
    let container = running()?;
    if !container.cgroup("cpu")?.join("cpu.idle").exists() {
        return skip("this kernel has no cpu.idle");
    }
    update(&container, ["--cpu-share", "2048"])?.success()?;
    update(&container, ["--cpu-idle", "1"])?.success()?;
    check(&container, "cpu", ("cpu.idle", "1"), ("cpu.idle", "1"))?;
    update(&container, ["--cpu-quota", "60000"])?.success()?;
    update(&container, ["--cpu-idle", "0"])?.success()?;
    check(&container, "cpu", ("cpu.shares", "2048"), ("cpu.weight", "174"))
}

/// If one limit is refused, the limits that the same update set before it have their old values, and the next update
/// starts from those.
fn failure_restores_what_was_set_before_it() -> Result {
    let container = running()?;
    let json = r#"{ "memory": { "limit": 83886080, "reservation": 20971520 },
        "pids": { "limit": 7 }, "cpu": { "shares": 333, "quota": 70000, "cpus": "4000" } }"#;
    let output = container.call(["update", "-r", "-", &container.id]).stdin(json)?.output()?;
    names_field(&output, "linux.resources.cpu.cpus")?;
    pids(&container, "50")?;
    check(&container, "memory", ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864"))?;
    check(&container, "cpu", ("cpu.cfs_quota_us", "50000"), ("cpu.max", "50000 100000"))?;
    check(&container, "cpu", ("cpu.shares", "1024"), ("cpu.weight", "100"))?;
    check(&container, "memory", ("memory.soft_limit_in_bytes", "9223372036854771712"), ("memory.low", "0"))?;
    update(&container, ["--pids-limit", "51"])?.success()?;
    check(&container, "memory", ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864"))
}

/// Kernels have one limit for all memory: options for a part of it are ignored with a warning.
fn kernel_memory_is_ignored_with_a_warning() -> Result {
    let container = running()?;
    for option in ["--kernel-memory", "--kernel-memory-tcp"] {
        let output = update(&container, [option, "50M"])?;
        contains("the warning", &output.success()?.stderr, "Kernel memory settings are ignored and will be removed")?;
    }
    check(&container, "memory", ("memory.limit_in_bytes", "67108864"), ("memory.max", "67108864"))
}

/// Schemata can be changed only if the container had some at create (runc 1.4).
fn rdt_without_a_configuration() -> Result {
    let container = running()?;
    for option in ["--l3-cache-schema", "--mem-bw-schema"] {
        let output = update(&container, [option, "L3:0=f"])?;
        output.failure()?;
        if runtime::is("tare") {
            contains("message", &output.stderr, "updating a non-existent Intel RDT configuration is not supported")?;
        }
    }
    Ok(())
}

/// A bad value is an error of one line that names the option, and nothing is changed.
fn bad_values_name_the_option() -> Result {
    let container = running()?;
    for (option, value) in [
        ("--memory", "much"),
        ("--memory", "-5"),
        ("--memory-swap", "5X"),
        ("--memory-reservation", "K"),
        ("--cpu-share", "x"),
        ("--cpu-period", "-1"),
        ("--cpu-quota", "1.5"),
        ("--cpu-burst", "x"),
        ("--cpu-rt-period", "x"),
        ("--cpu-rt-runtime", "x"),
        ("--cpu-idle", "yes"),
        ("--pids-limit", "x"),
        ("--blkio-weight", "x"),
    ] {
        let output = update(&container, [option, value])?;
        equal("exit code", output.code()?, 1)?;
        contains("message", &output.failure()?.stderr, option.trim_start_matches('-'))?;
    }
    pids(&container, "50")
}

/// A document that holds no limits is refused, from a file and from standard input.
fn bad_documents_are_refused() -> Result {
    let container = running()?;
    for json in [r#"{"cpu":3"#, "[]", "3", r#"{"cpu":{"shares":"x"}}"#, r#"{"pids":[]}"#, ""] {
        let output = container.call(["update", "-r", "-", &container.id]).stdin(json)?.output()?;
        equal("exit code", output.code()?, 1)?;
        output.failure()?;
    }
    update(&container, ["-r", "/nosuch/file"])?.fails_with("no such file or directory")?;
    pids(&container, "50")
}
