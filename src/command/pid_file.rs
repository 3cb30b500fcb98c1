//! `--pid-file`: complete or not there at all.

use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sys;

/// A file for a pid, its path fixed before anybody changes the directory.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    written: Cell<bool>,
}

impl PidFile {
    /// The file at a path.
    pub fn new(path: &str) -> Result<PidFile> {
        Ok(PidFile { path: std::path::absolute(path)?, written: Cell::new(false) })
    }

    /// Write beside and rename into place: whoever sees the file sees the number, without a
    /// newline, as engines parse it.
    pub fn write(&self, pid: i32) -> Result<()> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let beside = self.path.parent().unwrap_or(Path::new("/")).join(format!(".{name}"));
        let write = || -> std::io::Result<()> {
            let mut file = File::options().write(true).create_new(true).open(&beside)?;
            file.write_all(pid.to_string().as_bytes())?;
            std::fs::rename(&beside, &self.path)?;
            self.written.set(true);
            Ok(())
        };
        write().map_err(sys::io).with_context(|| format!("write pid file {}", self.path.display())).inspect_err(|_| {
            let _ = std::fs::remove_file(&beside);
        })
    }

    /// Take back what was written; a file of somebody else stays.
    pub fn remove(&self) {
        if self.written.get() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
