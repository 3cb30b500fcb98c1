//! Bind mounts.

use std::path::PathBuf;

use anyhow::Result;

use super::super::context::Context;
use super::super::id_map::IdMap;
use super::super::program::{Descriptor, Program, Tree};
use super::entry::MountEntry;
use super::owners::id_map;
use crate::init::op::{self, Attributes, Rules, Slot, Text};
use crate::spec::{Field, refuse};

pub fn bind(program: &mut Program, context: &mut Context<'_>, entry: &MountEntry<'_>, recursive: bool) -> Result<()> {
    let MountEntry { mount, field, target, options, keep, .. } = entry;
    let Some(source) = mount.source().as_deref().filter(|source| !source.as_os_str().is_empty()) else {
        refuse!(field.member("source"), "must not be empty for a bind mount");
    };
    if options.copy_up {
        refuse!(field.member("options"), "tmpcopyup is for tmpfs only");
    }
    for (key, _) in &options.data {
        // mount(2) ignores it, too: a bind mounts no file system that could take the option.
        context.warn(format!("{field}.options: \"{key}\" has no effect on a bind mount"));
    }
    // config.md: a relative source is relative to the bundle.
    let source = if source.is_absolute() { source.to_path_buf() } else { context.options.bundle.join(source) };
    let attributes = options.attributes;
    let id_map = id_map(context, mount, options, field)?;
    let graft = Graft { source, recursive, id_map, attributes, rules: rules(entry), keep: *keep };
    attach(program, context, field, *target, graft);
    Ok(())
}

fn rules(entry: &MountEntry<'_>) -> Rules {
    let options = &entry.options;
    let exact = options.attributes.set | options.attributes.clear != 0 || options.superblock;
    options.links
        | entry.living
        | Rules::EXACT.when(exact)
        | Rules::IN_PROC.when(entry.is_below("/proc"))
        | Rules::PROC_ONLY.when(entry.is_at("/proc"))
}

/// A tree of the host, and the way to attach it.
pub struct Graft {
    pub source: PathBuf,
    pub recursive: bool,
    pub id_map: Option<IdMap>,
    pub attributes: Attributes,
    pub rules: Rules,
    pub keep: Slot,
}

/// Attaches a tree of the host. The runtime opens the tree if `init` could not, or if its owners are mapped.
pub fn attach(program: &mut Program, context: &Context<'_>, field: &Field, target: Text, graft: Graft) {
    let Graft { source, recursive, id_map, attributes, mut rules, keep } = graft;
    if id_map.is_none() && !context.sources_by_parent() {
        let (source, instead) = (program.text(&source.to_string_lossy()), Text::NONE);
        program.push(field, op::Mount::Bind { target, source, instead, recursive, attributes, rules, keep });
        return;
    }
    let follow = !rules.has(Rules::SOURCE_NO_FOLLOW);
    rules = rules.without(Rules::SOURCE_NO_FOLLOW);
    let locked = context.in_user_namespace();
    // Trees that init opens are slaves already (`op::Rootfs::Propagation`); those that the runtime opened are not.
    if !locked && !matches!(context.config.rootfs_propagation(), "shared" | "rshared") {
        rules |= Rules::SLAVE;
    }
    let tree = Tree { locked, source, recursive, follow, id_map, field: field.clone() };
    let tree = program.slot(Descriptor::Tree(tree));
    program.push(field, op::Mount::Attach { target, tree, attributes, rules, keep });
}
