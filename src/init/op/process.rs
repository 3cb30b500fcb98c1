//! Operations on the process.

use super::{List, Text};

/// Operations on the process: working directory, limits, priorities, the user's program.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Process {
    /// Write a file of procfs: a sysctl, an LSM label. This writes the kernel's own file, even if another file is
    /// mounted over it. If `must` is false, a refused write is a warning.
    Write { path: Text, value: Text, must: bool },
    /// Give the standard descriptors to the user of the process, so that the process can open them by name
    /// (`/dev/stdout`). Replace a descriptor of the host's null device by the container's null device: through the
    /// host's descriptor the container could change the mode of that device.
    OwnStdio { uid: u32 },
    /// `chdir(2)`, unless an earlier `Chdir` succeeded. With `later` it may fail: the process may lack the right until
    /// it has changed its user, or the path may lead through a pid namespace that is not entered yet.
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
    /// Set HOME in the environment from the container's `/etc/passwd`; `slot` is the free index in `envp`.
    Home { uid: u32, envp: List, slot: u32 },
    /// Find the user's program in a list of `Text`: `Exec` runs the first one that is executable.
    Find { candidates: List },
    /// Mark all descriptors from this number on close-on-exec: a seccomp filter may forbid to close them later.
    CloseOnExec { from: u32 },
    /// Close all descriptors from this number on.
    Close { from: u32 },
    /// `execve(2)`: `argv` and `envp` are null-terminated arrays of addresses.
    Exec { argv: List, envp: List },
}
