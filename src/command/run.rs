//! `run`: create and start a container and, unless `--detach` is given, wait for it.

use std::os::fd::AsFd;
use std::thread::JoinHandle;

use anyhow::{Context, Result};

use super::create::{Prepared, make, prepare};
use super::front::FrontOptions;
use super::log::Log;
use super::shared::{Begin, bind_notify, tell};
use crate::cli::{Global, RunArgs};
use crate::executor::{
    Ahead, Created, HookOwner, Notify, Orphans, Relay, Survivors, create, destroy, discard, forward_until_exit,
    poststart, prepare_to_wait, start_container,
};
use crate::sys::{self, Call};
use crate::trace;

pub fn run(global: &Global, args: &RunArgs, log: &Log) -> Result<i32> {
    let detach = args.detach;
    let mut ahead = Ahead::default();
    let prepared = prepare(global, &args.create, log, Begin::AtOnce, Some(&mut ahead))?;
    let front = prepared.front(&FrontOptions { detach, ..FrontOptions::of(global, &args.create) })?;
    if !detach {
        prepare_to_wait(Orphans::of(args.no_subreaper))?;
    }
    // No other command comes between create and start, so there is no gate: the user's program runs as soon as the
    // record is saved.
    let Prepared { config, facts, options, .. } = &prepared;
    let mut notify = None;
    let mut created = make(&prepared, &front, log, |order, pid_file| {
        create(order, ahead, |record, directory| {
            pid_file(record)?;
            notify = bind_notify(directory, log)?;
            start_container(&HookOwner { record, config, facts, options })
        })
    })?;
    let front = front.attend(created.terminal.take()).and_then(|mut relay| {
        if !created.record.hooks.poststart.is_empty() {
            // The hooks may wait for the program, and the program may wait for its output to be read.
            relay.begin()?;
            poststart(&created.record)?;
        }
        let announcing = notify.take_if(|_| !detach).map(|notify| announce(notify, &created)).transpose()?;
        Ok((relay, announcing))
    });
    let (relay, announcing) = front.map_err(|error| end(&created, error, log))?;
    if detach {
        if let Some(notify) = notify {
            let wait = || notify.wait(created.child.pidfd.as_fd(), created.child.pid);
            let told = trace::wait("wait for READY=1", wait);
            told.unwrap_or_else(|error| log.warning(&format!("{error:#}")));
        }
        return Ok(0);
    }
    let at_end = if args.keep { AtEnd::Keep } else { AtEnd::Remove };
    let status = stay(&created, relay, at_end, log)?;
    if let Some(Ok(Err(error))) = announcing.map(JoinHandle::join) {
        log.warning(&format!("{error:#}"));
    }
    Ok(status)
}

/// The end of a container that `run` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// Remove the container.
    Remove,
    /// `--keep`: the container stays, as `stopped`.
    Keep,
}

/// The stages of a trace in which the user's program runs, and in which its last output is copied.
pub const PROGRAM: &str = "wait until the program exits";
pub const OUTPUT: &str = "copy the rest of the output";

/// Waits until the container ends and returns its exit status. The remaining output is copied even if the container
/// cannot be removed.
pub fn stay(created: &Created, mut relay: Relay, at_end: AtEnd, log: &Log) -> Result<i32> {
    let ended = trace::wait(PROGRAM, || forward_until_exit(&created.child, &mut relay));
    let status = ended.map_err(|error| end(created, error, log))?;
    let removed = match at_end {
        AtEnd::Remove => remove(created, log),
        AtEnd::Keep => Ok(()),
    };
    trace::pause(OUTPUT, || relay.finish());
    removed.map(|()| status)
}

/// Tells the service manager when the container is ready, in a thread beside the wait for the container's end. The
/// manager is to watch this process, which stays.
fn announce(notify: Notify, created: &Created) -> Result<JoinHandle<Result<()>>> {
    let process = created.child.pidfd.try_clone().map_err(sys::io)?;
    let wait = move || notify.wait(process.as_fd(), std::process::id() as i32);
    sys::process::thread(wait).named("NOTIFY_SOCKET: a thread")
}

/// Ends and removes a container after a late failure. Returns the error, with the error of the removal if that fails
/// too.
pub fn end(created: &Created, error: anyhow::Error, log: &Log) -> anyhow::Error {
    let Created { record, directory, .. } = created;
    match discard(record, directory) {
        Ok(warnings) => {
            tell(log, warnings);
            error
        }
        Err(left) => error.context(format!("the container could not be removed: {left:#}; before that")),
    }
}

/// Removes an ended container and logs the warnings of the removal.
fn remove(created: &Created, log: &Log) -> Result<()> {
    let Created { record, directory, .. } = created;
    let removed =
        destroy(record, directory, Survivors::Own).context("the container has ended and could not be removed")?;
    tell(log, removed.unwrap_or_default());
    Ok(())
}
