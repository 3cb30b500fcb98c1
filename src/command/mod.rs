//! The commands, one verb a file.

mod checkpoint;
mod create;
mod delete;
#[cfg(feature = "image")]
mod diff;
mod draft;
mod events;
mod exec;
mod features;
mod front;
mod kill;
mod list;
mod log;
mod mounts;
#[cfg(feature = "image")]
mod pack;
mod pause;
mod pid_file;
mod plan;
#[cfg(feature = "image")]
mod prune;
mod ps;
mod restore;
mod run;
#[cfg(feature = "image")]
mod run_image;
mod setup;
mod shared;
mod spec;
mod start;
mod state;
mod table;
mod trace_file;
#[cfg(feature = "image")]
mod unpack;
mod update;

use anyhow::{Context, Result};

use crate::cli::{Invocation, Verb};
use crate::sys::heap;
#[cfg(feature = "image")]
use crate::sys::limits;

use trace_file::TraceFile;

pub use log::Log;
pub use shared::{Failure, print, root};

/// Runs a command, with its trace, and returns the exit status.
pub fn run(invocation: &Invocation, log: &Log) -> Result<i32, Failure> {
    let trace = TraceFile::begin(invocation)?;
    let result = carry_out(invocation, log);
    if let Some(trace) = trace {
        trace.finish(&result, log);
    }
    result
}

fn carry_out(invocation: &Invocation, log: &Log) -> Result<i32, Failure> {
    let done = |result: Result<()>| result.map(|()| 0).map_err(Failure::from);
    let global = &invocation.global;
    if matches!(&invocation.verb, Verb::Create(_) | Verb::Run(_) | Verb::Exec(_)) {
        heap::populate_stack();
    }
    match &invocation.verb {
        Verb::Create(args) => {
            done(create::run(global, args, log).with_context(|| format!("{} create failed", global.name)))
        }
        #[cfg(feature = "image")]
        Verb::Run(args) if args.image.is_some() => run_image::run(global, args, log)
            .with_context(|| format!("{} run failed", global.name))
            .map_err(Failure::from),
        Verb::Run(args) => {
            run::run(global, args, log).with_context(|| format!("{} run failed", global.name)).map_err(Failure::from)
        }
        Verb::Checkpoint(args) => done(checkpoint::run(global, args, log)),
        Verb::Restore(args) => restore::run(global, args, log).map_err(Failure::from),
        Verb::Exec(args) => exec::run(global, args, log),
        Verb::Start(args) => done(start::run(global, &args.id, log)),
        Verb::State(args) => done(state::run(global, &args.id)),
        Verb::Kill(args) => done(kill::run(global, args, log)),
        Verb::Delete(args) => done(delete::run(global, args, log)),
        Verb::List(args) => done(list::run(global, args, log)),
        Verb::Mounts(args) => done(mounts::run(global, args, log)),
        #[cfg(feature = "image")]
        Verb::Diff(args) => done(limits::with_descriptors(|| diff::run(global, args))),
        #[cfg(feature = "image")]
        Verb::Pack(args) => done(limits::with_descriptors(|| pack::run(global, args, log))),
        #[cfg(feature = "image")]
        Verb::Prune(args) => done(prune::run(global, args, log)),
        Verb::Ps(args) => done(ps::run(global, args)),
        Verb::Pause(args) => done(pause::pause(global, &args.id, log)),
        Verb::Resume(args) => done(pause::resume(global, &args.id, log)),
        Verb::Setup(args) => done(setup::run(global, &args.engine)),
        Verb::Spec(args) => done(spec::run(global, args)),
        Verb::Features(_) => done(features::run()),
        #[cfg(feature = "image")]
        Verb::Unpack(args) => done(unpack::run(global, args, log)),
        Verb::Update(args) => done(update::run(global, args, log)),
        Verb::Events(args) => done(events::run(global, args, log)),
        Verb::Plan(args) => done(plan::run(global, args)),
    }
}
