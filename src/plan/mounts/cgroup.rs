//! A mount of type `cgroup`: the container's view of its cgroups.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::super::context::Context;
use super::super::program::{Descriptor, Program};
use super::entry::{Later, MountEntry};
use crate::cgroup::{Mode, Target};
use crate::init::op::{self, Attributes, Rules, Slot, Text};
use crate::spec::{Field, refuse};
use crate::tables::mount_option::RDONLY;

/// The v2 hierarchy of the host.
const HIERARCHY: &str = "/sys/fs/cgroup";

/// Appends one mount on v2, and on v1 a tmpfs with a mount for each hierarchy.
pub fn cgroup(program: &mut Program, context: &Context<'_>, entry: &MountEntry<'_>, later: &mut Later) -> Result<()> {
    if context.facts.cgroups.mode() == Mode::Unified {
        unified(program, context, entry);
        return Ok(());
    }
    if let Some((key, _)) = entry.options.data.first() {
        refuse!(entry.field.member("options"), "\"{key}\" means nothing to the hierarchies of cgroup v1");
    }
    let base = tmpfs(program, context, entry);
    for hierarchy in context.cgroup_targets() {
        let Some(name) = hierarchy.mount.file_name() else { continue };
        let target = program.text(&entry.destination.join(name).to_string_lossy());
        match context.own_cgroup() {
            true => new_view(program, &hierarchy, target, entry),
            false => bind(program, context, &hierarchy, target, entry)?,
        }
        links(program, base, &hierarchy.controllers, name.to_string_lossy().as_ref(), &entry.field);
    }
    if entry.options.attributes.set & RDONLY != 0 {
        later.read_only(&entry.field, base);
    }
    Ok(())
}

fn unified(program: &mut Program, context: &Context<'_>, entry: &MountEntry<'_>) {
    let plain = entry.options.data.is_empty() && !entry.options.superblock;
    if plain && !context.own_cgroup() && !context.in_user_namespace() {
        bind_hierarchy(program, entry);
        return;
    }
    // A user namespace without a cgroup namespace may not mount the hierarchy. Where the mount is refused, init binds
    // the container's cgroup or, in a cgroup namespace of its own, the host's mount.
    let own = context.cgroup_targets().first().map(Target::dir);
    let instead = match own {
        Some(own) if !context.own_cgroup() => program.text(&own.to_string_lossy()),
        _ => program.text(HIERARCHY),
    };
    let source = entry.source();
    let source = program.text(if source.is_empty() { "cgroup" } else { &source });
    let (kind, options) = (program.text("cgroup2"), program.options(&entry.options.data));
    let (attributes, rules) = (entry.options.on_a_new_mount(), entry.options.legacy);
    let MountEntry { target, keep, .. } = *entry;
    program
        .push(&entry.field, op::Mount::FileSystem { target, kind, source, instead, options, attributes, rules, keep });
}

/// Binds the host's mount of the v2 hierarchy: it shows what a new mount would show. A new mount in the host's cgroup
/// namespace sets the options of the hierarchy for the whole host, so one without options takes `nsdelegate`,
/// `memory_recursiveprot` and `favordynmods` away from it (runc#5258). It also waits for a grace period of RCU: ten
/// milliseconds on an idle machine (kernel/cgroup/cgroup.c, `apply_cgroup_root_flags`).
fn bind_hierarchy(program: &mut Program, entry: &MountEntry<'_>) {
    let source = program.text(HIERARCHY);
    let (attributes, rules) = (entry.options.on_a_new_mount(), Rules::EXACT);
    let MountEntry { target, keep, .. } = *entry;
    let instead = Text::NONE;
    program.push(&entry.field, op::Mount::Bind { target, source, instead, recursive: false, attributes, rules, keep });
}

/// Appends the tmpfs that holds the mounts of the hierarchies. It stays open: later it gets links and becomes
/// read-only.
fn tmpfs(program: &mut Program, context: &Context<'_>, entry: &MountEntry<'_>) -> Slot {
    let (kind, source, instead) = (program.text("tmpfs"), program.text("tmpfs"), Text::NONE);
    let mut options = vec![("mode", Some("755"))];
    options.extend(context.config.mount_label().map(|label| ("context", Some(label))));
    let options = program.options(&options);
    let asked = entry.options.on_a_new_mount();
    let attributes = Attributes { set: asked.set & !RDONLY, ..asked };
    let (target, rules) = (entry.target, entry.options.legacy);
    let keep = program.slot(Descriptor::Kept(entry.index));
    program
        .push(&entry.field, op::Mount::FileSystem { target, kind, source, instead, options, attributes, rules, keep });
    keep
}

/// Mounts a hierarchy in the container's cgroup namespace, which makes the container's cgroup the root of the mount.
fn new_view(program: &mut Program, hierarchy: &Target, target: Text, entry: &MountEntry<'_>) {
    let kind = program.text(if hierarchy.is_v2() { "cgroup2" } else { "cgroup" });
    let source = program.text(source_of(&hierarchy.controllers));
    let controllers = hierarchy.controllers.split(',').filter(|name| !name.is_empty());
    let option = |name| match str::split_once(name, '=') {
        Some((key, value)) => (key, Some(value)),
        None => (name, None),
    };
    let options = program.options(&controllers.map(option).collect::<Vec<_>>());
    let (attributes, rules) = (entry.options.on_a_new_mount(), entry.options.legacy);
    let (instead, keep) = (Text::NONE, Slot::NONE);
    program
        .push(&entry.field, op::Mount::FileSystem { target, kind, source, instead, options, attributes, rules, keep });
}

/// Binds the container's cgroup of a hierarchy.
fn bind(
    program: &mut Program,
    context: &Context<'_>,
    hierarchy: &Target,
    target: Text,
    entry: &MountEntry<'_>,
) -> Result<()> {
    let source = program.text(&hierarchy.dir().to_string_lossy());
    // A caller that may not make cgroups gets its own cgroup here, as with runc: programs read limits from it.
    let instead = match context.options.rootless_cgroups {
        true => program.text(&own_of_caller(context, &hierarchy.mount)?.to_string_lossy()),
        false => Text::NONE,
    };
    let (attributes, rules, keep) = (entry.options.on_a_new_mount(), Rules::EXACT, Slot::NONE);
    program.push(&entry.field, op::Mount::Bind { target, source, instead, recursive: false, attributes, rules, keep });
    Ok(())
}

/// The directory of the caller's cgroup in a hierarchy.
fn own_of_caller(context: &Context<'_>, mount: &Path) -> Result<PathBuf> {
    let layout = &context.facts.cgroups;
    let own = match layout.v1().iter().find(|hierarchy| hierarchy.mount == mount) {
        Some(hierarchy) => &hierarchy.own,
        None => layout.v2_own()?,
    };
    Ok(mount.join(own.strip_prefix("/").unwrap_or(own)))
}

/// The source of a named hierarchy is its name, as with runc: systemd in the container expects it.
fn source_of(controllers: &str) -> &str {
    controllers.strip_prefix("name=").unwrap_or("cgroup")
}

/// Appends links such as `cpu -> cpu,cpuacct`, for controllers that share a hierarchy.
fn links(program: &mut Program, base: Slot, controllers: &str, name: &str, field: &Field) {
    let apart: Vec<&str> =
        controllers.split(',').filter(|one| *one != name && !one.contains('=') && !one.is_empty()).collect();
    if apart.is_empty() {
        return;
    }
    let path = program.text("/");
    program.push(field, op::Entry::Directory { base, path, rules: Rules::NONE });
    for controller in apart {
        let (name, target) = (program.text(controller), program.text(name));
        program.push(field, op::Entry::Link { name, target });
    }
}
