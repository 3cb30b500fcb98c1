//! The processes of a cgroup: attach, list, signal.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Error, Result, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::dir::{is_gone, number_of, read_at, read_file, write_file};
use super::tree;
use crate::cgroup::layout::Mode;
use crate::sys::process::{pidfd_open, pidfd_send_signal};
use crate::sys::{Call, CallError};

/// The number of pidfds that are open at the same time: fewer than any caller's limit of open files.
const HELD_AT_ONCE: usize = 32;

impl Cgroup {
    /// Moves the process `pid` into the cgroup in every hierarchy. A process that was started with [`Cgroup::entrance`]
    /// is in it already.
    ///
    /// The error names the directory that refused the process.
    pub fn attach(&self, pid: Pid) -> Result<()> {
        self.dirs.iter().try_for_each(|place| put(&place.dir, pid))
    }

    /// The processes in the cgroup and its descendants that have a pid in the caller's pid namespace.
    ///
    /// A removed cgroup has none. Fails if the kernel refuses the read.
    pub fn pids(&self) -> Result<Vec<Pid>> {
        Ok(self.members()?.into_iter().flatten().collect())
    }

    /// All processes. `None` is a process without a pid in the caller's pid namespace.
    fn members(&self) -> Result<Vec<Option<Pid>>> {
        let Some(dir) = self.census() else { return Ok(Vec::new()) };
        members_of(dir).map_err(|errno| unreadable(dir, errno))
    }

    /// Whether the cgroup and its descendants have no processes.
    pub fn is_empty(&self) -> Result<bool> {
        // On a v2 host, reading one small file is enough.
        if let (Mode::Unified, Some(dir)) = (self.mode, self.path_for_v2()) {
            match read_file(&dir.join("cgroup.events")) {
                Ok(events) => return Ok(number_of(&events, "populated") == Some(0)),
                Err(errno) if is_gone(errno) => return Ok(true),
                Err(errno) => return Err(unreadable(dir, errno)),
            }
        }
        Ok(self.members()?.is_empty())
    }

    /// Sends `signal` to every process in the cgroup and its descendants. `SIGKILL` reaches frozen processes, and
    /// leaves the cgroup thawed.
    ///
    /// A process that exits in the meantime is no error.
    pub fn kill_all(&self, signal: Signal) -> Result<()> {
        if signal == Signal::SIGKILL && self.kill_at_once()? {
            return Ok(());
        }
        // A frozen process cannot fork while the list is processed. If freezing fails, the processes get the signal all
        // the same.
        let was_frozen = self.is_frozen()?;
        let frozen = !was_frozen && self.freeze().is_ok();
        let signalled = self.signal_each(signal);
        if frozen || (was_frozen && signal == Signal::SIGKILL) {
            let thawed = self.thaw();
            return signalled.and(thawed);
        }
        signalled
    }

    /// Sends `signal` to the processes that are in the cgroup now. If one signal fails, the other processes still get
    /// theirs.
    ///
    /// A pid can be reused before the signal is sent. So this opens a pidfd first, and skips a process that the cgroup
    /// no longer lists after that.
    fn signal_each(&self, signal: Signal) -> Result<()> {
        let mut refused = None;
        for some in self.pids()?.chunks(HELD_AT_ONCE) {
            let mut held = Vec::with_capacity(some.len());
            for pid in some {
                match pidfd_open(pid.as_raw()) {
                    Ok(pidfd) => held.push((*pid, Some(pidfd))),
                    Err(Errno::ESRCH) => {}
                    // This is a thread: a threaded cgroup lists threads instead of processes.
                    Err(Errno::EINVAL) => held.push((*pid, None)),
                    Err(errno) => bail!(CallError::new(format_args!("pidfd_open {pid}"), errno)),
                }
            }
            let listed: HashSet<Pid> = self.pids()?.into_iter().collect();
            for (pid, pidfd) in held.iter().filter(|(pid, _)| listed.contains(pid)) {
                let sent = match pidfd {
                    Some(pidfd) => pidfd_send_signal(pidfd.as_fd(), signal as i32),
                    None => kill(*pid, signal),
                };
                if let Err(errno) = sent
                    && errno != Errno::ESRCH
                {
                    refused.get_or_insert_with(|| CallError::new(format_args!("kill {pid}"), errno).into());
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }

    /// Writes `cgroup.kill` (Linux 5.14), which kills all processes of the tree at once, frozen or not. Only on a v2
    /// host: elsewhere some processes may not be in the v2 directory.
    fn kill_at_once(&self) -> Result<bool> {
        let (Mode::Unified, Some(dir)) = (self.mode, self.path_for_v2()) else {
            return Ok(false);
        };
        match write_file(&dir.join("cgroup.kill"), "1") {
            Ok(()) => Ok(true),
            // An older kernel and a removed cgroup do not have the file. After any other error the processes can still
            // be signalled one by one.
            Err(_) => Ok(false),
        }
    }

    /// The number of processes of the cgroup that the OOM killer has killed; 0 if the kernel does not report it.
    pub fn oom_kills(&self) -> u64 {
        // This is own code: cgroups-rs reads eleven files for this number and panics on a new format.
        let file = match (self.path_for_v1("memory"), self.path_for_v2()) {
            (Some(dir), _) => dir.join("memory.oom_control"),
            (None, Some(dir)) => dir.join("memory.events"),
            (None, None) => return 0,
        };
        read_file(&file).ok().and_then(|text| number_of(&text, "oom_kill")).unwrap_or(0)
    }

    /// Whether the kernel has refused an allocation in the v2 cgroup because of its limit.
    pub fn refused_memory(&self) -> bool {
        let events = self.path_for_v2().and_then(|dir| read_file(&dir.join("memory.events")).ok());
        events.and_then(|text| number_of(&text, "max")).unwrap_or(0) > 0
    }

    /// The directory whose processes are counted. On v1 that of the devices controller, as in runc, because every
    /// container has it.
    pub(super) fn census(&self) -> Option<&Path> {
        self.path_for_v1("devices")
            .or_else(|| self.path_for_v2())
            .or_else(|| self.dirs.first().map(|place| place.dir.as_path()))
    }
}

pub fn put(dir: &Path, pid: Pid) -> Result<()> {
    let file = dir.join("cgroup.procs");
    write_file(&file, &pid.to_string()).named(format_args!("error adding pid {pid} to cgroups: {}", file.display()))
}

/// The processes in `dir` and its descendants; none if it was removed. `None` is a process without a pid in the
/// caller's pid namespace.
pub fn members_of(dir: &Path) -> Result<Vec<Option<Pid>>, Errno> {
    let mut members = Vec::new();
    tree::each(dir, |dir| {
        let text = match read_at(dir, "cgroup.procs") {
            // A threaded cgroup lists only threads.
            Err(Errno::EOPNOTSUPP) => read_at(dir, "cgroup.threads"),
            other => other,
        };
        match text {
            Err(errno) if is_gone(errno) => {}
            // The kernel lists such a process as 0, which must never reach kill(2).
            other => {
                members.extend(other?.lines().map(|pid| pid.parse().ok().filter(|pid| *pid > 0).map(Pid::from_raw)))
            }
        }
        Ok(())
    })?;
    Ok(members)
}

fn unreadable(dir: &Path, errno: Errno) -> Error {
    CallError::new(format_args!("unable to read which processes are in cgroup {}", dir.display()), errno).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain directories in the place of cgroups: one has a process of another pid namespace, one is empty, one cannot
    /// be read.
    #[test]
    fn members_that_have_no_number_and_members_that_cannot_be_read() {
        let dir = std::env::temp_dir().join(format!("tare-members-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("below")).unwrap();
        std::fs::write(dir.join("cgroup.procs"), "7\n0\n").unwrap();
        assert_eq!(members_of(&dir), Ok(vec![Some(Pid::from_raw(7)), None]));
        std::fs::create_dir(dir.join("below/cgroup.procs")).unwrap();
        assert_eq!(members_of(&dir), Err(Errno::EISDIR));
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(members_of(&dir), Ok(Vec::new()));
    }
}
