//! The last steps of every process of a container, in their order.

use anyhow::Result;

use super::super::context::Context;
use super::super::options::Options;
use super::super::process;
use super::super::program::{Descriptor, Program};
use super::super::rlimit::Limit;
use super::super::seccomp::Filtered;
use crate::init::op::{self, Ask, List};
use crate::spec::{Field, ProcessConfig};
use crate::tables::rlimit;

/// `RLIMIT_NOFILE`
const NOFILE: u32 = 7;

/// The last steps of a process.
pub struct Tail<'a> {
    pub process: &'a ProcessConfig,
    /// The container's seccomp filter.
    pub filtered: &'a Filtered,
    /// Limits that `init` sets.
    pub limits: &'a [Limit],
    /// An earlier step has limited the bounding set.
    pub bounded: bool,
    /// The CPUs of the user's program, if they differ from those of the earlier steps: `process.execCPUAffinity.final`.
    pub cpus: Option<&'a str>,
}

/// The end of every program that becomes another program with execve(2).
pub struct End<'a> {
    /// The field that asks for the process.
    pub field: &'a Field,
    /// The field that names the program.
    pub program: &'a Field,
    pub envp: List,
    /// The first descriptor to close.
    pub from: u32,
    /// Wait for `start`.
    pub gate: bool,
}

impl Tail<'_> {
    /// Appends the steps. `find` appends the search for the user's program and returns its arguments.
    pub fn push(
        &self,
        program: &mut Program,
        context: &mut Context<'_>,
        end: End<'_>,
        find: impl FnOnce(&mut Program) -> List,
    ) -> Result<()> {
        let Tail { process, filtered, limits, bounded, cpus } = *self;
        let umask = process.user().umask().unwrap_or(0o022);
        program.push(&Field::of("process.user.umask"), op::Process::Umask { mask: umask });
        raise_limits(program, limits);
        if process.no_new_privileges() == Some(true) {
            program.push(&Field::of("process.noNewPrivileges"), op::Rights::NoNewPrivileges);
        }
        process::become_user(program, context, process, filtered, bounded)?;
        let argv = find(program);
        if cpus.is_some() {
            process::affinity(program, "process.execCPUAffinity.final", cpus)?;
        }
        lower_limits(program, context.options, Some(process), limits);
        filtered.late(program, process);
        end.push(program, argv);
        Ok(())
    }
}

impl End<'_> {
    /// Appends the report to the runtime, the wait at the gate, and execve(2).
    pub fn push(&self, program: &mut Program, argv: List) {
        let End { field, envp, from, gate, .. } = *self;
        program.push(field, op::Talk::Ask { what: Ask::Ready });
        if gate {
            let fifo = program.slot(Descriptor::Gate);
            program.push(field, op::Talk::Gate { fifo, from });
        }
        program.push(field, op::Process::Close { from });
        program.push(self.program, op::Process::Exec { argv, envp });
    }
}

/// Sets the limits while `init` has the privileges to raise them. `init` still opens files, so the soft limit on
/// descriptors stays at the hard limit, and a hard limit below 64 waits until [`lower_limits`].
fn raise_limits(program: &mut Program, limits: &[Limit]) {
    for (index, limit) in limits.iter().enumerate() {
        let Limit { resource, soft, hard } = *limit;
        let soft = if resource == NOFILE { hard } else { soft };
        if resource != NOFILE || hard >= 64 {
            program.push(&Field::item("process.rlimits", index), op::Process::Limit { resource, soft, hard });
        }
    }
}

/// Sets the limit on descriptors to its final value. The limits that the runtime has raised for its own work return to
/// the caller's values, unless `process.rlimits` sets them.
pub fn lower_limits(program: &mut Program, options: &Options, process: Option<&ProcessConfig>, limits: &[Limit]) {
    let nofile = limits.iter().enumerate().find(|(_, limit)| limit.resource == NOFILE);
    if let Some((index, Limit { resource, soft, hard })) = nofile {
        let (resource, soft, hard) = (*resource, *soft, *hard);
        if soft != hard || hard < 64 {
            program.push(&Field::item("process.rlimits", index), op::Process::Limit { resource, soft, hard });
        }
    }
    let own = process.and_then(|process| process.rlimits().as_deref()).unwrap_or_default();
    for Limit { resource, soft, hard } in options.callers_limits.iter().copied() {
        if !own.iter().any(|limit| rlimit::number(limit.typ()) == resource) {
            program.push(&Field::of("process.rlimits"), op::Process::Limit { resource, soft, hard });
        }
    }
}
