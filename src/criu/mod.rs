//! Checkpoint and restore through CRIU, which runs as `criu swrk` (criu.org, "RPC").
//!
//! The crate `rust-criu` is not used: it discards the answer, and with it the reason of an error, and its callback cannot
//! know which container it serves. It starts CRIU itself, whereas a restore needs CRIU in the container's cgroup and in a
//! mount namespace of its own. And it brings twenty packages, among them a code generator.

mod checkpoint;
mod log;
mod messages;
mod mounts;
mod restore;
mod wire;
mod worker;

use std::fs::{DirBuilder, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::state::Record;
use crate::sys::Call;
use anyhow::{Result, anyhow};

use messages::CriuOptions;

pub use checkpoint::{Checkpoint, checkpoint};
pub use restore::{Restore, restore};

/// The file in the directory of the images that describes the standard descriptors; runc uses the same name.
const DESCRIPTORS: &str = "descriptors.json";

/// `--manage-cgroups-mode`: how CRIU treats the cgroups of the processes, with the numbers of `criu_cg_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupsMode {
    /// Restore the properties of cgroups that CRIU creates.
    #[default]
    Soft = 3,
    /// Always restore properties of cgroups.
    Full = 4,
    /// Fail if one of the cgroups exists.
    Strict = 5,
    /// Do not restore cgroups.
    Ignore = 0,
}

/// The options that checkpoint and restore share.
#[derive(Debug)]
pub struct Settings {
    pub images: PathBuf,
    /// `--work-path`: the directory of logs; by default that of the images.
    pub work: Option<PathBuf>,
    pub tcp_established: bool,
    pub tcp_close: bool,
    pub ext_unix_sk: bool,
    pub shell_job: bool,
    pub file_locks: bool,
    pub auto_dedup: bool,
    pub lazy_pages: bool,
    /// `--manage-cgroups-mode`
    pub cgroups: CgroupsMode,
    /// `--empty-ns network`
    pub empty_network: bool,
    /// A file whose settings override all others: the annotation `org.criu.config`, or the host's file.
    pub config: Option<String>,
}

/// The descriptors that a request names by number. They must stay open until the answer.
struct Directories {
    _images: File,
    _work: Option<File>,
    log: PathBuf,
}

impl Settings {
    /// Makes the part of a request that dump and restore share, with the log file `name`. CRIU works in these
    /// directories and mounts there, so they are opened through the root of CRIU's mount namespace.
    fn request(&self, name: &str, root: &str, record: &Record) -> Result<(CriuOptions, Directories)> {
        let images = open_directory(root, &self.images)?;
        let work = self.work.as_deref().map(|work| make_directory(work).and_then(|()| open_directory(root, work)));
        let work = work.transpose()?;
        // The path is in the directory of the images by default, which may have a log of an earlier run.
        let log = self.work.as_deref().unwrap_or(&self.images).join(name);
        // A container without cgroups of its own shares the caller's with CRIU, which then leaves them alone.
        let mode = if record.cgroup.host_dirs().is_empty() { CgroupsMode::Ignore } else { self.cgroups };
        let options = CriuOptions {
            images_dir_fd: images.as_raw_fd(),
            work_dir_fd: work.as_ref().map(AsRawFd::as_raw_fd),
            log_level: Some(4),
            log_file: Some(name.to_owned()),
            notify_scripts: Some(true),
            orphan_pts_master: Some(true),
            tcp_established: Some(self.tcp_established),
            tcp_close: Some(self.tcp_close),
            ext_unix_sk: Some(self.ext_unix_sk),
            shell_job: Some(self.shell_job),
            file_locks: Some(self.file_locks),
            auto_dedup: Some(self.auto_dedup),
            lazy_pages: Some(self.lazy_pages),
            manage_cgroups: Some(true),
            manage_cgroups_mode: Some(mode as i32),
            empty_ns: self.empty_network.then_some(libc::CLONE_NEWNET as u32),
            config_file: self.config.clone(),
            ..CriuOptions::default()
        };
        Ok((options, Directories { _images: images, _work: work, log }))
    }
}

/// Creates a directory, or uses an existing one: images may be overwritten.
fn make_directory(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.named(format_args!("mkdir {}", path.display()))
}

fn open_directory(root: &str, path: &Path) -> Result<File> {
    // Do not follow symbolic links: one could lead out of that root.
    let open = path
        .canonicalize()
        .and_then(|place| File::open(format!("{root}{}", place.display())))
        .named(format_args!("open {}", path.display()))?;
    match open.metadata().map(|file| file.is_dir()) {
        Ok(true) => Ok(open),
        _ => Err(anyhow!("open {}: not a directory", path.display())),
    }
}

fn find_criu() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let runs =
        |file: &PathBuf| file.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
    std::env::split_paths(&path)
        .map(|directory| directory.join("criu"))
        .filter(|file| file.is_absolute())
        .find(runs)
        .ok_or_else(|| anyhow!("exec: \"criu\": executable file not found in $PATH"))
}

/// Adds the last errors of CRIU's log to an error.
fn explained(error: anyhow::Error, what: &str, log: &Path) -> anyhow::Error {
    let error = error.context(what.to_owned());
    match log::errors(log) {
        Some(words) => anyhow!("{error:#}: {words} (more in {})", log.display()),
        None if log.exists() => anyhow!("{error:#} (more in {})", log.display()),
        None => error,
    }
}
