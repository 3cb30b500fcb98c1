//! `linux.seccomp`: the moment at which the filter is loaded, and the agent that receives its listener.

use std::path::{Path, PathBuf};

use anyhow::Result;
use oci_spec::runtime::{LinuxSeccomp, Process};

use super::context::Context;
use super::program::Program;
use crate::init::op::{self, Text};
use crate::seccomp::{self, Filter};
use crate::spec::{Field, annotation, refuse};

/// The filter of a container. Every process in the container gets it.
pub struct Filtered {
    filter: Option<Filter>,
    agent: Option<Agent>,
    /// The first descriptor that must not reach the container.
    from: u32,
    /// The caller is root of the initial user namespace, and so may fetch a descriptor of every process.
    privileged: bool,
}

/// The seccomp agent, which answers for system calls with the action `SCMP_ACT_NOTIFY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// The field that names the agent.
    pub field: Field,
    /// The path of the agent's socket.
    pub socket: PathBuf,
    /// `listenerMetadata`, which the runtime passes to the agent.
    pub metadata: Option<String>,
}

impl Filtered {
    /// Compiles `linux.seccomp`. `from` is the first descriptor that must not reach the container.
    pub fn new(context: &Context<'_>, from: u32) -> Result<Filtered> {
        let privileged = context.facts.caller.is_privileged();
        let Some(profile) = context.config.seccomp() else {
            return Ok(Filtered { filter: None, agent: None, from, privileged });
        };
        if annotation::fails_unknown_syscall(context.config)
            && let Some(name) = seccomp::unknown_names(profile).first()
        {
            refuse!("linux.seccomp.syscalls", "unknown system call \"{name}\" ({})", annotation::FAIL_UNKNOWN_SYSCALL);
        }
        let filter = seccomp::compile(profile, seccomp::NATIVE)?;
        let agent = Agent::of(context, profile)?;
        let listens = filter.listens();
        if listens && agent.is_none() {
            refuse!("linux.seccomp.listenerPath", "SCMP_ACT_NOTIFY needs one");
        }
        // config-linux.md: "If the SCMP_ACT_NOTIFY action is not used this value is ignored."
        Ok(Filtered { filter: Some(filter), agent: agent.filter(|_| listens), from, privileged })
    }

    /// Loads the filter at the end, if `no_new_privs` makes that possible without privileges.
    pub fn late(&self, program: &mut Program, process: &Process) {
        if process.no_new_privileges() == Some(true) {
            self.load(program);
        }
    }

    /// Whether there is a filter that takes CAP_SYS_ADMIN to load.
    pub fn takes_rights(&self, process: &Process) -> bool {
        self.filter.is_some() && process.no_new_privileges() != Some(true)
    }

    /// Loads the filter, if there is one.
    pub fn load(&self, program: &mut Program) {
        let Some(filter) = &self.filter else { return };
        let field = Field::of("linux.seccomp");
        program.push(&field, op::Process::CloseOnExec { from: self.from });
        let words = program.words(&filter.program);
        if self.agent.is_some() && !self.privileged {
            program.push(&field, op::Enter::Dumpable);
        }
        let agent = self.agent.as_ref().map_or(Text::NONE, |agent| program.text(&agent.socket.to_string_lossy()));
        program.push(&field, op::Rights::Seccomp { filter: words, flags: filter.flags, agent });
    }

    pub fn agent(self) -> Option<Agent> {
        self.agent
    }
}

impl Agent {
    /// The agent that the profile names or, without one, crun's annotation.
    fn of(context: &Context<'_>, profile: &LinuxSeccomp) -> Result<Option<Agent>> {
        let named = profile.listener_path().as_deref().filter(|path| !path.as_os_str().is_empty());
        let annotated = annotation::seccomp_receiver(context.config)?.map(Path::new);
        let metadata = profile.listener_metadata().clone().filter(|metadata| !metadata.is_empty());
        let (field, socket) = match (named, annotated) {
            (Some(path), _) => (Field::of("linux.seccomp.listenerPath"), path),
            (None, Some(path)) => (Field::of("annotations").member(annotation::SECCOMP_RECEIVER), path),
            (None, None) if metadata.is_some() => {
                refuse!("linux.seccomp.listenerMetadata", "must not be set without listenerPath")
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Agent { field, socket: socket.to_owned(), metadata }))
    }
}
