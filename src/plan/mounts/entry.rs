//! One entry of `mounts`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::Result;
use oci_spec::runtime::Mount;

use super::super::context::Context;
use super::super::program::{Descriptor, NO_ATTRIBUTES, Program};
use super::options::MountOptions;
use crate::init::op::{self, Attributes, Op, Rules, Slot, Text};
use crate::spec::{Field, clean, is_path};
use crate::tables::mount_option::RDONLY;

/// An entry of `mounts`, with the values that all kinds of mounts need.
pub struct MountEntry<'a> {
    pub mount: &'a Mount,
    pub index: usize,
    pub field: Field,
    /// `destination`, cleaned.
    pub destination: PathBuf,
    /// `destination` as a text of the program.
    pub target: Text,
    pub options: MountOptions<'a>,
    /// The slot in which the mount stays open for later operations.
    pub keep: Slot,
    /// [`Rules::LIVING`] for a container that runs.
    pub living: Rules,
}

impl<'a> MountEntry<'a> {
    pub fn new(
        program: &mut Program,
        context: &mut Context<'_>,
        (index, mount): (usize, &'a Mount),
        later: &Later,
    ) -> Result<MountEntry<'a>> {
        let field = Field::item("mounts", index);
        let destination = clean(mount.destination());
        if !mount.destination().is_absolute() {
            let given = mount.destination();
            context.warn(format!("{field}.destination: {given:?} is not absolute: taken as {destination:?}"));
        }
        let options = MountOptions::parse(mount, &field)?;
        let target = program.text(&destination.to_string_lossy());
        let keep = match later.kept.contains(&index) {
            true => program.slot(Descriptor::Kept(index)),
            false => Slot::NONE,
        };
        let living = Rules::LIVING.when(context.joining);
        Ok(MountEntry { mount, index, field, destination, target, options, keep, living })
    }

    /// `type`
    pub fn kind(&self) -> &'a str {
        self.mount.typ().as_deref().unwrap_or_default()
    }

    /// `source`
    pub fn source(&self) -> Cow<'a, str> {
        self.mount.source().as_deref().map(Path::to_string_lossy).unwrap_or_default()
    }

    /// Whether the destination is exactly this path.
    pub fn is_at(&self, path: &str) -> bool {
        is_path(&self.destination, path)
    }

    /// Whether the destination is this path or below it.
    pub fn is_below(&self, path: &str) -> bool {
        let rest = self.destination.as_os_str().as_encoded_bytes().strip_prefix(path.as_bytes());
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    }
}

/// The operations that wait until the last entry of `mounts` is mounted.
#[derive(Debug, Default)]
pub struct Later {
    /// The entries that later operations need, and that therefore stay open.
    pub kept: Vec<usize>,
    ops: Vec<(Field, Op)>,
}

impl Later {
    pub fn new(kept: Vec<usize>) -> Later {
        Later { kept, ops: Vec::new() }
    }

    /// Makes a mount that stays open read-only.
    pub fn read_only(&mut self, field: &Field, mount: Slot) {
        let attributes = Attributes { set: RDONLY, ..NO_ATTRIBUTES };
        self.ops.push((field.clone(), op::Mount::Reattribute { mount, attributes }.into()));
    }

    /// Appends the operations.
    pub fn push(self, program: &mut Program) {
        for (field, op) in self.ops {
            program.push(&field, op);
        }
    }
}
