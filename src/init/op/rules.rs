//! The rules of a mount.

use core::ops::{BitOr, BitOrAssign};

/// A set of rules: for the place of a mount, and for the way it is made.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules(u32);

impl Rules {
    /// No rule.
    pub const NONE: Rules = Rules(0);
    /// The target must be a directory on a path without symbolic links (`/proc`, `/sys`).
    pub const PLAIN: Rules = Rules(1);
    /// The target may be inside a procfs.
    pub const IN_PROC: Rules = Rules(1 << 1);
    /// The target must exist.
    pub const EXISTING: Rules = Rules(1 << 2);
    /// If the target is a symbolic link, mount on the link itself.
    pub const NO_FOLLOW: Rules = Rules(1 << 3);
    /// If the source is a symbolic link, bind the link itself.
    pub const SOURCE_NO_FOLLOW: Rules = Rules(1 << 4);
    /// If the source is a symbolic link, create a symbolic link with the same target instead of a mount.
    pub const COPY_LINK: Rules = Rules(1 << 5);
    /// The tree to attach must be a procfs.
    pub const PROC_ONLY: Rules = Rules(1 << 6);
    /// Give a tmpfs the mode of the directory that it covers.
    pub const KEEP_MODE: Rules = Rules(1 << 7);
    /// Fill a tmpfs with a copy of the directory that it covers (`tmpcopyup`).
    pub const COPY_UP: Rules = Rules(1 << 8);
    /// Clear every flag that is not asked for, as a remount does, if the kernel allows it.
    pub const EXACT: Rules = Rules(1 << 9);
    /// The tree is a slave of the host's: mounts on the host appear in it, but its mounts do not appear on the host.
    pub const SLAVE: Rules = Rules(1 << 10);
    /// `MS_I_VERSION`, which only mount(2) can set for every file system.
    pub const I_VERSION: Rules = Rules(1 << 11);
    /// The container runs and may change the path during the look-up. So no symbolic link is followed, nothing is
    /// mounted on a procfs or sysfs, and a mount gets all its flags before it is attached.
    pub const LIVING: Rules = Rules(1 << 12);
    /// Give the root of the file system the label of [`Label`](super::Mount::Label).
    pub const LABEL_ROOT: Rules = Rules(1 << 13);

    /// Whether `rule` is in the set.
    pub const fn has(self, rule: Rules) -> bool {
        self.0 & rule.0 != 0
    }

    /// The rules that are also in `rules`.
    pub const fn only(self, rules: Rules) -> Rules {
        Rules(self.0 & rules.0)
    }

    /// The rules that are not in `rules`.
    pub const fn without(self, rules: Rules) -> Rules {
        Rules(self.0 & !rules.0)
    }

    /// This set if the condition holds, otherwise no rule.
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
