//! `--trace`: begins a trace, and writes it when the command has ended.

use std::path::Path;

use anyhow::{Result, bail};

use super::draft::Draft;
use super::log::Log;
use super::shared::Failure;
use crate::cli::{Invocation, Verb};
use crate::sys::Call;
use crate::trace;

/// The file of a trace that has begun.
#[derive(Debug)]
pub struct TraceFile<'a> {
    path: &'a Path,
    draft: Draft,
}

impl<'a> TraceFile<'a> {
    /// Begins a trace if the command line asks for one.
    ///
    /// # Errors
    /// The command has no trace; the file cannot be made.
    pub fn begin(invocation: &'a Invocation) -> Result<Option<TraceFile<'a>>> {
        let Some(path) = &invocation.global.trace else { return Ok(None) };
        let Some((command, id)) = traced(&invocation.verb) else {
            bail!("--trace: only create, delete, exec, restore, run and start have a trace");
        };
        let absolute = std::path::absolute(path)?;
        // The trace would take the place of a device, a fifo or a symbolic link such as /dev/stdout.
        let other = absolute.symlink_metadata().is_ok_and(|file| !file.is_file());
        if other || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            bail!("--trace {}: not a regular file", path.display());
        }
        let draft = Draft::open(absolute).named(format_args!("--trace {}", path.display()))?;
        trace::begin(&format!("{} {command} {id}", invocation.global.name));
        Ok(Some(TraceFile { path, draft }))
    }

    /// Writes the trace. The command has succeeded or failed before, so a trace that cannot be written is a warning.
    pub fn finish(self, result: &Result<i32, Failure>, log: &Log) {
        let text = match result {
            Ok(status) => trace::end(*status, None),
            Err(failure) => trace::end(i32::from(failure.status), Some(&failure.message)),
        };
        if let Err(error) = self.draft.finish(text.as_bytes()).named(format_args!("--trace {}", self.path.display())) {
            log.warning(&format!("{error:#}"));
        }
    }
}

/// The name of a command that has a trace, and the id of its container.
fn traced(verb: &Verb) -> Option<(&'static str, &str)> {
    match verb {
        Verb::Create(args) => Some(("create", &args.id)),
        Verb::Delete(args) => Some(("delete", &args.id)),
        Verb::Exec(args) => Some(("exec", &args.id)),
        Verb::Restore(args) => Some(("restore", &args.id)),
        Verb::Run(args) => Some(("run", &args.create.id)),
        Verb::Start(args) => Some(("start", &args.id)),
        _ => None,
    }
}
