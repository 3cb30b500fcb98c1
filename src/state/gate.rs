//! The gate between create and start: a fifo that `init` holds open for reading until the user's program runs.
//!
//! Whether a container waits for `start` is asked of the fifo's reader, not of the fifo's name: a `start` that was
//! killed leaves the name behind.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use anyhow::{Result, anyhow, bail};
use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, mkfifoat, unlinkat};

use super::directory::Directory;
use super::names::FIFO;
use crate::sys::{self, Errno, lock, reason};

/// The way in, for the one who may open it.
#[derive(Debug)]
pub struct Gate<'a> {
    directory: &'a Directory,
    fifo: File,
}

impl Directory {
    /// Make the gate. Opened for both directions, so that it neither blocks here nor ever ends for `init`, which
    /// inherits it: nobody else has to be able to open it.
    ///
    /// # Errors
    /// What mkfifo(2) or open(2) answer.
    pub fn make_gate(&self) -> Result<File> {
        let own = Mode::S_IRUSR | Mode::S_IWUSR;
        mkfifoat(self, FIFO, own).and_then(|()| self.open_fifo(OFlag::O_RDWR)).map(File::from).map_err(failed)
    }

    /// Does `init` wait at the gate?
    ///
    /// # Errors
    /// What open(2) answers, unless it says that there is no fifo or that nobody reads from it.
    pub fn is_gated(&self) -> Result<bool> {
        match self.open_fifo(OFlag::O_WRONLY | OFlag::O_NONBLOCK) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT | Errno::ENXIO) => Ok(false),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Take the gate, as long as `init` waits there: then nobody else opens it. `None` where the program runs, or has
    /// ended.
    ///
    /// # Errors
    /// Somebody else has taken it; what open(2) answers.
    pub fn take_gate(&self) -> Result<Option<Gate<'_>>> {
        let fifo = match self.open_fifo(OFlag::O_WRONLY | OFlag::O_NONBLOCK) {
            Ok(fifo) => File::from(fifo),
            Err(Errno::ENOENT | Errno::ENXIO) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        if !lock::try_exclusive(&fifo, FIFO)? {
            bail!("another command is about to start or to delete the container");
        }
        // Whoever held it before may have opened it.
        let open = fifo.metadata().map_err(sys::io)?.nlink() == 0;
        Ok((!open).then_some(Gate { directory: self, fifo }))
    }

    fn open_fifo(&self, how: OFlag) -> Result<OwnedFd, Errno> {
        sys::again(|| openat(self, FIFO, how | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty()))
    }
}

impl Gate<'_> {
    /// Let the program run. From then on the container is not `created` any more.
    ///
    /// # Errors
    /// `init` is gone; what write(2) answers.
    pub fn open(&mut self) -> Result<()> {
        self.fifo.write_all(b"0").map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EPIPE) => anyhow!("cannot start a container that has stopped"),
            _ => anyhow!("{FIFO}: {}", sys::io(error)),
        })?;
        // Where the name stays, `created` ends with the fifo's reader, which `init` is until it runs the program.
        if unlinkat(self.directory, FIFO, UnlinkatFlags::NoRemoveDir).is_err() {
            self.wait_for_program()?;
        }
        Ok(())
    }

    /// Wait until the program runs: `init` loses its end of the gate in the `execve(2)` of the user's program, and the
    /// pipe breaks.
    ///
    /// # Errors
    /// What poll(2) answers.
    pub fn wait_for_program(&self) -> Result<()> {
        let wait = || poll(&mut [PollFd::new(self.fifo.as_fd(), PollFlags::empty())], PollTimeout::NONE);
        sys::again(wait).map(drop).map_err(failed)
    }
}

fn failed(errno: Errno) -> anyhow::Error {
    anyhow!("{FIFO}: {}", reason(errno))
}
