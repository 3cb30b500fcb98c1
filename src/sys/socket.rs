//! Unix domain sockets (unix(7)): names, and messages with descriptors (`SCM_RIGHTS`).

use std::ffi::OsStr;
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;

use nix::fcntl::{OFlag, open};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::stat::Mode;

/// Receives a message and at most one descriptor. Further descriptors are closed. The length is 0 if the peer has closed
/// its end and all its messages are received.
///
/// # Errors
/// The error of `recvmsg(2)`; EAGAIN if there is no message and this does not block.
pub fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8], blocks: bool) -> nix::Result<(usize, Option<OwnedFd>)> {
    loop {
        match receive_once(socket, bytes, blocks) {
            // The peer has closed its end before it has read everything. The kernel says so once, before it gives out the
            // peer's last messages, of which one may tell of a failure (net/unix/af_unix.c, unix_release_sock).
            Err(nix::Error::EINTR | nix::Error::ECONNRESET) => {}
            other => return other,
        }
    }
}

fn receive_once(socket: BorrowedFd<'_>, bytes: &mut [u8], blocks: bool) -> nix::Result<(usize, Option<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; 2]);
    let mut buffers = [IoSliceMut::new(bytes)];
    let wait = if blocks { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT };
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | wait;
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut control), flags)?;
    let mut received = None;
    for item in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = item {
            for fd in descriptors {
                // SAFETY: the kernel has just made this descriptor; only this code owns it.
                received = Some(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
    Ok((message.bytes, received))
}

/// Sends a text with one descriptor. Returns the number of bytes sent.
///
/// # Errors
/// The error of `sendmsg(2)`.
pub fn send(socket: BorrowedFd<'_>, text: &[u8], descriptor: BorrowedFd<'_>) -> nix::Result<usize> {
    let descriptors = [descriptor.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&descriptors)];
    let buffers = [IoSlice::new(text)];
    sendmsg::<()>(socket.as_raw_fd(), &buffers, &control, MsgFlags::MSG_NOSIGNAL, None)
}

/// The longest path in an address, without the NUL at its end.
const LONGEST_PATH: usize = 107;

/// Connects to a socket by a name in Go's form: a path, or `@` and a name in the abstract namespace. A path that is too
/// long for an address is opened, and the socket is reached through the descriptor.
///
/// # Errors
/// The error of `connect`; the error of opening the file at a long path.
pub fn connect<T>(name: &OsStr, connect: impl Fn(&SocketAddr) -> std::io::Result<T>) -> std::io::Result<T> {
    let mut place = None;
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None if name.len() <= LONGEST_PATH => SocketAddr::from_pathname(name)?,
        None => {
            let file = place.insert(open(name, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?);
            SocketAddr::from_pathname(format!("/proc/self/fd/{}", file.as_raw_fd()))?
        }
    };
    loop {
        match connect(&address) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use std::os::fd::AsFd;

    #[test]
    fn the_last_message_is_received_after_a_reset() {
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
        let (own, theirs) = pair.unwrap();
        let say = |socket: &OwnedFd, text: &[u8]| {
            nix::sys::socket::send(socket.as_raw_fd(), text, MsgFlags::MSG_NOSIGNAL).unwrap()
        };
        say(&own, b"an answer that nobody reads");
        say(&theirs, b"failed");
        drop(theirs);
        let mut bytes = [0; 32];
        assert_eq!(receive(own.as_fd(), &mut bytes, true).unwrap().0, 6);
        assert_eq!(receive(own.as_fd(), &mut bytes, true).unwrap().0, 0);
    }
}
