//! Operations that need the parent, or `start`.

use super::machine::Init;
use super::op::{Message, Talk, kind};
use super::sys::{self, Try};
use super::terminal::Terminal;

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
        let terminal = Terminal::open(self.mounts.root)?;
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
        // The parent opened it for reading and writing, so it never ends: only a byte from `start` lets this process go on.
        sys::read(fifo, &mut [0u8]).map(|_| ())
    }

    /// Give the parent the listener of a filter. Only once the agent has the listener may there be anything to ask it
    /// about, so nothing but `write(2)` comes in between. A copy left open here would have the container wait for an
    /// agent that has gone.
    pub fn listener(&self, listener: i32) -> Try<()> {
        self.say(kind::LISTENER, listener as u64)?;
        self.wait()?;
        sys::close(listener);
        Ok(())
    }
}
