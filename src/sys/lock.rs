//! flock(2) with a time limit.

use std::fs::{File, TryLockError};
use std::io;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::errno::Call;

/// The holder of a lock waits only for processes to die, and for those at most ten seconds.
const PATIENCE: Duration = Duration::from_secs(12);
const LONGEST_DELAY: Duration = Duration::from_millis(32);

/// Takes an exclusive lock, and waits for it at most twelve seconds. The kernel has no event for a lock that becomes
/// free.
///
/// # Errors
/// The lock is held too long; the error of flock(2).
pub fn exclusive(file: &File, name: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    let mut delay = Duration::from_millis(1);
    while !try_exclusive(file, name)? {
        if Instant::now() >= end {
            bail!("{name}: another command is at work on this container, and does not come to an end");
        }
        std::thread::sleep(delay);
        delay = (delay * 2).min(LONGEST_DELAY);
    }
    Ok(())
}

/// Takes the lock if it is free now, and returns whether it has.
///
/// # Errors
/// The error of flock(2).
pub fn try_exclusive(file: &File, name: &str) -> Result<bool> {
    taken(|| file.try_lock(), name)
}

/// Whether another process holds an exclusive lock.
///
/// # Errors
/// The error of flock(2).
pub fn is_held(file: &File, name: &str) -> Result<bool> {
    let free = taken(|| file.try_lock_shared(), name)?;
    if free {
        release(file, name)?;
    }
    Ok(!free)
}

/// Releases the lock.
///
/// # Errors
/// The error of flock(2).
pub fn release(file: &File, name: &str) -> Result<()> {
    loop {
        match file.unlock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.named(format_args!("{name}: lock")),
        }
    }
}

fn taken(mut lock: impl FnMut() -> Result<(), TryLockError>, name: &str) -> Result<bool> {
    loop {
        match lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(error).named(format_args!("{name}: lock")),
        }
    }
}
