//! A connection to a message bus or directly to systemd.
//!
//! The calling thread sends, waits and receives. Every wait has a time limit.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt};
use nix::sys::time::TimeVal;

use super::answer::{Gone, PATIENCE, Refused, broken, late};
use super::gvariant::GVariant;
use super::marshal::Invalid;
use super::message::{MessageKind, Method, Received, START, length};
use crate::sys;

/// The longest line of an authentication.
const LONGEST_LINE: u64 = 1 << 10;

pub struct Connection {
    stream: BufReader<UnixStream>,
    serial: u32,
    /// Signals that came before the answer to a call.
    signals: VecDeque<Received>,
}

impl Connection {
    /// Connects and authenticates as the user `uid`, with the mechanism EXTERNAL: the kernel tells the peer who it is.
    /// `name` has Go's form, as for `sys::socket::connect`.
    pub fn open(name: &OsStr, uid: u32) -> Result<Connection> {
        let stream = sys::socket::connect(name, connect_in_time).map_err(broken)?;
        let mut connection = Connection { stream: BufReader::new(stream), serial: 0, signals: VecDeque::new() };
        // BEGIN is in the same write. If systemd itself reads a message together with BEGIN, it does not process the
        // message until more data arrives, so the first message must wait for the answer.
        let name: String = uid.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        connection.write(format!("\0AUTH EXTERNAL {name}\r\nBEGIN\r\n").as_bytes())?;
        let mut line = Vec::new();
        connection.stream.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(broken)?;
        match String::from_utf8_lossy(&line).trim_end() {
            "" => bail!(Gone),
            line if line.starts_with("OK ") => Ok(connection),
            line => bail!("the bus refuses the user id {uid}: {line:?}"),
        }
    }

    /// A connection that is open already.
    #[cfg(any(test, fuzzing))]
    pub fn over(stream: UnixStream) -> Connection {
        Connection { stream: BufReader::new(stream), serial: 0, signals: VecDeque::new() }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.get_mut().write_all(bytes).map_err(broken)
    }

    /// Sends a call. Returns its serial number.
    pub fn send(&mut self, method: &Method<'_>, arguments: &[GVariant]) -> Result<u32> {
        self.serial += 1;
        let call = method.call(self.serial, arguments).map_err(|why| anyhow!("{}: {why}", method.member))?;
        self.write(&call)?;
        Ok(self.serial)
    }

    /// Makes a call. Returns the values of the answer.
    ///
    /// # Errors
    /// `Refused` if the peer answers with an error; `Gone` if the peer closes the connection.
    pub fn call(&mut self, method: &Method<'_>, arguments: &[GVariant]) -> Result<Vec<GVariant>> {
        let serial = self.send(method, arguments)?;
        let end = Instant::now() + PATIENCE;
        loop {
            let message = self.receive(end)?;
            match message.kind {
                MessageKind::Reply if message.reply_to == Some(serial) => return message.body().map_err(invalid),
                MessageKind::Error if message.reply_to == Some(serial) => bail!(refused(message)),
                MessageKind::Signal => self.signals.push_back(message),
                _ => {}
            }
        }
    }

    /// The next signal.
    pub fn signal(&mut self, end: Instant) -> Result<Received> {
        loop {
            if let Some(signal) = self.signals.pop_front() {
                return Ok(signal);
            }
            let message = self.receive(end)?;
            if message.kind == MessageKind::Signal {
                return Ok(message);
            }
        }
    }

    fn receive(&mut self, end: Instant) -> Result<Received> {
        let mut message = vec![0; START];
        self.read(&mut message, end)?;
        let whole = message.first_chunk().map_or(Err("the message is cut off"), length).map_err(invalid)?;
        message.resize(whole, 0);
        self.read(&mut message[START..], end)?;
        Received::parse(&message).map_err(invalid)
    }

    /// Fills the buffer. A peer that sends a byte now and then does not prolong the time.
    fn read(&mut self, mut buffer: &mut [u8], end: Instant) -> Result<()> {
        while !buffer.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late());
            }
            match self.stream.read(buffer) {
                Ok(0) => bail!(Gone),
                Ok(count) => buffer = &mut buffer[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(())
    }
}

/// Connects, with a time limit for this and for each later read and write.
fn connect_in_time(address: &SocketAddr) -> io::Result<UnixStream> {
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let patience = TimeVal::new(PATIENCE.as_secs() as i64, 0);
    setsockopt(&socket, sockopt::SendTimeout, &patience)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &patience)?;
    let address = match address.as_abstract_name() {
        Some(name) => UnixAddr::new_abstract(name)?,
        None => UnixAddr::new(address.as_pathname().unwrap_or_else(|| "".as_ref()))?,
    };
    connect(socket.as_fd().as_raw_fd(), &address)?;
    Ok(socket.into())
}

fn invalid(why: Invalid) -> anyhow::Error {
    anyhow!("the bus has sent an invalid message: {why}")
}

/// The error that an answer tells. Its first argument is the text, if it is one.
fn refused(message: Received) -> Refused {
    let words = match message.body().unwrap_or_default().into_iter().next() {
        Some(GVariant::Text('s', words)) => words,
        _ => String::new(),
    };
    let name = message.error.unwrap_or_default();
    let words = match words.trim_end_matches('.') {
        "" => name.clone(),
        words => words.to_owned(),
    };
    Refused { name, words }
}
