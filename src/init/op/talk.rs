//! Operations that talk to the parent, and their messages.

use super::Slot;

/// Operations in which `init` waits for the parent or for `start`.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Talk {
    /// Wait until the parent has written id maps, cgroups and the OOM score of this process.
    Wait,
    /// Ask the parent for something and wait.
    Ask { what: Ask },
    /// Open a terminal of the container's devpts, set its size unless that is 0, make it the controlling terminal and
    /// the standard descriptors, and send its master to the parent. With `console` it is also mounted on
    /// `/dev/console`.
    Terminal { rows: u16, columns: u16, console: bool },
    /// Close all descriptors from this number on except the gate, and wait there for the byte that `start` writes.
    Gate { fifo: Slot, from: u32 },
}

/// Requests to the parent, for which `init` waits.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Run the hooks that belong before `pivot_root`.
    Hooks = 1,
    /// All is set up: the parent saves the state and then answers.
    Ready = 2,
    /// Move network devices into the current network namespace.
    NetDevices = 3,
}

/// Kinds of [`Message`].
pub mod kind {
    /// An operation failed.
    pub const FAILED: u32 = 1;
    /// An operation asks: `detail` is the [`super::Ask`].
    pub const ASK: u32 = 2;
    /// An operation was carried out in part, which is no error.
    pub const WARNING: u32 = 3;
    /// A sibling continues the program: `detail` is its pid.
    pub const FORKED: u32 = 4;
    /// Sent along with the master of the terminal.
    pub const TERMINAL: u32 = 5;
    /// A seccomp filter is in force: `detail` is the number of its listener in this process, for pidfd_getfd(2). The
    /// listener is not sent with the message: the filter may suspend sendmsg(2) until the agent answers, and the agent
    /// does not have the listener yet.
    pub const LISTENER: u32 = 6;
    /// A mount is about to be attached in a running container: `detail` is its id.
    pub const MOUNTED: u32 = 7;
}

/// A message to the parent; the size is fixed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// One of [`kind`].
    pub kind: u32,
    /// Index of the operation.
    pub index: u32,
    /// Number of the system call that failed, or one of [`why`].
    pub step: u32,
    /// Its errno.
    pub errno: i32,
    /// Its meaning depends on the operation.
    pub detail: u64,
}

/// Reasons other than a failed system call.
pub mod why {
    /// The target lies inside a procfs.
    pub const INSIDE_PROC: u32 = 0x8000_0001;
    /// `/dev/null` is not the null device.
    pub const NOT_NULL: u32 = 0x8000_0002;
    /// The working directory is outside the root.
    pub const CWD_OUTSIDE: u32 = 0x8000_0003;
    /// The parent is gone.
    pub const ORPHAN: u32 = 0x8000_0004;
    /// No candidate can be run.
    pub const NOT_FOUND: u32 = 0x8000_0005;
    /// The target is not an ordinary directory.
    pub const NOT_PLAIN: u32 = 0x8000_0006;
    /// A path is too long.
    pub const TOO_LONG: u32 = 0x8000_0007;
    /// The file system to mount is not a procfs.
    pub const NOT_PROC: u32 = 0x8000_0008;
    /// `/dev/pts` has no terminals.
    pub const NOT_TERMINAL: u32 = 0x8000_0009;
    /// There is another file where the device should be.
    pub const NOT_DEVICE: u32 = 0x8000_000a;
    /// The host's file is not the device that is asked for.
    pub const OTHER_DEVICE: u32 = 0x8000_000b;
    /// The path is the root, which cannot be hidden.
    pub const IS_ROOT: u32 = 0x8000_000c;
    /// A running container takes only mounts whose flags can be set before they are attached.
    pub const NEEDS_SETATTR: u32 = 0x8000_000d;
    /// There is no mount at the path, or another one.
    pub const NOT_MOUNTED: u32 = 0x8000_000e;
    /// A file was exchanged for another one again and again while it was copied.
    pub const UNSTEADY: u32 = 0x8000_000f;
    /// The tree to copy is nested too deeply.
    pub const TOO_DEEP: u32 = 0x8000_0010;
    /// The user namespace denies setgroups(2).
    pub const GROUPS_DENIED: u32 = 0x8000_0011;
}
