//! `state`: print the state of one container.

use anyhow::Result;

use super::shared::{print, root};
use crate::cli::Global;

pub fn run(global: &Global, id: &str) -> Result<()> {
    let (directory, record) = root(global)?.load(id)?;
    let state = record.printed(record.status(&directory)?, "");
    print(&serde_json::to_string_pretty(&state)?)
}
