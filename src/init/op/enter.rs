//! Operations that enter namespaces.

use super::{List, Text};

/// Operations that enter namespaces, and on what belongs to the process and not to a file: session, keyring, CPUs,
/// names.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Enter {
    /// Reset all signals to their default action and an empty mask: nothing of the caller's is inherited.
    Signals,
    /// Become undumpable: processes that live in the namespaces cannot trace this one or read its `/proc` entries.
    Undumpable,
    /// Become dumpable again before `execve(2)` would do it, so that an unprivileged caller may fetch the seccomp
    /// listener (pidfd_getfd), also after another user's namespace was joined.
    Dumpable,
    /// `setns(2)` for a list of `(Slot, flags)` as pairs of `u32`. A call that is refused before the user namespace is
    /// joined is repeated after.
    Join { list: List },
    /// Continue as a sibling in a new pid namespace (`CLONE_PARENT`). The parent gets the new pid.
    Fork { flags: u64 },
    /// `unshare(2)`.
    Unshare { flags: u64 },
    /// A line for `/proc/self/timens_offsets`.
    TimeOffsets { lines: Text },
    /// Become this uid and gid: root of a user namespace or, if it maps no root, the container's user. Supplementary
    /// groups are dropped unless `keep_groups` is set or the namespace denies setgroups(2).
    BecomeRoot { uid: u32, gid: u32, keep_groups: bool },
    /// `setsid(2)`.
    Session,
    /// Join a new session keyring of this name.
    Keyring { name: Text },
    /// `sched_setaffinity(2)` with a list of `u64` words. All bits only undo the inherited affinity: a refusal is then
    /// a warning.
    Affinity { mask: List },
    /// `sethostname(2)`.
    Hostname { name: Text },
    /// `setdomainname(2)`.
    Domainname { name: Text },
    /// Bring the loopback device up.
    Loopback,
}
