//! `process.rlimits`.

use anyhow::Result;
use oci_spec::runtime::Process;

use super::super::context::Context;
use super::super::rlimit::Limit;
use crate::spec::Field;

/// The limits in their order: those that `init` sets, and those that the runtime sets with prlimit(2). In a user
/// namespace, new or joined, no process may raise a hard limit, so a privileged runtime sets them.
pub fn limits(context: &Context<'_>, process: &Process) -> Result<(Vec<Limit>, Vec<Limit>)> {
    let mut limits: Vec<Limit> = Vec::new();
    for (index, limit) in process.rlimits().iter().flatten().enumerate() {
        limits.push(Limit::of(limit, &limits, &Field::item("process.rlimits", index))?);
    }
    let from_outside = context.in_user_namespace() && context.facts.caller.is_privileged();
    Ok(if from_outside { (Vec::new(), limits) } else { (limits, Vec::new()) })
}
