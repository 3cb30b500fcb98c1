//! Paths in the container.

use std::path::{Component, Path, PathBuf};

/// The absolute path without `.`, `..` and repeated slashes. The function does not follow symbolic links.
pub fn clean(path: &Path) -> PathBuf {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_cannot_climb() {
        for (path, cleaned) in [("/a/../../b", "/b"), ("a//b/.", "/a/b"), ("/", "/"), ("..", "/")] {
            assert_eq!(clean(Path::new(path)), Path::new(cleaned));
        }
    }
}
