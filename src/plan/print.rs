//! A plan as text: one line an operation, each with its place in `config.json`.

use std::fmt::Write;

use super::describe::{describe, node};
use super::program::{Descriptor, Owners, Tree};
use super::{Hook, Hooks, Plan};
use crate::init::op::{self, Ask, Op};
use crate::tables::namespace;

/// The whole plan: what the parent does, then what `init` does.
pub fn print(plan: &Plan) -> String {
    let mut text = String::new();
    let mut line = |field: &str, what: &str| {
        let _ = writeln!(text, "{field:<34} {what}");
    };
    line("# runtime", "");
    // A scope comes with its first process.
    let late = plan.cgroup.is_scope();
    for it in plan.cgroup.lines().filter(|_| !late) {
        line(it.field.as_str(), &it.operation);
    }
    if let Some(rdt) = &plan.rdt {
        line(
            "linux.intelRdt",
            &format!("class {:?}: {}", rdt.class, [rdt.separate.join(" "), rdt.schemata.join(" ")].join(" ")),
        );
    }
    for joined in &plan.birth.joined {
        line(
            joined.field.as_str(),
            &format!("join {} of {:?} for the clone", namespace::names(u64::from(joined.flag)).join(" "), joined.path),
        );
    }
    if let Some(offsets) = &plan.birth.time {
        let offsets = offsets.trim_end().replace('\n', ", ");
        line("linux.timeOffsets", format!("new time namespace for the child {offsets}").trim_end());
    }
    for slot in plan.program.slots() {
        match slot {
            Descriptor::Tree(Tree { locked, source, recursive, follow, id_map, field }) => {
                let lines = |lines: &str| lines.trim_end().replace('\n', ", ");
                let id_map = match id_map.as_ref().map(|map| &map.owners) {
                    None => String::new(),
                    Some(Owners::Maps { uid, gid }) => {
                        format!(", owners mapped: uid {}; gid {}", lines(uid), lines(gid))
                    }
                    Some(Owners::Joined(path)) => format!(", owners mapped as in {path:?}"),
                };
                let tree = if *recursive { ", with all below" } else { "" };
                let locks = if *locked { ", locked" } else { "" };
                let link = if *follow { "" } else { ", not following a link" };
                line(field.as_str(), &format!("open tree {source:?}{tree}{link}{locks}{id_map}"));
            }
            Descriptor::Namespace { path, field, .. } => line(field.as_str(), &format!("open {path:?}")),
            Descriptor::Node(it) => {
                let node = node(&it.path.to_string_lossy(), it.mode, it.device, it.mode & 0o7777, it.owner);
                line(it.field.as_str(), &format!("mknod {node} on a file system of its own"));
            }
            Descriptor::Gate | Descriptor::Process | Descriptor::Kept(_) => {}
        }
    }
    let new = namespace::names(plan.birth.new).join(" ");
    line("linux.namespaces", format!("clone init into new namespaces: {new}").trim_end_matches([':', ' ']));
    for it in plan.cgroup.lines().filter(|_| late) {
        line(it.field.as_str(), &it.operation);
    }
    if let Some(maps) = &plan.birth.maps {
        line("linux.uidMappings", &format!("write uid_map {}", maps.uid.trim_end().replace('\n', ", ")));
        line("linux.gidMappings", &format!("write gid_map {}", maps.gid.trim_end().replace('\n', ", ")));
    }
    if let Some(maps) = &plan.birth.expected {
        line("linux.uidMappings", &format!("check uid_map {}", maps.uid.trim_end().replace('\n', ", ")));
        line("linux.gidMappings", &format!("check gid_map {}", maps.gid.trim_end().replace('\n', ", ")));
    }
    if let Some(score) = plan.oom_score_adj {
        line("process.oomScoreAdj", &format!("write oom_score_adj {score}"));
    }
    for (outside, inside) in &plan.net_devices {
        line("linux.netDevices", &format!("move {outside} in as {inside}"));
    }
    line("# init", "");
    for (op, field) in plan.program.iter() {
        line(field.as_str(), &describe(op, &plan.program));
        if matches!(op, Op::Talk(op::Talk::Ask { what: Ask::Hooks })) {
            before_pivot(&plan.hooks, &mut line);
        }
        if matches!(op, Op::Talk(op::Talk::Ask { what: Ask::Ready })) {
            for limit in &plan.limits {
                let what = describe(
                    &op::Process::Limit { resource: limit.resource, soft: limit.soft, hard: limit.hard }.into(),
                    &plan.program,
                );
                line("process.rlimits", &format!("(runtime) {what}"));
            }
        }
    }
    later(&plan.hooks, &mut line);
    for warning in &plan.warnings {
        line("# warning:", warning);
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

fn hooks(name: &str, list: &[Hook], place: &str, line: &mut impl FnMut(&str, &str)) {
    for (index, hook) in list.iter().enumerate() {
        line(&format!("hooks.{name}[{index}]"), &format!("run {:?} {place}", hook.path));
    }
}

fn before_pivot(list: &Hooks, line: &mut impl FnMut(&str, &str)) {
    hooks("prestart", &list.prestart, "in the runtime's namespaces", line);
    hooks("createRuntime", &list.create_runtime, "in the runtime's namespaces", line);
    hooks("createContainer", &list.create_container, "in the container's namespaces", line);
}

fn later(list: &Hooks, line: &mut impl FnMut(&str, &str)) {
    if list.start_container.is_empty() && list.poststart.is_empty() && list.poststop.is_empty() {
        return;
    }
    line("# later", "");
    hooks("startContainer", &list.start_container, "in the container, at start", line);
    hooks("poststart", &list.poststart, "in the runtime's namespaces, after start", line);
    hooks("poststop", &list.poststop, "in the runtime's namespaces, after delete", line);
}
