//! Operations that enter namespaces.

use super::{List, Text};

/// Namespaces, and what belongs to the process in them and not to a file: session, keyring, CPUs, names.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Enter {
    /// Default actions and an empty mask for all signals: what the caller ignored stays outside.
    Signals,
    /// Refuse to be traced or looked into by what already lives in the namespaces.
    Undumpable,
    /// The opposite: an ordinary user who calls may fetch the listener of a filter from here, also when another's user
    /// namespace was joined. `execve(2)` would have done it soon.
    Dumpable,
    /// `setns(2)` for a list of `(Slot, flags)` as pairs of `u32`; what is refused before the user
    /// namespace is joined is tried again after.
    Join { list: List },
    /// Become the sibling of oneself in a new pid namespace (`CLONE_PARENT`); the parent is told
    /// the new pid.
    Fork { flags: u64 },
    /// `unshare(2)`.
    Unshare { flags: u64 },
    /// A line for `/proc/self/timens_offsets`.
    TimeOffsets { lines: Text },
    /// Take this identity with no other groups, unless they are kept or the namespace has setgroups(2) denied: root of a
    /// user namespace or, where that maps none, the container's user.
    BecomeRoot { uid: u32, gid: u32, keep_groups: bool },
    /// `setsid(2)`.
    Session,
    /// Join a new session keyring of this name.
    Keyring { name: Text },
    /// `sched_setaffinity(2)` with a list of `u64` words. All bits only undo what was inherited: that is no demand, and
    /// where it is refused a warning.
    Affinity { mask: List },
    /// `sethostname(2)`.
    Hostname { name: Text },
    /// `setdomainname(2)`.
    Domainname { name: Text },
    /// Bring the loopback device up.
    Loopback,
}
