//! The argument IMAGE:TAG of `pack`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The place of an image that is written: a directory with an OCI image layout, and a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackTarget {
    /// The directory, which may be missing.
    pub path: PathBuf,
    /// The tag.
    pub tag: String,
}

impl PackTarget {
    /// Reads `[oci:]PATH:TAG`. A path may have colons if it exists: the longest one counts. Else it ends at the first
    /// colon.
    ///
    /// # Errors
    /// No tag, or a bad one; the prefix of another kind of images.
    pub fn parse(text: &str) -> Result<PackTarget> {
        let name = text.strip_prefix("oci:").unwrap_or(text);
        let other = ["oci-archive:", "docker-archive:", "docker-daemon:", "docker://", "dir:", "containers-storage:"];
        if let Some(prefix) = other.iter().find(|prefix| text.starts_with(*prefix)) {
            bail!("image {text:?}: pack writes a directory with an OCI image layout, not {prefix}");
        }
        let colons = || name.match_indices(':').map(|(at, _)| at).filter(|at| *at > 0);
        let existing = colons().rfind(|at| Path::new(&name[..*at]).is_dir());
        let Some(end) = existing.or_else(|| colons().next()) else {
            bail!("image {text:?}: the tag is missing: PATH:TAG");
        };
        let (path, tag) = (&name[..end], &name[end + 1..]);
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-._:/+".contains(letter);
        if !tag.starts_with(|letter: char| letter.is_ascii_alphanumeric()) || !tag.chars().all(allowed) {
            bail!("image {text:?}: {tag:?} is not a tag: letters, digits and -._:/+ are allowed");
        }
        Ok(PackTarget { path: path.into(), tag: tag.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_tags() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(top.path().join("a:b")).unwrap();
        for (text, path, tag) in [
            (at("new:1"), "new", "1"),
            (at("new:localhost:5000/app"), "new", "localhost:5000/app"),
            (at("a:b:1.0"), "a:b", "1.0"),
            (format!("oci:{}", at("new:latest")), "new", "latest"),
        ] {
            let wanted = PackTarget { path: top.path().join(path), tag: tag.to_owned() };
            assert_eq!(PackTarget::parse(&text).unwrap(), wanted, "{text}");
        }
        for (text, part) in [
            ("layout", "the tag is missing"),
            (":1", "the tag is missing"),
            ("layout:", "is not a tag"),
            ("layout:a b", "is not a tag"),
            ("layout:-a", "is not a tag"),
            ("docker-archive:x.tar:1", "not docker-archive:"),
        ] {
            let message = PackTarget::parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
