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

/// How long to wait for dying processes.
const PATIENCE: Duration = Duration::from_secs(10);
/// A process looks alive for a moment after the signal, before the kernel sets the exiting flag, and an `exec` that
/// comes too late needs a moment to fail.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// How long systemd may take to notice that a unit has ended.
const FAREWELL: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_millis(1);
const LONGEST_DELAY: Duration = Duration::from_millis(64);

/// The cgroup has processes that are not about to end.
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
    /// Removes the container's directories and their descendants. The directories above stay: other containers may use
    /// them. A removed directory is no error.
    ///
    /// Kills no process. Waits up to ten seconds for dying processes. Fails when others are in the cgroup, and without
    /// permission.
    pub fn remove(&self) -> Result<()> {
        let begin = Instant::now();
        let mut delay = FIRST_DELAY;
        if let Some(unit) = &self.unit {
            // systemd would kill them.
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
    /// Fails when there is no hope: the time is up, or a process in the cgroup is not dying.
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

    /// Waits until systemd removes the empty cgroup, after it could not be asked. If tare removed it, systemd would not
    /// see that it is empty, and would keep the unit.
    fn goes_by_itself(&self) -> bool {
        let Some(dir) = self.path_for_v1(SYSTEMD).or_else(|| self.path_for_v2()) else { return true };
        let (end, mut delay) = (Instant::now() + FAREWELL, FIRST_DELAY);
        // A directory that cannot be examined counts as existing.
        let is_there = || dir.try_exists().unwrap_or(true);
        while is_there() && Instant::now() < end {
            self.wait_for_exit(end, &mut delay);
        }
        !is_there()
    }

    /// Waits for an event of the v2 directory that it is empty. If it is empty already, and on v1, which has no such
    /// event, sleeps for a growing time.
    fn wait_for_exit(&self, end: Instant, delay: &mut Duration) {
        let left = end.saturating_duration_since(Instant::now());
        let start = Instant::now();
        if let Some(dir) = self.path_for_v2() {
            let _ = wait_for_event(dir, "populated", 0, left);
        }
        // The event came, but the last process can hold the directory until its context switch has finished (Linux
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
        // A read-only file system answers EROFS before it looks whether the directory exists.
        Err(Errno::EROFS) if stat(dir) == Err(Errno::ENOENT) => Ok(()),
        Err(Errno::EBUSY) if members_of(dir)?.is_empty() => tree::remove(dir),
        Err(errno) => Err(errno),
    }
}
