//! A disk for one test: limits of block I/O need a disk, and must not slow down the machine's own.

use super::{Result, check};
use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const SIZE: u64 = 64 << 20;

/// A loop device over a file. Dropping it removes both.
pub struct Disk {
    pub path: PathBuf,
    pub major: u64,
    pub minor: u64,
    _file: TempDir,
}

impl Disk {
    /// Skips the test if the machine has no loop devices.
    pub fn new() -> Result<Self> {
        // A write to this disk must not wait for another disk.
        let dir = if Path::new("/dev/shm").is_dir() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new().prefix("conformance-").tempdir_in(dir)?;
        let file = dir.path().join("disk");
        fs::File::create(&file)?.set_len(SIZE)?;
        // On many machines `loop` is a module.
        let _ = Command::new("modprobe").args(["-q", "loop"]).status();
        let output = match Command::new("losetup").args(["--find", "--show"]).arg(&file).output() {
            Ok(output) if output.status.success() => output,
            Ok(output) => {
                return check::skip(format!("no loop device: {}", String::from_utf8_lossy(&output.stderr).trim()));
            }
            Err(error) => return check::skip(format!("no loop device: losetup: {error}")),
        };
        let path = PathBuf::from(String::from_utf8(output.stdout)?.trim());
        let device = std::os::unix::fs::MetadataExt::rdev(&fs::metadata(&path)?);
        let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
        Ok(Self { path, major, minor, _file: dir })
    }

    /// Sets the scheduler BFQ, the only one that has weights for one disk. Skips the test if the kernel lacks it.
    pub fn use_bfq(&self) -> Result {
        let name = self.path.file_name().context("a device")?;
        let scheduler = Path::new("/sys/block").join(name).join("queue/scheduler");
        match fs::write(&scheduler, "bfq") {
            Ok(()) => Ok(()),
            Err(error) => check::skip(format!("this kernel has no BFQ: {error}")),
        }
    }

    /// `MAJOR:MINOR`.
    pub fn numbers(&self) -> String {
        format!("{}:{}", self.major, self.minor)
    }

    fn detach(&self) -> Result {
        // The kernel keeps a loop device and its scheduler: put back the old one for the next user.
        let name = self.path.file_name().context("a device")?;
        fs::write(Path::new("/sys/block").join(name).join("queue/scheduler"), "none")?;
        let status = Command::new("losetup").arg("--detach").arg(&self.path).status()?;
        ensure!(status.success(), "losetup --detach {}", self.path.display());
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = self.detach() {
            eprintln!("conformance: {error:#}");
        }
    }
}
