//! The root file system: taking it as the root, hiding paths in it, and leaving the host's root.

use anyhow::Result;
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::context::Context;
use super::program::{Descriptor, NO_ATTRIBUTES, Program};
use super::union;
use crate::init::op::{self, Attributes, Propagation, Rootfs, Slot, Text};
use crate::spec::{Field, refuse};
use crate::tables::mount_option::{self as option, RDONLY};

/// `linux.rootfsPropagation`
#[derive(Clone, Copy)]
pub struct RootPropagation {
    /// `MS_*`
    kind: u64,
    /// Also for the mounts below the root: runc and crun read the values with an `r` so.
    recursive: bool,
}

impl RootPropagation {
    pub fn of(context: &Context<'_>) -> Result<Option<RootPropagation>> {
        let text = context.config.rootfs_propagation();
        let kind = match text.strip_prefix('r').unwrap_or(text) {
            "" if text.is_empty() => return Ok(None),
            "shared" => option::SHARED,
            "slave" => option::SLAVE,
            "private" => option::PRIVATE,
            "unbindable" => option::UNBINDABLE,
            _ => refuse!("linux.rootfsPropagation", "\"{text}\" is none of shared, slave, private, unbindable"),
        };
        Ok(Some(RootPropagation { kind, recursive: text.starts_with('r') }))
    }
}

/// Makes the root file system the root of all later targets.
pub fn take_root(program: &mut Program, context: &mut Context<'_>, propagation: Option<RootPropagation>) {
    let field = Field::of("root.path");
    let path = program.text(&context.rootfs.to_string_lossy());
    if !context.own(Kind::Mount) {
        // Without a mount namespace a bind of the root would stay on the host.
        program.push(&field, Rootfs::Open { path, follow: false });
        if !context.config.mounts().is_empty() {
            context.warn("mounts: without a mount namespace they are made in the caller's, and stay there".to_owned());
        }
        return;
    }
    let asked_by = Field::of("linux.rootfsPropagation");
    let before = propagation.map_or(option::SLAVE, |it| it.kind);
    // The root is bound, and a bind from an unbindable tree fails.
    let flags = if before == option::UNBINDABLE { option::PRIVATE } else { before };
    program.push(&asked_by, Rootfs::Propagation { flags });
    if before == option::SHARED {
        program.push(&asked_by, Rootfs::PrivateParent { path });
    }
    match &context.union {
        Some(it) => union::mount(program, context, it),
        None => program.push(&field, Rootfs::Bind { path }),
    }
}

/// Appends `linux.readonlyPaths`, then `linux.maskedPaths`: a path of both lists is hidden in the end.
pub fn hidden_paths(program: &mut Program, context: &Context<'_>) {
    let standing = context.standing();
    let place = |program: &mut Program, path: &str| match standing.below(path) {
        Some((index, inside)) => (program.slot(Descriptor::Kept(index)), program.text(&inside)),
        None => (Slot::NONE, Text::NONE),
    };
    for (index, path) in context.config.readonly_paths().iter().enumerate() {
        let (mount, inside) = place(program, path);
        let path = program.text(path);
        program.push(&Field::item("linux.readonlyPaths", index), op::Mount::ReadOnly { path, mount, inside });
    }
    for (index, path) in context.config.masked_paths().iter().enumerate() {
        let (mount, inside) = place(program, path);
        let path = program.text(path);
        program.push(&Field::item("linux.maskedPaths", index), op::Mount::Mask { path, mount, inside });
    }
}

/// `root.readonly`
pub fn read_only_root(program: &mut Program, context: &Context<'_>) -> Result<()> {
    if context.config.has_read_only_root() {
        if !context.own(Kind::Mount) {
            refuse!("root.readonly", "unable to make the root read-only without a private MNT namespace");
        }
        let attributes = Attributes { set: RDONLY, ..NO_ATTRIBUTES };
        program.push(&Field::of("root.readonly"), Rootfs::Attributes { attributes });
    }
    Ok(())
}

/// Leaves the host's root for the container's.
pub fn exchange_root(program: &mut Program, context: &Context<'_>, propagation: Option<RootPropagation>) {
    let field = Field::of("root.path");
    if !context.own(Kind::Mount) {
        program.push(&field, Rootfs::Chroot);
    } else if context.options.no_pivot {
        bury_proc_and_sysfs(program, context, &field);
        program.push(&field, Rootfs::Move);
    } else {
        let shared = propagation.is_some_and(|it| it.kind == option::SHARED);
        program.push(&field, Rootfs::Pivot { shared });
    }
}

/// Without a pivot the old root stays below the new one. If it held a whole proc or sysfs, the kernel would let a user
/// namespace in the container mount another one, in which nothing is masked.
fn bury_proc_and_sysfs(program: &mut Program, context: &Context<'_>, field: &Field) {
    for place in context.facts.proc_and_sysfs.iter().rev().filter(|place| !place.starts_with(&context.rootfs)) {
        let above = program.text(&place.parent().unwrap_or(place).to_string_lossy());
        program.push(field, Rootfs::PrivateParent { path: above });
        let path = program.text(&place.to_string_lossy());
        program.push(field, Rootfs::Bury { path });
    }
}

/// Gives the new root the propagation that the config asks for.
pub fn propagate_root(program: &mut Program, context: &Context<'_>, propagation: Option<RootPropagation>) {
    if let Some(RootPropagation { kind, recursive }) = propagation.filter(|_| context.own(Kind::Mount)) {
        let propagation = Propagation::NONE.and(kind, recursive).unwrap_or_default();
        let attributes = Attributes { propagation, ..NO_ATTRIBUTES };
        program.push(&Field::of("linux.rootfsPropagation"), Rootfs::Attributes { attributes });
    }
}
