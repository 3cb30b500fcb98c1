//! Error texts, as engines expect them.

pub use nix::errno::Errno;

/// The text of an errno in lower case and without its number: `no such file or directory`.
///
/// Engines match on these texts in the form that Go gives them, which is strerror(3)'s.
pub fn reason(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno as i32).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Repeat a system call as long as a signal interrupts it.
///
/// # Errors
/// What it answers otherwise.
pub fn again<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Convert an I/O error to the same form.
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
        }
    }
}
