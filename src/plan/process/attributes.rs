//! Attributes of the process that it keeps across `execve(2)`: LSM labels, priorities, personality, memory policy.

use anyhow::Result;
use oci_spec::runtime::{IOPriorityClass, LinuxMemoryPolicy, LinuxPersonality, LinuxPersonalityDomain, Process};

use super::super::context::Context;
use super::super::program::Program;
use crate::init::op;
use crate::spec::{Field, bit_list, given, refusal, refuse};
use crate::tables::memory_policy;

/// Sets the attributes, while the process still has its privileges and `/proc` still is the right procfs for labels.
pub fn attributes(program: &mut Program, context: &mut Context<'_>, process: &Process) -> Result<()> {
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

/// Gives the keys that `init` makes the SELinux label of the process, which may not use a keyring with the runtime's
/// label.
pub fn label_keys(program: &mut Program, context: &Context<'_>, process: &Process) -> Result<()> {
    let Some(label) = selinux_label(context, process)? else { return Ok(()) };
    let (path, value) = (program.text("/proc/thread-self/attr/keycreate"), program.text(label));
    program.push(&Field::of("process.selinuxLabel"), op::Process::Write { path, value, must: true });
    Ok(())
}

/// `process.selinuxLabel`
fn selinux_label<'a>(context: &Context<'_>, process: &'a Process) -> Result<Option<&'a str>> {
    let label = given(process.selinux_label());
    if label.is_some() && !context.facts.selinux {
        refuse!(
            "process.selinuxLabel",
            "selinux label is specified in config, but selinux is disabled or not supported"
        );
    }
    Ok(label)
}

/// Writes the LSM labels to procfs. A label for an LSM that the host does not have is refused.
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
    if let Some(label) = selinux_label(context, process)? {
        let (path, value) = (program.text("/proc/thread-self/attr/exec"), program.text(label));
        program.push(&Field::of("process.selinuxLabel"), op::Process::Write { path, value, must: true });
    }
    Ok(())
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

/// Writes `process.oomScoreAdj`. This must come before namespaces are joined and before a fork, while `/proc/self` of
/// the host's procfs still is this process.
pub fn write_oom_score(program: &mut Program, score: i32, must: bool) {
    let (path, value) = (program.text("/proc/self/oom_score_adj"), program.text(&score.to_string()));
    program.push(&Field::of("process.oomScoreAdj"), op::Process::Write { path, value, must });
}
