//! From a plan to a cgroup that exists.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::errno::Errno;
use nix::sys::stat::Mode as Permissions;
use nix::unistd::{Pid, mkdir};

use super::dir::{self, contents, open_dir, open_subtree_control, put, read_at, read_file, write_file};
use super::layout::Mode;
use super::living::{Cgroup, HostDir};
use super::owner::{self, Mark, Owner};
use super::plan::{DELEGATE_CGROUP, Plan, SYSTEMD, Target, Write};
use crate::spec::annotation::SYSTEMD_SUBGROUP;
use crate::sys::{self, reason};

/// The directories made so far; removes them again unless the cgroup is kept.
struct Undo {
    made: Vec<PathBuf>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        for dir in self.made.iter().rev() {
            // What cannot be removed is in use by somebody else by now.
            let _ = dir::rmdir(dir);
        }
    }
}

impl Undo {
    /// Makes `dir` and what is missing above it. Returns whether `dir` is new.
    fn make(&mut self, dir: &Path) -> Result<bool, Errno> {
        let mut made = mkdir(dir, Permissions::from_bits_truncate(0o755));
        if let (Err(Errno::ENOENT), Some(parent)) = (made, dir.parent()) {
            self.make(parent)?;
            made = mkdir(dir, Permissions::from_bits_truncate(0o755));
        }
        match made {
            Ok(()) => self.made.push(dir.to_owned()),
            Err(Errno::EEXIST) => return Ok(false),
            Err(errno) => return Err(errno),
        }
        Ok(true)
    }
}

/// A directory of the new cgroup.
struct Made {
    dir: PathBuf,
    /// Whether it was not there before.
    new: bool,
}

impl Plan {
    /// Makes the cgroup with all its limits and device rules. Nothing is in it yet.
    ///
    /// An empty cgroup that is there already is taken over. Fails, leaving nothing behind, when it
    /// has processes or is frozen, and when the kernel refuses anything; the error names the field.
    /// Rootless and without permission the result has no directories if nothing was asked for.
    ///
    /// One that systemd makes is not there yet: it comes with the first process ([`Plan::admit`]).
    pub fn create(&self, owner: Owner<'_>) -> Result<Cgroup> {
        if let Some(scope) = &self.scope {
            // systemd would take over a frozen one, and nothing in it ever moves.
            let old = |target: &Target| {
                let dir = target.mount.join(&scope.path);
                let there = dir
                    .try_exists()
                    .map_err(|error| anyhow!("linux.cgroupsPath: stat {}: {}", dir.display(), sys::io(error)))?;
                Ok(there.then_some(Made { dir, new: false }))
            };
            let there = self.targets.iter().map(old).collect::<Result<Vec<_>>>()?;
            self.refuse_used(&self.living(&there), &there)?;
            return Ok(self.intended());
        }
        let mut undo = Undo { made: Vec::new() };
        let cgroup = self.build(&mut undo, owner)?;
        undo.made.clear();
        Ok(cgroup)
    }

    fn build(&self, undo: &mut Undo, owner: Owner<'_>) -> Result<Cgroup> {
        let mut made = Vec::with_capacity(self.targets.len());
        for (index, target) in self.targets.iter().enumerate() {
            made.push(self.make(undo, index, target)?);
        }
        let cgroup = self.living(&made);
        let claim = claim(&made)?;
        self.refuse_used(&cgroup, &made)?;
        if let Some(first) = made.iter().flatten().next() {
            // Made here, and then taken over by somebody who was quicker.
            if first.new && owner::mark_of(&first.dir, owner.token)? != Mark::None {
                bail!("linux.cgroupsPath: container's cgroup is not empty: another container is in it");
            }
            if owner.shares_pids || !first.new {
                owner::mark(&first.dir, owner.token);
            }
        }
        if let Some(target) = self.target_of("cpuset")
            && let Some(made) = &made[target]
        {
            inherit_cpuset(made, &self.targets[target].mount)?;
        }
        let v2 = self.v2_target().and_then(|target| made[target].as_ref());
        let leaf = match self.mode {
            Mode::Unified => claim,
            _ => {
                cgroup.claim.replace(claim);
                v2.map(|made| self.open_leaf(made)).transpose()?.flatten()
            }
        };
        if let Some(leaf) = &leaf {
            self.hand_down_controllers(&undo.made, leaf.as_fd())?;
        }
        let dirs: Vec<Option<&Path>> = made.iter().map(|made| Some(&*made.as_ref()?.dir)).collect();
        self.check_usage(&dirs)?;
        self.apply(|_| true, &dirs, leaf.as_ref().map(OwnedFd::as_fd))?;
        if let (Some(leaf), Some(made)) = (&leaf, v2) {
            self.install_program(leaf.as_fd(), made.new)?;
            match &self.inside {
                Some(inside) => cgroup.leaf.replace(Some(self.make_inside(undo, &made.dir, inside)?)),
                None => self.delegate(leaf.as_fd()).map(|()| None)?,
            };
        }
        if self.inside.is_some() {
            cgroup.claim.replace(leaf);
        } else {
            cgroup.leaf.replace(leaf);
        }
        Ok(cgroup)
    }

    /// Makes the cgroup that is handed over, with every controller that the container's own has.
    fn make_inside(&self, undo: &mut Undo, own: &Path, inside: &Path) -> Result<OwnedFd> {
        let failed =
            |what: &str, dir: &Path, errno| anyhow!("{DELEGATE_CGROUP}: {what} {}: {}", dir.display(), reason(errno));
        let mut dir = own.to_owned();
        for name in inside {
            let has = read_file(&dir.join("cgroup.controllers"))
                .map_err(|errno| failed("read the controllers of", &dir, errno))?;
            let control =
                open_subtree_control(&dir).map_err(|errno| failed("hand down controllers of", &dir, errno))?;
            enable(&control, has.split_whitespace());
            dir.push(name);
            undo.make(&dir).map_err(|errno| failed("mkdir", &dir, errno))?;
        }
        let leaf = open_dir(&dir).map_err(|errno| failed("open", &dir, errno))?;
        self.delegate(leaf.as_fd())?;
        Ok(leaf)
    }

    /// Whether the cgroup is systemd's to make, together with its first process.
    pub fn is_scope(&self) -> bool {
        self.scope.is_some()
    }

    /// Puts the first process, which was not born there, into the cgroup.
    ///
    /// Fails when the kernel or systemd refuse; then a unit was not started, or is gone again.
    pub fn admit(&self, cgroup: &Cgroup, pid: Pid) -> Result<()> {
        match &self.scope {
            Some(scope) => scope.start(pid),
            None => cgroup.attach(pid),
        }
    }

    /// Gives a cgroup that systemd has made what systemd does not give, and the exact values: the hierarchies that it has
    /// nothing in, the kernel's files, the device program, the owner.
    pub fn settle(&self, pid: Pid, owner: Owner<'_>) -> Result<()> {
        let Some(scope) = &self.scope else { return Ok(()) };
        if self.mode != Mode::Unified {
            self.join_v1(pid)?;
        }
        let dirs: Vec<PathBuf> = self.targets.iter().map(Target::dir).collect();
        if let Some(first) = dirs.first() {
            owner::mark(first, owner.token);
        }
        let own = self.v2_target().map(|target| &dirs[target]);
        if let (Some(own), Some(_)) = (own, &scope.unit.subgroup) {
            enter(own, &format!("annotations.{SYSTEMD_SUBGROUP}"), pid)?;
        }
        let open = |dir: &PathBuf| open_dir(dir).map_err(|errno| anyhow!("open {}: {}", dir.display(), reason(errno)));
        let leaf = own.map(open).transpose()?;
        if let Some(leaf) = &leaf {
            self.hand_down_controllers(&[], leaf.as_fd())?;
        }
        let places: Vec<Option<&Path>> = dirs.iter().map(|dir| Some(&**dir)).collect();
        self.apply(|_| true, &places, leaf.as_ref().map(OwnedFd::as_fd))?;
        let (Some(own), Some(leaf)) = (own, leaf) else { return Ok(()) };
        // systemd's own program stays beside it: both have to agree to an access.
        self.install_program(leaf.as_fd(), true)?;
        match &self.inside {
            None => self.delegate(leaf.as_fd()),
            Some(inside) => self.move_inside(own, inside, pid),
        }
    }

    /// Puts the first process of a scope into the same place in every hierarchy but systemd's own, which has it already:
    /// of the controllers of v1 systemd knows not even half.
    fn join_v1(&self, pid: Pid) -> Result<()> {
        let mut undo = Undo { made: Vec::new() };
        let cpuset = self.target_of("cpuset");
        for (index, target) in self.targets.iter().enumerate().filter(|(_, target)| target.controllers != SYSTEMD) {
            let Some(made) = self.make(&mut undo, index, target)? else { continue };
            if Some(index) == cpuset {
                inherit_cpuset(&made, &target.mount)?;
            }
            super::kill::put(&made.dir, pid)?;
        }
        undo.made.clear();
        Ok(())
    }

    /// The same as [`Plan::make_inside`] where there is a process already: it has to be out of the way before
    /// controllers can be handed down.
    fn move_inside(&self, own: &Path, inside: &Path, pid: Pid) -> Result<()> {
        enter(&own.join(inside), DELEGATE_CGROUP, pid)?;
        // There is nothing left to make.
        self.make_inside(&mut Undo { made: Vec::new() }, own, inside).map(drop)
    }

    /// Makes the directory of one target; `None` where a rootless caller may not and need not.
    fn make(&self, undo: &mut Undo, index: usize, target: &Target) -> Result<Option<Made>> {
        let dir = target.dir();
        let errno = match undo.make(&dir) {
            Ok(new) => return Ok(Some(Made { dir, new })),
            Err(errno) => errno,
        };
        let error = anyhow!(
            "linux.cgroupsPath: unable to apply cgroup configuration: mkdir {}: {}",
            dir.display(),
            reason(errno)
        );
        let forbidden = matches!(errno, Errno::EACCES | Errno::EPERM | Errno::EROFS);
        if !self.rootless || self.has_path || !forbidden {
            return Err(error);
        }
        let limit = |write: &&Write| write.target == index && !write.is_device_rule();
        match self.writes.iter().find(limit) {
            None => Ok(None),
            Some(write) => {
                let controller = write.file.split('.').next().unwrap_or_default();
                Err(error.context(format!(
                    "{}: rootless needs no limits + no cgrouppath when no permission is granted \
                     for cgroups: cannot set {controller} limit: container could not join or \
                     create cgroup",
                    write.field
                )))
            }
        }
    }

    /// The cgroup as it is going to be: saved before it is made, it lets others remove what a
    /// killed `create` has left of it.
    pub fn intended(&self) -> Cgroup {
        let made: Vec<_> = self.targets.iter().map(|target| Some(Made { dir: target.dir(), new: true })).collect();
        self.living(&made)
    }

    fn living(&self, made: &[Option<Made>]) -> Cgroup {
        let dirs: Vec<HostDir> = self
            .targets
            .iter()
            .zip(made)
            .filter_map(|(target, made)| {
                Some(HostDir {
                    controllers: target.controllers.clone(),
                    mount: target.mount.clone(),
                    dir: made.as_ref()?.dir.clone(),
                })
            })
            .collect();
        let mode = if dirs.is_empty() { Mode::None } else { self.mode };
        let unit = self.scope.as_ref().map(|scope| scope.unit.clone());
        Cgroup { mode, dirs, inside: self.inside.clone(), unit, ..Cgroup::default() }
    }

    /// A cgroup that was there before may be taken over if nobody lives in it.
    fn refuse_used(&self, cgroup: &Cgroup, made: &[Option<Made>]) -> Result<()> {
        let old = || made.iter().flatten().filter(|made| !made.new);
        if old().next().is_none() {
            return Ok(());
        }
        for made in old() {
            let count = super::kill::members_of(&made.dir)
                .map_err(|errno| anyhow!("linux.cgroupsPath: {}: {}", made.dir.display(), reason(errno)))?
                .len();
            if count > 0 {
                bail!("linux.cgroupsPath: container's cgroup is not empty: {count} process(es) found");
            }
        }
        if cgroup.is_frozen().context("linux.cgroupsPath")? {
            bail!("linux.cgroupsPath: container's cgroup unexpectedly frozen");
        }
        Ok(())
    }

    /// Opens the v2 directory; on a hybrid host only if there is something to do in it.
    fn open_leaf(&self, made: &Made) -> Result<Option<OwnedFd>> {
        let target = self.v2_target();
        let written = || self.writes.iter().any(|write| Some(write.target) == target);
        let idle = self.program.is_none() && self.delegate_to.is_none();
        if self.mode == Mode::Hybrid && idle && !written() {
            return Ok(None);
        }
        let leaf = open_dir(&made.dir).map_err(|errno| anyhow!("open {}: {}", made.dir.display(), reason(errno)))?;
        Ok(Some(leaf))
    }

    /// Enables for the v2 leaf every controller that the hierarchy has, as runc does and as those
    /// who read its statistics expect; on hybrid hosts only what is about to be written, because
    /// the hierarchy is somebody else's.
    ///
    /// One write a level, top down, and only where something is missing: a write that changes
    /// nothing still takes the kernel's cgroup lock. What cannot be enabled (processes in a level
    /// above, no permission) shows when its limit is written, so that is left to it.
    ///
    /// Fails when it cannot be read which controllers there are.
    pub(super) fn hand_down_controllers(&self, made: &[PathBuf], leaf: BorrowedFd) -> Result<()> {
        let Some(target) = self.v2_target() else { return Ok(()) };
        let asked = || self.writes.iter().filter(|write| write.target == target);
        if self.mode != Mode::Unified && asked().next().is_none() {
            return Ok(());
        }
        let target = &self.targets[target];
        let available = if self.mode == Mode::Unified {
            let file = target.mount.join("cgroup.controllers");
            read_file(&file).map_err(|errno| anyhow!("linux.cgroupsPath: {}: {}", file.display(), reason(errno)))?
        } else {
            let mut names: Vec<&str> = asked().filter_map(|w| w.file.split('.').next()).collect();
            names.dedup();
            names.join(" ")
        };
        let lacks = |names: &str| match read_at(leaf, "cgroup.controllers") {
            Ok(has) => Ok(missing(names, &has).count() > 0),
            Err(errno) => {
                Err(anyhow!("linux.cgroupsPath: cgroup.controllers of {}: {}", target.dir().display(), reason(errno)))
            }
        };
        if !lacks(&available)? {
            return Ok(());
        }
        let is_needed = |name: &&str| asked().any(|write| write.file.split('.').next() == Some(name));
        let needed = available.split_whitespace().filter(is_needed).collect::<Vec<_>>().join(" ");
        let mut controls = Vec::new();
        let mut level = target.mount.clone();
        for name in &target.path {
            if let Ok(control) = open_subtree_control(&level) {
                // A level that we have just made hands nothing down yet; no need to ask it.
                let new = made.contains(&level);
                let has = if new { String::new() } else { contents(&control).unwrap_or_default() };
                enable(&control, missing(&available, &has));
                controls.push(control);
            }
            level.push(name);
        }
        // Until the level below hands a controller on, whoever else has a hand in the levels above may take it away
        // again: systemd does, when a unit ends and no other wants it. So quickly one after the other.
        for _ in 0..HAND_DOWN_ATTEMPTS {
            if needed.is_empty() || !lacks(&needed)? {
                return Ok(());
            }
            for control in &controls {
                enable(control, needed.split_whitespace());
            }
        }
        Ok(())
    }
}

/// Locks the first directory of a new cgroup. Of two that are about to take over the same empty one, the other is refused;
/// afterwards a process in it tells that it is in use.
fn claim(made: &[Option<Made>]) -> Result<Option<OwnedFd>> {
    let Some(made) = made.iter().flatten().next() else { return Ok(None) };
    match owner::claim(&made.dir)? {
        Some(claim) => Ok(Some(claim)),
        None => bail!("linux.cgroupsPath: container's cgroup is not empty: another container is about to be in it"),
    }
}

/// Makes `dir`, which is below the unit's cgroup and goes with it, and moves `pid` there.
fn enter(dir: &Path, field: &str, pid: Pid) -> Result<()> {
    let failed = |what: &str, errno| anyhow!("{field}: {what} {}: {}", dir.display(), reason(errno));
    let mut undo = Undo { made: Vec::new() };
    undo.make(dir).map_err(|errno| failed("mkdir", errno))?;
    let moved = write_file(&dir.join("cgroup.procs"), &pid.to_string());
    moved.map_err(|errno| failed("move init to", errno))?;
    undo.made.clear();
    Ok(())
}

/// The names in `wanted` that `has` lacks.
pub(super) fn missing<'a>(wanted: &'a str, has: &'a str) -> impl Iterator<Item = &'a str> + Clone {
    wanted.split_whitespace().filter(move |name| !has.split_whitespace().any(|has| has == *name))
}

/// How often a controller that somebody takes away is handed down again.
const HAND_DOWN_ATTEMPTS: u32 = 16;

/// Writes `+name …` to a subtree_control file; one by one where all at once is refused, so that
/// one controller that cannot be had does not take the others with it.
fn enable<'a>(control: &OwnedFd, names: impl Iterator<Item = &'a str> + Clone) {
    let all: String = names.clone().map(|name| format!("+{name} ")).collect();
    if !all.is_empty() && put(control, &all).is_err() {
        for name in names {
            let _ = put(control, &format!("+{name}"));
        }
    }
}

/// Gives a v1 cpuset the processors and memory nodes of the level above: without any, nothing can
/// be attached to it, and a new one has none.
fn inherit_cpuset(made: &Made, mount: &Path) -> Result<()> {
    for (file, bare) in [("cpuset.cpus", "cpus"), ("cpuset.mems", "mems")] {
        let inherited = match inherit(&made.dir, mount, file, made.new) {
            // Mounted with `noprefix`.
            Err(Errno::ENOENT) => inherit(&made.dir, mount, bare, made.new),
            other => other,
        };
        inherited.map_err(|errno| {
            let file = made.dir.join(file);
            anyhow!("linux.cgroupsPath: {}: {}", file.display(), reason(errno))
        })?;
    }
    Ok(())
}

/// The value of `file`, taken from the level above (and written) if it is empty, as it is in a new
/// directory.
fn inherit(dir: &Path, mount: &Path, file: &str, new: bool) -> Result<String, Errno> {
    let path = dir.join(file);
    let value = if new { String::new() } else { read_file(&path)? };
    let parent = match dir.parent() {
        Some(parent) if value.trim().is_empty() && dir != mount => parent,
        _ => return Ok(value),
    };
    let value = inherit(parent, mount, file, false)?;
    write_file(&path, value.trim())?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain directories have files to inherit from as cpusets have.
    #[test]
    fn cpusets_are_inherited_with_and_without_prefix() {
        let mount = std::env::temp_dir().join(format!("tare-cpuset-{}", std::process::id()));
        for (cpus, mems) in [("cpuset.cpus", "cpuset.mems"), ("cpus", "mems")] {
            let dir = mount.join("above/box");
            std::fs::create_dir_all(&dir).unwrap();
            for (level, text) in [(&mount, "0-3\n"), (&mount.join("above"), "\n"), (&dir, "\n")] {
                std::fs::write(level.join(cpus), text).unwrap();
                std::fs::write(level.join(mems), text).unwrap();
            }
            inherit_cpuset(&Made { dir: dir.clone(), new: true }, &mount).unwrap();
            for file in [cpus, mems] {
                assert!(std::fs::read_to_string(dir.join(file)).unwrap().starts_with("0-3"), "{file}");
                assert!(std::fs::read_to_string(mount.join("above").join(file)).unwrap().starts_with("0-3"), "{file}");
            }
            std::fs::remove_dir_all(&mount).unwrap();
        }
    }
}
