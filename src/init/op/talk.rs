//! Operations that talk to the runtime, and their messages.

use super::Slot;

/// Operations in which `init` waits for the runtime or for `start`.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Talk {
    /// Wait until the runtime has written the id maps, the cgroups and the OOM score of this process.
    Wait,
    /// Ask the runtime for something and wait.
    Ask { what: Ask },
    /// Open a terminal of the container's devpts. Set its size unless that is 0, make it the controlling terminal and
    /// the standard descriptors, and send its master to the runtime. With `console`, also mount it on `/dev/console`.
    Terminal { rows: u16, columns: u16, console: bool },
    /// Close all descriptors from this number on except the gate, and read from the gate the byte that `start` writes.
    Gate { fifo: Slot, from: u32 },
}

/// Requests to the runtime, for which `init` waits.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Run the hooks that run before `pivot_root`.
    Hooks = 1,
    /// Everything is set up: the runtime saves the record and then answers.
    Ready = 2,
    /// Move network devices into the current network namespace.
    NetDevices = 3,
}

/// The kinds of a [`Message`].
pub mod kind {
    /// An operation failed.
    pub const FAILED: u32 = 1;
    /// A request: `detail` is the [`super::Ask`].
    pub const ASK: u32 = 2;
    /// An operation was carried out in part. This is not an error.
    pub const WARNING: u32 = 3;
    /// A sibling continues the program: `detail` is its pid.
    pub const FORKED: u32 = 4;
    /// The message that carries the master of the terminal.
    pub const TERMINAL: u32 = 5;
    /// A seccomp filter is in force: `detail` is the number of its listener in this process, for pidfd_getfd(2). The
    /// listener is not sent with the message: the filter may suspend sendmsg(2) until the agent answers, and the agent
    /// does not have the listener yet.
    pub const LISTENER: u32 = 6;
    /// A mount is about to be attached in a running container: `detail` is its id.
    pub const MOUNTED: u32 = 7;
}

/// A message to the runtime, of fixed size.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// One of [`kind`].
    pub kind: u32,
    /// The index of the operation.
    pub index: u32,
    /// The number of the system call that failed, or one of [`why`].
    pub step: u32,
    /// The errno of the call.
    pub errno: i32,
    /// A number whose meaning depends on the operation.
    pub detail: u64,
}

/// Reasons other than a failed system call.
pub mod why {
    /// The target is inside a procfs.
    pub const INSIDE_PROC: u32 = 0x8000_0001;
    /// `/dev/null` is not the null device.
    pub const NOT_NULL: u32 = 0x8000_0002;
    /// The working directory is outside the root.
    pub const CWD_OUTSIDE: u32 = 0x8000_0003;
    /// The runtime has exited.
    pub const ORPHAN: u32 = 0x8000_0004;
    /// No candidate can be executed.
    pub const NOT_FOUND: u32 = 0x8000_0005;
    /// The target is not an ordinary directory.
    pub const NOT_PLAIN: u32 = 0x8000_0006;
    /// A path is too long.
    pub const TOO_LONG: u32 = 0x8000_0007;
    /// The file system to mount is not a procfs.
    pub const NOT_PROC: u32 = 0x8000_0008;
    /// `/dev/pts` has no terminals.
    pub const NOT_TERMINAL: u32 = 0x8000_0009;
    /// Another file exists where the device should be.
    pub const NOT_DEVICE: u32 = 0x8000_000a;
    /// The host's file is not the device that is asked for.
    pub const OTHER_DEVICE: u32 = 0x8000_000b;
    /// The path is the root, which cannot be masked.
    pub const IS_ROOT: u32 = 0x8000_000c;
    /// A running container takes only mounts whose flags can be set before they are attached.
    pub const NEEDS_SETATTR: u32 = 0x8000_000d;
    /// No mount, or another one, is at the path.
    pub const NOT_MOUNTED: u32 = 0x8000_000e;
    /// While a file was copied, another process replaced it again and again.
    pub const UNSTEADY: u32 = 0x8000_000f;
    /// The tree to copy is nested too deeply.
    pub const TOO_DEEP: u32 = 0x8000_0010;
    /// The user namespace denies setgroups(2).
    pub const GROUPS_DENIED: u32 = 0x8000_0011;
}
