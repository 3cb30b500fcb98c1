//! A `criu swrk` process, and the conversation with it: one request, notifications during the work, one answer
//! (criu.org, "RPC").

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::socket::{AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, shutdown, socketpair};
use nix::sys::wait::{WaitStatus, waitpid};
use protobuf::Message;
use rust_criu::rust_criu_protobuf::rpc::{Criu_features, Criu_notify, Criu_opts, Criu_req, Criu_req_type, Criu_resp};

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
        let answer = self.ask(Criu_req_type::VERSION, |_| {}, |_| Ok(()))?;
        let version = (answer.version.major_number(), answer.version.minor_number());
        if version < OLDEST {
            bail!("criu {}.{} is too old: {}.{} or newer is needed", version.0, version.1, OLDEST.0, OLDEST.1);
        }
        Ok(())
    }

    /// The optional features of CRIU that this kernel supports.
    pub fn features(&mut self) -> Result<Criu_features> {
        let mut wanted = Criu_features::new();
        wanted.set_mem_track(true);
        wanted.set_lazy_pages(true);
        let fill = |request: &mut Criu_req| request.features = Some(wanted).into();
        Ok(self.ask(Criu_req_type::FEATURE_CHECK, fill, |_| Ok(()))?.features.unwrap_or_default())
    }

    /// Sends the main request, and answers the notifications. A failed answer ends the request.
    pub fn carry_out(
        mut self,
        kind: Criu_req_type,
        options: Criu_opts,
        mut serve: impl FnMut(Notice) -> Result<()>,
    ) -> Result<Criu_resp> {
        let fill = |request: &mut Criu_req| {
            request.opts = Some(options).into();
            request.set_keep_open(false);
        };
        let answer = self.ask(kind, fill, &mut serve)?;
        // After a pre-dump CRIU waits for more requests until the socket is closed.
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
        match self.wait() {
            _ if kind == Criu_req_type::PRE_DUMP => Ok(answer),
            Some(WaitStatus::Exited(_, 0)) | None => Ok(answer),
            Some(status) => bail!("criu ended with {}", status_text(status)),
        }
    }

    fn ask(
        &mut self,
        kind: Criu_req_type,
        fill: impl FnOnce(&mut Criu_req),
        mut serve: impl FnMut(Notice) -> Result<()>,
    ) -> Result<Criu_resp> {
        let mut request = Criu_req::new();
        request.set_type(kind);
        request.set_keep_open(true);
        fill(&mut request);
        self.send(&request)?;
        loop {
            let (answer, fd) = self.receive()?;
            if !answer.success() {
                bail!("{}", refusal(&answer));
            }
            match answer.type_() {
                Criu_req_type::NOTIFY => {
                    let notify = answer.notify.unwrap_or_default();
                    self.acknowledge(&notify, fd, &mut serve)?;
                }
                answered if answered == kind => return Ok(answer),
                answered => bail!("criu has answered {answered:?} to a request for {kind:?}"),
            }
        }
    }

    fn acknowledge(
        &mut self,
        notify: &Criu_notify,
        fd: Option<OwnedFd>,
        serve: &mut impl FnMut(Notice) -> Result<()>,
    ) -> Result<()> {
        let served = serve(Notice { script: notify.script().to_owned(), pid: notify.pid(), fd });
        let mut word = Criu_req::new();
        word.set_type(Criu_req_type::NOTIFY);
        word.set_notify_success(served.is_ok());
        let sent = self.send(&word);
        if let Err(error) = served {
            // CRIU rolls back. Until it has finished, the processes that it made still exist.
            while self.receive().is_ok_and(|(answer, _)| answer.success()) {}
            self.wait();
            return Err(error);
        }
        sent
    }

    fn send(&mut self, request: &Criu_req) -> Result<()> {
        let bytes = request.write_to_bytes().context("encode a request to criu")?;
        let sent = nix::sys::socket::send(self.socket.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL);
        match sent {
            Ok(_) => Ok(()),
            Err(Errno::EPIPE | Errno::ECONNRESET) => Err(self.gone()),
            Err(errno) => Err(CallError::new("write to criu", errno).into()),
        }
    }

    fn receive(&mut self) -> Result<(Criu_resp, Option<OwnedFd>)> {
        let mut bytes = vec![0; LONGEST];
        let (count, fd) = loop {
            match sys::socket::receive(self.socket.as_fd(), &mut bytes) {
                Ok(received) => break received,
                Err(Errno::EINTR) => {}
                Err(Errno::ECONNRESET) => break (0, None),
                Err(errno) => bail!(CallError::new("read from criu", errno)),
            }
        };
        if count == 0 {
            return Err(self.gone());
        }
        let answer = Criu_resp::parse_from_bytes(&bytes[..count]).context("decode an answer of criu")?;
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
fn refusal(answer: &Criu_resp) -> String {
    match answer.cr_errno() {
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
