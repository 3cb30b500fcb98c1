//! The first process of a container.

use anyhow::Result;
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::super::context::Context;
use super::super::hooks::Hooks;
use super::super::namespaces::{self, Birth};
use super::super::process::{self, Launch};
use super::super::program::{Descriptor, NO_ATTRIBUTES, Program};
use super::super::rlimit::Limit;
use super::super::seccomp::{Agent, Filtered};
use super::super::{devices, mounts, sysctl};
use super::tail::{End, Tail};
use crate::init::op::{self, Ask, Attributes, Op, Propagation, Slot, Text};
use crate::spec::{Field, clean, refuse};
use crate::tables::mount_option::{self as option, RDONLY};

/// The parent's part for a container's first process.
pub struct Outside {
    /// How `init` comes into being.
    pub birth: Birth,
    /// Limits that the parent sets.
    pub limits: Vec<Limit>,
    /// The OOM score that the parent writes.
    pub score: Option<i32>,
    /// The agent that gets the listener of the seccomp filter.
    pub agent: Option<Agent>,
}

/// The program of a container's first process, from the clone to `execve(2)`.
pub fn container(
    program: &mut Program,
    context: &mut Context<'_>,
    net_devices: &[(String, String)],
) -> Result<Outside> {
    let process = context.config.process();
    context.warn_of_capabilities(process);
    let everything = Field::of("process");
    program.push(&everything, op::Enter::Signals);
    let birth = namespaces::plan(program, context)?;
    if !net_devices.is_empty() {
        program.push(&Field::of("linux.netDevices"), op::Talk::Ask { what: Ask::NetDevices });
    }
    session(program, context, &birth);
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
    Ok(Outside { birth, limits, score, agent: filtered.agent() })
}

/// Steps that do not touch files: session, keyring, CPUs, names, loopback.
fn session(program: &mut Program, context: &mut Context<'_>, birth: &Birth) {
    let field = Field::of("process");
    program.push(&field, op::Enter::Session);
    if !context.options.no_new_keyring {
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
}

/// From the host's tree to the container's.
fn root_file_system(program: &mut Program, context: &mut Context<'_>) -> Result<()> {
    let field = Field::of("root.path");
    let own = context.own(Kind::Mount);
    let propagation = root_propagation(context)?;
    let path = program.text(&context.rootfs.to_string_lossy());
    if own {
        let before = propagation.map_or(option::SLAVE, |(kind, _)| kind);
        // An unbindable tree could not be bound from, and the root is.
        let flags = if before == option::UNBINDABLE { option::PRIVATE } else { before };
        program.push(&Field::of("linux.rootfsPropagation"), op::Rootfs::Propagation { flags });
        if before == option::SHARED {
            program.push(&Field::of("linux.rootfsPropagation"), op::Rootfs::PrivateParent { path });
        }
    }
    // Without a mount namespace a bind of the root would stay behind on the host.
    program.push(&field, if own { op::Rootfs::Bind { path } } else { op::Rootfs::Open { path, follow: false } });
    if !own && !context.config.mounts().is_empty() {
        context.warn("mounts: without a mount namespace they are made in the caller's, and stay there".to_owned());
    }
    devices::hold(program, context);
    let late = mounts::plan(program, context)?;
    devices::plan(program, context)?;
    working_directory(program, context);
    if Hooks::of(context.config)?.before_pivot() {
        program.push(&Field::of("hooks"), op::Talk::Ask { what: Ask::Hooks });
    }
    sysctl::plan(program, context)?;
    let process = context.config.process();
    process::scheduler(program, process)?;
    process::attributes(program, context, process)?;
    process::terminal(program, process, own)?;
    for (field, op) in late {
        program.push(&field, op);
    }
    hidden_paths(program, context);
    if context.config.has_read_only_root() {
        if !own {
            refuse!("root.readonly", "unable to make the root read-only without a private MNT namespace");
        }
        let attributes = Attributes { set: RDONLY, ..NO_ATTRIBUTES };
        program.push(&Field::of("root.readonly"), op::Rootfs::Attributes { attributes });
    }
    if own && context.options.no_pivot {
        // The old root stays below the new one. With a whole proc or sysfs in it, the kernel would let a user namespace
        // inside mount another one, without what is masked here.
        for place in context.facts.proc_and_sysfs.iter().rev().filter(|place| !place.starts_with(&context.rootfs)) {
            let above = program.text(&place.parent().unwrap_or(place).to_string_lossy());
            program.push(&field, op::Rootfs::PrivateParent { path: above });
            let path = program.text(&place.to_string_lossy());
            program.push(&field, op::Rootfs::Bury { path });
        }
    }
    program.push(
        &field,
        match (own, context.options.no_pivot) {
            (true, false) => op::Rootfs::Pivot { shared: propagation.is_some_and(|(kind, _)| kind == option::SHARED) },
            (true, true) => op::Rootfs::Move,
            (false, _) => op::Rootfs::Chroot,
        },
    );
    let uid = process.user().uid();
    program.push(&Field::of("process"), op::Process::OwnStdio { uid });
    if let (true, Some((kind, tree))) = (own, propagation) {
        let propagation = Propagation::NONE.and(kind, tree).unwrap_or_default();
        let attributes = Attributes { propagation, ..NO_ATTRIBUTES };
        program.push(&Field::of("linux.rootfsPropagation"), op::Rootfs::Attributes { attributes });
    }
    Ok(())
}

/// The propagation of the root, and whether the mounts below get it too: that is the meaning of the words with an `r`
/// to runc and crun.
fn root_propagation(context: &Context<'_>) -> Result<Option<(u64, bool)>> {
    let text = context.config.rootfs_propagation();
    let kind = match text.strip_prefix('r').unwrap_or(text) {
        "" if text.is_empty() => return Ok(None),
        "shared" => option::SHARED,
        "slave" => option::SLAVE,
        "private" => option::PRIVATE,
        "unbindable" => option::UNBINDABLE,
        _ => refuse!("linux.rootfsPropagation", "\"{text}\" is none of shared, slave, private, unbindable"),
    };
    Ok(Some((kind, text.starts_with('r'))))
}

/// Read-only paths first: a path may be listed in both, and is hidden then.
fn hidden_paths(program: &mut Program, context: &Context<'_>) {
    let standing = mounts::Standing::new(context);
    let place = |program: &mut Program, path: &str| match standing.below(path) {
        Some((index, inside)) => (program.slot(Descriptor::Kept(index)), program.text(&inside)),
        None => (Slot::NONE, Text::NONE),
    };
    for (index, path) in context.config.readonly_paths().iter().enumerate() {
        let (mount, inside) = place(program, path);
        let path = program.text(path);
        program.push(&Field::item("linux.readonlyPaths", index), op::Mount::ReadOnly { path, mount, inside });
    }
    for (index, path) in context.config.masked_paths().iter().enumerate() {
        let (mount, inside) = place(program, path);
        let path = program.text(path);
        program.push(&Field::item("linux.maskedPaths", index), op::Mount::Mask { path, mount, inside });
    }
}

/// The working directory is made where it is missing.
pub fn working_directory(program: &mut Program, context: &Context<'_>) {
    let path = program.text(&clean(context.config.process().cwd()).to_string_lossy());
    program.push(&Field::of("process.cwd"), op::Entry::MakeDirectory { path });
}
