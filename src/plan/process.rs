//! `process`: identity, privileges, limits, and the program to run.

use anyhow::Result;
use oci_spec::runtime::{
    Capabilities, IOPriorityClass, LinuxMemoryPolicy, LinuxPersonality, LinuxPersonalityDomain, LinuxSchedulerPolicy,
    Process, Scheduler,
};

use super::context::Context;
use super::program::Program;
use super::rlimit::Limit;
use super::seccomp::Filtered;
use crate::init::op::{self, List};
use crate::spec::{Field, ProcessConfig, annotation, bit_list, given, refusal, refuse};
use crate::tables::{capability, memory_policy};

/// `process.rlimits`, in order: those that `init` sets, and those that the parent sets from outside. In a user namespace,
/// a new one or one that is joined, nobody may raise a hard limit.
pub fn limits(context: &Context<'_>, process: &Process) -> Result<(Vec<Limit>, Vec<Limit>)> {
    let mut limits: Vec<Limit> = Vec::new();
    for (index, limit) in process.rlimits().iter().flatten().enumerate() {
        limits.push(Limit::of(limit, &limits, &Field::item("process.rlimits", index))?);
    }
    let from_outside = context.in_user_namespace() && context.facts.caller.is_privileged();
    Ok(if from_outside { (Vec::new(), limits) } else { (limits, Vec::new()) })
}

/// Everything that needs privileges and is set before they go.
pub fn privileged_part(program: &mut Program, context: &mut Context<'_>, process: &Process) -> Result<()> {
    labels(program, context, process)?;
    if let Some(priority) = process.io_priority() {
        let field = Field::of("process.ioPriority");
        if !(0..=7).contains(&priority.priority()) {
            refuse!(field.member("priority"), "invalid ioPriority.Priority: {}", priority.priority());
        }
        let class = match priority.class() {
            IOPriorityClass::IoprioClassRt => 1,
            IOPriorityClass::IoprioClassBe => 2,
            IOPriorityClass::IoprioClassIdle => 3,
        };
        program.push(&field, op::Process::IoPriority { value: class << 13 | priority.priority() as u32 });
    }
    if let Some(personality) = context.config.personality() {
        set_personality(program, personality)?;
    }
    if let Some(policy) = context.config.memory_policy() {
        set_memory_policy(program, policy)?;
    }
    Ok(())
}

fn set_personality(program: &mut Program, personality: &LinuxPersonality) -> Result<()> {
    if personality.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        refuse!("linux.personality.flags", "none are defined");
    }
    let domain = match personality.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    };
    program.push(&Field::of("linux.personality"), op::Process::Personality { domain });
    Ok(())
}

/// LSM labels: written through procfs, and refused where the host has no such LSM.
fn labels(program: &mut Program, context: &Context<'_>, process: &Process) -> Result<()> {
    if let Some(profile) = given(process.apparmor_profile()) {
        let field = Field::of("process.apparmorProfile");
        if !context.facts.apparmor {
            refuse!(field, "unable to apply apparmor profile: AppArmor is not enabled on this host");
        }
        let (path, value) =
            (program.text("/proc/thread-self/attr/apparmor/exec"), program.text(&format!("exec {profile}")));
        program.push(&field, op::Process::Write { path, value, must: true });
    }
    if let Some(label) = given(process.selinux_label()) {
        let field = Field::of("process.selinuxLabel");
        if !context.facts.selinux {
            refuse!(field, "selinux label is specified in config, but selinux is disabled or not supported");
        }
        let (path, value) = (program.text("/proc/thread-self/attr/exec"), program.text(label));
        program.push(&field, op::Process::Write { path, value, must: true });
    }
    Ok(())
}

/// A deadline keeps its holder from forking, and what is to be reset then is lost: sched(7).
pub fn scheduler_outlives_fork(process: &ProcessConfig) -> bool {
    let deadline = LinuxSchedulerPolicy::SchedDeadline;
    let forks = |scheduler: &Scheduler| *scheduler.policy() != deadline && process.extras.scheduler_flags.is_empty();
    process.scheduler().as_ref().is_none_or(forks)
}

/// `process.scheduler`: needs rights in the host's user namespace.
pub fn scheduler(program: &mut Program, process: &ProcessConfig) -> Result<()> {
    use LinuxSchedulerPolicy::*;
    let Some(scheduler) = process.scheduler() else { return Ok(()) };
    let field = Field::of("process.scheduler");
    let policy = match scheduler.policy() {
        SchedOther => 0,
        SchedFifo => 1,
        SchedRr => 2,
        SchedBatch => 3,
        SchedIso => refuse!(field.member("policy"), "SCHED_ISO is not implemented by Linux"),
        SchedIdle => 5,
        SchedDeadline => 6,
    };
    let nice = scheduler.nice().unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        refuse!(field.member("nice"), "invalid scheduler.nice: {nice}");
    }
    let priority = scheduler.priority().unwrap_or(0);
    if priority != 0 && !matches!(policy, 1 | 2) {
        refuse!(field.member("priority"), "scheduler.priority can only be specified for SchedFIFO or SchedRR policy");
    }
    let Ok(priority) = u32::try_from(priority) else { refuse!(field.member("priority"), "{priority} is out of range") };
    let (runtime, deadline, period) =
        (scheduler.runtime().unwrap_or(0), scheduler.deadline().unwrap_or(0), scheduler.period().unwrap_or(0));
    if policy != 6 && (runtime, deadline, period) != (0, 0, 0) {
        refuse!(
            field.member("runtime"),
            "scheduler runtime/deadline/period can only be specified for SchedDeadline policy"
        );
    }
    let mut bits = 0;
    for flag in &process.extras.scheduler_flags {
        bits |= scheduler_flag(flag).ok_or_else(|| refusal!(field.member("flags"), "unknown flag \"{flag}\""))?;
    }
    program.push(&field, op::Process::Scheduler { policy, nice, priority, flags: bits, runtime, deadline, period });
    Ok(())
}

/// `SCHED_FLAG_*` of `linux/sched.h`.
fn scheduler_flag(name: &str) -> Option<u64> {
    const FLAGS: [(&str, u64); 7] = [
        ("SCHED_FLAG_RESET_ON_FORK", 0x01),
        ("SCHED_FLAG_RECLAIM", 0x02),
        ("SCHED_FLAG_DL_OVERRUN", 0x04),
        ("SCHED_FLAG_KEEP_POLICY", 0x08),
        ("SCHED_FLAG_KEEP_PARAMS", 0x10),
        ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
        ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
    ];
    FLAGS.iter().find(|(known, _)| *known == name).map(|(_, bit)| *bit)
}

fn set_memory_policy(program: &mut Program, policy: &LinuxMemoryPolicy) -> Result<()> {
    let field = Field::of("linux.memoryPolicy");
    let mode = memory_policy::mode_of(policy.mode());
    let flags = policy.flags().iter().flatten().fold(0, |flags, flag| flags | memory_policy::flag_of(*flag));
    let text = policy.nodes().as_deref().unwrap_or_default();
    let nodes =
        bit_list(text).ok_or_else(|| refusal!(field.member("nodes"), "invalid memory policy nodes \"{text}\""))?;
    let count: u32 = nodes.iter().map(|word| word.count_ones()).sum();
    match mode.nodes {
        Some(false) if count != 0 => refuse!(field.member("nodes"), "mode requires 0 nodes but got {count}"),
        Some(true) if count == 0 => refuse!(field.member("nodes"), "mode requires at least 1 node but got 0"),
        _ => {}
    }
    let nodes = program.words(if count == 0 { &[] } else { &nodes });
    program.push(&field, op::Process::MemoryPolicy { mode: mode.number | flags, nodes });
    Ok(())
}

/// Every CPU that there can be: the kernel takes those that the cpuset allows.
pub fn all_cpus(program: &mut Program, field: &Field) {
    let mask = program.words(&[u64::MAX; 16]);
    program.push(field, op::Enter::Affinity { mask });
}

/// `process.capabilities` as masks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    /// Bounding set.
    pub bounding: u64,
    /// Effective set.
    pub effective: u64,
    /// Permitted set.
    pub permitted: u64,
    /// Inheritable set.
    pub inheritable: u64,
    /// Ambient set.
    pub ambient: u64,
}

impl Masks {
    /// Names that `oci-spec` knows are all in the table.
    pub fn of(sets: &oci_spec::runtime::LinuxCapabilities) -> Masks {
        Masks {
            bounding: mask(sets.bounding()),
            effective: mask(sets.effective()),
            permitted: mask(sets.permitted()),
            inheritable: mask(sets.inheritable()),
            ambient: mask(sets.ambient()),
        }
    }
}

/// What a process that joins still needs, besides its own capabilities, once it can be seen by who lives there.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// It loads a seccomp filter, which without `no_new_privs` takes rights.
    pub filter: bool,
    /// It sets limits.
    pub limits: bool,
    /// It sets its scheduler.
    pub scheduler: bool,
    /// It opens a terminal and gives it to its user.
    pub terminal: bool,
}

/// Shed all other rights, and limit those that may come back by `execve(2)`: who lives in the pid namespace that is about to
/// be entered may be allowed to trace, and would use them. Without `capabilities` the process has all there are.
pub fn shed(program: &mut Program, process: &Process, needs: Needs) -> bool {
    const CHOWN: u64 = 1;
    const DAC_OVERRIDE: u64 = 1 << 1;
    const SETGID: u64 = 1 << 6;
    const SETUID: u64 = 1 << 7;
    const SYS_ADMIN: u64 = 1 << 21;
    const SYS_NICE: u64 = 1 << 23;
    const SYS_RESOURCE: u64 = 1 << 24;
    let Some(masks) = process.capabilities().as_ref().map(Masks::of) else { return false };
    let some = |needed: bool, rights: u64| if needed { rights } else { 0 };
    let keep = masks.effective
        | masks.permitted
        | masks.inheritable
        | masks.ambient
        | SETGID
        | SETUID
        | some(needs.filter, SYS_ADMIN)
        | some(needs.limits, SYS_RESOURCE)
        | some(needs.scheduler, SYS_NICE)
        | some(needs.terminal, CHOWN | DAC_OVERRIDE);
    let field = Field::of("process.capabilities");
    program.push(&field, op::Rights::Bounding { keep: masks.bounding });
    program.push(&field, op::Rights::Shed { keep });
    true
}

fn mask(set: &Option<Capabilities>) -> u64 {
    let number = |name: &oci_spec::runtime::Capability| {
        // The crate prints names without the prefix.
        capability::NAMES
            .iter()
            .position(|known| known.strip_prefix("CAP_") == Some(&name.to_string()) || *known == name.to_string())
    };
    set.iter().flatten().filter_map(number).fold(0, |mask, number| mask | 1 << number)
}

/// The last steps: identity, capabilities, working directory, and finding the program. The bounding set may be `bounded`
/// already.
///
/// A seccomp filter comes in between where loading it takes privileges, and at the end, by
/// [`Filtered::late`], where `no_new_privs` makes it anybody's right.
pub fn unprivileged_part(
    program: &mut Program,
    context: &mut Context<'_>,
    process: &Process,
    filtered: &Filtered,
    bounded: bool,
) -> Result<()> {
    let masks = process.capabilities().as_ref().map(Masks::of);
    let field = Field::of("process.capabilities");
    let cwd = program.text(&process.cwd().to_string_lossy());
    program.push(&Field::of("process.cwd"), op::Process::Chdir { path: cwd, later: true });
    if process.no_new_privileges() != Some(true) {
        filtered.load(program);
    }
    if let Some(masks) = masks {
        if !bounded {
            program.push(&field, op::Rights::Bounding { keep: masks.bounding });
        }
        user(program, context, process, true)?;
        let Masks { effective, permitted, inheritable, ambient, .. } = masks;
        program.push(&field, op::Rights::Capabilities { effective, permitted, inheritable, ambient });
    } else {
        // Nothing said of them: as with runc the identity alone decides. Only what init itself was
        // given on its way must not be inherited.
        let all = u64::MAX;
        program.push(&field, op::Rights::Capabilities { effective: all, permitted: all, inheritable: 0, ambient: 0 });
        user(program, context, process, false)?;
    }
    // Tried once more: the new identity may be allowed what the old one was not.
    program.push(&Field::of("process.cwd"), op::Process::Chdir { path: cwd, later: false });
    Ok(())
}

fn user(program: &mut Program, context: &mut Context<'_>, process: &Process, keep: bool) -> Result<()> {
    let user = process.user();
    let field = Field::of("process.user");
    // To the kernel this number means "leave it as it is": root would stay root.
    for (id, name) in [(user.uid(), "uid"), (user.gid(), "gid")] {
        if id == u32::MAX {
            refuse!(field.member(name), "{id} is not an id");
        }
        context.check_mapped(id, name, || field.member(name))?;
    }
    if let Some(mask) = user.umask().filter(|mask| *mask > 0o777) {
        refuse!(field.member("umask"), "{mask:o} has bits that no mask has");
    }
    // Engines always give those that the image lists: the annotation wins, as with crun.
    let kept = annotation::keeps_groups(context.config);
    let additional = if kept { &[] } else { user.additional_gids().as_deref().unwrap_or_default() };
    let denied = context.facts.denies_setgroups;
    let set_groups = context.may_set_groups() && !kept && !denied;
    if denied && !additional.is_empty() {
        context.warn(format!("{field}.additionalGids: left out, for the runtime's user namespace denies setgroups"));
    } else if !set_groups && !additional.is_empty() {
        refuse!(field.member("additionalGids"), "cannot set any additional groups in a rootless container");
    }
    for (index, id) in additional.iter().enumerate().filter(|_| set_groups) {
        context.check_mapped(*id, "gid", || Field::item("process.user.additionalGids", index))?;
    }
    let groups = program.numbers(additional);
    program.push(&field, op::Rights::User { uid: user.uid(), gid: user.gid(), groups, set_groups, keep });
    Ok(())
}

/// Environment, PATH look-up and the final `execve(2)`.
pub struct Launch<'a> {
    /// `process.args`.
    pub args: &'a [String],
    /// `process.env`.
    pub env: &'a [String],
    /// Whose HOME it is when the environment has none.
    pub uid: u32,
}

impl<'a> Launch<'a> {
    /// That of a process, in this environment.
    pub fn of(process: &'a Process, env: &'a [String]) -> Self {
        Launch { args: process.args().as_deref().unwrap_or_default(), env, uid: process.user().uid() }
    }

    /// The environment. HOME is looked up in a file that perhaps only root may read: before the process becomes the user.
    pub fn environment(&self, program: &mut Program) -> List {
        environment(program, self.env, Some(self.uid))
    }

    /// Look for the program, with the rights of the user. Gives its arguments.
    pub fn find(&self, program: &mut Program) -> List {
        let field = Field::of("process.args[0]");
        let argv: Vec<_> = self.args.iter().map(|text| program.text(text)).collect();
        let argv = program.addresses(&argv, 0);
        let path = self.env.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
        let candidates: Vec<_> = candidates(&self.args[0], path).iter().map(|path| program.text(path)).collect();
        let candidates = program.texts(&candidates);
        program.push(&field, op::Process::Find { candidates });
        argv
    }
}

/// The CPUs of a list, or all that the cpuset allows.
pub fn affinity(program: &mut Program, key: &'static str, list: Option<&str>) -> Result<()> {
    let field = Field::of(key);
    match list {
        None => all_cpus(program, &field),
        Some(list) => {
            let words = bit_list(list).ok_or_else(|| refusal!(&field, "\"{list}\" is not a list of CPUs"))?;
            let mask = program.words(&words);
            program.push(&field, op::Enter::Affinity { mask });
        }
    }
    Ok(())
}

/// The environment, with HOME of this user when it has none.
pub fn environment(program: &mut Program, env: &[String], home: Option<u32>) -> List {
    let env = last_of_each(env);
    let texts: Vec<_> = env.iter().map(|text| program.text(text)).collect();
    let home = home.filter(|_| !env.iter().any(|entry| entry.starts_with("HOME=") && entry.len() > 5));
    let envp = program.addresses(&texts, usize::from(home.is_some()));
    if let Some(uid) = home {
        program.push(&Field::of("process.env"), op::Process::Home { uid, envp, slot: texts.len() as u32 });
    }
    envp
}

/// Where a program may be: `execvp(3)` without the default path.
fn candidates(name: &str, path: Option<&str>) -> Vec<String> {
    if name.is_empty() {
        return Vec::new();
    }
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    let directories = path.unwrap_or_default().split(':').filter(|_| path.is_some());
    directories.map(|directory| format!("{}/{name}", if directory.is_empty() { "." } else { directory })).collect()
}

/// The last of several entries of one name wins; an empty HOME is none.
fn last_of_each(env: &[String]) -> Vec<&str> {
    let name = |entry: &str| entry.split_once('=').map_or(entry.len(), |(name, _)| name.len());
    let mut kept: Vec<&str> = Vec::with_capacity(env.len());
    for entry in env {
        let own = &entry[..name(entry)];
        match kept.iter_mut().find(|known| &known[..name(known)] == own) {
            Some(known) => *known = entry,
            None => kept.push(entry),
        }
    }
    kept.retain(|entry| *entry != "HOME=");
    kept
}

/// Set `process.oomScoreAdj` before anything is joined or forked: while /proc is the host's and the process its own.
pub fn write_oom_score(program: &mut Program, score: i32, must: bool) {
    let (path, value) = (program.text("/proc/self/oom_score_adj"), program.text(&score.to_string()));
    program.push(&Field::of("process.oomScoreAdj"), op::Process::Write { path, value, must });
}

/// `process.terminal`; laid over `/dev/console` where there is a mount namespace to do it in.
pub fn terminal(program: &mut Program, process: &Process, console: bool) -> Result<()> {
    if process.terminal() != Some(true) {
        return Ok(());
    }
    let cells = |name: &str, number: u64| {
        u16::try_from(number)
            .map_err(|_| refusal!(Field::of("process.consoleSize").member(name), "{number} is more than 65535"))
    };
    let (rows, columns) = match process.console_size() {
        Some(size) => (cells("height", size.height())?, cells("width", size.width())?),
        None => (0, 0),
    };
    program.push(&Field::of("process.terminal"), op::Talk::Terminal { rows, columns, console });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_in_path() {
        assert_eq!(candidates("sh", Some("/bin::/x")), ["/bin/sh", "./sh", "/x/sh"]);
        assert_eq!(candidates("/bin/sh", Some("/x")), ["/bin/sh"]);
        assert!(candidates("sh", None).is_empty());
        assert!(candidates("", Some("/bin")).is_empty());
    }

    #[test]
    fn the_last_entry_wins() {
        let env = ["A=1", "B=2", "A=3", "HOME="].map(str::to_owned);
        assert_eq!(last_of_each(&env), ["A=3", "B=2"]);
    }

    #[test]
    fn every_capability_has_a_bit() {
        let sets = serde_json::json!({"bounding": capability::NAMES.as_slice()});
        let sets: oci_spec::runtime::LinuxCapabilities = serde_json::from_value(sets).unwrap();
        assert_eq!(Masks::of(&sets).bounding, (1 << 41) - 1);
    }
}
