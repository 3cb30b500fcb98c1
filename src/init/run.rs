//! The main loop: one operation after the other.

use super::machine::{Init, NOT_RUN};
use super::mount::RootMounts;
use super::op::{Op, kind};
use super::sys::{self, Mapped, Try};

/// Carry out the operations in the program at `offset` of `fd`, which is `length` bytes long.
pub fn run(fd: i32, offset: usize, length: usize) -> ! {
    let Ok(program) = Mapped::map(fd, offset, length) else { sys::exit(NOT_RUN) };
    sys::close(fd);
    sys::umask(0);
    let mut init = Init {
        program,
        channel: program.channel(),
        index: 0,
        mounts: RootMounts::new(program),
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
            Op::Rootfs(op) => self.rootfs(op),
            Op::Mount(op) => self.mount(op),
            Op::Entry(op) => self.entry(op),
            Op::Process(op) => self.process(op),
            Op::Rights(op) => self.rights(op),
            Op::Talk(op) => self.talk(op),
        }
    }
}
