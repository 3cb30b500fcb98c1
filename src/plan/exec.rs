//! Processes that join a container: `exec`, and hooks that run inside.

use std::path::Path;

use anyhow::{Result, bail};
use oci_spec::runtime::{LinuxNamespaceType as Kind, Process, Spec};

use super::order::{lower_limits, raise_limits};
use super::process::{self, Launch, Limit, Needs};
use super::program::{Descriptor, Program};
use super::seccomp::{Agent, Filtered};
use super::{Context, Options, annotation, has_namespace, mounts};
use crate::host::Host;
use crate::init::op::{self, Ask, List, Op, Slot, Text};
use crate::spec::{Extras, Field};
use crate::tables::namespace;

/// What is known of the container that is joined.
#[derive(Clone, Copy, Debug)]
pub struct Exec<'a> {
    /// The container's config.
    pub spec: &'a Spec,
    /// What the types of the config cannot hold.
    pub extras: &'a Extras,
    /// This host.
    pub host: &'a Host,
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
    /// What `init` does.
    pub program: Program,
    /// Limits that the parent sets.
    pub limits: Vec<Limit>,
    /// Who gets the listener of the seccomp filter.
    pub agent: Option<Agent>,
    /// How many descriptors from 3 on are the caller's, for the process.
    pub preserved: u32,
    /// What is not as asked.
    pub warnings: Vec<String>,
}

/// What a further process takes over from the container's first one where its own description is silent: what limits it
/// and how it is scheduled. Identity, environment, directory and resource limits are its own.
pub fn inherit(process: &mut Process, extras: &mut Extras, first: &Process, of_first: &Extras) {
    let said = |label: &Option<String>| label.as_ref().is_some_and(|label| !label.is_empty());
    if process.capabilities().is_none() {
        process.set_capabilities(first.capabilities().clone());
    }
    if process.no_new_privileges().is_none() {
        process.set_no_new_privileges(first.no_new_privileges());
    }
    if !said(process.apparmor_profile()) {
        process.set_apparmor_profile(first.apparmor_profile().clone());
    }
    if !said(process.selinux_label()) {
        process.set_selinux_label(first.selinux_label().clone());
    }
    if process.user().umask().is_none() {
        let mut user = process.user().clone();
        user.set_umask(first.user().umask());
        process.set_user(user);
    }
    if process.oom_score_adj().is_none() {
        process.set_oom_score_adj(first.oom_score_adj());
    }
    if process.io_priority().is_none() {
        process.set_io_priority(*first.io_priority());
    }
    if process.scheduler().is_none() {
        process.set_scheduler(first.scheduler().clone());
        extras.scheduler_flags.clone_from(&of_first.scheduler_flags);
    }
    if extras.exec_cpu_affinity == (None, None) {
        extras.exec_cpu_affinity.clone_from(&of_first.exec_cpu_affinity);
    }
}

/// The host's view of which namespaces there are to join: all that the config names.
fn flags(spec: &Spec) -> u32 {
    let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    list.into_iter().flatten().fold(0, |flags, entry| flags | namespace::of(entry.typ()).flag)
}

impl Exec<'_> {
    /// Join the container, but for its pid namespace: nobody in there sees this process yet.
    fn join(&self, program: &mut Program) {
        let field = Field::of("linux.namespaces");
        if self.attaches_late {
            program.push(&field, op::Talk::Wait);
        }
        program.push(&field, op::Enter::Undumpable);
        let flags = flags(self.spec);
        if flags != 0 {
            let Slot(slot) = program.slot(Descriptor::Process);
            let list = program.pairs(&[(slot, flags)]);
            program.push(&field, op::Enter::Join { list });
        }
        if !has_namespace(self.spec, Kind::Mount) {
            let path = program.text(&format!("/proc/{}/root", self.pid));
            program.push(&Field::of("root.path"), op::Mount::RootDirectory { path, follow: true });
            program.push(&Field::of("root.path"), op::Mount::Chroot);
        }
    }

    /// Enter the pid namespace. From now on who lives there sees this process, through it what it has open (CVE-2016-9962),
    /// and where he may trace, has its rights.
    fn appear(&self, program: &mut Program) {
        let field = Field::of("linux.namespaces");
        if has_namespace(self.spec, Kind::Pid) {
            program.push(&field, op::Enter::Fork { flags: 0 });
        }
        if has_namespace(self.spec, Kind::User) {
            let (uid, gid) = super::root_inside(self.spec);
            program.push(&field, op::Enter::BecomeRoot { uid, gid, keep_groups: annotation::keeps_groups(self.spec) });
        }
    }

    /// The program of an additional process.
    pub fn plan(&self, process: &Process) -> Result<ProcessPlan> {
        self.like_first(process, None)
    }

    /// The program of a process with all that `process` says, or of a hook in place of the process's own program.
    fn like_first(&self, process: &Process, hook: Option<&HookEntry<'_>>) -> Result<ProcessPlan> {
        let mut program = Program::new();
        let everything = hook.map_or(Field::of("process"), |hook| hook.field.clone());
        let mut context = Context::new(self.spec, self.extras, self.host, self.options)?;
        program.push(&everything, op::Enter::Signals);
        // `execCPUAffinity` is for exec alone.
        let (initial, last) = match hook {
            None => (self.extras.exec_cpu_affinity.0.as_deref(), self.extras.exec_cpu_affinity.1.as_deref()),
            Some(_) => (None, None),
        };
        affinity(&mut program, "process.execCPUAffinity.initial", initial)?;
        // While /proc is still the host's: labels and priorities.
        let early = process::scheduler_outlives_fork(process, self.extras);
        if early {
            process::scheduler(&mut program, process, self.extras)?;
        }
        process::privileged_part(&mut program, &mut context, process)?;
        if let Some(score) = process::oom_score(Some(process)) {
            // Engines hand the container's own score on, which a caller of less may not lower his to.
            process::write_oom_score(&mut program, score, false);
        }
        self.join(&mut program);
        // A hook has no descriptors of the caller's, no terminal, and as standard descriptors pipes of the runtime's.
        let preserved = if hook.is_some() { 0 } else { self.options.preserve_fds };
        let terminal = hook.is_none() && process.terminal() == Some(true);
        let stdio = hook.is_none().then(|| op::Process::OwnStdio { uid: process.user().uid() });
        let filtered = Filtered::new(&context, 3 + preserved)?;
        let (own, limits) = process::limits(&context, process)?;
        let cwd = program.text(&process.cwd().to_string_lossy());
        program.push(&Field::of("process.cwd"), op::Process::Chdir { path: cwd, later: true });
        let launch = Launch {
            args: process.args().as_deref().unwrap_or_default(),
            env: process.env().as_deref().unwrap_or_default(),
            uid: process.user().uid(),
        };
        let envp = match hook {
            None => launch.environment(&mut program),
            Some(hook) => process::environment(&mut program, hook.env, hook.home),
        };
        if let Some(stdio) = stdio.filter(|_| !terminal) {
            program.push(&everything, stdio);
        }
        let needs =
            Needs { filter: filtered.takes_rights(process), limits: !own.is_empty(), scheduler: !early, terminal };
        let bounded = has_namespace(self.spec, Kind::Pid) && process::shed(&mut program, process, needs);
        self.appear(&mut program);
        if !early {
            process::scheduler(&mut program, process, self.extras)?;
        }
        program.push(&everything, op::Enter::Session);
        if terminal {
            process::terminal(&mut program, process, false)?;
            program.push(&everything, op::Process::OwnStdio { uid: process.user().uid() });
        }
        self.keyring(&mut program, &everything);
        program.push(
            &Field::of("process.user.umask"),
            op::Process::Umask { mask: process.user().umask().unwrap_or(0o022) },
        );
        raise_limits(&mut program, &own);
        if process.no_new_privileges() == Some(true) {
            program.push(&Field::of("process.noNewPrivileges"), op::Process::NoNewPrivileges);
        }
        process::unprivileged_part(&mut program, &mut context, process, &filtered, bounded)?;
        let argv = match hook {
            None => launch.find(&mut program),
            Some(hook) => hook.find(&mut program),
        };
        if last.is_some() {
            affinity(&mut program, "process.execCPUAffinity.final", last)?;
        }
        lower_limits(&mut program, self.options, Some(process), &own);
        filtered.late(&mut program, process);
        program.push(&everything, op::Talk::Ask { what: Ask::Ready });
        program.push(&everything, op::Process::Close { from: 3 + preserved });
        let field = if hook.is_some() { everything } else { Field::of("process.args") };
        program.push(&field, op::Process::Exec { argv, envp });
        Ok(ProcessPlan { program, limits, agent: filtered.agent(), preserved, warnings: context.warnings })
    }

    fn keyring(&self, program: &mut Program, field: &Field) {
        if !self.options.no_new_keyring {
            let name = program.text(&format!("_ses.{}", self.options.id));
            program.push(field, op::Enter::Keyring { name });
        }
    }

    /// The program that adds one mount of the config to the living container.
    pub fn add_mount(&self, index: usize) -> Result<ProcessPlan> {
        let mut context = Context::new(self.spec, self.extras, self.host, self.options)?;
        context.joining = true;
        let mount = self.spec.mounts().as_ref().and_then(|mounts| mounts.get(index));
        let mut program = self.enter_mounts(mount.is_some_and(|mount| mount.typ().as_deref() == Some("proc")))?;
        mounts::plan_living(&mut program, &mut context, index)?;
        refuse_what_is_the_host_s(&program)?;
        program.push(&Field::of("mounts"), op::Talk::Ask { what: Ask::Ready });
        Ok(ProcessPlan { program, limits: Vec::new(), agent: None, preserved: 0, warnings: context.warnings })
    }

    /// The program that takes away the mount with this id, last seen at this path of the container.
    pub fn remove_mount(&self, field: &Field, path: &Path, mount: u64) -> Result<ProcessPlan> {
        let mut program = self.enter_mounts(false)?;
        let target = program.text(&path.to_string_lossy());
        program.push(field, op::Mount::Unmount { target, mount });
        program.push(field, op::Talk::Ask { what: Ask::Ready });
        Ok(ProcessPlan { program, limits: Vec::new(), agent: None, preserved: 0, warnings: Vec::new() })
    }

    /// It keeps all rights, so nobody in the container is to see it, unless it mounts a procfs, which is the pid namespace's.
    fn enter_mounts(&self, seen: bool) -> Result<Program> {
        if !has_namespace(self.spec, Kind::Mount) {
            bail!("linux.namespaces: the container has no mount namespace of its own");
        }
        let mut program = Program::new();
        let everything = Field::of("mounts");
        program.push(&everything, op::Enter::Signals);
        self.join(&mut program);
        if seen {
            self.appear(&mut program);
        } else if has_namespace(self.spec, Kind::User) {
            let (uid, gid) = super::root_inside(self.spec);
            program.push(&Field::of("linux.namespaces"), op::Enter::BecomeRoot { uid, gid, keep_groups: true });
        }
        let path = program.text("/");
        program.push(&everything, op::Mount::RootDirectory { path, follow: false });
        Ok(program)
    }

    /// The program of a hook that runs inside the container's namespaces: as root there with all the rights that namespaces
    /// give, or in all respects as the container's process.
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
        program.push(field, op::Talk::Ask { what: Ask::Ready });
        program.push(field, op::Process::Close { from: 3 });
        program.push(field, op::Process::Exec { argv, envp });
        Ok(ProcessPlan { program, limits: Vec::new(), agent: None, preserved: 0, warnings: Vec::new() })
    }
}

/// Views of cgroups, and a sysfs that is bound, are made of paths of the host, which only a container
/// in the making sees.
fn refuse_what_is_the_host_s(program: &Program) -> Result<()> {
    for (op, field) in program.iter() {
        if matches!(op, Op::Mount(op::Mount::Bind { .. }))
            || matches!(op, Op::Mount(op::Mount::FileSystem { instead, .. }) if *instead != Text::NONE)
        {
            bail!("{field}: cannot be mounted in a living container");
        }
    }
    Ok(())
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
    /// What it may do.
    pub rights: HookRights<'a>,
}

/// What a hook inside may do.
#[derive(Clone, Copy, Debug)]
pub enum HookRights<'a> {
    /// All that root of the namespaces may.
    All {
        /// The working directory.
        cwd: &'a str,
        /// The mask of files that it makes.
        umask: u32,
    },
    /// What the container's process may. It has all else of the process, too: mask, limits, scheduling, labels.
    Process(&'a Process),
}

impl HookEntry<'_> {
    /// Look for the hook's program. Gives its arguments.
    fn find(&self, program: &mut Program) -> List {
        let argv: Vec<_> = self.args.iter().map(|text| program.text(text)).collect();
        let argv = program.addresses(&argv, 0);
        let path = program.text(self.path);
        let candidates = program.texts(&[path]);
        program.push(self.field, op::Process::Find { candidates });
        argv
    }
}

fn affinity(program: &mut Program, key: &'static str, list: Option<&str>) -> Result<()> {
    let field = Field::of(key);
    match list {
        None => process::all_cpus(program, &field),
        Some(list) => {
            let words =
                process::bit_list(list).ok_or_else(|| anyhow::anyhow!("{field}: \"{list}\" is not a list of CPUs"))?;
            let mask = program.words(&words);
            program.push(&field, op::Enter::Affinity { mask });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(text: &str) -> (Process, Extras) {
        crate::spec::parse_process(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_not_said_is_the_first_ones() {
        let (first, of_first) = process(
            r#"{"args": ["a"], "cwd": "/", "env": ["A=1"], "user": {"uid": 5, "gid": 6, "umask": 63, "additionalGids": [7]},
                "capabilities": {"bounding": ["CAP_KILL"]}, "noNewPrivileges": true, "oomScoreAdj": 9,
                "apparmorProfile": "p", "selinuxLabel": "l", "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}],
                "scheduler": {"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
                "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3}, "execCPUAffinity": {"initial": "1"}}"#,
        );
        let (mut silent, mut extras) =
            process(r#"{"args": ["b"], "cwd": "/", "apparmorProfile": "", "execCPUAffinity": {}}"#);
        inherit(&mut silent, &mut extras, &first, &of_first);
        assert_eq!(silent.capabilities(), first.capabilities());
        assert_eq!(silent.no_new_privileges(), Some(true));
        assert_eq!((silent.apparmor_profile().as_deref(), silent.selinux_label().as_deref()), (Some("p"), Some("l")));
        assert_eq!((silent.user().umask(), silent.oom_score_adj()), (Some(63), Some(9)));
        assert_eq!((silent.scheduler(), silent.io_priority()), (first.scheduler(), first.io_priority()));
        assert_eq!(
            (&extras.scheduler_flags, &extras.exec_cpu_affinity),
            (&of_first.scheduler_flags, &of_first.exec_cpu_affinity)
        );
        // What it is, and not how it is limited, is its own.
        assert_eq!((silent.user().uid(), silent.user().additional_gids()), (0, &None));
        assert_eq!((silent.env(), silent.rlimits()), (&None, &None));
    }

    #[test]
    fn what_is_said_stays() {
        let (first, of_first) = process(
            r#"{"args": ["a"], "cwd": "/", "capabilities": {"bounding": ["CAP_KILL"]}, "noNewPrivileges": true,
                "scheduler": {"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}}"#,
        );
        let (mut own, mut extras) = process(
            r#"{"args": ["b"], "cwd": "/", "capabilities": {}, "noNewPrivileges": false,
                "scheduler": {"policy": "SCHED_OTHER"}, "execCPUAffinity": {"final": "0"}}"#,
        );
        let (said, of_own) = (own.clone(), extras.clone());
        inherit(&mut own, &mut extras, &first, &of_first);
        assert_eq!((own, extras), (said, of_own));
    }
}
