//! `start`: the gate of a created container.

use crate::harness::*;
use anyhow::ensure;

tests![unknown, twice, stopped, race_has_one_winner,];

/// `start` of a container that does not exist MUST be an error.
fn unknown() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.command(["start"])?.fails_with("does not exist").map(drop)
}

/// `start` of a container that is not `created` MUST be an error and MUST NOT change it.
fn twice() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let pid = container.pid()?;
    container.command(["start"])?.failure()?;
    equal("pid", container.pid()?, pid)?;
    equal("status", container.status()?, "running")
}

/// The same for a stopped container.
fn stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.command(["start"])?.fails_with("stopped")?;
    equal("status", container.status()?, "stopped")
}

/// If starts race, the program is started once.
fn race_has_one_winner() -> Result {
    let container = Bundle::new(["append", "/log", "x", ",", "pause"]).create()?;
    let calls = (0..4).map(|_| container.call(["start", &container.id]).spawn()).collect::<Result<Vec<_>>>()?;
    let outputs = calls.into_iter().map(Running::wait).collect::<Result<Vec<_>>>()?;
    let winners = outputs.iter().filter(|output| output.status.success()).count();
    ensure!(winners == 1, "{winners} starts succeeded: {outputs:#?}");
    container.wait_output("append /log: ok")?;
    equal("runs", container.read("log")?, "x")
}
