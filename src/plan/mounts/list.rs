//! Compiles the entries of `mounts` into operations.

use anyhow::Result;
use oci_spec::runtime::Mount;

use super::super::context::Context;
use super::super::program::{NO_ATTRIBUTES, Program};
use super::bind::{Graft, attach, bind};
use super::cgroup::cgroup;
use super::entry::{Later, MountEntry};
use super::file_system::{bind_sysfs, file_system};
use super::owners::has_mappings;
use super::place::check_place;
use super::remount::remount;
use crate::init::op::{self, Attributes, Rules, Slot};
use crate::spec::{Field, clean, refuse};
use crate::tables::mount_option as option;

/// The directory in the container with the socket for sd_notify(3).
pub const NOTIFY: &str = "/run/notify";

/// Appends the operations of all mounts. Returns the operations that must run last (read-only remounts).
pub fn plan(program: &mut Program, context: &mut Context<'_>) -> Result<Later> {
    let mut later = Later::new(kept(context));
    program.reserve(context.config.mounts().len());
    label(program, context);
    for (index, mount) in context.config.mounts().iter().enumerate() {
        add(program, context, (index, mount), &mut later)?;
    }
    notify_directory(program, context);
    Ok(later)
}

/// Appends the operations of one mount for a running container.
pub fn plan_living(program: &mut Program, context: &mut Context<'_>, index: usize) -> Result<()> {
    let Some(mount) = context.config.mounts().get(index) else { return Ok(()) };
    let destination = clean(mount.destination());
    if ["/proc", "/sys"].iter().any(|special| destination.starts_with(special)) {
        refuse!(
            Field::item("mounts", index).member("destination"),
            "{destination:?}: nothing at or below /proc and /sys is mounted in a living container"
        );
    }
    label(program, context);
    add(program, context, (index, mount), &mut Later::default())
}

/// `linux.mountLabel`, for file systems whose label is not an option of their own mount.
fn label(program: &mut Program, context: &Context<'_>) {
    if let Some(label) = context.config.mount_label() {
        let label = program.text(label);
        program.push(&Field::of("linux.mountLabel"), op::Mount::Label { label });
    }
}

/// The mounts that stay open: `/dev`, and each mount that holds a masked or read-only path.
fn kept(context: &Context<'_>) -> Vec<usize> {
    let standing = context.standing();
    let paths = context.config.readonly_paths().iter().chain(context.config.masked_paths());
    let hidden = paths.filter_map(|path| Some(standing.below(path)?.0));
    hidden.chain(standing.at("/dev")).collect()
}

/// Binds the directory that will hold the socket for sd_notify(3).
fn notify_directory(program: &mut Program, context: &Context<'_>) {
    let Some(source) = context.options.notify.clone() else { return };
    let target = program.text(NOTIFY);
    let set = option::RDONLY | option::NOSUID | option::NODEV | option::NOEXEC;
    let attributes = Attributes { set, ..NO_ATTRIBUTES };
    let graft = Graft { source, recursive: false, id_map: None, attributes, rules: Rules::NONE, keep: Slot::NONE };
    attach(program, context, &Field::of("NOTIFY_SOCKET"), target, graft);
}

fn add(program: &mut Program, context: &mut Context<'_>, mount: (usize, &Mount), later: &mut Later) -> Result<()> {
    let entry = MountEntry::new(program, context, mount, later)?;
    check_place(&entry)?;
    match entry.options.bind {
        _ if entry.options.remount => remount(program, context, entry, later),
        Some(recursive) => bind(program, context, &entry, recursive),
        None => by_type(program, context, entry, later),
    }
}

/// Appends a mount that is not a bind mount.
fn by_type(program: &mut Program, context: &Context<'_>, entry: MountEntry<'_>, later: &mut Later) -> Result<()> {
    let field = &entry.field;
    if entry.options.links != Rules::NONE {
        refuse!(field.member("options"), "copy-symlink, src-nofollow and dest-nofollow are for bind mounts only");
    }
    if entry.options.id_map.is_some() || has_mappings(entry.mount) {
        refuse!(field, "id-mapped mounts are only supported for bind-mounts");
    }
    match entry.kind() {
        "" => refuse!(field.member("type"), "must not be empty for a mount that is not a bind mount"),
        "cgroup" | "cgroup2" => cgroup(program, context, &entry, later),
        // Only the owner of the network namespace may mount a new sysfs.
        "sysfs" if context.in_user_namespace() && !context.own_network() => {
            bind_sysfs(program, &entry);
            Ok(())
        }
        _ => file_system(program, context, entry, later),
    }
}
