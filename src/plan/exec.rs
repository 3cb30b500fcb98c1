//! Processes that join a container: `exec`, and hooks that run inside.

use super::facts::Facts;
use super::options::Options;
use super::program::Program;
use super::rlimit::Limit;
use super::seccomp::Agent;
use crate::init::op::{self, List};
use crate::spec::{Config, Field, ProcessConfig};

/// What is known of the container that is joined.
#[derive(Clone, Copy, Debug)]
pub struct Exec<'a> {
    /// The container's config.
    pub config: &'a Config,
    /// The host.
    pub facts: &'a Facts,
    /// The command line.
    pub options: &'a Options,
    /// The container's first process, as the host sees it.
    pub pid: i32,
    /// The process has to be moved into its cgroups after it was born.
    pub attaches_late: bool,
}

/// How a process joins.
#[derive(Debug)]
pub struct ProcessPlan {
    /// The program of `init`.
    pub program: Program,
    /// Limits that the parent sets.
    pub limits: Vec<Limit>,
    /// The agent that gets the listener of the seccomp filter.
    pub agent: Option<Agent>,
    /// How many descriptors from 3 on are the caller's, for the process.
    pub preserved: u32,
    /// What is not as asked.
    pub warnings: Vec<String>,
}

/// A hook to run inside.
#[derive(Clone, Copy, Debug)]
pub struct HookEntry<'a> {
    /// Its place in the config.
    pub field: &'a Field,
    /// The program.
    pub path: &'a str,
    /// Arguments with the first one.
    pub args: &'a [String],
    /// The whole environment.
    pub env: &'a [String],
    /// Whose HOME it is when the environment has none, if anybody's.
    pub home: Option<u32>,
    /// Its rights.
    pub rights: HookRights<'a>,
}

/// The rights of a hook inside.
#[derive(Clone, Copy, Debug)]
pub enum HookRights<'a> {
    /// All that root of the namespaces may.
    All {
        /// The working directory.
        cwd: &'a str,
        /// The mask of files that it makes.
        umask: u32,
    },
    /// The rights of the container's process, and all else of the process, too: mask, limits, scheduling, labels.
    Process(&'a ProcessConfig),
}

impl HookEntry<'_> {
    /// Look for the hook's program. Gives its arguments.
    pub fn find(&self, program: &mut Program) -> List {
        let argv: Vec<_> = self.args.iter().map(|text| program.text(text)).collect();
        let argv = program.addresses(&argv, 0);
        let path = program.text(self.path);
        let candidates = program.texts(&[path]);
        program.push(self.field, op::Process::Find { candidates });
        argv
    }
}
