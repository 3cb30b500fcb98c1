//! Nothing is left behind: after many cycles, after commands that were killed, after races.

use crate::harness::*;
use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

tests![
    many_cycles,
    many_cycles_in_the_unified_view,
    killed_create_can_be_deleted,
    killed_create_can_be_deleted_in_the_unified_view,
    killed_start_can_be_deleted,
    killed_run_can_be_deleted,
    killed_exec_leaves_the_container_usable,
    deletes_in_parallel,
    failed_creates,
    no_process_of_the_runtime_stays,
    descriptors_of_the_host_do_not_leak,
    mounts_of_the_caller_stay,
];

/// A random moment during a create, from the low digits of the clock.
fn moment(limit_micros: u32) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    Duration::from_micros(u64::from(now / 7 % limit_micros))
}

fn cycles(view: View) -> Result {
    let container = Bundle::new(["true"]).view(view).namespace("network").build()?;
    for turn in 0..15 {
        container.create()?.success().with_context(|| format!("turn {turn}"))?;
        container.start()?;
        container.wait_status("stopped")?;
        container.command(["delete"])?.success()?;
        container.nothing_left()?;
    }
    Ok(())
}

/// Create, start, end and delete, many times: no state, cgroup, process or mount is left.
fn many_cycles() -> Result {
    cycles(View::Machine)
}

/// The same on v2.
fn many_cycles_in_the_unified_view() -> Result {
    cycles(View::Unified)
}

fn kills_create(view: View) -> Result {
    for turn in 0..20 {
        let container = Bundle::new(["pause"]).view(view).build()?;
        let running = container.launch(["create"]).spawn()?;
        let wait = moment(30_000);
        std::thread::sleep(wait);
        running.signal(Signal::SIGKILL)?;
        drop(running);
        let what = || format!("turn {turn}, create killed after {wait:?}");
        container.command(["delete", "--force"])?.success().with_context(what)?;
        container.nothing_left().with_context(what)?;
    }
    Ok(())
}

/// A create that is killed at any point leaves only what `delete --force` removes.
fn killed_create_can_be_deleted() -> Result {
    kills_create(View::Machine)
}

/// The same on v2.
fn killed_create_can_be_deleted_in_the_unified_view() -> Result {
    kills_create(View::Unified)
}

/// A start that is killed leaves a container that can be deleted.
fn killed_start_can_be_deleted() -> Result {
    for turn in 0..10 {
        let container = Bundle::new(["pause"]).create()?;
        let running = container.call(["start", &container.id]).spawn()?;
        std::thread::sleep(moment(8_000));
        running.signal(Signal::SIGKILL)?;
        drop(running);
        container.command(["delete", "--force"])?.success().with_context(|| format!("turn {turn}"))?;
        container.nothing_left()?;
    }
    Ok(())
}

/// If a foreground run is killed, its container stays and is known by its id.
fn killed_run_can_be_deleted() -> Result {
    let container = Bundle::new(["echo", "up", ",", "pause"]).build()?;
    let running = container.spawn_run()?;
    container.wait_output("up")?;
    running.signal(Signal::SIGKILL)?;
    drop(running);
    equal("status", container.status()?, "running")?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// An exec that is killed does not harm the container.
fn killed_exec_leaves_the_container_usable() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    for _ in 0..10 {
        let running = container.exec_call([], ["pause"]).spawn()?;
        std::thread::sleep(moment(15_000));
        running.signal(Signal::SIGKILL)?;
    }
    equal("status", container.status()?, "running")?;
    container.exec([], ["true"])?.success()?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// After forced deletes that race, the container is gone.
fn deletes_in_parallel() -> Result {
    let container = Bundle::new(["fork", "2", ",", "pause"]).start()?;
    let calls = (0..4).map(|_| container.call(["delete", "--force", &container.id]).spawn());
    let calls = calls.collect::<Result<Vec<_>>>()?;
    let outputs = calls.into_iter().map(Running::wait).collect::<Result<Vec<_>>>()?;
    ensure!(outputs.iter().any(|output| output.status.success()), "{outputs:#?}");
    container.nothing_left()
}

/// Creates that fail at different steps leave nothing, however often.
fn failed_creates() -> Result {
    for _ in 0..3 {
        Bundle::new(["true"]).set("/process/cwd", "relative").refused("process.cwd")?;
        Bundle::new(["true"]).join("network", "/nosuch").refused("linux.namespaces[4]")?;
        let entry = json!({ "destination": "/mnt", "type": "nosuchfs", "source": "none" });
        Bundle::new(["true"]).mount(entry).refused("mounts[2]")?;
        Bundle::new([]).set("/process/args", json!(["/nosuch"])).refused("process.args")?;
    }
    Ok(())
}

/// After create there is one process, which is the container's own. After start there is one, the program.
fn no_process_of_the_runtime_stays() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("after create", container.processes(), [container.pid()?])?;
    container.start()?;
    eventually("the program alone", || Ok(container.processes() == [container.pid()?]))
}

/// The process that waits for start has no directory of the host open (CVE-2024-21626).
fn descriptors_of_the_host_do_not_leak() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    eventually("the program", || Ok(fs::read_link(format!("/proc/{}/exe", container.pid()?))?.ends_with("payload")))?;
    let descriptors = fs::read_dir(format!("/proc/{}/fd", container.pid()?))?;
    let targets: Vec<_> = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    equal("descriptors", targets.len(), 3)?;
    ensure!(targets.iter().all(|target| !target.is_dir()), "{targets:?}");
    Ok(())
}

/// While the container runs, the caller sees no new mounts.
fn mounts_of_the_caller_stay() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let table = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let mine = table.lines().filter(|line| line.contains(&*container.aside("").to_string_lossy())).count();
    equal("mounts below the bundle", mine, 0)
}
