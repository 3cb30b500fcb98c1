//! Operations on the root file system.

use super::{Attributes, List, Slot, Text};

/// Operations that make a directory the root of the container: its propagation, and leaving the old root.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Rootfs {
    /// Change the propagation of the whole tree at `/`.
    Propagation { flags: u64 },
    /// Make the mount that contains a path private, wherever it is mounted.
    PrivateParent { path: Text },
    /// Bind the root file system onto itself and use it as the root of all later targets.
    Bind { path: Text },
    /// Mount an overlay of these layers (a list of `Text`, the base first) at a path, and use it as the root of all later
    /// targets. Without `upper` a tmpfs has the changes. `options` is a list of pairs of `Text`, as for a file system.
    /// `data` has all options for mount(2), with each layer by its number. With `adopt` the upper directory takes owner
    /// and mode of the highest layer.
    Union { path: Text, layers: List, upper: Text, work: Text, options: List, data: Text, adopt: bool },
    /// Mount a tree that the runtime opened at a path, and use it as the root of all later targets.
    Attach { path: Text, tree: Slot },
    /// Use a directory as the root of all later targets, without a mount of its own. A symbolic link in the path is an
    /// error unless `follow` is set, which is for paths in procfs.
    Open { path: Text, follow: bool },
    /// Set attributes of the root itself.
    Attributes { attributes: Attributes },
    /// Exchange the root of the mount namespace. If the old root is shared with the host, make it a slave before it is
    /// detached.
    Pivot { shared: bool },
    /// Detach a mount of the host's tree or, if the kernel refuses, cover it. The mount may be missing already.
    Bury { path: Text },
    /// Move the root over `/` and call `chroot(2)`: for an initramfs, which pivot_root(2) refuses.
    Move,
    /// `chroot(2)` only, without a mount namespace.
    Chroot,
}
