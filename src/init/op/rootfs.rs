//! Operations on the root file system.

use super::{Attributes, Text};

/// Operations that make a directory the root of the container: its propagation, and leaving the old root.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Rootfs {
    /// Change the propagation of the whole tree at `/`.
    Propagation { flags: u64 },
    /// Make the mount that holds a path private, whichever ancestor it is mounted on.
    PrivateParent { path: Text },
    /// Bind the root file system onto itself and take it as the root of all later targets.
    Bind { path: Text },
    /// Take a directory as the root of all later targets, without a mount of its own. No link may
    /// lead to it unless `follow` is set, which is for those of procfs.
    Open { path: Text, follow: bool },
    /// Set attributes of the root itself.
    Attributes { attributes: Attributes },
    /// Exchange the root of the mount namespace. When the old one is still shared with the host,
    /// it stops being so before it goes.
    Pivot { shared: bool },
    /// Detach a mount of the host's tree or, where that is not allowed, cover it; it may be gone already.
    Bury { path: Text },
    /// Move the root over `/` and `chroot(2)`: for an initramfs, where there is nothing to pivot.
    Move,
    /// `chroot(2)` alone: there is no mount namespace.
    Chroot,
}
