//! `linux.seccomp`: from the profile to one program for the kernel's filter.
//!
//! Everything here is pure. The road is `rules` (what the profile says of each system call
//! number, one architecture at a time, with `names` for the numbers), then `tree` (numbers
//! with the same outcome become intervals, searched by a balanced tree), with `conditions` for
//! the calls whose arguments matter: those are compiled by the `seccompiler` crate and linked in.
//!
//! The result follows the plain reading of the profile, which is also what libseccomp does with
//! the profiles engines write:
//! - a rule with the default's action is skipped, and so are names that an architecture lacks;
//! - a rule without conditions decides its calls; among others the first that matches does;
//! - a rule with several conditions on one argument holds when *any* of its conditions does, as
//!   runc has it; all conditions of any other rule must hold;
//! - calls newer than the newest one a profile names answer `ENOSYS`, so that programs fall back,
//!   unless the default is to allow, log or trace;
//! - calls of an architecture that is not listed kill the thread;
//! - the agent of `SCMP_ACT_NOTIFY` is never asked about `write`: it gets its listener by a word that
//!   `init` writes under the filter, so there would be nobody to answer;
//! - on x86 a rule without conditions also meets its call behind `socketcall` or `ipc`; one with
//!   conditions does not, for the arguments lie in memory there, where a filter cannot look.

mod conditions;
mod instruction;
mod names;
mod rules;
#[cfg(test)]
mod tests;
mod tree;

use anyhow::Result;
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompFilterFlag};

use crate::spec::{Field, refuse};
use crate::tables::seccomp::{FLAG_LOG, FLAG_NEW_LISTENER, FLAG_SPEC_ALLOW, FLAG_WAIT_KILLABLE_RECV};

/// The largest program the kernel takes (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: usize = 4096;

/// The architecture that this program was built for; [`Arch::ScmpArchNative`] if its system call numbers are unknown
/// here, which [`compile`] refuses.
pub const NATIVE: Arch = if cfg!(target_arch = "x86_64") {
    Arch::ScmpArchX86_64
} else if cfg!(target_arch = "x86") {
    Arch::ScmpArchX86
} else if cfg!(target_arch = "aarch64") {
    Arch::ScmpArchAarch64
} else if cfg!(target_arch = "arm") {
    Arch::ScmpArchArm
} else if cfg!(target_arch = "riscv64") {
    Arch::ScmpArchRiscv64
} else {
    Arch::ScmpArchNative
};

/// What seccomp(2) is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The instructions, each a `struct sock_filter` (code, jt, jf, k) as it lies in memory.
    pub program: Vec<u64>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
}

impl Filter {
    /// Does seccomp(2) return a listener for an agent?
    pub fn listens(&self) -> bool {
        self.flags & FLAG_NEW_LISTENER != 0
    }
}

/// Compiles a profile for a host of architecture `native`. A profile that allows everything is loaded too: so
/// `/proc/PID/status` shows a filter, and ABIs that are not listed are killed.
pub fn compile(profile: &LinuxSeccomp, native: Arch) -> Result<Filter> {
    let policy = rules::Policy::read(profile)?;
    let flags = flags(profile, policy.notifies())?;
    let abis = names::listed(profile.architectures().as_deref().unwrap_or_default(), native)?;
    let program = tree::program(&policy.sections(&abis))?;
    check_length(program.len())?;
    Ok(Filter { program, flags })
}

/// Names in the profile that are no system call of a known architecture, each once. They are skipped, as in runc,
/// unless an annotation makes them an error.
pub fn unknown_names(profile: &LinuxSeccomp) -> Vec<&str> {
    let mut unknown = Vec::new();
    for name in profile.syscalls().iter().flatten().flat_map(|rule| rule.names()) {
        if !names::is_known(name) && !unknown.contains(&name.as_str()) {
            unknown.push(name.as_str());
        }
    }
    unknown
}

/// The flags for seccomp(2). `TSYNC` is left out: the process that loads the program has one thread.
fn flags(profile: &LinuxSeccomp, notifies: bool) -> Result<u32> {
    let listener = if notifies { FLAG_NEW_LISTENER } else { 0 };
    let Some(listed) = profile.flags() else { return Ok(FLAG_SPEC_ALLOW | listener) };
    let mut flags = listener;
    for (index, flag) in listed.iter().enumerate() {
        flags |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FLAG_SPEC_ALLOW,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv if notifies => FLAG_WAIT_KILLABLE_RECV,
            LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                refuse!(
                    Field::item("linux.seccomp.flags", index),
                    "{flag} is for SCMP_ACT_NOTIFY, which no rule asks for"
                )
            }
        };
    }
    Ok(flags)
}

fn check_length(length: usize) -> Result<()> {
    if length > MAX_INSTRUCTIONS {
        refuse!("linux.seccomp", "program of {length} instructions is over the kernel's limit of {MAX_INSTRUCTIONS}");
    }
    Ok(())
}
