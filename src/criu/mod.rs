//! Checkpoint and restore through CRIU, which runs as `criu swrk` (criu.org, "RPC").
//!
//! The message types are those of the crate `rust-criu`, but its driver is not used. The driver's callback is a plain
//! function, which cannot know which container it serves. The driver discards the answer, and with it the reason of an
//! error. It has no pre-dump, no configuration file, no cgroup roots and no LSM profile. And it starts CRIU itself,
//! whereas a restore needs CRIU in the container's cgroup and in a mount namespace of its own.

mod checkpoint;
mod log;
mod mounts;
mod restore;
mod worker;

use std::fs::{DirBuilder, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use rust_criu::rust_criu_protobuf::rpc::{Criu_cg_mode, Criu_opts};

use crate::state::Record;
use crate::sys::Call;

pub use checkpoint::{Checkpoint, checkpoint};
pub use restore::{Restore, restore};

/// The file in the directory of the images that describes the standard descriptors; runc uses the same name.
const DESCRIPTORS: &str = "descriptors.json";

/// `--manage-cgroups-mode`: how CRIU treats the cgroups of the processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupsMode {
    /// Restore the properties of cgroups that CRIU creates.
    #[default]
    Soft,
    /// Always restore properties of cgroups.
    Full,
    /// Fail if one of the cgroups exists.
    Strict,
    /// Do not restore cgroups.
    Ignore,
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
    fn request(&self, name: &str, root: &str) -> Result<(Criu_opts, Directories)> {
        let images = open_directory(root, &self.images)?;
        let mut it = Criu_opts::new();
        it.set_images_dir_fd(images.as_raw_fd());
        let work = self.work.as_deref().map(|work| make_directory(work).and_then(|()| open_directory(root, work)));
        let work = work.transpose()?;
        if let Some(work) = &work {
            it.set_work_dir_fd(work.as_raw_fd());
        }
        // The path is in the directory of the images by default, which may have a log of an earlier run.
        let log = self.work.as_deref().unwrap_or(&self.images).join(name);
        it.set_log_level(4);
        it.set_log_file(name.to_owned());
        it.set_notify_scripts(true);
        it.set_orphan_pts_master(true);
        it.set_tcp_established(self.tcp_established);
        it.set_tcp_close(self.tcp_close);
        it.set_ext_unix_sk(self.ext_unix_sk);
        it.set_shell_job(self.shell_job);
        it.set_file_locks(self.file_locks);
        it.set_auto_dedup(self.auto_dedup);
        it.set_lazy_pages(self.lazy_pages);
        it.set_manage_cgroups(true);
        it.set_manage_cgroups_mode(match self.cgroups {
            CgroupsMode::Soft => Criu_cg_mode::SOFT,
            CgroupsMode::Full => Criu_cg_mode::FULL,
            CgroupsMode::Strict => Criu_cg_mode::STRICT,
            CgroupsMode::Ignore => Criu_cg_mode::IGNORE,
        });
        if self.empty_network {
            it.set_empty_ns(libc::CLONE_NEWNET as u32);
        }
        if let Some(config) = &self.config {
            it.set_config_file(config.clone());
        }
        Ok((it, Directories { _images: images, _work: work, log }))
    }
}

/// Tells CRIU to leave cgroups alone, if the container has none of its own and so shares the caller's with CRIU.
fn leave_cgroups(request: &mut Criu_opts, record: &Record) {
    if record.cgroup.host_dirs().is_empty() {
        request.set_manage_cgroups_mode(Criu_cg_mode::IGNORE);
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
