//! `list`: show all containers.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Result, bail};

use super::log::Log;
use super::shared::{print, root};
use crate::cli::{Global, ListArgs};
use crate::state::{Record, Root, Status};
use crate::sys::CallError;

pub fn run(global: &Global, args: &ListArgs, log: &Log) -> Result<()> {
    let root = root(global)?;
    let format = args.format.as_deref().unwrap_or("table");
    if !matches!(format, "table" | "json") {
        bail!("invalid format option {format:?}: table or json");
    }
    let ids = ids(&root, global)?;
    let told = |id: &String, error: &anyhow::Error| left_out(log, id, error);
    if args.quiet {
        let loaded = ids.iter().filter_map(|id| root.load(id).inspect_err(|error| told(id, error)).ok());
        return print(&loaded.map(|(_, record)| record.id + "\n").collect::<String>());
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let shown: Vec<Shown> =
        ids.iter().filter_map(|id| Shown::of(&root, id, &passwd).inspect_err(|error| told(id, error)).ok()).collect();
    let printed: Vec<_> = shown.iter().map(|row| row.record.printed(row.status, row.owner.clone())).collect();
    if format == "json" {
        // Go prints `null` for a nil slice.
        let text = if printed.is_empty() { "null".to_owned() } else { serde_json::to_string(&printed)? };
        return print(&(text + "\n"));
    }
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    for (Shown { record, .. }, state) in shown.iter().zip(&printed) {
        let bundle = record.bundle.display().to_string();
        let (pid, status) = (state.pid().to_string(), state.status().to_string());
        rows.push([record.id.clone(), pid, status, bundle, record.created.clone(), state.owner().to_owned()]);
    }
    print(&table(&rows))
}

/// A container in the list.
struct Shown {
    record: Record,
    status: Status,
    owner: String,
}

impl Shown {
    /// Closes the container's directory again: with many containers the descriptors would not suffice.
    fn of(root: &Root, id: &str, passwd: &str) -> Result<Shown> {
        let (directory, record) = root.load(id)?;
        Ok(Shown { status: record.status(&directory)?, owner: owner(directory.path(), passwd), record })
    }
}

fn ids(root: &Root, global: &Global) -> Result<Vec<String>> {
    match root.ids() {
        Ok(ids) => Ok(ids),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && global.root.is_none() => Ok(Vec::new()),
        Err(error) => Err(CallError::new(format_args!("open {}", root.0.display()), error).into()),
    }
}

/// Reports a container that the list leaves out, on standard error only: the message is for the reader of the list, not
/// for the log.
fn left_out(log: &Log, id: &str, error: &anyhow::Error) {
    log.aside(&format!("load container {id}: {error:#}"));
}

/// The name of the owner of a file, or `#uid`. The code reads `/etc/passwd` itself, once for all rows: a static program
/// cannot load the modules of NSS.
fn owner(path: &Path, passwd: &str) -> String {
    let Ok(file) = std::fs::metadata(path) else { return String::new() };
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
