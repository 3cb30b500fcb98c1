//! Containers whose cgroup is a scope of the machine's systemd.

use super::machine::{self, Layout};
use super::{Bundle, Call, Container, Output, Result, json, skip};
use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Skips the test if systemd does not run.
pub fn systemd_runs() -> Result {
    if !Path::new("/run/systemd/system").is_dir() {
        return skip("no systemd runs here");
    }
    let its_own = |h: &machine::Hierarchy| h.controllers.iter().any(|name| name == "name=systemd");
    if v1() && !machine::get().v1.iter().any(its_own) {
        return skip("systemd does not use these hierarchies");
    }
    Ok(())
}

/// Skips the test if systemd uses cgroup v1.
pub fn on_v2() -> Result {
    systemd_runs()?;
    if v1() {
        return skip("systemd does not use cgroup v2");
    }
    Ok(())
}

/// The number of systemd's version.
pub fn version() -> Result<u32> {
    let text = systemctl(["--version"])?;
    let number = text.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    number.with_context(|| format!("no version in {text:?}"))
}

/// Whether systemd uses cgroup v1, with or without a v2 hierarchy beside it.
pub fn v1() -> bool {
    machine::get().layout != Layout::Unified
}

/// The output of systemctl for these words.
pub fn systemctl<const N: usize>(words: [&str; N]) -> Result<String> {
    let output = Command::new("systemctl").args(words).output().context("systemctl")?;
    ensure!(output.status.success(), "systemctl {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Writes a bundle whose `cgroupsPath` is this pattern; `ID` stands for the container's id.
pub fn build(bundle: Bundle, path: &str) -> Result<Container> {
    systemd_runs()?;
    build_anywhere(bundle, path)
}

pub fn build_anywhere(bundle: Bundle, path: &str) -> Result<Container> {
    let container = bundle.build()?;
    let path = path.replace("ID", &container.id);
    container.edit_config(|config| config["linux"]["cgroupsPath"] = json!(path))?;
    Ok(container)
}

pub fn launch(container: &Container, verb: &[&str]) -> Result<Output> {
    launching(container, verb).output()
}

/// The call of [`launch`].
pub fn launching(container: &Container, verb: &[&str]) -> Call {
    let call = container.call(["--systemd-cgroup"]).args(verb).arg("--bundle").arg(container.bundle());
    call.arg(&container.id).output_to(container.aside("out"), container.aside("err"))
}

/// The `cgroupsPath` of most tests of systemd.
pub const PATH: &str = "system.slice:tare:ID";

/// Creates a container in `system.slice`.
pub fn created(bundle: Bundle) -> Result<Container> {
    let container = build(bundle, PATH)?;
    launch(&container, &["create"])?.success()?;
    Ok(container)
}

pub fn started(bundle: Bundle) -> Result<Container> {
    let container = created(bundle)?;
    container.start()?;
    Ok(container)
}

pub fn unit(container: &Container) -> String {
    format!("tare-{}.scope", container.id)
}

pub fn property(container: &Container, name: &str) -> Result<String> {
    systemctl(["show", "--value", "--property", name, &unit(container)])
}

/// The unit's directory in the hierarchy of a controller or, if the unit has none there, in systemd's own hierarchy.
pub fn directory_of(container: &Container, controller: &str) -> PathBuf {
    let machine = machine::get();
    let v1 = |name: &str| machine.v1.iter().find(|h| h.controllers.iter().any(|c| c == name)).map(|h| &h.mount);
    let mount = match machine.layout {
        Layout::Unified => machine.v2.as_ref(),
        _ => v1(controller).or_else(|| v1("name=systemd")),
    };
    mount.map_or(Path::new("/sys/fs/cgroup"), PathBuf::as_path).join("system.slice").join(unit(container))
}

/// The unit's directory as systemd reports it.
pub fn directory(container: &Container) -> PathBuf {
    directory_of(container, "")
}

/// A file of the unit's directory. The name of the file begins with the controller's.
pub fn file(container: &Container, name: &str) -> Result<String> {
    let controller = name.split('.').next().unwrap_or_default();
    let path = directory_of(container, controller).join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}

/// The cgroup of the container's first process.
pub fn cgroup(container: &Container) -> Result<String> {
    cgroup_in(&fs::read_to_string(format!("/proc/{}/cgroup", container.pid()?))?)
}

/// The path in systemd's hierarchy, from the text of /proc/PID/cgroup.
pub fn cgroup_in(text: &str) -> Result<String> {
    let marks = if v1() { ":name=systemd:" } else { "0::" };
    let line = text.lines().find_map(|line| line.split_once(marks));
    Ok(line.with_context(|| format!("no {marks} in {text:?}"))?.1.to_owned())
}

/// Fails if the unit, its cgroup or anything of the container is left.
pub fn nothing_left(container: &Container) -> Result {
    let name = unit(container);
    let known = systemctl(["list-units", "--all", "--plain", "--no-legend", &name])?;
    ensure!(known.is_empty(), "left behind: {known}");
    let machine = machine::get();
    for mount in machine.v1.iter().map(|h| &h.mount).chain(&machine.v2) {
        let dir = mount.join("system.slice").join(&name);
        ensure!(!dir.exists(), "left behind: {}", dir.display());
    }
    let jobs = systemctl(["list-jobs", "--plain", "--no-legend"])?;
    ensure!(!jobs.contains(&name), "left behind: {jobs}");
    container.nothing_left()
}

/// Waits until the unit is gone: systemd removes it a moment after its last process has ended.
pub fn gone(container: &Container) -> Result {
    super::eventually("the end of the unit", || {
        Ok(systemctl(["list-units", "--all", "--plain", "--no-legend", &unit(container)])?.is_empty())
    })?;
    nothing_left(container)
}
