//! Operations on the process itself.

use super::{List, Text};

/// What the process itself becomes: identity, privileges, limits, the program.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Process {
    /// Write a file of procfs: a sysctl, an LSM label. It is the one that the kernel has at this path, whatever is mounted
    /// over it. A refusal of the write is a warning unless there `must` be one.
    Write { path: Text, value: Text, must: bool },
    /// The standard descriptors become the process's own. One that is the host's null device is
    /// exchanged for the container's: through the host's, the container could change that one's
    /// mode. The others are given to the user, who may then open them by name (`/dev/stdout`).
    OwnStdio { uid: u32 },
    /// `chdir(2)`, once; may fail here when `later` is set, since another identity may be allowed to, or the path leads by
    /// way of a pid namespace that is not entered yet.
    Chdir { path: Text, later: bool },
    /// `umask(2)`.
    Umask { mask: u32 },
    /// `setrlimit(2)`.
    Limit { resource: u32, soft: u64, hard: u64 },
    /// `sched_setattr(2)`.
    Scheduler { policy: u32, nice: i32, priority: u32, flags: u64, runtime: u64, deadline: u64, period: u64 },
    /// `ioprio_set(2)`: class and level in the kernel's form.
    IoPriority { value: u32 },
    /// `personality(2)`.
    Personality { domain: u32 },
    /// `set_mempolicy(2)` with a list of `u64` words.
    MemoryPolicy { mode: u32, nodes: List },
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// Drop every capability outside the mask from the bounding set.
    Bounding { keep: u64 },
    /// Keep no other capabilities than these: what is to be traced by others soon has no more than it still needs.
    Shed { keep: u64 },
    /// Take the identity of the process; with `keep` the permitted capabilities outlive the change. Groups that are to be
    /// set are left out with a warning where the user namespace has setgroups(2) denied.
    User { uid: u32, gid: u32, groups: List, set_groups: bool, keep: bool },
    /// `capset(2)`, then the ambient set; what cannot be had is a warning. All bits are no demand:
    /// they stand for whatever there is.
    Capabilities { effective: u64, permitted: u64, inheritable: u64, ambient: u64 },
    /// Set HOME in the environment from `/etc/passwd` of the container: `slot` is the index in
    /// `envp` that is left free for it.
    Home { uid: u32, envp: List, slot: u32 },
    /// Find the program: a list of `Text` to try; the last one found is what `Exec` runs.
    Find { candidates: List },
    /// Have `execve(2)` close all descriptors from this number on: a seccomp filter may forbid to do
    /// it directly later.
    CloseOnExec { from: u32 },
    /// Load a seccomp filter: a list of `u64`, each a `struct sock_filter`. A filter with a listener
    /// names the socket that the parent sends it to; else that is `Text::NONE`.
    Seccomp { filter: List, flags: u32, agent: Text },
    /// Close all descriptors from this number on.
    Close { from: u32 },
    /// `execve(2)`: `argv` and `envp` are null-terminated arrays of addresses.
    Exec { argv: List, envp: List },
}
