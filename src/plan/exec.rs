//! Processes that join a container: `exec`, and hooks that run inside.

use oci_spec::runtime::{Process, Spec};

use super::Options;
use super::process::Limit;
use super::program::Program;
use super::seccomp::Agent;
use crate::host::Host;
use crate::init::op::{self, List};
use crate::spec::{Extras, Field};

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
    pub fn find(&self, program: &mut Program) -> List {
        let argv: Vec<_> = self.args.iter().map(|text| program.text(text)).collect();
        let argv = program.addresses(&argv, 0);
        let path = program.text(self.path);
        let candidates = program.texts(&[path]);
        program.push(self.field, op::Process::Find { candidates });
        argv
    }
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
