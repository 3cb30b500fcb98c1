//! Finds the mount of the config that holds a path.

use std::path::{Component, Path};

use oci_spec::runtime::Mount;

use super::super::context::Context;
use crate::spec::clean;
use crate::tables::mount_option::REMOUNT;

/// The cleaned destinations of `mounts`, by index. A remount makes no mount and has none.
pub struct Standing(Vec<Option<String>>);

impl Standing {
    pub fn new(context: &Context<'_>) -> Standing {
        let destination = |mount: &Mount| {
            let remounts = mount.options().iter().flatten().any(|option| option == REMOUNT);
            (!remounts).then(|| clean(mount.destination()).to_string_lossy().into_owned())
        };
        Standing(context.config.mounts().iter().map(destination).collect())
    }

    /// The last mount that holds a path of the container, and the path below its destination. `None` for a path with
    /// `..`, which may lead anywhere.
    pub fn below(&self, path: &str) -> Option<(usize, String)> {
        if Path::new(path).components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let path = clean(Path::new(path)).to_string_lossy().into_owned();
        let inside = |destination: &Option<String>| {
            let rest = path.strip_prefix(destination.as_deref()?)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
        };
        self.0.iter().enumerate().rev().find_map(|(index, destination)| Some((index, inside(destination)?)))
    }

    /// The mount exactly at a path.
    pub fn at(&self, path: &str) -> Option<usize> {
        self.0.iter().rposition(|destination| destination.as_deref() == Some(path))
    }
}
