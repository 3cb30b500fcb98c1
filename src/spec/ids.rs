//! A user and a group.

use std::fmt;

use nix::unistd::{Gid, Uid};

/// A user and a group, such as the owner of a file. Printed as `UID:GID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The user.
    pub uid: Uid,
    /// The group.
    pub gid: Gid,
}

impl Ids {
    /// The superuser.
    pub const ROOT: Ids = Ids::new(0, 0);

    /// From the numbers of a config.
    pub const fn new(uid: u32, gid: u32) -> Ids {
        Ids { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) }
    }

    /// The numbers of the user and of the group, as operations of `init` have them.
    pub const fn raw(self) -> (u32, u32) {
        (self.uid.as_raw(), self.gid.as_raw())
    }
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}
