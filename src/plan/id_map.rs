//! The owners of files on an id-mapped mount.

use std::path::PathBuf;

/// The owners of an id-mapped mount (`MOUNT_ATTR_IDMAP`).
#[derive(Clone, Debug, PartialEq)]
pub struct IdMap {
    pub owners: Owners,
    /// The map also holds for all mounts below.
    pub recursive: bool,
}

/// The ids that the owners of files are mapped to.
#[derive(Clone, Debug, PartialEq)]
pub enum Owners {
    /// The ids of a user namespace with these maps.
    Maps { uid: String, gid: String },
    /// The ids of the user namespace that is joined.
    Joined(PathBuf),
}
