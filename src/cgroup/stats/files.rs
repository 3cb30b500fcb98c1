//! Reads the kernel's files as numbers.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use nix::errno::Errno;

use crate::cgroup::live::dir::read_file;
use crate::sys::Call;

/// The text of a file; empty if the file does not exist or the kernel does not support it.
pub fn text(dir: &Path, file: &str) -> Result<String> {
    match read_file(&dir.join(file)) {
        Err(Errno::ENOENT | Errno::ENODEV | Errno::EOPNOTSUPP) => Ok(String::new()),
        other => other.named(dir.join(file).display()),
    }
}

/// The number in a file. As in runc, `max` is the largest number.
pub fn number(dir: &Path, file: &str) -> Result<Option<u64>> {
    Ok(match text(dir, file)?.trim() {
        "max" => Some(u64::MAX),
        text => text.parse().ok(),
    })
}

/// A file of lines `key number`.
pub fn numbers(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| line.split_once(' ').and_then(|(key, value)| Some((key.to_owned(), value.parse().ok()?)));
    text.lines().filter_map(line).collect()
}
