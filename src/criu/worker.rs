//! A `criu swrk` process, and the conversation with it: one request, notifications during the work, one answer
//! (criu.org, "RPC").

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::socket::{AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, shutdown, socketpair};
use nix::sys::wait::{WaitStatus, waitpid};

use super::messages::{CriuAnswer, CriuFeatures, CriuNotify, CriuOptions, CriuRequest, RequestKind};
use super::wire::WireMessage;
use crate::executor::launch::inherit;
use crate::sys::clone::Child;
use crate::sys::{self, Call, CallError, Errno, reason};

/// The oldest supported version of CRIU: 3.16, of 2021.
const OLDEST: (i32, i32) = (3, 16);
/// The size of the buffer for an answer. CRIU's answers are smaller.
const LONGEST: usize = 64 << 10;

/// A socket pair for a worker that is about to start.
pub struct SocketPair {
    own: OwnedFd,
    theirs: OwnedFd,
}

impl SocketPair {
    /// Creates the pair. CRIU opens the descriptors of a request through the process that created the socket.
    pub fn new() -> Result<SocketPair> {
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (own, theirs) = pair.named("socketpair")?;
        inherit(theirs.as_raw_fd())?;
        Ok(SocketPair { own, theirs })
    }

    /// The argument for `swrk`: the number of the descriptor.
    pub fn number(&self) -> i32 {
        self.theirs.as_raw_fd()
    }

    /// Makes a worker of a process that has inherited the other end.
    pub fn held_by(self, child: Child) -> Worker {
        Worker { socket: self.own, child, ended: false }
    }
}

/// A worker process. Dropping it kills the process.
pub struct Worker {
    socket: OwnedFd,
    child: Child,
    ended: bool,
}

/// A notification from CRIU, possibly with a descriptor.
pub struct Notice {
    /// The name of the action script that CRIU would run.
    pub script: String,
    /// The pid of the process in question.
    pub pid: i32,
    /// The master of a terminal.
    pub fd: Option<OwnedFd>,
}

impl Worker {
    /// Starts a worker that has none of the container's files and descriptors.
    pub fn apart(criu: &Path) -> Result<Worker> {
        let line = SocketPair::new()?;
        let mut command = Command::new(criu);
        command.arg("swrk").arg(line.number().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        sys::process::expect_children();
        let child = command.spawn().named(criu.display())?;
        let pid = child.id() as i32;
        let pidfd = sys::process::pidfd_open(pid).named("pidfd_open")?;
        Ok(line.held_by(Child { pid, pidfd }))
    }

    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    /// Checks that CRIU is new enough.
    pub fn check_version(&mut self) -> Result<()> {
        let answer = self.ask(RequestKind::Version, CriuRequest::default(), |_| Ok(()))?;
        let version = answer.version.map_or((0, 0), |version| (version.major, version.minor));
        if version < OLDEST {
            bail!("criu {}.{} is too old: {}.{} or newer is needed", version.0, version.1, OLDEST.0, OLDEST.1);
        }
        Ok(())
    }

    /// The optional features of CRIU that this kernel supports.
    pub fn features(&mut self) -> Result<CriuFeatures> {
        let features = Some(CriuFeatures { mem_track: Some(true), lazy_pages: Some(true) });
        let request = CriuRequest { features, ..CriuRequest::default() };
        Ok(self.ask(RequestKind::FeatureCheck, request, |_| Ok(()))?.features.unwrap_or_default())
    }

    /// Sends the main request, and answers the notifications. A failed answer ends the request.
    pub fn carry_out(
        mut self,
        kind: RequestKind,
        options: CriuOptions,
        mut serve: impl FnMut(Notice) -> Result<()>,
    ) -> Result<CriuAnswer> {
        let request = CriuRequest { options: Some(options), keep_open: Some(false), ..CriuRequest::default() };
        let answer = self.ask(kind, request, &mut serve)?;
        // After a pre-dump CRIU waits for more requests until the socket is closed.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        match self.wait() {
            _ if kind == RequestKind::PreDump => Ok(answer),
            Some(WaitStatus::Exited(_, 0)) | None => Ok(answer),
            Some(status) => bail!("criu ended with {}", status_text(status)),
        }
    }

    fn ask(
        &mut self,
        kind: RequestKind,
        request: CriuRequest,
        mut serve: impl FnMut(Notice) -> Result<()>,
    ) -> Result<CriuAnswer> {
        let keep_open = request.keep_open.or(Some(true));
        self.send(&CriuRequest { kind, keep_open, ..request })?;
        loop {
            let (answer, fd) = self.receive()?;
            if !answer.success {
                bail!("{}", refusal(&answer));
            }
            match answer.kind {
                RequestKind::Notify => {
                    let notify = answer.notify.unwrap_or_default();
                    self.acknowledge(notify, fd, &mut serve)?;
                }
                answered if answered == kind => return Ok(answer),
                answered => bail!("criu has answered {answered:?} to a request for {kind:?}"),
            }
        }
    }

    fn acknowledge(
        &mut self,
        notify: CriuNotify,
        fd: Option<OwnedFd>,
        serve: &mut impl FnMut(Notice) -> Result<()>,
    ) -> Result<()> {
        let (script, pid) = (notify.script.unwrap_or_default(), notify.pid.unwrap_or(0));
        let served = serve(Notice { script, pid, fd });
        let notify_success = Some(served.is_ok());
        let sent = self.send(&CriuRequest { kind: RequestKind::Notify, notify_success, ..CriuRequest::default() });
        if let Err(error) = served {
            // CRIU rolls back. Until it has finished, the processes that it made still exist.
            while self.receive().is_ok_and(|(answer, _)| answer.success) {}
            self.wait();
            return Err(error);
        }
        sent
    }

    fn send(&mut self, request: &CriuRequest) -> Result<()> {
        let sent = nix::sys::socket::send(self.socket.as_raw_fd(), &request.to_bytes(), MsgFlags::MSG_NOSIGNAL);
        match sent {
            Ok(_) => Ok(()),
            Err(Errno::EPIPE | Errno::ECONNRESET) => Err(self.gone()),
            Err(errno) => Err(CallError::new("write to criu", errno).into()),
        }
    }

    fn receive(&mut self) -> Result<(CriuAnswer, Option<OwnedFd>)> {
        let mut bytes = vec![0; LONGEST];
        let (count, fd) = sys::socket::receive(self.socket.as_fd(), &mut bytes, true).named("read from criu")?;
        if count == 0 {
            return Err(self.gone());
        }
        let answer = CriuAnswer::parse(&bytes[..count]).context("decode an answer of criu")?;
        Ok((answer, fd))
    }

    /// The error for a worker that has closed its socket.
    fn gone(&mut self) -> anyhow::Error {
        match self.wait() {
            Some(status) => anyhow!("criu ended with {}", status_text(status)),
            None => anyhow!("criu ended"),
        }
    }

    fn wait(&mut self) -> Option<WaitStatus> {
        self.ended = true;
        loop {
            match waitpid(nix::unistd::Pid::from_raw(self.child.pid), None) {
                Err(Errno::EINTR) => {}
                other => return other.ok(),
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.ended {
            let _ = sys::process::pidfd_send_signal(self.child.pidfd.as_fd(), libc::SIGKILL);
            self.wait();
        }
    }
}

/// The reason that CRIU's answer gives for a failure. The log has more.
fn refusal(answer: &CriuAnswer) -> String {
    match answer.errno.unwrap_or(0) {
        0 => "criu failed".to_owned(),
        errno => format!("criu failed: {}", reason(Errno::from_raw(errno.abs()))),
    }
}

fn status_text(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("exit status {code}"),
        WaitStatus::Signaled(_, signal, _) => format!("signal {}", signal.as_str()),
        other => format!("{other:?}"),
    }
}
