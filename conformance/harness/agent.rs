//! A seccomp agent: it receives the listeners of containers and answers the system calls that they report.

use super::terminal::message;
use super::{Result, Value, check};
use anyhow::Context;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The answer to a system call.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// The call fails with this errno.
    Errno(i32),
    /// The kernel carries the call out.
    Continue,
}

/// A message of a runtime: the container process state, and the number of descriptors that came with it.
#[derive(Clone, Debug)]
pub struct Message {
    pub state: Value,
    pub descriptors: usize,
}

type Judge = dyn Fn(i32) -> Verdict + Send + Sync;

/// An agent that answers until it is dropped. Dropping it closes its listeners; the calls then fail with ENOSYS.
pub struct Agent {
    pub path: PathBuf,
    messages: Arc<Mutex<Vec<Message>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// `judge` gets the number of every call.
    pub fn bind(path: PathBuf, judge: impl Fn(i32) -> Verdict + Send + Sync + 'static) -> Result<Self> {
        let socket = UnixListener::bind(&path).with_context(|| format!("bind {}", path.display()))?;
        let (messages, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (messages, over) = (messages.clone(), over.clone());
            move || serve(&socket, &messages, &over, &judge)
        });
        Ok(Self { path, messages, over, thread: Some(thread) })
    }

    /// The messages of all runtimes so far, once there are at least `count`.
    pub fn messages(&self, count: usize) -> Result<Vec<Message>> {
        let heard = || self.messages.lock().map(|messages| messages.clone()).unwrap_or_default();
        check::eventually("a runtime that calls the agent", || Ok(heard().len() >= count))?;
        Ok(heard())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve(socket: &UnixListener, messages: &Mutex<Vec<Message>>, over: &AtomicBool, judge: &Judge) {
    let mut listeners: Vec<OwnedFd> = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let all = std::iter::once(socket.as_fd()).chain(listeners.iter().map(AsFd::as_fd));
        let mut polled: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        if poll(&mut polled, PollTimeout::from(20u8)).is_err() {
            continue;
        }
        let events: Vec<_> = polled.iter().map(|it| it.revents().unwrap_or(PollFlags::empty())).collect();
        let mut reported = events[1..].iter();
        // A listener hangs up when the last process that uses its filter is gone.
        listeners.retain(|_| !reported.next().is_some_and(|events| events.contains(PollFlags::POLLHUP)));
        if events[1..].iter().any(|events| events.contains(PollFlags::POLLIN)) {
            listeners.iter().for_each(|listener| answer(listener, judge));
        }
        if events[0].contains(PollFlags::POLLIN)
            && let Ok((stream, _)) = socket.accept()
            && let Ok((message, descriptors)) = read_message(&stream)
        {
            listeners.extend(descriptors);
            let _ = messages.lock().map(|mut messages| messages.push(message));
        }
    }
}

/// Reads the message of one connection, up to its end.
fn read_message(stream: &UnixStream) -> Result<(Message, Vec<OwnedFd>)> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut received = message(stream.as_raw_fd())?;
    loop {
        let rest = message(stream.as_raw_fd())?;
        if rest.text.is_empty() {
            break;
        }
        received.text += &rest.text;
        received.descriptors.extend(rest.descriptors);
    }
    let message = Message { state: serde_json::from_str(&received.text)?, descriptors: received.descriptors.len() };
    Ok((message, received.descriptors))
}

/// Answers one call, if one is waiting: `SECCOMP_IOCTL_NOTIF_RECV` and `_SEND`, seccomp_unotify(2).
fn answer(listener: &OwnedFd, judge: &Judge) {
    const RECV: libc::Ioctl = 0xc050_2100_u32 as libc::Ioctl;
    const SEND: libc::Ioctl = 0xc018_2101_u32 as libc::Ioctl;
    let waits = |fd: &OwnedFd| {
        let mut one = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
        poll(&mut one, PollTimeout::ZERO).is_ok_and(|count| count > 0)
            && one[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN))
    };
    if !waits(listener) {
        return;
    }
    // SAFETY: both structures are plain data of the size that the number of the ioctl encodes, and the first one is all
    // zeroes, as the kernel demands.
    unsafe {
        let mut call: libc::seccomp_notif = std::mem::zeroed();
        if libc::ioctl(listener.as_raw_fd(), RECV, &raw mut call) != 0 {
            return;
        }
        let (error, flags) = match judge(call.data.nr) {
            Verdict::Errno(errno) => (-errno, 0),
            Verdict::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        };
        let mut answer = libc::seccomp_notif_resp { id: call.id, val: 0, error, flags };
        // This fails if the process has been killed meanwhile; then no answer is needed.
        libc::ioctl(listener.as_raw_fd(), SEND, &raw mut answer);
    }
}
