//! Errors of the kernel, as engines expect to read them.

pub use nix::errno::Errno;

/// The text of an errno in lower case and without its number: `no such file or directory`.
///
/// Engines match on these texts in the form that Go gives them.
pub fn reason(errno: Errno) -> String {
    match errno {
        Errno::EIO => "input/output error".to_owned(),
        Errno::ETXTBSY => "text file busy".to_owned(),
        other => {
            let text = other.desc();
            let mut chars = text.chars();
            match chars.next() {
                Some(first) => first.to_lowercase().chain(chars).collect(),
                None => String::new(),
            }
        }
    }
}

/// An I/O error in the same form.
pub fn io(error: std::io::Error) -> anyhow::Error {
    match error.raw_os_error() {
        Some(number) => anyhow::anyhow!(reason(Errno::from_raw(number))),
        None => anyhow::anyhow!(error.to_string()),
    }
}
