//! A quick look at containers, for `list`.
//!
//! `list` looks at all containers and is called often. So this reads only the first line of a record, without a copy of
//! its strings, and opens no directory.

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use anyhow::Result;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::unistd::read;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::gate::is_gated;
use super::life::alive;
use super::names::{FIFO, FORMAT, RECORD};
use super::observe::derive;
use super::origin::Origin;
use super::record::Printed;
use super::status::Status;
use super::text::{STARTED, first_line};
use crate::cgroup;
use crate::spec::OCI_VERSION;
use crate::sys::{self, Errno, directory, process};

/// A record whose first line is longer is read as other commands read it.
const LONGEST: usize = 8 << 10;

/// The containers below a state directory.
#[derive(Debug)]
pub struct Listing {
    directory: OwnedFd,
    /// Whether the records are of this boot, because they are in memory only.
    in_memory: bool,
    /// Sorted.
    pub ids: Vec<String>,
}

/// Memory for the containers that one thread looks at, one after the other.
#[derive(Debug)]
pub struct Scratch {
    path: String,
    text: [u8; LONGEST],
}

/// A container, as far as `list` shows it.
#[derive(Debug)]
pub struct Glance<'a> {
    line: FirstLine<'a>,
    listing: &'a Listing,
    /// The path of the gate's fifo below the directory.
    fifo: &'a str,
}

/// The members of a record that `list` shows or needs for the status.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FirstLine<'a> {
    complete: u8,
    format: u32,
    /// Empty without a freezer.
    #[serde(borrow, default)]
    freezer: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    pid: i32,
    start_time: u64,
    #[serde(default)]
    pidfd: u64,
    origin: Origin,
    #[serde(borrow)]
    created: Cow<'a, str>,
    #[serde(borrow)]
    bundle: Cow<'a, str>,
    #[serde(borrow)]
    rootfs: Cow<'a, str>,
    #[serde(borrow, default)]
    annotations: Option<&'a RawValue>,
}

impl Scratch {
    pub fn new() -> Scratch {
        Scratch { path: String::with_capacity(300), text: [0; LONGEST] }
    }
}

impl Listing {
    /// The containers below a state directory, which is opened.
    ///
    /// # Errors
    /// The error of opening or reading the directory.
    pub fn of(path: &Path) -> Result<Listing, Errno> {
        let mut open = directory::open(path)?;
        let entries = directory::read(&mut open, path)?.into_iter().filter(|(_, is_directory)| *is_directory);
        let mut ids: Vec<String> = entries.map(|(name, _)| name.to_string_lossy().into_owned()).collect();
        ids.sort_unstable();
        let directory = open.as_fd().try_clone_to_owned().map_err(|_| Errno::last())?;
        let in_memory = fstatfs(&directory).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC);
        Ok(Listing { directory, in_memory, ids })
    }

    /// Reads the record of a container. `None` if only [`super::Root::load`] can tell more: there is no record, it is
    /// not that of a complete container, or it is of an older version, or not a record at all.
    pub fn glance<'a>(&'a self, id: &str, scratch: &'a mut Scratch) -> Option<Glance<'a>> {
        let Scratch { path, text } = scratch;
        path.clear();
        path.extend([id, "/", RECORD]);
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = sys::again(|| openat(&self.directory, path.as_str(), flags, Mode::empty())).ok()?;
        let length = sys::again(|| read(&file, text)).ok()?;
        let line: FirstLine<'_> = serde_json::from_str(first_line(&mut text[..length])?).ok()?;
        if line.format != FORMAT || line.complete == 0 || line.pid == 0 {
            return None;
        }
        path.truncate(id.len() + 1);
        path.push_str(FIFO);
        Some(Glance { line, listing: self, fifo: path })
    }

    /// The user id that owns a container; `None` if its directory is gone.
    pub fn owner(&self, id: &str) -> Option<u32> {
        fstatat(&self.directory, id, AtFlags::AT_SYMLINK_NOFOLLOW).ok().map(|file| file.st_uid)
    }
}

impl Glance<'_> {
    pub fn id(&self) -> &str {
        &self.line.id
    }

    /// The status, derived as [`super::Record::status`] derives it.
    ///
    /// # Errors
    /// The process, the cgroup or the gate cannot be read.
    pub fn status(&self) -> Result<Status> {
        let FirstLine { complete, pid, start_time, pidfd, origin, freezer, .. } = &self.line;
        // A pidfd takes half of the time of /proc/PID/stat. Its number is unique until the next boot.
        let runs = || *pidfd != 0 && self.listing.in_memory && process::runs(*pid, *pidfd);
        let alive = || if runs() { Ok(true) } else { alive(*pid, *start_time, *origin) };
        let gated = || Ok(*complete != STARTED && is_gated(self.listing.directory.as_fd(), self.fifo)?);
        let frozen = || if freezer.is_empty() { Ok(false) } else { cgroup::is_frozen(Path::new(&**freezer)) };
        derive(alive, || Ok(false), frozen, gated)
    }

    /// The form for `list`.
    pub fn printed<'a>(&'a self, status: Status, owner: &'a str) -> Printed<'a, &'a RawValue> {
        let FirstLine { id, pid, created, bundle, rootfs, annotations, .. } = &self.line;
        let pid = if status.has_process() { *pid } else { 0 };
        let (bundle, rootfs) = (Path::new(&**bundle), Path::new(&**rootfs));
        Printed { oci_version: OCI_VERSION, id, pid, status, bundle, rootfs, created, annotations: *annotations, owner }
    }
}
