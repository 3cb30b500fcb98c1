//! The socket to `init`: fixed-size messages from it, single bytes to it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::{Result, anyhow};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use crate::init::op::Message;
use crate::sys::{self, Call, CallError};

/// The runtime's end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Both ends; `init` inherits the second one.
    pub fn pair() -> Result<(Channel, OwnedFd)> {
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (own, theirs) = pair.named("socketpair")?;
        Ok((Channel(own), theirs))
    }

    /// The next message, and the descriptor sent with it; `None` if `init` has closed its end, by `execve(2)` or by
    /// exiting, or if there is none and this call does not block.
    pub fn receive(&self, blocks: bool) -> Result<Option<(Message, Option<OwnedFd>)>> {
        let mut bytes = [0u8; size_of::<Message>()];
        match sys::socket::receive(self.0.as_fd(), &mut bytes, blocks) {
            Ok((0, _)) => Ok(None),
            Err(nix::Error::EAGAIN) if !blocks => Ok(None),
            Ok((count, descriptor)) if count == bytes.len() => Ok(Some((decode(&bytes), descriptor))),
            Ok((count, _)) => Err(anyhow!("init sent {count} bytes instead of {}", bytes.len())),
            Err(errno) => Err(CallError::new("read from init", errno).into()),
        }
    }

    /// Lets `init` continue. If `init` has exited, the next `receive` reports it.
    ///
    /// # Errors
    /// The error of send(2) while `init` lives. It must not be ignored: `init` waits for this byte.
    pub fn go_on(&self) -> Result<()> {
        let flags = nix::sys::socket::MsgFlags::MSG_NOSIGNAL;
        match sys::again(|| nix::sys::socket::send(self.0.as_raw_fd(), &[1], flags)) {
            Ok(_) | Err(nix::Error::EPIPE | nix::Error::ECONNRESET) => Ok(()),
            Err(errno) => Err(CallError::new("write to init", errno).into()),
        }
    }
}

fn decode(bytes: &[u8; size_of::<Message>()]) -> Message {
    let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let detail = u64::from(word(16)) | u64::from(word(20)) << 32;
    Message { kind: word(0), index: word(4), step: word(8), errno: word(12) as i32, detail }
}
