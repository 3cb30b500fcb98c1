//! Sets the device program and the owner of a v2 cgroup.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::unistd::fchownat;

use super::dir::read_file;
use crate::cgroup::plan::CgroupPlan;
use crate::spec::refusal;
use crate::sys::{Call, CallError, bpf, reason};

/// Loads and attaches the device program of a v2 cgroup.
pub fn install_program(plan: &CgroupPlan, leaf: BorrowedFd, new: bool) -> Result<()> {
    if plan.writes.target_of("devices").is_some() {
        return Ok(());
    }
    match replace_program(plan, leaf, new) {
        Err(Errno::EPERM) if plan.may_lack_devices() => Ok(()),
        Err(errno @ (Errno::EINVAL | Errno::EACCES)) => {
            let program = plan.program.as_ref().map(|program| program.insns());
            let words = program.map(bpf::explain_device_program).unwrap_or_default();
            Err(refusal!("linux.resources.devices", "bpf: {}: {words}", reason(errno)).into())
        }
        Err(errno) => Err(CallError::new("linux.resources.devices: bpf", errno).into()),
        Ok(()) => Ok(()),
    }
}

fn replace_program(plan: &CgroupPlan, leaf: BorrowedFd, new: bool) -> Result<(), Errno> {
    let old = if new { Vec::new() } else { bpf::device_programs(leaf)? };
    let Some(program) = &plan.program else {
        return old.iter().try_for_each(|old| bpf::detach_device_program(leaf, old.as_fd()));
    };
    let program = bpf::load_device_program(program.insns())?;
    if let [old] = &old[..] {
        return bpf::attach_device_program(leaf, program.as_fd(), Some(old.as_fd()));
    }
    // The kernel allows an access only if all attached programs do, so there is no gap while both are attached.
    bpf::attach_device_program(leaf, program.as_fd(), None)?;
    old.iter().try_for_each(|old| bpf::detach_device_program(leaf, old.as_fd()))
}

/// Changes the owner of the v2 cgroup to the container's user: of the directory, and of the files that the kernel lists
/// as delegatable.
pub fn delegate(plan: &CgroupPlan, leaf: BorrowedFd) -> Result<()> {
    let Some(owner) = plan.delegate_to else {
        return Ok(());
    };
    const LIST: &str = "/sys/kernel/cgroup/delegate";
    let files = match read_file(Path::new(LIST)) {
        // The file is covered by a mount, or sysfs is not mounted. This is the list of Linux 4.15, the first kernel
        // with the file.
        Err(Errno::ENOENT) => "cgroup.procs cgroup.subtree_control cgroup.threads".to_owned(),
        other => other.named(LIST)?,
    };
    for file in std::iter::once(".").chain(files.split_whitespace()) {
        match fchownat(leaf, file, Some(owner.uid), Some(owner.gid), AtFlags::empty()) {
            // The list has files of controllers that are not enabled here.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => {
                bail!(CallError::new(
                    format_args!("linux.cgroupsPath: delegate the cgroup to {owner}: chown {file}"),
                    errno
                ))
            }
        }
    }
    Ok(())
}
