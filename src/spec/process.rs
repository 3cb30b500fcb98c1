//! A `process`: of a config, or of `exec`.

use std::ops::{Deref, DerefMut};

use oci_spec::runtime::Process;

/// A `process`: the values that the type of `oci-spec` can hold, and separately those that it cannot.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessConfig {
    process: Process,
    /// The values that the type cannot hold.
    pub extras: ProcessExtras,
}

/// Values of a `process` that `oci_spec::runtime::Process` refuses or loses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessExtras {
    /// `process.scheduler.flags`, spelled as in the document.
    pub scheduler_flags: Vec<String>,
    /// `process.execCPUAffinity`
    pub exec_cpu_affinity: ExecAffinity,
    /// Capabilities that this program does not know. They are a warning, not an error (config.md, process).
    pub unknown_capabilities: Vec<String>,
}

/// `process.execCPUAffinity`; a member is `None` if it is absent or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecAffinity {
    /// The CPUs that the process may use before execve(2).
    pub initial: Option<String>,
    /// `final`: the CPUs that the user's program may use.
    pub last: Option<String>,
}

/// The text, unless it is absent or empty.
pub fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

impl Deref for ProcessConfig {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for ProcessConfig {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl ProcessConfig {
    pub(super) fn new(process: Process, extras: ProcessExtras) -> ProcessConfig {
        ProcessConfig { process, extras }
    }

    /// Takes restrictions and scheduling from the container's first process, if this description does not set them.
    /// Identity, environment, working directory and resource limits are never inherited.
    pub fn inherit(&mut self, first: &ProcessConfig) {
        if self.capabilities().is_none() {
            self.set_capabilities(first.capabilities().clone());
        }
        if self.no_new_privileges().is_none() {
            self.set_no_new_privileges(first.no_new_privileges());
        }
        if given(self.apparmor_profile()).is_none() {
            self.set_apparmor_profile(first.apparmor_profile().clone());
        }
        if given(self.selinux_label()).is_none() {
            self.set_selinux_label(first.selinux_label().clone());
        }
        if self.user().umask().is_none() {
            let mut user = self.user().clone();
            user.set_umask(first.user().umask());
            self.set_user(user);
        }
        if self.oom_score_adj().is_none() {
            self.set_oom_score_adj(first.oom_score_adj());
        }
        if self.io_priority().is_none() {
            self.set_io_priority(*first.io_priority());
        }
        if self.scheduler().is_none() {
            self.set_scheduler(first.scheduler().clone());
            self.extras.scheduler_flags.clone_from(&first.extras.scheduler_flags);
        }
        if self.extras.exec_cpu_affinity == ExecAffinity::default() {
            self.extras.exec_cpu_affinity.clone_from(&first.extras.exec_cpu_affinity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(text: &str) -> ProcessConfig {
        crate::spec::parse_process(text.as_bytes()).unwrap()
    }

    #[test]
    fn members_that_are_absent_are_those_of_the_first_process() {
        let first = process(
            r#"{"args": ["a"], "cwd": "/", "env": ["A=1"], "user": {"uid": 5, "gid": 6, "umask": 63, "additionalGids": [7]},
                "capabilities": {"bounding": ["CAP_KILL"]}, "noNewPrivileges": true, "oomScoreAdj": 9,
                "apparmorProfile": "p", "selinuxLabel": "l", "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}],
                "scheduler": {"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
                "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3}, "execCPUAffinity": {"initial": "1"}}"#,
        );
        let mut silent = process(r#"{"args": ["b"], "cwd": "/", "apparmorProfile": "", "execCPUAffinity": {}}"#);
        silent.inherit(&first);
        assert_eq!(silent.capabilities(), first.capabilities());
        assert_eq!(silent.no_new_privileges(), Some(true));
        assert_eq!((silent.apparmor_profile().as_deref(), silent.selinux_label().as_deref()), (Some("p"), Some("l")));
        assert_eq!((silent.user().umask(), silent.oom_score_adj()), (Some(63), Some(9)));
        assert_eq!((silent.scheduler(), silent.io_priority()), (first.scheduler(), first.io_priority()));
        assert_eq!(silent.extras.scheduler_flags, first.extras.scheduler_flags);
        assert_eq!(silent.extras.exec_cpu_affinity, first.extras.exec_cpu_affinity);
        // Identity, environment and resource limits are not inherited.
        assert_eq!((silent.user().uid(), silent.user().additional_gids()), (0, &None));
        assert_eq!((silent.env(), silent.rlimits()), (&None, &None));
    }

    #[test]
    fn members_that_are_present_stay() {
        let first = process(
            r#"{"args": ["a"], "cwd": "/", "capabilities": {"bounding": ["CAP_KILL"]}, "noNewPrivileges": true,
                "scheduler": {"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}}"#,
        );
        let mut own = process(
            r#"{"args": ["b"], "cwd": "/", "capabilities": {}, "noNewPrivileges": false,
                "scheduler": {"policy": "SCHED_OTHER"}, "execCPUAffinity": {"final": "0"}}"#,
        );
        let before = own.clone();
        own.inherit(&first);
        assert_eq!(own, before);
    }
}
