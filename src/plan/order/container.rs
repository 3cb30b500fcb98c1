//! The steps of a container's first process, in their order.

use anyhow::Result;
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::super::context::Context;
use super::super::hooks::Hooks;
use super::super::namespaces::{self, Birth};
use super::super::process::{self, Launch};
use super::super::program::Program;
use super::super::rlimit::Limit;
use super::super::rootfs::{self, RootPropagation};
use super::super::seccomp::{Agent, Filtered};
use super::super::{devices, mounts, sysctl};
use super::tail::{End, Tail};
use crate::init::op::{self, Ask, Op};
use crate::spec::{Field, clean};

/// The steps of the runtime for the first process of a container.
pub struct RuntimePart {
    pub birth: Birth,
    /// Limits that the runtime sets with prlimit(2).
    pub limits: Vec<Limit>,
    /// The OOM score that the runtime writes.
    pub score: Option<i32>,
    pub agent: Option<Agent>,
}

/// Appends all steps, from the clone to execve(2). Returns the part that the runtime does.
pub fn container(
    program: &mut Program,
    context: &mut Context<'_>,
    net_devices: &[(String, String)],
) -> Result<RuntimePart> {
    let process = context.config.process();
    context.warn_of_capabilities(process);
    let everything = Field::of("process");
    program.push(&everything, op::Enter::Signals);
    let birth = namespaces::plan(program, context)?;
    if !net_devices.is_empty() {
        program.push(&Field::of("linux.netDevices"), op::Talk::Ask { what: Ask::NetDevices });
    }
    session(program, context, &birth)?;
    root_file_system(program, context)?;

    let (own, limits) = process::limits(context, process)?;
    let from = 3 + context.options.preserve_fds;
    let filtered = Filtered::new(context, from)?;
    let mut env = process.env().clone().unwrap_or_default();
    if context.options.listen_fds > 0 {
        env.extend([format!("LISTEN_FDS={}", context.options.listen_fds), "LISTEN_PID=1".to_owned()]);
    }
    if context.options.notify.is_some() {
        env.push(format!("NOTIFY_SOCKET={}/notify.sock", mounts::NOTIFY));
    }
    let launch = Launch::of(process, &env);
    let envp = launch.environment(program);
    let gate = context.options.gate;
    let tail = Tail { process, filtered: &filtered, limits: &own, bounded: false, cpus: None };
    let end = End { field: &everything, program: &Field::of("process.args"), envp, from, gate };
    tail.push(program, context, end, |program| launch.find(program))?;
    let score = process.oom_score_adj().filter(|_| birth.waits);
    Ok(RuntimePart { birth, limits, score, agent: filtered.agent() })
}

/// Steps before the first mount: session, keyring, CPUs, host name, loopback.
fn session(program: &mut Program, context: &mut Context<'_>, birth: &Birth) -> Result<()> {
    let field = Field::of("process");
    program.push(&field, op::Enter::Session);
    if !context.options.no_new_keyring {
        process::label_keys(program, context, context.config.process())?;
        let name = program.text(&format!("_ses.{}", context.options.id));
        program.push(&field, op::Enter::Keyring { name });
    }
    process::all_cpus(program, &field);
    let network = u64::from(crate::tables::namespace::of(Kind::Network).flag);
    if birth.new & network != 0
        || program.ops().iter().any(|op| matches!(op, Op::Enter(op::Enter::Unshare { flags }) if flags & network != 0))
    {
        program.push(&Field::of("linux.namespaces"), op::Enter::Loopback);
    }
    if let Some(name) = context.config.hostname() {
        let name = program.text(name);
        program.push(&Field::of("hostname"), op::Enter::Hostname { name });
    }
    if let Some(name) = context.config.domainname() {
        let name = program.text(name);
        program.push(&Field::of("domainname"), op::Enter::Domainname { name });
    }
    Ok(())
}

/// The steps from the host's root to the container's root.
fn root_file_system(program: &mut Program, context: &mut Context<'_>) -> Result<()> {
    let propagation = RootPropagation::of(context)?;
    rootfs::take_root(program, context, propagation);
    devices::hold(program, context);
    let later = mounts::plan(program, context)?;
    devices::plan(program, context)?;
    working_directory(program, context);
    if Hooks::of(context.config)?.before_pivot() {
        program.push(&Field::of("hooks"), op::Talk::Ask { what: Ask::Hooks });
    }
    sysctl::plan(program, context)?;
    let process = context.config.process();
    process::scheduler(program, process)?;
    process::attributes(program, context, process)?;
    process::terminal(program, process, context.own(Kind::Mount))?;
    later.push(program);
    rootfs::hidden_paths(program, context);
    rootfs::read_only_root(program, context)?;
    rootfs::exchange_root(program, context, propagation);
    let uid = process.user().uid();
    program.push(&Field::of("process"), op::Process::OwnStdio { uid });
    rootfs::propagate_root(program, context, propagation);
    Ok(())
}

/// Makes the working directory if it is missing.
pub fn working_directory(program: &mut Program, context: &Context<'_>) {
    let path = program.text(&clean(context.config.process().cwd()).to_string_lossy());
    program.push(&Field::of("process.cwd"), op::Entry::MakeDirectory { path });
}
