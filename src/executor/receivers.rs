//! Who gets the descriptors of a new process: `--console-socket`, `--pidfd-socket` and `run.oci.pidfd_receiver`.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Result, anyhow};

use super::relay::Terminal;
use crate::sys::{self, reason};

/// The sockets, connected before anything is made: a wrong name costs nothing then.
#[derive(Debug, Default)]
pub struct Receivers {
    console: Option<Receiver>,
    pidfd: Vec<Receiver>,
}

/// A socket, and the option or annotation that names it.
#[derive(Debug)]
struct Receiver {
    named_by: &'static str,
    socket: UnixStream,
}

impl Receivers {
    /// Connect to the sockets at these paths; those for the handle of the process come with what names them.
    pub fn connect<'a>(
        console: Option<&str>,
        pidfd: impl IntoIterator<Item = (&'static str, &'a str)>,
    ) -> Result<Receivers> {
        let console = console.map(|path| Receiver::connect("--console-socket", path)).transpose()?;
        let pidfd = pidfd.into_iter().map(|(name, path)| Receiver::connect(name, path)).collect::<Result<_>>()?;
        Ok(Receivers { console, pidfd })
    }

    /// Hand the terminal out. When nobody waits for it, it is for the caller to sit at.
    pub fn terminal(&self, terminal: OwnedFd) -> Result<Option<Terminal>> {
        let Some(receiver) = &self.console else { return Terminal::new(terminal).map(Some) };
        // runc names the file that it has opened, which in the container is always this one.
        receiver.give("/dev/ptmx", terminal.as_fd())?;
        Ok(None)
    }

    /// Hand out the handle of a process, `kind` being `standard` or `setns`.
    pub fn process(&self, kind: &str, pidfd: BorrowedFd<'_>) -> Result<()> {
        self.pidfd.iter().try_for_each(|receiver| receiver.give(kind, pidfd))
    }
}

impl Receiver {
    fn connect(named_by: &'static str, path: &str) -> Result<Receiver> {
        let socket = sys::socket::connect(OsStr::new(path), UnixStream::connect_addr)
            .map_err(|error| anyhow!("{named_by}: connect to {path}: {}", sys::io(error)))?;
        Ok(Receiver { named_by, socket })
    }

    /// One message with exactly one descriptor, which is all that receivers accept.
    fn give(&self, text: &str, descriptor: BorrowedFd<'_>) -> Result<()> {
        let sent = sys::socket::send(self.socket.as_fd(), text.as_bytes(), descriptor);
        sent.map(drop).map_err(|errno| anyhow!("{}: sendmsg: {}", self.named_by, reason(errno)))
    }
}
