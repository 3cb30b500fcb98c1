//! Paths in the container.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The absolute path without `.`, `..` and repeated slashes. The function does not follow symbolic links.
pub fn clean(path: &Path) -> PathBuf {
    cleaned(path).into_owned()
}

/// Like [`clean`], but copies only a path that changes.
pub fn cleaned(path: &Path) -> Cow<'_, Path> {
    if is_clean(path) {
        return Cow::Borrowed(path);
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
    Cow::Owned(clean)
}

/// Whether a clean path is this one. Its bytes decide: `Path` compares component by component, which takes longer.
pub fn is_path(clean: &Path, path: &str) -> bool {
    clean.as_os_str() == path
}

/// Whether an absolute path has no empty component, no `.` and no `..`. Almost all paths of a config are so.
fn is_clean(path: &Path) -> bool {
    let mut parts = path.as_os_str().as_bytes().split(|byte| *byte == b'/');
    let absolute = parts.next() == Some(b"") && !path.as_os_str().is_empty();
    absolute && parts.all(|part| !matches!(part, b"" | b"." | b".."))
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
