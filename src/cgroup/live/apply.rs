//! Writes the values of a plan to the files of the cgroup.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::{Result, bail};
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use super::controllers::missing;
use super::dir::{self, is_gone, read_at, read_file, write_at};
use super::threaded;
use crate::cgroup::plan::CgroupPlan;
use crate::cgroup::writes::{Fallback, Target, UsageCheck, Write};
use crate::spec::{Field, refusal, refuse};
use crate::sys::CallError;

/// Makes the writes that `wanted` selects. Skips the writes of a target without a directory.
pub fn apply(
    plan: &CgroupPlan,
    wanted: impl Fn(&Write) -> bool,
    dirs: &[Option<&Path>],
    leaf: Option<BorrowedFd>,
) -> Result<()> {
    let mut writer = Writer { dirs, targets: &plan.writes.targets, leaf, open: None, complete: false };
    let mut later = Vec::new();
    for write in plan.writes.all.iter().filter(|write| wanted(write)) {
        if dirs[write.target].is_none() {
            continue;
        }
        match writer.carry_out(write) {
            // In a user namespace device rules cannot be set. The container cannot make device nodes there either, so
            // nothing is lost.
            Err(Errno::EPERM | Errno::EACCES) if write.is_device_rule() && plan.may_lack_devices() => {}
            Err(Errno::EINVAL) if write.fallback == Fallback::Later => later.push(write),
            result => result.map_err(|errno| refused(plan, write, errno, &writer))?,
        }
    }
    for write in later {
        let result = writer.carry_out(write);
        result.map_err(|errno| refused(plan, write, errno, &writer))?;
    }
    Ok(())
}

/// Refuses a limit below the current usage, if `checkBeforeUpdate` is set.
pub fn check_usage(plan: &CgroupPlan, dirs: &[Option<&Path>]) -> Result<()> {
    match &plan.writes.usage {
        Some(check) => dirs[check.target]
            .map_or(Ok(()), |dir| compare_usage(check, dir, plan.writes.targets[check.target].is_v2())),
        None => Ok(()),
    }
}

fn refused(plan: &CgroupPlan, write: &Write, errno: Errno, writer: &Writer) -> anyhow::Error {
    let Write { field, file, value, .. } = write;
    let absent = matches!(errno, Errno::ENOENT | Errno::EACCES | Errno::EPERM);
    if let Some(leaf) = writer.leaf.filter(|_| absent && plan.writes.targets[write.target].is_v2())
        && let Some(error) = refused_by_v2(plan, write, errno, leaf)
    {
        return error;
    }
    let busy = writer.dirs[write.target].and_then(|dir| busy(dir, file, value, errno));
    if let Some(words) = busy {
        return refusal!(field, "{words}").into();
    }
    match errno {
        Errno::ENOENT | Errno::EACCES => CallError::new(format_args!("{field}: {file}"), errno).into(),
        _ => CallError::new(format_args!("{field}: {file} = {value:?}"), errno).into(),
    }
}

/// The reason why a file of v2 does not exist or cannot be written.
fn refused_by_v2(plan: &CgroupPlan, write: &Write, errno: Errno, leaf: BorrowedFd) -> Option<anyhow::Error> {
    let Write { field, file, target, .. } = write;
    let controller = file.split('.').next().unwrap_or_default();
    if let Some(kind) = threaded::kind(leaf).filter(|_| !threaded::has(controller)) {
        let dir = plan.writes.targets[*target].dir();
        return Some(
            refusal!(field, "cannot enter cgroupv2 {dir:?} with domain controllers -- it is in {kind}").into(),
        );
    }
    let available = read_at(leaf, "cgroup.controllers").unwrap_or_default();
    let lacks = controller != "cgroup" && missing(controller, &available).next().is_some();
    let unified = field.text().starts_with("linux.resources.unified");
    Some(match (unified, lacks) {
        (true, true) => {
            refusal!(field, "unified resource {file:?} can't be set: controller {controller:?} not available").into()
        }
        (true, false) => CallError::new(format_args!("{field}: unable to set unified resource {file:?}"), errno).into(),
        (false, true) => refusal!(field, "cgroup controller {controller:?} is not available").into(),
        (false, false) => return None,
    })
}

/// Writes values. Keeps a file open while the next write is for the same file: rules of devices come in groups.
struct Writer<'a> {
    dirs: &'a [Option<&'a Path>],
    targets: &'a [Target],
    leaf: Option<BorrowedFd<'a>>,
    open: Option<(usize, &'a str, OwnedFd)>,
    /// Whether the v2 directory has the files of all its controllers.
    complete: bool,
}

impl<'a> Writer<'a> {
    fn carry_out(&mut self, write: &'a Write) -> Result<(), Errno> {
        match (self.put(write), &write.fallback) {
            // If both files are missing, the error names the first one; the errno is the same.
            (Err(Errno::ENOENT), Fallback::Instead(file, value)) => {
                self.with_dir(write.target, file, |dir, file| write_at(dir, file, value))
            }
            (Err(Errno::ENOENT | Errno::EOPNOTSUPP), Fallback::Skip) => Ok(()),
            (result, _) => result,
        }
    }

    fn put(&mut self, write: &'a Write) -> Result<(), Errno> {
        let known = matches!(&self.open, Some((target, file, _)) if *target == write.target && *file == write.file);
        if !known {
            let open =
                |writer: &Self| writer.with_dir(write.target, &write.file, |dir, file| dir::open_to_write(dir, file));
            let mut file = open(self);
            if matches!(file, Err(Errno::ENOENT)) && self.completed(write.target) {
                file = open(self);
            }
            self.open = Some((write.target, &write.file, file?));
        }
        match &self.open {
            Some((_, _, file)) => dir::put(file, &write.value),
            None => Ok(()),
        }
    }

    /// Waits until the v2 directory has the files of all its controllers. Returns whether there may be new files.
    ///
    /// The kernel lists a controller in `cgroup.controllers` before it creates the files, and another process may be
    /// enabling the controller (kernel/cgroup/cgroup.c, `cgroup_subtree_control_write`). An empty write waits for the
    /// lock that the kernel holds meanwhile.
    fn completed(&mut self, target: usize) -> bool {
        let Some(leaf) = self.leaf.filter(|_| self.targets[target].is_v2() && !self.complete) else { return false };
        self.complete = true;
        write_at(leaf, "cgroup.subtree_control", "\n").is_ok()
    }

    /// Calls `act` with the descriptor on v2, where one directory has all files, or with the path on v1, where most
    /// directories get one write.
    fn with_dir<T>(
        &self,
        target: usize,
        file: &str,
        act: impl FnOnce(BorrowedFd, &Path) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        match (self.leaf, self.dirs[target]) {
            (Some(leaf), _) if self.targets[target].is_v2() => act(leaf, Path::new(file)),
            (_, Some(dir)) => act(AT_FDCWD, &dir.join(file)),
            (_, None) => Err(Errno::ENOENT),
        }
    }
}

/// Refuses a limit below the current usage.
fn compare_usage(check: &UsageCheck, dir: &Path, v2: bool) -> Result<()> {
    let file = if v2 { "memory.current" } else { "memory.usage_in_bytes" };
    let field = Field::of("linux.resources.memory");
    let text = match read_file(&dir.join(file)) {
        Ok(text) => text,
        // Without the controller the write of the limit fails, with a better message.
        Err(errno) if is_gone(errno) => return Ok(()),
        Err(errno) => {
            bail!(CallError::new(format_args!("{field}.checkBeforeUpdate: {}", dir.join(file).display()), errno))
        }
    };
    let Ok(usage) = text.trim().parse() else { refuse!(field.member("checkBeforeUpdate"), "{file} says {text:?}") };
    match check {
        UsageCheck { swap, .. } if *swap > 0 && *swap <= usage => {
            refuse!(field.member("swap"), "rejecting memory+swap limit {swap} <= usage {usage}")
        }
        UsageCheck { limit, .. } if *limit > 0 && *limit <= usage => {
            refuse!(field.member("limit"), "rejecting memory limit {limit} <= usage {usage}")
        }
        _ => Ok(()),
    }
}

/// The message for a memory limit that the kernel cannot bring the usage down to.
fn busy(dir: &Path, file: &str, value: &str, errno: Errno) -> Option<String> {
    let kind = file.strip_suffix("limit_in_bytes").filter(|_| errno == Errno::EBUSY)?;
    let number = |name: &str| read_file(&dir.join(format!("{kind}{name}"))).ok();
    let (usage, peak) = (number("usage_in_bytes")?, number("max_usage_in_bytes")?);
    let (usage, peak) = (usage.trim(), peak.trim());
    Some(format!("unable to set memory limit to {value} (current usage: {usage}, peak usage: {peak})"))
}
