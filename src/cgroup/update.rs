//! New limits for a cgroup that exists, all of them or none.

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use nix::errno::Errno;
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value};

use super::dir::{self, number_of, read_file, write_file};
use super::layout::{Layout, Mode};
use super::living::Cgroup;
use super::plan::{Fallback, Plan, Target, Write};
use super::scalar::Wanted;
use super::systemd::Unit;
use super::{check, unified, v1, v2};
use crate::spec::{Extras, Field};
use crate::sys::reason;
use crate::tables::limit::{self, section};

/// Switches that are off unless asked for, so that a new cgroup needs no write for `false`.
const OOM_CONTROL: &str = "memory.oom_control";

impl Plan {
    /// Decides what has to be written to give `cgroup` the limits `resources`: what it has, with
    /// what was `asked` for merged into it ([`merge`](super::merge())). Device rules are left alone.
    ///
    /// Limits depend on each other within a section (`memory`, `cpu`, …), so the sections that
    /// `asked` speaks of are written as a whole, and the others not at all. Fails as [`Plan::new`].
    pub fn update(
        cgroup: &Cgroup,
        resources: &LinuxResources,
        extras: &Extras,
        asked: &Map<String, Value>,
    ) -> Result<Plan> {
        let target = |dir: &super::HostDir| Target {
            controllers: dir.controllers.clone(),
            mount: dir.mount.clone(),
            path: dir.dir.strip_prefix(&dir.mount).map(Path::to_owned).unwrap_or_default(),
        };
        let mut plan = Plan {
            mode: cgroup.mode,
            targets: cgroup.dirs.iter().map(target).collect(),
            writes: Vec::new(),
            rules: Vec::new(),
            program: None,
            usage: None,
            rootless: false,
            in_user_namespace: false,
            disabled: false,
            has_path: true,
            delegate_to: None,
            inside: None,
            scope: None,
            notes: Vec::new(),
        };
        let layout = Layout::of(cgroup.mode, &cgroup.dirs);
        let wanted = only(resources, asked);
        let extras = Extras {
            limits: extras.limits.iter().copied().filter(|(field, _)| speaks_of(asked, section(field))).collect(),
            hugepage_limits: match speaks_of(asked, "hugepageLimits") {
                true => extras.hugepage_limits.clone(),
                false => Vec::new(),
            },
        };
        let wanted = Wanted { resources: &wanted, extras: &extras };
        check::resources(wanted)?;
        match cgroup.mode {
            Mode::Unified => v2::plan(&mut plan, 0, wanted)?,
            _ => v1::plan(&mut plan, &layout, wanted)?,
        }
        unified::plan(&mut plan, &layout, wanted.resources)?;
        plan.complete(wanted.resources, asked);
        // systemd has its own idea of them.
        if cgroup.unit.is_some() && plan.target_of("devices").is_some() {
            plan.add_devices(Some(resources))?;
        }
        Ok(plan)
    }

    /// What only makes a difference for a cgroup that has limits already.
    fn complete(&mut self, resources: &LinuxResources, asked: &Map<String, Value>) {
        let given = |section: &str, name: &str| asked.get(section)?.get(name).filter(|value| !value.is_null());
        let off = given("memory", "disableOOMKiller") == Some(&Value::Bool(false));
        if let (true, Some(target)) = (off, self.target_of("memory")) {
            self.write(target, OOM_CONTROL, 0, Field::of("linux.resources.memory.disableOOMKiller"));
        }
        // An idle group has no shares, the kernel refuses them.
        let idle = resources.cpu().as_ref().is_some_and(|cpu| cpu.idle() == Some(1));
        if idle && given("cpu", "shares").is_none() {
            self.writes.retain(|write| !matches!(&*write.file, "cpu.shares" | "cpu.weight"));
        }
        if given("memory", "limit").is_none() && given("memory", "swap").is_none() {
            self.usage = None;
        }
    }
}

fn speaks_of(asked: &Map<String, Value>, section: &str) -> bool {
    asked.get(section).is_some_and(|value| !value.is_null())
}

/// The sections of `resources` that `asked` speaks of.
fn only(resources: &LinuxResources, asked: &Map<String, Value>) -> LinuxResources {
    let mut wanted = LinuxResources::default();
    let speaks_of = |section| speaks_of(asked, section);
    wanted.set_devices(None);
    wanted.set_memory(resources.memory().filter(|_| speaks_of("memory")));
    wanted.set_cpu(resources.cpu().clone().filter(|_| speaks_of("cpu")));
    wanted.set_block_io(resources.block_io().clone().filter(|_| speaks_of("blockIO")));
    wanted.set_rdma(resources.rdma().clone().filter(|_| speaks_of("rdma")));
    wanted.set_network(resources.network().clone().filter(|_| speaks_of("network")));
    wanted.set_unified(resources.unified().clone().filter(|_| speaks_of("unified")));
    wanted
}

impl Cgroup {
    /// Carries out a plan of [`Plan::update`]. Device rules are left as they are.
    ///
    /// On failure the files have their old values again. The result takes them back, too, when what
    /// comes after the limits fails.
    pub fn update(&self, plan: &Plan) -> Result<Before> {
        let place = |target: &Target| {
            let mut dirs = self.dirs.iter();
            Some(dirs.find(|dir| dir.controllers == target.controllers)?.dir.as_path())
        };
        let dirs: Vec<Option<&Path>> = plan.targets.iter().map(place).collect();
        let lost = |write: &&Write| dirs[write.target].is_none() && !write.is_device_rule();
        if let Some(Write { field, file, .. }) = plan.writes.iter().find(lost) {
            bail!("{field}: {file}: the container has no cgroup for it");
        }
        let open = |dir: &Path| {
            dir::open_dir(dir).map_err(|errno| anyhow!("linux.cgroupsPath: open {}: {}", dir.display(), reason(errno)))
        };
        let leaf = self.path_for_v2().map(open).transpose()?;
        if let Some(leaf) = &leaf {
            // On a hybrid host nothing was handed down that nobody asked for.
            plan.hand_down_controllers(&[], leaf.as_fd())?;
        }
        plan.check_usage(&dirs)?;
        let before = Before::of(self.unit.clone(), plan, &dirs)?;
        let apply = || plan.apply(|write| !write.is_device_rule(), &dirs, leaf.as_ref().map(OwnedFd::as_fd));
        let applied = match &self.unit {
            // What the kernel refuses systemd need not know.
            Some(unit) => apply().and_then(|()| self.tell(unit, plan, &dirs)),
            None => apply(),
        };
        match applied {
            Ok(()) => Ok(before),
            Err(error) => {
                before.restore();
                Err(error)
            }
        }
    }

    /// Tells systemd of limits that are in the kernel's files, and puts these right again where systemd changes them.
    ///
    /// On v1 it denies every device before it allows some again, so nobody may run meanwhile.
    fn tell(&self, unit: &Unit, plan: &Plan, dirs: &[Option<&Path>]) -> Result<()> {
        let exact = Before::of_systemd(plan, dirs)?;
        // Whoever cannot be frozen has to live with it.
        let frozen = self.path_for_v1("devices").is_some() && !self.is_frozen()? && self.freeze().is_ok();
        let told = unit.set(&plan.writes);
        exact.restore();
        // With a cgroup below, neither systemd can take anything back nor we.
        let _ = plan.apply(Write::is_device_rule, dirs, None);
        let thawed = if frozen { self.thaw() } else { Ok(()) };
        told.and(thawed)
    }
}

/// What the files of a cgroup said before they were written.
#[derive(Debug)]
#[must_use = "what was there before can only be had from here"]
pub struct Before {
    files: Vec<Old>,
    /// Who has been told of the new values, too.
    unit: Option<Unit>,
}

#[derive(Debug)]
struct Old {
    path: PathBuf,
    text: String,
    /// What is about to be written.
    values: Vec<String>,
}

impl Before {
    fn of(unit: Option<Unit>, plan: &Plan, dirs: &[Option<&Path>]) -> Result<Before> {
        let mut before = Before { files: Vec::new(), unit };
        for write in plan.writes.iter().filter(|write| !write.is_device_rule()) {
            let Some(dir) = dirs[write.target] else { continue };
            if write.file == "cpu.idle" {
                // What is not idle any more has the default.
                before.keep(dir.join("cpu.shares"), None)?;
                before.keep(dir.join("cpu.weight"), None)?;
            }
            before.keep(dir.join(&*write.file), Some(&write.value))?;
            if let Fallback::Instead(file, value) = &write.fallback {
                before.keep(dir.join(file), Some(value))?;
            }
        }
        Ok(before)
    }

    /// What systemd writes anew when it is told of a property: it rounds, and what it was not told of gets its default.
    fn of_systemd(plan: &Plan, dirs: &[Option<&Path>]) -> Result<Before> {
        let mut exact = Before::of(None, plan, dirs)?;
        for dir in dirs.iter().flatten() {
            limit::properties().try_for_each(|(file, _)| exact.keep(dir.join(file), None))?;
        }
        Ok(exact)
    }

    /// Files that are not there, or not for reading, have nothing to go back to.
    fn keep(&mut self, path: PathBuf, value: Option<&String>) -> Result<()> {
        let index = match self.files.iter().position(|old| old.path == path) {
            Some(index) => index,
            None => {
                let text = match read_file(&path) {
                    Ok(text) => text,
                    // What the kernel answers for a file that can only be written (EINVAL; EACCES to an ordinary user),
                    // and for one whose controller it has no support for.
                    Err(Errno::ENOENT | Errno::EINVAL | Errno::EACCES | Errno::EOPNOTSUPP) => return Ok(()),
                    Err(errno) => bail!("linux.resources: {}: {}", path.display(), reason(errno)),
                };
                self.files.push(Old { path, text, values: Vec::new() });
                self.files.len() - 1
            }
        };
        self.files[index].values.extend(value.cloned());
        Ok(())
    }

    /// Writes the old values. The kernel checks some against others, so what is refused is tried
    /// again as long as something else has changed meanwhile; best effort in the end.
    pub fn restore(&self) {
        if let Some(unit) = &self.unit {
            let _ = unit.set(&self.files.iter().flat_map(Old::writes).collect::<Vec<_>>());
        }
        let changed = |old: &Old| read_file(&old.path).is_ok_and(|text| text != old.text);
        let mut open: Vec<&Old> = self.files.iter().rev().filter(|old| changed(old)).collect();
        loop {
            let count = open.len();
            open.retain(|old| old.lines().iter().any(|line| write_file(&old.path, line).is_err()) || changed(old));
            if open.is_empty() || open.len() == count {
                return;
            }
        }
    }
}

impl Old {
    /// The old values as writes.
    fn writes(&self) -> Vec<Write> {
        let file = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let write = |value| Write {
            target: 0,
            file: Cow::Owned(file.to_owned()),
            value,
            field: Field::of("linux.resources"),
            fallback: Fallback::Fail,
        };
        self.lines().into_iter().map(write).collect()
    }

    /// The lines to be written, one at a time.
    fn lines(&self) -> Vec<String> {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == OOM_CONTROL {
            return vec![number_of(&self.text, "oom_kill_disable").unwrap_or(0).to_string()];
        }
        let keyed = self.values.iter().any(|value| key(name, value).is_some());
        let text = self.text.trim_end();
        if !keyed && !text.contains('\n') {
            // Nothing at all would not reach the kernel.
            return vec![if text.is_empty() { "\n".to_owned() } else { text.to_owned() }];
        }
        let had = |key: &str| text.lines().any(|line| line.split(' ').next() == Some(key));
        let new = self.values.iter().filter_map(|value| Some((key(name, value)?, value)));
        let unset = new.filter(|(key, _)| !had(key)).map(|(key, value)| unset(name, key, value));
        unset.chain(text.lines().map(str::to_owned)).collect()
    }
}

/// What a line is about, in files that have one for each device: `8:0 rbps=1048576`.
fn key<'a>(file: &str, value: &'a str) -> Option<&'a str> {
    let (key, _) = value.split_once(' ')?;
    (file != "cpu.max").then_some(key)
}

/// How the line about `key` is taken away again.
fn unset(file: &str, key: &str, value: &str) -> String {
    let settings = value.split(' ').skip(1);
    match file {
        _ if value.contains('=') => {
            let names = settings.filter_map(|setting| setting.split_once('='));
            names.fold(key.to_owned(), |line, (name, _)| line + " " + name + "=max")
        }
        "io.weight" | "io.bfq.weight" | "blkio.bfq.weight_device" => format!("{key} default"),
        _ => format!("{key} 0"),
    }
}

/// What the kernel says about a memory limit that it cannot bring the usage down to.
pub(super) fn busy(dir: &Path, file: &str, value: &str, errno: Errno) -> Option<String> {
    let kind = file.strip_suffix("limit_in_bytes").filter(|_| errno == Errno::EBUSY)?;
    let number = |name: &str| read_file(&dir.join(format!("{kind}{name}"))).ok();
    let (usage, peak) = (number("usage_in_bytes")?, number("max_usage_in_bytes")?);
    let (usage, peak) = (usage.trim(), peak.trim());
    Some(format!("unable to set memory limit to {value} (current usage: {usage}, peak usage: {peak})"))
}

#[cfg(test)]
mod tests {
    use super::super::merge;
    use super::*;

    /// What is written when `asked` comes on top of `stored`.
    fn writes(cgroup: &Cgroup, stored: &str, asked: &str) -> Vec<String> {
        let config = r#"{"ociVersion": "1.2.0", "root": {"path": "x"}, "process": {"cwd": "/", "args": ["x"],
            "user": {"uid": 0, "gid": 0}}, "linux": {"resources": {}}}"#;
        let mut config: Value = serde_json::from_str(config).unwrap();
        let mut resources: Map<String, Value> = serde_json::from_str(stored).unwrap();
        let asked: Map<String, Value> = serde_json::from_str(asked).unwrap();
        merge(&mut resources, &asked);
        config["linux"]["resources"] = Value::from(resources);
        let config = crate::spec::parse(config.to_string().as_bytes()).unwrap();
        let plan = Plan::update(cgroup, config.resources().unwrap(), config.extras(), &asked).unwrap();
        plan.writes().iter().map(|write| format!("{} = {}", write.file, write.value)).collect()
    }

    #[test]
    fn only_sections_that_are_spoken_of_are_written() {
        let v2 = Cgroup::example(Mode::Unified, &[""]);
        let stored = r#"{"memory": {"limit": 60, "swap": 80}, "pids": {"limit": 3}, "blockIO": {"weight": 200},
            "cpu": {"quota": 5000, "period": 20000, "shares": 1024}, "devices": [{"allow": false, "access": "rwm"}]}"#;
        let cases: [(&str, &[&str]); 10] = [
            ("{}", &[]),
            (r#"{"devices": [{"allow": true, "access": "rwm"}]}"#, &[]),
            (r#"{"pids": {"limit": 0}}"#, &["pids.max = 1"]),
            (r#"{"memory": {"limit": 70}}"#, &["memory.swap.max = 10", "memory.max = 70"]),
            (r#"{"memory": {"limit": -1}}"#, &["memory.swap.max = max", "memory.max = max"]),
            (r#"{"cpu": {"period": 30000}}"#, &["cpu.weight = 100", "cpu.max = 5000 30000"]),
            (r#"{"cpu": {"quota": -1}}"#, &["cpu.weight = 100", "cpu.max = max 20000"]),
            (r#"{"cpu": {"idle": 1}}"#, &["cpu.idle = 1", "cpu.max = 5000 20000"]),
            (
                r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}]}}"#,
                &["io.bfq.weight = 200", "io.max = 8:0 rbps=max"],
            ),
            (r#"{"unified": {"memory.high": "5\n6"}}"#, &["memory.high = 5", "memory.high = 6"]),
        ];
        for (asked, wanted) in cases {
            assert_eq!(writes(&v2, stored, asked), wanted, "{asked}");
        }
    }

    #[test]
    fn on_v1_what_is_off_is_switched_off() {
        let v1 = Cgroup::example(Mode::Legacy, &["memory", "cpu"]);
        let stored = r#"{"memory": {"limit": 60, "disableOOMKiller": true}, "cpu": {"shares": 9, "idle": 1}}"#;
        let off = r#"{"memory": {"disableOOMKiller": false}}"#;
        assert_eq!(writes(&v1, stored, off), ["memory.limit_in_bytes = 60", "memory.oom_control = 0"]);
        assert_eq!(writes(&v1, stored, r#"{"cpu": {"idle": 0}}"#), ["cpu.shares = 9", "cpu.idle = 0"]);
        assert_eq!(writes(&v1, stored, r#"{"cpu": {"burst": 0}}"#), ["cpu.cfs_burst_us = 0", "cpu.idle = 1"]);
    }

    #[test]
    fn the_way_back() {
        for (file, old, written, wanted) in [
            ("pids.max", "max\n", "5", vec!["max"]),
            ("cpuset.cpus", "\n", "0", vec!["\n"]),
            ("cpu.max", "max 100000\n", "5000 100000", vec!["max 100000"]),
            ("memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 2\n", "0", vec!["1"]),
            ("blkio.throttle.read_bps_device", "8:0 5\n", "8:0 7", vec!["8:0 5"]),
            ("blkio.throttle.read_bps_device", "8:0 5\n", "8:16 7", vec!["8:16 0", "8:0 5"]),
            ("io.max", "", "8:0 rbps=7", vec!["8:0 rbps=max"]),
            ("io.weight", "default 100\n", "8:0 7", vec!["8:0 default", "default 100"]),
            ("io.weight", "default 100\n8:0 9\n", "7", vec!["default 100", "8:0 9"]),
            (
                "rdma.max",
                "mlx hca_handle=2 hca_object=max\n",
                "mlx hca_handle=3",
                vec!["mlx hca_handle=2 hca_object=max"],
            ),
        ] {
            let old = Old { path: Path::new("/x").join(file), text: old.to_owned(), values: vec![written.to_owned()] };
            assert_eq!(old.lines(), wanted, "{file} {written}");
        }
    }
}
