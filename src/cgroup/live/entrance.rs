//! The way of a new process into the cgroups of a container.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::Result;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use super::dir::open_to_write;
use crate::cgroup::layout::HostDir;
use crate::sys::CallError;

/// The open files through which a process gets into its cgroups.
#[derive(Debug)]
pub struct Entrance {
    /// The v2 directory, in which `CLONE_INTO_CGROUP` starts the process.
    pub v2: Option<OwnedFd>,
    /// The files `tasks` of the v1 directories, with the controllers. The process moves itself.
    v1: Vec<(String, OwnedFd)>,
}

impl Entrance {
    /// Opens the files of the v1 directories.
    ///
    /// Fails if one is missing or may not be written.
    pub fn new(v2: Option<OwnedFd>, dirs: &[HostDir]) -> Result<Entrance> {
        let open = |dir: &HostDir| {
            let file = dir.dir.join("tasks");
            match open_to_write(AT_FDCWD, &file) {
                Ok(open) => Ok((dir.controllers.clone(), open)),
                Err(errno) => Err(not_added(&file, errno)),
            }
        };
        let v1 = dirs.iter().filter(|dir| !dir.controllers.is_empty()).map(open).collect::<Result<_>>()?;
        Ok(Entrance { v2, v1 })
    }

    /// The file `tasks` in the v1 hierarchy of these controllers.
    pub fn tasks(&self, controllers: &str) -> Option<BorrowedFd<'_>> {
        self.v1.iter().find(|(name, _)| name == controllers).map(|(_, file)| file.as_fd())
    }
}

/// The error for a cgroup that takes no process. `file` is the one that cannot be opened.
pub fn not_added(file: &Path, errno: Errno) -> anyhow::Error {
    CallError::new(format_args!("error adding a process to cgroups: {}", file.display()), errno).into()
}
