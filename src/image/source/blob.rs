//! A part of a file as a reader.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::sys::{Call, CallError};

/// A part of a file. It reads with pread(2), so blobs of the same file do not disturb each other.
#[derive(Clone, Debug)]
pub struct Blob {
    file: Arc<File>,
    position: u64,
    left: u64,
}

impl Blob {
    /// `size` bytes of a file, from a position on.
    pub fn new(file: Arc<File>, position: u64, size: u64) -> Blob {
        Blob { file, position, left: size }
    }

    /// A whole file. `None` if there is no such file.
    ///
    /// # Errors
    /// It is not a regular file; the error of open(2).
    pub fn open(path: &Path) -> Result<Option<Blob>> {
        // A fifo would block without O_NONBLOCK, which does nothing to a regular file.
        let file = match File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            other => other.map_err(|error| CallError::new(format_args!("open {}", path.display()), error))?,
        };
        let facts = file.metadata().named(format_args!("stat {}", path.display()))?;
        if !facts.is_file() {
            bail!("{}: not a regular file", path.display());
        }
        Ok(Some(Blob::new(Arc::new(file), 0, facts.len())))
    }

    /// The number of bytes that are left.
    pub fn size(&self) -> u64 {
        self.left
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..length], self.position)?;
        self.position += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}
