//! Initializes a new v1 cpuset.

use std::path::Path;

use anyhow::Result;
use nix::errno::Errno;

use super::dir::{read_file, write_file};
use super::directories::Made;
use crate::sys::Call;

/// Gives a v1 cpuset the CPUs and memory nodes of its parent. A new cpuset has none, and then the kernel refuses
/// processes in it.
pub fn inherit_cpuset(made: &Made, mount: &Path) -> Result<()> {
    for (file, bare) in [("cpuset.cpus", "cpus"), ("cpuset.mems", "mems")] {
        let inherited = match inherit(&made.dir, mount, file, made.new) {
            // The hierarchy is mounted with `noprefix`.
            Err(Errno::ENOENT) => inherit(&made.dir, mount, bare, made.new),
            other => other,
        };
        inherited.named(format_args!("linux.cgroupsPath: {}", made.dir.join(file).display()))?;
    }
    Ok(())
}

/// Returns the value of `file`. If the file is empty, as in a new directory, copies the value of the parent first.
fn inherit(dir: &Path, mount: &Path, file: &str, new: bool) -> Result<String, Errno> {
    let path = dir.join(file);
    let value = if new { String::new() } else { read_file(&path)? };
    let parent = match dir.parent() {
        Some(parent) if value.trim().is_empty() && dir != mount => parent,
        _ => return Ok(value),
    };
    let value = inherit(parent, mount, file, false)?;
    write_file(&path, value.trim())?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plain directories with the files of cpusets.
    #[test]
    fn cpusets_are_inherited_with_and_without_prefix() {
        let mount = std::env::temp_dir().join(format!("tare-cpuset-{}", std::process::id()));
        for (cpus, mems) in [("cpuset.cpus", "cpuset.mems"), ("cpus", "mems")] {
            let dir = mount.join("above/box");
            std::fs::create_dir_all(&dir).unwrap();
            for (level, text) in [(&mount, "0-3\n"), (&mount.join("above"), "\n"), (&dir, "\n")] {
                std::fs::write(level.join(cpus), text).unwrap();
                std::fs::write(level.join(mems), text).unwrap();
            }
            inherit_cpuset(&Made { dir: dir.clone(), new: true }, &mount).unwrap();
            for file in [cpus, mems] {
                assert!(std::fs::read_to_string(dir.join(file)).unwrap().starts_with("0-3"), "{file}");
                assert!(std::fs::read_to_string(mount.join("above").join(file)).unwrap().starts_with("0-3"), "{file}");
            }
            std::fs::remove_dir_all(&mount).unwrap();
        }
    }
}
