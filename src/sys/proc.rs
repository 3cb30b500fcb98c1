//! Facts about a process from `/proc/PID`.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Error, ErrorKind, Result, Write};
use std::time::{Duration, Instant};

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::read;

use super::errno::again;

/// Fields of `/proc/PID/stat` (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Field 3: the state of the main thread.
    state: u8,
    /// Field 9: `PF_*` of the main thread.
    flags: u64,
    /// Field 20: number of threads, the main thread included.
    threads: u64,
    /// Field 22: start time, in clock ticks after boot.
    pub start: u64,
}

impl Stat {
    fn parse(text: &[u8]) -> Option<Stat> {
        // The name is in parentheses and may itself contain parentheses.
        let rest = text.get(text.iter().rposition(|byte| *byte == b')')? + 2..)?;
        let mut fields = rest.split(|byte| *byte == b' ');
        let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
        let state = *fields.next()?.first()?;
        let flags = number(fields.nth(5)?)?;
        let threads = number(fields.nth(10)?)?;
        let start = number(fields.nth(1)?)?;
        Some(Stat { state, flags, threads, start })
    }

    /// Whether the process lives. If the main thread has exited, the state is zombie even if other threads still run.
    pub fn lives(self) -> bool {
        !matches!(self.state, b'Z' | b'X') || self.threads > 1
    }

    fn exits(self) -> bool {
        const PF_EXITING: u64 = 4;
        self.flags & PF_EXITING != 0 && self.threads <= 1
    }
}

/// Reads `/proc/PID/stat`; `None` if there is no such process.
///
/// # Errors
/// `/proc` cannot be read.
pub fn stat(pid: i32) -> Result<Option<Stat>> {
    let mut line = [0; 1024];
    let Some(count) = missing(read_line(pid, &mut line))? else { return Ok(None) };
    Stat::parse(&line[..count]).map(Some).ok_or_else(|| Error::other("not as proc_pid_stat(5) has it"))
}

/// The kernel returns the line of about 200 bytes in one read(2). This makes three system calls, where the standard
/// library would make six: `list` calls it for each container.
fn read_line(pid: i32, line: &mut [u8]) -> Result<usize> {
    let mut path = [0; 32];
    write!(&mut path[..], "/proc/{pid}/stat")?;
    let path = CStr::from_bytes_until_nul(&path).map_err(Error::other)?;
    let file = again(|| openat(AT_FDCWD, path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()))?;
    Ok(again(|| read(&file, line))?)
}

/// Whether a process has exited or has a SIGKILL pending. A process that cgroup v1 has frozen may stay in the second
/// state.
///
/// # Errors
/// `/proc` cannot be read.
pub fn is_dying(pid: i32) -> Result<bool> {
    const SIGKILL: u64 = 1 << (libc::SIGKILL - 1);
    let status = missing(std::fs::read(format!("/proc/{pid}/status")))?;
    let (Some(stat), Some(status)) = (stat(pid)?, status) else { return Ok(true) };
    let status = String::from_utf8_lossy(&status);
    let pending = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
    let killed = |key: &str| {
        pending(key).and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & SIGKILL != 0)
    };
    Ok(!stat.lives() || stat.exits() || killed("SigPnd:") || killed("ShdPnd:"))
}

/// The longest time that a process may look undumpable after its birth.
const EXEC: Duration = Duration::from_secs(1);

/// Writes a file in `/proc/PID` of a process that the caller has just started.
///
/// The caller continues in the middle of the child's execve(2), as soon as the child has left the shared memory. For a
/// moment the files of the child can still belong to root, as those of an undumpable process (seen with Linux 7.2), and
/// an ordinary user gets EACCES. So this opens again.
///
/// # Errors
/// The error of open(2) or write(2); EACCES of open(2) only after a second.
pub fn write_newborn(pid: i32, file: &str, text: &str) -> Result<()> {
    let open = || File::options().write(true).open(format!("/proc/{pid}/{file}"));
    opened(Instant::now() + EXEC, open)?.write_all(text.as_bytes())
}

fn opened<T>(end: Instant, mut open: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match open() {
            Err(error) if error.raw_os_error() == Some(libc::EACCES) && Instant::now() < end => {
                std::thread::sleep(Duration::from_micros(100));
            }
            other => return other,
        }
    }
}

/// Turns the errors for a process that has exited, before or after its file was opened, into `None`.
fn missing<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only EACCES is worth another try, and not for ever.
    #[test]
    fn a_process_in_execve_is_waited_for() {
        let after = |failures: u32, errno: i32, patience: Duration| {
            let mut tries = 0;
            let written = opened(Instant::now() + patience, || {
                tries += 1;
                if tries > failures { Ok(()) } else { Err(Error::from_raw_os_error(errno)) }
            });
            (tries, written.is_ok())
        };
        assert_eq!(after(3, libc::EACCES, Duration::from_secs(60)), (4, true));
        assert_eq!(after(3, libc::EPERM, Duration::from_secs(60)), (1, false));
        assert_eq!(after(3, libc::EACCES, Duration::ZERO), (1, false));
    }

    #[test]
    fn names_and_zombies() {
        let line = |name: &str, state: &str, threads: u32| {
            format!("17 ({name}) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 20 {threads} 0 4711 22 23 24\n")
        };
        let parse = |text: &str| Stat::parse(text.as_bytes());
        for name in ["sh", "a b", ")", "x) Z 1 (", ""] {
            let stat = parse(&line(name, "S", 3)).unwrap();
            assert_eq!(stat, Stat { state: b'S', flags: 6, threads: 3, start: 4711 }, "{name}");
            assert!(!stat.exits());
        }
        assert!(parse(&line("sh", "R", 1)).unwrap().exits());
        assert!(!parse(&line("sh", "Z", 1)).unwrap().lives());
        assert!(!parse(&line("sh", "X", 0)).unwrap().lives());
        assert!(parse(&line("sh", "Z", 2)).unwrap().lives());
        for broken in ["", "17", "17 (sh)", "17 (sh) ", "17 (sh) S 1 2"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
