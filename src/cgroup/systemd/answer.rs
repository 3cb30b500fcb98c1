//! The errors of calls over the bus.

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use anyhow::anyhow;

/// The time that systemd may take for a job or for an answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An error that systemd returned.
#[derive(Debug)]
pub struct Refused {
    pub name: String,
    pub words: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Refused {}

/// The peer closed a connection that had worked before.
#[derive(Debug)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bus went away")
    }
}

impl std::error::Error for Gone {}

/// Whether systemd refused the call with the error `name`.
pub fn is(error: &anyhow::Error, name: &str) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.name == name)
}

/// The error of a read or write on a connection.
pub fn broken(error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => late(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Gone.into(),
        _ => crate::sys::io(error),
    }
}

pub fn late() -> anyhow::Error {
    anyhow!("timed out after {} s", PATIENCE.as_secs())
}
