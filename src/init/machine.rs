//! The machine: one operation after the other.

use core::ffi::CStr;

use super::mount::Mounts;
use super::op::{Message, Op, kind};
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

/// Carry out the operations that `fd` holds from `offset` on, in `length` bytes.
pub fn run(fd: i32, offset: usize, length: usize) -> ! {
    let Ok(program) = Program::map(fd, offset, length) else { sys::exit(NOT_RUN) };
    sys::close(fd);
    sys::umask(0);
    let mut init = Init {
        program,
        channel: program.channel(),
        index: 0,
        mounts: Mounts::new(program),
        found: c"",
        close_on_exec: false,
        entered: false,
        groups_denied: false,
        filtered: false,
    };
    for (index, op) in program.ops().iter().enumerate() {
        init.index = index as u32;
        if let Err(fault) = init.perform(op) {
            init.report(kind::FAILED, fault);
            sys::exit(NOT_RUN);
        }
    }
    sys::exit(NOT_RUN)
}

impl Init {
    fn perform(&mut self, op: &Op) -> Try<()> {
        match op {
            Op::Enter(op) => self.enter(op),
            Op::Mount(op) => self.mount(op),
            Op::Process(op) => self.process(op),
            Op::Talk(op) => self.talk(op),
        }
    }

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
}
