//! Carries out `linux.intelRdt`: classes of service and monitoring groups in the resctrl file system.
//!
//! The tests use a directory in the place of resctrl, so they cover the names and the contents of files. No hardware
//! with Intel RDT was available: the kernel's reaction to the values is untested.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use super::plan::{Rdt, separate};
use crate::spec::refuse;
use crate::sys::{self, Call, CallError};

/// The mount point of resctrl.
pub const RESCTRL: &str = "/sys/fs/resctrl";

/// The groups that a container's processes are in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Groups {
    /// The directory of the class of service.
    pub class: PathBuf,
    /// Whether the class was made for this container; if so, it is removed with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub created: bool,
    /// The directory of the monitoring group, which is removed with the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<PathBuf>,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Groups {
    /// Makes the groups in resctrl, or finds an existing class, before the container has a process.
    pub fn create(rdt: &Rdt, resctrl: &Path) -> Result<Groups> {
        let class = resctrl.join(&rdt.class);
        let mut groups = Groups { created: open_class(rdt, &class)?, class, monitoring: None };
        if let Err(error) = groups.set_up(rdt) {
            let _ = groups.remove();
            return Err(error);
        }
        Ok(groups)
    }

    fn set_up(&mut self, rdt: &Rdt) -> Result<()> {
        if rdt.named && !self.created && !rdt.separate.is_empty() {
            self.compare(rdt)?;
        } else {
            self.write_schemata(&rdt.separate).context("linux.intelRdt")?;
        }
        self.write_schemata(&rdt.schemata).context("linux.intelRdt.schemata")?;
        if let Some(name) = &rdt.monitoring {
            let path = self.class.join("mon_groups").join(name);
            make(&path).context("linux.intelRdt.enableMonitoring")?;
            self.monitoring = Some(path);
        }
        Ok(())
    }

    /// Moves a process into the groups. Its children will be in the same groups.
    pub fn attach(&self, pid: i32) -> Result<()> {
        for group in [Some(&self.class), self.monitoring.as_ref()].into_iter().flatten() {
            write(&group.join("tasks"), &pid.to_string()).context("linux.intelRdt")?;
        }
        Ok(())
    }

    /// Sets new limits (`update --l3-cache-schema`, `--mem-bw-schema`). Returns the old ones, for [`Groups::restore`].
    /// If a write fails, this restores the old ones itself.
    pub fn update(&self, l3: Option<&str>, bandwidth: Option<&str>) -> Result<String> {
        let lines = separate(l3, bandwidth)?;
        let before = std::fs::read_to_string(self.class.join("schemata")).unwrap_or_default();
        if let Err(error) = self.write_schemata(&lines) {
            self.restore(&before);
            return Err(error.context("linux.intelRdt"));
        }
        Ok(before)
    }

    /// Sets the limits from before an update, as far as the kernel accepts them.
    pub fn restore(&self, before: &str) {
        let lines: Vec<String> = before.lines().map(|line| line.trim().to_owned()).collect();
        let _ = self.write_schemata(&lines);
    }

    /// Removes the groups that were made for the container. The kernel moves remaining processes to the root class.
    pub fn remove(&self) -> Result<()> {
        let class = self.created.then_some(&self.class);
        for path in self.monitoring.iter().chain(class) {
            match std::fs::remove_dir(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    bail!(CallError::new(format_args!("linux.intelRdt: rmdir {}", path.display()), error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn compare(&self, rdt: &Rdt) -> Result<()> {
        let path = self.class.join("schemata");
        let existing = std::fs::read_to_string(&path);
        let existing = existing.named(format_args!("linux.intelRdt: read {}", path.display()))?;
        match rdt.difference(&existing) {
            None => Ok(()),
            Some(setting) => {
                refuse!("linux.intelRdt", "class \"{}\" exists, and {setting} does not hold there", rdt.class)
            }
        }
    }

    fn write_schemata(&self, lines: &[String]) -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        write(&self.class.join("schemata"), &(lines.join("\n") + "\n"))
    }
}

/// Creates the class, or uses an existing one. Returns whether it was created.
fn open_class(rdt: &Rdt, path: &Path) -> Result<bool> {
    if rdt.named && !rdt.limits() {
        let there = std::fs::metadata(path);
        return there.map(|_| false).named(format_args!(
            "linux.intelRdt.closID: class {} must exist, because the config has no limits for it",
            path.display()
        ));
    }
    make(path).context("linux.intelRdt.closID")
}

fn make(path: &Path) -> Result<bool> {
    match std::fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => bail!("mkdir {}: {}", path.display(), why(path, error)),
    }
}

/// Writes a value with one write(2), as resctrl demands.
fn write(path: &Path, text: &str) -> Result<()> {
    let written = std::fs::write(path, text);
    written.map_err(|error| anyhow!("write {:?} to {}: {}", text.trim_end(), path.display(), why(path, error)))
}

/// The text of an error, with resctrl's message about the last operation.
fn why(path: &Path, error: std::io::Error) -> String {
    let status = path.ancestors().find_map(|above| std::fs::read_to_string(above.join("info/last_cmd_status")).ok());
    let status = status.as_deref().map(|text| text.trim().to_ascii_lowercase());
    match status.filter(|text| !text.is_empty() && text != "ok") {
        Some(status) => format!("{} ({status})", sys::io(error)),
        None => sys::io(error).to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    /// A directory in the place of resctrl, with the class `gold`.
    struct Resctrl(PathBuf);

    impl Resctrl {
        fn new(name: &str) -> Resctrl {
            let root = std::env::temp_dir().join(format!("tare-rdt-{name}-{}", std::process::id()));
            fs::create_dir_all(root.join("gold/mon_groups")).unwrap();
            fs::create_dir_all(root.join("info")).unwrap();
            fs::write(root.join("gold/schemata"), "L3:0=0ff\n").unwrap();
            Resctrl(root)
        }

        fn create(&self, rdt: &Rdt) -> Result<Groups> {
            Groups::create(rdt, &self.0)
        }

        fn read(&self, file: &str) -> String {
            fs::read_to_string(self.0.join(file)).unwrap()
        }
    }

    impl Drop for Resctrl {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn rdt(class: &str, named: bool, separate: &[&str], schemata: &[&str]) -> Rdt {
        let lines = |list: &[&str]| list.iter().map(|line| (*line).to_owned()).collect();
        let (class, separate, schemata) = (class.to_owned(), lines(separate), lines(schemata));
        Rdt { class, named, separate, schemata, monitoring: None }
    }

    #[test]
    fn an_own_class_comes_and_goes() {
        let resctrl = Resctrl::new("own");
        let groups = resctrl.create(&rdt("box", false, &["L3:0=f", "MB:0=20"], &[])).unwrap();
        assert!(groups.created);
        assert_eq!(resctrl.read("box/schemata"), "L3:0=f\nMB:0=20\n");
        groups.attach(4711).unwrap();
        assert_eq!(resctrl.read("box/tasks"), "4711");
        let before = groups.update(Some("L3:0=1"), None).unwrap();
        assert_eq!(resctrl.read("box/schemata"), "L3:0=1\n");
        groups.restore(&before);
        assert_eq!(resctrl.read("box/schemata"), "L3:0=f\nMB:0=20\n");
        let groups: Groups = serde_json::from_str(&serde_json::to_string(&groups).unwrap()).unwrap();
        // In resctrl, rmdir(2) removes a directory with its files.
        fs::remove_file(resctrl.0.join("box/schemata")).unwrap();
        fs::remove_file(resctrl.0.join("box/tasks")).unwrap();
        groups.remove().unwrap();
        assert!(!resctrl.0.join("box").exists());
        groups.remove().unwrap();
    }

    #[test]
    fn a_class_that_was_there_stays() {
        let resctrl = Resctrl::new("shared");
        let mut wanted = rdt("gold", true, &[], &[]);
        wanted.monitoring = Some("box".to_owned());
        let groups = resctrl.create(&wanted).unwrap();
        assert_eq!(resctrl.read("gold/schemata"), "L3:0=0ff\n");
        groups.attach(4711).unwrap();
        assert_eq!(resctrl.read("gold/mon_groups/box/tasks"), "4711");
        fs::remove_file(resctrl.0.join("gold/mon_groups/box/tasks")).unwrap();
        groups.remove().unwrap();
        assert!(resctrl.0.join("gold").exists() && !resctrl.0.join("gold/mon_groups/box").exists());
    }

    #[test]
    fn a_class_that_was_there_is_compared() {
        let resctrl = Resctrl::new("compared");
        assert!(!resctrl.create(&rdt("gold", true, &["L3:0=ff"], &["L2:0=3"])).unwrap().created);
        assert_eq!(resctrl.read("gold/schemata"), "L2:0=3\n");
        let error = resctrl.create(&rdt("gold", true, &["L3:0=1"], &[])).unwrap_err();
        assert_eq!(error.to_string(), "linux.intelRdt: class \"gold\" exists, and L3:0=1 does not hold there");
        assert!(resctrl.0.join("gold").exists());
    }

    #[test]
    fn a_failure_names_the_field_and_is_undone() {
        let resctrl = Resctrl::new("failure");
        let error = format!("{:#}", resctrl.create(&rdt("none", true, &[], &[])).unwrap_err());
        assert!(error.starts_with("linux.intelRdt.closID: class "), "{error}");
        assert!(
            error.ends_with("none must exist, because the config has no limits for it: no such file or directory"),
            "{error}"
        );
        let mut wanted = rdt("box", false, &[], &[]);
        // The directory does not exist, as on a processor without monitoring.
        wanted.monitoring = Some("box".to_owned());
        let error = format!("{:#}", resctrl.create(&wanted).unwrap_err());
        assert!(error.starts_with("linux.intelRdt.enableMonitoring: mkdir "), "{error}");
        assert!(!resctrl.0.join("box").exists());
        fs::write(resctrl.0.join("info/last_cmd_status"), "Unknown or unsupported resource name\n").unwrap();
        fs::create_dir_all(resctrl.0.join("odd/schemata")).unwrap();
        let error = format!("{:#}", resctrl.create(&rdt("odd", true, &[], &["L9:0=1"])).unwrap_err());
        assert!(error.starts_with("linux.intelRdt.schemata: write \"L9:0=1\" to "), "{error}");
        assert!(error.ends_with("is a directory (unknown or unsupported resource name)"), "{error}");
    }
}
