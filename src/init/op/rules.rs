//! Rules of a mount.

use core::ops::{BitOr, BitOrAssign};

/// Rules for the place where something is mounted, and for how that is done: a set.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules(u32);

impl Rules {
    /// No rule.
    pub const NONE: Rules = Rules(0);
    /// The target must be a plain directory, reached through no symbolic link (`/proc`, `/sys`).
    pub const PLAIN: Rules = Rules(1);
    /// The target may lie inside a procfs.
    pub const IN_PROC: Rules = Rules(1 << 1);
    /// The target must exist.
    pub const EXISTING: Rules = Rules(1 << 2);
    /// A symbolic link at the target is covered itself.
    pub const NO_FOLLOW: Rules = Rules(1 << 3);
    /// A symbolic link at the source is bound itself.
    pub const SOURCE_NO_FOLLOW: Rules = Rules(1 << 4);
    /// A source that is a symbolic link becomes another one with the same text at the target.
    pub const COPY_LINK: Rules = Rules(1 << 5);
    /// The attached tree must be a procfs.
    pub const PROC_ONLY: Rules = Rules(1 << 6);
    /// A tmpfs takes the mode of the directory that it covers.
    pub const KEEP_MODE: Rules = Rules(1 << 7);
    /// A tmpfs is filled with what it covers (`tmpcopyup`).
    pub const COPY_UP: Rules = Rules(1 << 8);
    /// Clear every flag that is not asked for, as a remount does, where the kernel allows it.
    pub const EXACT: Rules = Rules(1 << 9);
    /// The tree is a slave of the host's: mounts there appear here, mounts here do not appear there.
    pub const SLAVE: Rules = Rules(1 << 10);
    /// `MS_I_VERSION`, which only mount(2) can set on every file system.
    pub const I_VERSION: Rules = Rules(1 << 11);
    /// The container runs and may change the path while it is looked up: no link is followed, nothing is mounted on a
    /// procfs or sysfs, and a mount has all its flags before it is attached.
    pub const LIVING: Rules = Rules(1 << 12);

    /// Whether `rule` is in the set.
    pub const fn has(self, rule: Rules) -> bool {
        self.0 & rule.0 != 0
    }

    /// Those that are also in `rules`.
    pub const fn only(self, rules: Rules) -> Rules {
        Rules(self.0 & rules.0)
    }

    /// Those that are not in `rules`.
    pub const fn without(self, rules: Rules) -> Rules {
        Rules(self.0 & !rules.0)
    }

    /// The set, or no rule.
    pub const fn when(self, condition: bool) -> Rules {
        if condition { self } else { Rules::NONE }
    }
}

impl BitOr for Rules {
    type Output = Rules;

    fn bitor(self, other: Rules) -> Rules {
        Rules(self.0 | other.0)
    }
}

impl BitOrAssign for Rules {
    fn bitor_assign(&mut self, other: Rules) {
        self.0 |= other.0;
    }
}
