//! Mount options: runtime-spec, config.md, "Linux mount options", and `linux/mount.h`.

use crate::init::op::Rules;

/// The effect of a mount option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Set a `MOUNT_ATTR_*` bit of the mount. The flag of mount(2) has the same number.
    Set(u64),
    /// Clear a `MOUNT_ATTR_*` bit of the mount.
    Clear(u64),
    /// Set a `MOUNT_ATTR_*` bit of the mount and of all mounts below it.
    TreeSet(u64),
    /// Clear a `MOUNT_ATTR_*` bit of the mount and of all mounts below it.
    TreeClear(u64),
    /// Set the propagation, an `MS_*` flag; `true` for the mount and all mounts below it.
    Propagation(u64, bool),
    /// Set a flag of the superblock by this name, with fsconfig(2).
    Superblock(&'static str),
    /// Set (`true`) or clear a flag of the superblock that only mount(2) can set.
    Legacy(Rules, bool),
    /// Bind instead of mounting a new file system; `true` for the whole tree.
    Bind(bool),
    /// Fill a tmpfs with a copy of the directory that it covers.
    CopyUp,
    /// If the source is a symbolic link, create a symbolic link with the same target instead of a mount (crun's).
    CopyLink,
    /// If the source is a symbolic link, bind the link itself (crun's).
    SourceNoFollow,
    /// If the destination is a symbolic link, mount on the link itself (crun's).
    TargetNoFollow,
    /// Map the owners of files; `true` for the mount and all mounts below it.
    IdMap(bool),
    /// Change the options of the mount at the destination.
    Remount,
    /// No effect.
    Nothing,
}

// The flags of mount_setattr(2): `MOUNT_ATTR_*` of `linux/mount.h`.

pub const RDONLY: u64 = 1;
pub const NOSUID: u64 = 2;
pub const NODEV: u64 = 4;
pub const NOEXEC: u64 = 8;
/// `MOUNT_ATTR__ATIME`: the bits that hold the access time option.
pub const ATIME: u64 = 0x70;
pub const NOATIME: u64 = 0x10;
pub const STRICTATIME: u64 = 0x20;
/// A bit for `relatime` beside `noatime` and `strictatime`. It is not the kernel's: for the kernel, relatime is the
/// absence of both.
pub const RELATIME: u64 = 0x40;
pub const NODIRATIME: u64 = 0x80;
pub const NOSYMFOLLOW: u64 = 0x20_0000;

// The propagation flags of mount(2): `MS_*` of `linux/mount.h`.

pub const SHARED: u64 = 1 << 20;
pub const SLAVE: u64 = 1 << 19;
pub const PRIVATE: u64 = 1 << 18;
pub const UNBINDABLE: u64 = 1 << 17;

use Effect::*;

/// All options that mean something to the runtime, sorted; the file system gets all others. `false` marks an option
/// that `features` does not list, as in runc.
pub const OPTIONS: &[(&str, Effect, bool)] = &[
    ("acl", Superblock("acl"), true),
    ("async", Superblock("async"), true),
    ("atime", Clear(NOATIME), true),
    ("bind", Bind(false), true),
    ("copy-symlink", CopyLink, true),
    ("defaults", Nothing, true),
    ("dest-nofollow", TargetNoFollow, true),
    ("dev", Clear(NODEV), true),
    ("diratime", Clear(NODIRATIME), true),
    ("dirsync", Superblock("dirsync"), true),
    ("exec", Clear(NOEXEC), true),
    ("idmap", IdMap(false), false),
    ("iversion", Legacy(Rules::I_VERSION, true), true),
    ("lazytime", Superblock("lazytime"), true),
    ("loud", Nothing, true),
    ("mand", Superblock("mand"), true),
    ("noacl", Superblock("noacl"), true),
    ("noatime", Set(NOATIME), true),
    ("nodev", Set(NODEV), true),
    ("nodiratime", Set(NODIRATIME), true),
    ("noexec", Set(NOEXEC), true),
    ("noiversion", Legacy(Rules::I_VERSION, false), true),
    ("nolazytime", Superblock("nolazytime"), true),
    ("nomand", Superblock("nomand"), true),
    ("norelatime", Clear(RELATIME), true),
    ("nostrictatime", Clear(STRICTATIME), true),
    ("nosuid", Set(NOSUID), true),
    ("nosymfollow", Set(NOSYMFOLLOW), true),
    ("private", Propagation(PRIVATE, false), true),
    ("ratime", TreeClear(NOATIME), true),
    ("rbind", Bind(true), true),
    ("rdev", TreeClear(NODEV), true),
    ("rdiratime", TreeClear(NODIRATIME), true),
    ("relatime", Set(RELATIME), true),
    (REMOUNT, Remount, true),
    ("rexec", TreeClear(NOEXEC), true),
    ("ridmap", IdMap(true), false),
    ("rnoatime", TreeSet(NOATIME), true),
    ("rnodev", TreeSet(NODEV), true),
    ("rnodiratime", TreeSet(NODIRATIME), true),
    ("rnoexec", TreeSet(NOEXEC), true),
    ("rnorelatime", TreeClear(RELATIME), true),
    ("rnostrictatime", TreeClear(STRICTATIME), true),
    ("rnosuid", TreeSet(NOSUID), true),
    ("rnosymfollow", TreeSet(NOSYMFOLLOW), true),
    ("ro", Set(RDONLY), true),
    ("rprivate", Propagation(PRIVATE, true), true),
    ("rrelatime", TreeSet(RELATIME), true),
    ("rro", TreeSet(RDONLY), true),
    ("rrw", TreeClear(RDONLY), true),
    ("rshared", Propagation(SHARED, true), true),
    ("rslave", Propagation(SLAVE, true), true),
    ("rstrictatime", TreeSet(STRICTATIME), true),
    ("rsuid", TreeClear(NOSUID), true),
    ("rsymfollow", TreeClear(NOSYMFOLLOW), true),
    ("runbindable", Propagation(UNBINDABLE, true), true),
    ("rw", Clear(RDONLY), true),
    ("shared", Propagation(SHARED, false), true),
    ("silent", Nothing, true),
    ("slave", Propagation(SLAVE, false), true),
    ("src-nofollow", SourceNoFollow, true),
    ("strictatime", Set(STRICTATIME), true),
    ("suid", Clear(NOSUID), true),
    ("symfollow", Clear(NOSYMFOLLOW), true),
    ("sync", Superblock("sync"), true),
    ("tmpcopyup", CopyUp, true),
    ("unbindable", Propagation(UNBINDABLE, false), true),
];

/// The flags of a mount in the order of their bits, the access time last: the bit, and the options that set and clear it.
pub fn flags() -> Vec<(u64, &'static str, &'static str)> {
    let clears = |bit| move |(_, effect, _): &&(_, Effect, _)| *effect == Clear(bit);
    let of = |(set, effect, _): &(&'static str, Effect, bool)| match *effect {
        Set(bit) => Some((bit, *set, OPTIONS.iter().find(clears(bit)).map_or("", |(clear, ..)| *clear))),
        _ => None,
    };
    let mut flags: Vec<_> = OPTIONS.iter().filter_map(of).collect();
    flags.sort_unstable_by_key(|(bit, ..)| (bit & ATIME != 0, *bit));
    flags
}

/// The option that changes a mount instead of making one.
pub const REMOUNT: &str = "remount";

/// The effect of an option, if it is one of the runtime's.
pub fn effect(option: &str) -> Option<Effect> {
    OPTIONS.binary_search_by_key(&option, |(name, _, _)| name).ok().map(|index| OPTIONS[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_for_the_search() {
        assert!(OPTIONS.is_sorted_by_key(|(name, _, _)| *name));
        for (name, effect_of, _) in OPTIONS {
            assert_eq!(effect(name), Some(*effect_of));
        }
    }

    /// A flag has four options: one that sets it, one that clears it, and both with an `r` in front for the tree.
    #[test]
    fn a_flag_has_four_options() {
        assert!(flags().len() >= 9, "{:?}", flags());
        for (bit, set, clear) in flags() {
            assert_eq!(effect(clear), Some(Clear(bit)), "{set}: no option clears it");
            assert_eq!(effect(&format!("r{set}")), Some(TreeSet(bit)), "r{set}");
            assert_eq!(effect(&format!("r{clear}")), Some(TreeClear(bit)), "r{clear}");
        }
    }
}
