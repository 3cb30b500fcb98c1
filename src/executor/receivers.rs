//! The sockets that receive the descriptors of a new process: `--console-socket`, `--pidfd-socket` and
//! `run.oci.pidfd_receiver`.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Result, bail};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, SFlag, fstat};

use super::relay::Terminal;
use crate::sys::{self, Call, CallError, Errno, again};

/// The sockets. They are found before the runtime creates anything, so that a wrong name has no effect.
#[derive(Debug, Default)]
pub struct Receivers {
    console: Option<Console>,
    pidfd: Vec<Receiver>,
}

/// The socket that waits for a terminal. If a program connects and closes the connection without sending a terminal,
/// conmon gives up and reports nothing to its engine. So the runtime connects only when it has the terminal.
#[derive(Debug)]
struct Console {
    name: String,
    /// The file with that name; `None` for an abstract socket.
    file: Option<OwnedFd>,
}

/// A socket, and the option or annotation that names it.
#[derive(Debug)]
struct Receiver {
    named_by: &'static str,
    socket: UnixStream,
}

impl Receivers {
    /// Connects to the pidfd sockets, each given with the option or annotation that names it, and finds the console
    /// socket.
    pub fn connect<'a>(
        console: Option<&str>,
        pidfd: impl IntoIterator<Item = (&'static str, &'a str)>,
    ) -> Result<Receivers> {
        let console = console.map(Console::find).transpose()?;
        let pidfd = pidfd.into_iter().map(|(name, path)| Receiver::connect(name, path)).collect::<Result<_>>()?;
        Ok(Receivers { console, pidfd })
    }

    /// Sends the terminal to the console socket. Without one, returns it for the runtime to copy from and to.
    pub fn terminal(&self, terminal: OwnedFd) -> Result<Option<Terminal>> {
        let Some(console) = &self.console else { return Terminal::new(terminal).map(Some) };
        // runc sends the name of the file that it has opened, which in the container is always this one.
        console.connect()?.give("/dev/ptmx", terminal.as_fd())?;
        Ok(None)
    }

    /// Sends the pidfd of a process; `kind` is `standard` or `setns`.
    pub fn process(&self, kind: &str, pidfd: BorrowedFd<'_>) -> Result<()> {
        self.pidfd.iter().try_for_each(|receiver| receiver.give(kind, pidfd))
    }
}

const CONSOLE_SOCKET: &str = "--console-socket";

impl Console {
    fn find(name: &str) -> Result<Console> {
        let connect = format_args!("{CONSOLE_SOCKET}: connect to {name}");
        let name_of_its_own = name.starts_with('@');
        let open = || again(|| open(name, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()));
        let file = (!name_of_its_own).then(open).transpose().named(connect)?;
        if let Some(file) = &file
            && SFlag::from_bits_truncate(fstat(file).named(connect)?.st_mode) & SFlag::S_IFMT != SFlag::S_IFSOCK
        {
            bail!(CallError::new(connect, Errno::ECONNREFUSED));
        }
        Ok(Console { name: name.to_owned(), file })
    }

    fn connect(&self) -> Result<Receiver> {
        let place = self.file.as_ref().map(|file| format!("/proc/self/fd/{}", file.as_raw_fd()));
        let place = OsStr::new(place.as_ref().unwrap_or(&self.name));
        let socket = sys::socket::connect(place, UnixStream::connect_addr)
            .named(format_args!("{CONSOLE_SOCKET}: connect to {}", self.name))?;
        Ok(Receiver { named_by: CONSOLE_SOCKET, socket })
    }
}

impl Receiver {
    fn connect(named_by: &'static str, path: &str) -> Result<Receiver> {
        let socket = sys::socket::connect(OsStr::new(path), UnixStream::connect_addr)
            .named(format_args!("{named_by}: connect to {path}"))?;
        Ok(Receiver { named_by, socket })
    }

    /// Sends one message with exactly one descriptor: receivers accept nothing else.
    fn give(&self, text: &str, descriptor: BorrowedFd<'_>) -> Result<()> {
        let sent = sys::socket::send(self.socket.as_fd(), text.as_bytes(), descriptor);
        sent.map(drop).named(format_args!("{}: sendmsg", self.named_by))
    }
}
