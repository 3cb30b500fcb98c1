//! `linux.seccomp`: when the filter is loaded, and who answers for it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use oci_spec::runtime::{LinuxSeccomp, Process};

use super::context::Context;
use super::program::Program;
use crate::init::op::{self, Text};
use crate::seccomp::{self, Filter};
use crate::spec::{Field, annotation, refuse};

/// The filter of a container, for every process that runs in it.
pub struct Filtered {
    filter: Option<Filter>,
    agent: Option<Agent>,
    /// The first descriptor that the container must not have.
    from: u32,
    /// The caller is root of the first user namespace, and so may look into every process.
    privileged: bool,
}

/// Who answers for calls with the action `SCMP_ACT_NOTIFY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Who names it.
    pub field: Field,
    /// Its socket.
    pub socket: PathBuf,
    /// `listenerMetadata`, a word of the config's author to the agent.
    pub metadata: Option<String>,
}

impl Filtered {
    /// Compile `linux.seccomp`.
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

    /// Load it as late as possible, when `no_new_privs` allows that.
    pub fn late(&self, program: &mut Program, process: &Process) {
        if process.no_new_privileges() == Some(true) {
            self.load(program);
        }
    }

    /// Is there a filter, and does it take rights to load it?
    pub fn takes_rights(&self, process: &Process) -> bool {
        self.filter.is_some() && process.no_new_privileges() != Some(true)
    }

    /// Load it here.
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

    /// Who gets the listener, if there is one.
    pub fn agent(self) -> Option<Agent> {
        self.agent
    }
}

impl Agent {
    /// The one that the profile names, or else crun's annotation.
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
