//! What the operations share, and how they talk to the parent.

use core::ffi::CStr;

use super::mount::Mounts;
use super::op::{Message, kind};
use super::sys::{self, Fault, Program, Try};

/// Status of a program that could not be run, as runc gives it.
pub const NOT_RUN: i32 = 255;

/// What the operations share.
pub struct Init {
    pub program: Program,
    pub channel: i32,
    /// Number of the operation.
    pub index: u32,
    pub mounts: Mounts,
    /// The path that [`super::op::Process::Find`] found.
    pub found: &'static CStr,
    /// `execve(2)` will close what the container must not have.
    pub close_on_exec: bool,
    /// The working directory has been entered.
    pub entered: bool,
    /// The user namespace denies setgroups(2).
    pub groups_denied: bool,
    /// A seccomp filter is in force.
    pub filtered: bool,
}

impl Init {
    pub fn say(&self, kind: u32, detail: u64) -> Try<()> {
        sys::send(self.channel, &Message { kind, index: self.index, detail, ..Message::default() })
    }

    /// Tell the parent of a failure, as far as there is a parent.
    pub fn report(&self, kind: u32, fault: Fault) {
        let Fault { step, errno, detail } = fault;
        let _ = sys::send(self.channel, &Message { kind, index: self.index, step, errno, detail });
    }

    pub fn warn(&self, fault: Fault) {
        self.report(kind::WARNING, fault);
    }

    /// Wait for the parent's word; without a parent there is nothing to live for.
    pub fn wait(&self) -> Try<()> {
        sys::hear(self.channel)
    }
}
