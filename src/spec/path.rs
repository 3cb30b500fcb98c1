//! Paths in the container.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The absolute path without `.`, `..` and repeated slashes. The function does not follow symbolic links.
pub fn clean(path: &Path) -> PathBuf {
    if is_clean(path) {
        return path.to_owned();
    }
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    clean
}

/// Whether an absolute path has no empty component, no `.` and no `..`. Almost all paths of a config are so.
fn is_clean(path: &Path) -> bool {
    let mut parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    parts.next() == Some(b"") && path != Path::new("") && parts.all(|part| !matches!(part, b"" | b"." | b".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_climb() {
        for (path, cleaned) in [
            ("/a/../../b", "/b"),
            ("a//b/.", "/a/b"),
            ("/", "/"),
            ("..", "/"),
            ("/a/b", "/a/b"),
            ("/a/", "/a"),
            ("", "/"),
        ] {
            assert_eq!(clean(Path::new(path)), Path::new(cleaned));
            assert_eq!(is_clean(Path::new(path)), path == cleaned && path != "/", "{path}");
        }
    }
}
