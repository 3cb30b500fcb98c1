//! `start`: let the user's program run.

use std::os::fd::AsFd;

use anyhow::{Result, anyhow, bail};
use nix::poll::PollTimeout;

use super::log::Log;
use super::shared::{bind_notify, joining_options, root, tell};
use crate::cli::Global;
use crate::executor::{HookOwner, discard, poststart, start_container};
use crate::host::Host;
use crate::plan::{Facts, Options};
use crate::spec::Config;
use crate::state::{Directory, Gate, Record, Status};
use crate::{sys, trace};

const LEFT: &str = "wait until init leaves the gate";

pub fn run(global: &Global, id: &str, log: &Log) -> Result<()> {
    let root = root(global)?;
    let (directory, record) = trace::work("load the record", || root.load(id))?;
    let mut gate = trace::work("take the gate", || gate(&directory, &record))?;
    if !record.hooks.start_container.is_empty() {
        // If this fails, no hook has run: the container stays as it was, and start can be called again.
        let Inside { config, facts, options } = &Inside::read(global, &record, &directory)?;
        let run = start_container(&HookOwner { record: &record, config, facts, options });
        run.inspect_err(|_| unless_ended(&record, &directory, log))?;
    }
    let notify = bind_notify(&directory, log)?;
    trace::work("open the gate", || gate.open())?;
    directory.note_start();
    if trace::is_on() {
        // Otherwise only poststart hooks need this. A frozen or stopped `init` does not execute the program.
        trace::wait(LEFT, || gate.wait_for_program(PollTimeout::from(1000u16)))?;
    }
    if !record.hooks.poststart.is_empty() {
        trace::wait(LEFT, || gate.wait_for_program(PollTimeout::NONE))?;
        poststart(&record).inspect_err(|_| end(&record, &directory, log))?;
    }
    if let (Some(notify), Ok(process)) = (notify, sys::process::pidfd_open(record.pid)) {
        // The container runs, so a service manager that is not told of it is only a warning.
        let told = trace::wait("wait for READY=1", || notify.wait(process.as_fd(), record.pid));
        told.unwrap_or_else(|error| log.warning(&format!("{error:#}")));
    }
    Ok(())
}

/// The context of hooks that run in the container.
struct Inside {
    config: Config,
    facts: Facts,
    options: Options,
}

impl Inside {
    fn read(global: &Global, record: &Record, directory: &Directory) -> Result<Inside> {
        let host = Host::read();
        let config = directory.load_config()?;
        let options = joining_options(global, &host, &record.id, record.bundle.clone());
        let facts = host.facts_to_join(&config, config.process(), &options)?;
        Ok(Inside { config, facts, options })
    }
}

/// Takes the gate. If several `start` run at once, only one gets it: the others must not run a hook.
fn gate<'a>(directory: &'a Directory, record: &Record) -> Result<Gate<'a>> {
    match record.status(directory)? {
        Status::Created => {
            if let Some(gate) = directory.take_gate()? {
                return Ok(gate);
            }
        }
        Status::Running => {}
        Status::Stopped => bail!("cannot start a container that has stopped"),
        other => bail!("cannot start a container in the {other} state"),
    }
    let running = record.alive()?;
    Err(anyhow!(
        "cannot start {}",
        if running { "an already running container" } else { "a container that has stopped" }
    ))
}

/// Ends the container after a failed hook, and cleans up. If another command has ended the container in the meantime,
/// and with it the hook, the cleaning up is left to that command.
fn unless_ended(record: &Record, directory: &Directory, log: &Log) {
    let ended = || anyhow::Ok(!record.alive()? || sys::proc::is_dying(record.pid)?);
    if ended().unwrap_or(false) {
        return;
    }
    end(record, directory, log);
}

fn end(record: &Record, directory: &Directory, log: &Log) {
    match discard(record, directory) {
        Ok(warnings) => tell(log, warnings),
        Err(error) => log.warning(&format!("the container could not be removed: {error:#}")),
    }
}
