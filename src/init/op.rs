//! The operations of `init`: one closed list, shared by the program that plans and the program
//! that acts.
//!
//! This file is compiled twice, into the library and into the sealed `init`, by the same compiler.
//! The bytes that the parent writes are the values that `init` reads: there is no encoding.

/// Where `init` maps its program. Far from every place where Linux puts something by itself, so
/// that the parent can write absolute addresses (for `argv` and `envp`) before there is a child.
pub const BASE: usize = 0x10_0000_0000;

/// The first bytes of the mapped program.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Offset of the first [`Op`].
    pub ops: u32,
    /// Number of operations.
    pub count: u32,
    /// Offset of the table of descriptors that [`Slot`]s point into.
    pub slots: u32,
    /// The socket to the parent.
    pub channel: i32,
}

/// Offset of the data area that [`Text`] and [`List`] point into.
pub const DATA: usize = size_of::<Header>();

/// A string in the data area, followed by a NUL byte that `len` does not count.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Offset in the data area.
    pub at: u32,
    /// Bytes without the NUL.
    pub len: u32,
}

impl Text {
    /// No text; told apart from an empty one.
    pub const NONE: Text = Text { at: u32::MAX, len: 0 };
}

/// A list in the data area; what it holds is said where it is used.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// Offset of the first element in the data area, a multiple of 8.
    pub at: u32,
    /// Number of elements.
    pub len: u32,
}

/// An index into the table of descriptors: those that the parent opens and `init` inherits, and those
/// of mounts that `init` keeps for later operations.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub u32);

impl Slot {
    /// No descriptor.
    pub const NONE: Slot = Slot(u32::MAX);
}

/// What is set on a mount: `mount_setattr(2)`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to set on the mount alone.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear on the mount alone.
    pub clear: u64,
    /// `MOUNT_ATTR_*` to set on the mount and all below it.
    pub tree_set: u64,
    /// `MOUNT_ATTR_*` to clear on the mount and all below it.
    pub tree_clear: u64,
    /// Changes of propagation, one after the other: a mount may become a slave and then shared.
    pub propagation: Propagation,
}

/// Up to 16 changes of propagation in their order, 4 bits each: a kind, and whether it is for all
/// mounts below, too.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Propagation(u64);

impl Propagation {
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE` of mount(2), by their number here.
    const KINDS: [u64; 4] = [1 << 20, 1 << 19, 1 << 18, 1 << 17];
    const RECURSIVE: u64 = 8;

    /// No change.
    pub const NONE: Propagation = Propagation(0);

    /// These changes and one more: an `MS_*` flag. `None` when there are too many.
    pub fn and(self, flag: u64, recursive: bool) -> Option<Propagation> {
        let kind = Propagation::KINDS.iter().position(|known| *known == flag)? as u64 + 1;
        let word = if recursive { kind | Propagation::RECURSIVE } else { kind };
        let free = self.0.leading_zeros() / 4;
        if free == 0 {
            return None;
        }
        Some(Propagation(self.0 | word << (4 * (16 - free))))
    }

    /// Each `MS_*` flag, and whether it is for all mounts below, too.
    pub fn changes(self) -> impl Iterator<Item = (u64, bool)> {
        let words = (0..16).map(move |at| self.0 >> (4 * at) & 0xf).take_while(|word| *word != 0);
        words.map(|word| (Propagation::KINDS[(word & 7) as usize - 1], word & Propagation::RECURSIVE != 0))
    }
}

/// Rules for the place where something is mounted, as bits.
pub mod place {
    /// The target must be a plain directory, reached through no symbolic link (`/proc`, `/sys`).
    pub const PLAIN: u32 = 1;
    /// The target may lie inside a procfs.
    pub const IN_PROC: u32 = 2;
    /// A tmpfs takes the mode of the directory that it covers.
    pub const KEEP_MODE: u32 = 4;
    /// A tmpfs is filled with what it covers (`tmpcopyup`).
    pub const COPY_UP: u32 = 8;
    /// What is attached must be a procfs.
    pub const PROC_ONLY: u32 = 128;
    /// Clear every flag that is not asked for, as a remount does, where the kernel allows it.
    pub const EXACT: u32 = 64;
    /// A tree of the host's is to hear of mounts there, not to tell of those here.
    pub const SLAVE: u32 = 2048;
    /// A symbolic link at the target is covered itself.
    pub const NO_FOLLOW: u32 = 256;
    /// A symbolic link at the source is bound itself.
    pub const SOURCE_NO_FOLLOW: u32 = 512;
    /// A source that is a symbolic link becomes another one of the same text at the target.
    pub const COPY_LINK: u32 = 1024;
    /// The container runs and may change what is looked up: no link is followed, nothing is mounted
    /// on a procfs or sysfs, and a mount has all its flags before it is attached.
    pub const LIVING: u32 = 4096;
    /// `MS_I_VERSION`, which only mount(2) can set on every file system.
    pub const I_VERSION: u32 = 8192;
    /// The target must be there.
    pub const EXISTING: u32 = 16384;
}

/// What the parent is asked to do while `init` waits.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Run the hooks that belong before `pivot_root`.
    Hooks = 1,
    /// Everything is done: save the state, then let go.
    Ready = 2,
    /// Bring network devices into the network namespace that `init` is in now.
    NetDevices = 3,
}

/// One operation. The order of execution is the order of the list.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Op {
    /// Default actions and an empty mask for all signals: what the caller ignored stays outside.
    Signals,
    /// Wait for the parent to finish what needs this process (id maps, cgroup v1).
    Wait,
    /// Refuse to be traced or looked into by what already lives in the namespaces.
    Undumpable,
    /// The opposite: an ordinary user who calls may fetch the listener of a filter from here, also when another's user
    /// namespace was joined. `execve(2)` would have done it soon.
    Dumpable,
    /// Ask the parent for something and wait.
    Ask { what: Ask },
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
    /// Change the propagation of the whole tree at `/`.
    Propagation { flags: u64 },
    /// Make the mount that holds a path private, whichever ancestor it is mounted on.
    PrivateParent { path: Text },
    /// Bind the root file system onto itself and take it as the root of all later targets.
    Root { path: Text },
    /// Take a directory as the root of all later targets, without a mount of its own. No link may
    /// lead to it unless `follow` is set, which is for those of procfs.
    RootDirectory { path: Text, follow: bool },
    /// Mount a file system. `options` is a list of pairs of `Text`; a value of `Text::NONE` makes
    /// the option a flag. What is refused with EPERM or EBUSY ends in a bind of `instead`, a path of
    /// the host, unless that is `Text::NONE`. What was mounted stays open in `keep`.
    Mount {
        target: Text,
        kind: Text,
        source: Text,
        instead: Text,
        options: List,
        attributes: Attributes,
        place: u32,
        keep: Slot,
    },
    /// Bind a host path, and keep the mount open in `keep`. A source that is not there is replaced by
    /// `instead`, read-only, unless that is `Text::NONE`.
    Bind { target: Text, source: Text, instead: Text, recursive: bool, attributes: Attributes, place: u32, keep: Slot },
    /// Attach a tree that the parent opened, and keep it open in `keep`.
    Attach { target: Text, tree: Slot, attributes: Attributes, place: u32, keep: Slot },
    /// Let go of the mount with this id; it was last seen at this path of a living container.
    Unmount { target: Text, mount: u64 },
    /// Set attributes of a mount that was kept open: read-only at the end.
    Reattribute { mount: Slot, attributes: Attributes },
    /// Set attributes of what is mounted at a target now.
    Remount { target: Text, attributes: Attributes, place: u32 },
    /// Open a directory, made when it is missing, and keep it in `keep`.
    Hold { path: Text, place: u32, keep: Slot },
    /// Take a directory, made when it is missing, as the place of the following nodes and links. The
    /// path starts at a directory that was kept open or, without one, at the root.
    Directory { base: Slot, path: Text, place: u32 },
    /// `mknod(2)` in the directory. The same node may be there already. Where the caller may not make
    /// nodes, the one at this path of the host is bound.
    Node { name: Text, mode: u32, device: u64, uid: u32, gid: u32, host: Text },
    /// Bind a device of the host into the directory, for there is no mknod in a user namespace. It
    /// must be the device with this type and number.
    BindNode { name: Text, source: Text, mode: u32, device: u64 },
    /// Attach a node that the parent made in the directory.
    AttachNode { name: Text, tree: Slot },
    /// `symlink(2)` in the directory; an existing name is kept.
    Link { name: Text, target: Text },
    /// `symlink(2)` in the directory when a path exists on the host.
    LinkIf { name: Text, target: Text, host: Text },
    /// `symlink(2)` in the directory; an existing name is replaced.
    Relink { name: Text, target: Text },
    /// Write a file of procfs: a sysctl, an LSM label. It is the one that the kernel has at this path, whatever is mounted
    /// over it. A refusal of the write is a warning unless there `must` be one.
    Write { path: Text, value: Text, must: bool },
    /// Exchange the root of the mount namespace. When the old one is still shared with the host,
    /// it stops being so before it goes.
    Pivot { shared: bool },
    /// The standard descriptors become the process's own. One that is the host's null device is
    /// exchanged for the container's: through the host's, the container could change that one's
    /// mode. The others are given to the user, who may then open them by name (`/dev/stdout`).
    OwnStdio { uid: u32 },
    /// Open a terminal of the container's devpts, give it this size unless that is 0, take it as
    /// controlling terminal and standard descriptors, and send its other end to the parent. With
    /// `console` it is also laid over `/dev/console`.
    Terminal { rows: u16, columns: u16, console: bool },
    /// Detach a mount of the host's tree or, where that is not allowed, cover it; it may be gone already.
    Bury { path: Text },
    /// Move the root over `/` and `chroot(2)`: for an initramfs, where there is nothing to pivot.
    MoveRoot,
    /// `chroot(2)` alone: there is no mount namespace.
    Chroot,
    /// Make a path read-only; a missing one is skipped. Where it lies on a mount that was kept open,
    /// `inside` is its path there.
    ReadOnly { path: Text, mount: Slot, inside: Text },
    /// Hide a path; the same holds.
    Mask { path: Text, mount: Slot, inside: Text },
    /// Set attributes of the root itself.
    RootAttributes { attributes: Attributes },
    /// Make a directory, and those above it, in the root.
    MakeDirectory { path: Text },
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
    /// Close all descriptors from a number on but the gate, and wait there until `start` writes a
    /// byte.
    Gate { fifo: Slot, from: u32 },
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

/// What kind of [`Message`] it is.
pub mod kind {
    /// An operation failed.
    pub const FAILED: u32 = 1;
    /// An operation asks: `detail` is the [`super::Ask`].
    pub const ASK: u32 = 2;
    /// An operation could not be carried out in full, and need not be.
    pub const WARNING: u32 = 3;
    /// The process is another one now: `detail` is its pid.
    pub const FORKED: u32 = 4;
    /// The parent gets a descriptor along with this: the terminal.
    pub const TERMINAL: u32 = 5;
    /// A seccomp filter is in force: `detail` is the number of the descriptor that its listener has
    /// here, for the parent to fetch. It is not sent along, for the filter may hold back sendmsg(2)
    /// until the agent answers, who is not there yet.
    pub const LISTENER: u32 = 6;
    /// A mount will be attached to a living container: `detail` is its id.
    pub const MOUNTED: u32 = 7;
}

/// What `init` says to the parent, always of this size.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// One of [`kind`].
    pub kind: u32,
    /// Index of the operation.
    pub index: u32,
    /// Number of the system call that failed, or one of [`why`].
    pub step: u32,
    /// Its error.
    pub errno: i32,
    /// Depends on the operation.
    pub detail: u64,
}

/// Reasons that are not the failure of one system call.
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
    /// The user namespace has setgroups(2) denied.
    pub const GROUPS_DENIED: u32 = 0x8000_000a;
    /// What is to be mounted is not a procfs.
    pub const NOT_PROC: u32 = 0x8000_0008;
    /// `/dev/pts` has no terminals.
    pub const NOT_TERMINAL: u32 = 0x8000_0009;
    /// A path is too long.
    pub const TOO_LONG: u32 = 0x8000_0007;
    /// Where a device should be there is something else.
    pub const NOT_DEVICE: u32 = 0x8000_000a;
    /// The host's file is not the device that is asked for.
    pub const OTHER_DEVICE: u32 = 0x8000_000b;
    /// The path is the root, which cannot be hidden.
    pub const IS_ROOT: u32 = 0x8000_000c;
    /// A living container takes only mounts whose flags can be set before they are attached.
    pub const NEEDS_SETATTR: u32 = 0x8000_000d;
    /// There is no mount at the path, or another one.
    pub const NOT_MOUNTED: u32 = 0x8000_000e;
    /// A file was exchanged for another one again and again while it was copied.
    pub const UNSTEADY: u32 = 0x8000_000f;
    /// The tree to copy is nested too deeply.
    pub const TOO_DEEP: u32 = 0x8000_0010;
}
