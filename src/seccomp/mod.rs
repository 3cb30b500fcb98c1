//! `linux.seccomp`: compiles a profile to one program for the kernel's filter.
//!
//! Everything here is pure. `rules` computes the outcome of each system call number, one architecture at a time, with
//! `names` for the numbers. `tree` combines numbers with the same outcome to intervals, and searches these by a
//! balanced tree. For calls whose arguments matter, `conditions` has the `seccompiler` crate compile the tests, and
//! links them in.
//!
//! The result follows the direct reading of the profile, which libseccomp also follows for the profiles that engines
//! write:
//! - A rule with the same action as the default is skipped, and so are names that an architecture lacks.
//! - A rule without conditions decides its calls. Of several other rules, the first one that matches decides.
//! - A rule with several conditions on one argument matches if *any* of these conditions holds, as in runc. All
//!   conditions of any other rule must hold.
//! - Calls newer than the newest one that a profile names return `ENOSYS`, so that programs fall back, unless the
//!   default is to allow, log or trace.
//! - A call of an architecture that is not listed kills the thread.
//! - `SCMP_ACT_NOTIFY` never applies to `write`: `init` reports the listener with write(2) under the filter, and before
//!   that no agent could answer.
//! - On x86 a rule without conditions also applies to its call through `socketcall` or `ipc`. A rule with conditions
//!   does not: there the arguments are in memory, which a filter cannot read.

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

/// The maximum size of a program in the kernel (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: usize = 4096;

/// The architecture that this program was built for; [`Arch::ScmpArchNative`] if this module does not know its system
/// call numbers. [`compile`] refuses that one.
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

/// The arguments of seccomp(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The instructions, each in the memory layout of `struct sock_filter` (code, jt, jf, k).
    pub program: Vec<u64>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
}

impl Filter {
    /// Whether seccomp(2) returns a listener for an agent.
    pub fn listens(&self) -> bool {
        self.flags & FLAG_NEW_LISTENER != 0
    }
}

/// Compiles a profile for a host of architecture `native`. A profile that allows everything is loaded, too:
/// `/proc/PID/status` then shows a filter, and calls of unlisted architectures are killed.
pub fn compile(profile: &LinuxSeccomp, native: Arch) -> Result<Filter> {
    let policy = rules::Policy::read(profile)?;
    let flags = flags(profile, policy.notifies())?;
    let abis = names::listed(profile.architectures().as_deref().unwrap_or_default(), native)?;
    let program = tree::program(&policy.sections(&abis))?;
    check_length(program.len())?;
    Ok(Filter { program, flags })
}

/// The names in the profile that are not a system call of any known architecture, each once. As in runc, they are
/// skipped, unless an annotation makes them an error.
pub fn unknown_names(profile: &LinuxSeccomp) -> Vec<&str> {
    let mut unknown = Vec::new();
    for name in profile.syscalls().iter().flatten().flat_map(|rule| rule.names()) {
        if !names::is_known(name) && !unknown.contains(&name.as_str()) {
            unknown.push(name.as_str());
        }
    }
    unknown
}

/// The flags for seccomp(2), without `TSYNC`: the process that loads the program has one thread.
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
