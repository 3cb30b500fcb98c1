//! The argument IMAGE: a path, and after it a tag or a digest.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use anyhow::{Result, bail};

use super::digest::Digest;
use crate::sys::Call;

/// A kind of images, which a prefix of the argument can demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// `oci:`: a directory with an OCI image layout.
    Layout,
    /// `oci-archive:`: an OCI image layout in a tar file.
    LayoutArchive,
    /// `docker-archive:`: a tar file of `docker save`.
    DockerArchive,
    /// `dir:`: a directory with a `manifest.json` and its blobs, as skopeo writes it.
    Directory,
}

impl ImageKind {
    /// The kind in words.
    pub fn text(self) -> &'static str {
        match self {
            ImageKind::Layout => "a directory with an OCI image layout",
            ImageKind::LayoutArchive => "a tar file with an OCI image layout",
            ImageKind::DockerArchive => "a tar file of docker",
            ImageKind::Directory => "a directory with a manifest and its blobs",
        }
    }
}

const PREFIXES: [(&str, ImageKind); 4] = [
    ("oci:", ImageKind::Layout),
    ("oci-archive:", ImageKind::LayoutArchive),
    ("docker-archive:", ImageKind::DockerArchive),
    ("dir:", ImageKind::Directory),
];

/// The part after the path, which chooses one of several images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// Nothing: the only image.
    Only,
    /// The image with this tag or name.
    Tag(String),
    /// The image whose manifest or index has this digest.
    Digest(Digest),
}

/// The name of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// The kind that the prefix demands.
    pub kind: Option<ImageKind>,
    /// The file or directory.
    pub path: PathBuf,
    /// The image in it.
    pub reference: Reference,
}

/// The form that [`ImageName::parse`] reads.
impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = PREFIXES.iter().find(|(_, kind)| Some(*kind) == self.kind);
        write!(f, "{}{}", prefix.map_or("", |(prefix, _)| prefix), self.path.display())?;
        match &self.reference {
            Reference::Only => Ok(()),
            Reference::Tag(tag) => write!(f, ":{tag}"),
            Reference::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

impl ImageName {
    /// Reads `[PREFIX:]PATH`, `PATH:TAG` or `PATH@DIGEST`. A path may have colons: the longest path that exists counts.
    ///
    /// # Errors
    /// No such path; a bad tag or digest.
    pub fn parse(text: &str) -> Result<ImageName> {
        for (prefix, kind) in PREFIXES {
            if let Some((path, rest)) = text.strip_prefix(prefix).map(existing).transpose()?.flatten() {
                return Ok(ImageName { kind: Some(kind), path: path.into(), reference: reference(text, rest)? });
            }
        }
        match existing(text)? {
            Some((path, rest)) => Ok(ImageName { kind: None, path: path.into(), reference: reference(text, rest)? }),
            None => bail!(
                "image {text:?}: no such file or directory: an image is read from a directory or a tar file, which \
                 `skopeo copy docker://NAME oci:DIRECTORY:TAG` fetches"
            ),
        }
    }
}

/// The longest path that exists, and the rest, which begins with `:` or `@` if it is not empty.
fn existing(text: &str) -> Result<Option<(&str, &str)>> {
    let ends = text.char_indices().rev().filter(|(_, letter)| matches!(letter, ':' | '@')).map(|(at, _)| at);
    for end in std::iter::once(text.len()).chain(ends).filter(|end| *end > 0) {
        if exists(&text[..end])? {
            return Ok(Some(text.split_at(end)));
        }
    }
    Ok(None)
}

fn exists(path: &str) -> Result<bool> {
    match Path::new(path).try_exists() {
        // A reference with slashes behind the path of a file, or a long one, cannot be a path.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename) => {
            Ok(false)
        }
        other => other.named(format_args!("stat {path}")),
    }
}

fn reference(text: &str, rest: &str) -> Result<Reference> {
    if rest.is_empty() {
        return Ok(Reference::Only);
    }
    if let Some(digest) = rest.strip_prefix('@') {
        return Ok(Reference::Digest(Digest::parse(digest)?));
    }
    let tag = &rest[1..];
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-._:@/+".contains(letter);
    if tag.is_empty() || !tag.chars().all(allowed) {
        bail!("image {text:?}: {tag:?} is not a tag: letters, digits and -._:/+ are allowed");
    }
    if tag.contains('@') {
        bail!("image {text:?}: it needs either a tag or a digest, not both");
    }
    Ok(Reference::Tag(tag.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_path_counts() {
        let top = tempfile::tempdir().unwrap();
        let at = |name: &str| top.path().join(name).to_str().unwrap().to_owned();
        for name in ["x.tar", "x.tar:1", "oci"] {
            std::fs::write(top.path().join(name), "").unwrap();
        }
        let digest = Digest::of(b"x");
        let tag = |tag: &str| Reference::Tag(tag.to_owned());
        for (text, kind, path, reference) in [
            (at("x.tar"), None, "x.tar", Reference::Only),
            (at("x.tar:2"), None, "x.tar", tag("2")),
            (at("x.tar:1"), None, "x.tar:1", Reference::Only),
            (at("x.tar:1:2"), None, "x.tar:1", tag("2")),
            (at("x.tar:library/app:1.0"), None, "x.tar", tag("library/app:1.0")),
            (at("x.tar:localhost:5000/app"), None, "x.tar", tag("localhost:5000/app")),
            (at(&format!("x.tar@{digest}")), None, "x.tar", Reference::Digest(digest.clone())),
            (format!("oci:{}", at("x.tar:2")), Some(ImageKind::Layout), "x.tar", tag("2")),
            (format!("oci-archive:{}", at("x.tar")), Some(ImageKind::LayoutArchive), "x.tar", Reference::Only),
            (format!("docker-archive:{}", at("x.tar:a:b")), Some(ImageKind::DockerArchive), "x.tar", tag("a:b")),
            (format!("dir:{}", at("oci")), Some(ImageKind::Directory), "oci", Reference::Only),
        ] {
            let name = ImageName { kind, path: top.path().join(path), reference };
            assert_eq!(ImageName::parse(&text).unwrap(), name, "{text}");
        }
    }

    #[test]
    fn a_bad_name_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        for (rest, part) in [
            (":", "is not a tag"),
            (":a b", "is not a tag"),
            ("@sha256:12", "64 digits are needed"),
            ("@", "no colon"),
            (&format!(":1@{}", Digest::of(b"")), "either a tag or a digest"),
        ] {
            let message = ImageName::parse(&format!("{path}{rest}")).unwrap_err().to_string();
            assert!(message.contains(part), "{rest}: {message}");
        }
        for text in ["", ":", "/no/such/image:1"] {
            let message = ImageName::parse(text).unwrap_err().to_string();
            assert!(message.contains("no such file or directory"), "{text}: {message}");
        }
    }
}
