//! The directories of a new cgroup. They are removed if its creation fails.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::Mode as Permissions;
use nix::unistd::mkdir;

use super::dir;

/// The directories made so far. Dropping this removes them; clear `made` to keep them.
pub struct Undo {
    pub made: Vec<PathBuf>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        for dir in self.made.iter().rev() {
            // If a directory cannot be removed, another process uses it now.
            let _ = dir::rmdir(dir);
        }
    }
}

impl Undo {
    /// Makes `dir` and its missing parents. Returns whether `dir` is new.
    pub fn make(&mut self, dir: &Path) -> Result<bool, Errno> {
        let mut made = mkdir(dir, Permissions::from_bits_truncate(0o755));
        if let (Err(Errno::ENOENT), Some(parent)) = (made, dir.parent()) {
            self.make(parent)?;
            made = mkdir(dir, Permissions::from_bits_truncate(0o755));
        }
        match made {
            Ok(()) => self.made.push(dir.to_owned()),
            Err(Errno::EEXIST) => return Ok(false),
            Err(errno) => return Err(errno),
        }
        Ok(true)
    }
}

/// A directory of the new cgroup.
pub struct Made {
    pub dir: PathBuf,
    /// Whether this run has made it.
    pub new: bool,
}
