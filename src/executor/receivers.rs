//! Who gets the descriptors of a new process: `--console-socket` and `--pidfd-socket`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, anyhow};

use super::relay::Terminal;
use crate::sys::{self, reason};

/// The sockets, connected before anything is made: a wrong name costs nothing then.
#[derive(Debug, Default)]
pub struct Receivers {
    console: Option<UnixStream>,
    /// With who names each.
    pidfd: Vec<(&'static str, UnixStream)>,
}

impl Receivers {
    /// Connect to the sockets at these paths; those for a handle come with who names them.
    pub fn connect<'a>(
        console: Option<&str>,
        pidfd: impl IntoIterator<Item = (&'static str, &'a str)>,
    ) -> Result<Receivers> {
        let connect = |path: &str, what: &str| {
            UnixStream::connect(path).map_err(sys::io).with_context(|| format!("{what}: connect to {path}"))
        };
        let console = console.map(|path| connect(path, "--console-socket")).transpose()?;
        let pidfd = pidfd.into_iter().map(|(name, path)| Ok((name, connect(path, name)?))).collect::<Result<_>>()?;
        Ok(Receivers { console, pidfd })
    }

    /// Hand the terminal out. When nobody waits for it, it is for the caller to sit at.
    pub fn terminal(&self, terminal: OwnedFd) -> Result<Option<Terminal>> {
        let Some(socket) = &self.console else { return Terminal::new(terminal).map(Some) };
        // runc names the file that it has opened, which in the container is always this one.
        give(socket, "/dev/ptmx", terminal.as_fd()).context("--console-socket")?;
        Ok(None)
    }

    /// Hand out the handle of a process, `kind` being `standard` or `setns`.
    pub fn process(&self, kind: &str, pidfd: BorrowedFd<'_>) -> Result<()> {
        self.pidfd.iter().try_for_each(|(name, socket)| give(socket, kind, pidfd).context(*name))
    }
}

/// One message with exactly one descriptor, which is all that receivers accept.
fn give(socket: &UnixStream, text: &str, descriptor: BorrowedFd<'_>) -> Result<()> {
    let sent = sys::socket::send(socket.as_fd(), text.as_bytes(), descriptor);
    sent.map(drop).map_err(|errno| anyhow!("sendmsg: {}", reason(errno)))
}
