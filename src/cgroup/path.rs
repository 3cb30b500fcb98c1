//! Paths inside a hierarchy.

use std::path::{Component, Path, PathBuf};

/// Removes `.`, `..`, double slashes and the leading slash from `path`, so that the result is always below the
/// directory that it is joined to. `..` is resolved in the text, without following symbolic links.
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

/// The path of the cgroup `own` below a mount that shows the directory `root` of the hierarchy.
///
/// A container without a cgroup namespace sees in /proc its path from the host's root, but its mount is a bind mount of
/// its own cgroup, so `root` is a prefix of `own`. If it is not, the process was moved out of the mounted part, and the
/// result is the top of the mount.
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
