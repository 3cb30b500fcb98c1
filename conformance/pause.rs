//! `pause` and `resume`.

use crate::harness::*;
use anyhow::ensure;
use std::time::Duration;

tests![
    pause_stops_the_processes,
    pause_stops_the_processes_in_the_unified_view,
    pause_created,
    pause_stopped,
    pause_twice,
    pause_unknown,
    resume_running,
    resume_stopped,
    kill_paused,
    kill_paused_in_the_unified_view,
    delete_paused_is_refused,
    delete_forced_paused,
    exec_in_paused_is_refused,
    exec_in_paused_when_told_to,
    state_stays_readable,
    is_silent,
    start_paused,
    resume_twice,
];

fn counting(view: View) -> Result<Container> {
    let container = Bundle::new(["count", "/number"]).view(view).start()?;
    eventually("counting", || Ok(count(&container) > 0))?;
    Ok(container)
}

fn count(container: &Container) -> u64 {
    container.read("number").ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn stands_still(container: &Container) -> Result {
    let before = container.read("number")?;
    std::thread::sleep(Duration::from_millis(60));
    equal("number", container.read("number")?, before)
}

fn pause_and_resume(view: View) -> Result {
    let container = counting(view)?;
    container.command(["pause"])?.success()?;
    equal("status", container.status()?, "paused")?;
    stands_still(&container)?;
    container.command(["resume"])?.success()?;
    equal("status", container.status()?, "running")?;
    let before = count(&container);
    eventually("counting on", || Ok(count(&container) > before))
}

/// `pause` stops all processes of the container, `resume` continues them, and the state shows it.
fn pause_stops_the_processes() -> Result {
    pause_and_resume(View::Machine)
}

/// The same with the freezer of v2.
fn pause_stops_the_processes_in_the_unified_view() -> Result {
    pause_and_resume(View::Unified)
}

/// A created container can be paused. After `resume` it is created again.
fn pause_created() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.command(["pause"])?.success()?;
    equal("status", container.status()?, "paused")?;
    container.command(["resume"])?.success()?;
    equal("status", container.status()?, "created")
}

/// A stopped container cannot be paused.
fn pause_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.command(["pause"])?.fails_with("container not running").map(drop)
}

/// A paused container cannot be paused again: it is not running.
fn pause_twice() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["pause"])?.success()?;
    container.command(["pause"])?.failure()?;
    equal("status", container.status()?, "paused")
}

/// An unknown container is an error of both commands.
fn pause_unknown() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.command(["pause"])?.fails_with("does not exist")?;
    container.command(["resume"])?.fails_with("does not exist").map(drop)
}

/// A running container cannot be resumed.
fn resume_running() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["resume"])?.fails_with("container not paused")?;
    equal("status", container.status()?, "running")
}

/// A stopped container cannot be resumed.
fn resume_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.command(["resume"])?.failure().map(drop)
}

fn kills_paused(view: View) -> Result {
    let container = counting(view)?;
    container.command(["pause"])?.success()?;
    container.kill("KILL")?.success()?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// SIGKILL ends a paused container at once, without a `resume`.
fn kill_paused() -> Result {
    kills_paused(View::Machine)
}

/// The same on v2.
fn kill_paused_in_the_unified_view() -> Result {
    kills_paused(View::Unified)
}

/// A paused container is not stopped: delete without `--force` refuses it.
fn delete_paused_is_refused() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["pause"])?.success()?;
    container.command(["delete"])?.failure()?;
    equal("status", container.status()?, "paused")
}

/// `delete --force` of a paused container does not hang.
fn delete_forced_paused() -> Result {
    for view in [View::Machine, View::Unified] {
        let container = Bundle::new(["pause"]).view(view).start()?;
        container.command(["pause"])?.success()?;
        container.command(["delete", "--force"])?.success()?;
        container.nothing_left()?;
    }
    Ok(())
}

/// exec in a paused container would hang: it is refused, and the message names `--ignore-paused`.
fn exec_in_paused_is_refused() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["pause"])?.success()?;
    container.exec([], ["true"])?.fails_with("paused")?;
    equal("status", container.status()?, "paused")
}

/// exec with `--ignore-paused` waits until the container is resumed.
fn exec_in_paused_when_told_to() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["pause"])?.success()?;
    let mut running = container.exec_call(["--ignore-paused"], ["echo", "at last"]).spawn()?;
    std::thread::sleep(Duration::from_millis(100));
    ensure!(running.stdout()?.is_empty(), "the program ran in a paused container");
    container.command(["resume"])?.success()?;
    equal("output", &*running.wait()?.success()?.stdout, "at last\n")
}

/// state, list and ps work on a paused container.
fn state_stays_readable() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let pid = container.pid()?;
    container.command(["pause"])?.success()?;
    equal("pid", container.pid()?, pid)?;
    contains("list", &container.call(["list"]).output()?.success()?.stdout, "paused")?;
    contains("ps", &container.command(["ps", "-f", "json"])?.success()?.stdout, &pid.to_string())
}

/// A command that succeeds prints nothing.
fn is_silent() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    for verb in ["pause", "resume"] {
        let output = container.command([verb])?;
        equal("output", format!("{}{}", output.success()?.stdout, output.stderr), "")?;
    }
    Ok(())
}

/// A paused container cannot be started before it is resumed.
fn start_paused() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.command(["pause"])?.success()?;
    container.command(["start"])?.fails_with("cannot start a container in the paused state")?;
    container.command(["resume"])?.success()?;
    container.start()
}

/// `resume` of a container that is not paused fails with the words that engines match.
fn resume_twice() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["pause"])?.success()?;
    container.command(["pause"])?.fails_with("container not running")?;
    container.command(["resume"])?.success()?;
    container.command(["resume"])?.fails_with("container not paused").map(drop)
}
