//! `--pid-file`: a file that is complete or absent.

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

/// The number of times that another process may create a file of the same name while this one links its own.
const ATTEMPTS: usize = 100;

/// A pid file. Its path is made absolute at once, so that a later chdir(2) does not matter.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    written: RefCell<Option<File>>,
}

impl PidFile {
    pub fn new(path: &Path) -> Result<PidFile> {
        Ok(PidFile { path: std::path::absolute(path)?, written: RefCell::new(None) })
    }

    /// Writes the file and then gives it its name, so that a reader never sees it incomplete. The number has no
    /// newline, as engines parse it. If the runtime is killed before the link, no file is left.
    pub fn write(&self, pid: i32) -> Result<()> {
        let written = match self.nameless() {
            // The file system has no O_TMPFILE.
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
            // A container that had the same file has left it; linkat(2) does not replace a file.
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

    /// Removes the file that was written, but not a file that another process has put in its place.
    pub fn remove(&self) {
        let Some(file) = self.written.take() else { return };
        let (Ok(ours), Ok(named)) = (file.metadata(), self.path.symlink_metadata()) else { return };
        if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
