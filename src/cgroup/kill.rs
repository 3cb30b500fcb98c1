//! Who is in the cgroup: attaching, counting, killing.

use std::path::Path;

use anyhow::{Result, anyhow};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::dir::{self, is_gone, number_of, read_file, write_file};
use super::layout::Mode;
use super::living::Cgroup;
use crate::sys::reason;

impl Cgroup {
    /// Moves the process `pid` into the cgroup in every hierarchy. On a v2 host a process made with
    /// [`Cgroup::open_for_clone`] is there already.
    ///
    /// Fails with the directory that refused it.
    pub fn attach(&self, pid: Pid) -> Result<()> {
        self.dirs.iter().try_for_each(|place| put(&place.dir, pid))
    }

    /// The processes in the cgroup and those below it, in the caller's pid namespace.
    ///
    /// A cgroup that is gone has none. Fails when the kernel does not let us read.
    pub fn pids(&self) -> Result<Vec<Pid>> {
        let Some(dir) = self.census() else {
            return Ok(Vec::new());
        };
        pids_below(dir).map_err(|errno| anyhow!("{}: {}", dir.display(), reason(errno)))
    }

    /// Whether nothing lives in the cgroup or below it.
    pub fn is_empty(&self) -> Result<bool> {
        // One small file instead of a walk, where v2 is all there is.
        if let (Mode::Unified, Some(dir)) = (self.mode, self.path_for_v2()) {
            match read_file(&dir.join("cgroup.events")) {
                Ok(events) => return Ok(number_of(&events, "populated") == Some(0)),
                Err(errno) if is_gone(errno) => return Ok(true),
                Err(_) => {}
            }
        }
        Ok(self.pids()?.is_empty())
    }

    /// Sends `signal` to every process in the cgroup and below. `SIGKILL` reaches frozen ones, and
    /// leaves the cgroup thawed.
    ///
    /// Processes that end meanwhile are no error.
    pub fn kill_all(&self, signal: Signal) -> Result<()> {
        if signal == Signal::SIGKILL && self.kill_at_once()? {
            return Ok(());
        }
        // Whoever can be frozen cannot fork away while the list is worked off; whoever cannot be
        // is signalled all the same.
        let was_frozen = self.is_frozen()?;
        let frozen = !was_frozen && self.freeze().is_ok();
        let signalled = self.pids().and_then(|pids| {
            pids.into_iter().try_for_each(|pid| match kill(pid, signal) {
                Ok(()) | Err(Errno::ESRCH) => Ok(()),
                Err(errno) => Err(anyhow!("kill {pid}: {}", reason(errno))),
            })
        });
        if frozen || (was_frozen && signal == Signal::SIGKILL) {
            let thawed = self.thaw();
            return signalled.and(thawed);
        }
        signalled
    }

    /// Writes `cgroup.kill` (Linux 5.14), which kills the whole tree, frozen or not, in one step.
    /// Only for pure v2: elsewhere nothing says that all processes are in the v2 directory.
    fn kill_at_once(&self) -> Result<bool> {
        let (Mode::Unified, Some(dir)) = (self.mode, self.path_for_v2()) else {
            return Ok(false);
        };
        match write_file(&dir.join("cgroup.kill"), "1") {
            Ok(()) => Ok(true),
            // No such file: an older kernel, or the cgroup is gone and there is nobody to kill.
            Err(_) => Ok(false),
        }
    }

    /// How many processes of the cgroup the kernel has killed for want of memory; 0 where it does
    /// not say.
    pub fn oom_kills(&self) -> u64 {
        // Own reading: the crate reads eleven files for this number and panics on a new format.
        let file = match (self.path_for_v1("memory"), self.path_for_v2()) {
            (Some(dir), _) => dir.join("memory.oom_control"),
            (None, Some(dir)) => dir.join("memory.events"),
            (None, None) => return 0,
        };
        read_file(&file).ok().and_then(|text| number_of(&text, "oom_kill")).unwrap_or(0)
    }

    /// Whether the kernel has refused memory to somebody in the v2 cgroup because of its limit.
    pub fn refused_memory(&self) -> bool {
        let events = self.path_for_v2().and_then(|dir| read_file(&dir.join("memory.events")).ok());
        events.and_then(|text| number_of(&text, "max")).unwrap_or(0) > 0
    }

    /// The directory in which processes are counted: on v1 that of the controller which every
    /// container has, as in runc.
    pub(super) fn census(&self) -> Option<&Path> {
        self.path_for_v1("devices")
            .or_else(|| self.path_for_v2())
            .or_else(|| self.dirs.first().map(|place| place.dir.as_path()))
    }
}

/// Moves the process `pid` into `dir`.
pub(super) fn put(dir: &Path, pid: Pid) -> Result<()> {
    let file = dir.join("cgroup.procs");
    write_file(&file, &pid.to_string())
        .map_err(|errno| anyhow!("error adding pid {pid} to cgroups: {}: {}", file.display(), reason(errno)))
}

/// The processes in `dir` and below; none if it is gone.
pub(super) fn pids_below(dir: &Path) -> Result<Vec<Pid>, Errno> {
    let mut pids = Vec::new();
    for dir in dir::tree(dir)? {
        let text = match read_file(&dir.join("cgroup.procs")) {
            Ok(text) => text,
            Err(errno) if is_gone(errno) => continue,
            // A threaded cgroup lists threads only.
            Err(Errno::EOPNOTSUPP) => read_file(&dir.join("cgroup.threads")).unwrap_or_default(),
            Err(errno) => return Err(errno),
        };
        // Processes outside our pid namespace are listed as 0, which must never reach kill(2).
        let found = text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0);
        pids.extend(found.map(Pid::from_raw));
    }
    Ok(pids)
}
