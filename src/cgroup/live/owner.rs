//! Whose a cgroup is. An empty one may be taken over by another container, which has the same path then: as long as the
//! first one's record is there, both name one directory.
//!
//! Where a container has a pid namespace, its processes die with the first one, and nobody has to be told apart. Where it
//! has none, and where a cgroup was there before, the directory gets a mark.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result};
use nix::errno::Errno;

use super::cgroup::Cgroup;
use super::dir::is_gone;
use crate::sys::{Call, CallError, lock, xattr};

/// Only root of the host writes and reads the first one; it comes first, as a container to which the directory is handed
/// over may write the second one.
const NAMES: [&CStr; 2] = [c"trusted.tare.owner", c"user.tare.owner"];

/// A container, as far as its cgroup is concerned.
#[derive(Clone, Copy, Debug)]
pub struct Owner<'a> {
    /// What tells it from all others, also from those of the same name.
    pub token: &'a str,
    /// Its processes do not die with the first one.
    pub shares_pids: bool,
}

/// What the mark of a cgroup says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It is this container's.
    Own,
    /// It is another one's.
    Other,
    /// There is none.
    None,
}

/// Marks a directory. Who may not do it goes without: then it is nobody's.
pub fn mark(dir: &Path, token: &str) {
    let _ = NAMES.iter().find(|name| xattr::set(dir, name, token.as_bytes()).is_ok());
}

/// Locks a directory, as long as the result is held; `None` when somebody else has.
pub fn claim(dir: &Path) -> Result<Option<OwnedFd>> {
    let file = File::open(dir).named(format_args!("linux.cgroupsPath: open {}", dir.display()))?;
    let locked = lock::try_exclusive(&file, &dir.to_string_lossy()).context("linux.cgroupsPath")?;
    Ok(locked.then(|| file.into()))
}

impl Cgroup {
    /// Keeps others from taking over the cgroup when it becomes empty, as long as the result is held.
    ///
    /// `None` when there is none, or somebody is about to be refused it. Fails when it cannot be opened.
    pub fn claim(&self) -> Result<Option<OwnedFd>> {
        match self.dirs.first() {
            Some(place) if place.dir.exists() => claim(&place.dir),
            _ => Ok(None),
        }
    }

    /// What its mark says to the container of this token.
    ///
    /// Fails when it cannot be read.
    pub fn mark_for(&self, token: &str) -> Result<Mark> {
        self.dirs.first().map_or(Ok(Mark::None), |place| mark_of(&place.dir, token))
    }
}

/// What the mark of a directory says to the container of this token; one that is gone has none.
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
