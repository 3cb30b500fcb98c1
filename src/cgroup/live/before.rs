//! The values of a cgroup before an update, so that they can be restored.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use nix::errno::Errno;

use super::dir::{number_of, read_file, write_file};
use crate::cgroup::plan::CgroupPlan;
use crate::cgroup::systemd::Unit;
use crate::cgroup::writes::{Fallback, OOM_CONTROL, Write};
use crate::spec::Field;
use crate::sys::CallError;
use crate::tables::limit;

/// The values that an update overwrites.
#[derive(Debug)]
#[must_use = "what was there before can only be had from here"]
pub struct Before {
    files: Vec<Old>,
    /// The unit, if its service manager has got the new values, too.
    unit: Option<Unit>,
}

#[derive(Debug)]
struct Old {
    path: PathBuf,
    text: String,
    /// The values that the update writes.
    values: Vec<String>,
}

impl Before {
    pub(super) fn of(unit: Option<Unit>, plan: &CgroupPlan, dirs: &[Option<&Path>]) -> Result<Before> {
        let mut before = Before { files: Vec::new(), unit };
        for write in plan.writes.all.iter().filter(|write| !write.is_device_rule()) {
            let Some(dir) = dirs[write.target] else { continue };
            if write.file == "cpu.idle" {
                // A group that is no longer idle gets the default weight.
                before.keep(dir.join("cpu.shares"), None)?;
                before.keep(dir.join("cpu.weight"), None)?;
            }
            before.keep(dir.join(&*write.file), Some(&write.value))?;
            if let Fallback::Instead(file, value) = &write.fallback {
                before.keep(dir.join(file), Some(value))?;
            }
        }
        Ok(before)
    }

    /// The files that systemd overwrites when it gets a property: it rounds values, and resets other limits to their
    /// defaults.
    pub(super) fn of_systemd(plan: &CgroupPlan, dirs: &[Option<&Path>]) -> Result<Before> {
        let mut exact = Before::of(None, plan, dirs)?;
        for dir in dirs.iter().flatten() {
            limit::properties().try_for_each(|(file, _)| exact.keep(dir.join(file), None))?;
        }
        Ok(exact)
    }

    /// Saves the value of a file, unless the file does not exist or cannot be read: then there is no old value.
    fn keep(&mut self, path: PathBuf, value: Option<&String>) -> Result<()> {
        let index = match self.files.iter().position(|old| old.path == path) {
            Some(index) => index,
            None => {
                let text = match read_file(&path) {
                    Ok(text) => text,
                    // The errors for a write-only file (EINVAL; EACCES for an ordinary user), and for a file whose
                    // controller is not supported.
                    Err(Errno::ENOENT | Errno::EINVAL | Errno::EACCES | Errno::EOPNOTSUPP) => return Ok(()),
                    Err(errno) => bail!(CallError::new(format_args!("linux.resources: {}", path.display()), errno)),
                };
                self.files.push(Old { path, text, values: Vec::new() });
                self.files.len() - 1
            }
        };
        self.files[index].values.extend(value.cloned());
        Ok(())
    }

    /// Writes the old values. The kernel checks some values against each other, so refused writes are repeated as long
    /// as another write succeeds in between. The remaining errors are ignored.
    pub fn restore(&self) {
        if let Some(unit) = &self.unit {
            let _ = unit.set(&self.files.iter().flat_map(Old::writes).collect::<Vec<_>>());
        }
        let changed = |old: &Old| read_file(&old.path).is_ok_and(|text| text != old.text);
        let mut open: Vec<&Old> = self.files.iter().rev().filter(|old| changed(old)).collect();
        loop {
            let count = open.len();
            open.retain(|old| old.lines().iter().any(|line| write_file(&old.path, line).is_err()) || changed(old));
            if open.is_empty() || open.len() == count {
                return;
            }
        }
    }
}

impl Old {
    fn writes(&self) -> Vec<Write> {
        let file = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let write = |value| Write {
            target: 0,
            file: Cow::Owned(file.to_owned()),
            value,
            field: Field::of("linux.resources"),
            fallback: Fallback::Fail,
        };
        self.lines().into_iter().map(write).collect()
    }

    /// The lines to write, each with one write(2).
    fn lines(&self) -> Vec<String> {
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name == OOM_CONTROL {
            return vec![number_of(&self.text, "oom_kill_disable").unwrap_or(0).to_string()];
        }
        let keyed = self.values.iter().any(|value| key(name, value).is_some());
        let text = self.text.trim_end();
        if !keyed && !text.contains('\n') {
            // An empty write would not reach the kernel.
            return vec![if text.is_empty() { "\n".to_owned() } else { text.to_owned() }];
        }
        let had = |key: &str| text.lines().any(|line| line.split(' ').next() == Some(key));
        let new = self.values.iter().filter_map(|value| Some((key(name, value)?, value)));
        let unset = new.filter(|(key, _)| !had(key)).map(|(key, value)| unset(name, key, value));
        unset.chain(text.lines().map(str::to_owned)).collect()
    }
}

/// The key of a line, in a file with one line for each device: `8:0 rbps=1048576`.
fn key<'a>(file: &str, value: &'a str) -> Option<&'a str> {
    let (key, _) = value.split_once(' ')?;
    (file != "cpu.max").then_some(key)
}

/// The line that removes the setting of `key`.
fn unset(file: &str, key: &str, value: &str) -> String {
    let settings = value.split(' ').skip(1);
    match file {
        _ if value.contains('=') => {
            let names = settings.filter_map(|setting| setting.split_once('='));
            names.fold(key.to_owned(), |line, (name, _)| line + " " + name + "=max")
        }
        "io.weight" | "io.bfq.weight" | "blkio.bfq.weight_device" => format!("{key} default"),
        _ => format!("{key} 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back() {
        for (file, old, written, wanted) in [
            ("pids.max", "max\n", "5", vec!["max"]),
            ("cpuset.cpus", "\n", "0", vec!["\n"]),
            ("cpu.max", "max 100000\n", "5000 100000", vec!["max 100000"]),
            ("memory.oom_control", "oom_kill_disable 1\nunder_oom 0\noom_kill 2\n", "0", vec!["1"]),
            ("blkio.throttle.read_bps_device", "8:0 5\n", "8:0 7", vec!["8:0 5"]),
            ("blkio.throttle.read_bps_device", "8:0 5\n", "8:16 7", vec!["8:16 0", "8:0 5"]),
            ("io.max", "", "8:0 rbps=7", vec!["8:0 rbps=max"]),
            ("io.weight", "default 100\n", "8:0 7", vec!["8:0 default", "default 100"]),
            ("io.weight", "default 100\n8:0 9\n", "7", vec!["default 100", "8:0 9"]),
            (
                "rdma.max",
                "mlx hca_handle=2 hca_object=max\n",
                "mlx hca_handle=3",
                vec!["mlx hca_handle=2 hca_object=max"],
            ),
        ] {
            let old = Old { path: Path::new("/x").join(file), text: old.to_owned(), values: vec![written.to_owned()] };
            assert_eq!(old.lines(), wanted, "{file} {written}");
        }
    }
}
