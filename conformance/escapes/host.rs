//! The host that an attack aims at: a directory that no container may reach, and races for the way to it.

use super::verdict::{OrBroken, ensure_held};
use crate::harness::bundle::scratch;
use crate::harness::{Exchange, *};
use anyhow::Context;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A text of the host that no container may read or change.
pub const SECRET: &str = "of the host";

/// `../../…` and then a path of the host: it leads to the host's root from any directory.
pub fn climb(path: &Path) -> String {
    format!("{}{}", "../".repeat(12), path.display().to_string().trim_start_matches('/'))
}

/// A directory of the host with one file, and the state of both before the attack.
pub struct Sentinel(tempfile::TempDir);

impl Sentinel {
    pub fn new(file: &str) -> Result<Self> {
        let dir = scratch()?;
        fs::write(dir.path().join(file), SECRET)?;
        Ok(Self(dir))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Paths in an image that lead here if the runtime resolves them on the host: an absolute one, and a climb.
    pub fn ways(&self) -> [String; 2] {
        [self.path().display().to_string(), climb(self.path())]
    }

    /// The attack has succeeded if something was made, removed, written or mounted here.
    pub fn untouched(&self, file: &str) -> Result {
        let names: Vec<_> = fs::read_dir(self.path())?.flatten().map(|entry| entry.file_name()).collect();
        equal("entries on the host", names, [file]).or_broken()?;
        equal("file of the host", fs::read_to_string(self.path().join(file))?.as_str(), SECRET).or_broken()?;
        not_mounted(&[self.path()])
    }
}

/// The attack has succeeded if the host has a mount at or below one of these directories.
pub fn not_mounted(dirs: &[&Path]) -> Result {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let found = mounts.lines().find(|line| dirs.iter().any(|dir| line.contains(&dir.display().to_string())));
    ensure_held(found.is_none(), format_args!("mounted on the host: {}", found.unwrap_or_default()))
}

/// Checks a process that may have left the container: however it ended, it has not read the host's file.
pub fn inside(output: &Output) -> Result {
    ensure_held(!output.stdout.contains(SECRET), format_args!("a process left the container: {output}"))?;
    if output.status.success() {
        let outside = output.stdout.contains("unreachable");
        return ensure_held(!outside, format_args!("a directory outside the root: {output}"));
    }
    output.failure().map(drop)
}

/// Takes steps while two names in a directory are exchanged without a pause.
pub fn race(dir: &Path, names: [&str; 2], rounds: u32, mut step: impl FnMut() -> Result) -> Result {
    let over = AtomicBool::new(false);
    let exchange = Exchange::new(&dir.join(names[0]), &dir.join(names[1]))?;
    std::thread::scope(|scope| {
        let racer = scope.spawn(|| -> Result {
            while !over.load(Ordering::Relaxed) {
                exchange.once().context("renameat2")?;
            }
            Ok(())
        });
        let result = (0..rounds).try_for_each(|_| step());
        over.store(true, Ordering::Relaxed);
        racer.join().expect("the racer does not panic").and(result)
    })
}
