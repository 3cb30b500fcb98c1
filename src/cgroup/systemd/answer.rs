//! The errors of calls over the bus.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::anyhow;
use zbus::DBusError;

/// The time that systemd may take for a job or for an answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The errors of reads and writes on a closed connection.
const CLOSED: [ErrorKind; 3] = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];

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

pub fn is(error: &zbus::Error, name: &str) -> bool {
    answer(error).is_some_and(|refused| refused.name == name)
}

/// The peer's answer, if the error is one. zbus has a type of its own for the error names of the D-Bus specification.
pub fn answer(error: &zbus::Error) -> Option<Refused> {
    let (name, words) = match error {
        zbus::Error::MethodError(name, words, _) => (name.to_string(), words.as_deref()),
        zbus::Error::FDO(error) if !matches!(**error, zbus::fdo::Error::ZBus(_)) => {
            (error.name().to_string(), error.description())
        }
        _ => return None,
    };
    let words = words.map_or_else(|| name.clone(), |words| words.trim_end_matches('.').to_owned());
    Some(Refused { name, words })
}

/// systemd's message, without the name of the error.
pub fn plain(error: impl Into<zbus::Error>) -> anyhow::Error {
    let error = error.into();
    if let Some(refused) = answer(&error) {
        return refused.into();
    }
    match error {
        zbus::Error::InputOutput(error) if error.kind() == ErrorKind::TimedOut => late(),
        zbus::Error::InputOutput(error) if CLOSED.contains(&error.kind()) => Gone.into(),
        // This text includes the texts of the error's sources.
        other => anyhow!("{other}"),
    }
}

pub fn late() -> anyhow::Error {
    anyhow!("timed out after {} s", PATIENCE.as_secs())
}
