//! The plan of an update: new limits for an existing cgroup; pure.

use std::path::Path;

use anyhow::Result;
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value};

use super::compile::CgroupPlan;
use super::resources::{self, Wanted};
use crate::cgroup::layout::{HostDir, Layout, Mode};
use crate::cgroup::writes::{OOM_CONTROL, Target, Writes};
use crate::spec::{Extras, Field};
use crate::tables::limit::section;

/// An existing cgroup.
#[derive(Clone, Copy, Debug)]
pub struct Existing<'a> {
    /// The kind of host that it was made on.
    pub mode: Mode,
    /// Its directory in each hierarchy.
    pub dirs: &'a [HostDir],
    /// Whether it belongs to a unit of systemd.
    pub is_unit: bool,
}

impl CgroupPlan {
    /// Plans the writes that give an `existing` cgroup the limits `resources`: its old limits, with `asked` merged into
    /// them ([`merge`](super::merge::merge)). Device rules stay as they are.
    ///
    /// The limits of a section (`memory`, `cpu`, …) depend on each other. So a section that occurs in `asked` is
    /// written as a whole, and the others are not. Fails like [`CgroupPlan::new`].
    pub fn update(
        existing: Existing,
        resources: &LinuxResources,
        extras: &Extras,
        asked: &Map<String, Value>,
    ) -> Result<CgroupPlan> {
        let target = |dir: &HostDir| Target {
            controllers: dir.controllers.clone(),
            mount: dir.mount.clone(),
            path: dir.dir.strip_prefix(&dir.mount).map(Path::to_owned).unwrap_or_default(),
        };
        let mut plan = CgroupPlan {
            writes: Writes::new(existing.mode, existing.dirs.iter().map(target).collect()),
            rules: Vec::new(),
            program: None,
            rootless: false,
            in_user_namespace: false,
            disabled: false,
            has_path: true,
            delegate_to: None,
            inside: None,
            scope: None,
        };
        let layout = Layout::of(existing.mode, existing.dirs);
        let wanted = only(resources, asked);
        let extras = Extras {
            limits: extras.limits.iter().copied().filter(|(field, _)| speaks_of(asked, section(field))).collect(),
            hugepage_limits: match speaks_of(asked, "hugepageLimits") {
                true => extras.hugepage_limits.clone(),
                false => Vec::new(),
            },
        };
        resources::plan(&mut plan.writes, &layout, Wanted { resources: &wanted, extras: &extras })?;
        complete(&mut plan.writes, &wanted, asked);
        // When systemd gets a property, it replaces the device rules.
        if existing.is_unit && plan.writes.target_of("devices").is_some() {
            plan.add_devices(Some(resources))?;
        }
        Ok(plan)
    }
}

/// Appends the writes that only a cgroup with old limits needs.
fn complete(writes: &mut Writes, resources: &LinuxResources, asked: &Map<String, Value>) {
    let given = |section: &str, name: &str| asked.get(section)?.get(name).filter(|value| !value.is_null());
    // In a new cgroup the switch is off, so that needs no write there.
    let off = given("memory", "disableOOMKiller") == Some(&Value::Bool(false));
    if let (true, Some(target)) = (off, writes.target_of("memory")) {
        writes.add(target, OOM_CONTROL, 0, Field::of("linux.resources.memory.disableOOMKiller"));
    }
    // The kernel refuses to set the weight of an idle group.
    let idle = resources.cpu().as_ref().is_some_and(|cpu| cpu.idle() == Some(1));
    if idle && given("cpu", "shares").is_none() {
        writes.all.retain(|write| !matches!(&*write.file, "cpu.shares" | "cpu.weight"));
    }
    if given("memory", "limit").is_none() && given("memory", "swap").is_none() {
        writes.usage = None;
    }
}

fn speaks_of(asked: &Map<String, Value>, section: &str) -> bool {
    asked.get(section).is_some_and(|value| !value.is_null())
}

/// The sections of `resources` that occur in `asked`.
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

#[cfg(test)]
mod tests {
    use super::super::merge::merge;
    use super::*;
    use crate::cgroup::layout;

    /// The writes of an update that merges `asked` into `stored`.
    fn writes(mode: Mode, dirs: &[HostDir], stored: &str, asked: &str) -> Vec<String> {
        let config = r#"{"ociVersion": "1.2.0", "root": {"path": "x"}, "process": {"cwd": "/", "args": ["x"],
            "user": {"uid": 0, "gid": 0}}, "linux": {"resources": {}}}"#;
        let mut config: Value = serde_json::from_str(config).unwrap();
        let mut resources: Map<String, Value> = serde_json::from_str(stored).unwrap();
        let asked: Map<String, Value> = serde_json::from_str(asked).unwrap();
        merge(&mut resources, &asked);
        config["linux"]["resources"] = Value::from(resources);
        let config = crate::spec::parse(config.to_string().as_bytes()).unwrap();
        let existing = Existing { mode, dirs, is_unit: false };
        let plan = CgroupPlan::update(existing, config.resources().unwrap(), config.extras(), &asked).unwrap();
        plan.writes().iter().map(|write| format!("{} = {}", write.file, write.value)).collect()
    }

    #[test]
    fn only_sections_that_are_spoken_of_are_written() {
        let v2 = layout::example(&[""]);
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
            assert_eq!(writes(Mode::Unified, &v2, stored, asked), wanted, "{asked}");
        }
    }

    #[test]
    fn a_value_with_a_nul_is_refused() {
        let v2 = layout::example(&[""]);
        let asked: Map<String, Value> = serde_json::from_str(r#"{"unified": {"memory.high": "5\u00006"}}"#).unwrap();
        let mut resources = LinuxResources::default();
        resources.set_unified(serde_json::from_value(asked["unified"].clone()).unwrap());
        let existing = Existing { mode: Mode::Unified, dirs: &v2, is_unit: false };
        let error = CgroupPlan::update(existing, &resources, &Extras::default(), &asked).unwrap_err();
        assert_eq!(error.to_string(), "linux.resources.unified.memory.high: contains a NUL byte");
    }

    #[test]
    fn on_v1_what_is_off_is_switched_off() {
        let v1 = layout::example(&["memory", "cpu"]);
        let stored = r#"{"memory": {"limit": 60, "disableOOMKiller": true}, "cpu": {"shares": 9, "idle": 1}}"#;
        let off = r#"{"memory": {"disableOOMKiller": false}}"#;
        assert_eq!(writes(Mode::Legacy, &v1, stored, off), ["memory.limit_in_bytes = 60", "memory.oom_control = 0"]);
        assert_eq!(writes(Mode::Legacy, &v1, stored, r#"{"cpu": {"idle": 0}}"#), ["cpu.shares = 9", "cpu.idle = 0"]);
        assert_eq!(
            writes(Mode::Legacy, &v1, stored, r#"{"cpu": {"burst": 0}}"#),
            ["cpu.cfs_burst_us = 0", "cpu.idle = 1"]
        );
    }
}
