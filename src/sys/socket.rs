//! Messages with descriptors (`SCM_RIGHTS`, unix(7)).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Receive a message and the descriptor that may come along. More than one is closed.
///
/// # Errors
/// What `recvmsg(2)` answers.
pub fn receive(socket: BorrowedFd<'_>, bytes: &mut [u8]) -> nix::Result<(usize, Option<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; 2]);
    let mut buffers = [IoSliceMut::new(bytes)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut received = None;
    for item in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = item {
            for fd in descriptors {
                // SAFETY: the kernel has just made this descriptor for us.
                received = Some(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
    Ok((message.bytes, received))
}

/// Send a text and exactly one descriptor; tells how much of the text went with it.
///
/// # Errors
/// What `sendmsg(2)` answers.
pub fn send(socket: BorrowedFd<'_>, text: &[u8], descriptor: BorrowedFd<'_>) -> nix::Result<usize> {
    let descriptors = [descriptor.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&descriptors)];
    let buffers = [IoSlice::new(text)];
    sendmsg::<()>(socket.as_raw_fd(), &buffers, &control, MsgFlags::MSG_NOSIGNAL, None)
}
