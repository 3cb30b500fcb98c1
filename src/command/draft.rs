//! A file that is complete or absent.

use std::fs::File;
use std::io::{Error, ErrorKind, Result, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::linkat;

use crate::sys::{self, Errno};

/// The number of times that another process may create a file of the same name while this one links its own.
const ATTEMPTS: usize = 100;

/// A file that gets its name once it is complete, so that a reader never sees it incomplete. If the runtime is killed
/// before, no file is left.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    file: File,
    /// The temporary name, if the file system has no files without names.
    beside: Option<Beside>,
}

/// A name that is removed on drop, if it still exists.
#[derive(Debug)]
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Draft {
    /// Makes an empty file for an absolute path.
    ///
    /// # Errors
    /// The error of open(2).
    pub fn open(path: PathBuf) -> Result<Draft> {
        match nameless(directory(&path)) {
            Ok(file) => Ok(Draft { path, file: file.into(), beside: None }),
            // The file system has no O_TMPFILE.
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let beside = directory(&path).join(format!(".{name}.{}", std::process::id()));
                let file = File::options().write(true).create_new(true).open(&beside)?;
                Ok(Draft { path, file, beside: Some(Beside(beside)) })
            }
            Err(errno) => Err(errno.into()),
        }
    }

    /// Writes the file and gives it its name. A file that has the name is replaced; a symbolic link is not followed.
    ///
    /// # Errors
    /// The error of write(2), unlink(2), linkat(2) or rename(2).
    pub fn finish(mut self, bytes: &[u8]) -> Result<File> {
        self.file.write_all(bytes)?;
        match &self.beside {
            Some(beside) => std::fs::rename(&beside.0, &self.path)?,
            None => self.link()?,
        }
        Ok(self.file)
    }

    fn link(&self) -> Result<()> {
        let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let mut linked = Err(Errno::EEXIST);
        for _ in 0..ATTEMPTS {
            linked = linkat(AT_FDCWD, &*link, AT_FDCWD, &self.path, AtFlags::AT_SYMLINK_FOLLOW);
            if linked != Err(Errno::EEXIST) {
                break;
            }
            // linkat(2) does not replace a file.
            match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        linked.map_err(Error::from)
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn nameless(directory: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    sys::again(|| nix::fcntl::open(directory, flags, Mode::from_bits_truncate(0o666)))
}
