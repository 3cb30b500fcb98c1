//! Operations that wait for the runtime or for `start`.

use super::machine::Init;
use super::op::{Message, Talk, kind};
use super::sys::{self, Try};
use super::terminal::Pty;

impl Init {
    pub fn talk(&self, op: &Talk) -> Try<()> {
        match *op {
            Talk::Wait => self.wait(),
            Talk::Ask { what } => {
                self.say(kind::ASK, what as u64)?;
                self.wait()
            }
            Talk::Terminal { rows, columns, console } => self.terminal(rows, columns, console),
            Talk::Gate { fifo, from } => self.gate(self.program.slot(fifo.0), from),
        }
    }

    fn terminal(&self, rows: u16, columns: u16, console: bool) -> Try<()> {
        let terminal = Pty::open(self.mounts.root)?;
        if console {
            terminal.console(self.mounts.root)?;
        }
        terminal.take(rows, columns)?;
        let message = Message { kind: kind::TERMINAL, index: self.index, ..Message::default() };
        sys::send_descriptor(self.channel, &message, terminal.master.0)
    }

    fn gate(&self, fifo: i32, from: u32) -> Try<()> {
        if fifo as u32 > from {
            self.close(from, fifo as u32 - 1)?;
        }
        self.close(fifo as u32 + 1, u32::MAX)?;
        // The runtime opened the fifo for reading and writing, so this read never ends by end of file, but only by the
        // byte that `start` writes.
        sys::read(fifo, &mut [0u8]).map(|_| ())
    }

    /// Send the listener of a filter to the runtime. Until the agent has the listener, every system call that the
    /// filter passes to the agent hangs, so this code makes only `write(2)` and `read(2)`. Then it closes its copy of
    /// the listener: with an open copy, the container would wait for an agent that has exited.
    pub fn listener(&self, listener: i32) -> Try<()> {
        self.say(kind::LISTENER, listener as u64)?;
        self.wait()?;
        sys::close(listener);
        Ok(())
    }
}
