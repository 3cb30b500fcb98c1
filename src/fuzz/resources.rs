//! For any `update --resources` file the loader and the planner do not panic, and each write goes to a file of the
//! container's own cgroup.
//!
//! After the separator the first byte chooses the host.

use serde_json::{Map, Value, json};

use super::invariants::{self, refusal};
use super::mutate::SEPARATOR;
use super::seeds;
use crate::cgroup::{CgroupPlan, Existing, HostDir, Mode, merge};
use crate::spec;

/// The directories of a cgroup in the hierarchies of these controllers.
fn dirs(controllers: &[&str]) -> Vec<HostDir> {
    let dir = |controllers: &&str| {
        let mount = std::path::Path::new("/sys/fs/cgroup").join(controllers);
        HostDir { controllers: (*controllers).to_owned(), dir: mount.join("box"), mount }
    };
    controllers.iter().map(dir).collect()
}

pub fn run(data: &[u8]) -> bool {
    let (file, choice) = data.split_at(data.iter().position(|byte| *byte == SEPARATOR).unwrap_or(data.len()));
    let choice = choice.get(1).copied().unwrap_or_default();
    let asked = match spec::parse_resources(file) {
        Ok(asked) => asked,
        Err(error) => {
            refusal(&error);
            return false;
        }
    };
    let v1 = ["memory", "cpu,cpuacct", "cpuset", "devices", "blkio", "pids", "hugetlb", "net_cls,net_prio", "rdma"];
    let (mode, dirs) = match choice % 3 {
        0 => (Mode::Unified, dirs(&[""])),
        1 => (Mode::Legacy, dirs(&v1)),
        _ => (Mode::Hybrid, dirs(&[&v1[..], &[""]].concat())),
    };
    let stored = json!({
        "memory": {"limit": 1 << 30, "swap": 1u64 << 31}, "cpu": {"shares": 512, "quota": 5000, "period": 20000},
        "pids": {"limit": 9}, "devices": [{"allow": false, "access": "rwm"}],
    });
    let Value::Object(mut merged) = stored else { return false };
    merge(&mut merged, &asked);
    plan(&merged, &asked, Existing { mode, dirs: &dirs, is_unit: choice & 0x80 != 0 });
    true
}

fn plan(merged: &Map<String, Value>, asked: &Map<String, Value>, existing: Existing<'_>) {
    let config = match spec::parse(&invariants::config(&[("/linux/resources", Value::from(merged.clone()))])) {
        Ok(config) => config,
        Err(error) => return drop(refusal(&error)),
    };
    let resources = config.resources().cloned().unwrap_or_default();
    match CgroupPlan::update(existing, &resources, config.extras(), asked) {
        Err(error) => drop(refusal(&error)),
        Ok(plan) => check(&plan, existing),
    }
}

fn check(plan: &CgroupPlan, existing: Existing<'_>) {
    for write in plan.writes() {
        assert!(write.target < existing.dirs.len(), "no such hierarchy");
        assert!(!write.file.contains(['/', '\0']) && write.file.contains('.'), "not a cgroup's file: {:?}", write.file);
        assert!(!write.value.contains(['\n', '\0']), "not one line: {:?}", write.value);
        assert!(write.field.text().starts_with("linux.resources"), "another field: {}", write.field);
    }
    assert!(plan.writes().len() < 100_000, "{} writes", plan.writes().len());
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut all = seeds::values("/linux/resources");
    all.push(json!({"unified": {"memory.high/../../cgroup.kill": "1"}}));
    let with = |choice: u8| move |value: &Value| [value.to_string().as_bytes(), &[SEPARATOR, choice]].concat();
    [0, 1, 2, 0x80].iter().flat_map(|choice| all.iter().map(with(*choice)).collect::<Vec<_>>()).collect()
}
