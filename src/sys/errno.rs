//! Error texts in the form that engines expect.

use std::fmt;

pub use nix::errno::Errno;

use crate::tables::errno;

/// The text of an errno in lower case and without its number: `no such file or directory`.
///
/// Engines match on these texts.
pub fn reason(errno: Errno) -> String {
    let number = errno as i32;
    errno::text(number).map_or_else(|| format!("errno {number}"), str::to_owned)
}

/// Repeats a system call as long as a signal interrupts it.
///
/// # Errors
/// Any other error of the call.
pub fn again<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// A call that failed. Printed as `open /x: no such file or directory`.
#[derive(Debug)]
pub struct CallError {
    call: String,
    cause: std::io::Error,
}

impl CallError {
    /// An error of a call. The name is the one that a reader of the message knows.
    pub fn new(call: impl fmt::Display, cause: impl Into<std::io::Error>) -> CallError {
        CallError { call: call.to_string(), cause: cause.into() }
    }

    /// The errno, if the error has one.
    pub fn errno(&self) -> Option<Errno> {
        self.cause.raw_os_error().map(Errno::from_raw)
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.errno() {
            Some(errno) => write!(f, "{}: {}", self.call, reason(errno)),
            None => write!(f, "{}: {}", self.call, self.cause),
        }
    }
}

impl std::error::Error for CallError {}

/// Names a call in its error.
pub trait Call<T> {
    /// Adds the name of the call to an error. The name is formatted only if there is an error.
    ///
    /// # Errors
    /// A [`CallError`].
    fn named(self, call: impl fmt::Display) -> anyhow::Result<T>;
}

impl<T, E: Into<std::io::Error>> Call<T> for Result<T, E> {
    fn named(self, call: impl fmt::Display) -> anyhow::Result<T> {
        self.map_err(|cause| CallError::new(call, cause).into())
    }
}

/// Converts an I/O error to the form of [`reason`].
pub fn io(error: std::io::Error) -> anyhow::Error {
    match error.raw_os_error() {
        Some(number) => anyhow::anyhow!(reason(Errno::from_raw(number))),
        None => anyhow::anyhow!(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_go_s() {
        for (errno, text) in [
            (Errno::ENOENT, "no such file or directory"),
            (Errno::EBADF, "bad file descriptor"),
            (Errno::ENOMEM, "cannot allocate memory"),
            (Errno::EIO, "input/output error"),
            (Errno::ELOOP, "too many levels of symbolic links"),
            (Errno::EAGAIN, "resource temporarily unavailable"),
        ] {
            assert_eq!(reason(errno), text);
            let failed: nix::Result<()> = Err(errno);
            assert_eq!(failed.named("open /x").unwrap_err().to_string(), format!("open /x: {text}"));
        }
        let short: std::io::Result<()> = Err(std::io::ErrorKind::UnexpectedEof.into());
        assert_eq!(short.named("read").unwrap_err().to_string(), "read: unexpected end of file");
    }
}
