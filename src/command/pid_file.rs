//! `--pid-file`: complete or not there at all.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sys;

/// A file for a pid, its path fixed before anybody changes the directory.
#[derive(Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    /// The file at a path.
    pub fn new(path: &str) -> Result<PidFile> {
        Ok(PidFile(std::path::absolute(path)?))
    }

    /// Write beside and rename into place: whoever sees the file sees the number, without a
    /// newline, as engines parse it.
    pub fn write(&self, pid: i32) -> Result<()> {
        let name = self.0.file_name().unwrap_or_default().to_string_lossy();
        let beside = self.0.parent().unwrap_or(Path::new("/")).join(format!(".{name}"));
        let write = || -> std::io::Result<()> {
            let mut file = File::options().write(true).create_new(true).open(&beside)?;
            file.write_all(pid.to_string().as_bytes())?;
            std::fs::rename(&beside, &self.0)
        };
        write().map_err(sys::io).with_context(|| format!("write pid file {}", self.0.display())).inspect_err(|_| {
            let _ = std::fs::remove_file(&beside);
        })
    }

    /// Take it back.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
