//! Operations on the rights of the process.

use super::{List, Text};

/// Operations on the rights of the process: its user, its capabilities, the system calls that it may make.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Rights {
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// Drop every capability outside the mask from the bounding set.
    Bounding { keep: u64 },
    /// Drop all other capabilities. Soon other processes may trace this one, so it keeps only those that it still
    /// needs.
    Shed { keep: u64 },
    /// Set uid, gid and groups. With `keep` the permitted capabilities survive. If the user namespace denies
    /// setgroups(2), `groups` are left out with a warning.
    User { uid: u32, gid: u32, groups: List, set_groups: bool, keep: bool },
    /// `capset(2)`, then the ambient set. A capability that cannot be set is a warning. A set with all bits is no
    /// demand: it means all capabilities that the process has.
    Capabilities { effective: u64, permitted: u64, inheritable: u64, ambient: u64 },
    /// Load a seccomp filter: a list of `u64`, each a `struct sock_filter`. `agent` is the socket to which the runtime
    /// sends the listener, or `Text::NONE`.
    Seccomp { filter: List, flags: u32, agent: Text },
}
