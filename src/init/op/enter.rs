//! Operations that enter namespaces.

use super::{List, Slot, Text};

/// Operations that enter namespaces, and those on the session, the keyring, the CPUs and the names of the host.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Enter {
    /// Reset all signals to their default action and the signal mask to empty, so that the caller's settings are not
    /// inherited.
    Signals,
    /// Enter a v1 cgroup by its open file `tasks`, and close the file. Without permission there is no file, and no
    /// cgroup.
    Cgroup { tasks: Slot },
    /// Become undumpable: processes in the joined namespaces cannot trace this one or read its `/proc` entries.
    Undumpable,
    /// Become dumpable again, earlier than `execve(2)` does it, so that an unprivileged caller can fetch the seccomp
    /// listener (pidfd_getfd), even after `init` has joined a user namespace of another user.
    Dumpable,
    /// `setns(2)` for a list of `(Slot, flags)` as pairs of `u32`. A call that the kernel refuses before the user
    /// namespace is joined is repeated after that.
    Join { list: List },
    /// Continue as a sibling in a new pid namespace (`CLONE_PARENT`). The runtime gets the new pid.
    Fork { flags: u64 },
    /// `unshare(2)`.
    Unshare { flags: u64 },
    /// Write these lines to `/proc/self/timens_offsets`.
    TimeOffsets { lines: Text },
    /// Change to this uid and gid: root of a user namespace or, if it does not map root, the container's user. Drop
    /// supplementary groups, unless `keep_groups` is set or the user namespace denies setgroups(2).
    BecomeRoot { uid: u32, gid: u32, keep_groups: bool },
    /// `setsid(2)`.
    Session,
    /// Join a new session keyring of this name.
    Keyring { name: Text },
    /// `sched_setaffinity(2)` with a list of `u64` words. A mask with all bits only resets the inherited affinity; then
    /// a refusal is a warning.
    Affinity { mask: List },
    /// `sethostname(2)`.
    Hostname { name: Text },
    /// `setdomainname(2)`.
    Domainname { name: Text },
    /// Bring the loopback device up.
    Loopback,
}
