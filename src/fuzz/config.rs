//! For any config.json the loader, the planner and the printer do not panic, and a refusal is one line that begins with
//! the place in the config. A plan gives the process the rights of the config and no others.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::hosts::{HYBRID, UNIFIED};
use super::invariants::refusal;
use super::rights::{self, RightsAsked};
use crate::cgroup::Layout;
use crate::cgroup::systemd::Manager;
use crate::plan::{Caller, Facts, Options, compile, print};
use crate::spec::{self, clean};

/// Facts and options of several hosts and calls.
pub fn calls() -> [(Facts, Options); 4] {
    let reference = |(mounts, cgroups): (&str, &str)| Facts::reference(Layout::parse(mounts, cgroups));
    let options = Options {
        id: "fuzzed".to_owned(),
        bundle: PathBuf::from("/bundle"),
        gate: true,
        program: "tare".to_owned(),
        ..Options::default()
    };
    let caller = Caller { euid: 1000, egid: 1000, in_user_namespace: false };
    let user = Manager { user: true, root: PathBuf::from("user.slice") };
    let rootless = Facts { caller, manager: Some(user), opens_trees: false, ..reference(UNIFIED) };
    let inside = Caller { euid: 0, egid: 0, in_user_namespace: true };
    let nested = Facts { caller: inside, denies_setgroups: true, clones_into_cgroups: false, ..reference(UNIFIED) };
    let lsm = Facts { selinux: true, apparmor: true, proc_and_sysfs: vec!["/proc".into()], ..reference(HYBRID) };
    [
        (reference(UNIFIED), options.clone()),
        (
            lsm,
            Options {
                no_pivot: true,
                notify: Some("/run/notify".into()),
                listen_fds: 2,
                preserve_fds: 2,
                ..options.clone()
            },
        ),
        (rootless, Options { rootless_cgroups: true, systemd_cgroup: true, ..options.clone() }),
        (nested, Options { no_cgroup: true, no_new_keyring: true, gate: false, ..options }),
    ]
}

pub fn run(data: &[u8]) -> bool {
    let config = match spec::parse(data) {
        Ok(config) => config,
        Err(error) => {
            refusal(&error);
            return false;
        }
    };
    let Ok(document) = serde_json::from_slice::<Value>(data) else { return false };
    let process = &document["process"];
    let asked = RightsAsked::of(process, process, !document["linux"]["seccomp"].is_null());
    for (facts, options) in calls() {
        match compile(&config, &facts, &options) {
            Err(error) => drop(refusal(&error)),
            Ok(plan) => {
                rights::check(&plan.program, &asked);
                let root = document["root"]["path"].as_str().unwrap_or_default();
                assert_eq!(plan.rootfs, clean(&Path::new("/bundle").join(root)), "another root");
                let lines = print(&plan);
                // Operations and memory grow with the config and with nothing else.
                let size = 64 + data.len();
                assert!(plan.program.ops().len() <= size, "{} operations", plan.program.ops().len());
                assert!(plan.program.data().len() + lines.len() <= 256 * size, "the plan is large");
            }
        }
    }
    let _ = spec::unknown_properties(data, &config);
    true
}
