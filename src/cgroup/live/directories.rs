//! Directories of a new cgroup, which go again if its creation fails.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::stat::Mode as Permissions;
use nix::unistd::mkdir;

use super::dir;

/// The directories made so far; removes them again unless the cgroup is kept.
pub struct Undo {
    pub made: Vec<PathBuf>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        for dir in self.made.iter().rev() {
            // What cannot be removed is in use by somebody else by now.
            let _ = dir::rmdir(dir);
        }
    }
}

impl Undo {
    /// Makes `dir` and what is missing above it. Returns whether `dir` is new.
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
    /// Whether it was not there before.
    pub new: bool,
}
