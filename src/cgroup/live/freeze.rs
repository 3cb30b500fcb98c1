//! Freezes and thaws cgroups.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow, bail};
use cgroups_rs::freezer::{FreezerController, FreezerState};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, open, openat};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::sys::uio::pread;
use nix::unistd::read;

use super::cgroup::Cgroup;
use super::dir::{self, is_gone, write_file};
use crate::sys::{Call, CallError, again, lock};

/// The time limit for freezing. Within it a v1 freezer is asked repeatedly.
const PATIENCE: Duration = Duration::from_secs(10);
const V1_TRIES: u32 = 1000;

impl Cgroup {
    /// Freezes all processes in the cgroup and waits until the kernel reports it as frozen.
    ///
    /// Fails, and thaws again, after about ten seconds (on v1 because of a fork bomb, or a process in uninterruptible
    /// sleep), and without permission.
    pub fn freeze(&self) -> Result<()> {
        let frozen = if let Some(dir) = self.path_for_v1("freezer") {
            freeze_v1(dir)
        } else if let Some(dir) = self.path_for_v2() {
            freeze_v2(dir)
        } else {
            bail!("cannot freeze: the container has no cgroup");
        };
        if frozen.is_err() {
            // The first error is the one to report.
            let _ = self.thaw();
        }
        frozen
    }

    /// Thaws all processes in the cgroup.
    pub fn thaw(&self) -> Result<()> {
        if let Some(dir) = self.path_for_v1("freezer") {
            return v1(dir).thaw().map_err(|error| v1_error(dir, &error));
        }
        let Some(dir) = self.path_for_v2() else {
            bail!("cannot thaw: the container has no cgroup");
        };
        let file = dir.join("cgroup.freeze");
        write_file(&file, "0").named(file.display())
    }

    /// Lets a killed process die: on v1 a frozen process does not. v2 does not need this.
    ///
    /// Fails if the state cannot be read or changed.
    pub fn let_die(&self) -> Result<()> {
        if self.path_for_v1("freezer").is_some() && self.is_frozen()? { self.thaw() } else { Ok(()) }
    }

    /// Locks out other `pause` and `resume` commands while the result is held. `kill` does not take this lock.
    ///
    /// `None` without a cgroup. Fails if the holder of the lock does not release it in time.
    pub fn freezing(&self) -> Result<Option<File>> {
        let Some(file) = self.freezer_file() else { return Ok(None) };
        let opened = match File::open(&file) {
            // The container does not exist any more, which its status will show.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.named(file.display())?,
        };
        lock::exclusive(&opened, &file.to_string_lossy())?;
        Ok(Some(opened))
    }

    /// The file that says whether the cgroup is frozen.
    pub fn freezer_file(&self) -> Option<PathBuf> {
        match (self.path_for_v1("freezer"), self.path_for_v2()) {
            (Some(dir), _) => Some(dir.join("freezer.state")),
            (None, Some(dir)) => Some(dir.join("cgroup.freeze")),
            (None, None) => None,
        }
    }

    /// Whether the cgroup is frozen or freezing; false for a removed one.
    pub fn is_frozen(&self) -> Result<bool> {
        // This is own code: the error of cgroups-rs hides the errno, and a cgroup that disappears is no error here.
        self.freezer_file().map_or(Ok(false), |file| is_frozen(&file))
    }
}

/// [`Cgroup::is_frozen`], by the path of [`Cgroup::freezer_file`].
pub fn is_frozen(file: &Path) -> Result<bool> {
    let mut state = [0; 16];
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let opened = again(|| openat(AT_FDCWD, file, flags, Mode::empty()));
    match opened.and_then(|opened| again(|| read(&opened, &mut state))) {
        Ok(count) => Ok(matches!(state[..count].trim_ascii(), b"FROZEN" | b"FREEZING" | b"1")),
        Err(errno) if is_gone(errno) => Ok(false),
        Err(errno) => bail!(CallError::new(file.display(), errno)),
    }
}

fn v1(dir: &Path) -> FreezerController {
    FreezerController::new(dir.to_owned(), false)
}

/// Gets the errno out of an error of cgroups-rs.
fn v1_error(dir: &Path, error: &cgroups_rs::error::Error) -> Error {
    let cause = std::error::Error::source(error);
    let io = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>());
    match io.and_then(std::io::Error::raw_os_error) {
        Some(errno) => CallError::new(dir.join("freezer.state").display(), Errno::from_raw(errno)).into(),
        None => anyhow!("{}: {error}", dir.join("freezer.state").display()),
    }
}

/// Freezes a v1 cgroup. The v1 freezer freezes the processes that it finds, and stays `FREEZING` while new processes
/// appear. So this asks repeatedly, and sometimes thaws for a moment, so that a pending fork can finish.
fn freeze_v1(dir: &Path) -> Result<()> {
    let freezer = v1(dir);
    let error = |error| v1_error(dir, &error);
    for attempt in 1..V1_TRIES {
        if attempt % 50 == 0 {
            freezer.thaw().map_err(error)?;
            std::thread::sleep(Duration::from_millis(10));
        }
        freezer.freeze().map_err(error)?;
        if attempt % 25 == 24 {
            std::thread::sleep(Duration::from_micros(10));
        }
        if let FreezerState::Frozen = freezer.state().map_err(error)? {
            return Ok(());
        }
    }
    bail!("{}: unable to freeze", dir.display())
}

fn freeze_v2(dir: &Path) -> Result<()> {
    let file = dir.join("cgroup.freeze");
    write_file(&file, "1").named(file.display())?;
    if wait_for_event(dir, "frozen", 1, PATIENCE).named(file.display())? {
        return Ok(());
    }
    bail!("timeout of {PATIENCE:?} reached waiting for the cgroup to freeze")
}

/// Waits until `cgroup.events` of the v2 directory contains `key value`; the kernel wakes the waiter. Returns whether
/// this happened within `patience`.
pub fn wait_for_event(dir: &Path, key: &str, value: u64, patience: Duration) -> Result<bool, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let events = dir.join("cgroup.events");
    let events = again(|| open(&events, flags, Mode::empty()))?;
    let end = Instant::now() + patience;
    let mut text = [0; 256];
    loop {
        let count = again(|| pread(&events, &mut text, 0))?;
        let now = String::from_utf8_lossy(&text[..count]);
        if dir::number_of(&now, key) == Some(value) {
            return Ok(true);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
