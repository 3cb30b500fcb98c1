//! `kill`: signals to the first process, or to all processes.

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
    other_signals_are_for_the_first_process_alone,
    ends_survivors_of_a_stopped_container,
    ends_survivors_of_a_stopped_container_in_the_unified_view,
    all_of_unknown,
    option_after_the_signal,
    number_that_is_no_signal,
    real_time_signal,
    is_silent,
    number_of_arguments,
];

/// `kill` without a signal sends SIGTERM.
fn default_is_term() -> Result {
    let container = Bundle::new(["trap", "TERM"]).start()?;
    container.wait_output("ready")?;
    container.command(["kill"])?.success()?;
    container.wait_output("got SIGTERM")
}

/// `kill` MUST send the given signal, as `NAME`, `SIGNAME` or number, to the container's process.
fn by_name_and_number() -> Result {
    for signal in ["USR1", "SIGUSR1", "10"] {
        let container = Bundle::new(["trap", "USR1"]).start()?;
        container.wait_output("ready")?;
        container.kill(signal)?.success()?;
        container.wait_output("got SIGUSR1").with_context(|| format!("kill {signal}"))?;
    }
    Ok(())
}

/// The case of a signal's name does not matter.
fn any_case() -> Result {
    for signal in ["hup", "sigHup"] {
        let container = Bundle::new(["trap", "HUP"]).start()?;
        container.wait_output("ready")?;
        container.kill(signal)?.success()?;
        container.wait_output("got SIGHUP").with_context(|| format!("kill {signal}"))?;
    }
    Ok(())
}

/// Signal 0 only checks whether the process exists.
fn zero_asks_only() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.kill("0")?.success()?;
    equal("status", container.status()?, "running")?;
    container.stop()?;
    container.kill("0")?.failure().map(drop)
}

/// A word that is no signal is an error, and no signal is sent.
fn unknown_signal() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.kill("NOSUCH")?.fails_with("unknown signal")?;
    equal("status", container.status()?, "running")
}

/// `kill` works on a container that is created and not started.
fn created() -> Result {
    let container = Bundle::new(["echo", "ran"]).create()?;
    container.stop()?;
    equal("output", container.output()?, "")
}

/// `kill` of a container that is neither created nor running MUST be an error. containerd and CRI-O match the message.
fn stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    let output = container.kill("TERM")?;
    output.fails_with("container not running")?;
    equal("exit code", output.code()?, 1)
}

/// `--all` is hidden now. Its only effect is that "not running" is no error: engines use it while a container ends.
fn all_of_stopped_is_no_error() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.call(["kill", "--all", &container.id, "KILL"]).output()?.success().map(drop)
}

/// `kill` of a container that does not exist MUST be an error.
fn unknown() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.kill("KILL")?.fails_with("does not exist").map(drop)
}

/// With the host's pid namespace only the cgroup shows which processes are the container's: SIGKILL reaches all of
/// them.
fn reaches_all_when_pids_are_shared() -> Result {
    let container = Bundle::new(["fork", "3", ",", "pause"]).without_namespace("pid").start()?;
    container.wait_output("forked: 3")?;
    equal("processes", container.processes().len(), 4)?;
    container.kill("KILL")?.success()?;
    eventually("the end of all four", || Ok(container.processes().is_empty()))?;
    container.wait_status("stopped")
}

/// A container that waits for start ends by SIGTERM.
fn term_ends_a_created_container() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.kill("TERM")?.success()?;
    container.wait_status("stopped")
}

/// Without a pid namespace, every signal except SIGKILL goes to the first process alone.
fn other_signals_are_for_the_first_process_alone() -> Result {
    let container = Bundle::new(["fork", "2", ",", "trap", "USR1", ",", "pause"]).without_namespace("pid").start()?;
    container.wait_output("ready")?;
    container.kill("USR1")?.success()?;
    container.wait_output("got SIGUSR1")?;
    equal("processes", container.processes().len(), 3)
}

fn ends_survivors(view: View) -> Result {
    let container = Bundle::new(["fork", "2", ",", "pause"]).without_namespace("pid").view(view).start()?;
    container.wait_output("forked: 2")?;
    let first = nix::unistd::Pid::from_raw(container.pid()?);
    nix::sys::signal::kill(first, nix::sys::signal::Signal::SIGKILL)?;
    container.wait_status("stopped")?;
    equal("survivors", container.processes().len(), 2)?;
    container.kill("KILL")?.success()?;
    eventually("the end of both", || Ok(container.processes().is_empty()))
}

/// If the first process is dead and others of the container live, SIGKILL finds them through the cgroup.
fn ends_survivors_of_a_stopped_container() -> Result {
    ends_survivors(View::Machine)
}

/// The same on v2.
fn ends_survivors_of_a_stopped_container_in_the_unified_view() -> Result {
    ends_survivors(View::Unified)
}

/// containerd's `kill --all ID 9` is still an error for an unknown container.
fn all_of_unknown() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.call(["kill", "--all", &container.id, "9"]).output()?.fails_with("does not exist").map(drop)
}

/// `kill ID KILL -a`: the option may come last, as in older versions of runc.
fn option_after_the_signal() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.call(["kill", &container.id, "KILL", "-a"]).output()?.success().map(drop)
}

/// A number that is no signal is refused by the kernel.
fn number_that_is_no_signal() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.kill("65")?.fails_with("invalid argument")?;
    equal("status", container.status()?, "running")
}

/// The last real-time signal is accepted.
fn real_time_signal() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.kill("64")?.success().map(drop)
}

/// A `kill` that succeeds prints nothing.
fn is_silent() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.kill("KILL")?;
    equal("output", format!("{}{}", output.success()?.stdout, output.stderr), "")
}

/// `kill` takes one or two arguments.
fn number_of_arguments() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.call(["kill"]).output()?.fails_with("requires a minimum of 1 argument(s)")?;
    let output = container.call(["kill", &container.id, "9", "9"]).output()?;
    output.fails_with("requires a maximum of 2 argument(s)")?;
    contains("standard output", &output.stdout, "Incorrect Usage.\n\nNAME:\n")?;
    equal("status", container.status()?, "running")
}
