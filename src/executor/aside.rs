//! A thread in other namespaces.

use std::panic::resume_unwind;
use std::thread;

use anyhow::Result;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, umask};

use crate::spec::Field;
use crate::sys::{Call, CallError, heap};

/// The mount point of a tmpfs in a temporary mount namespace.
pub const THERE: &str = "/proc";

/// Moves this thread into a mount namespace of its own, whose mounts the host does not see.
pub fn own_mounts(field: &Field) -> Result<()> {
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).named(format_args!("{field}: unshare"))?;
    umask(Mode::empty());
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none).named(format_args!("{field}: mount"))
}

/// [`own_mounts`], with a tmpfs at [`THERE`].
pub fn own_tmpfs(field: &Field) -> Result<()> {
    own_mounts(field)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), THERE, Some("tmpfs"), flags, None::<&str>).named(format_args!("{field}: mount tmpfs"))
}

/// Runs a closure in a thread, which may leave the namespaces of this process.
pub fn aside<T: Send>(field: &Field, inside: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    heap::prepare_a_thread().named(format_args!("{field}: a thread"))?;
    thread::scope(|scope| match thread::Builder::new().spawn_scoped(scope, inside) {
        Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        Err(error) => Err(CallError::new(format_args!("{field}: a thread"), error).into()),
    })
}
