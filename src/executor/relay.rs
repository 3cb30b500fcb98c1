//! Staying between the caller's standard descriptors and those of a process.
//!
//! The copying is done by threads that do nothing else, each free to block where its reader or
//! writer does. A thread is started when there is something to copy: most programs that are run only
//! to end say nothing, and two threads are a tenth of what such a container costs.
//!
//! They read and write: splice(2), which `std::io::copy` takes where it can, holds the lock of the
//! process's pipe for as long as the caller's reader stands still, and a process that waits for that
//! lock cannot even be killed.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};

use anyhow::Result;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::launch::Stdio;
use crate::spec::Ids;
use crate::sys::{self, Call, CallError, Errno};

/// Bytes that are copied at once.
const CHUNK: usize = 8 << 10;

/// Pipes in place of the caller's standard descriptors: what the caller has, a terminal above all,
/// does not get into the container.
#[derive(Debug)]
pub struct Pipes {
    theirs: [Option<OwnedFd>; 3],
    ours: [Option<File>; 3],
}

impl Pipes {
    /// A pipe for each standard descriptor but the null device, which `init` exchanges for the
    /// container's. `owner` is the root of the container, as the host counts users.
    pub fn new(owner: Option<Ids>) -> Result<Pipes> {
        let mut pipes = Pipes { theirs: [None, None, None], ours: [None, None, None] };
        for at in 0..3 {
            if is_null(sys::process::borrow(at as i32)) {
                continue;
            }
            let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).named("pipe")?;
            let (theirs, ours) = if at == 0 { (reader, writer) } else { (writer, reader) };
            if let Some(Ids { uid, gid }) = owner {
                // An ordinary user's own pipe is his already.
                let _ = nix::unistd::fchown(&theirs, Some(uid), Some(gid));
            }
            (pipes.theirs[at], pipes.ours[at]) = (Some(theirs), Some(File::from(ours)));
        }
        Ok(pipes)
    }

    /// The ends of the process.
    pub fn theirs(&self) -> Stdio<'_> {
        self.theirs.each_ref().map(|fd| fd.as_ref().map(|fd| fd.as_fd()))
    }

    /// Be ready to copy. The ends of the process are closed here: once it has closed its own, the
    /// readers see the end.
    pub fn copy(self) -> Result<Relay> {
        let mut silent = Vec::new();
        for (fd, pipe) in self.ours.into_iter().enumerate() {
            let Some(pipe) = pipe else { continue };
            let own = standard(fd as i32)?;
            silent.push(match fd {
                0 => Direction { from: own, to: pipe, output: false },
                _ => Direction { from: pipe, to: own, output: true },
            });
        }
        Ok(Relay { silent, ..Relay::default() })
    }
}

/// A thread that copies. That there is none to be had is an error like any other.
fn thread(copies: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    Builder::new().spawn(copies).named("start a thread")
}

fn is_null(fd: BorrowedFd<'_>) -> bool {
    const NULL: u64 = 0x103;
    fstat(fd).is_ok_and(|stat| {
        SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR && stat.st_rdev == NULL
    })
}

/// A standard descriptor as a file, without the buffers and locks of `std::io::stdout`.
fn standard(fd: i32) -> Result<File> {
    let own = sys::process::borrow(fd).try_clone_to_owned();
    own.map(File::from).named(format_args!("standard descriptor {fd}"))
}

/// From one to the other until the first has nothing more to give, or the second takes nothing more.
fn copy(from: &File, to: &File) {
    let mut bytes = [0u8; CHUNK];
    while let Some(count) = take(from, &mut bytes) {
        if !give(to, &bytes[..count]) {
            return;
        }
    }
}

/// Wait for some bytes; `None` is the end.
fn take(mut from: &File, bytes: &mut [u8]) -> Option<usize> {
    loop {
        match from.read(bytes) {
            Ok(0) => return None,
            Ok(count) => return Some(count),
            Err(error) if !passes(&error, from, PollFlags::POLLIN) => return None,
            Err(_) => {}
        }
    }
}

/// Write all of it; false when nobody takes it any more.
fn give(mut to: &File, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return false,
            Ok(count) => bytes = &bytes[count..],
            Err(error) if !passes(&error, to, PollFlags::POLLOUT) => return false,
            Err(_) => {}
        }
    }
    true
}

/// Is it no failure? Whoever shares the caller's descriptors may have made them non-blocking: then
/// this waits until it is worth another try.
fn passes(error: &Error, file: &File, ready: PollFlags) -> bool {
    match error.kind() {
        ErrorKind::Interrupted => true,
        ErrorKind::WouldBlock => {
            matches!(poll(&mut [PollFd::new(file.as_fd(), ready)], PollTimeout::NONE), Ok(_) | Err(Errno::EINTR))
        }
        _ => false,
    }
}

/// A container's terminal that the caller keeps, set up for the caller's own.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    host: Option<HostTerminal>,
}

impl Terminal {
    /// Set both up, before there is a program that could ask or write: the caller's terminal, if
    /// there is one, passes everything through as it is typed, and lends its size.
    pub fn new(master: OwnedFd) -> Result<Terminal> {
        let master = File::from(master);
        keep_newlines(master.as_fd()).named("terminal")?;
        let host = HostTerminal::find()?.map(HostTerminal::raw).transpose().named("terminal")?;
        if let Some(host) = &host {
            host.lend_size(&master);
        }
        Ok(Terminal { master, host })
    }

    /// Begin to copy.
    pub fn copy(self) -> Result<Relay> {
        let (stopped, stop) = nix::unistd::pipe2(OFlag::O_CLOEXEC).named("pipe")?;
        let (own, shown) = (standard(0)?, standard(1)?);
        // Held by the output alone: with that the terminal ends, and hangs up on whoever is left.
        let master = Arc::new(self.master);
        let (input, window) = (Arc::downgrade(&master), Arc::downgrade(&master));
        thread(move || copy_keys(&own, &input))?;
        let outputs = vec![thread(move || copy_terminal(&master, &shown, &stopped))?];
        let window = self.host.map(|host| (host, window));
        Ok(Relay { silent: Vec::new(), outputs, window, stop: Some(stop) })
    }
}

/// From whom to whom.
#[derive(Debug)]
struct Direction {
    from: File,
    to: File,
    output: bool,
}

/// What is being copied; nothing by default.
#[derive(Debug, Default)]
pub struct Relay {
    /// Nothing has come from there yet.
    silent: Vec<Direction>,
    outputs: Vec<JoinHandle<()>>,
    /// The caller's terminal, and the container's as long as there is one.
    window: Option<(HostTerminal, Weak<File>)>,
    /// Closed to tell the thread that nobody writes to the terminal any more.
    stop: Option<OwnedFd>,
}

impl Relay {
    /// The caller's window has another size.
    pub fn resize(&self) {
        if let Some((host, terminal)) = &self.window
            && let Some(terminal) = terminal.upgrade()
        {
            host.lend_size(&terminal);
        }
    }

    /// Copy from now on, whether something comes or not: something else is waited for first.
    pub fn begin(&mut self) -> Result<()> {
        for it in self.silent.drain(..) {
            self.outputs.extend(it.copy()?);
        }
        Ok(())
    }

    /// Wait until something comes, or `other` is readable; begin to copy what comes. Returns whether
    /// `other` is.
    pub fn wait(&mut self, other: Option<BorrowedFd<'_>>) -> Result<bool> {
        let ready = PollFlags::POLLIN;
        let mut all: Vec<PollFd<'_>> = self.silent.iter().map(|it| PollFd::new(it.from.as_fd(), ready)).collect();
        all.extend(other.map(|other| PollFd::new(other, ready)));
        match poll(&mut all, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(CallError::new("poll", errno).into()),
        }
        let events: Vec<PollFlags> = all.iter().map(|it| it.revents().unwrap_or(PollFlags::empty())).collect();
        let mut still = Vec::new();
        for (it, events) in self.silent.drain(..).zip(&events) {
            match events {
                events if events.contains(ready) => self.outputs.extend(it.copy()?),
                events if events.is_empty() => still.push(it),
                // Nobody is there any more, and nothing was said: closed, the other side sees it.
                _ => {}
            }
        }
        self.silent = still;
        Ok(other.is_some() && events.last().is_some_and(|events| !events.is_empty()))
    }

    /// Wait until everything that was written has arrived. Whoever still holds a pipe is waited
    /// for, as with any pipeline; a terminal ends with its process. Signals that come now are for
    /// nobody else: they end the wait, and so do keys, for the caller's terminal is as it was.
    pub fn finish(mut self) {
        self.window = None;
        let _ = sys::process::admit_signals();
        self.stop = None;
        self.silent.retain(|it| it.output);
        while !self.silent.is_empty() && self.wait(None).is_ok() {}
        for thread in self.outputs.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Direction {
    /// Copy beside everything else. Nobody waits for input, which may not come for ever.
    fn copy(self) -> Result<Option<JoinHandle<()>>> {
        let output = self.output;
        // A reader of ours that went away: then the process loses its own, as it should.
        let thread = thread(move || copy(&self.from, &self.to))?;
        Ok(output.then_some(thread))
    }
}

/// From the caller to the terminal, as long as there is one.
fn copy_keys(own: &File, terminal: &Weak<File>) {
    let mut bytes = [0u8; CHUNK];
    while let Some(count) = take(own, &mut bytes) {
        if !terminal.upgrade().is_some_and(|terminal| give(&terminal, &bytes[..count])) {
            return;
        }
    }
}

/// From the terminal to standard output, until its last holder is gone or, once told to stop,
/// nothing is left to read.
fn copy_terminal(master: &File, output: &File, stopped: &OwnedFd) {
    let mut bytes = [0u8; CHUNK];
    loop {
        let ready = PollFlags::POLLIN;
        let mut both = [PollFd::new(master.as_fd(), ready), PollFd::new(stopped.as_fd(), ready)];
        match poll(&mut both, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        if both[0].revents().is_none_or(|events| events.is_empty()) {
            return;
        }
        // EIO: nobody holds the other end.
        let Some(count) = take(master, &mut bytes) else { return };
        if !give(output, &bytes[..count]) {
            return;
        }
    }
}

/// The caller's terminal adds the carriage returns: elsewhere, in a file, there should be none.
fn keep_newlines(terminal: BorrowedFd<'_>) -> nix::Result<()> {
    let mut settings = tcgetattr(terminal)?;
    settings.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(terminal, SetArg::TCSANOW, &settings)
}

/// The terminal that the caller sits at, raw until this is dropped.
#[derive(Debug)]
struct HostTerminal {
    file: File,
    before: Option<Termios>,
}

impl HostTerminal {
    /// Any of the standard descriptors may lead to it; else it is the one that controls this
    /// process.
    fn find() -> Result<Option<HostTerminal>> {
        let is_terminal = |fd: &i32| nix::unistd::isatty(sys::process::borrow(*fd)).unwrap_or(false);
        let file = match [2, 1, 0].iter().find(|fd| is_terminal(fd)) {
            Some(fd) => Some(standard(*fd)?),
            None => File::options().read(true).write(true).open("/dev/tty").ok(),
        };
        Ok(file.map(|file| HostTerminal { file, before: None }))
    }

    /// Give the container's terminal the size of this one.
    fn lend_size(&self, terminal: &File) {
        if let Ok(size) = sys::terminal::size(self.file.as_fd()) {
            let _ = sys::terminal::resize(terminal.as_fd(), size);
        }
    }

    /// Pass keys through as they are, but keep on printing whole lines.
    fn raw(mut self) -> nix::Result<HostTerminal> {
        let before = tcgetattr(&self.file)?;
        let mut settings = before.clone();
        cfmakeraw(&mut settings);
        settings.output_flags.insert(OutputFlags::OPOST);
        tcsetattr(&self.file, SetArg::TCSANOW, &settings)?;
        self.before = Some(before);
        Ok(self)
    }
}

impl Drop for HostTerminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(&self.file, SetArg::TCSANOW, before);
        }
    }
}
