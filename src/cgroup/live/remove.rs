//! Taking a cgroup away.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use nix::errno::Errno;
use nix::sys::stat::stat;
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::dir::rmdir;
use super::freeze::wait_for_event;
use super::kill::members_of;
use super::tree;
use crate::cgroup::layout::HostDir;
use crate::cgroup::layout::SYSTEMD;
use crate::sys::CallError;
use crate::sys::proc::is_dying;

/// How long to wait for those who are dying.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between the signal and the flag that tells of the end of a process there is a moment in which nothing does; and an `exec`
/// that came too late takes one to fail.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// How long systemd may take to see that a unit has ended.
const FAREWELL: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_millis(1);
const LONGEST_DELAY: Duration = Duration::from_millis(64);

/// Processes live in the cgroup and stay.
#[derive(Debug)]
pub struct Busy {
    dir: PathBuf,
    count: usize,
    /// One of those that are not about to end.
    one: Option<Pid>,
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", unable_to_remove(&self.dir, Errno::EBUSY))?;
        let Some(one) = self.one else { return Ok(()) };
        let count = self.count;
        write!(f, ": {count} process(es) that are not known to be the container's live there, one is {one}")
    }
}

impl std::error::Error for Busy {}

impl Cgroup {
    /// Removes the container's directories and the sub-cgroups it made; those above, which may be
    /// shared with others, stay. What is gone already is no error.
    ///
    /// Nobody is killed: processes that are about to end are waited for, up to ten seconds. Fails when others live there,
    /// or without permission.
    pub fn remove(&self) -> Result<()> {
        let begin = Instant::now();
        let mut delay = FIRST_DELAY;
        if let Some(unit) = &self.unit {
            // systemd would end them.
            while !self.is_empty()? {
                self.wait_unless_busy(begin, &mut delay)?;
            }
            unit.stop().or_else(|error| if self.goes_by_itself() { Ok(()) } else { Err(error) })?;
        }
        let mut left: Vec<&HostDir> = self.dirs.iter().collect();
        loop {
            let mut refused = None;
            left.retain(|place| match remove_tree(&place.dir) {
                Ok(()) => false,
                Err(errno) => {
                    refused = Some((&place.dir, errno));
                    true
                }
            });
            let Some((dir, errno)) = refused else {
                return Ok(());
            };
            if errno != Errno::EBUSY {
                return Err(unable_to_remove(dir, errno));
            }
            self.wait_unless_busy(begin, &mut delay)?;
        }
    }

    /// Waits for a reason to try again.
    ///
    /// Fails when there is none to come: the time is up, or somebody lives there who is not about to end.
    fn wait_unless_busy(&self, begin: Instant, delay: &mut Duration) -> Result<()> {
        // One that nobody can tell of is waited for.
        let stays = |pid: &Pid| !is_dying(pid.as_raw()).unwrap_or(true);
        let strangers: Vec<Pid> = self.pids()?.into_iter().filter(stays).collect();
        let end = begin + if strangers.is_empty() { PATIENCE } else { SECOND_LOOK };
        if Instant::now() < end {
            self.wait_for_exit(end, delay);
            return Ok(());
        }
        let dir = self.census().unwrap_or(Path::new("")).to_owned();
        Err(Busy { dir, count: strangers.len(), one: strangers.first().copied() }.into())
    }

    /// Waits for systemd to take away what is empty now, where it could not be asked. To take it ourselves would keep
    /// systemd from seeing that it is empty, and its unit would stay.
    fn goes_by_itself(&self) -> bool {
        let Some(dir) = self.path_for_v1(SYSTEMD).or_else(|| self.path_for_v2()) else { return true };
        let (end, mut delay) = (Instant::now() + FAREWELL, FIRST_DELAY);
        // One that cannot be looked at is not known to be gone.
        let is_there = || dir.try_exists().unwrap_or(true);
        while is_there() && Instant::now() < end {
            self.wait_for_exit(end, &mut delay);
        }
        !is_there()
    }

    /// Waits until there is a reason to try again: the v2 directory says that it is empty, or, when
    /// it says so already and for v1, which says nothing, a moment that grows.
    fn wait_for_exit(&self, end: Instant, delay: &mut Duration) {
        let left = end.saturating_duration_since(Instant::now());
        let start = Instant::now();
        if let Some(dir) = self.path_for_v2() {
            let _ = wait_for_event(dir, "populated", 0, left);
        }
        // The event has come: the directory may still be held for the moment in which the last
        // process finishes switching out (Linux 6.19).
        if start.elapsed() < FIRST_DELAY {
            std::thread::sleep((*delay).min(left));
            *delay = (*delay * 2).min(LONGEST_DELAY);
        }
    }
}

fn unable_to_remove(dir: &Path, errno: Errno) -> anyhow::Error {
    CallError::new(format_args!("unable to remove cgroup {}", dir.display()), errno).into()
}

/// Removes `dir`, and what is below it when that is in the way. As long as a process lives there it stays as it is.
fn remove_tree(dir: &Path) -> Result<(), Errno> {
    match rmdir(dir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        // A read-only file system answers so before it looks whether there is anything to remove.
        Err(Errno::EROFS) if stat(dir) == Err(Errno::ENOENT) => Ok(()),
        Err(Errno::EBUSY) if members_of(dir)?.is_empty() => tree::remove(dir),
        Err(errno) => Err(errno),
    }
}
