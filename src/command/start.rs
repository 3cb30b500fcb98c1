//! `start`: open the gate.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Result, anyhow, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{bind_notify, joining_options, root};
use crate::cli::Invocation;
use crate::executor::{Owner, destroy, kill_and_wait, poststart, start_container};
use crate::host::Host;
use crate::state::{Directory, Record, Status};
use crate::sys::{self, Errno};

/// The command.
pub fn run(invocation: &Invocation) -> Result<()> {
    let root = root(&invocation.global)?;
    let (directory, record) = root.load(invocation.id())?;
    match record.status(&directory) {
        Status::Created => {}
        Status::Stopped => bail!("cannot start a container that has stopped"),
        Status::Running => bail!("cannot start an already running container"),
        other => bail!("cannot start a container in the {other} state"),
    }
    if !record.hooks.start_container.is_empty() {
        let host = Host::read();
        let options = joining_options(&invocation.global, &host, &record.id, record.bundle.clone());
        let owner = Owner { record: &record, directory: &directory, host: &host, options: &options };
        start_container(&owner).inspect_err(|_| stop(&record, &directory))?;
    }
    let notify = bind_notify(&directory)?;
    let mut gate = open_gate(&directory)?;
    gate.write_all(b"0").map_err(|error| anyhow!("exec.fifo: {}", sys::io(error)))?;
    std::fs::remove_file(directory.fifo()).map_err(|error| anyhow!("exec.fifo: {}", sys::io(error)))?;
    if !record.hooks.poststart.is_empty() {
        wait_for_program(&gate);
        poststart(&record).inspect_err(|_| stop(&record, &directory))?;
    }
    match (notify, sys::process::pidfd_open(record.pid)) {
        (Some(notify), Ok(process)) => notify.wait(process.as_fd(), record.pid),
        _ => Ok(()),
    }
}

/// A hook failed: the container is stopped, and what follows its end follows.
fn stop(record: &Record, directory: &Directory) {
    if kill_and_wait(record).is_ok() {
        let _ = destroy(record, directory);
    }
}

/// Open the gate for writing, without waiting: `init` holds the other end as long as it lives.
fn open_gate(directory: &Directory) -> Result<File> {
    let open = File::options().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(directory.fifo());
    open.map_err(|error| match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENXIO) => anyhow!("cannot start a container that has stopped"),
        Some(Errno::ENOENT) => anyhow!("cannot start an already running container"),
        _ => anyhow!("exec.fifo: {}", sys::io(error)),
    })
}

/// `init` loses its end of the gate in the `execve(2)` of the user's program, and the pipe breaks.
fn wait_for_program(gate: &File) {
    while let Err(Errno::EINTR) = poll(&mut [PollFd::new(gate.as_fd(), PollFlags::empty())], PollTimeout::NONE) {}
}
