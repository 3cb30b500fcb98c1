//! Both sides of a terminal: one for the runtime to run at, and the socket that receives a container's terminal.

use super::{Call, Output, Result, Running, check};
use anyhow::{Context, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::sys::termios::{Termios, tcgetattr};
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PATIENCE: u16 = 10_000;

/// The master side of a terminal: the side of a user's window, or of an engine.
pub struct Terminal {
    master: File,
    /// The slave side, if the terminal was opened here.
    slave: Option<OwnedFd>,
    seen: String,
}

impl Terminal {
    /// Opens a terminal of this size on the host.
    pub fn open(rows: u16, columns: u16) -> Result<Self> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let both = openpty(&size, None)?;
        Ok(Self { master: both.master.into(), slave: Some(both.slave), seen: String::new() })
    }

    /// The terminal that a receiver got.
    pub fn of(master: OwnedFd) -> Self {
        Self { master: master.into(), slave: None, seen: String::new() }
    }

    fn slave(&self) -> Result<&OwnedFd> {
        self.slave.as_ref().context("a terminal that was opened here")
    }

    /// Starts the call with this terminal as its controlling terminal and its standard descriptors.
    pub fn start(&self, call: Call) -> Result<Running> {
        call.at_terminal(self.slave()?.try_clone()?).spawn()
    }

    /// The settings of the terminal that was opened here.
    pub fn settings(&self) -> Result<Termios> {
        Ok(tcgetattr(self.slave()?)?)
    }

    pub fn resize(&self, rows: u16, columns: u16) -> Result {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the kernel reads one struct winsize.
        let done = unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
        ensure!(done == 0, "TIOCSWINSZ: {}", std::io::Error::last_os_error());
        Ok(())
    }

    pub fn write(&mut self, text: &str) -> Result {
        Ok(self.master.write_all(text.as_bytes())?)
    }

    /// Reads until this text comes. Returns everything since the last read.
    pub fn read_until(&mut self, wanted: &str) -> Result<String> {
        loop {
            if let Some(at) = self.seen.find(wanted) {
                let rest = self.seen.split_off(at + wanted.len());
                return Ok(std::mem::replace(&mut self.seen, rest));
            }
            match self.read_some()? {
                Some(text) => self.seen += &text,
                None => bail!("wanted {wanted:?}, the terminal showed only {:?}", self.seen),
            }
        }
    }

    /// Whether this text has come already, or comes at once.
    pub fn shows(&mut self, wanted: &str) -> Result<bool> {
        const MOMENT: u16 = 50;
        while poll(&mut [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)], PollTimeout::from(MOMENT))? > 0 {
            match self.read_some()? {
                Some(text) => self.seen += &text,
                None => break,
            }
        }
        Ok(self.seen.contains(wanted))
    }

    /// Reads until the slave side is closed everywhere.
    pub fn read_to_end(&mut self) -> Result<String> {
        while let Some(text) = self.read_some()? {
            self.seen += &text;
        }
        Ok(std::mem::take(&mut self.seen))
    }

    fn read_some(&mut self) -> Result<Option<String>> {
        let mut bytes = [0u8; 4096];
        let mut ready = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        ensure!(poll(&mut ready, PollTimeout::from(PATIENCE))? > 0, "the terminal is silent after {:?}", self.seen);
        match self.master.read(&mut bytes) {
            Ok(0) => Ok(None),
            Ok(count) => Ok(Some(String::from_utf8_lossy(&bytes[..count]).into_owned())),
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A socket that receives descriptors: `--console-socket`, `--pidfd-socket`.
pub struct Receiver {
    listener: UnixListener,
    pub path: PathBuf,
}

/// One message of a runtime.
pub struct Received {
    pub text: String,
    pub descriptors: Vec<OwnedFd>,
}

impl Receiver {
    pub fn bind(path: PathBuf) -> Result<Self> {
        let listener = UnixListener::bind(&path).with_context(|| format!("bind {}", path.display()))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path })
    }

    /// The one message of the runtime. Fails if the runtime sends more.
    pub fn receive(&self) -> Result<Received> {
        let mut stream = None;
        check::eventually("a connection to the socket", || {
            stream = self.listener.accept().ok();
            Ok(stream.is_some())
        })?;
        let stream = stream.context("a connection")?.0;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let received = message(stream.as_raw_fd())?;
        let rest = message(stream.as_raw_fd())?;
        ensure!(rest.text.is_empty() && rest.descriptors.is_empty(), "a second message: {:?}", rest.text);
        Ok(received)
    }

    /// Drops connections that nobody has received.
    pub fn forget(&self) {
        while self.listener.accept().is_ok() {}
    }

    /// The terminal of the one message.
    pub fn terminal(&self) -> Result<Terminal> {
        let Received { text, mut descriptors } = self.receive()?;
        ensure!(!text.is_empty() && text.len() < 4096, "the message has {} bytes", text.len());
        ensure!(descriptors.len() == 1, "the message has {} descriptors", descriptors.len());
        Ok(Terminal::of(descriptors.remove(0)))
    }
}

pub fn message(socket: RawFd) -> Result<Received> {
    let mut bytes = [0u8; 8192];
    let mut control = nix::cmsg_space!([RawFd; 8]);
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    let message = recvmsg::<()>(socket, &mut buffers, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for item in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = item {
            // SAFETY: the kernel has just made these descriptors, and nothing else owns them.
            descriptors.extend(numbers.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    let count = message.bytes;
    Ok(Received { text: String::from_utf8_lossy(&bytes[..count]).into_owned(), descriptors })
}

/// The pid of a pidfd; fails for another descriptor.
pub fn pid_behind(pidfd: &OwnedFd) -> Result<i32> {
    let info = std::fs::read_to_string(Path::new("/proc/self/fdinfo").join(pidfd.as_raw_fd().to_string()))?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).context("a descriptor of a process")?;
    Ok(pid.trim().parse()?)
}

/// Makes a call that ends by itself at a terminal. Returns what the terminal showed, too.
pub fn at_terminal(terminal: &mut Terminal, call: Call) -> Result<(String, Output)> {
    let running = terminal.start(call)?;
    let output = running.wait()?;
    terminal.slave = None;
    Ok((terminal.read_to_end()?, output))
}
