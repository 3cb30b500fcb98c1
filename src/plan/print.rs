//! A plan as text: a line for each operation, with its place in `config.json`.

use std::fmt::Write;
use std::path::PathBuf;

use super::describe::{describe, node};
use super::id_map::{IdMap, Owners};
use super::program::{Descriptor, Tree};
use super::{Hook, Hooks, Maps, Plan, RootUnion, Writable};
use crate::init::op::{self, Ask, Op};
use crate::spec::Field;
use crate::tables::namespace;

/// The lines of a printed plan.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, field: impl Into<Field>, what: &str) {
        let field = field.into();
        let _ = writeln!(self.0, "{:<34} {what}", field.text());
    }
}

/// The whole plan: the steps of the runtime, then those of `init`.
pub fn print(plan: &Plan) -> String {
    let mut page = Page::default();
    page.line("# runtime", "");
    before_clone(plan, &mut page);
    let new = namespace::names(plan.birth.new).join(" ");
    page.line("linux.namespaces", format!("clone init into new namespaces: {new}").trim_end_matches([':', ' ']));
    after_clone(plan, &mut page);
    page.line("# init", "");
    inside(plan, &mut page);
    later(&plan.hooks, &mut page);
    for warning in &plan.warnings {
        page.line("# warning:", warning);
    }
    let lines: Vec<&str> = page.0.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

/// Cgroups, namespaces to join, descriptors to open.
fn before_clone(plan: &Plan, page: &mut Page) {
    // systemd creates the cgroup of a scope with the first process in it, thus after the clone.
    if !plan.cgroup.is_scope() {
        cgroup(plan, page);
    }
    if let Some(rdt) = &plan.rdt {
        let schemata = [rdt.separate.join(" "), rdt.schemata.join(" ")].join(" ");
        page.line("linux.intelRdt", &format!("class {:?}: {schemata}", rdt.class));
    }
    for joined in &plan.birth.joined {
        let names = namespace::names(u64::from(joined.flag)).join(" ");
        page.line(&joined.field, &format!("join {names} of {:?} for the clone", joined.path));
    }
    if let Some(offsets) = &plan.birth.time {
        let offsets = on_one_line(offsets);
        page.line("linux.timeOffsets", format!("new time namespace for the child {offsets}").trim_end());
    }
    if let Some(union) = &plan.union {
        layers(union, page);
    }
    for slot in plan.program.slots() {
        descriptor(slot, page);
    }
}

fn cgroup(plan: &Plan, page: &mut Page) {
    for it in plan.cgroup.lines() {
        page.line(&it.field, &it.operation);
    }
}

/// The parts of a union, in the order of the look-up of a file: the writable layer, then the layers with the base last.
fn layers(union: &RootUnion, page: &mut Page) {
    if let Some(Writable { field, upper, work, missing, kept, .. }) = &union.writable {
        let fate = |path: &PathBuf| match missing.contains(path) {
            false => ", which exists and stays",
            true if kept.contains(path) => ", made, and kept",
            true => ", made, and removed by delete",
        };
        page.line(field, &format!("writable layer {upper:?}{}", fate(upper)));
        page.line(field, &format!("its work directory {work:?}{}", fate(work)));
    }
    let owners = union.id_map.as_ref().map_or_else(String::new, owners);
    for (index, layer) in union.layers.iter().enumerate().rev() {
        page.line(union.field.element(index), &format!("layer {layer:?}{owners}"));
    }
}

/// Lines of a file of procfs.
fn on_one_line(lines: &str) -> String {
    lines.trim_end().replace('\n', ", ")
}

fn descriptor(slot: &Descriptor, page: &mut Page) {
    match slot {
        Descriptor::Tree(it) => tree(it, page),
        Descriptor::Namespace { path, field, .. } => page.line(field, &format!("open {path:?}")),
        Descriptor::Node(it) => {
            let node = node(&it.path.to_string_lossy(), it.mode, it.device, it.mode & 0o7777, it.owner);
            page.line(&it.field, &format!("mknod {node} on a file system of its own"));
        }
        Descriptor::Union(it) => {
            let by = it.fuse.as_ref().map_or_else(String::new, |program| format!(" by {program:?}"));
            let count = it.layers.len();
            page.line(&it.field, &format!("mount an overlay of {count} layers in a mount namespace of its own{by}"));
        }
        Descriptor::Gate | Descriptor::Process | Descriptor::Tasks(_) | Descriptor::Kept(_) => {}
    }
}

fn owners(map: &IdMap) -> String {
    match &map.owners {
        Owners::Maps { uid, gid } => format!(", owners mapped: uid {}; gid {}", on_one_line(uid), on_one_line(gid)),
        Owners::Joined(path) => format!(", owners mapped as in {path:?}"),
    }
}

fn tree(it: &Tree, page: &mut Page) {
    let Tree { locked, source, recursive, follow, id_map, field } = it;
    let owners = id_map.as_ref().map_or_else(String::new, owners);
    let tree = if *recursive { ", with all below" } else { "" };
    let locks = if *locked { ", locked" } else { "" };
    let link = if *follow { "" } else { ", not following a link" };
    page.line(field, &format!("open tree {source:?}{tree}{link}{locks}{owners}"));
}

/// The steps of the runtime while `init` waits.
fn after_clone(plan: &Plan, page: &mut Page) {
    if plan.cgroup.is_scope() {
        cgroup(plan, page);
    }
    let mut maps = |verb: &str, maps: &Option<Maps>| {
        if let Some(Maps { uid, gid }) = maps {
            page.line("linux.uidMappings", &format!("{verb} uid_map {}", on_one_line(uid)));
            page.line("linux.gidMappings", &format!("{verb} gid_map {}", on_one_line(gid)));
        }
    };
    maps("write", &plan.birth.maps);
    maps("check", &plan.birth.expected);
    if let Some(score) = plan.oom_score_adj {
        page.line("process.oomScoreAdj", &format!("write oom_score_adj {score}"));
    }
    for (outside, inside) in &plan.net_devices {
        page.line("linux.netDevices", &format!("move {outside} in as {inside}"));
    }
}

/// The operations of `init`, and the steps of the runtime that `init` asks for.
fn inside(plan: &Plan, page: &mut Page) {
    for (op, field) in plan.program.iter() {
        page.line(field, &describe(op, &plan.program));
        let Op::Talk(op::Talk::Ask { what }) = op else { continue };
        match what {
            Ask::Hooks => before_pivot(&plan.hooks, page),
            Ask::Ready => limits(plan, page),
            Ask::NetDevices => {}
        }
    }
}

fn limits(plan: &Plan, page: &mut Page) {
    for limit in &plan.limits {
        let op = op::Process::Limit { resource: limit.resource, soft: limit.soft, hard: limit.hard };
        page.line("process.rlimits", &format!("(runtime) {}", describe(&op.into(), &plan.program)));
    }
}

fn hooks(name: &str, list: &[Hook], place: &str, page: &mut Page) {
    for (index, hook) in list.iter().enumerate() {
        page.line(format!("hooks.{name}[{index}]"), &format!("run {:?} {place}", hook.path));
    }
}

fn before_pivot(list: &Hooks, page: &mut Page) {
    hooks("prestart", &list.prestart, "in the runtime's namespaces", page);
    hooks("createRuntime", &list.create_runtime, "in the runtime's namespaces", page);
    hooks("createContainer", &list.create_container, "in the container's namespaces", page);
}

/// The hooks that run after `create`.
fn later(list: &Hooks, page: &mut Page) {
    if list.start_container.is_empty() && list.poststart.is_empty() && list.poststop.is_empty() {
        return;
    }
    page.line("# later", "");
    hooks("startContainer", &list.start_container, "in the container, at start", page);
    hooks("poststart", &list.poststart, "in the runtime's namespaces, after start", page);
    hooks("poststop", &list.poststop, "in the runtime's namespaces, after delete", page);
}
