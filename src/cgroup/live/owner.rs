//! The owner of a cgroup. Another container with the same path may take over an empty cgroup. While the record of the
//! first container exists, two records name the same directory.
//!
//! In a pid namespace the processes of a container die with its first one, so the directory needs no mark. It gets one
//! if there is no pid namespace, or if the cgroup existed before.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;

use super::cgroup::Cgroup;
use super::dir::is_gone;
use crate::sys::{Call, CallError, lock, xattr};

/// The attributes for the mark. Only root of the host can read and write the first one. It comes first because a
/// container that manages its cgroup may write the second one.
const NAMES: [&CStr; 2] = [c"trusted.tare.owner", c"user.tare.owner"];

/// A container as the owner of a cgroup.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// A text that identifies the container: even a later one with the same id has another token.
    pub token: &'a str,
    /// Whether other processes of the container may outlive the first one.
    pub shares_pids: bool,
}

/// The mark of a cgroup, as one container sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// This container's.
    Own,
    /// Another container's.
    Other,
    /// No mark.
    None,
}

/// Marks a directory. Without permission it stays unmarked.
pub fn mark(dir: &Path, token: &str) {
    let _ = NAMES.iter().find(|name| xattr::set(dir, name, token.as_bytes()).is_ok());
}

/// Locks a directory while the result is held. `None` if another process holds the lock.
pub fn claim(dir: &Path) -> Result<Option<OwnedFd>> {
    let file = File::open(dir).named(format_args!("linux.cgroupsPath: open {}", dir.display()))?;
    let locked = lock::try_exclusive(&file, &dir.to_string_lossy()).context("linux.cgroupsPath")?;
    Ok(locked.then(|| file.into()))
}

impl Cgroup {
    /// Prevents other containers from taking over the cgroup once it is empty, while the result is held.
    ///
    /// `None` if the cgroup does not exist or another process holds the lock. Fails if it cannot be opened.
    pub fn claim(&self) -> Result<Option<OwnedFd>> {
        match self.dirs.first() {
            Some(place) if place.dir.exists() => claim(&place.dir),
            _ => Ok(None),
        }
    }

    /// The mark of the cgroup, compared with `token`.
    ///
    /// Fails if it cannot be read.
    pub fn mark_for(&self, token: &str) -> Result<Mark> {
        self.dirs.first().map_or(Ok(Mark::None), |place| mark_of(&place.dir, token))
    }
}

/// The mark of a directory, compared with `token`. A removed directory has none.
pub fn mark_of(dir: &Path, token: &str) -> Result<Mark> {
    for name in NAMES {
        match xattr::get(dir, name) {
            Ok(Some(found)) => return Ok(if found == token.as_bytes() { Mark::Own } else { Mark::Other }),
            Ok(None) | Err(Errno::EPERM) => {}
            Err(errno) if is_gone(errno) => {}
            Err(errno) => return Err(CallError::new(format_args!("{}: getxattr", dir.display()), errno).into()),
        }
    }
    Ok(Mark::None)
}
