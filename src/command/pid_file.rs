//! `--pid-file`: a file that is complete or absent.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::draft::Draft;
use crate::sys::Call;

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

    /// Writes the file. The number has no newline, as engines parse it. A file that another container has left is
    /// replaced.
    pub fn write(&self, pid: i32) -> Result<()> {
        let written = Draft::open(self.path.clone()).and_then(|draft| draft.finish(pid.to_string().as_bytes()));
        let file = written.named(format_args!("write pid file {}", self.path.display()))?;
        self.written.replace(Some(file));
        Ok(())
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
