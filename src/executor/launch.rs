//! Starts `init`: opens the descriptors that it inherits, seals its program, clones, and receives its messages.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::channel::Channel;
use super::expected::expected;
pub use super::relay::Stdio;
use super::report;
use super::traced::TracedInit;
use super::visit::own_path;
use super::wait::{PATIENCE, wait_for_end};
use crate::cgroup::Entrance;
use crate::init;
use crate::init::op::{Ask, Enter, Message, Op, kind};
use crate::plan::{Descriptor, Limit, Program};
use crate::spec::{Field, Refusal, refuse};
use crate::sys::clone::{Child, Sealed, start};
use crate::sys::{self, Call, CallError, Errno, reason};
use crate::tables::{namespace, signal};
use crate::trace;

/// The parts of a start that are not in the program.
#[derive(Debug, Default)]
pub struct Surroundings<'a> {
    /// `CLONE_NEW*` for the clone.
    pub namespaces: u64,
    /// The cgroup to start in.
    pub cgroup: Option<&'a Entrance>,
    /// The read end of `exec.fifo`.
    pub gate: Option<BorrowedFd<'a>>,
    /// The process whose namespaces are joined.
    pub process: Option<BorrowedFd<'a>>,
    /// Standard descriptors that replace the caller's.
    pub stdio: Stdio<'a>,
    /// The trees and devices that [`tree::open`](super::tree::open) has opened for the program.
    pub trees: &'a [OwnedFd],
    /// The number of descriptors, from 3 on, that the user's program inherits from the caller.
    pub preserved: u32,
}

/// A running `init`.
#[derive(Debug)]
pub struct RunningInit<'a> {
    /// The process. It changes when `init` forks.
    pub child: Child,
    channel: Channel,
    program: &'a Program,
    /// The index of the first operation that `init` has not reported yet.
    at: u32,
    /// Whether `init` has yet to fork.
    fork: ForkOfInit,
    /// The times of its operations, if a trace is made.
    traced: Option<TracedInit<'a>>,
}

/// The fork of `init`, after which its first process exits.
///
/// The forked process has the socket, too. So the socket does not tell that the first process was killed before it
/// could report the fork: only its end does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ForkOfInit {
    /// `init` does not fork, or has forked.
    None,
    /// `init` is about to fork. Up to then it waits for no answer.
    Ahead,
    /// The first process has ended in this way and is reaped. It may have sent messages before.
    Ended(WaitStatus),
}

/// A message of `init`, for most of which it waits for an answer.
#[derive(Debug)]
pub enum Waited {
    /// A request to the runtime.
    Ask(Ask),
    /// Something could not be carried out in full.
    Warning(String),
    /// The master of the terminal that `init` has opened.
    Terminal(OwnedFd),
    /// A mount with this id is about to be attached in the container.
    Mounted(u64),
    /// The listener of the seccomp filter, which is in force. `init` waits until the agent has the listener.
    Listener(OwnedFd),
    /// `init` has executed the user's program or has exited.
    Closed,
}

/// The number in the slot of a descriptor that `init` will open itself or that does not exist, and of the memory for a
/// trace without a trace.
const NOT_YET: RawFd = -1;

pub fn launch<'a>(program: &'a Program, around: &Surroundings<'_>) -> Result<RunningInit<'a>> {
    let mut opened = Vec::new();
    let mut trees = around.trees.iter();
    let mut slots: Vec<RawFd> = Vec::with_capacity(program.slots().len());
    for slot in program.slots() {
        let fd = match slot {
            Descriptor::Gate => around.gate.map(|fd| fd.as_raw_fd()),
            Descriptor::Tasks(controllers) => {
                let file = around.cgroup.and_then(|cgroup| cgroup.tasks(controllers));
                Some(file.map_or(NOT_YET, |file| file.as_raw_fd()))
            }
            Descriptor::Process => around.process.map(|fd| fd.as_raw_fd()),
            Descriptor::Namespace { path, flag, field, claim } => {
                Some(keep(&mut opened, open_namespace(path, *flag, field, claim.as_ref())?))
            }
            Descriptor::Tree(_) | Descriptor::Node(_) | Descriptor::Union(_) => {
                trees.next().map(|tree| tree.as_raw_fd())
            }
            Descriptor::Kept(_) => Some(NOT_YET),
        };
        slots.push(fd.ok_or_else(|| anyhow!("{slot:?} is missing"))?);
    }
    let (channel, mut theirs) = Channel::pair()?;
    let (mut traced, mut stamps) = TracedInit::new(program)?.unzip();
    if around.preserved > 0 {
        // Numbers below the last preserved descriptor that the caller left free may have been used by the runtime
        // since.
        theirs = above(theirs.as_fd(), around.preserved)?;
        stamps = stamps.map(|fd| above(fd.as_fd(), around.preserved)).transpose()?;
        for slot in slots.iter_mut().filter(|slot| **slot != NOT_YET) {
            *slot = keep(&mut opened, above(sys::process::borrow(*slot), around.preserved)?);
        }
    }
    let stamps = stamps.as_ref().map_or(NOT_YET, AsRawFd::as_raw_fd);
    for fd in slots.iter().copied().chain([theirs.as_raw_fd(), stamps]).filter(|fd| *fd != NOT_YET) {
        inherit(fd)?;
    }
    let seal = || Sealed::new(init::IMAGE, program.data(), program.ops(), &slots, theirs.as_raw_fd(), stamps);
    let sealed = trace::work("seal init", || seal().map_err(not_sealed))?;
    let stdio = around.stdio.map(|fd| fd.map(|fd| fd.as_raw_fd()));
    let child = trace::work("clone init", || {
        if let Some(traced) = &mut traced {
            traced.cloning();
        }
        let v2 = around.cgroup.and_then(|cgroup| cgroup.v2.as_ref()).map(AsFd::as_fd);
        start(&sealed, around.namespaces, v2, stdio).map_err(|errno| not_born(errno, around.namespaces))
    })?;
    if let Some(traced) = &mut traced {
        traced.born(child.pid);
    }
    let forks = program.ops().iter().any(|op| matches!(op, Op::Enter(Enter::Fork { .. })));
    let fork = if forks { ForkOfInit::Ahead } else { ForkOfInit::None };
    Ok(RunningInit { child, channel, program, at: 0, fork, traced })
}

fn not_sealed(errno: Errno) -> anyhow::Error {
    match errno {
        Errno::EFBIG => anyhow!("seal init: {}: the caller's RLIMIT_FSIZE (ulimit -f) is too small", reason(errno)),
        _ => CallError::new("seal init", errno).into(),
    }
}

fn keep(opened: &mut Vec<OwnedFd>, fd: OwnedFd) -> RawFd {
    let raw = fd.as_raw_fd();
    opened.push(fd);
    raw
}

/// Duplicates a descriptor to a number above those that the user's program inherits from the caller.
fn above(fd: BorrowedFd<'_>, preserved: u32) -> Result<OwnedFd> {
    let first = (3 + preserved) as RawFd;
    let copy = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(first));
    copy.map(sys::process::own).named(format_args!("--preserve-fds: a descriptor from {first} on"))
}

/// Clears close-on-exec of a descriptor, so that it survives `execveat(2)`. No other program can inherit it: this
/// process has one thread here, and starts no other program before the clone.
pub fn inherit(fd: RawFd) -> Result<()> {
    let fd = sys::process::borrow(fd);
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).map(drop).named("fcntl")
}

/// The error of a failed clone.
#[derive(Debug)]
pub struct NotBorn {
    pub errno: Errno,
    message: String,
}

impl std::fmt::Display for NotBorn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NotBorn {}

fn not_born(errno: Errno, namespaces: u64) -> NotBorn {
    let names = namespace::names(namespaces).join(" ");
    let reason = reason(errno);
    let message = match errno {
        Errno::EBUSY => {
            format!("linux.cgroupsPath: the cgroup has controllers enabled below it and takes no processes: {reason}")
        }
        Errno::EOPNOTSUPP => {
            format!("linux.cgroupsPath: the cgroup is neither a domain nor threaded and takes no processes: {reason}")
        }
        Errno::EAGAIN => {
            format!(
                "linux.resources.pids.limit, or a limit above it or of the caller: no more processes: clone3: {reason}"
            )
        }
        Errno::ENOSPC | Errno::EUSERS => {
            format!("linux.namespaces: clone3({names}): limit of namespaces reached: {reason}")
        }
        _ => format!("linux.namespaces: clone3({names}): {reason}"),
    };
    NotBorn { errno, message }
}

/// Opens a namespace to join, and checks that it has the right kind. If there is a `claim` that the container has a
/// namespace of its own, it must not be this process's namespace, whatever its path.
pub fn open_namespace(path: &Path, flag: u32, field: &Field, claim: Option<&Refusal>) -> Result<OwnedFd> {
    let shown = path.display();
    // Without O_NONBLOCK, the open would block if the path is a fifo.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let fd = nix::fcntl::open(path, flags, Mode::empty()).named(format_args!("{field}.path: open {shown}"))?;
    let kind = sys::process::namespace_kind(fd.as_fd());
    match kind {
        Ok(kind) if kind == flag => match claim {
            Some(Refusal { field: refused, text }) if is_own(&fd, flag)? => {
                refuse!(refused, "{text} ({field}.path is the runtime's own)")
            }
            _ => Ok(fd),
        },
        Ok(kind) => {
            let (is, wanted) =
                (namespace::names(u64::from(kind)).join(" "), namespace::names(u64::from(flag)).join(" "));
            refuse!(field.member("path"), "{shown} is a namespace of type {is}, not {wanted}")
        }
        Err(_) => refuse!(field.member("path"), "{shown} is not a namespace"),
    }
}

/// Whether this process is in the namespace.
fn is_own(namespace: &OwnedFd, flag: u32) -> Result<bool> {
    let own = File::open(own_path(flag)).named(own_path(flag))?;
    let key = |fd: BorrowedFd<'_>| nix::sys::stat::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    let same = || Ok::<_, Errno>(key(namespace.as_fd())? == key(own.as_fd())?);
    same().named("fstat")
}

impl RunningInit<'_> {
    /// Writes something down for the trace, if one is made.
    fn trace(&mut self, write: impl FnOnce(&mut TracedInit<'_>)) {
        if let Some(traced) = &mut self.traced {
            write(traced);
        }
    }

    /// Notes for the trace that `init` goes to the gate without another message.
    pub fn at_gate(&mut self) {
        self.trace(|traced| traced.wait_for_gate());
    }

    /// Lets `init` continue.
    ///
    /// # Errors
    /// The answer cannot be sent; `init` would wait forever.
    pub fn go_on(&self) -> Result<()> {
        self.channel.go_on()
    }

    /// Receives the next message of `init`. A failed operation is an error. A fork is handled here.
    pub fn next(&mut self) -> Result<Waited> {
        loop {
            if self.fork == ForkOfInit::Ahead {
                let first = Pid::from_raw(self.child.pid);
                let end = trace::wait("wait for init", || sys::again(|| waitpid(first, None)));
                self.fork = ForkOfInit::Ended(end.named("wait for init to fork")?);
            }
            let blocks = self.fork == ForkOfInit::None;
            let Some((message, descriptor)) = trace::wait("wait for init", || self.channel.receive(blocks))? else {
                self.trace(|traced| traced.closed());
                return Ok(Waited::Closed);
            };
            self.at = expected(self.program, self.at, &message)?;
            match message.kind {
                kind::FAILED => {
                    let text = report::failure(self.program, &message);
                    self.trace(|traced| traced.failed(Some(message.index as usize), &text));
                    bail!(text)
                }
                kind::WARNING => return Ok(Waited::Warning(report::warning(self.program, &message))),
                kind::FORKED => self.forked(&message)?,
                kind::TERMINAL => {
                    let terminal = descriptor.ok_or_else(|| anyhow!("process.terminal: init sent no terminal"))?;
                    return Ok(Waited::Terminal(terminal));
                }
                kind::LISTENER => return self.fetch_listener(&message),
                kind::MOUNTED => return Ok(Waited::Mounted(message.detail)),
                kind::ASK if message.detail == Ask::Hooks as u64 => return Ok(Waited::Ask(Ask::Hooks)),
                kind::ASK if message.detail == Ask::NetDevices as u64 => return Ok(Waited::Ask(Ask::NetDevices)),
                kind::ASK if message.detail == Ask::Ready as u64 => return Ok(Waited::Ask(Ask::Ready)),
                _ => bail!("unknown message of init: {message:?}"),
            }
        }
    }

    fn fetch_listener(&self, message: &Message) -> Result<Waited> {
        let listener = sys::process::pidfd_getfd(self.child.pidfd.as_fd(), message.detail as i32);
        listener.map(Waited::Listener).named("linux.seccomp: fetch the listener from init: pidfd_getfd")
    }

    /// Sets the resource limits that `init` may not set itself.
    pub fn limit(&self, limits: &[Limit]) -> Result<()> {
        for limit in limits {
            sys::process::prlimit(self.child.pid, limit.resource, limit.soft, limit.hard)
                .named("process.rlimits: prlimit")?;
        }
        Ok(())
    }

    /// The error for an `init` that has exited early: its exit status or signal and, if known, the reason.
    pub fn death(&mut self) -> anyhow::Error {
        let status = match self.fork {
            ForkOfInit::Ended(status) => Ok(status),
            ForkOfInit::None | ForkOfInit::Ahead => {
                // A process that closes its descriptors is exiting. If it died of another signal, this SIGKILL does not
                // change its status.
                let _ = sys::process::pidfd_send_signal(self.child.pidfd.as_fd(), libc::SIGKILL);
                waitid(Id::Pid(Pid::from_raw(self.child.pid)), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
            }
        };
        let end = match status {
            Ok(WaitStatus::Exited(_, code)) => format!("exit status {code}"),
            Ok(WaitStatus::Signaled(_, signal, _)) => format!("signal: {}", signal::text(signal as i32)),
            Ok(other) => format!("{other:?}"),
            Err(errno) => reason(errno),
        };
        // The filter killed it, or forbade exit_group(2), so that a fault ended it, or forbade the message about the
        // failure.
        let by_filter =
            matches!(status, Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(_, Signal::SIGSYS | Signal::SIGILL, _)));
        let text = report::death(self.program, self.at, &end, by_filter);
        self.trace(|traced| traced.failed(None, &text));
        anyhow!(text)
    }

    /// Kills `init` and reaps it, if it ends in time.
    pub fn kill(&self) {
        if matches!(self.fork, ForkOfInit::Ended(_)) {
            // It is reaped. A process that it has forked ends when this socket closes.
            return;
        }
        let _ = sys::process::pidfd_send_signal(self.child.pidfd.as_fd(), libc::SIGKILL);
        if wait_for_end(&self.child, PATIENCE).unwrap_or_default() {
            let _ = waitpid(Pid::from_raw(self.child.pid), None);
        }
    }

    /// Follows a fork: the new process is `init` from now on. The old one is reaped.
    fn forked(&mut self, message: &Message) -> Result<()> {
        let pid = message.detail as i32;
        let pidfd = sys::process::pidfd_open(pid).named("pidfd_open").inspect_err(|_| {
            // It is a child of this process and not reaped, so the pid is its own. Its pid namespace, if the container's,
            // does not end before it is reaped.
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = sys::again(|| waitpid(Pid::from_raw(pid), None));
        })?;
        self.child = Child { pid, pidfd };
        self.fork = ForkOfInit::None;
        self.trace(|traced| traced.born(pid));
        self.channel.go_on()
    }
}
