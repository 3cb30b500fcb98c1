//! `process.scheduler`.

use anyhow::Result;
use oci_spec::runtime::{LinuxSchedulerPolicy, Scheduler};

use super::super::program::Program;
use crate::init::op;
use crate::spec::{Field, ProcessConfig, refusal, refuse};

/// Whether the scheduler may be set before `init` forks. A process with SCHED_DEADLINE cannot fork, and with a flag
/// such as `SCHED_FLAG_RESET_ON_FORK` the child loses the policy (sched(7)).
pub fn scheduler_outlives_fork(process: &ProcessConfig) -> bool {
    let deadline = LinuxSchedulerPolicy::SchedDeadline;
    let forks = |scheduler: &Scheduler| *scheduler.policy() != deadline && process.extras.scheduler_flags.is_empty();
    process.scheduler().as_ref().is_none_or(forks)
}

/// `process.scheduler`. Most policies take CAP_SYS_NICE in the initial user namespace.
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
