//! Taking a cgroup away.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::dir::{self, rmdir};
use super::freeze::wait_for_event;
use super::living::{Cgroup, HostDir};
use super::plan::SYSTEMD;
use crate::sys::reason;

/// How long to wait for those who are dying.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long systemd may take to see that a unit has ended.
const FAREWELL: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_millis(1);
const LONGEST_DELAY: Duration = Duration::from_millis(64);

impl Cgroup {
    /// Removes the container's directories and the sub-cgroups it made; those above, which may be
    /// shared with others, stay. What is gone already is no error.
    ///
    /// Waits up to ten seconds for processes that are about to end. Fails when some are still there
    /// then, or without permission.
    pub fn remove(&self) -> Result<()> {
        if let Some(unit) = &self.unit {
            // systemd would ask who is left to end, and wait for him.
            if !self.is_empty().unwrap_or(true) {
                self.kill_all(Signal::SIGKILL)?;
            }
            unit.stop().or_else(|error| if self.goes_by_itself() { Ok(()) } else { Err(error) })?;
        }
        let end = Instant::now() + PATIENCE;
        let mut delay = FIRST_DELAY;
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
            let late = Instant::now() >= end;
            if late || errno != Errno::EBUSY {
                let dir = dir.display();
                return Err(anyhow!("unable to remove cgroup {dir}: {}", reason(errno)));
            }
            self.wait_for_exit(end, &mut delay);
        }
    }

    /// Waits for systemd to take away what is empty now, where it could not be asked. To take it ourselves would keep
    /// systemd from seeing that it is empty, and its unit would stay.
    fn goes_by_itself(&self) -> bool {
        let Some(dir) = self.path_for_v1(SYSTEMD).or_else(|| self.path_for_v2()) else { return true };
        let (end, mut delay) = (Instant::now() + FAREWELL, FIRST_DELAY);
        while dir.exists() && Instant::now() < end {
            self.wait_for_exit(end, &mut delay);
        }
        !dir.exists()
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

/// Removes `dir`, and what is below it when that is in the way.
fn remove_tree(dir: &Path) -> Result<(), Errno> {
    match rmdir(dir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        // A read-only file system answers so before it looks whether there is anything to remove.
        Err(Errno::EROFS) if !dir.exists() => return Ok(()),
        Err(Errno::EBUSY) => {}
        Err(errno) => return Err(errno),
    }
    for dir in dir::tree(dir)? {
        match rmdir(&dir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
