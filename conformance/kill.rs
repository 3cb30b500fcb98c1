//! `kill`: signals to the first process, or to all.

use crate::harness::*;
use anyhow::Context;

tests![
    default_is_term,
    by_name_and_number,
    any_case,
    zero_asks_only,
    unknown_signal,
    created,
    stopped,
    all_of_stopped_is_no_error,
    unknown,
    reaches_all_when_pids_are_shared,
    term_ends_a_created_container,
];

/// Kill without a signal sends SIGTERM.
fn default_is_term() -> Result {
    let container = Bundle::new(["trap", "TERM"]).start()?;
    container.wait_output("ready")?;
    container.command(["kill"])?.success()?;
    container.wait_output("got SIGTERM")
}

/// Kill MUST send the signal that was named, as `NAME`, `SIGNAME` or number, to the container's process.
fn by_name_and_number() -> Result {
    for signal in ["USR1", "SIGUSR1", "10"] {
        let container = Bundle::new(["trap", "USR1"]).start()?;
        container.wait_output("ready")?;
        container.kill(signal)?.success()?;
        container.wait_output("got SIGUSR1").with_context(|| format!("kill {signal}"))?;
    }
    Ok(())
}

/// Signals are named in any case.
fn any_case() -> Result {
    for signal in ["hup", "sigHup"] {
        let container = Bundle::new(["trap", "HUP"]).start()?;
        container.wait_output("ready")?;
        container.kill(signal)?.success()?;
        container.wait_output("got SIGHUP").with_context(|| format!("kill {signal}"))?;
    }
    Ok(())
}

/// Signal 0 asks whether the process is there and does nothing to it.
fn zero_asks_only() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.kill("0")?.success()?;
    equal("status", container.status()?, "running")?;
    container.stop()?;
    container.kill("0")?.failure().map(drop)
}

/// A word that is no signal is an error and sends nothing.
fn unknown_signal() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.kill("NOSUCH")?.fails_with("unknown signal")?;
    equal("status", container.status()?, "running")
}

/// Kill works on a container that is created and not started.
fn created() -> Result {
    let container = Bundle::new(["echo", "ran"]).create()?;
    container.stop()?;
    equal("output", container.output()?, "")
}

/// Kill of a container that is neither created nor running MUST be an error; containerd and CRI-O match the words.
fn stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    let output = container.kill("TERM")?;
    output.fails_with("container not running")?;
    equal("exit code", output.code()?, 1)
}

/// `--all` is hidden now and only makes "not running" no error: engines send it while a container goes away.
fn all_of_stopped_is_no_error() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.call(["kill", "--all", &container.id, "KILL"]).output()?.success().map(drop)
}

/// Kill of what does not exist MUST be an error.
fn unknown() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.kill("KILL")?.fails_with("does not exist").map(drop)
}

/// With the host's pid namespace nothing but the cgroup tells what belongs to the container: SIGKILL reaches all of it.
fn reaches_all_when_pids_are_shared() -> Result {
    let container = Bundle::new(["fork", "3", ",", "pause"]).without_namespace("pid").start()?;
    container.wait_output("forked: 3")?;
    equal("processes", container.processes().len(), 4)?;
    container.kill("KILL")?.success()?;
    eventually("the end of all four", || Ok(container.processes().is_empty()))?;
    container.wait_status("stopped")
}

/// Waiting for start, a container ends by the signals that end any process.
fn term_ends_a_created_container() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.kill("TERM")?.success()?;
    container.wait_status("stopped")
}
