//! Copies between the caller's standard descriptors and those of a process.
//!
//! A thread for each direction copies and does nothing else, so it may block on its reader or writer. A thread is
//! started only when there is something to copy: most short programs print nothing, and two threads are a tenth of the
//! cost of such a container.
//!
//! The threads use read(2) and write(2). `std::io::copy` would use splice(2), which holds the lock of the process's
//! pipe while the caller's reader does not read. A process that waits for that lock cannot even be killed.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use anyhow::Result;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::spec::Ids;
use crate::sys::{self, Call, CallError, Errno};

/// Standard input, output and error; `None` for the caller's own.
pub type Stdio<'a> = [Option<BorrowedFd<'a>>; 3];

/// The number of bytes that are copied at once.
const CHUNK: usize = 8 << 10;

/// Pipes that replace the caller's standard descriptors, so that the container does not get the caller's own, which may
/// be a terminal.
#[derive(Debug)]
pub struct Pipes {
    theirs: [Option<OwnedFd>; 3],
    ours: [Option<File>; 3],
}

impl Pipes {
    /// Makes a pipe for each standard descriptor except the null device, which `init` replaces by the container's.
    /// `owner` is the container's root as ids of the host.
    pub fn new(owner: Option<Ids>) -> Result<Pipes> {
        let mut pipes = Pipes { theirs: [None, None, None], ours: [None, None, None] };
        for at in 0..3 {
            if is_null(sys::process::borrow(at as i32)) {
                continue;
            }
            let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).named("pipe")?;
            let (theirs, ours) = if at == 0 { (reader, writer) } else { (writer, reader) };
            if let Some(Ids { uid, gid }) = owner {
                // An unprivileged user owns the pipe already.
                let _ = nix::unistd::fchown(&theirs, Some(uid), Some(gid));
            }
            (pipes.theirs[at], pipes.ours[at]) = (Some(theirs), Some(File::from(ours)));
        }
        Ok(pipes)
    }

    /// The process's ends of the pipes.
    pub fn theirs(&self) -> Stdio<'_> {
        self.theirs.each_ref().map(|fd| fd.as_ref().map(|fd| fd.as_fd()))
    }

    /// Prepares to copy. This closes the process's ends here, so that the readers see end of file when the process
    /// closes its own.
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

fn thread(copies: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    sys::process::thread(copies).named("start a thread")
}

fn is_null(fd: BorrowedFd<'_>) -> bool {
    const NULL: u64 = 0x103;
    fstat(fd).is_ok_and(|stat| {
        SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR && stat.st_rdev == NULL
    })
}

/// Opens a standard descriptor as a file, without the buffers and locks of `std::io::stdout`.
fn standard(fd: i32) -> Result<File> {
    let own = sys::process::borrow(fd).try_clone_to_owned();
    own.map(File::from).named(format_args!("standard descriptor {fd}"))
}

/// Copies until the source is at its end or the destination is closed.
fn copy(from: &File, to: &File) {
    let mut bytes = [0u8; CHUNK];
    while let Some(count) = take(from, &mut bytes) {
        if !give(to, &bytes[..count]) {
            return;
        }
    }
}

/// Waits for some bytes; `None` at the end.
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

/// Writes all bytes; false if the reader has closed its end.
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

/// Whether an error is temporary. Another process that shares the caller's descriptors may have made them non-blocking:
/// then this waits until the descriptor is ready.
fn passes(error: &Error, file: &File, ready: PollFlags) -> bool {
    match error.kind() {
        ErrorKind::Interrupted => true,
        ErrorKind::WouldBlock => {
            matches!(poll(&mut [PollFd::new(file.as_fd(), ready)], PollTimeout::NONE), Ok(_) | Err(Errno::EINTR))
        }
        _ => false,
    }
}

/// A container's terminal that the runtime keeps, connected with the caller's terminal.
#[derive(Debug)]
pub struct Terminal {
    master: File,
    host: Option<HostTerminal>,
}

impl Terminal {
    /// Sets up both terminals before the user's program can use its own. The caller's terminal, if it has one, becomes
    /// raw, and the container's terminal gets its size.
    pub fn new(master: OwnedFd) -> Result<Terminal> {
        let master = File::from(master);
        keep_newlines(master.as_fd()).named("terminal")?;
        let host = HostTerminal::find()?.map(HostTerminal::raw).transpose().named("terminal")?;
        if let Some(host) = &host {
            host.lend_size(&master);
        }
        Ok(Terminal { master, host })
    }

    /// Starts to copy.
    pub fn copy(self) -> Result<Relay> {
        let (stopped, stop) = nix::unistd::pipe2(OFlag::O_CLOEXEC).named("pipe")?;
        let (own, shown) = (standard(0)?, standard(1)?);
        // Only the output thread keeps the master open. When that thread ends, the terminal is closed, and the kernel
        // sends SIGHUP to the processes that still use it.
        let master = Arc::new(self.master);
        let (input, window) = (Arc::downgrade(&master), Arc::downgrade(&master));
        thread(move || copy_keys(&own, &input))?;
        let outputs = vec![thread(move || copy_terminal(&master, &shown, &stopped))?];
        let window = self.host.map(|host| (host, window));
        Ok(Relay { silent: Vec::new(), outputs, window, stop: Some(stop) })
    }
}

/// A source, a destination, and whether this is output of the process.
#[derive(Debug)]
struct Direction {
    from: File,
    to: File,
    output: bool,
}

/// The copying in progress; by default there is none.
#[derive(Debug, Default)]
pub struct Relay {
    /// The directions without any data so far.
    silent: Vec<Direction>,
    outputs: Vec<JoinHandle<()>>,
    /// The caller's terminal, and the container's while it exists.
    window: Option<(HostTerminal, Weak<File>)>,
    /// Closing this tells the output thread that no process writes to the terminal any more.
    stop: Option<OwnedFd>,
}

impl Relay {
    /// Gives the container's terminal the new size of the caller's window.
    pub fn resize(&self) {
        if let Some((host, terminal)) = &self.window
            && let Some(terminal) = terminal.upgrade()
        {
            host.lend_size(&terminal);
        }
    }

    /// Starts all threads now, without waiting for data, because the caller of this function waits for something else
    /// next.
    pub fn begin(&mut self) -> Result<()> {
        for it in self.silent.drain(..) {
            self.outputs.extend(it.copy()?);
        }
        Ok(())
    }

    /// Waits until there is data or `other` is readable, and starts to copy the data. Returns whether `other` is
    /// readable.
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
                // The writer has closed its end without any data. Closing this end shows that to the reader.
                _ => {}
            }
        }
        self.silent = still;
        Ok(other.is_some() && events.last().is_some_and(|events| !events.is_empty()))
    }

    /// Waits until everything that was written has arrived. Like any pipeline, this waits for each process that still
    /// has a pipe open; a terminal ends with its process. The caller's terminal is restored first, so a signal or
    /// Ctrl-C ends this wait.
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
    /// Copies in a thread. Only threads of output are returned: input may never end, so nothing waits for it.
    fn copy(self) -> Result<Option<JoinHandle<()>>> {
        let output = self.output;
        // If the reader of the output closes its end, the process loses its reader too, as it should.
        let thread = thread(move || copy(&self.from, &self.to))?;
        Ok(output.then_some(thread))
    }
}

/// Copies from the caller to the container's terminal while that exists.
fn copy_keys(own: &File, terminal: &Weak<File>) {
    let mut bytes = [0u8; CHUNK];
    while let Some(count) = take(own, &mut bytes) {
        if !terminal.upgrade().is_some_and(|terminal| give(&terminal, &bytes[..count])) {
            return;
        }
    }
}

/// Copies from the container's terminal to standard output until no process has the terminal open or, after `stopped`,
/// until there is nothing left to read.
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
        // EIO means that no process has the other end open.
        let Some(count) = take(master, &mut bytes) else { return };
        if !give(output, &bytes[..count]) {
            return;
        }
    }
}

/// Disables the translation of newlines, which the caller's terminal does. If the output is a file, it must not have
/// carriage returns.
fn keep_newlines(terminal: BorrowedFd<'_>) -> nix::Result<()> {
    let mut settings = tcgetattr(terminal)?;
    settings.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(terminal, SetArg::TCSANOW, &settings)
}

/// The caller's terminal, raw until this is dropped.
#[derive(Debug)]
struct HostTerminal {
    file: File,
    before: Option<Termios>,
}

impl HostTerminal {
    /// Finds the caller's terminal: one of the standard descriptors, or else the controlling terminal of this process.
    fn find() -> Result<Option<HostTerminal>> {
        let is_terminal = |fd: &i32| nix::unistd::isatty(sys::process::borrow(*fd)).unwrap_or(false);
        let file = match [2, 1, 0].iter().find(|fd| is_terminal(fd)) {
            Some(fd) => Some(standard(*fd)?),
            None => File::options().read(true).write(true).open("/dev/tty").ok(),
        };
        Ok(file.map(|file| HostTerminal { file, before: None }))
    }

    /// Gives the container's terminal the size of this one.
    fn lend_size(&self, terminal: &File) {
        if let Ok(size) = sys::terminal::size(self.file.as_fd()) {
            let _ = sys::terminal::resize(terminal.as_fd(), size);
        }
    }

    /// Makes the terminal raw, but keeps the processing of its output.
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
