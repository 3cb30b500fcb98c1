//! The store of layers, which bundles share.
//!
//! - `layers/HEX/fs` is a layer, and `layers/HEX/layer.json` has facts about it. HEX is the layer's chain id: the digest of
//!   its content and of all layers below it (image specification, config.md, "Layer ChainID"), because the directory
//!   depends on those below: a hard link may lead to a file there. A layer never changes.
//! - `squashed` has layers of users who can have one id only.
//! - `tmp` has layers in the making. A layer gets its final name when it is complete.
//! - `locks` has a file for each layer that is or was in the making, and `lock` is for the whole store.
//! - `run` has the bundles of `run --image`. The process that runs a container locks its bundle.
//! - `bundles` has a file for each bundle that uses layers, with its path.

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use crate::sys::{Call, directory, lock, remove};

/// The owners that the files of a layer have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Their own.
    Layers,
    /// All belong to the one id that the user has.
    Squashed,
}

impl Family {
    /// The name of the directory.
    pub fn name(self) -> &'static str {
        match self {
            Family::Layers => "layers",
            Family::Squashed => "squashed",
        }
    }
}

/// Facts about a layer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerFacts {
    /// The digest of the layer's tar file.
    pub diff_id: String,
    /// The bytes of its files.
    pub size: u64,
}

/// The use of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreUse {
    /// Others may unpack meanwhile, and nobody removes a layer.
    Shared,
    /// Nobody else uses the store.
    Alone,
}

/// A store, locked.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    _lock: File,
}

impl Store {
    /// The usual place: `/var/lib/tare`, or for an ordinary user `tare` in the directory for data of the XDG
    /// specification.
    ///
    /// # Errors
    /// An ordinary user without `HOME`.
    pub fn usual(privileged: bool) -> Result<PathBuf> {
        if privileged {
            return Ok(PathBuf::from("/var/lib/tare"));
        }
        let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
        let data = set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
        Ok(data.context("neither XDG_DATA_HOME nor HOME is set: use --store")?.join("tare"))
    }

    /// The directory for the bundles of `run --image`, which is made if it is missing, and a lock: only who has it makes
    /// a bundle.
    ///
    /// # Errors
    /// The directory cannot be made or locked.
    pub fn run_directory(store: &Path) -> Result<(PathBuf, File)> {
        let path = store.join("run");
        make(&path)?;
        let locked = lock_directory(&path)?;
        Ok((path, locked))
    }

    /// Opens a store, which is made if it is missing, and waits for its lock.
    ///
    /// # Errors
    /// The directories cannot be made.
    pub fn open(path: &Path, access: StoreUse) -> Result<Store> {
        make(path)?;
        // Bundles name the layers by their real paths.
        let path = path.canonicalize().named(path.display())?;
        for part in ["layers", "squashed", "tmp", "locks", "bundles", "run"] {
            make(&path.join(part))?;
        }
        let file = open_lock(&path.join("lock"))?;
        match access {
            StoreUse::Shared => file.lock_shared(),
            StoreUse::Alone => file.lock(),
        }
        .named(format_args!("lock {}", path.display()))?;
        let store = Store { path, _lock: file };
        store.clear_unfinished()?;
        Ok(store)
    }

    /// The directory with the files of a layer, whether it exists or not.
    pub fn layer(&self, family: Family, chain: &Digest) -> PathBuf {
        self.entry(family, chain).join("fs")
    }

    fn entry(&self, family: Family, chain: &Digest) -> PathBuf {
        self.path.join(family.name()).join(chain.hex())
    }

    /// The layer, if it is in the store.
    pub fn find(&self, family: Family, chain: &Digest) -> Option<PathBuf> {
        Some(self.layer(family, chain)).filter(|path| path.exists())
    }

    /// Returns the layer, which `fill` unpacks to an empty directory if it is not in the store. If another process is at
    /// it, this waits for that process.
    ///
    /// # Errors
    /// The errors of `fill`, after which nothing is left.
    pub fn layer_or(
        &self,
        family: Family,
        chain: &Digest,
        fill: impl FnOnce(OwnedFd) -> Result<LayerFacts>,
    ) -> Result<PathBuf> {
        if let Some(found) = self.find(family, chain) {
            return Ok(found);
        }
        let name = format!("{}-{}", family.name(), chain.hex());
        let lock = open_lock(&self.path.join("locks").join(&name))?;
        lock.lock().named(format_args!("lock {name}"))?;
        if let Some(found) = self.find(family, chain) {
            return Ok(found);
        }
        let unfinished = self.path.join("tmp").join(&name);
        remove_all(&unfinished)?;
        let filled = self.fill(&unfinished, fill).and_then(|()| {
            let whole = self.entry(family, chain);
            fs::rename(&unfinished, &whole).named(format_args!("rename {}", whole.display()))
        });
        if let Err(error) = filled {
            let left = remove_all(&unfinished);
            return Err(match left {
                Ok(()) => error,
                Err(left) => error.context(format!("{left:#}; before that")),
            });
        }
        Ok(self.layer(family, chain))
    }

    fn fill(&self, unfinished: &Path, fill: impl FnOnce(OwnedFd) -> Result<LayerFacts>) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let files = unfinished.join("fs");
        make(&files)?;
        // A directory inherits the set-group-id bit, and would pass it on.
        fs::set_permissions(&files, fs::Permissions::from_mode(0o700))
            .named(format_args!("chmod {}", files.display()))?;
        let root = File::open(&files).named(format_args!("open {}", files.display()))?;
        let facts = fill(root.into())?;
        let json = serde_json::to_vec(&facts)?;
        fs::write(unfinished.join("layer.json"), json).named("write layer.json")
    }

    /// Removes what killed processes have left.
    fn clear_unfinished(&self) -> Result<()> {
        let tmp = self.path.join("tmp");
        for (name, _) in directory::entries(&tmp).named(tmp.display())? {
            let lock = open_lock(&self.path.join("locks").join(&name))?;
            if lock::try_exclusive(&lock, &name.to_string_lossy())? {
                remove_all(&tmp.join(&name))?;
            }
        }
        Ok(())
    }

    /// Remembers that a bundle uses layers.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn refer(&self, bundle: &Path) -> Result<()> {
        let name = Digest::of(bundle.as_os_str().as_bytes());
        let path = self.path.join("bundles").join(name.hex());
        fs::write(&path, bundle.as_os_str().as_bytes()).named(format_args!("write {}", path.display()))
    }

    /// The bundles that have used layers of this store, each with the file that says so.
    ///
    /// # Errors
    /// The directory or a file cannot be read.
    pub fn bundles(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        let place = self.path.join("bundles");
        let mut found = Vec::new();
        for (name, _) in directory::entries(&place).named(place.display())? {
            let file = place.join(name);
            let bundle = fs::read(&file).named(file.display())?;
            found.push((file, PathBuf::from(OsString::from_vec(bundle))));
        }
        Ok(found)
    }
}

impl Store {
    /// The layers, each with its facts if they can be read.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn layers(&self) -> Result<Vec<(PathBuf, Option<LayerFacts>)>> {
        let mut found = Vec::new();
        for family in [Family::Layers, Family::Squashed] {
            for path in entries(&self.path.join(family.name()))? {
                let facts = fs::read(path.join("layer.json")).ok();
                let facts = facts.and_then(|text| serde_json::from_slice(&text).ok());
                found.push((path, facts));
            }
        }
        Ok(found)
    }

    /// The bundles of `run --image`, and a lock: no other bundle is made until it is dropped.
    ///
    /// # Errors
    /// The directory cannot be read or locked.
    pub fn run_bundles(&self) -> Result<(Vec<PathBuf>, File)> {
        let path = self.path.join("run");
        let locked = lock_directory(&path)?;
        Ok((entries(&path)?, locked))
    }

    /// Removes a layer. The first step is a rename: a killed process leaves no part of a layer.
    ///
    /// # Errors
    /// The kernel's errors.
    pub fn remove(&self, layer: &Path) -> Result<()> {
        let dead = self.path.join("tmp").join("removed");
        fs::rename(layer, &dead).named(format_args!("rename {}", layer.display()))?;
        remove_all(&dead)
    }

    /// Removes the files for locks. Only a process that uses the store alone may do it.
    ///
    /// # Errors
    /// The kernel's errors.
    pub fn forget_locks(&self) -> Result<()> {
        entries(&self.path.join("locks"))?.iter().try_for_each(|lock| remove_all(lock))
    }
}

fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let names = directory::entries(path).named(path.display())?;
    Ok(names.into_iter().map(|(name, _)| path.join(name)).collect())
}

/// Makes a directory that only its owner may enter: layers have set-user-id programs of every age.
fn make(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).named(format_args!("mkdir {}", path.display()))
}

fn lock_directory(path: &Path) -> Result<File> {
    let file = File::open(path).named(format_args!("open {}", path.display()))?;
    file.lock().named(format_args!("lock {}", path.display()))?;
    Ok(file)
}

fn open_lock(path: &Path) -> Result<File> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    file.named(format_args!("open {}", path.display()))
}

/// Removes a tree of any depth.
///
/// # Errors
/// The kernel's errors.
pub fn remove_all(path: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { bail!("{} is no entry", path.display()) };
    let parent = File::open(parent).named(format_args!("open {}", parent.display()))?;
    remove::tree(parent.as_fd(), &c_string(name)?).named(format_args!("remove {}", path.display()))
}

fn c_string(name: &OsStr) -> Result<CString> {
    CString::new(name.as_bytes()).context("a NUL in a name")
}
