//! Operations on mounts.

use super::rules::Rules;
use super::{List, Slot, Text};

/// Operations on the mounts in the root, up to the masked paths.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Mount {
    /// The SELinux label for the empty directories that mask others, and for the roots of file systems with the rule
    /// `LABEL_ROOT`.
    Label { label: Text },
    /// Mount a file system. `options` is a list of pairs of `Text`; with the value `Text::NONE` the option is a flag.
    /// If the kernel refuses the mount with EPERM or EBUSY, bind the host's path `instead`, unless that is
    /// `Text::NONE`. The mount stays open in `keep`.
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
    /// Bind a path of the host, and keep the mount open in `keep`. If the source does not exist, bind `instead`
    /// read-only, unless that is `Text::NONE`.
    Bind {
        target: Text,
        source: Text,
        instead: Text,
        recursive: bool,
        attributes: Attributes,
        rules: Rules,
        keep: Slot,
    },
    /// Attach a tree that the runtime opened, and keep it open in `keep`.
    Attach { target: Text, tree: Slot, attributes: Attributes, rules: Rules, keep: Slot },
    /// Detach the mount with this id. It was last seen at this path of a running container.
    Unmount { target: Text, mount: u64 },
    /// Set attributes of a mount that is kept open: at the end, to make it read-only.
    Reattribute { mount: Slot, attributes: Attributes },
    /// Set attributes of the mount that is at a target now.
    Remount { target: Text, attributes: Attributes, rules: Rules },
    /// Make a path read-only, unless it is missing. If the path is on a mount that is kept open, `inside` is the path
    /// on that mount.
    ReadOnly { path: Text, mount: Slot, inside: Text },
    /// Mask a path, unless it is missing; `mount` and `inside` as for `ReadOnly`.
    Mask { path: Text, mount: Slot, inside: Text },
}

/// The attributes of a mount, for `mount_setattr(2)`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `MOUNT_ATTR_*` to set on the mount alone.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear on the mount alone.
    pub clear: u64,
    /// `MOUNT_ATTR_*` to set on the mount and all mounts below it.
    pub tree_set: u64,
    /// `MOUNT_ATTR_*` to clear on the mount and all mounts below it.
    pub tree_clear: u64,
    /// Changes of propagation, in order: a mount may become a slave and then shared.
    pub propagation: Propagation,
}

/// Up to 16 changes of propagation in order, 4 bits each: the kind, and whether it applies to all mounts below, too.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Propagation(u64);

impl Propagation {
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE` of mount(2); the index is the kind.
    const KINDS: [u64; 4] = [1 << 20, 1 << 19, 1 << 18, 1 << 17];
    const RECURSIVE: u64 = 8;

    /// No change.
    pub const NONE: Propagation = Propagation(0);

    /// Append a change, an `MS_*` flag. `None` if there are too many.
    pub fn and(self, flag: u64, recursive: bool) -> Option<Propagation> {
        let kind = Propagation::KINDS.iter().position(|known| *known == flag)? as u64 + 1;
        let word = if recursive { kind | Propagation::RECURSIVE } else { kind };
        let free = self.0.leading_zeros() / 4;
        if free == 0 {
            return None;
        }
        Some(Propagation(self.0 | word << (4 * (16 - free))))
    }

    /// Each change: the `MS_*` flag, and whether it applies to all mounts below, too.
    pub fn changes(self) -> impl Iterator<Item = (u64, bool)> {
        let words = (0..16).map(move |at| self.0 >> (4 * at) & 0xf).take_while(|word| *word != 0);
        words.map(|word| (Propagation::KINDS[(word & 7) as usize - 1], word & Propagation::RECURSIVE != 0))
    }
}
