//! The id maps of a user namespace.

/// The id maps of a new user namespace, as `/proc/PID/uid_map` takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maps {
    /// Lines for `uid_map`.
    pub uid: String,
    /// Lines for `gid_map`.
    pub gid: String,
}

impl Maps {
    /// A single line for the caller's own id, which an ordinary user may write without help.
    pub fn single(lines: &str, own: u32) -> bool {
        let mut fields = lines.split_whitespace();
        lines.lines().count() == 1 && fields.nth(1) == Some(own.to_string().as_str()) && fields.next() == Some("1")
    }
}
