//! A process that takes more than it is allowed to.

use super::say;
use crate::kernel::errno_name;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, fork};
use std::alloc::{Layout, alloc_zeroed};
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::Instant;

/// Keeps a CPU busy for ever; CPU 0 if `place` is `first`.
pub fn work(place: &str) -> ! {
    if place == "first" {
        let mut first = CpuSet::new();
        // This fails if the cpuset lacks CPU 0. A test that expects two processes to share a CPU then fails.
        let _ = first.set(0).and_then(|()| sched_setaffinity(Pid::from_raw(0), &first));
    }
    say("works");
    loop {
        std::hint::spin_loop();
    }
}

/// Forks `times` times in a loop, in which each child goes on; all processes stay. A failed fork is not repeated, so
/// there are never more than 2 to the power of `times` processes.
pub fn bomb(times: i32) -> ! {
    for _ in 0..times.min(9) {
        // SAFETY: this process has one thread, and so has the child, which goes on in this loop.
        let _ = unsafe { fork() };
    }
    loop {
        std::thread::park();
    }
}

/// Reads or writes `count` blocks of `size` bytes past the page cache, and tells the time that it took.
pub fn transfer(path: &str, write: bool, count: u64, size: usize) -> String {
    let begin = Instant::now();
    match blocks(path, write, count, size) {
        Ok(()) => format!("milliseconds: {}", begin.elapsed().as_millis()),
        Err(error) => format!("transfer {path}: {}", errno_name(&error)),
    }
}

fn blocks(path: &str, write: bool, count: u64, size: usize) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(write).custom_flags(libc::O_DIRECT).open(path)?;
    let layout = Layout::from_size_align(size, 4096).map_err(io::Error::other)?;
    // SAFETY: the tests' blocks have a size that is not zero.
    let memory = unsafe { alloc_zeroed(layout) };
    if memory.is_null() {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    // SAFETY: this memory was allocated and zeroed just now, nothing else refers to it, and it is never freed.
    let buffer = unsafe { std::slice::from_raw_parts_mut(memory, size) };
    for block in 0..count {
        let offset = block * size as u64;
        if write { file.write_all_at(buffer, offset)? } else { file.read_exact_at(buffer, offset)? }
    }
    Ok(())
}
