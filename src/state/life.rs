//! Whether a process lives. Pids are reused, so pid and start time together identify a process.

use anyhow::{Result, bail};

use super::origin::Origin;
use crate::sys::proc::{self, Stat};
use crate::sys::{self, Call, CallError, Errno};

fn stat(pid: i32) -> Result<Option<Stat>> {
    proc::stat(pid).named(format_args!("open /proc/{pid}/stat"))
}

/// The start time of a process, in clock ticks after boot; `None` if the process does not exist.
///
/// # Errors
/// `/proc` cannot be read.
pub fn start_time(pid: i32) -> Result<Option<u64>> {
    Ok(stat(pid)?.map(|stat| stat.start))
}

/// The current time, in the unit of [`start_time`].
pub fn now_in_ticks() -> u64 {
    // USER_HZ is 100 on all architectures that tare can run on.
    const TICK: i64 = 10_000_000;
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME);
    now.map_or(0, |now| now.tv_sec() as u64 * 100 + (now.tv_nsec() / TICK) as u64)
}

/// Whether the process with this start time lives. A zombie does not, unless other threads of it run.
///
/// # Errors
/// The answer is unknown: `/proc` cannot be read, or shows other processes than at the time of the record.
pub fn alive(pid: i32, started: u64, origin: Origin) -> Result<bool> {
    let found = stat(pid)?;
    if let Some(stat) = found.filter(|stat| stat.start == started) {
        return Ok(stat.lives());
    }
    origin.can_tell(pid)?;
    if found.is_none() {
        // /proc may be missing, or hide processes of other users (hidepid, proc(5)).
        match sys::process::pidfd_open(pid) {
            Err(Errno::ESRCH) => {}
            Ok(_) => bail!("process {pid} is alive, but /proc does not show it"),
            Err(errno) => bail!(CallError::new(format_args!("pidfd_open {pid}"), errno)),
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_process_is_alive_and_another_start_is_another_process() {
        let pid = std::process::id() as i32;
        let start = start_time(pid).unwrap().unwrap();
        let origin = Origin::here().unwrap();
        assert!(alive(pid, start, origin).unwrap());
        assert!(!alive(pid, start + 1, origin).unwrap());
    }

    #[test]
    fn own_process_runs_and_another_number_is_another_process() {
        let pid = std::process::id() as i32;
        let pidfd = sys::process::pidfd_open(pid).unwrap();
        // Before Linux 6.9 there are no numbers.
        if let Some(number) = sys::process::pidfd_number(std::os::fd::AsFd::as_fd(&pidfd)).unwrap() {
            assert!(sys::process::runs(pid, number));
            assert!(!sys::process::runs(pid, number + 1));
        }
    }
}
