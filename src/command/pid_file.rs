//! `--pid-file`: complete or not there at all.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::linkat;

use crate::sys::{self, Call, Errno};

/// How often somebody else may put a file there while ours is about to be.
const ATTEMPTS: usize = 100;

/// A file for a pid, its path fixed before anybody changes the directory.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    written: RefCell<Option<File>>,
}

impl PidFile {
    /// The file at a path.
    pub fn new(path: &Path) -> Result<PidFile> {
        Ok(PidFile { path: std::path::absolute(path)?, written: RefCell::new(None) })
    }

    /// Write it, and only then give it its name: whoever sees the file sees the number, without a newline, as engines
    /// parse it. A process that is killed meanwhile leaves nothing.
    pub fn write(&self, pid: i32) -> Result<()> {
        let written = match self.nameless() {
            // The file system does not know how.
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => self.rename_into_place(pid),
            other => other.map_err(std::io::Error::from).and_then(|file| self.link_into_place(file.into(), pid)),
        };
        let file = written.named(format_args!("write pid file {}", self.path.display()))?;
        self.written.replace(Some(file));
        Ok(())
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn nameless(&self) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        sys::again(|| nix::fcntl::open(self.directory(), flags, Mode::from_bits_truncate(0o666)))
    }

    fn link_into_place(&self, mut file: File, pid: i32) -> std::io::Result<File> {
        file.write_all(pid.to_string().as_bytes())?;
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        let mut linked = Err(Errno::EEXIST);
        for _ in 0..ATTEMPTS {
            linked = linkat(AT_FDCWD, &*link, AT_FDCWD, &self.path, AtFlags::AT_SYMLINK_FOLLOW);
            if linked != Err(Errno::EEXIST) {
                break;
            }
            // The file of a container that was. linkat(2) replaces none.
            match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        linked?;
        Ok(file)
    }

    fn rename_into_place(&self, pid: i32) -> std::io::Result<File> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let beside = self.directory().join(format!(".{name}.{}", std::process::id()));
        let mut file = File::options().write(true).create_new(true).open(&beside)?;
        let written = file.write_all(pid.to_string().as_bytes()).and_then(|()| std::fs::rename(&beside, &self.path));
        written.map(|()| file).inspect_err(|_| drop(std::fs::remove_file(&beside)))
    }

    /// Take back what was written; a file of somebody else stays.
    pub fn remove(&self) {
        let Some(file) = self.written.take() else { return };
        let (Ok(ours), Ok(named)) = (file.metadata(), self.path.symlink_metadata()) else { return };
        if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
