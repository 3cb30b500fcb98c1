//! What is kept of a container between two commands: a directory with `state.json`.

mod record;
mod status;
mod time;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use record::{Namespaces, Record};
pub use status::{Status, alive, start_time};
pub use time::{now, rfc3339};

use oci_spec::runtime::Spec;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::spec::Extras;
use crate::sys;

/// The gate between create and start.
pub const FIFO: &str = "exec.fifo";
const RECORD: &str = "state.json";
const NEW_RECORD: &str = ".state.json";

/// The directory that holds one directory a container (`--root`).
#[derive(Clone, Debug)]
pub struct Root(pub PathBuf);

impl Root {
    /// The directory of a container. The id is checked first: it becomes a path.
    ///
    /// # Errors
    /// An id that is empty, `.`, `..`, or holds anything but `[A-Za-z0-9_+.-]`.
    pub fn container(&self, id: &str) -> Result<Directory> {
        if id.is_empty() {
            bail!("container id cannot be empty");
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
        if id == "." || id == ".." || !id.bytes().all(plain) {
            bail!("invalid container ID format: {id:?}");
        }
        Ok(Directory { path: self.0.join(id) })
    }

    /// Load a container that has to exist.
    ///
    /// # Errors
    /// `container does not exist`, also when its record cannot be read.
    pub fn load(&self, id: &str) -> Result<(Directory, Record)> {
        let directory = self.container(id)?;
        let record = directory.load().map_err(|_| anyhow::anyhow!("container does not exist"))?;
        Ok((directory, record))
    }

    /// The ids of all containers, sorted.
    pub fn ids(&self) -> std::io::Result<Vec<String>> {
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&self.0)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                ids.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        ids.sort();
        Ok(ids)
    }
}

/// The directory of one container.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Make the directory. Of two that try, exactly one succeeds.
    ///
    /// The lock that comes back tells others that the container is being created; it goes with
    /// its holder.
    pub fn create(&self) -> Result<nix::fcntl::Flock<File>> {
        let make = || std::fs::DirBuilder::new().mode(0o711).create(&self.path);
        let made = match make() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let parent = self.path.parent().unwrap_or(Path::new("/"));
                let all = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent);
                all.and_then(|()| make())
            }
            other => other,
        };
        match made {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("container with given ID already exists")
            }
            Err(error) => return Err(sys::io(error)).with_context(|| format!("mkdir {}", self.path.display())),
        }
        // Others hold the lock for moments only, to see whether it is held.
        self.wait_for_creator()
    }

    /// Is somebody creating this container right now?
    pub fn being_created(&self) -> bool {
        let Ok(file) = File::open(&self.path) else { return false };
        nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockSharedNonblock).is_err()
    }

    /// Wait until nobody creates this container any more, and keep others from beginning.
    pub fn wait_for_creator(&self) -> Result<nix::fcntl::Flock<File>> {
        let file = File::open(&self.path).map_err(sys::io)?;
        nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive)
            .map_err(|(_, errno)| anyhow::anyhow!("{}: lock: {}", self.path.display(), sys::reason(errno)))
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the gate is while the container waits.
    pub fn fifo(&self) -> PathBuf {
        self.path.join(FIFO)
    }

    /// Where the container's socket for the service manager is, if it has one.
    pub fn notify(&self) -> PathBuf {
        self.path.join("notify")
    }

    /// The config as it was at create, with the limits of later updates.
    pub fn load_config(&self) -> Result<(Spec, Extras)> {
        crate::spec::parse(self.config()?.get().as_bytes())
    }

    /// The same, as it is kept.
    pub fn config(&self) -> Result<Box<RawValue>> {
        #[derive(Deserialize)]
        struct Kept<'a> {
            #[serde(borrow)]
            config: &'a RawValue,
        }
        let bytes = std::fs::read(self.path.join(RECORD)).map_err(sys::io)?;
        let kept: Kept<'_> = serde_json::from_slice(&bytes)?;
        Ok(kept.config.to_owned())
    }

    /// Keep others from changing the record. It is replaced as a whole, so one that was waited for
    /// may have become an old one.
    ///
    /// # Errors
    /// `container does not exist`, when it is gone.
    pub fn lock_record(&self) -> Result<nix::fcntl::Flock<File>> {
        use std::os::unix::fs::MetadataExt;
        let path = self.path.join(RECORD);
        loop {
            let file = File::open(&path).map_err(|_| anyhow::anyhow!("container does not exist"))?;
            let locked = nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive)
                .map_err(|(_, errno)| anyhow::anyhow!("{}: lock: {}", path.display(), sys::reason(errno)))?;
            let (Ok(held), Ok(named)) = (locked.metadata(), std::fs::metadata(&path)) else { continue };
            if (held.dev(), held.ino()) == (named.dev(), named.ino()) {
                return Ok(locked);
            }
        }
    }

    /// Read the record.
    pub fn load(&self) -> Result<Record> {
        let bytes = std::fs::read(self.path.join(RECORD)).map_err(sys::io)?;
        Ok(serde_json::from_slice(&bytes)?)
    }

    /// Write the first record. Nobody looks for it yet, and until it is complete there is nothing
    /// that it would have to tell of.
    pub fn save_first(&self, record: &Record, config: &[u8]) -> Result<()> {
        self.write(RECORD, record, config)
    }

    /// Replace the record, all of it or nothing.
    pub fn save(&self, record: &Record, config: &[u8]) -> Result<()> {
        self.write(NEW_RECORD, record, config)?;
        let (new, old) = (self.path.join(NEW_RECORD), self.path.join(RECORD));
        std::fs::rename(new, &old).map_err(sys::io).with_context(|| format!("write {}", old.display()))
    }

    /// The record and, as its last member, the config as it was at create: what comes later must
    /// not depend on changes to the file in the bundle. One file is cheaper than two.
    fn write(&self, name: &str, record: &Record, config: &[u8]) -> Result<()> {
        let mut bytes = serde_json::to_vec(record)?;
        bytes.pop();
        bytes.extend_from_slice(b",\"config\":");
        bytes.extend_from_slice(config);
        bytes.push(b'}');
        let path = self.path.join(name);
        let write = || -> std::io::Result<()> {
            File::options().write(true).create(true).truncate(true).mode(0o600).open(&path)?.write_all(&bytes)
        };
        write().map_err(sys::io).with_context(|| format!("write {}", path.display()))
    }

    /// Remove the directory; one that is gone is as good.
    pub fn remove(&self) -> Result<()> {
        for name in [RECORD, FIFO, NEW_RECORD] {
            let _ = std::fs::remove_file(self.path.join(name));
        }
        match std::fs::remove_dir(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Ok(()) => Ok(()),
            // The socket for the service manager, or something that this version did not put there.
            Err(_) => std::fs::remove_dir_all(&self.path)
                .map_err(sys::io)
                .with_context(|| format!("remove {}", self.path.display())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let root = Root("/nowhere".into());
        for good in ["a", "A-b_c.d+e", "0", "..."] {
            assert!(root.container(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "../x", "a b", "ä", "a\0"] {
            assert!(root.container(bad).is_err(), "{bad}");
        }
    }
}
