//! The id maps of a user namespace.

use serde::{Deserialize, Serialize};

/// The id maps of a new user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maps {
    /// The lines for `/proc/PID/uid_map`.
    pub uid: String,
    /// The lines for `/proc/PID/gid_map`.
    pub gid: String,
}

impl Maps {
    /// Whether `lines` is one line that maps the id `own` alone. An unprivileged user may write such a map without
    /// newuidmap(1).
    pub fn single(lines: &str, own: u32) -> bool {
        let mut fields = lines.split_whitespace();
        lines.lines().count() == 1 && fields.nth(1) == Some(own.to_string().as_str()) && fields.next() == Some("1")
    }
}
