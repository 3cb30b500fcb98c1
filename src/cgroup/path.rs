//! Paths inside a hierarchy.

use std::path::{Component, Path, PathBuf};

/// `path` without `.`, `..` and double slashes, and without its leading slash, so that it can be
/// joined to a mount point and never leave it. `..` is resolved in the text: nothing is followed.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Where the cgroup `own` is to be found under a mount of its hierarchy that shows `root`.
///
/// A container without a cgroup namespace sees its own path from the host's root, and a bind mount
/// of its own cgroup only; then `root` is a prefix of `own`. Where it is not (the process was moved
/// out of what is mounted), the top of the mount is the nearest place that can be named.
pub(super) fn below_mount(root: &Path, own: &Path) -> PathBuf {
    clean(own.strip_prefix(root).unwrap_or(Path::new("")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_cannot_escape() {
        for (path, wanted) in [
            ("/a/b", "a/b"),
            ("a/b/", "a/b"),
            ("../../etc", "etc"),
            ("/../..", ""),
            ("/a/../../b", "b"),
            ("./a//b/.", "a/b"),
            ("", ""),
            ("a/..", ""),
        ] {
            assert_eq!(clean(Path::new(path)), Path::new(wanted), "{path}");
        }
    }

    #[test]
    fn own_cgroup_under_a_partial_mount() {
        for (root, own, wanted) in [
            ("/", "/docker/x", "docker/x"),
            ("/docker/x", "/docker/x", ""),
            ("/docker/x", "/docker/x/y", "y"),
            ("/docker/x", "/docker/xy", ""),
            ("/docker/x", "/other", ""),
        ] {
            assert_eq!(below_mount(Path::new(root), Path::new(own)), Path::new(wanted), "{own}");
        }
    }
}
