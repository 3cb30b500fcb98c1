//! Mounts of a new file system.

use anyhow::Result;

use super::super::context::Context;
use super::super::program::{Descriptor, Program};
use super::entry::{Later, MountEntry};
use crate::init::op::{self, Rules, Text};
use crate::spec::refuse;
use crate::tables::mount_option::RDONLY;

/// Binds the host's sysfs in place of a new sysfs.
pub fn bind_sysfs(program: &mut Program, entry: &MountEntry<'_>) {
    let MountEntry { target, keep, ref options, .. } = *entry;
    let (source, instead, attributes) = (program.text("/sys"), Text::NONE, options.attributes);
    let rules = Rules::PLAIN | Rules::EXACT;
    program.push(&entry.field, op::Mount::Bind { target, source, instead, recursive: true, attributes, rules, keep });
}

pub fn file_system<'a>(
    program: &mut Program,
    context: &'a Context<'_>,
    mut entry: MountEntry<'a>,
    later: &mut Later,
) -> Result<()> {
    check_options(context, &entry)?;
    let kind = entry.kind();
    let rules = rules(&entry);
    if entry.options.attributes.set & RDONLY != 0 {
        // Mounts and files are made in these later, so they become read-only at the end. In a running container nothing
        // is made later.
        if entry.living == Rules::NONE && (kind == "tmpfs" || entry.is_at("/dev")) {
            entry.options.attributes.set &= !RDONLY;
            entry.keep = program.slot(Descriptor::Kept(entry.index));
            later.read_only(&entry.field, entry.keep);
        } else if kind != "tmpfs" {
            entry.options.data.push(("ro", None));
        }
    }
    let mut rules = rules;
    match context.config.mount_label() {
        // These file systems have labels of their own.
        Some(_) if matches!(kind, "proc" | "sysfs") => {}
        // The kernel has made it before, with the ipc namespace, and takes no such option any more.
        Some(_) if kind == "mqueue" => rules |= Rules::LABEL_ROOT,
        Some(_) if entry.options.value("context").is_some() => {
            refuse!(entry.field.member("options"), "\"context\" and linux.mountLabel exclude each other")
        }
        Some(label) => entry.options.data.push(("context", Some(label))),
        None => {}
    }
    let (source, instead) = (program.text(&entry.source()), Text::NONE);
    let (kind, options) = (program.text(kind), program.options(&entry.options.data));
    let attributes = entry.options.on_a_new_mount();
    let MountEntry { target, keep, .. } = entry;
    program
        .push(&entry.field, op::Mount::FileSystem { target, kind, source, instead, options, attributes, rules, keep });
    Ok(())
}

fn check_options(context: &Context<'_>, entry: &MountEntry<'_>) -> Result<()> {
    let field = || entry.field.member("options");
    for (key, value) in &entry.options.data {
        if let ("uid" | "gid", Some(Ok(id))) = (*key, value.map(str::parse)) {
            context.check_mapped(id, key, field)?;
        }
    }
    if entry.options.copy_up && entry.kind() != "tmpfs" {
        refuse!(field(), "tmpcopyup is for tmpfs only");
    }
    Ok(())
}

fn rules(entry: &MountEntry<'_>) -> Rules {
    let options = &entry.options;
    let kind = match entry.kind() {
        "proc" => Rules::PLAIN | Rules::IN_PROC,
        "sysfs" => Rules::PLAIN,
        // Device nodes and links are made in it.
        _ if entry.is_at("/dev") => Rules::PLAIN,
        _ => Rules::NONE,
    };
    let keeps_mode = entry.kind() == "tmpfs" && options.value("mode").is_none();
    kind | entry.living | options.legacy | Rules::KEEP_MODE.when(keeps_mode) | Rules::COPY_UP.when(options.copy_up)
}
