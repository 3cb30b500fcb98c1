//! `list`: show all containers.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Result, bail};

use super::log::Log;
use super::shared::{print, root};
use crate::cli::{Global, ListArgs};
use crate::state::{Directory, Record, Root};
use crate::sys::CallError;

pub fn run(global: &Global, args: &ListArgs, log: &Log) -> Result<()> {
    let root = root(global)?;
    let format = args.format.as_deref().unwrap_or("table");
    if !matches!(format, "table" | "json") {
        bail!("invalid format option {format:?}: table or json");
    }
    let containers = load_all(&root, global, log)?;
    if args.quiet {
        let ids: String = containers.iter().map(|(_, record)| format!("{}\n", record.id)).collect();
        return print(&ids);
    }
    let mut printed = Vec::new();
    let mut shown = Vec::new();
    for (directory, record) in &containers {
        match record.status(directory) {
            Ok(status) => {
                printed.push(record.printed(status, owner(directory.path())));
                shown.push(record);
            }
            Err(error) => left_out(log, &record.id, &error),
        }
    }
    if format == "json" {
        // Go prints `null` for a nil slice.
        let text = if printed.is_empty() { "null".to_owned() } else { serde_json::to_string(&printed)? };
        return print(&(text + "\n"));
    }
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    for (record, state) in shown.iter().zip(&printed) {
        let bundle = record.bundle.display().to_string();
        let (pid, status) = (state.pid().to_string(), state.status().to_string());
        rows.push([record.id.clone(), pid, status, bundle, record.created.clone(), state.owner().to_owned()]);
    }
    print(&table(&rows))
}

fn load_all(root: &Root, global: &Global, log: &Log) -> Result<Vec<(Directory, Record)>> {
    let ids = match root.ids() {
        Ok(ids) => ids,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && global.root.is_none() => Vec::new(),
        Err(error) => return Err(CallError::new(format_args!("open {}", root.0.display()), error).into()),
    };
    let mut containers = Vec::new();
    for id in ids {
        match root.load(&id) {
            Ok(found) => containers.push(found),
            Err(error) => left_out(log, &id, &error),
        }
    }
    Ok(containers)
}

/// Reports a container that the list leaves out, on standard error only: the message is for the reader of the list, not
/// for the log.
fn left_out(log: &Log, id: &str, error: &anyhow::Error) {
    log.aside(&format!("load container {id}: {error:#}"));
}

/// The name of the owner of a file, or `#uid`. The code reads `/etc/passwd` itself: a static program cannot load the
/// modules of NSS.
fn owner(path: &Path) -> String {
    let Ok(file) = std::fs::metadata(path) else { return String::new() };
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let uid = file.uid().to_string();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("#{uid}"))
}

/// Columns as Go's tabwriter formats them: at least 12 wide, 3 blanks apart.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(&widths).take(N - 1) {
            text += &format!("{cell:<width$}");
        }
        text += &row[N - 1];
        text.push('\n');
    }
    text
}
