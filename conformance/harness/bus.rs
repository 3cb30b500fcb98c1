//! A proxy between the runtime and the system bus that fails when the test says so.

use super::Result;
use anyhow::Context;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const SYSTEM: &str = "/run/dbus/system_bus_socket";

/// The failure of a connection after the last message that is passed on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The proxy closes it. No answer to the last message comes through, however late the proxy is.
    Closes,
    /// The proxy keeps it open, and passes on no more messages.
    IsSilent,
}

/// A socket that behaves like the system bus until a connection has sent a number of messages.
pub struct FaultyBus {
    path: PathBuf,
}

impl FaultyBus {
    /// The first `connections` fail after `messages` of the runtime have been passed on. Later connections do not fail.
    pub fn new(path: PathBuf, fault: Fault, messages: usize, connections: usize) -> Result<Self> {
        let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
        let left = AtomicUsize::new(connections);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(|client| client.ok()) {
                let faulty = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
                let limit = if faulty { messages } else { usize::MAX };
                std::thread::spawn(move || serve(client, fault, limit));
            }
        });
        Ok(Self { path })
    }

    /// The value of `DBUS_SYSTEM_BUS_ADDRESS`.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.path.display())
    }
}

/// Serves one connection. An error ends it.
fn serve(mut client: UnixStream, fault: Fault, messages: usize) {
    let Ok(mut bus) = UnixStream::connect(SYSTEM) else { return };
    let (Ok(mut from), Ok(mut to)) = (bus.try_clone(), client.try_clone()) else { return };
    let deaf = Arc::new(AtomicBool::new(false));
    let ends = deaf.clone();
    std::thread::spawn(move || {
        let _ = answer(&mut from, &mut to, &ends);
        // The bus closes a connection that does not authenticate itself after half a minute, too.
        if fault == Fault::Closes {
            let _ = to.shutdown(Shutdown::Both);
        }
    });
    let last = || deaf.store(fault == Fault::Closes, Ordering::SeqCst);
    let passed = handshake(&mut client, &mut bus, messages).and_then(|()| pass(&mut client, &mut bus, messages, last));
    if passed.is_ok() && fault == Fault::IsSilent {
        // Discard what the runtime sends. The answers of the bus to earlier messages still reach the runtime.
        let mut rest = [0; 1 << 10];
        while client.read(&mut rest).is_ok_and(|count| count > 0) {}
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = bus.shutdown(Shutdown::Both);
}

/// Passes on what the bus says, until `ends` is set.
fn answer(bus: &mut UnixStream, client: &mut UnixStream, ends: &AtomicBool) -> std::io::Result<()> {
    let mut text = [0; 4 << 10];
    loop {
        let count = bus.read(&mut text)?;
        if count == 0 || ends.load(Ordering::SeqCst) {
            return Ok(());
        }
        client.write_all(&text[..count])?;
    }
}

/// Passes on the lines of the authentication up to `BEGIN`. If no message is to be passed on, no line is either.
fn handshake(client: &mut UnixStream, bus: &mut UnixStream, messages: usize) -> std::io::Result<()> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while messages > 0 && !line.ends_with(b"BEGIN\r\n") {
        client.read_exact(&mut byte)?;
        bus.write_all(&byte)?;
        line.push(byte[0]);
    }
    Ok(())
}

/// Passes on messages, whose layout is in the D-Bus specification: the length of the body begins at byte 4, that of the
/// header's fields at byte 12. Calls `last` before the last one.
fn pass(client: &mut UnixStream, bus: &mut UnixStream, messages: usize, last: impl Fn()) -> std::io::Result<()> {
    for left in (0..messages).rev() {
        let mut head = [0; 16];
        client.read_exact(&mut head)?;
        let little = head[0] == b'l';
        let number = |at: usize| {
            let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
            let number = if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
            usize::try_from(number).map_err(|_| std::io::Error::from(ErrorKind::InvalidData))
        };
        let mut rest = vec![0; number(12)?.next_multiple_of(8) + number(4)?];
        client.read_exact(&mut rest)?;
        if left == 0 {
            last();
        }
        bus.write_all(&[&head[..], &rest].concat())?;
    }
    Ok(())
}
