//! Routing netlink (rtnetlink(7)), as far as moving a network device needs it.
//!
//! This is own code, because it needs only four kinds of request. The crates for netlink depend on ten others and
//! change their interface every few months.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType};
use nix::sys::socket::{bind, connect, recv, send, socket};

use crate::sys::Errno;

/// `struct nlmsghdr`: length, kind, flags, sequence, port.
const HEADER: usize = 16;
/// `struct nlattr`: length, kind.
const ATTRIBUTE: usize = 4;
/// The mask of an attribute's kind: without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const KIND_BITS: u16 = 0x3fff;
/// `NLM_F_DUMP_INTR`: the list changed while the kernel sent it.
const DUMP_INTERRUPTED: u16 = 0x10;
/// The maximum size of one answer.
const ANSWER: usize = 1 << 16;

/// A request under construction.
#[derive(Debug)]
pub struct Query {
    kind: u16,
    bytes: Vec<u8>,
}

impl Query {
    /// A request of this kind, with its fixed part.
    pub fn new(kind: u16, fixed: &[u8]) -> Query {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(fixed);
        Query { kind, bytes }
    }

    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Query {
        let length = (ATTRIBUTE + value.len()) as u16;
        self.bytes.extend_from_slice(&length.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self
    }

    fn seal(&self, flags: libc::c_int, sequence: u32) -> Vec<u8> {
        let flags = (flags | libc::NLM_F_REQUEST) as u16;
        let mut bytes = self.bytes.clone();
        bytes[..4].copy_from_slice(&(self.bytes.len() as u32).to_ne_bytes());
        bytes[4..6].copy_from_slice(&self.kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        bytes
    }
}

/// A message from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// `RTM_*` or `NLMSG_*`.
    pub kind: u16,
    flags: u16,
    sequence: u32,
    /// The fixed part, and the attributes after it.
    pub body: Vec<u8>,
}

impl Answer {
    /// The attributes after a fixed part of this size.
    pub fn attributes(&self, fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = self.body.get(aligned(fixed)..).unwrap_or_default();
        std::iter::from_fn(move || {
            let length = usize::from(u16_at(rest, 0)?);
            let kind = u16_at(rest, 2)? & KIND_BITS;
            let value = rest.get(ATTRIBUTE..length)?;
            rest = rest.get(aligned(length)..).unwrap_or_default();
            Some((kind, value))
        })
    }

    pub fn attribute(&self, fixed: usize, wanted: u16) -> Option<&[u8]> {
        self.attributes(fixed).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
    }
}

/// A connection to the kernel. It belongs to the network namespace in which the calling thread opened it.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// Opens a connection for requests.
    pub fn open() -> nix::Result<Netlink> {
        Netlink::with_groups(0)
    }

    /// Opens a connection for the kernel's notifications about network devices.
    pub fn listen() -> nix::Result<Netlink> {
        Netlink::with_groups(libc::RTMGRP_LINK as u32)
    }

    fn with_groups(groups: u32) -> nix::Result<Netlink> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        // A socket that is connected to the kernel receives nothing from other processes in a joined namespace.
        connect(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Netlink { socket, sequence: 0 })
    }

    /// Sends a request and waits for the answer.
    pub fn ask(&mut self, request: &Query) -> nix::Result<Vec<Answer>> {
        self.exchange(request, libc::NLM_F_ACK)
    }

    /// Sends a request to create an object or to replace an existing one.
    pub fn put(&mut self, request: &Query) -> nix::Result<()> {
        self.exchange(request, libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_REPLACE).map(drop)
    }

    /// Requests a whole list; repeats the request if the list changed in the meantime.
    pub fn list(&mut self, request: &Query) -> nix::Result<Vec<Answer>> {
        const TRIES: usize = 16;
        for _ in 0..TRIES {
            let list = self.exchange(request, libc::NLM_F_DUMP)?;
            if !list.iter().any(|message| message.flags & DUMP_INTERRUPTED != 0) {
                return Ok(list);
            }
        }
        Err(Errno::EAGAIN)
    }

    /// The notifications since the last call, without waiting.
    pub fn heard(&mut self) -> Vec<Answer> {
        let mut heard = Vec::new();
        loop {
            match self.receive(MsgFlags::MSG_DONTWAIT) {
                Ok(messages) => heard.extend(messages),
                // The buffer overflowed. The notifications in it are still valid.
                Err(Errno::ENOBUFS) => {}
                Err(_) => return heard,
            }
        }
    }

    fn exchange(&mut self, request: &Query, flags: libc::c_int) -> nix::Result<Vec<Answer>> {
        self.sequence += 1;
        send(self.socket.as_raw_fd(), &request.seal(flags, self.sequence), MsgFlags::empty())?;
        let mut answers = Vec::new();
        loop {
            for message in self.receive(MsgFlags::empty())? {
                if message.sequence != self.sequence {
                    continue;
                }
                let last = matches!(i32::from(message.kind), libc::NLMSG_ERROR | libc::NLMSG_DONE);
                if !last {
                    answers.push(message);
                    continue;
                }
                return match i32_at(&message.body, 0).unwrap_or(0) {
                    0 => {
                        answers.push(message);
                        Ok(answers)
                    }
                    code => Err(Errno::from_raw(-code)),
                };
            }
        }
    }

    fn receive(&self, flags: MsgFlags) -> nix::Result<Vec<Answer>> {
        let mut buffer = vec![0; ANSWER];
        let size = loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, flags | MsgFlags::MSG_TRUNC) {
                Err(Errno::EINTR) => {}
                result => break result?,
            }
        };
        buffer.get(..size).map(messages).ok_or(Errno::EMSGSIZE)
    }
}

fn messages(mut bytes: &[u8]) -> Vec<Answer> {
    let mut found = Vec::new();
    while let Some((message, rest)) = first(bytes) {
        found.push(message);
        bytes = rest;
    }
    found
}

fn first(bytes: &[u8]) -> Option<(Answer, &[u8])> {
    let length = u32_at(bytes, 0)? as usize;
    let body = bytes.get(HEADER..length)?.to_vec();
    let (kind, flags, sequence) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?, u32_at(bytes, 8)?);
    Some((Answer { kind, flags, sequence, body }, bytes.get(aligned(length)..).unwrap_or_default()))
}

/// Rounds up to a multiple of four, as netlink aligns everything.
fn aligned(size: usize) -> usize {
    size.next_multiple_of(4)
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_ne_bytes)
}

/// A number in the host's byte order.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_ne_bytes)
}

/// A signed number in the host's byte order.
pub fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes_at(bytes, at).map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let request = Query::new(16, &[7; 8]).attribute(3, b"eth0\0").attribute(28, &5u32.to_ne_bytes());
        let sealed = request.seal(libc::NLM_F_ACK, 9);
        assert_eq!(sealed.len(), 16 + 8 + 12 + 8);
        let mut twice = sealed.clone();
        twice.extend_from_slice(&sealed);
        let read = messages(&twice);
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].flags, read[0].sequence), (16, 5, 9));
        let attributes: Vec<_> = read[1].attributes(8).collect();
        assert_eq!(attributes, [(3, b"eth0\0".as_slice()), (28, &5u32.to_ne_bytes())]);
    }

    #[test]
    fn half_a_message_is_none() {
        let sealed = Query::new(16, &[7; 8]).attribute(3, b"eth0\0").seal(0, 1);
        for length in 0..sealed.len() {
            assert_eq!(messages(&sealed[..length]), [], "{length}");
        }
        let mut short = messages(&sealed)[0].clone();
        short.body.truncate(8 + 6);
        assert_eq!(short.attributes(8).count(), 0);
        short.body[8..10].copy_from_slice(&0u16.to_ne_bytes());
        assert_eq!(short.attributes(8).count(), 0, "an attribute without length must not be read for ever");
    }
}
