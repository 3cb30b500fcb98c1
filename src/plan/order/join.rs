//! The steps of processes that join a container, in their order: `exec`, hooks that run in the container, and `mounts`.

use std::path::Path;

use anyhow::Result;
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::super::context::Context;
use super::super::exec::{Exec, HookEntry, HookRights, ProcessPlan};
use super::super::mounts;
use super::super::namespaces::enter_cgroups;
use super::super::process::{self, Launch, Needs};
use super::super::program::{Descriptor, Program};
use super::super::seccomp::Filtered;
use super::tail::{End, Tail, lower_limits};
use crate::init::op::{self, Ask, Op, Slot, Text};
use crate::spec::{Config, ExecAffinity, Field, ProcessConfig, annotation, refuse};
use crate::tables::namespace;

/// The `CLONE_NEW*` flags of all namespaces of the config.
fn flags(config: &Config) -> u32 {
    config.namespaces().iter().fold(0, |flags, entry| flags | namespace::of(entry.typ()).flag)
}

impl Exec<'_> {
    /// Joins all namespaces of the container but the pid namespace. The container's processes do not see this process
    /// yet.
    fn join(&self, program: &mut Program) {
        let field = Field::of("linux.namespaces");
        match self.attaches_late {
            true => program.push(&field, op::Talk::Wait),
            false => enter_cgroups(program, self.cgroups.iter().map(|dir| &*dir.controllers)),
        }
        program.push(&field, op::Enter::Undumpable);
        let flags = flags(self.config);
        if flags != 0 {
            let Slot(slot) = program.slot(Descriptor::Process);
            let list = program.pairs(&[(slot, flags)]);
            program.push(&field, op::Enter::Join { list });
        }
        if !self.config.has(Kind::Mount) {
            let path = program.text(&format!("/proc/{}/root", self.pid));
            program.push(&Field::of("root.path"), op::Rootfs::Open { path, follow: true });
            program.push(&Field::of("root.path"), op::Rootfs::Chroot);
        }
    }

    /// Enters the pid namespace. From then on the container's processes see this process and its open files
    /// (CVE-2016-9962), and a process that may trace it has its rights.
    fn appear(&self, program: &mut Program) {
        let field = Field::of("linux.namespaces");
        if self.config.has(Kind::Pid) {
            program.push(&field, op::Enter::Fork { flags: 0 });
        }
        if self.config.has(Kind::User) {
            let (uid, gid) = self.config.root_inside().raw();
            program
                .push(&field, op::Enter::BecomeRoot { uid, gid, keep_groups: annotation::keeps_groups(self.config) });
        }
    }

    /// The plan of an additional process.
    pub fn plan(&self, process: &ProcessConfig) -> Result<ProcessPlan> {
        self.like_first(process, None)
    }

    /// The plan of a process with all attributes of `process`. A hook takes the place of the program in `process.args`.
    fn like_first(&self, process: &ProcessConfig, hook: Option<&HookEntry<'_>>) -> Result<ProcessPlan> {
        let mut program = Program::new();
        let everything = hook.map_or(Field::of("process"), |hook| hook.field.clone());
        let mut context = Context::new(self.config, self.facts, self.options)?;
        context.warn_of_capabilities(process);
        program.push(&everything, op::Enter::Signals);
        // config.md: execCPUAffinity is for processes of exec only.
        let ExecAffinity { initial, last } = match hook {
            None => process.extras.exec_cpu_affinity.clone(),
            Some(_) => ExecAffinity::default(),
        };
        process::affinity(&mut program, "process.execCPUAffinity.initial", initial.as_deref())?;
        on_the_hosts_proc(&mut program, &mut context, process)?;
        self.join(&mut program);
        // A hook gets no descriptors of the caller and no terminal. Its standard descriptors are pipes of the runtime.
        let preserved = if hook.is_some() { 0 } else { self.options.preserve_fds };
        let terminal = hook.is_none() && process.terminal() == Some(true);
        let filtered = Filtered::new(&context, 3 + preserved)?;
        let (own, limits) = process::limits(&context, process)?;
        let cwd = program.text(&process.cwd().to_string_lossy());
        program.push(&Field::of("process.cwd"), op::Process::Chdir { path: cwd, later: true });
        let launch = Launch::of(process, process.env().as_deref().unwrap_or_default());
        let envp = match hook {
            None => launch.environment(&mut program),
            Some(hook) => process::environment(&mut program, hook.env, hook.home),
        };
        if hook.is_none() && !terminal {
            program.push(&everything, op::Process::OwnStdio { uid: process.user().uid() });
        }
        let needs = Needs {
            filter: filtered.takes_rights(process),
            limits: !own.is_empty(),
            scheduler: !process::scheduler_outlives_fork(process),
            terminal,
        };
        let bounded = self.config.has(Kind::Pid) && process::shed(&mut program, process, needs);
        self.in_sight(&mut program, process, &everything, needs)?;
        let tail = Tail { process, filtered: &filtered, limits: &own, bounded, cpus: last.as_deref() };
        let args = Field::of("process.args");
        let end = End {
            field: &everything,
            program: if hook.is_some() { &everything } else { &args },
            envp,
            from: 3 + preserved,
            gate: false,
        };
        tail.push(&mut program, &mut context, end, |program| match hook {
            None => launch.find(program),
            Some(hook) => hook.find(program),
        })?;
        Ok(ProcessPlan {
            program: program.whole()?,
            limits,
            agent: filtered.agent(),
            preserved,
            warnings: context.warnings,
        })
    }

    /// The steps during which the container's processes see this process, from the pid namespace on.
    fn in_sight(&self, program: &mut Program, process: &ProcessConfig, field: &Field, needs: Needs) -> Result<()> {
        self.appear(program);
        if needs.scheduler {
            process::scheduler(program, process)?;
        }
        program.push(field, op::Enter::Session);
        if needs.terminal {
            process::terminal(program, process, false)?;
            program.push(field, op::Process::OwnStdio { uid: process.user().uid() });
        }
        self.keyring(program, field);
        Ok(())
    }

    fn keyring(&self, program: &mut Program, field: &Field) {
        if !self.options.no_new_keyring {
            let name = program.text(&format!("_ses.{}", self.options.id));
            program.push(field, op::Enter::Keyring { name });
        }
    }

    /// The plan that adds one mount of the config to the running container.
    pub fn add_mount(&self, index: usize) -> Result<ProcessPlan> {
        let mut context = Context::new(self.config, self.facts, self.options)?;
        context.joining = true;
        let mount = self.config.mounts().get(index);
        let mut program = self.enter_mounts(mount.is_some_and(|mount| mount.typ().as_deref() == Some("proc")))?;
        mounts::plan_living(&mut program, &mut context, index)?;
        refuse_host_paths(&program)?;
        program.push(&Field::of("mounts"), op::Talk::Ask { what: Ask::Ready });
        ProcessPlan::plain(program, context.warnings)
    }

    /// The plan that removes the mount with this id, which was last seen at this path in the container.
    pub fn remove_mount(&self, field: &Field, path: &Path, mount: u64) -> Result<ProcessPlan> {
        let mut program = self.enter_mounts(false)?;
        let target = program.text(&path.to_string_lossy());
        program.push(field, op::Mount::Unmount { target, mount });
        program.push(field, op::Talk::Ask { what: Ask::Ready });
        ProcessPlan::plain(program, Vec::new())
    }

    /// The first steps of a change of mounts. The process keeps all its rights, so it stays out of the container's pid
    /// namespace, in which the container's processes would see it. Only a mount of proc needs the pid namespace
    /// (`seen`).
    fn enter_mounts(&self, seen: bool) -> Result<Program> {
        if !self.config.has(Kind::Mount) {
            refuse!("linux.namespaces", "the container has no mount namespace of its own");
        }
        let mut program = Program::new();
        let everything = Field::of("mounts");
        program.push(&everything, op::Enter::Signals);
        self.join(&mut program);
        if seen {
            self.appear(&mut program);
        } else if self.config.has(Kind::User) {
            let (uid, gid) = self.config.root_inside().raw();
            program.push(&Field::of("linux.namespaces"), op::Enter::BecomeRoot { uid, gid, keep_groups: true });
        }
        let path = program.text("/");
        program.push(&everything, op::Rootfs::Open { path, follow: false });
        Ok(program)
    }

    /// The plan of a hook that runs in the container's namespaces, with the rights of root there or with all attributes
    /// of the container's process.
    pub fn hook(&self, hook: &HookEntry<'_>) -> Result<ProcessPlan> {
        if let HookRights::Process(process) = hook.rights {
            return self.like_first(process, Some(hook));
        }
        let mut program = Program::new();
        let field = hook.field;
        program.push(field, op::Enter::Signals);
        self.join(&mut program);
        let envp = process::environment(&mut program, hook.env, hook.home);
        self.appear(&mut program);
        program.push(field, op::Enter::Session);
        self.keyring(&mut program, field);
        if let HookRights::All { cwd, umask } = hook.rights {
            let cwd = program.text(cwd);
            program.push(field, op::Process::Chdir { path: cwd, later: false });
            program.push(field, op::Process::Umask { mask: umask });
        }
        let argv = hook.find(&mut program);
        lower_limits(&mut program, self.options, None, &[]);
        End { field, program: field, envp, from: 3, gate: false }.push(&mut program, argv);
        ProcessPlan::plain(program, Vec::new())
    }
}

/// The steps that need the host's procfs: scheduler, labels and other attributes, OOM score.
fn on_the_hosts_proc(program: &mut Program, context: &mut Context<'_>, process: &ProcessConfig) -> Result<()> {
    if process::scheduler_outlives_fork(process) {
        process::scheduler(program, process)?;
    }
    process::attributes(program, context, process)?;
    if !context.options.no_new_keyring {
        process::label_keys(program, context, process)?;
    }
    if let Some(score) = process.oom_score_adj() {
        // Engines pass the container's score. A caller without CAP_SYS_RESOURCE may not lower its own to that.
        process::write_oom_score(program, score, false);
    }
    Ok(())
}

/// Refuses a mount from a path of the host, such as a view of cgroups or a bound sysfs: in a running container the path
/// leads elsewhere.
fn refuse_host_paths(program: &Program) -> Result<()> {
    for (op, field) in program.iter() {
        if matches!(op, Op::Mount(op::Mount::Bind { .. }))
            || matches!(op, Op::Mount(op::Mount::FileSystem { instead, .. }) if *instead != Text::NONE)
        {
            refuse!(field, "cannot be mounted in a living container");
        }
    }
    Ok(())
}
