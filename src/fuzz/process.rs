//! For any `exec --process` file the loader and the planner do not panic, and the process gets the rights that the file
//! asks for, or the container's first process has, and no others.
//!
//! After the separator the first byte chooses the container.

use serde_json::{Value, json};

use super::config::calls;
use super::invariants::{self, refusal};
use super::mutate::SEPARATOR;
use super::rights::{self, RightsAsked};
use super::seeds;
use crate::cgroup::HostDir;
use crate::plan::Exec;
use crate::spec;

/// The configs of running containers.
fn containers() -> [Vec<u8>; 3] {
    let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let namespaces = json!(["mount", "pid", "user", "network"].map(|kind| json!({"type": kind})));
    let filter =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO"}]});
    let few = json!({"bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"]});
    [
        invariants::config(&[]),
        invariants::config(&[
            ("/linux/namespaces", namespaces),
            ("/linux/uidMappings", maps.clone()),
            ("/linux/gidMappings", maps),
            ("/linux/seccomp", filter.clone()),
            ("/process/noNewPrivileges", json!(true)),
            ("/process/capabilities", few.clone()),
        ]),
        invariants::config(&[
            ("/linux/namespaces", json!([{"type": "pid"}])),
            ("/linux/seccomp", filter),
            ("/process/capabilities", few),
        ]),
    ]
}

pub fn run(data: &[u8]) -> bool {
    let (file, choice) = data.split_at(data.iter().position(|byte| *byte == SEPARATOR).unwrap_or(data.len()));
    let choice = usize::from(choice.get(1).copied().unwrap_or_default());
    let containers = containers();
    let container = &containers[choice % containers.len()];
    let config = spec::parse(container).expect("a valid config");
    let parsed = spec::parse_process(file);
    let mut process = match parsed {
        Ok(process) => process,
        Err(error) => {
            refusal(&error);
            return false;
        }
    };
    process.inherit(config.process());
    if let Err(error) = spec::check_process(&process) {
        refusal(&error);
        return false;
    }
    let Ok(own) = serde_json::from_slice::<Value>(file) else { return false };
    let document: Value = serde_json::from_slice(container).expect("a valid config");
    let asked = RightsAsked::of(&own, &document["process"], !document["linux"]["seccomp"].is_null());
    let dir = HostDir { controllers: String::new(), mount: "/sys/fs/cgroup".into(), dir: "/sys/fs/cgroup/box".into() };
    for (at, (facts, options)) in calls().into_iter().enumerate() {
        let cgroups = [dir.clone()];
        let joined = Exec {
            config: &config,
            facts: &facts,
            options: &options,
            pid: 7,
            cgroups: &cgroups,
            attaches_late: at == 3,
        };
        match joined.plan(&process) {
            Err(error) => drop(refusal(&error)),
            Ok(plan) => rights::check(&plan.program, &asked),
        }
    }
    true
}

pub fn seeds() -> Vec<Vec<u8>> {
    let processes = seeds::values("/process");
    let with = |choice: u8| move |process: &Value| [process.to_string().as_bytes(), &[SEPARATOR, choice]].concat();
    (0..3).flat_map(|choice| processes.iter().map(with(choice)).collect::<Vec<_>>()).collect()
}
