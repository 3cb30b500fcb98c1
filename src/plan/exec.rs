//! Input and result of a plan for a process that joins a container: `exec`, and hooks that run in the container.

use anyhow::Result;

use super::facts::Facts;
use super::options::Options;
use super::program::Program;
use super::rlimit::Limit;
use super::seccomp::Agent;
use crate::cgroup::HostDir;
use crate::init::op::{self, List};
use crate::spec::{Config, Field, ProcessConfig};

/// The container that a process joins.
#[derive(Clone, Copy, Debug)]
pub struct Exec<'a> {
    pub config: &'a Config,
    pub facts: &'a Facts,
    pub options: &'a Options,
    /// The pid of the container's first process in the pid namespace of the runtime.
    pub pid: i32,
    /// The container's directories in all hierarchies.
    pub cgroups: &'a [HostDir],
    /// The runtime moves the process into its cgroups after the clone.
    pub attaches_late: bool,
}

/// The plan for a process that joins.
#[derive(Debug)]
pub struct ProcessPlan {
    pub program: Program,
    /// Limits that the runtime sets with prlimit(2).
    pub limits: Vec<Limit>,
    pub agent: Option<Agent>,
    /// The number of descriptors, from 3 on, that the process gets from the caller.
    pub preserved: u32,
    pub warnings: Vec<String>,
}

impl ProcessPlan {
    /// A plan of a program alone, which leaves nothing to the runtime.
    pub(super) fn plain(program: Program, warnings: Vec<String>) -> Result<ProcessPlan> {
        Ok(ProcessPlan { program: program.whole()?, limits: Vec::new(), agent: None, preserved: 0, warnings })
    }
}

/// A hook that runs in the container.
#[derive(Clone, Copy, Debug)]
pub struct HookEntry<'a> {
    pub field: &'a Field,
    pub path: &'a str,
    /// The arguments, including argv[0].
    pub args: &'a [String],
    pub env: &'a [String],
    /// The user whose HOME is added to an environment without HOME.
    pub home: Option<u32>,
    pub rights: HookRights<'a>,
}

/// The rights of a hook that runs in the container.
#[derive(Clone, Copy, Debug)]
pub enum HookRights<'a> {
    /// The rights of root in the container's namespaces, with all capabilities.
    All { cwd: &'a str, umask: u32 },
    /// The rights of the container's process, and all its other attributes: umask, limits, scheduler, labels.
    Process(&'a ProcessConfig),
}

impl HookEntry<'_> {
    /// Appends the search for the hook's program. Returns its arguments.
    pub fn find(&self, program: &mut Program) -> List {
        let argv: Vec<_> = self.args.iter().map(|text| program.text(text)).collect();
        let argv = program.addresses(&argv, 0);
        let path = program.text(self.path);
        let candidates = program.texts(&[path]);
        program.push(self.field, op::Process::Find { candidates });
        argv
    }
}
