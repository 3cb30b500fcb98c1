//! A namespace that is made beside the runtime's other work.
//!
//! The kernel takes longer for a network namespace than for everything else that a clone does: most of a millisecond, a
//! fifth of a whole start. A helper process makes the namespace while the runtime plans the container and makes its
//! cgroup. A mount namespace in a new user namespace takes the longer the more mounts the host has.

use std::arch::asm;
use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;

/// The kind of a namespace to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AheadKind {
    /// A network namespace.
    Network,
    /// A mount namespace of a new user namespace: with a locked copy of the caller's mounts.
    LockedMounts,
}

impl AheadKind {
    /// The flags for `unshare(2)`, and the file of the namespace in the helper's own directory of /proc.
    fn flags(self) -> (libc::c_int, &'static CStr) {
        match self {
            AheadKind::Network => (libc::CLONE_NEWNET, c"/proc/self/ns/net"),
            AheadKind::LockedMounts => (libc::CLONE_NEWUSER | libc::CLONE_NEWNS, c"/proc/self/ns/mnt"),
        }
    }
}

/// A namespace in the making. Dropping this waits for the helper.
#[derive(Debug)]
pub struct NewNamespace {
    /// The helper's pid; 0 once it has been waited for.
    helper: i32,
    shared: Box<Shared>,
    /// The helper runs on it.
    _stack: Vec<u128>,
}

/// A finished namespace.
#[derive(Debug)]
pub struct NewAndOwn {
    /// The new one.
    pub new: OwnedFd,
    /// The one that this process is in.
    pub own: OwnedFd,
}

/// The kind of namespace for the helper to make, and its results: descriptors, or negative errnos.
#[derive(Debug)]
struct Shared {
    kind: AheadKind,
    own: AtomicI32,
    new: AtomicI32,
}

impl NewNamespace {
    /// Starts the helper, which shares memory and descriptors with this process.
    ///
    /// # Errors
    /// The error of `clone(2)`.
    pub fn begin(kind: AheadKind) -> nix::Result<NewNamespace> {
        let missing = || AtomicI32::new(-libc::EBADF);
        let shared = Box::new(Shared { kind, own: missing(), new: missing() });
        let mut stack = vec![0u128; 512];
        let top = stack.as_mut_ptr_range().end as usize;
        // No exit signal: a wait for any child does not see the helper.
        let flags = libc::CLONE_VM | libc::CLONE_FILES;
        // SAFETY: the value and the stack stay until `wait` has seen the helper's end.
        match unsafe { super::clone::call(libc::SYS_clone, [flags as usize, top, 0], helper, &raw const *shared) } {
            pid @ 1.. => Ok(NewNamespace { helper: pid as i32, shared, _stack: stack }),
            error => Err(Errno::from_raw(-error as i32)),
        }
    }

    /// Waits for the namespace.
    ///
    /// # Errors
    /// The error of `unshare(2)`, or that of `open(2)` of the namespace's file.
    pub fn finish(mut self) -> nix::Result<NewAndOwn> {
        self.wait();
        let own = take(&self.shared.own);
        let new = take(&self.shared.new);
        Ok(NewAndOwn { own: own?, new: new? })
    }

    fn wait(&mut self) {
        if self.helper == 0 {
            return;
        }
        // The helper is not stopped and waits for nothing, so it ends.
        // SAFETY: no status is asked for.
        while unsafe { libc::waitpid(self.helper, std::ptr::null_mut(), libc::__WALL) } < 0
            && Errno::last() == Errno::EINTR
        {}
        self.helper = 0;
    }
}

impl Drop for NewNamespace {
    fn drop(&mut self) {
        self.wait();
        // The descriptors close.
        let _ = (take(&self.shared.own), take(&self.shared.new));
    }
}

/// Takes over a descriptor that the helper has opened.
fn take(place: &AtomicI32) -> nix::Result<OwnedFd> {
    match place.swap(-libc::EBADF, Ordering::Acquire) {
        // SAFETY: the helper has opened it in the shared table, and only this code takes it.
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        errno => Err(Errno::from_raw(-errno)),
    }
}

/// The helper: system calls only. It must not use the C library, whose thread-local values, `errno` among them, are
/// those of the runtime.
extern "C" fn helper(shared: *const Shared) -> ! {
    // SAFETY: `NewNamespace` keeps the value until it has waited for the helper.
    let shared = unsafe { &*shared };
    let (kinds, file) = shared.kind.flags();
    let open = || {
        let flags = libc::O_RDONLY | libc::O_CLOEXEC;
        call(libc::SYS_openat, libc::AT_FDCWD as usize, file.as_ptr().addr(), flags as usize) as RawFd
    };
    shared.own.store(open(), Ordering::Release);
    let made = call(libc::SYS_unshare, kinds as usize, 0, 0);
    shared.new.store(if made < 0 { made as i32 } else { open() }, Ordering::Release);
    loop {
        call(libc::SYS_exit, 0, 0, 0);
    }
}

/// A system call without `errno`: returns the result, or the negative errno.
fn call(number: libc::c_long, a: usize, b: usize, c: usize) -> isize {
    let result: isize;
    // SAFETY: the calls above get integers and the address of a constant text.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}
