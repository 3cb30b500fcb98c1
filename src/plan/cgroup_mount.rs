//! A mount of type `cgroup`: the container's view of its control groups.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::context::Context;
use super::program::{Descriptor, NO_ATTRIBUTES, Program};
use crate::cgroup::Mode;
use crate::init::op::{self, Attributes, Op, Rules, Slot, Text};
use crate::spec::{Field, refuse};
use crate::tables::mount_option::RDONLY;

/// The mount as the config has it.
pub struct View<'a> {
    /// `destination`, as a text of the program.
    pub target: Text,
    /// `destination`, cleaned.
    pub destination: &'a Path,
    /// `source`
    pub source: &'a str,
    /// Flags.
    pub attributes: Attributes,
    /// Options of the file system.
    pub options: &'a [(&'a str, Option<&'a str>)],
    /// Rules for its mounts.
    pub rules: Rules,
    /// Its number in `mounts`.
    pub index: usize,
    /// Where it stays open.
    pub keep: Slot,
    /// Its place in the config.
    pub field: &'a Field,
}

/// On v2 one mount; on v1 a tmpfs with one mount a hierarchy.
pub fn plan(
    program: &mut Program,
    context: &mut Context<'_>,
    view: &View<'_>,
    late: &mut Vec<(Field, Op)>,
) -> Result<()> {
    if context.facts.cgroups.mode() == Mode::Unified {
        unified(program, context, view);
        return Ok(());
    }
    let View { target, destination, field, index, .. } = *view;
    let attributes = Attributes { clear: 0, ..view.attributes };
    if let Some((key, _)) = view.options.first() {
        refuse!(field.member("options"), "\"{key}\" means nothing to the hierarchies of cgroup v1");
    }
    let kept = Attributes { set: attributes.set & !RDONLY, ..attributes };
    let (kind, source) = (program.text("tmpfs"), program.text("tmpfs"));
    let options = program.options(&[("mode", Some("755"))]);
    let (instead, base) = (Text::NONE, program.slot(Descriptor::Kept(index)));
    program.push(
        field,
        op::Mount::FileSystem {
            target,
            kind,
            source,
            instead,
            options,
            attributes: kept,
            rules: view.rules,
            keep: base,
        },
    );
    for hierarchy in context.cgroup_targets() {
        let Some(name) = hierarchy.mount.file_name() else { continue };
        let inner = destination.join(name);
        let target = program.text(&inner.to_string_lossy());
        if context.own_cgroup() {
            let (kind, source) = (
                program.text(if hierarchy.is_v2() { "cgroup2" } else { "cgroup" }),
                program.text(source_of(&hierarchy.controllers)),
            );
            let mut data: Vec<(&str, Option<&str>)> = Vec::new();
            for controller in hierarchy.controllers.split(',').filter(|name| !name.is_empty()) {
                data.push(match controller.split_once('=') {
                    Some((key, value)) => (key, Some(value)),
                    None => (controller, None),
                });
            }
            let options = program.options(&data);
            program.push(
                field,
                op::Mount::FileSystem {
                    target,
                    kind,
                    source,
                    instead,
                    options,
                    attributes,
                    rules: view.rules,
                    keep: Slot::NONE,
                },
            );
        } else {
            let source = program.text(&hierarchy.dir().to_string_lossy());
            // Who may make no cgroup is shown the one that he is in, as by runc: programs look for limits there.
            let instead = match context.options.rootless_cgroups {
                true => program.text(&own_of_caller(context, &hierarchy.mount)?.to_string_lossy()),
                false => Text::NONE,
            };
            let (rules, keep) = (Rules::EXACT, Slot::NONE);
            program.push(field, op::Mount::Bind { target, source, instead, recursive: false, attributes, rules, keep });
        }
        links(program, base, &hierarchy.controllers, name.to_string_lossy().as_ref(), field);
    }
    if attributes.set & RDONLY != 0 {
        let attributes = Attributes { set: RDONLY, ..NO_ATTRIBUTES };
        late.push((field.clone(), op::Mount::Reattribute { mount: base, attributes }.into()));
    }
    Ok(())
}

fn unified(program: &mut Program, context: &Context<'_>, view: &View<'_>) {
    // A user namespace without a cgroup namespace may not mount the hierarchy; it is shown what
    // the host shows, or its own part of it.
    let own = context.cgroup_targets().first().map(|target| target.dir());
    let instead = match own {
        Some(own) if !context.own_cgroup() => program.text(&own.to_string_lossy()),
        _ => program.text("/sys/fs/cgroup"),
    };
    let source = if view.source.is_empty() { "cgroup" } else { view.source };
    let (kind, source) = (program.text("cgroup2"), program.text(source));
    let options = program.options(view.options);
    let attributes = Attributes { clear: 0, ..view.attributes };
    let View { target, rules, keep, .. } = *view;
    program.push(view.field, op::Mount::FileSystem { target, kind, source, instead, options, attributes, rules, keep });
}

/// The directory of the caller's own cgroup in a hierarchy.
fn own_of_caller(context: &Context<'_>, mount: &Path) -> Result<PathBuf> {
    let layout = &context.facts.cgroups;
    let own = match layout.v1().iter().find(|hierarchy| hierarchy.mount == mount) {
        Some(hierarchy) => &hierarchy.own,
        None => layout.v2_own()?,
    };
    Ok(mount.join(own.strip_prefix("/").unwrap_or(own)))
}

/// A named hierarchy is shown by its name, as runc does and systemd inside expects.
fn source_of(controllers: &str) -> &str {
    controllers.strip_prefix("name=").unwrap_or("cgroup")
}

/// `cpu -> cpu,cpuacct` and the like, where controllers share a hierarchy.
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
