//! The runtime under test.

use super::Result;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub struct Runtime {
    pub path: PathBuf,
    pub name: String,
    /// The first line of `--version`.
    pub version: String,
}

static RUNTIME: OnceLock<Runtime> = OnceLock::new();

/// The runtime under test.
///
/// # Panics
/// If `find` has not been called; `main` calls it first.
pub fn get() -> &'static Runtime {
    RUNTIME.get().expect("main finds the runtime before any test")
}

/// Whether the runtime under test has this name.
pub fn is(name: &str) -> bool {
    get().name == name
}

/// Finds the binary and asks it for its version.
pub fn find() -> Result<&'static Runtime> {
    let path = std::env::var_os("RUNTIME").map_or_else(default_path, PathBuf::from);
    let path = path.canonicalize().with_context(|| format!("no runtime at {}", path.display()))?;
    let output = Command::new(&path).arg("--version").output().context("asking the runtime for its version")?;
    let version = String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned();
    let name = std::env::var("RUNTIME_NAME").unwrap_or_else(|_| name_in(&version, &path));
    Ok(RUNTIME.get_or_init(|| Runtime { path, name, version }))
}

fn default_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/tare")
}

/// The name in `runc version 1.3.6`, else the file's name.
fn name_in(version: &str, path: &Path) -> String {
    match version.split_once(" version ") {
        Some((name, _)) => name.to_owned(),
        None => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    }
}
