//! Time stamps of `init`: memory that the runtime and `init` share.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;

/// `MFD_NOEXEC_SEAL`, Linux 6.3.
const MFD_NOEXEC_SEAL: u32 = 8;

/// Memory in which `init` stores the processor's time stamp counter after each operation. What is in it survives the
/// end of `init` and its execve(2).
#[derive(Debug)]
pub struct SharedStamps {
    memory: NonNull<AtomicU64>,
    count: usize,
}

impl SharedStamps {
    /// Makes room for `count` stamps, all 0. The descriptor is for `init`.
    ///
    /// # Errors
    /// The error of memfd_create(2), ftruncate(2), fcntl(2) or mmap(2).
    pub fn new(count: usize) -> nix::Result<(SharedStamps, OwnedFd)> {
        let file = memfd()?;
        let length = count * size_of::<u64>();
        nix::unistd::ftruncate(&file, length as i64)?;
        // A shorter file would end the runtime by SIGBUS.
        let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
        // SAFETY: fcntl with an integer argument on a descriptor of our own.
        Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // MAP_POPULATE: the memory belongs to the runtime's cgroup and not to the container's.
        let flags = libc::MAP_SHARED | libc::MAP_POPULATE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let memory = unsafe { libc::mmap(std::ptr::null_mut(), length, access, flags, file.as_raw_fd(), 0) };
        if memory == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let memory = NonNull::new(memory.cast()).ok_or(Errno::ENOMEM)?;
        Ok((SharedStamps { memory, count }, file))
    }

    /// The stamp with this index; 0 if `init` has not stored it.
    pub fn get(&self, index: usize) -> u64 {
        if index >= self.count {
            return 0;
        }
        // SAFETY: the mapping holds `count` aligned values and lives as long as `self`. `init` stores into it only whole
        // values, at the same time.
        unsafe { self.memory.add(index).as_ref() }.load(Ordering::Relaxed)
    }
}

impl Drop for SharedStamps {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and no reference to it is left.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.count * size_of::<u64>()) };
    }
}

fn memfd() -> nix::Result<OwnedFd> {
    let create = |flags: u32| {
        // SAFETY: the name is a C string; the result is checked before it is used.
        let fd = unsafe { libc::syscall(libc::SYS_memfd_create, c"tare-trace".as_ptr(), flags) };
        // SAFETY: a new descriptor, which only this code owns.
        Errno::result(fd).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
    };
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    match create(flags | MFD_NOEXEC_SEAL) {
        Err(Errno::EINVAL) => create(flags),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_shared_through_the_descriptor() {
        let (stamps, file) = SharedStamps::new(700).expect("shared memory");
        assert_eq!(stamps.get(699), 0);
        nix::sys::uio::pwrite(&file, &5u64.to_ne_bytes(), 699 * 8).expect("a write");
        assert_eq!((stamps.get(699), stamps.get(698), stamps.get(700)), (5, 0, 0));
        assert_eq!(nix::unistd::ftruncate(&file, 0), Err(Errno::EPERM));
    }
}
