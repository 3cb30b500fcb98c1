//! What the other end of the bus answers when a call fails.

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::anyhow;
use zbus::DBusError;

/// How long systemd may take for a job, or to answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What reading from and writing to a connection come to that is not there any more.
const CLOSED: [ErrorKind; 3] = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];

/// systemd's answer to a call that it does not carry out.
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

/// The other end of a connection that worked has closed it.
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

/// The answer of the other end, if the error is one: the names that the D-Bus specification has come in a form of their own.
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

/// What systemd said, without the name of the error.
pub fn plain(error: impl Into<zbus::Error>) -> anyhow::Error {
    let error = error.into();
    if let Some(refused) = answer(&error) {
        return refused.into();
    }
    match error {
        zbus::Error::InputOutput(error) if error.kind() == ErrorKind::TimedOut => late(),
        zbus::Error::InputOutput(error) if CLOSED.contains(&error.kind()) => Gone.into(),
        // Its words have those of its causes in them.
        other => anyhow!("{other}"),
    }
}

pub fn late() -> anyhow::Error {
    anyhow!("timed out after {} s", PATIENCE.as_secs())
}
