//! All that a tree of files is, to compare two.

use super::Result;
use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The attributes of each file, by its path.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Tree(pub BTreeMap<PathBuf, BTreeMap<&'static str, String>>);

impl Tree {
    pub fn read(root: &Path) -> Result<Tree> {
        let mut tree = Tree::default();
        let mut names: BTreeMap<u64, Vec<PathBuf>> = BTreeMap::new();
        let mut left = vec![root.to_owned()];
        while let Some(path) = left.pop() {
            let stat = fs::symlink_metadata(&path)?;
            let relative = path.strip_prefix(root)?.to_owned();
            if stat.is_dir() {
                left.extend(fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?);
            } else if stat.nlink() > 1 {
                names.entry(stat.ino()).or_default().push(relative.clone());
            }
            tree.0.insert(relative, facts(&path, &stat).with_context(|| path.display().to_string())?);
        }
        for mut group in names.into_values().filter(|group| group.len() > 1) {
            group.sort();
            let text = format!("{group:?}");
            for path in group {
                tree.0.entry(path).or_default().insert("links", text.clone());
            }
        }
        Ok(tree)
    }

    /// Fails with the differences, a line for each of the first, unless both are the same.
    pub fn same(&self, other: &Tree) -> Result {
        let mut lines = Vec::new();
        for path in self.0.keys().chain(other.0.keys().filter(|path| !self.0.contains_key(*path))) {
            match (self.0.get(path), other.0.get(path)) {
                (Some(one), Some(two)) if one == two => {}
                (Some(_), None) => lines.push(format!("{path:?}: only in the first")),
                (None, _) => lines.push(format!("{path:?}: only in the second")),
                (Some(one), Some(two)) => {
                    let keys: BTreeSet<&&str> = one.keys().chain(two.keys()).collect();
                    let keys = keys.into_iter().filter(|key| one.get(**key) != two.get(**key));
                    lines.extend(keys.map(|key| format!("{path:?}: {key}: {:?} / {:?}", one.get(key), two.get(key))));
                }
            }
        }
        let count = lines.len();
        lines.truncate(20);
        if count == 0 { Ok(()) } else { bail!("trees differ in {count} facts:\n{}", lines.join("\n")) }
    }

    /// Takes an attribute away where it differs, by the reason that the caller gives in a comment.
    pub fn without(&mut self, path: impl AsRef<Path>, key: &str) -> &mut Tree {
        if let Some(facts) = self.0.get_mut(path.as_ref()) {
            facts.remove(key);
        }
        self
    }
}

fn facts(path: &Path, stat: &fs::Metadata) -> Result<BTreeMap<&'static str, String>> {
    let kind = stat.file_type();
    let mut facts = BTreeMap::from([
        ("mode", format!("{:o}", stat.mode())),
        ("owner", format!("{}:{}", stat.uid(), stat.gid())),
        ("mtime", format!("{}.{:09}", stat.mtime(), stat.mtime_nsec())),
    ]);
    if kind.is_symlink() {
        facts.insert("target", format!("{:?}", fs::read_link(path)?));
    } else if kind.is_file() {
        let bytes = fs::read(path)?;
        facts.insert("content", format!("{} {}", bytes.len(), super::image::digest(&bytes)));
    } else if kind.is_char_device() || kind.is_block_device() {
        facts
            .insert("device", format!("{}:{}", nix::sys::stat::major(stat.rdev()), nix::sys::stat::minor(stat.rdev())));
    }
    facts.insert("xattrs", xattrs(path)?.join(" "));
    Ok(facts)
}

/// The attributes of a file, not of the target of a link, as lines `NAME=HEX`.
pub fn xattrs(path: &Path) -> Result<Vec<String>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut names = vec![0u8; 1 << 16];
    // SAFETY: a C string, and a buffer with its own length.
    let length = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    let length = Errno::result(length)?.cast_unsigned();
    let mut found = Vec::new();
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let name = CStr::from_bytes_with_nul(name)?;
        let mut value = vec![0u8; 1 << 16];
        // SAFETY: two C strings, and a buffer with its own length.
        let length = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        let value = &value[..Errno::result(length)?.cast_unsigned()];
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        found.push(format!("{}={hex}", name.to_string_lossy()));
    }
    found.sort();
    Ok(found)
}

/// A read-only overlay of layers, which lives in this process's mount namespace until it is dropped.
pub struct Overlay(PathBuf);

impl Overlay {
    /// `layers` has the base first.
    pub fn mount(layers: &[PathBuf], at: &Path) -> Result<Overlay> {
        fs::create_dir_all(at)?;
        let layers: Vec<&[u8]> = layers.iter().rev().map(|path| path.as_os_str().as_bytes()).collect();
        let options = [&b"lowerdir="[..], &layers.join(&b':')].concat();
        let options = OsStr::from_bytes(&options);
        mount(Some("overlay"), at, Some("overlay"), MsFlags::MS_RDONLY, Some(options)).context("mount an overlay")?;
        Ok(Overlay(at.to_owned()))
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        if let Err(error) = umount2(&self.0, MntFlags::MNT_DETACH) {
            eprintln!("conformance: umount {}: {error}", self.0.display());
        }
    }
}
