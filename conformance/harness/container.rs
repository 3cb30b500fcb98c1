//! A container of a test: its commands, and a guard that removes what is left of it.

use super::{Call, Output, Result, Running, Value, View, check, machine};
use anyhow::{Context, ensure};
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A container, whether the runtime knows it already, still or no longer.
pub struct Container {
    pub id: String,
    dir: TempDir,
    view: View,
    options: Vec<String>,
    user: Option<u32>,
    /// A state root that several containers share.
    root: Option<PathBuf>,
}

impl Container {
    pub fn new(id: String, dir: TempDir, view: View, options: Vec<String>, user: Option<u32>) -> Result<Self> {
        Ok(Self { id, dir, view, options, user, root: None })
    }

    /// Uses this state root in place of the test's own.
    pub fn with_state_root(mut self, root: PathBuf) -> Self {
        self.root = Some(root);
        self
    }

    pub fn bundle(&self) -> PathBuf {
        self.dir.path().join("bundle")
    }

    pub fn rootfs(&self) -> PathBuf {
        self.bundle().join("rootfs")
    }

    /// The runtime's state root of this test.
    pub fn state_root(&self) -> PathBuf {
        self.root.clone().unwrap_or_else(|| self.dir.path().join("state"))
    }

    /// The directory of this container's state.
    pub fn state_dir(&self) -> PathBuf {
        self.state_root().join(&self.id)
    }

    pub fn read(&self, path_in_rootfs: &str) -> Result<String> {
        let path = self.rootfs().join(path_in_rootfs.trim_start_matches('/'));
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    /// A path in the test's own directory, outside the bundle.
    pub fn aside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes `config.json` on disk.
    pub fn edit_config(&self, edit: impl FnOnce(&mut Value)) -> Result {
        let path = self.bundle().join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
        edit(&mut config);
        Ok(fs::write(path, serde_json::to_vec(&config)?)?)
    }

    /// A call with this test's state root, user and view of the cgroup hierarchies: `RUNTIME --root DIR WORDS…`.
    pub fn call<const N: usize>(&self, words: [&str; N]) -> Call {
        let call = Call::new(["--root"]).arg(self.state_root()).args(words).view(self.view);
        match self.user {
            Some(uid) => call.user(uid).no_env(),
            None => call,
        }
    }

    /// Calls a command whose last word is this container's id.
    pub fn command<const N: usize>(&self, words: [&str; N]) -> Result<Output> {
        self.call(words).arg(&self.id).output()
    }

    /// `create` or `run` with the test's options. The container's output goes to its files.
    pub fn launch<const N: usize>(&self, words: [&str; N]) -> Call {
        self.call(words)
            .args(&self.options)
            .arg("--bundle")
            .arg(self.bundle())
            .arg(&self.id)
            .output_to(self.aside("out"), self.aside("err"))
    }

    /// A command on this container by a short name, for tests that choose one at random or from a table: `force` is
    /// `delete --force`, `kill` sends SIGKILL, `exec` runs a program that ends.
    pub fn named(&self, command: &str) -> Call {
        match command {
            "create" => self.launch(["create"]),
            "run" => self.launch(["run", "--detach"]),
            "force" => self.call(["delete", "--force"]).arg(&self.id),
            "kill" => self.call(["kill"]).args([&*self.id, "KILL"]),
            "exec" => self.exec_call([], ["true"]),
            "update" => self.call(["update", "--pids-limit", "77"]).arg(&self.id),
            "list" => self.call(["list"]),
            other => self.call([other]).arg(&self.id),
        }
    }

    pub fn create(&self) -> Result<Output> {
        self.launch(["create"]).output()
    }

    /// `run` in the foreground.
    pub fn run(&self) -> Result<Output> {
        self.launch(["run"]).output()
    }

    /// `run` in the foreground, without waiting for it.
    pub fn spawn_run(&self) -> Result<Running> {
        self.launch(["run"]).spawn()
    }

    pub fn start(&self) -> Result {
        self.command(["start"])?.success().map(drop)
    }

    /// `exec OPTIONS ID /payload WORDS`.
    pub fn exec<const N: usize, const M: usize>(&self, options: [&str; N], words: [&str; M]) -> Result<Output> {
        self.exec_call(options, words).output()
    }

    pub fn exec_call<const N: usize, const M: usize>(&self, options: [&str; N], words: [&str; M]) -> Call {
        self.call(["exec"]).args(options).arg(&self.id).arg("/payload").args(words)
    }

    pub fn kill(&self, signal: &str) -> Result<Output> {
        self.call(["kill", &self.id, signal]).output()
    }

    /// Kills the container's process and waits until the runtime reports `stopped`.
    pub fn stop(&self) -> Result {
        self.kill("KILL")?.success()?;
        self.wait_status("stopped")
    }

    pub fn state(&self) -> Result<Value> {
        let output = self.command(["state"])?;
        serde_json::from_str(&output.success()?.stdout).with_context(|| format!("the state as JSON: {output}"))
    }

    pub fn status(&self) -> Result<String> {
        Ok(self.state()?["status"].as_str().context("a status")?.to_owned())
    }

    pub fn wait_status(&self, wanted: &str) -> Result {
        check::eventually(&format!("status {wanted}"), || Ok(self.status()? == wanted))
    }

    /// Waits for a program that a running command has started, until it blocks in write(2) because its reader does not
    /// read. Returns its pid.
    pub fn wait_for_a_full_pipe(&self) -> Result<i32> {
        check::eventually("status running", || Ok(self.status().is_ok_and(|status| status == "running")))?;
        let pid = self.pid()?;
        let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let writes = || match file("syscall") {
            // Some user-mode Linux kernels do not report the system call.
            call if call.is_empty() => file("stat").contains(") S "),
            call => call.starts_with("1 0x1 ") && !file("stat").contains(") R "),
        };
        check::eventually("a program that waits", || Ok(writes()))?;
        Ok(pid)
    }

    /// The host's pid of the container's first process.
    pub fn pid(&self) -> Result<i32> {
        let pid = self.state()?["pid"].as_i64().context("a pid")?;
        Ok(i32::try_from(pid)?)
    }

    /// The container's standard output so far, with the runtime's own output.
    pub fn output(&self) -> Result<String> {
        Ok(fs::read_to_string(self.aside("out")).unwrap_or_default())
    }

    pub fn wait_output(&self, wanted: &str) -> Result {
        let found = check::eventually(wanted, || Ok(self.output()?.lines().any(|line| line == wanted)));
        found.with_context(|| format!("output {:?}", self.output().unwrap_or_default()))
    }

    /// A namespace of the container's first process, such as `net:[4026531840]`.
    pub fn namespace(&self, kind: &str) -> Result<String> {
        namespace_of(self.pid()?, kind)
    }

    /// The container's directories in all hierarchies of its view.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let machine = machine::get();
        let below = format!("{}/{}", machine::cgroup_parent(), self.id);
        let v1 = if self.view == View::Machine { &machine.v1[..] } else { &[] };
        v1.iter().map(|h| &h.mount).chain(&machine.v2).map(|m| m.join(below.trim_start_matches('/'))).collect()
    }

    /// The container's cgroup directory of a v1 controller, or the v2 directory.
    pub fn cgroup(&self, controller: &str) -> Result<PathBuf> {
        let machine = machine::get();
        let mount = match self.is_v2() {
            true => machine.v2.as_deref(),
            false => machine.v1.iter().find(|h| h.controllers.iter().any(|c| c == controller)).map(|h| &*h.mount),
        };
        let Some(mount) = mount else {
            return check::skip(format!("no {controller} controller on this machine"));
        };
        Ok(mount.join(machine::cgroup_parent().trim_start_matches('/')).join(&self.id))
    }

    /// Whether the container's cgroup is a v2 one in its view.
    pub fn is_v2(&self) -> bool {
        self.view == View::Unified || machine::get().layout == machine::Layout::Unified
    }

    /// A file of the container's cgroup.
    pub fn cgroup_file(&self, controller: &str, file: &str) -> Result<String> {
        let path = self.cgroup(controller)?.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(text.trim_end().to_owned())
    }

    /// Processes of the host that have this test's output files open: the container's and, while it runs, the
    /// runtime's.
    pub fn processes(&self) -> Vec<i32> {
        let files = [self.aside("out"), self.aside("err")];
        let holds = |pid: i32| {
            let link = |fd: i32| fs::read_link(format!("/proc/{pid}/fd/{fd}"));
            [1, 2].into_iter().filter_map(|fd| link(fd).ok()).any(|target| files.contains(&target))
        };
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| holds(*pid)).collect()
    }

    /// Fails if the runtime has left state, a cgroup, a process or a mount of this container.
    pub fn nothing_left(&self) -> Result {
        self.nothing_left_but(&[])
    }

    /// The same, with these mounts of the test itself.
    pub fn nothing_left_but(&self, own: &[PathBuf]) -> Result {
        let state: Vec<_> = fs::read_dir(self.state_root())?.flatten().map(|entry| entry.path()).collect();
        let state: Vec<_> = state.iter().filter(|path| path.ends_with(&self.id)).collect();
        ensure!(state.is_empty(), "left behind: state {state:?}");
        let cgroups: Vec<_> = self.cgroups().into_iter().filter(|path| path.exists()).collect();
        ensure!(cgroups.is_empty(), "left behind: cgroups {cgroups:?}");
        check::eventually("the end of all processes", || Ok(self.processes().is_empty()))?;
        let mounts = mounts_below(self.dir.path());
        ensure!(mounts == own, "left behind: mounts {mounts:?}, where {own:?} are the test's");
        Ok(())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Best effort, in the order of decreasing politeness: the test itself has reported what fails here.
        if self.state_dir().exists() {
            let _ = self.command(["delete", "--force"]);
        }
        for pid in self.processes() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        for cgroup in self.cgroups() {
            kill_members(&cgroup);
            machine::remove_cgroup(&cgroup);
        }
        for mount in mounts_below(self.dir.path()) {
            let _ = umount2(&mount, MntFlags::MNT_DETACH);
        }
    }
}

/// Kills all processes of a cgroup. Frozen ones are thawed first.
fn kill_members(cgroup: &Path) {
    if !cgroup.exists() {
        return;
    }
    let _ = fs::write(cgroup.join("freezer.state"), "THAWED");
    let _ = fs::write(cgroup.join("cgroup.kill"), "1");
    for pid in fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default().lines() {
        if let Ok(pid) = pid.parse() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    let empty = || Ok(fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default().is_empty());
    let _ = check::eventually("an empty cgroup", empty);
}

/// The mount points below a directory in this mount namespace, the deepest first.
pub fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut points: Vec<_> = points.filter(|point| point.starts_with(dir)).collect();
    points.reverse();
    points
}

/// A namespace of a process of the host.
pub fn namespace_of(pid: i32, kind: &str) -> Result<String> {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}"))?;
    Ok(link.display().to_string())
}
