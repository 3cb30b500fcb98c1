//! The state of the program, and messages to the runtime.

use core::ffi::CStr;

use super::mount::RootMounts;
use super::op::{Message, kind};
use super::sys::{self, Fault, Mapped, Try};

/// Exit status if the program could not be run; runc's is the same.
pub const NOT_RUN: i32 = 255;

/// The state that the operations share.
pub struct Init {
    pub program: Mapped,
    pub channel: i32,
    pub index: u32,
    pub mounts: RootMounts,
    /// The path that [`super::op::Process::Find`] found.
    pub found: &'static CStr,
    /// Whether `execve(2)` closes the descriptors that the container must not have.
    pub close_on_exec: bool,
    /// Whether the working directory has been entered.
    pub entered: bool,
    /// Whether the user namespace denies setgroups(2).
    pub groups_denied: bool,
    /// Whether a seccomp filter is in force.
    pub filtered: bool,
}

impl Init {
    pub fn say(&self, kind: u32, detail: u64) -> Try<()> {
        sys::send(self.channel, &Message { kind, index: self.index, detail, ..Message::default() })
    }

    /// Report a fault to the runtime. If the runtime has exited, the report is lost.
    pub fn report(&self, kind: u32, fault: Fault) {
        let Fault { step, errno, detail } = fault;
        let _ = sys::send(self.channel, &Message { kind, index: self.index, step, errno, detail });
    }

    pub fn warn(&self, fault: Fault) {
        self.report(kind::WARNING, fault);
    }

    /// Wait for the runtime. If the runtime has exited, this fails and `init` exits.
    pub fn wait(&self) -> Try<()> {
        sys::hear(self.channel)
    }
}
