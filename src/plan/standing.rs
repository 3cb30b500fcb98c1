//! Finds the mount of the config that holds a path.

use std::borrow::Cow;
use std::path::{Component, Path};

use oci_spec::runtime::Mount;

use crate::spec::{cleaned, is_path};
use crate::tables::mount_option::REMOUNT;

/// The cleaned destinations of `mounts`, by index. A remount makes no mount and has none.
pub struct Standing<'a>(Vec<Option<Cow<'a, Path>>>);

impl<'a> Standing<'a> {
    pub fn new(mounts: &'a [Mount]) -> Standing<'a> {
        let destination = |mount: &'a Mount| {
            let remounts = mount.options().iter().flatten().any(|option| option == REMOUNT);
            (!remounts).then(|| cleaned(mount.destination()))
        };
        Standing(mounts.iter().map(destination).collect())
    }

    /// The last mount that holds a path of the container, and the path below its destination. `None` for a path with
    /// `..`, which may lead anywhere.
    pub fn below(&self, path: &str) -> Option<(usize, String)> {
        if Path::new(path).components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let path = cleaned(Path::new(path));
        let path = path.to_string_lossy();
        let inside = |destination: &Option<Cow<'_, Path>>| {
            let destination = destination.as_ref()?.as_os_str().as_encoded_bytes();
            let (front, rest) = path.as_bytes().split_at_checked(destination.len())?;
            // The last byte differs from most destinations, which all begin with a slash.
            let holds = front.last() == destination.last() && front == destination && matches!(rest, [] | [b'/', ..]);
            holds.then(|| path[front.len()..].trim_start_matches('/').to_owned())
        };
        self.0.iter().enumerate().rev().find_map(|(index, destination)| Some((index, inside(destination)?)))
    }

    /// The mount exactly at a path.
    pub fn at(&self, path: &str) -> Option<usize> {
        self.0.iter().rposition(|destination| destination.as_ref().is_some_and(|it| is_path(it, path)))
    }
}
