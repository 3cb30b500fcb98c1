//! Carrying out a plan's writes.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::{Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;

use super::create::missing;
use super::dir::{self, is_gone, read_at, read_file, write_at};
use super::plan::{Fallback, Plan, Target, UsageCheck, Write};
use super::{threaded, update};
use crate::sys::reason;

impl Plan {
    /// Carries out those of the writes that are `wanted`, in directories that exist; those of a
    /// target without one are left out.
    pub(super) fn apply(
        &self,
        wanted: impl Fn(&Write) -> bool,
        dirs: &[Option<&Path>],
        leaf: Option<BorrowedFd>,
    ) -> Result<()> {
        let mut writer = Writer { dirs, targets: &self.targets, leaf, open: None, complete: false };
        let mut later = Vec::new();
        for write in self.writes.iter().filter(|write| wanted(write)) {
            if dirs[write.target].is_none() {
                continue;
            }
            match writer.carry_out(write) {
                // As for the program on v2: not for us to give, and nothing there to be had.
                Err(Errno::EPERM | Errno::EACCES) if write.is_device_rule() && self.may_lack() => {}
                Err(Errno::EINVAL) if write.fallback == Fallback::Later => later.push(write),
                result => result.map_err(|errno| self.refused(write, errno, &writer))?,
            }
        }
        for write in later {
            let result = writer.carry_out(write);
            result.map_err(|errno| self.refused(write, errno, &writer))?;
        }
        Ok(())
    }

    /// Refuses limits below what is used already, where that is asked for.
    pub(super) fn check_usage(&self, dirs: &[Option<&Path>]) -> Result<()> {
        match &self.usage {
            Some(check) => {
                dirs[check.target].map_or(Ok(()), |dir| check_usage(check, dir, self.targets[check.target].is_v2()))
            }
            None => Ok(()),
        }
    }

    /// Whether device rules are beyond the caller: nobody gets to set them in a user namespace, and
    /// nobody can make a device there.
    pub(super) fn may_lack(&self) -> bool {
        self.rootless || self.in_user_namespace
    }

    fn refused(&self, write: &Write, errno: Errno, writer: &Writer) -> anyhow::Error {
        let Write { field, file, value, .. } = write;
        let absent = matches!(errno, Errno::ENOENT | Errno::EACCES | Errno::EPERM);
        if let Some(leaf) = writer.leaf.filter(|_| absent && self.targets[write.target].is_v2())
            && let Some(error) = self.refused_by_v2(write, errno, leaf)
        {
            return error;
        }
        let busy = writer.dirs[write.target].and_then(|dir| update::busy(dir, file, value, errno));
        if let Some(words) = busy {
            return anyhow!("{field}: {words}");
        }
        match errno {
            Errno::ENOENT | Errno::EACCES => anyhow!("{field}: {file}: {}", reason(errno)),
            _ => anyhow!("{field}: {file} = {value:?}: {}", reason(errno)),
        }
    }

    /// What lies behind a file of v2 that is not there, or not to be written.
    fn refused_by_v2(&self, write: &Write, errno: Errno, leaf: BorrowedFd) -> Option<anyhow::Error> {
        let Write { field, file, target, .. } = write;
        let controller = file.split('.').next().unwrap_or_default();
        if let Some(kind) = threaded::kind(leaf).filter(|_| !threaded::has(controller)) {
            let dir = self.targets[*target].dir();
            return Some(anyhow!("{field}: cannot enter cgroupv2 {dir:?} with domain controllers -- it is in {kind}"));
        }
        let available = read_at(leaf, "cgroup.controllers").unwrap_or_default();
        let lacks = controller != "cgroup" && missing(controller, &available).next().is_some();
        let unified = field.as_str().starts_with("linux.resources.unified");
        Some(match (unified, lacks) {
            (true, true) => {
                anyhow!(
                    "{field}: unified resource {file:?} can't be set: controller {controller:?} \
                     not available"
                )
            }
            (true, false) => anyhow!("{field}: unable to set unified resource {file:?}: {}", reason(errno)),
            (false, true) => anyhow!("{field}: cgroup controller {controller:?} is not available"),
            (false, false) => return None,
        })
    }
}

/// Writes values, keeping a file open while the next one is for it: rules and devices come in rows.
struct Writer<'a> {
    dirs: &'a [Option<&'a Path>],
    targets: &'a [Target],
    leaf: Option<BorrowedFd<'a>>,
    open: Option<(usize, &'a str, OwnedFd)>,
    /// Whether every file is there that the controllers of the v2 directory have.
    complete: bool,
}

impl<'a> Writer<'a> {
    fn carry_out(&mut self, write: &'a Write) -> Result<(), Errno> {
        match (self.put(write), &write.fallback) {
            // Where both are missing, the first is the one to complain about; same errno.
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

    /// Waits until the v2 directory has the files of all its controllers. Returns whether they may have come just now.
    ///
    /// The kernel lists a controller in `cgroup.controllers` before it has made the files, and who hands it down may be
    /// somebody else (kernel/cgroup/cgroup.c, `cgroup_subtree_control_write`). Writing nothing takes the same lock.
    fn completed(&mut self, target: usize) -> bool {
        let Some(leaf) = self.leaf.filter(|_| self.targets[target].is_v2() && !self.complete) else { return false };
        self.complete = true;
        write_at(leaf, "cgroup.subtree_control", "\n").is_ok()
    }

    /// By descriptor on v2, where one directory has everything; by path on v1, where each has
    /// hardly more than one file to write.
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

/// `checkBeforeUpdate`: refuses limits that are below what is used already.
fn check_usage(check: &UsageCheck, dir: &Path, v2: bool) -> Result<()> {
    let file = if v2 { "memory.current" } else { "memory.usage_in_bytes" };
    let field = "linux.resources.memory";
    let text = match read_file(&dir.join(file)) {
        Ok(text) => text,
        // Without the controller the limit itself fails, and says so.
        Err(errno) if is_gone(errno) => return Ok(()),
        Err(errno) => bail!("{field}.checkBeforeUpdate: {}: {}", dir.join(file).display(), reason(errno)),
    };
    let Ok(usage) = text.trim().parse() else { bail!("{field}.checkBeforeUpdate: {file} says {text:?}") };
    match check {
        UsageCheck { swap, .. } if *swap > 0 && *swap <= usage => {
            bail!("{field}.swap: rejecting memory+swap limit {swap} <= usage {usage}")
        }
        UsageCheck { limit, .. } if *limit > 0 && *limit <= usage => {
            bail!("{field}.limit: rejecting memory limit {limit} <= usage {usage}")
        }
        _ => Ok(()),
    }
}
