//! The static program that the containers run.

use super::Result;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

static PAYLOAD: OnceLock<PathBuf> = OnceLock::new();

/// The path of the payload on the host.
///
/// # Panics
/// If `find` has not been called; `main` calls it first.
pub fn path() -> &'static Path {
    PAYLOAD.get().expect("main finds the payload before any test")
}

/// Finds the payload beside this test's own binary, after building it anew if cargo is there. `PAYLOAD` names another
/// one.
pub fn find() -> Result {
    let found = match std::env::var_os("PAYLOAD") {
        Some(path) => PathBuf::from(path),
        None => beside_us()?,
    };
    ensure!(found.exists(), "no payload at {}: run `cargo build --package payload`", found.display());
    PAYLOAD.get_or_init(|| found);
    Ok(())
}

/// `…/TRIPLE/PROFILE/deps/conformance-HASH` → `…/TRIPLE/PROFILE/payload`.
fn beside_us() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let profile = own.parent().and_then(Path::parent).context("a test binary lives in target/PROFILE/deps")?;
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut command = Command::new(cargo);
        command.args(["build", "--quiet", "--package", "payload"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            command.arg("--release");
        }
        ensure!(command.status()?.success(), "building the payload failed");
    }
    Ok(profile.join("payload"))
}
