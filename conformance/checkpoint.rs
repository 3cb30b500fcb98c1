//! `checkpoint` and `restore`; both need CRIU.

use crate::harness::bundle::scratch;
use crate::harness::injector::{Harm, Point};
use crate::harness::{scope, *};
use anyhow::{Context, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use std::fs::{self, File, TryLockError};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

tests![
    processes_go_on_where_they_were,
    processes_go_on_in_the_unified_view,
    checkpoint_ends_the_container,
    leave_running_lets_it_go_on,
    images_of_what_was_left_running,
    a_created_container_is_refused,
    a_stopped_container_is_refused,
    an_unknown_container_is_an_error,
    a_paused_container_can_be_written,
    a_restored_container_can_be_written_again,
    commands_work_on_a_restored_container,
    mounts_are_what_they_were,
    a_bind_mount_is_what_the_new_config_says,
    a_recursive_bind_mount_brings_what_is_below,
    mount_points_are_made_again,
    limits_are_those_of_the_config,
    cgroups_can_be_left_alone,
    the_cgroup_of_the_new_config_is_used,
    a_container_without_cgroups,
    standard_output_goes_to_the_new_pipe,
    standard_output_goes_to_the_new_file,
    restore_in_front_returns_the_status,
    restore_writes_the_pid_file,
    a_file_lock_is_held_again,
    a_file_lock_needs_the_option,
    a_connection_survives,
    a_connection_can_be_closed,
    a_terminal_comes_back,
    a_joined_network_namespace_is_joined_again,
    an_empty_network_namespace,
    a_container_in_a_user_namespace,
    hooks_of_a_restore,
    work_path_gets_the_log,
    directories_may_be_links,
    no_pivot,
    pre_dump_and_dump,
    lazy_pages,
    memory_goes_to_a_page_server,
    parent_path_must_be_relative,
    mistakes_on_the_command_line,
    without_criu,
    criu_that_dies,
    restore_from_nowhere,
    restore_from_an_empty_directory,
    restore_of_an_existing_container,
    restore_with_a_failing_hook,
    restore_that_is_killed,
    restore_with_faults,
    restore_by_conmon,
    a_restored_container_gets_a_scope,
    a_restore_that_fails_leaves_no_scope,
];

/// The number to which a container counts before the test acts on it.
const FAR: u64 = 30;

/// A container that runs detached, without descriptors of this suite.
struct Subject {
    container: Container,
    /// The images and CRIU's configuration.
    aside: TempDir,
}

/// CRIU locks the network with iptables(8) unless its configuration says nftables. The machine may lack iptables.
fn configured(bundle: Bundle) -> Result<Configured> {
    works()?;
    let aside = scratch()?;
    let config = aside.path().join("criu.conf");
    fs::write(&config, "network-lock nftables\n")?;
    Ok(Configured { bundle: bundle.set("/annotations", json!({ "org.criu.config": config })), aside })
}

/// Skips the test if CRIU is missing, or if the kernel lacks what CRIU needs.
fn works() -> Result {
    static CHECKED: OnceLock<String> = OnceLock::new();
    let criu = callers::find("criu")?;
    let refusal = CHECKED.get_or_init(|| match Command::new(criu).arg("check").output() {
        Ok(output) if output.status.success() => String::new(),
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or("criu check fails").to_owned(),
        Err(error) => error.to_string(),
    });
    if refusal.is_empty() { Ok(()) } else { skip(format!("CRIU does not work here: {refusal}")) }
}

/// A bundle, and the files that a [`Subject`] needs.
struct Configured {
    bundle: Bundle,
    aside: TempDir,
}

impl Configured {
    /// Writes the bundle. The container does not exist yet.
    fn build(self) -> Result<Subject> {
        Ok(Subject { container: self.bundle.build()?, aside: self.aside })
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // runc has CRIU mount in the caller's mount namespace; a CRIU that is killed leaves these mounts.
        for mount in container::mounts_below(self.aside.path()) {
            let _ = umount2(&mount, MntFlags::MNT_DETACH);
        }
    }
}

impl Subject {
    fn run(bundle: Bundle) -> Result<Subject> {
        let subject = configured(bundle)?.build()?;
        subject.detached("run", &[])?;
        Ok(subject)
    }

    /// A container that counts, and has come to `FAR`.
    fn counting(bundle: Bundle) -> Result<Subject> {
        let subject = Subject::run(bundle)?;
        eventually("counting", || Ok(number(&subject.container, "number") > FAR))?;
        Ok(subject)
    }

    /// A call of the runtime with CRIU in its PATH.
    fn call<const N: usize>(&self, words: [&str; N]) -> Result<Call> {
        Ok(self.container.call(words).env("PATH", callers::path()?))
    }

    fn images(&self) -> PathBuf {
        self.aside.path().join("images")
    }

    /// `run` or `restore` with the null device as the container's output. The runtime's messages are in its log.
    fn detached(&self, verb: &str, options: &[&str]) -> Result {
        let output = self.launched(&[verb], options)?;
        let log = fs::read_to_string(self.aside.path().join("log")).unwrap_or_default();
        ensure!(output.status.success(), "{output}; log {log:?}");
        Ok(())
    }

    fn launched(&self, words: &[&str], options: &[&str]) -> Result<Output> {
        let log = self.aside.path().join("log").display().to_string();
        let null = || PathBuf::from("/dev/null");
        let call = self.call(["--log", &log])?.args(words).arg("--detach").args(options);
        let call = call.arg("--bundle").arg(self.container.bundle()).arg(&self.container.id);
        call.output_to(null(), null()).output()
    }

    /// `checkpoint OPTIONS ID`
    fn checkpoint(&self, options: &[&str]) -> Result<Output> {
        let call = self.call(["checkpoint", "--image-path"])?.arg(self.images()).args(options);
        call.arg(&self.container.id).output()
    }

    fn restore(&self, options: &[&str]) -> Result {
        let images = self.images().display().to_string();
        self.detached("restore", &[&["--image-path", images.as_str()], options].concat())
    }

    /// `restore` with a pipe as standard output. Returns the reading end.
    fn restored_pipe(&self) -> Result<BufReader<std::io::PipeReader>> {
        let images = self.images().display().to_string();
        piped(&["restore", "--detach", "--image-path", &images], self)
    }

    /// A call of `restore` whose output is checked.
    fn restore_call(&self, options: &[&str]) -> Result<Call> {
        let call = self.call(["restore", "--image-path"])?.arg(self.images()).args(options);
        Ok(call.arg("--bundle").arg(self.container.bundle()).arg(&self.container.id))
    }

    /// Checks that the container counts on from its last number, and has not begun again.
    fn goes_on(&self) -> Result {
        let file = self.container.rootfs().join("number");
        let _ = fs::remove_file(&file);
        let mut after = 0;
        eventually("counting on", || {
            after = number(&self.container, "number");
            Ok(after > 0)
        })?;
        ensure!(after > FAR, "counted from the start again: {after}");
        Ok(())
    }
}

fn number(container: &Container, file: &str) -> u64 {
    container.read(file).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn counter() -> Bundle {
    Bundle::new(["count", "/number"])
}

fn there_and_back(view: View) -> Result {
    let subject = Subject::counting(counter().view(view))?;
    let container = &subject.container;
    subject.checkpoint(&[])?.success()?;
    subject.restore(&[])?;
    equal("status", container.status()?, "running")?;
    subject.goes_on()?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// A process that ran before the checkpoint runs on after the restore, with its memory.
fn processes_go_on_where_they_were() -> Result {
    there_and_back(View::Machine)
}

/// The same if v2 is the only hierarchy.
fn processes_go_on_in_the_unified_view() -> Result {
    there_and_back(View::Unified)
}

/// A checkpoint ends the container: no state, cgroup or process is left.
fn checkpoint_ends_the_container() -> Result {
    let subject = Subject::counting(counter())?;
    let pid = subject.container.pid()?;
    subject.checkpoint(&[])?.success()?;
    subject.container.command(["state"])?.fails_with("does not exist")?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    ensure!(stat.is_empty() || stat.contains(") Z "), "the process is still there: {stat}");
    ensure!(subject.images().join("inventory.img").exists(), "no images");
    subject.container.nothing_left()
}

/// With `--leave-running` the images are written, and the container runs on.
fn leave_running_lets_it_go_on() -> Result {
    let subject = Subject::counting(counter())?;
    let pid = subject.container.pid()?;
    subject.checkpoint(&["--leave-running"])?.success()?;
    equal("pid", subject.container.pid()?, pid)?;
    equal("status", subject.container.status()?, "running")?;
    let before = number(&subject.container, "number");
    eventually("counting on", || Ok(number(&subject.container, "number") > before))
}

/// The images of a container that ran on can be restored later.
fn images_of_what_was_left_running() -> Result {
    let subject = configured(Bundle::new(["trap", "USR1"]))?.build()?;
    let mut first = piped(&["run", "--detach"], &subject)?;
    equal("first", &*line(&mut first)?, "ready\n")?;
    subject.checkpoint(&["--leave-running"])?.success()?;
    subject.container.kill("USR1")?.success()?;
    contains("first", &line(&mut first)?, "USR1")?;
    subject.container.wait_status("stopped")?;
    subject.container.command(["delete"])?.success()?;
    let mut second = subject.restored_pipe()?;
    subject.container.kill("USR1")?.success()?;
    contains("second", &line(&mut second)?, "USR1")
}

/// A created container has no program yet: refused.
fn a_created_container_is_refused() -> Result {
    let subject = configured(Bundle::new(["pause"]))?.build()?;
    subject.container.create()?.success()?;
    subject.checkpoint(&[])?.fails_with("cannot be checkpointed in created state")?;
    equal("status", subject.container.status()?, "created")
}

/// A stopped container has no processes: refused.
fn a_stopped_container_is_refused() -> Result {
    let subject = Subject::run(Bundle::new(["true"]))?;
    subject.container.wait_status("stopped")?;
    subject.checkpoint(&[])?.fails_with("cannot be checkpointed in stopped state").map(drop)
}

/// An unknown container is an error.
fn an_unknown_container_is_an_error() -> Result {
    let subject = configured(counter())?.build()?;
    subject.checkpoint(&[])?.fails_with("does not exist").map(drop)
}

/// A paused container can be checkpointed. After the restore it runs.
fn a_paused_container_can_be_written() -> Result {
    let subject = Subject::counting(counter())?;
    subject.container.command(["pause"])?.success()?;
    subject.checkpoint(&[])?.success()?;
    subject.container.command(["state"])?.fails_with("does not exist")?;
    subject.restore(&[])?;
    equal("status", subject.container.status()?, "running")?;
    subject.goes_on()
}

/// A restored container is like any other: it can be checkpointed again, over the old images.
fn a_restored_container_can_be_written_again() -> Result {
    let subject = Subject::counting(counter())?;
    for _ in 0..2 {
        subject.checkpoint(&[])?.success()?;
        subject.restore(&[])?;
        subject.goes_on()?;
    }
    Ok(())
}

/// `exec`, `ps`, `pause`, `resume` and `kill` work on a restored container.
fn commands_work_on_a_restored_container() -> Result {
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&[])?.success()?;
    subject.restore(&[])?;
    let container = &subject.container;
    let inside = container.exec([], ["ns"])?;
    for kind in ["mnt", "pid", "ipc", "uts", "time"] {
        inside.success()?.has_line(&container.namespace(kind)?)?;
    }
    contains("ps", &container.command(["ps", "-f", "json"])?.success()?.stdout, &container.pid()?.to_string())?;
    container.command(["pause"])?.success()?;
    equal("status", container.status()?, "paused")?;
    container.command(["resume"])?.success()?;
    container.stop()?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// Mount points, flags and file systems, without the numbers that the kernel assigns.
fn mount_table(container: &Container) -> Result<Vec<String>> {
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", container.pid()?))?;
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let kind = words.iter().position(|word| *word == "-").and_then(|at| words.get(at + 1)).unwrap_or(&"?");
        format!("{} {} {} {kind}", words[4], words[3], words[5])
    };
    let mut lines: Vec<String> = table.lines().map(line).collect();
    lines.sort();
    Ok(lines)
}

/// All mounts are restored: file systems with their files, bind mounts, masked and read-only paths, cgroups, devices.
fn mounts_are_what_they_were() -> Result {
    let data = scratch()?;
    let bundle = Bundle::new(["write", "/scratch/kept", "this", ",", "count", "/number"])
        .mount(json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"] }))
        .mount(json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"] }))
        .mount(json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"] }))
        .mount(json!({ "destination": "/scratch", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m"] }))
        .mount(json!({ "destination": "/data", "source": data.path(), "options": ["bind", "ro", "nosuid"] }))
        .dir("/elsewhere")
        .symlink("/linked", "/elsewhere")
        .mount(json!({ "destination": "/linked/data", "source": data.path(), "options": ["rbind"] }))
        .namespace("network")
        .set("/linux/maskedPaths", json!(["/proc/keys", "/proc/acpi", "/sys/firmware"]))
        .set("/linux/readonlyPaths", json!(["/proc/sys", "/proc/bus"]))
        .push("/linux/devices", json!({ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229 }))
        .set("/root/readonly", false);
    let subject = Subject::counting(bundle)?;
    let before = mount_table(&subject.container)?;
    subject.checkpoint(&[])?.success()?;
    subject.restore(&[])?;
    equal("mounts", mount_table(&subject.container)?, before)?;
    let inside =
        subject.container.exec([], ["cat", "/scratch/kept", ",", "stat", "/dev/fuse", ",", "cat", "/proc/keys"])?;
    inside.success()?.has_line("this")?;
    contains("device", &inside.stdout, "stat /dev/fuse: char")
}

/// The source of a bind mount is that of the config with which the container is restored.
fn a_bind_mount_is_what_the_new_config_says() -> Result {
    let (old, new) = (scratch()?, scratch()?);
    fs::write(old.path().join("which"), "old")?;
    fs::write(new.path().join("which"), "new")?;
    let bundle = counter().mount(json!({ "destination": "/data", "source": old.path(), "options": ["bind"] }));
    let subject = Subject::counting(bundle)?;
    subject.checkpoint(&[])?.success()?;
    subject.container.edit_config(|config| config["mounts"][2]["source"] = json!(new.path()))?;
    subject.restore(&[])?;
    subject.container.exec([], ["cat", "/data/which"])?.success()?.has_line("new").map(drop)
}

/// Mounts below the source of a recursive bind come from the host, too.
fn a_recursive_bind_mount_brings_what_is_below() -> Result {
    if runtime::is("runc") {
        return skip("runc tells CRIU about the top mount only");
    }
    let source = scratch()?;
    let below = Tmpfs::mount(source.path().join("below"))?;
    fs::write(below.0.join("file"), "down here")?;
    let entry = json!({ "destination": "/data", "source": source.path(), "options": ["rbind"] });
    let own = json!({ "destination": "/data/own", "type": "tmpfs", "source": "tmpfs" });
    let subject = Subject::counting(counter().mount(entry).mount(own))?;
    let before = mount_table(&subject.container)?;
    subject.checkpoint(&[])?.success()?;
    subject.restore(&[])?;
    equal("mounts", mount_table(&subject.container)?, before)?;
    subject.container.exec([], ["cat", "/data/below/file"])?.success()?.has_line("down here").map(drop)
}

/// A tmpfs in this suite's mount namespace.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn mount(path: PathBuf) -> Result<Tmpfs> {
        fs::create_dir_all(&path)?;
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
        Ok(Tmpfs(path))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// The root file system may be another copy, without the mount points that create has made.
fn mount_points_are_made_again() -> Result {
    let data = scratch()?;
    let entry = |path: &str| json!({ "destination": path, "source": data.path(), "options": ["bind"] });
    let bundle = counter().mount(entry("/a/b")).mount(entry("/a/b/c"));
    let subject = Subject::counting(bundle)?;
    subject.checkpoint(&[])?.success()?;
    let rootfs = subject.container.rootfs();
    fs::remove_dir(data.path().join("c"))?;
    for made in ["a/b", "a", "proc", "dev"] {
        fs::remove_dir(rootfs.join(made)).with_context(|| made)?;
    }
    subject.restore(&[])?;
    equal("status", subject.container.status()?, "running")?;
    let left = fs::read_dir(rootfs.join("a/b"))?.count();
    equal("files below the mount point", left, 0)
}

/// The limits of a restored container are those of the config with which it is restored.
fn limits_are_those_of_the_config() -> Result {
    let subject = Subject::counting(counter().set("/linux/resources/pids/limit", 50))?;
    subject.checkpoint(&[])?.success()?;
    subject.container.edit_config(|config| config["linux"]["resources"]["pids"]["limit"] = json!(40))?;
    subject.restore(&[])?;
    equal("limit", &*subject.container.cgroup_file("pids", "pids.max")?, "40")?;
    let pid = subject.container.pid()?.to_string();
    contains("processes", &subject.container.cgroup_file("pids", "cgroup.procs")?, &pid)
}

/// With `--manage-cgroups-mode ignore` CRIU ignores cgroups. The container has its cgroups all the same.
fn cgroups_can_be_left_alone() -> Result {
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&["--manage-cgroups-mode", "ignore"])?.success()?;
    subject.restore(&["--manage-cgroups-mode=ignore"])?;
    let pid = subject.container.pid()?.to_string();
    contains("processes", &subject.container.cgroup_file("pids", "cgroup.procs")?, &pid)
}

/// A container can be restored into another cgroup, with its processes.
fn the_cgroup_of_the_new_config_is_used() -> Result {
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&[])?.success()?;
    let path = format!("{}/{}/inner", machine::cgroup_parent(), subject.container.id);
    subject.container.edit_config(|config| config["linux"]["cgroupsPath"] = json!(path))?;
    subject.restore(&[])?;
    let pid = subject.container.pid()?;
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    ensure!(table.lines().any(|line| line.ends_with(&path)), "in other cgroups: {table}");
    subject.container.command(["delete", "--force"])?.success()?;
    Ok(())
}

/// With `--cgroup-manager disabled`, an option of crun, there are no cgroups to save or to make.
fn a_container_without_cgroups() -> Result {
    if runtime::is("runc") {
        return skip("runc has no --cgroup-manager");
    }
    let subject = configured(counter())?.build()?;
    let log = subject.aside.path().join("log").display().to_string();
    let container = &subject.container;
    let null = || PathBuf::from("/dev/null");
    let detached = |words: &[&str]| -> Result {
        let call = subject.call(["--cgroup-manager", "disabled", "--log", &log])?.args(words).arg("--detach");
        let call = call.arg("--bundle").arg(container.bundle()).arg(&container.id).output_to(null(), null());
        call.output()?.success().with_context(|| fs::read_to_string(&log).unwrap_or_default()).map(drop)
    };
    detached(&["run"])?;
    eventually("counting", || Ok(number(container, "number") > FAR))?;
    subject.checkpoint(&[])?.success()?;
    detached(&["restore", "--image-path", &subject.images().display().to_string()])?;
    subject.goes_on()?;
    ensure!(
        !fs::read_to_string(format!("/proc/{}/cgroup", container.pid()?))?.contains(&container.id),
        "the container is in a cgroup of its own"
    );
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// If standard output was a pipe, the restored container gets the standard output of `restore`.
fn standard_output_goes_to_the_new_pipe() -> Result {
    let subject = configured(Bundle::new(["trap", "USR1"]))?.build()?;
    let container = &subject.container;
    let mut first = piped(&["run", "--detach"], &subject)?;
    equal("first", &*line(&mut first)?, "ready\n")?;
    subject.checkpoint(&[])?.success()?;
    let mut second = subject.restored_pipe()?;
    equal("status", container.status()?, "running")?;
    container.kill("USR1")?.success()?;
    contains("second", &line(&mut second)?, "USR1")
}

/// Starts or restores a container with a pipe as standard output. Returns the reading end.
fn piped(words: &[&str], subject: &Subject) -> Result<BufReader<std::io::PipeReader>> {
    let (reader, writer) = std::io::pipe()?;
    written(words, subject, writer.into())?;
    Ok(BufReader::new(reader))
}

/// `run` or `restore` with this standard output.
fn written(words: &[&str], subject: &Subject, output: Stdio) -> Result {
    let container = &subject.container;
    let log = subject.aside.path().join("log");
    let mut command = Command::new(&runtime::get().path);
    command.env("PATH", callers::path()?).arg("--root").arg(container.state_root()).arg("--log").arg(&log).args(words);
    command.arg("--bundle").arg(container.bundle()).arg(&container.id);
    let status = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "{words:?}: {status}; log {:?}", fs::read_to_string(&log).unwrap_or_default());
    Ok(())
}

fn line(reader: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line)
}

/// If standard output was a file outside the container that grows, the restored container gets the standard output of
/// `restore`. For other files CRIU demands the old size.
fn standard_output_goes_to_the_new_file() -> Result {
    if runtime::is("runc") {
        return skip("runc replaces pipes only");
    }
    let subject = configured(Bundle::new(["trap", "USR1"]))?.build()?;
    let file = |name: &str| File::options().append(true).create(true).open(subject.aside.path().join(name));
    let text = |name: &str| Ok::<_, anyhow::Error>(fs::read_to_string(subject.aside.path().join(name))?);
    written(&["run", "--detach"], &subject, file("first")?.into())?;
    eventually("a handler", || Ok(text("first")? == "ready\n"))?;
    subject.checkpoint(&[])?.success()?;
    let images = subject.images().display().to_string();
    written(&["restore", "--detach", "--image-path", &images], &subject, file("second")?.into())?;
    subject.container.kill("USR1")?.success()?;
    eventually("the signal", || Ok(text("second")?.contains("USR1")))?;
    equal("the old file", &*text("first")?, "ready\n")
}

/// Without `--detach` the runtime stays, forwards signals and exits with the container's status.
fn restore_in_front_returns_the_status() -> Result {
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&[])?.success()?;
    let running = subject.restore_call(&[])?.spawn()?;
    let restored = || Ok(subject.container.command(["state"])?.stdout.contains("\"running\""));
    eventually("a restored container", restored)?;
    subject.container.kill("KILL")?.success()?;
    equal("status", running.wait()?.code()?, 137)?;
    subject.container.nothing_left()
}

/// `--pid-file` receives the host's pid of the restored process, and nothing else.
fn restore_writes_the_pid_file() -> Result {
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&[])?.success()?;
    let file = subject.aside.path().join("pid").display().to_string();
    subject.restore(&["--pid-file", &file])?;
    equal("pid file", fs::read_to_string(file)?, subject.container.pid()?.to_string())
}

fn locked(container: &Container) -> Result<bool> {
    match File::open(container.rootfs().join("lock"))?.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// With `--file-locks` a lock is held again after the restore.
fn a_file_lock_is_held_again() -> Result {
    let subject = Subject::counting(Bundle::new(["lock", "/lock", ",", "count", "/number"]))?;
    equal("locked before", locked(&subject.container)?, true)?;
    subject.checkpoint(&["--file-locks"])?.success()?;
    equal("locked meanwhile", locked(&subject.container)?, false)?;
    subject.restore(&["--file-locks"])?;
    equal("locked after", locked(&subject.container)?, true)
}

/// Without the option a lock makes the checkpoint fail, and the container runs on.
fn a_file_lock_needs_the_option() -> Result {
    let subject = Subject::counting(Bundle::new(["lock", "/lock", ",", "count", "/number"]))?;
    let output = subject.checkpoint(&[])?;
    output.failure()?;
    if runtime::is("tare") {
        contains("the reason", &output.stderr, "lock")?;
        equal("lines", output.stderr.trim().lines().count(), 1)?;
    }
    equal("status", subject.container.status()?, "running")?;
    let before = number(&subject.container, "number");
    eventually("counting on", || Ok(number(&subject.container, "number") > before))
}

fn connected() -> Result<Subject> {
    let subject = Subject::run(Bundle::new(["tcp", "/number"]).namespace("network"))?;
    eventually("a connection", || Ok(number(&subject.container, "number") > FAR))?;
    Ok(subject)
}

/// With `--tcp-established` an open connection goes on.
fn a_connection_survives() -> Result {
    let subject = connected()?;
    subject.checkpoint(&["--tcp-established"])?.success()?;
    subject.restore(&["--tcp-established"])?;
    subject.goes_on()
}

/// With `--tcp-close`, an option of crun, connections are not saved, and the restored process sees its connection
/// closed.
fn a_connection_can_be_closed() -> Result {
    if runtime::is("runc") {
        return skip("runc has no --tcp-close");
    }
    let subject = connected()?;
    subject.checkpoint(&["--tcp-close"])?.success()?;
    subject.restore(&["--tcp-close"])?;
    eventually("the end of the connection", || Ok(subject.container.read("number")?.starts_with("connection: ")))
}

/// A container's terminal is restored as a new one, which is sent over the console socket.
fn a_terminal_comes_back() -> Result {
    let bundle = Bundle::new(["lines", "/heard"])
        .mount(json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                       "options": ["newinstance", "ptmxmode=0666"] }))
        .set("/process/terminal", true);
    let subject = configured(bundle)?.build()?;
    let socket = Receiver::bind(subject.aside.path().join("console"))?;
    let option = socket.path.display().to_string();
    let heard = |wanted: &str| eventually(wanted, || Ok(subject.container.read("heard").is_ok_and(|t| t == wanted)));
    subject.detached("run", &["--console-socket", &option])?;
    let mut terminal = socket.terminal()?;
    terminal.write("one\n")?;
    heard("one\n")?;
    let before = mount_table(&subject.container)?;
    subject.checkpoint(&[])?.success()?;
    drop(terminal);
    subject.restore(&["--console-socket", &option])?;
    let mut terminal = socket.terminal()?;
    terminal.write("two\n")?;
    heard("one\ntwo\n")?;
    equal("mounts", mount_table(&subject.container)?, before)
}

/// A process in a new network namespace.
struct Network(Child);

impl Network {
    fn new() -> Result<Network> {
        let mut command = Command::new("unshare");
        command.arg("--net").arg(payload::path()).args(["echo", "there", ",", "pause"]);
        let mut child = command.stdout(Stdio::piped()).spawn().context("unshare(1)")?;
        let network = child.stdout.take();
        let network_line = line(&mut BufReader::new(network.context("a pipe")?))?;
        equal("unshare", &*network_line, "there\n")?;
        Ok(Network(child))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.0.id()))
    }

    fn name(&self) -> Result<String> {
        Ok(fs::read_link(self.path())?.display().to_string())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace that is joined by a path is not in the images. The container is restored into the one that the
/// config names by then.
fn a_joined_network_namespace_is_joined_again() -> Result {
    let (old, new) = (Network::new()?, Network::new()?);
    let subject = Subject::counting(counter().join("network", old.path()))?;
    equal("network", subject.container.namespace("net")?, old.name()?)?;
    subject.checkpoint(&[])?.success()?;
    drop(old);
    subject.container.edit_config(|config| {
        for entry in config["linux"]["namespaces"].as_array_mut().into_iter().flatten() {
            if entry["type"] == "network" {
                entry["path"] = json!(new.path());
            }
        }
    })?;
    subject.restore(&[])?;
    subject.goes_on()?;
    equal("network", subject.container.namespace("net")?, new.name()?)
}

/// With `--empty-ns network` the content of the namespace is not saved. A caller has to set it up again.
fn an_empty_network_namespace() -> Result {
    let subject = Subject::counting(counter().namespace("network"))?;
    let old = subject.container.namespace("net")?;
    subject.checkpoint(&["--empty-ns", "network"])?.success()?;
    let images = fs::read_dir(subject.images())?.flatten().map(|entry| entry.file_name());
    let netdev: Vec<_> = images.filter(|name| name.to_string_lossy().starts_with("netdev")).collect();
    subject.restore(&["--empty-ns", "network"])?;
    subject.goes_on()?;
    let new = subject.container.namespace("net")?;
    ensure!(new != machine_network()? && new != old || netdev.is_empty(), "no namespace of its own: {new}");
    Ok(())
}

fn machine_network() -> Result<String> {
    Ok(fs::read_link("/proc/self/ns/net")?.display().to_string())
}

/// A user namespace is restored with its mappings.
fn a_container_in_a_user_namespace() -> Result {
    let subject = Subject::counting(counter().user_namespace(100_000, 65_536).capabilities(&["CAP_DAC_OVERRIDE"]))?;
    subject.checkpoint(&[])?.success()?;
    subject.restore(&[])?;
    subject.goes_on()?;
    let map = fs::read_to_string(format!("/proc/{}/uid_map", subject.container.pid()?))?;
    equal("uid_map", map.split_whitespace().collect::<Vec<_>>(), vec!["0", "100000", "65536"])
}

/// `prestart` and `createRuntime` hooks run when the namespaces exist, with the new pid. `poststop` hooks run when the
/// checkpoint has ended the container.
fn hooks_of_a_restore() -> Result {
    let log = scratch()?;
    let file = log.path().join("hooks");
    let hook = |name: &str| json!([{ "path": payload::path(), "args": ["hook", "hook", &file, name] }]);
    let bundle = ["prestart", "createRuntime", "poststop"]
        .iter()
        .fold(counter(), |bundle, name| bundle.set(&format!("/hooks/{name}"), hook(name)));
    let subject = Subject::counting(bundle)?;
    let names = || -> Result<Vec<String>> {
        let text = fs::read_to_string(&file)?;
        Ok(text.lines().filter_map(|line| Some(line.split('\t').next()?.strip_prefix("name=")?.into())).collect())
    };
    subject.checkpoint(&[])?.success()?;
    equal("hooks", names()?, vec!["prestart", "createRuntime", "poststop"])?;
    fs::write(&file, "")?;
    subject.restore(&[])?;
    equal("hooks", names()?, vec!["prestart", "createRuntime"])?;
    let pid = subject.container.pid()?;
    contains("state", &fs::read_to_string(&file)?, &pid.to_string())
}

/// With `--work-path` logs and other temporary files are not among the images.
fn work_path_gets_the_log() -> Result {
    let subject = Subject::counting(counter())?;
    let work = subject.aside.path().join("work").display().to_string();
    subject.checkpoint(&["--work-path", &work])?.success()?;
    subject.restore(&["--work-path", &work])?;
    for log in ["dump.log", "restore.log"] {
        ensure!(Path::new(&work).join(log).exists(), "no {log} in the work path");
        ensure!(!subject.images().join(log).exists(), "{log} among the images");
    }
    Ok(())
}

/// containerd's work directory is a link to a directory on another disk.
fn directories_may_be_links() -> Result {
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&[])?.success()?;
    let (images, work) = (subject.aside.path().join("moved"), subject.aside.path().join("work"));
    fs::rename(subject.images(), &images)?;
    symlink(&images, subject.images())?;
    fs::create_dir(&work)?;
    let link = subject.aside.path().join("link");
    symlink(&work, &link)?;
    for options in [&[][..], &["--work-path", &link.display().to_string()]] {
        subject.restore(options)?;
        subject.goes_on()?;
        subject.container.command(["delete", "--force"])?.success()?;
    }
    Ok(())
}

/// Engines pass `--no-pivot` if the root is an initramfs.
fn no_pivot() -> Result {
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&[])?.success()?;
    subject.restore(&["--no-pivot"])?;
    subject.goes_on()?;
    subject.container.exec([], ["rootns"])?.success()?.says("parent of root", "true").map(drop)
}

/// `--pre-dump` saves the memory and lets the container run on. The next dump saves the pages that have changed.
fn pre_dump_and_dump() -> Result {
    let subject = Subject::counting(counter())?;
    let first = subject.aside.path().join("first");
    let container = &subject.container;
    let output = subject.call(["checkpoint", "--pre-dump", "--image-path"])?.arg(&first).arg(&container.id).output()?;
    if output.stderr.contains("missing features") {
        output.failure()?;
        equal("status", container.status()?, "running")?;
        return skip("this kernel does not track changes of memory (CONFIG_MEM_SOFT_DIRTY)");
    }
    output.success()?;
    equal("status", container.status()?, "running")?;
    subject.checkpoint(&["--parent-path", "../first"])?.success()?;
    ensure!(subject.images().join("parent").exists(), "the images have no parent");
    subject.restore(&[])?;
    subject.goes_on()
}

/// A TCP port without a listener.
fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A `criu` that this suite starts. Dropping this kills it.
struct Criu(Child);

impl Criu {
    fn spawn(words: &[&str]) -> Result<Criu> {
        let mut command = Command::new(callers::find("criu")?);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Criu(command.spawn().context("criu")?))
    }
}

impl Drop for Criu {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// With `--lazy-pages` pages are fetched when they are used. The runtime serves them until the last one is fetched, and
/// reports on `--status-fd` when it starts.
fn lazy_pages() -> Result {
    let subject = configured(Bundle::new(["trap", "USR1"]))?.build()?;
    let mut first = piped(&["run", "--detach"], &subject)?;
    equal("first", &*line(&mut first)?, "ready\n")?;
    // Until all pages are fetched both containers exist, so the second one has another id.
    let other = configured(Bundle::new(["trap", "USR1"]))?.build()?;
    let (images, work) = (subject.images().display().to_string(), other.images().display().to_string());
    fs::create_dir(&work)?;
    let (address, port) = ("127.0.0.1", free_port()?.to_string());
    let (mut reader, writer) = std::io::pipe()?;
    let writer = File::from(std::os::fd::OwnedFd::from(writer));
    let server = format!("{address}:{port}");
    let options = ["checkpoint", "--lazy-pages", "--page-server", &server, "--status-fd", "3", "--image-path", &images];
    let serving = subject.call(options)?.arg(&subject.container.id).inherit(writer, 3)?.spawn()?;
    let mut byte = [1];
    reader.read_exact(&mut byte).context("the byte that says that the pages can be fetched")?;
    equal("byte", byte[0], 0)?;
    let pages = ["lazy-pages", "--page-server", "--address", address, "--port", &port, "-D", &images, "-W", &work];
    let _pages = Criu::spawn(&pages)?;
    eventually("the socket of the pages", || Ok(Path::new(&work).join("lazy-pages.socket").exists()))?;
    let words = ["restore", "--detach", "--lazy-pages", "--image-path", &images, "--work-path", &work];
    // The second container needs pages while it is restored, or when it handles the signal.
    let handled = piped(&words, &other).and_then(|mut second| {
        other.container.kill("USR1")?.success()?;
        contains("second", &line(&mut second)?, "USR1")
    });
    let log = fs::read_to_string(Path::new(&images).join("dump.log"))?;
    if handled.is_err() && log.contains("page-pipe: splice") {
        serving.wait()?.failure()?;
        equal("status", subject.container.status()?, "running")?;
        other.container.command(["delete", "--force"])?.success()?;
        other.container.nothing_left()?;
        return skip("this CRIU cannot serve pages on this kernel (page-pipe: splice: EBADF)");
    }
    handled?;
    serving.wait()?.success()?;
    subject.container.nothing_left()
}

/// With `--page-server` the memory goes to a server at this address, and not to the images.
fn memory_goes_to_a_page_server() -> Result {
    let subject = Subject::counting(counter())?;
    let there = subject.aside.path().join("there");
    fs::create_dir(&there)?;
    let (address, port) = ("127.0.0.1", free_port()?.to_string());
    let directory = there.display().to_string();
    let _server = Criu::spawn(&["page-server", "--address", address, "--port", &port, "-D", &directory])?;
    eventually("a page server", || listens(&port))?;
    subject.checkpoint(&["--page-server", &format!("{address}:{port}")])?.success()?;
    ensure!(!subject.images().join("pages-1.img").exists(), "pages among the images");
    for entry in fs::read_dir(&there)?.flatten() {
        fs::copy(entry.path(), subject.images().join(entry.file_name()))?;
    }
    subject.restore(&[])?;
    subject.goes_on()
}

/// Whether a port has a listener. A connection would count as the one dump that the page server waits for, so this only
/// looks at the kernel's table.
fn listens(port: &str) -> Result<bool> {
    let wanted = format!(":{:04X} ", port.parse::<u16>()?);
    let table = fs::read_to_string("/proc/net/tcp")?;
    Ok(table.lines().any(|line| line.contains(&wanted) && line.contains(" 0A ")))
}

/// `--parent-path` is relative to the images, so that both can be moved together. It must exist.
fn parent_path_must_be_relative() -> Result {
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&["--parent-path", "/tmp"])?.fails_with("--parent-path must be relative")?;
    subject.checkpoint(&["--parent-path", "../nowhere"])?.fails_with("invalid --parent-path")?;
    equal("status", subject.container.status()?, "running")
}

/// Invalid values are refused before the container is touched.
fn mistakes_on_the_command_line() -> Result {
    let subject = Subject::counting(counter())?;
    for options in [
        ["--manage-cgroups-mode", "hard"],
        ["--empty-ns", "pid"],
        ["--page-server", "nowhere"],
        ["--page-server", "localhost:port"],
    ] {
        subject.checkpoint(&options)?.failure().with_context(|| options.join(" "))?;
    }
    equal("status", subject.container.status()?, "running")
}

/// Without CRIU in `$PATH` both commands report that, and change nothing.
fn without_criu() -> Result {
    let subject = Subject::counting(counter())?;
    let words = "executable file not found in $PATH";
    let nowhere = subject.aside.path().join("nowhere");
    let call = subject.call(["checkpoint", "--image-path"])?.arg(subject.images());
    call.env("PATH", &nowhere).arg(&subject.container.id).output()?.fails_with(words)?;
    equal("status", subject.container.status()?, "running")?;
    subject.checkpoint(&[])?.success()?;
    subject.restore_call(&["--detach"])?.env("PATH", &nowhere).output()?.fails_with(words)?;
    subject.container.nothing_left()
}

/// If CRIU dies during a checkpoint, the container runs on. If it dies during a restore, nothing is left.
fn criu_that_dies() -> Result {
    let subject = Subject::counting(counter())?;
    let bin = subject.aside.path().join("bin");
    fs::create_dir(&bin)?;
    fs::write(bin.join("criu"), "#!/bin/sh\nexit 3\n")?;
    fs::set_permissions(bin.join("criu"), fs::Permissions::from_mode(0o755))?;
    let call = subject.call(["checkpoint", "--image-path"])?.arg(subject.images());
    call.env("PATH", &bin).arg(&subject.container.id).output()?.failure()?;
    equal("status", subject.container.status()?, "running")?;
    subject.checkpoint(&[])?.success()?;
    subject.restore_call(&["--detach"])?.env("PATH", &bin).output()?.failure()?;
    subject.container.nothing_left()
}

/// A missing image directory is named.
fn restore_from_nowhere() -> Result {
    let subject = configured(counter())?.build()?;
    subject.restore_call(&["--detach"])?.output()?.fails_with("no such file or directory")?;
    subject.container.nothing_left()
}

/// A directory without images is an error.
fn restore_from_an_empty_directory() -> Result {
    let subject = configured(counter())?.build()?;
    fs::create_dir(subject.images())?;
    subject.restore_call(&["--detach"])?.output()?.failure()?;
    subject.container.nothing_left()?;
    fs::write(subject.images().join("descriptors.json"), r#"["/dev/null","/dev/null","/dev/null"]"#)?;
    let output = subject.restore_call(&["--detach"])?.output()?;
    output.failure()?;
    if runtime::is("tare") {
        equal("lines", output.stderr.trim().lines().count(), 1)?;
        contains("where to look", &output.stderr, "restore.log")?;
    }
    subject.container.nothing_left()
}

/// The id of an existing container is refused, and that container is not changed.
fn restore_of_an_existing_container() -> Result {
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&["--leave-running"])?.success()?;
    subject.restore_call(&["--detach"])?.output()?.fails_with("already exists")?;
    equal("status", subject.container.status()?, "running")
}

/// A hook that fails makes the restore fail. No processes and no mounts are left.
fn restore_with_a_failing_hook() -> Result {
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&[])?.success()?;
    let hook = json!([{ "path": payload::path(), "args": ["hook", "exit", "7"] }]);
    subject.container.edit_config(|config| config["hooks"] = json!({ "createRuntime": hook }))?;
    let output = subject.restore_call(&["--detach"])?.output()?;
    names_field(&output, "hooks.createRuntime[0]")?;
    subject.container.nothing_left()
}

/// If the runtime is killed during a restore, CRIU and the restored processes end with it, and the rest can be deleted.
fn restore_that_is_killed() -> Result {
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&[])?.success()?;
    let log = subject.aside.path().join("hook");
    let hook = json!([{ "path": payload::path(), "args": ["hook", "append", &log, "here", ",", "sleep", "3000"] }]);
    subject.container.edit_config(|config| config["hooks"] = json!({ "createRuntime": hook }))?;
    let running = subject.restore_call(&["--detach"])?.spawn()?;
    eventually("the hook", || Ok(log.exists()))?;
    running.signal(nix::sys::signal::Signal::SIGKILL)?;
    let _ = running.wait()?;
    subject.container.command(["delete", "--force"])?.success()?;
    subject.container.nothing_left()
}

/// The number of faults in a restore, unless `FAULTS` says another one.
const FAULTS: usize = 4;

/// A system call of a restore fails, or the runtime is killed before it. What the restore leaves can be deleted, and the
/// images still serve.
fn restore_with_faults() -> Result {
    if !runtime::is("tare") {
        return skip("a fault of the dynamic linker ends the restore without its own code");
    }
    let subject = Subject::counting(counter())?;
    subject.checkpoint(&[])?.success()?;
    let restore = |fault| {
        let (null, log) = (PathBuf::from("/dev/null"), subject.aside.path().join("said"));
        let call = subject.restore_call(&["--detach"])?.output_to(null, log);
        let traced = call.inject(None, fault)?;
        Ok::<_, anyhow::Error>((traced.output.context("the restore hangs")?, traced.calls))
    };
    let end = || {
        subject.container.command(["delete", "--force"])?.success()?;
        subject.container.nothing_left()
    };
    let (output, calls) = restore(None)?;
    output.success()?;
    end()?;
    let number = std::env::var("FAULTS").ok().and_then(|number| number.parse().ok()).unwrap_or(FAULTS);
    // Before its first own call, which is poll(2), the C library makes some that it does not survive.
    let begin = calls[0].iter().position(|made| made.call == nix::libc::SYS_poll).unwrap_or(0);
    let all = calls[0].len();
    for at in (begin..all).step_by((all - begin).div_ceil(number)) {
        let point = Point { process: 0, number: at };
        for harm in [Harm::Fails(0), Harm::Kills] {
            let (output, _) = restore(Some((point, harm))).with_context(|| format!("call {at}: {harm:?}"))?;
            let killed = output.status.signal() == Some(nix::libc::SIGKILL);
            ensure!(killed || output.status.code().is_some_and(|code| code < 2), "call {at}: {harm:?}: {output}");
            ensure!(!output.stderr.contains("panicked"), "call {at}: {harm:?}: {output}");
            end().with_context(|| format!("call {at}: {harm:?}: {output}"))?;
        }
    }
    subject.restore(&[])?;
    subject.goes_on()
}

/// conmon restores with its own arguments. Afterwards it monitors the container as one that it has created.
fn restore_by_conmon() -> Result {
    let subject = configured(Bundle::new(["trap", "USR1", ",", "exit", "5"]))?.build()?;
    let container = &subject.container;
    let first = Conmon::create(container, &[])?;
    container.start()?;
    first.wait_log("ready")?;
    subject.checkpoint(&[])?.success()?;
    equal("exit code", first.exit_code()?, "137")?;
    fs::remove_dir_all(first.place.join("exits"))?;
    let images = subject.images().display().to_string();
    let second = Conmon::create(container, &["--restore", &images])?;
    equal("pid file", fs::read_to_string(second.pid_file())?, container.pid()?.to_string())?;
    container.kill("USR1")?.success()?;
    second.wait_log("got SIGUSR1")?;
    equal("exit code", second.exit_code()?, "5")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// A container that counts in a scope of systemd, and its images.
fn in_a_scope() -> Result<Subject> {
    scope::systemd_runs()?;
    let subject = configured(counter().set("/linux/resources/pids", json!({ "limit": 50 })))?.build()?;
    let path = format!("system.slice:tare:{}", subject.container.id);
    subject.container.edit_config(|config| config["linux"]["cgroupsPath"] = json!(path))?;
    subject.launched(&["--systemd-cgroup", "run"], &[])?.success()?;
    eventually("counting", || Ok(number(&subject.container, "number") > FAR))?;
    subject.checkpoint(&[])?.success()?;
    scope::nothing_left(&subject.container)?;
    Ok(subject)
}

/// With `--systemd-cgroup` a restored container gets a unit of its own, which has its limits and ends with it.
fn a_restored_container_gets_a_scope() -> Result {
    let subject = in_a_scope()?;
    let images = subject.images().display().to_string();
    let restored = subject.launched(&["--systemd-cgroup", "restore"], &["--image-path", &images])?;
    let log = fs::read_to_string(subject.aside.path().join("log")).unwrap_or_default();
    ensure!(restored.status.success(), "{restored}; log {log:?}");
    let container = &subject.container;
    equal("cgroup", scope::cgroup(container)?, format!("/system.slice/{}", scope::unit(container)))?;
    equal("pids.max", scope::file(container, "pids.max")?.as_str(), "50")?;
    equal("TasksMax", scope::property(container, "TasksMax")?.as_str(), "50")?;
    subject.goes_on()?;
    container.command(["pause"])?.success()?;
    container.command(["resume"])?.success()?;
    container.command(["delete", "--force"])?.success()?;
    scope::nothing_left(container)
}

/// The unit exists before CRIU runs. If the restore fails, it is removed.
fn a_restore_that_fails_leaves_no_scope() -> Result {
    let subject = in_a_scope()?;
    fs::remove_file(subject.images().join("core-1.img"))?;
    let images = subject.images().display().to_string();
    subject.launched(&["--systemd-cgroup", "restore"], &["--image-path", &images])?;
    subject.container.command(["state"])?.fails_with("does not exist")?;
    scope::nothing_left(&subject.container)
}
