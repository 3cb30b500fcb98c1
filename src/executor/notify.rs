//! `NOTIFY_SOCKET`: tells the service manager that a container is ready (sd_notify(3)).
//!
//! The container gets a socket of its own. The runtime forwards only `READY=`: other messages of the protocol can name
//! processes, extend timeouts and store descriptors.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use anyhow::Result;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::sys::{self, Call, CallError, Errno};

/// The time for the service manager to read the messages, in milliseconds.
const PATIENCE: u16 = 30_000;
const SOCKET: &str = "notify.sock";

/// The container's socket, and a connection to the service manager.
#[derive(Debug)]
pub struct Notify {
    inside: UnixDatagram,
    manager: UnixDatagram,
}

impl Notify {
    /// Connects to the manager's socket.
    ///
    /// # Errors
    /// The manager does not listen.
    pub fn reach(manager: &OsStr) -> Result<UnixDatagram> {
        let socket = UnixDatagram::unbound().named("NOTIFY_SOCKET: socket")?;
        sys::socket::connect(manager, |address| socket.connect_addr(address))
            .named(format_args!("NOTIFY_SOCKET: connect to {}", manager.display()))?;
        Ok(socket)
    }

    /// Creates the container's socket in this directory.
    ///
    /// # Errors
    /// The directory does not exist or is not writable.
    pub fn bind(directory: &Path, manager: UnixDatagram) -> Result<Notify> {
        // The whole path may be longer than a socket address.
        let place = File::open(directory).named(format_args!("open {}", directory.display()))?;
        let path = format!("/proc/self/fd/{}/{SOCKET}", place.as_raw_fd());
        let bind = || -> std::io::Result<UnixDatagram> {
            let socket = UnixDatagram::bind(&path)?;
            std::fs::set_permissions(&path, Permissions::from_mode(0o777))?;
            Ok(socket)
        };
        let inside = bind().named(format_args!("bind {SOCKET}"))?;
        Ok(Notify { inside, manager })
    }

    /// Waits until the container is ready, and then tells the manager, with `main` as the process to watch. If
    /// `process` ends first, the container is never ready, and this returns.
    pub fn wait(&self, process: BorrowedFd<'_>, main: i32) -> Result<()> {
        let mut bytes = [0u8; 4096];
        loop {
            let ready = PollFlags::POLLIN;
            let mut both = [PollFd::new(self.inside.as_fd(), ready), PollFd::new(process, ready)];
            match poll(&mut both, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(CallError::new("poll", errno).into()),
                Ok(_) => {}
            }
            // Messages that the process sent before it died are read first.
            if both[0].revents().is_none_or(|events| events.is_empty()) {
                return Ok(());
            }
            let count = self.inside.recv(&mut bytes).map_err(sys::io)?;
            let mut lines = bytes[..count].split(|byte| *byte == b'\n');
            if let Some(line) = lines.find(|line| line.starts_with(b"READY=")) {
                return self.pass_on(line, main);
            }
        }
    }

    fn pass_on(&self, line: &[u8], main: i32) -> Result<()> {
        let send = |text: &[u8]| self.manager.send(text).map(drop).named("NOTIFY_SOCKET");
        send(&[line, b"\n"].concat())?;
        send(format!("MAINPID={main}\n").as_bytes())?;
        barrier(self.manager.as_fd())
    }
}

/// Waits until the manager has read all messages: then it closes the descriptor in this message. A manager that does
/// not support barriers does not, so the wait is limited.
fn barrier(manager: BorrowedFd<'_>) -> Result<()> {
    const BARRIER: &str = "NOTIFY_SOCKET: barrier";
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).named(BARRIER)?;
    sys::socket::send(manager, b"BARRIER=1", writer.as_fd()).named(BARRIER)?;
    drop(writer);
    while let Err(Errno::EINTR) =
        poll(&mut [PollFd::new(reader.as_fd(), PollFlags::empty())], PollTimeout::from(PATIENCE))
    {}
    Ok(())
}
