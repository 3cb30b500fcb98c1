//! `events`: statistics and OOM kills, in runc's JSON.

use crate::harness::runtime;
use crate::harness::*;
use anyhow::{Context, ensure};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

tests![
    statistics_are_one_line,
    statistics_have_these_keys,
    statistics_have_these_keys_in_the_unified_view,
    limits_and_use_are_those_of_the_kernel,
    cpuset_is_that_of_the_kernel,
    cpu_time_is_counted,
    throttling_is_counted,
    huge_pages_are_counted,
    created_and_paused_have_statistics,
    intervals,
    ends_with_the_container,
    ends_with_the_container_in_the_unified_view,
    ends_with_its_reader,
    ends_with_its_reader_while_it_waits,
    want_of_memory,
    stopped,
    unknown_container,
    interval_must_be_a_time,
];

/// Starts a container with one limit of each common kind.
fn running(view: View) -> Result<Container> {
    let bundle = Bundle::new(["pause"]).view(view);
    let bundle = match view {
        View::Machine => bundle.set(
            "/linux/resources",
            json!({
                "pids": { "limit": 50 },
                "memory": { "limit": 67_108_864 },
                "cpu": { "quota": 50_000, "period": 100_000 },
            }),
        ),
        View::Unified => bundle,
    };
    bundle.start()
}

fn statistics(container: &Container) -> Result<Value> {
    let output = container.command(["events", "--stats"])?;
    let event: Value = serde_json::from_str(&output.success()?.stdout).with_context(|| format!("{output}"))?;
    equal("type", &event["type"], &json!("stats"))?;
    equal("id", &event["id"], &json!(container.id))?;
    Ok(event["data"].clone())
}

/// Statistics are one JSON object on one line. Engines match its first bytes as text.
fn statistics_are_one_line() -> Result {
    let container = running(View::Machine)?;
    let output = container.command(["events", "--stats"])?;
    let text = &output.success()?.stdout;
    let start = format!("{{\"type\":\"stats\",\"id\":\"{}\",\"data\":{{", container.id);
    ensure!(text.starts_with(&start), "{text}");
    ensure!(text.ends_with("}\n") && text.lines().count() == 1, "{text}");
    equal("errors", output.stderr.as_str(), "")
}

/// All keys, as paths. The keys below `memory.raw` are the kernel's and are left out.
fn keys(data: &Value) -> BTreeSet<String> {
    fn walk(place: &str, value: &Value, found: &mut BTreeSet<String>) {
        for (key, value) in value.as_object().into_iter().flatten() {
            let inner = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
            if !["memory.raw", "hugetlb"].contains(&inner.as_str()) {
                walk(&inner, value, found);
            }
            found.insert(inner);
        }
    }
    let mut found = BTreeSet::new();
    walk("", data, &mut found);
    found
}

/// The keys that runc always prints, whatever their values.
const ALWAYS: &str = "cpu cpu.usage cpu.usage.kernel cpu.usage.user cpu.throttling cpuset cpuset.cpu_exclusive \
    cpuset.mem_hardwall cpuset.mem_exclusive cpuset.memory_migrate cpuset.memory_spread_page \
    cpuset.memory_spread_slab cpuset.memory_pressure cpuset.sched_load_balance cpuset.sched_relax_domain_level memory \
    memory.usage memory.usage.limit memory.usage.failcnt memory.swap memory.swap.limit memory.swap.failcnt \
    memory.kernel memory.kernel.limit memory.kernel.failcnt memory.kernelTCP memory.kernelTCP.limit \
    memory.kernelTCP.failcnt pids blkio hugetlb intel_rdt network_interfaces";

/// The keys that runc leaves out if the value is 0 or unknown.
const SOMETIMES: &str = "cpu.usage.total cpu.usage.percpu cpu.usage.percpu_kernel cpu.usage.percpu_user \
    cpu.throttling.periods cpu.throttling.throttledPeriods cpu.throttling.throttledTime cpuset.cpus cpuset.mems \
    memory.cache memory.raw memory.usage.usage memory.usage.max memory.swap.usage memory.swap.max \
    memory.kernel.usage memory.kernel.max memory.kernelTCP.usage memory.kernelTCP.max pids.current pids.limit \
    blkio.ioServiceBytesRecursive blkio.ioServicedRecursive blkio.ioQueueRecursive blkio.ioServiceTimeRecursive \
    blkio.ioWaitTimeRecursive blkio.ioMergedRecursive blkio.ioTimeRecursive blkio.sectorsRecursive";

/// The keys of pressure stall information, on v2.
const PRESSURE: [&str; 3] = ["cpu.psi", "memory.psi", "blkio.psi"];

fn known_keys(data: &Value) -> Result {
    let found = keys(data);
    for key in ALWAYS.split_whitespace() {
        ensure!(found.contains(key), "{key} is missing in {data}");
    }
    let mut known: BTreeSet<String> =
        ALWAYS.split_whitespace().chain(SOMETIMES.split_whitespace()).map(str::to_owned).collect();
    for place in PRESSURE {
        known.insert(place.to_owned());
        for kind in ["some", "full"] {
            known.insert(format!("{place}.{kind}"));
            known.extend(["avg10", "avg60", "avg300", "total"].map(|value| format!("{place}.{kind}.{value}")));
        }
    }
    let unknown: Vec<_> = found.difference(&known).collect();
    ensure!(unknown.is_empty(), "unknown keys {unknown:?} in {data}");
    equal("network_interfaces", &data["network_interfaces"], &Value::Null)
}

/// The keys are runc's; on v1 without those that only v2 has.
fn statistics_have_these_keys() -> Result {
    let container = running(View::Machine)?;
    let data = statistics(&container)?;
    known_keys(&data)?;
    if container.is_v2() {
        return Ok(());
    }
    let found = keys(&data);
    for key in ["cpu.usage.percpu", "cpu.usage.percpu_kernel", "cpu.usage.percpu_user", "memory.raw"] {
        ensure!(found.contains(key), "{key} is missing in {data}");
    }
    container.cgroup("cpuset")?;
    ensure!(found.contains("cpuset.cpus"), "cpuset.cpus is missing in {data}");
    equal("sched_relax_domain_level", &data["cpuset"]["sched_relax_domain_level"], &json!(-1))?;
    equal("sched_load_balance", &data["cpuset"]["sched_load_balance"], &json!(1))
}

/// The keys on v2, with those of pressure if the kernel measures it.
fn statistics_have_these_keys_in_the_unified_view() -> Result {
    let container = running(View::Unified)?;
    let data = statistics(&container)?;
    known_keys(&data)?;
    let cgroup = container.cgroup("")?;
    for (file, section) in [("cpu.pressure", "cpu"), ("memory.pressure", "memory"), ("io.pressure", "blkio")] {
        let measured = std::fs::read_to_string(cgroup.join(file)).is_ok();
        equal(file, data[section]["psi"]["some"]["total"].is_u64(), measured)?;
    }
    Ok(())
}

/// Limits, and numbers that do not change between two reads, are those of the kernel.
fn limits_and_use_are_those_of_the_kernel() -> Result {
    let container = running(View::Machine)?;
    let data = statistics(&container)?;
    equal("pids", &data["pids"], &json!({ "current": 1, "limit": 50 }))?;
    equal("memory limit", &data["memory"]["usage"]["limit"], &json!(67_108_864))?;
    let (file, stat) = if container.is_v2() { ("memory.current", "file") } else { ("memory.usage_in_bytes", "cache") };
    let usage: u64 = container.cgroup_file("memory", file)?.parse()?;
    let seen = data["memory"]["usage"]["usage"].as_u64().context("memory.usage.usage")?;
    // The kernel counts memory in batches for each CPU.
    ensure!(usage.abs_diff(seen) < 4 << 20, "memory usage {usage}, but {seen}");
    equal("cache", data["memory"]["cache"].as_u64().unwrap_or(0), data["memory"]["raw"][stat].as_u64().unwrap_or(0))?;
    Ok(())
}

/// The statistics of the cpuset are those of the kernel. v2 has none.
fn cpuset_is_that_of_the_kernel() -> Result {
    let container = running(View::Machine)?;
    if container.is_v2() {
        return skip("only v1 has statistics of a cpuset");
    }
    container.cgroup("cpuset")?;
    container.call(["update", "--cpuset-cpus", "0", &container.id]).output()?.success()?;
    let cpuset = &statistics(&container)?["cpuset"];
    equal("cpus", &cpuset["cpus"], &json!([0]))?;
    equal("mems", &cpuset["mems"][0], &json!(0))
}

/// CPU time is counted in nanoseconds.
fn cpu_time_is_counted() -> Result {
    let container = Bundle::new(["count", "/number"]).start()?;
    let total = || -> Result<u64> { Ok(statistics(&container)?["cpu"]["usage"]["total"].as_u64().unwrap_or(0)) };
    eventually("50 ms of CPU time", || Ok(total()? > 50_000_000))?;
    let file = if container.is_v2() { ("cpu", "cpu.stat") } else { ("cpuacct", "cpuacct.usage") };
    let text = container.cgroup_file(file.0, file.1)?;
    let kernel = match text.strip_prefix("usage_usec ") {
        Some(rest) => rest.lines().next().unwrap_or_default().parse::<u64>()? * 1000,
        None => text.parse::<u64>()?,
    };
    ensure!(total()? >= kernel, "less CPU time than the kernel counted before");
    Ok(())
}

/// A program that needs more than its quota is throttled, and the statistics count it. The quota slows down the start
/// of the container as well, so it must be large enough for a slow machine.
fn throttling_is_counted() -> Result {
    let quota = json!({ "quota": 20_000, "period": 100_000 });
    let container = Bundle::new(["work"]).set("/linux/resources/cpu", quota).start()?;
    eventually("throttling", || {
        let throttling = statistics(&container)?["cpu"]["throttling"].clone();
        let number = |key: &str| throttling[key].as_u64().unwrap_or(0);
        Ok(number("periods") > 0 && number("throttledPeriods") > 0 && number("throttledTime") > 0)
    })
}

/// There are statistics for each size of huge pages that the cgroup controls.
fn huge_pages_are_counted() -> Result {
    let container = running(View::Unified)?;
    if !container.cgroup("hugetlb")?.join("hugetlb.2MB.current").exists() {
        return skip("the v2 hierarchy has no hugetlb controller");
    }
    equal("2MB", &statistics(&container)?["hugetlb"]["2MB"], &json!({ "failcnt": 0 }))
}

/// A created container and a paused one have statistics, too.
fn created_and_paused_have_statistics() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    known_keys(&statistics(&container)?)?;
    container.start()?;
    container.command(["pause"])?.success()?;
    known_keys(&statistics(&container)?)?;
    equal("status", container.status()?, "paused")
}

fn follow(container: &Container, interval: &str) -> Result<Running> {
    container.call(["events", "--interval", interval, &container.id]).spawn()
}

fn lines(running: &mut Running) -> Result<Vec<Value>> {
    let text = running.stdout()?;
    let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
    complete.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// `--interval` prints a line each time, the first one after the first interval.
fn intervals() -> Result {
    let container = running(View::Machine)?;
    let mut often = follow(&container, "20ms")?;
    let mut seldom = follow(&container, "1h")?;
    eventually("three lines", || Ok(lines(&mut often)?.len() >= 3))?;
    for line in lines(&mut often)? {
        equal("type", &line["type"], &json!("stats"))?;
        known_keys(&line["data"])?;
    }
    equal("lines", lines(&mut seldom)?.len(), 0)
}

fn ends_with(view: View) -> Result {
    let container = running(view)?;
    let waiting = follow(&container, "1h")?;
    let mut often = follow(&container, "20ms")?;
    eventually("a line", || Ok(!lines(&mut often)?.is_empty()))?;
    container.stop()?;
    if !runtime::is("tare") {
        // On v1 runc waits until the cgroup is removed.
        container.command(["delete"])?.success()?;
    }
    waiting.wait()?.success()?;
    often.wait()?.success().map(drop)
}

/// `events` ends with the container, at once and with success.
fn ends_with_the_container() -> Result {
    ends_with(View::Machine)
}

/// The same on v2, with or without a memory controller.
fn ends_with_the_container_in_the_unified_view() -> Result {
    ends_with(View::Unified)
}

fn into_a_pipe(container: &Container, interval: &str) -> Result<(Running, BufReader<File>)> {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let call = container.call(["events", "--interval", interval, &container.id]);
    Ok((call.inherit(writer.into(), 1)?.spawn()?, BufReader::new(reader.into())))
}

/// If the reader closes its end of the pipe, `events` ends, and that is no error.
fn ends_with_its_reader() -> Result {
    let container = running(View::Machine)?;
    let (running, mut reader) = into_a_pipe(&container, "20ms")?;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    contains("the line", &line, "\"type\":\"stats\"")?;
    drop(reader);
    let output = running.wait()?;
    ensure!(output.stderr.is_empty(), "{output}");
    if runtime::is("tare") {
        output.success()?;
    }
    Ok(())
}

/// The same while `events` waits for the next interval.
fn ends_with_its_reader_while_it_waits() -> Result {
    let container = running(View::Machine)?;
    let (running, reader) = into_a_pipe(&container, "1h")?;
    drop(reader);
    running.wait()?.success().map(drop)
}

/// An OOM kill is reported as `{"type":"oom","id":"X"}`, also if it is the last event of the container.
fn want_of_memory() -> Result {
    let bundle = Bundle::new(["trap", "USR1", ",", "alloc", "200"]);
    let container =
        bundle.set("/linux/resources/memory", json!({ "limit": 33_554_432, "swap": 33_554_432 })).start()?;
    container.cgroup("memory")?;
    container.wait_output("ready")?;
    let mut events = follow(&container, "20ms")?;
    // `events` prints statistics only after it has begun to listen for OOM kills.
    eventually("a line", || Ok(!lines(&mut events)?.is_empty()))?;
    container.kill("USR1")?.success()?;
    container.wait_status("stopped")?;
    let wanted = json!({ "type": "oom", "id": container.id });
    eventually("the event", || Ok(lines(&mut events)?.contains(&wanted)))?;
    contains("the line", &events.stdout()?, &format!("{{\"type\":\"oom\",\"id\":\"{}\"}}\n", container.id))?;
    container.command(["delete"])?.success()?;
    events.wait()?.success().map(drop)
}

/// A stopped container has no statistics.
fn stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    let words = format!("container with id {} is not running", container.id);
    container.command(["events"])?.fails_with(&words)?;
    container.command(["events", "--stats"])?.fails_with(&words).map(drop)
}

/// An unknown container has no statistics, either.
fn unknown_container() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.command(["events", "--stats"])?.fails_with("does not exist").map(drop)
}

/// `--interval` is a duration in Go's syntax, and greater than 0.
fn interval_must_be_a_time() -> Result {
    let container = running(View::Machine)?;
    for interval in ["0", "0s", "-5s"] {
        let output = container.call(["events", "--interval", interval, &container.id]).output()?;
        output.fails_with("duration interval must be greater than 0")?;
    }
    for interval in ["5", "x", "1d", "5s5"] {
        let output = container.call(["events", "--interval", interval, &container.id]).output()?;
        equal("exit code", output.code()?, 1)?;
        contains("message", &output.stderr, "for flag -interval")?;
    }
    ensure!(Path::new("/proc").join(container.pid()?.to_string()).exists(), "the container has ended");
    Ok(())
}
