//! `state`: show one container.

use anyhow::Result;

use super::{print, root};
use crate::cli::Invocation;

/// The command.
pub fn run(invocation: &Invocation) -> Result<()> {
    let (directory, record) = root(&invocation.global)?.load(invocation.id())?;
    let state = record.printed(record.status(&directory)?, String::new());
    print(&serde_json::to_string_pretty(&state)?)
}
