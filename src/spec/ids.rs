//! A user and a group.

use std::fmt;

use nix::unistd::{Gid, Uid};

/// A user and a group, such as the owner of a file. Printed as `UID:GID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// The user id.
    pub uid: Uid,
    /// The group id.
    pub gid: Gid,
}

impl Ids {
    /// Root.
    pub const ROOT: Ids = Ids::new(0, 0);

    /// Makes a pair from the numbers of a config.
    pub const fn new(uid: u32, gid: u32) -> Ids {
        Ids { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid) }
    }

    /// The numbers of the user and the group, in the form that operations of `init` have.
    pub const fn raw(self) -> (u32, u32) {
        (self.uid.as_raw(), self.gid.as_raw())
    }
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}
