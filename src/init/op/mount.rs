//! Operations on mounts.

use super::rules::Rules;
use super::{List, Slot, Text};

/// Operations on the mounts in the root, up to the masked paths.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Mount {
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
    /// Make a path read-only; a missing one is skipped. Where it lies on a mount that was kept open,
    /// `inside` is its path there.
    ReadOnly { path: Text, mount: Slot, inside: Text },
    /// Hide a path; the same holds.
    Mask { path: Text, mount: Slot, inside: Text },
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
