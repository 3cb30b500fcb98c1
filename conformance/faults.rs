//! One system call of a command fails, or the command is killed before it. The command must end with a status and a
//! message, and leave nothing that another command cannot remove.
//!
//! Each test tries some of the system calls; with `FAULTS=all` it tries all of them (`hack/interleaved`).

use crate::harness::*;
use anyhow::{Context, ensure};
use nix::errno::Errno;

tests![
    create,
    create_in_the_unified_view,
    create_that_is_killed,
    run,
    start,
    start_that_is_killed,
    exec,
    delete,
    forced_delete,
    delete_that_is_killed,
    kill,
    state,
    ps,
    pause,
];

/// The number of system calls of a command that are tried, unless all are asked for.
const CALLS: usize = 16;

/// Errors of a host without resources, and of an interrupted or refused call.
const ERRNOS: [Errno; 5] = [Errno::EMFILE, Errno::ENOMEM, Errno::EIO, Errno::EINTR, Errno::EPERM];

/// The state of the container before the command.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Created,
    Runs,
    Stopped,
}

struct Round<'a> {
    container: &'a Container,
    output: Output,
}

fn fresh(before: Before, view: View) -> Result<Container> {
    // A container that `run` starts in the foreground must end by itself.
    let words = if let Before::Nothing = before { "true" } else { "pause" };
    let bundle = Bundle::new([words]).view(view);
    let container = match before {
        Before::Nothing => bundle.build()?,
        Before::Created => bundle.create()?,
        Before::Runs | Before::Stopped => bundle.start()?,
    };
    if let Before::Stopped = before {
        container.stop()?;
    }
    Ok(container)
}

/// One round for each system call that is tried and each fault, with a new container each time.
fn rounds(
    before: Before,
    view: View,
    faults: &[Fault],
    command: impl Fn(&Container) -> Call,
    check: impl Fn(&Round<'_>) -> Result,
) -> Result {
    if runtime::is("runc") {
        return skip("runc makes system calls in several threads, and the tracer follows one");
    }
    let container = fresh(before, view)?;
    let calls = command(&container).count_calls()?;
    ensure!(calls > 0, "no system call was seen");
    let all = std::env::var_os("FAULTS").is_some_and(|which| which == "all");
    let step = if all { 1 } else { calls.div_ceil(CALLS) };
    let mut seen = 0;
    for number in (std::process::id() as usize % step..calls).step_by(step) {
        // Without FAULTS=all each system call gets one fault, in turn.
        let chosen = if all { faults } else { &faults[number / step % faults.len()..][..1] };
        for fault in chosen {
            let container = fresh(before, view)?;
            let made = command(&container).with_fault(number, *fault);
            let (call, output) = made.with_context(|| format!("{fault:?} at call {number} of {calls}"))?;
            let what = || format!("{fault:?} at call {number} of {calls}, system call {call:?}: {output}");
            ensure!(matches!(fault, Fault::Killed) || output.status.code().is_some(), "died: {}", what());
            ensure!(!output.stderr.contains("panicked"), "panicked: {}", what());
            let said = what();
            check(&Round { container: &container, output }).with_context(|| said.clone())?;
            container.call(["delete", "--force"]).arg(&container.id).output()?.success().context(said.clone())?;
            container.nothing_left().context(said)?;
            seen += 1;
        }
    }
    if all {
        println!("{seen} rounds");
    }
    Ok(())
}

fn failing() -> Vec<Fault> {
    ERRNOS.map(Fault::Fails).to_vec()
}

/// A create that fails leaves nothing; one that succeeds leaves a container.
fn creates(view: View) -> Result {
    rounds(
        Before::Nothing,
        view,
        &failing(),
        |it| it.launch(["create"]),
        |round| match round.output.status.success() {
            true => equal("status", round.container.status()?, "created"),
            false => round.container.nothing_left(),
        },
    )
}

fn create() -> Result {
    creates(View::Machine)
}

/// The same on v2.
fn create_in_the_unified_view() -> Result {
    creates(View::Unified)
}

/// A forced delete removes all that a killed create has left.
fn create_that_is_killed() -> Result {
    rounds(Before::Nothing, View::Machine, &[Fault::Killed], |it| it.launch(["create"]), |_| Ok(()))
}

/// A run that fails leaves nothing. In the foreground it removes the container also if it succeeds.
fn run() -> Result {
    rounds(
        Before::Nothing,
        View::Machine,
        &failing(),
        |it| it.launch(["run"]),
        |round| {
            if round.output.stderr.contains("could not be removed") {
                return equal("status", round.container.status()?, "stopped");
            }
            round.container.nothing_left()
        },
    )
}

/// A start that fails leaves the container as it was, unless the program runs.
fn start() -> Result {
    let start = |it: &Container| it.call(["start"]).arg(&it.id);
    rounds(Before::Created, View::Machine, &failing(), start, |round| {
        let status = round.container.status()?;
        match round.output.status.success() {
            true => equal("status", status, "running"),
            false => {
                ensure!(status == "created" || status == "running", "status: {status}");
                Ok(())
            }
        }
    })
}

/// A start that is killed either has started the container or has not.
fn start_that_is_killed() -> Result {
    let start = |it: &Container| it.call(["start"]).arg(&it.id);
    rounds(Before::Created, View::Machine, &[Fault::Killed], start, |round| {
        if round.container.status()? == "created" {
            let again = round.container.command(["start"])?;
            // start was killed after it had opened the gate, and before the program ran.
            if !again.status.success() {
                contains("start", &again.stderr, "already running")?;
            }
        }
        round.container.wait_status("running")
    })
}

/// An exec that fails does not harm the container.
fn exec() -> Result {
    rounds(
        Before::Runs,
        View::Machine,
        &failing(),
        |it| it.exec_call([], ["true"]),
        |round| equal("status", round.container.status()?, "running"),
    )
}

/// A delete that fails can be repeated.
fn delete() -> Result {
    let delete = |it: &Container| it.call(["delete"]).arg(&it.id);
    rounds(Before::Stopped, View::Machine, &failing(), delete, |round| {
        if !round.output.status.success() && round.container.state_dir().exists() {
            round.container.command(["delete"])?.code()?;
        }
        round.container.nothing_left()
    })
}

/// A forced delete that fails can be repeated.
fn forced_delete() -> Result {
    let delete = |it: &Container| it.call(["delete", "--force"]).arg(&it.id);
    rounds(Before::Runs, View::Machine, &failing(), delete, |round| match round.output.status.success() {
        true => round.container.nothing_left(),
        false => Ok(()),
    })
}

/// A delete that is killed can be repeated.
fn delete_that_is_killed() -> Result {
    let delete = |it: &Container| it.call(["delete", "--force"]).arg(&it.id);
    rounds(Before::Runs, View::Machine, &[Fault::Killed], delete, |_| Ok(()))
}

/// A kill that succeeds has sent its signal.
fn kill() -> Result {
    let kill = |it: &Container| it.call(["kill"]).args([&*it.id, "KILL"]);
    rounds(Before::Runs, View::Machine, &failing(), kill, |round| match round.output.status.success() {
        true => round.container.wait_status("stopped"),
        false => Ok(()),
    })
}

/// If `state` succeeds, its answer is true.
fn state() -> Result {
    rounds(
        Before::Runs,
        View::Machine,
        &failing(),
        |it| it.call(["state"]).arg(&it.id),
        |round| match round.output.status.success() {
            true => contains("state", &round.output.stdout, "\"status\": \"running\""),
            false => Ok(()),
        },
    )
}

/// If `ps` succeeds, it lists all processes.
fn ps() -> Result {
    rounds(
        Before::Runs,
        View::Machine,
        &failing(),
        |it| it.call(["ps"]).arg(&it.id),
        |round| match round.output.status.success() {
            true => contains("processes", &round.output.stdout, &round.container.pid()?.to_string()),
            false => Ok(()),
        },
    )
}

/// A pause that fails leaves the container running.
fn pause() -> Result {
    rounds(
        Before::Runs,
        View::Machine,
        &failing(),
        |it| it.call(["pause"]).arg(&it.id),
        |round| {
            equal("status", round.container.status()?, if round.output.status.success() { "paused" } else { "running" })
        },
    )
}
