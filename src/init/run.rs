//! The main loop: one operation after the other.

use super::machine::{Init, NOT_RUN};
use super::mount::RootMounts;
use super::op::{Op, kind};
use super::sys::{self, Mapped, Stamps, Try};

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
    let Ok(stamps) = stamps(program) else { sys::exit(NOT_RUN) };
    for (index, op) in program.ops().iter().enumerate() {
        init.index = index as u32;
        if let Err(fault) = init.perform(op) {
            init.report(kind::FAILED, fault);
            sys::exit(NOT_RUN);
        }
        if let Some(stamps) = stamps {
            stamps.mark(index + 1);
        }
    }
    sys::exit(NOT_RUN)
}

/// The memory for a trace, with the time before the first operation.
fn stamps(program: Mapped) -> Try<Option<Stamps>> {
    let Some(fd) = program.stamps() else { return Ok(None) };
    let stamps = Stamps::map(fd, program.ops().len() + 1)?;
    sys::close(fd);
    stamps.mark(0);
    Ok(Some(stamps))
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
