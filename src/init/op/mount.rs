//! Operations on mounts and on files of the root.

use super::rules::Rules;
use super::{List, Slot, Text};

/// The file systems of the container, from the root to the masked paths.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Mount {
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
    FileSystem {
        target: Text,
        kind: Text,
        source: Text,
        instead: Text,
        options: List,
        attributes: Attributes,
        rules: Rules,
        keep: Slot,
    },
    /// Bind a host path, and keep the mount open in `keep`. A source that is not there is replaced by
    /// `instead`, read-only, unless that is `Text::NONE`.
    Bind {
        target: Text,
        source: Text,
        instead: Text,
        recursive: bool,
        attributes: Attributes,
        rules: Rules,
        keep: Slot,
    },
    /// Attach a tree that the parent opened, and keep it open in `keep`.
    Attach { target: Text, tree: Slot, attributes: Attributes, rules: Rules, keep: Slot },
    /// Let go of the mount with this id; it was last seen at this path of a living container.
    Unmount { target: Text, mount: u64 },
    /// Set attributes of a mount that was kept open: read-only at the end.
    Reattribute { mount: Slot, attributes: Attributes },
    /// Set attributes of what is mounted at a target now.
    Remount { target: Text, attributes: Attributes, rules: Rules },
    /// Open a directory, made when it is missing, and keep it in `keep`.
    Hold { path: Text, rules: Rules, keep: Slot },
    /// Take a directory, made when it is missing, as the place of the following nodes and links. The
    /// path starts at a directory that was kept open or, without one, at the root.
    Directory { base: Slot, path: Text, rules: Rules },
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
    /// Exchange the root of the mount namespace. When the old one is still shared with the host,
    /// it stops being so before it goes.
    Pivot { shared: bool },
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
}

/// Attributes of a mount: `mount_setattr(2)`.
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
