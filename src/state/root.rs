//! The state directory (`--root`), and the places of containers in it.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use super::directory::Directory;
use super::glance::Listing;
use super::names::{MISSING, NOTIFY, REMOVED, TAKEN};
use super::record::Record;
use crate::sys::{self, CallError, Errno};

/// The state directory, with one directory a container.
#[derive(Clone, Debug)]
pub struct Root(pub PathBuf);

impl Root {
    /// The place of a container. The id becomes a file name, so it is checked.
    ///
    /// # Errors
    /// An id that is empty, `.`, `..`, or holds anything but `[A-Za-z0-9_+.-]`.
    pub fn container(&self, id: &str) -> Result<Place> {
        if id.is_empty() {
            bail!("container id cannot be empty");
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
        if id == "." || id == ".." || !id.bytes().all(plain) {
            bail!("invalid container ID format: {id:?}");
        }
        Ok(Place { path: self.0.join(id) })
    }

    /// Load an existing container.
    ///
    /// # Errors
    /// [`MISSING`] if there is no such container; a record that cannot be read or that another program has written.
    pub fn load(&self, id: &str) -> Result<(Directory, Record)> {
        let directory = self.container(id)?.open()?.ok_or_else(|| anyhow!(MISSING))?;
        let record = directory.load()?.ok_or_else(|| anyhow!(MISSING))?;
        Ok((directory, record))
    }

    /// The ids of all containers, sorted.
    ///
    /// # Errors
    /// The error of opening or reading the directory.
    pub fn ids(&self) -> Result<Vec<String>, Errno> {
        Ok(Listing::of(&self.0)?.ids)
    }
}

/// The path of a container's directory, which may not exist.
#[derive(Clone, Debug)]
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// Create the directory and take its lock. Of two concurrent calls exactly one succeeds.
    ///
    /// # Errors
    /// `container with given ID already exists`; the error of mkdir(2), open(2) or flock(2), after which no directory
    /// is left.
    pub fn create(&self) -> Result<Directory> {
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
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => bail!(TAKEN),
            Err(error) => return Err(sys::io(error)).with_context(|| format!("mkdir {}", self.path.display())),
        }
        let opened = self.open().and_then(|directory| directory.ok_or_else(|| anyhow!(REMOVED)));
        let locked = opened.and_then(|directory| directory.lock().map(|()| directory));
        // If another command removed it and created a new one, the new one is not empty and rmdir(2) fails.
        locked.inspect_err(|_| drop(std::fs::remove_dir(&self.path)))
    }

    /// Open the directory; `None` if it does not exist.
    ///
    /// # Errors
    /// The error of open(2).
    pub fn open(&self) -> Result<Option<Directory>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match sys::again(|| openat(AT_FDCWD, &self.path, flags, Mode::empty())) {
            Ok(file) => Ok(Some(Directory::new(self.path.clone(), file.into()))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => bail!(CallError::new(format_args!("open {}", self.path.display()), errno)),
        }
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the container's socket for the service manager.
    pub fn notify(&self) -> PathBuf {
        self.path.join(NOTIFY)
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
