//! Time stamps for a trace, in memory that is shared with the runtime.

use super::Try;

/// The first stamp.
#[derive(Clone, Copy)]
pub struct Stamps(*mut u64);

impl Stamps {
    /// Map the shared memory for `count` stamps.
    pub fn map(fd: i32, count: usize) -> Try<Stamps> {
        const READ_WRITE: usize = 3;
        const SHARED: usize = 1;
        let at = call!(MMAP, 0, count * size_of::<u64>(), READ_WRITE, SHARED, fd, 0)?;
        Ok(Stamps(at as *mut u64))
    }

    /// Store the time. The processor's counter needs no system call, which a seccomp filter could forbid, and it is
    /// the same in every time namespace.
    pub fn mark(self, index: usize) {
        // SAFETY: the runtime made room for one stamp more than there are operations, and nothing removes the mapping.
        // The instruction exists on every x86_64.
        unsafe { self.0.add(index).write_volatile(core::arch::x86_64::_rdtsc()) };
    }
}
