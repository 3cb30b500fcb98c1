//! Removing a cgroup.

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

/// The time to wait for dying processes.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a SIGKILL a process looks alive for a moment, until the kernel sets its exiting flag. And an `exec` that comes
/// too late needs a moment to fail.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// The time that systemd may take to notice that a unit has ended.
const FAREWELL: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_millis(1);
const LONGEST_DELAY: Duration = Duration::from_millis(64);

/// The error for a cgroup with processes that are not dying.
#[derive(Debug)]
pub struct Busy {
    dir: PathBuf,
    count: usize,
    /// One of these processes.
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
    /// Removes the container's directories and their descendants. The directories above stay, because other containers
    /// may use them. A removed directory is no error.
    ///
    /// This kills no process, but waits up to ten seconds for dying ones. Fails if other processes are in the cgroup,
    /// and without permission.
    pub fn remove(&self) -> Result<()> {
        let begin = Instant::now();
        let mut delay = FIRST_DELAY;
        if let Some(unit) = &self.unit {
            // systemd would kill the processes.
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

    /// Waits before the next attempt.
    ///
    /// Fails if waiting does not help: the time is up, or a process in the cgroup is not dying.
    fn wait_unless_busy(&self, begin: Instant, delay: &mut Duration) -> Result<()> {
        // A process that cannot be examined counts as dying.
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

    /// Waits until systemd removes the empty cgroup, because the call to systemd has failed. If tare removed the
    /// cgroup, systemd would not notice that it is empty, and would keep the unit.
    fn goes_by_itself(&self) -> bool {
        let Some(dir) = self.path_for_v1(SYSTEMD).or_else(|| self.path_for_v2()) else { return true };
        let (end, mut delay) = (Instant::now() + FAREWELL, FIRST_DELAY);
        // A directory that cannot be examined counts as present.
        let is_there = || dir.try_exists().unwrap_or(true);
        while is_there() && Instant::now() < end {
            self.wait_for_exit(end, &mut delay);
        }
        !is_there()
    }

    /// Waits for the v2 event that the directory is empty. If it is empty already, and on v1, which has no such event,
    /// sleeps for a growing time.
    fn wait_for_exit(&self, end: Instant, delay: &mut Duration) {
        let left = end.saturating_duration_since(Instant::now());
        let start = Instant::now();
        if let Some(dir) = self.path_for_v2() {
            let _ = wait_for_event(dir, "populated", 0, left);
        }
        // The event has come, but the last process may hold the directory until its context switch has finished (Linux
        // 6.19).
        if start.elapsed() < FIRST_DELAY {
            std::thread::sleep((*delay).min(left));
            *delay = (*delay * 2).min(LONGEST_DELAY);
        }
    }
}

fn unable_to_remove(dir: &Path, errno: Errno) -> anyhow::Error {
    CallError::new(format_args!("unable to remove cgroup {}", dir.display()), errno).into()
}

/// Removes `dir`, and its descendants if they are in the way. If it has processes, nothing is removed.
fn remove_tree(dir: &Path) -> Result<(), Errno> {
    match rmdir(dir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        // A read-only file system answers EROFS before it checks whether the directory exists.
        Err(Errno::EROFS) if stat(dir) == Err(Errno::ENOENT) => Ok(()),
        Err(Errno::EBUSY) if members_of(dir)?.is_empty() => tree::remove(dir),
        Err(errno) => Err(errno),
    }
}
