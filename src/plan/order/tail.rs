//! The last steps of every process of a container, in their one order.

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

/// `RLIMIT_NOFILE`.
const NOFILE: u32 = 7;

/// Input of the last steps.
pub struct Tail<'a> {
    /// The process.
    pub process: &'a ProcessConfig,
    /// The filter of the container.
    pub filtered: &'a Filtered,
    /// Limits that `init` sets.
    pub limits: &'a [Limit],
    /// An earlier step has limited the bounding set.
    pub bounded: bool,
    /// The CPUs of the program, where they are not those of the steps before: `process.execCPUAffinity.final`.
    pub cpus: Option<&'a str>,
}

/// The very end of every program that becomes another one.
pub struct End<'a> {
    /// The field that asks for the process.
    pub field: &'a Field,
    /// The field that names the program.
    pub program: &'a Field,
    /// The environment.
    pub envp: List,
    /// The first descriptor that the program must not have.
    pub from: u32,
    /// Wait for `start`.
    pub gate: bool,
}

impl Tail<'_> {
    /// Append the steps. `find` appends the look-up of the program and returns its arguments.
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
    /// Tell the runtime that all is done, wait, and become the program.
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

/// Set what takes privileges. `init` itself still opens files, so the number of descriptors keeps
/// its room until the end.
fn raise_limits(program: &mut Program, limits: &[Limit]) {
    for (index, limit) in limits.iter().enumerate() {
        let Limit { resource, soft, hard } = *limit;
        let soft = if resource == NOFILE { hard } else { soft };
        if resource != NOFILE || hard >= 64 {
            program.push(&Field::item("process.rlimits", index), op::Process::Limit { resource, soft, hard });
        }
    }
}

/// The limit on descriptors as it was asked for, and what the runtime has raised for its own work as its caller has it,
/// unless the process has a limit of its own.
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
