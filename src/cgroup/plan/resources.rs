//! The section `linux.resources` as writes.

use anyhow::Result;

pub use super::wanted::Wanted;
use super::{check, unified, v1, v2};
use crate::cgroup::layout::{Layout, Mode};
use crate::cgroup::writes::Writes;
use crate::spec::refuse;

/// Checks `wanted`, and appends it to `writes`.
pub fn plan(writes: &mut Writes, layout: &Layout, wanted: Wanted) -> Result<()> {
    check::resources(wanted)?;
    if writes.mode == Mode::Unified {
        v2::plan(writes, 0, wanted)?;
    } else {
        v1::plan(writes, layout, wanted)?;
    }
    unified::plan(writes, layout, wanted.resources)?;
    // The kernel would take the text before the NUL for the whole one, and set another value.
    if let Some(write) = writes.all.iter().find(|write| write.file.contains('\0') || write.value.contains('\0')) {
        refuse!(&write.field, "contains a NUL byte");
    }
    Ok(())
}
