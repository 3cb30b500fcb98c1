//! An entry of `mounts` that changes the flags of an earlier one.

use anyhow::Result;

use super::super::context::Context;
use super::super::program::{Descriptor, Program};
use super::entry::{Later, MountEntry};
use crate::init::op::{self, Rules};
use crate::spec::refuse;
use crate::tables::mount_option::RDONLY;

/// Sets the flags of the mount at the destination. Flags that are not named are cleared, as with mount(2).
pub fn remount(
    program: &mut Program,
    context: &Context<'_>,
    mut entry: MountEntry<'_>,
    later: &mut Later,
) -> Result<()> {
    let read_only = entry.options.attributes.set & RDONLY != 0;
    if read_only
        && entry.is_at("/dev")
        && let Some(standing) = context.standing().at("/dev").filter(|_| !context.joining)
    {
        // Device nodes are made there after the last mount.
        entry.options.attributes.set &= !RDONLY;
        later.read_only(&entry.field, program.slot(Descriptor::Kept(standing)));
    }
    if let Some((key, _)) = entry.options.data.first() {
        refuse!(entry.field.member("options"), "\"{key}\": a remount takes the flags of a mount only");
    }
    let inside = Rules::IN_PROC.when(entry.is_below("/proc"));
    let MountEntry { target, options, living, .. } = entry;
    let rules = Rules::EXACT | inside | living | options.links.only(Rules::NO_FOLLOW);
    program.push(&entry.field, op::Mount::Remount { target, attributes: options.attributes, rules });
    Ok(())
}
