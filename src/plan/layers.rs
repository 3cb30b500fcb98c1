//! A root file system of layers.

use std::path::{Path, PathBuf};

use super::id_map::IdMap;
use super::maps::Maps;
use crate::spec::Field;

/// A union of layers that is the root of a container.
#[derive(Clone, Debug, PartialEq)]
pub struct RootUnion {
    /// The base layer first.
    pub layers: Vec<PathBuf>,
    /// The field or option that gives the layers.
    pub field: Field,
    /// Without one the root is read-only, and a tmpfs has the mount points.
    pub writable: Option<Writable>,
    /// Pairs of key and value for overlayfs.
    pub options: Vec<(&'static str, Option<String>)>,
    /// The directory at which the root is mounted.
    pub place: PathBuf,
    /// fuse-overlayfs(1), which mounts the union because the kernel would not.
    pub fuse: Option<PathBuf>,
    /// The owners on the layers and on the upper directory are mapped.
    pub id_map: Option<IdMap>,
}

impl RootUnion {
    /// All options for mount(2), whose working directory has each layer at its number.
    pub fn data(&self, upper: &Path, work: &Path) -> String {
        let numbers: Vec<String> = (0..self.layers.len()).rev().map(|number| number.to_string()).collect();
        let (upper, work) = (escaped(upper), escaped(work));
        let mut data = format!("lowerdir={},upperdir={upper},workdir={work}", numbers.join(":"));
        for (key, value) in &self.options {
            data += &match value {
                // The label has commas.
                Some(value) if *key == "context" => format!(",{key}=\"{value}\""),
                Some(value) => format!(",{key}={value}"),
                None => format!(",{key}"),
            };
        }
        data
    }
}

/// A path as an option of an overlay: the characters that part options and layers have a backslash before them.
pub fn escaped(path: &Path) -> String {
    let text = path.to_string_lossy().into_owned();
    ['\\', ',', ':'].iter().fold(text, |text, it| text.replace(*it, &format!("\\{it}")))
}

/// The writable layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Writable {
    /// The field or option that gives the upper directory.
    pub field: Field,
    pub upper: PathBuf,
    pub work: PathBuf,
    /// The directories to make, in order. `delete` removes those that `kept` does not have.
    pub missing: Vec<PathBuf>,
    /// Of these, the directories that stay.
    pub kept: Vec<PathBuf>,
    /// The maps of the user namespace in which the writable layer is removed, if the caller is an ordinary user.
    pub maps: Option<Maps>,
}

impl Writable {
    /// Whether the upper directory is new.
    pub fn is_new(&self) -> bool {
        self.missing.contains(&self.upper)
    }
}
