//! `run`: create and start, and unless detached stay in front.

use anyhow::Result;

use super::Log;
use super::create::{Prepared, make, prepare};
use crate::cli::Invocation;
use crate::executor::{
    Created, Owner, destroy, forward_until_exit, kill_and_wait, poststart, prepare_to_wait, start_container,
};

/// The command. The result is the exit status.
pub fn run(invocation: &Invocation, log: &Log) -> Result<i32> {
    let detach = invocation.flag("detach");
    let prepared = prepare(invocation, log, false)?;
    if !detach {
        prepare_to_wait(!invocation.flag("no-subreaper"))?;
    }
    // There is nobody to wait for between create and start, so there is no gate: the program runs
    // as soon as the state is saved.
    let Prepared { directory, host, options, .. } = &prepared;
    let hooks = |record: &_| start_container(&Owner { record, directory, host, options });
    let created = make(&prepared, log, hooks)?;
    if let Err(error) = poststart(&created.record) {
        end(&prepared, &created, log)?;
        return Err(error);
    }
    if detach {
        return Ok(0);
    }
    let status = forward_until_exit(&created.child)?;
    if !invocation.flag("keep") {
        remove(&prepared, &created, log)?;
    }
    Ok(status)
}

fn end(prepared: &Prepared, created: &Created, log: &Log) -> Result<()> {
    kill_and_wait(&created.record)?;
    let _ = nix::sys::wait::waitpid(
        nix::unistd::Pid::from_raw(created.child.pid),
        Some(nix::sys::wait::WaitPidFlag::WNOHANG),
    );
    remove(prepared, created, log)
}

fn remove(prepared: &Prepared, created: &Created, log: &Log) -> Result<()> {
    for warning in destroy(&created.record, &prepared.directory)? {
        log.warning(&warning);
    }
    Ok(())
}
