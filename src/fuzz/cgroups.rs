//! For any `linux.cgroupsPath` and id the container's cgroup is below the mounts of its hierarchies and is not one of
//! them, also for a unit of systemd; an annotation becomes the property that it names.
//!
//! The first byte chooses the host. Then follow lines: the path, the id, annotations for properties.

use std::collections::HashMap;
use std::path::{Component, Path};

use super::hosts::{HYBRID, UNIFIED};
use super::invariants::refusal;
use super::seeds;
use crate::cgroup::systemd::{Asked, Manager, fuzzed};
use crate::cgroup::{CgroupPlan, Layout, Request};
use crate::spec::Extras;

pub fn run(data: &[u8]) -> bool {
    let Some((choice, text)) = data.split_first() else { return false };
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let mut lines = text.split('\n');
    let (path, id) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    // The id has been checked before: `state` refuses another one.
    let id = if id.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !id.is_empty() { id } else { "fuzzed" };
    let property =
        |line: &str| (format!("org.systemd.property.{}", line.split('=').next().unwrap_or_default()), after(line));
    let annotations: HashMap<String, String> = lines.map(property).collect();
    let (mounts, own) = if choice & 1 == 0 { UNIFIED } else { HYBRID };
    let own = if choice & 2 == 0 { own.to_owned() } else { own.replace(":/\n", ":/outer/own\n") };
    let layout = Layout::parse(mounts, &own);
    let manager =
        Manager { user: choice & 4 != 0, root: if choice & 4 == 0 { "".into() } else { "user.slice".into() } };
    let systemd = Asked { manager: &manager, program: "tare", annotations: Some(&annotations) };
    let request = Request {
        id,
        cgroups_path: Some(Path::new(path)),
        resources: None,
        extras: &Extras::default(),
        systemd: (choice & 8 != 0).then_some(systemd),
        disabled: false,
        rootless: choice & 16 != 0,
        in_user_namespace: false,
        delegate_to: None,
        inside: None,
    };
    match CgroupPlan::new(&layout, &request) {
        Err(error) => drop(refusal(&error)),
        Ok(plan) => {
            check(&plan, manager.root.as_path(), choice & 8 != 0);
            fuzzed::properties(&plan);
        }
    }
    true
}

fn after(line: &str) -> String {
    line.split_once('=').unwrap_or_default().1.to_owned()
}

fn check(plan: &CgroupPlan, manager: &Path, unit: bool) {
    assert!(!plan.targets().is_empty(), "no cgroup");
    for target in plan.targets() {
        let normal = target.path.components().all(|part| matches!(part, Component::Normal(_)));
        assert!(normal && !target.path.as_os_str().is_empty(), "not a cgroup of its own: {:?}", target.path);
        let dir = target.dir();
        assert!(dir.starts_with(&target.mount) && dir != target.mount, "outside: {dir:?}");
        if unit {
            let inside = target.path.strip_prefix(manager).expect("below the manager's cgroup");
            let name = inside.file_name().unwrap_or_default().to_string_lossy();
            assert!(name.ends_with(".scope") && name.len() <= 256, "not a scope: {name}");
            let others = inside.parent().into_iter().flat_map(Path::components);
            let slices = others.filter(|part| !part.as_os_str().to_string_lossy().ends_with(".slice")).count();
            assert_eq!(slices, 0, "not in a slice: {inside:?}");
        }
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut paths: Vec<String> =
        seeds::values("/linux/cgroupsPath").iter().filter_map(|path| path.as_str().map(str::to_owned)).collect();
    let more = [
        "",
        "/",
        "/..",
        "a/../..",
        "/a//b/./c",
        "system.slice:tare:x",
        "-:p:x",
        "a-b-c.slice:p:x",
        "memory-a.slice::_x",
    ];
    paths.extend(more.map(str::to_owned));
    let properties = "TimeoutStopSec=0.5\nAfter=['crio.service']\nFoo=@a(st) [('/dev/sda', 1)]\nBar=(1, true, 'x', -0x10)\nBaz=uint64 7";
    let with = |choice: u8, path: &String| [&[choice], format!("{path}\nid\n{properties}").as_bytes()].concat();
    [0, 1, 2, 3, 8, 9, 12, 16]
        .iter()
        .flat_map(|choice| paths.iter().map(|path| with(*choice, path)).collect::<Vec<_>>())
        .collect()
}
