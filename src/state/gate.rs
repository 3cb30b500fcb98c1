//! The gate between create and start: a fifo that `init` holds open until it executes the user's program.
//!
//! A container waits for `start` if the fifo has a reader. The name of the fifo proves nothing: a killed `start` leaves
//! it behind.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use anyhow::{Result, anyhow, bail};
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{UnlinkatFlags, mkfifoat, unlinkat};

use super::directory::Directory;
use super::names::FIFO;
use crate::sys::{self, Call, CallError, Errno, lock};

/// The locked gate.
#[derive(Debug)]
pub struct Gate<'a> {
    directory: &'a Directory,
    fifo: File,
}

impl Directory {
    /// Create the gate, open for reading and writing: then this open does not block, and the read of `init`, which
    /// inherits the descriptor, never ends by end of file. No other process needs to open the gate for reading.
    ///
    /// # Errors
    /// The error of mkfifo(2) or open(2).
    pub fn make_gate(&self) -> Result<File> {
        let own = Mode::S_IRUSR | Mode::S_IWUSR;
        mkfifoat(self, FIFO, own).and_then(|()| self.open_fifo(OFlag::O_RDWR)).map(File::from).named(FIFO)
    }

    /// Whether `init` waits at the gate.
    ///
    /// # Errors
    /// The error of open(2), except those for a missing fifo and a fifo without a reader.
    pub fn is_gated(&self) -> Result<bool> {
        is_gated(self.as_fd(), FIFO)
    }

    /// Lock the gate while `init` waits there, so that no other command opens it. `None` if the user's program runs or
    /// has exited.
    ///
    /// # Errors
    /// Another command holds the lock; the error of open(2).
    pub fn take_gate(&self) -> Result<Option<Gate<'_>>> {
        let fifo = match self.open_fifo(OFlag::O_WRONLY | OFlag::O_NONBLOCK) {
            Ok(fifo) => File::from(fifo),
            Err(Errno::ENOENT | Errno::ENXIO) => return Ok(None),
            Err(errno) => bail!(CallError::new(FIFO, errno)),
        };
        if !lock::try_exclusive(&fifo, FIFO)? {
            bail!("another command is about to start or to delete the container");
        }
        // The previous holder of the lock may have opened the gate.
        let open = fifo.metadata().map_err(sys::io)?.nlink() == 0;
        Ok((!open).then_some(Gate { directory: self, fifo }))
    }

    fn open_fifo(&self, how: OFlag) -> Result<OwnedFd, Errno> {
        open_fifo(self.as_fd(), FIFO, how)
    }
}

fn open_fifo(directory: BorrowedFd<'_>, path: &str, how: OFlag) -> Result<OwnedFd, Errno> {
    sys::again(|| openat(directory, path, how | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty()))
}

/// [`Directory::is_gated`], by the path of the fifo below an open directory.
pub(super) fn is_gated(directory: BorrowedFd<'_>, path: &str) -> Result<bool> {
    // Most containers run and have no fifo, which fstatat(2) finds out in less than half of open(2)'s time.
    let found = fstatat(directory, path, AtFlags::AT_SYMLINK_NOFOLLOW);
    match found.and_then(|_| open_fifo(directory, path, OFlag::O_WRONLY | OFlag::O_NONBLOCK)) {
        Ok(_) => Ok(true),
        Err(Errno::ENOENT | Errno::ENXIO) => Ok(false),
        Err(errno) => bail!(CallError::new(FIFO, errno)),
    }
}

impl Gate<'_> {
    /// Let `init` execute the user's program. From now on the container is no longer `created`.
    ///
    /// # Errors
    /// `init` has exited; the error of write(2).
    pub fn open(&mut self) -> Result<()> {
        self.fifo.write_all(b"0").map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EPIPE) => anyhow!("cannot start a container that has stopped"),
            _ => CallError::new(FIFO, error).into(),
        })?;
        // If the unlink fails, the container stays `created` until `init` executes the program and so closes the fifo.
        if unlinkat(self.directory, FIFO, UnlinkatFlags::NoRemoveDir).is_err() {
            self.wait_for_program(PollTimeout::NONE)?;
        }
        Ok(())
    }

    /// Wait until the user's program runs, or until the time is up: execve(2) closes `init`'s end of the fifo, which
    /// poll(2) reports.
    ///
    /// # Errors
    /// The error of poll(2).
    pub fn wait_for_program(&self, patience: PollTimeout) -> Result<()> {
        let wait = || poll(&mut [PollFd::new(self.fifo.as_fd(), PollFlags::empty())], patience);
        sys::again(wait).map(drop).named(FIFO)
    }
}
