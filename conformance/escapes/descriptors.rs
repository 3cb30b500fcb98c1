//! Attacks through what a process of the runtime still has from the host: descriptors, its program, its root directory.

use super::attacks;
use super::host::{SECRET, Sentinel, climb, inside};
use super::verdict::{ensure_held, rounds};
use crate::harness::{container::namespace_of, payload, *};
use anyhow::ensure;
use nix::sys::statvfs::{FsFlags, fstatvfs};
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

attacks! {
    descriptors_of_the_host_are_not_in_init:
        "init before `start`, or a process of `exec`, has a directory of the host open",
        ["CVE-2016-9962", "runc", "before 1.0.0-rc3"],
        ["CVE-2024-21626", "runc", "1.0.0-rc93 to 1.1.11"],
        ["CVE-2015-3627", "libcontainer of Docker", "before 1.6.1"];
    created_init_is_not_dumpable:
        "the container's user can trace the init that waits for `start`",
        ["CVE-2016-9962", "runc", "before 1.0.0-rc3"];
    exec_enters_the_pid_namespace_last:
        "a process of `exec` is in the container's pid namespace while it sees the host's files",
        ["CVE-2016-9962", "runc", "before 1.0.0-rc3"];
    container_that_spies_on_exec:
        "a process of the container with CAP_SYS_PTRACE reads the host's files through /proc/PID of a process of `exec`",
        ["CVE-2016-9962", "runc", "before 1.0.0-rc3"];
    executable_of_init_is_sealed:
        "/proc/PID/exe of init is the host's binary, or can be written to",
        ["CVE-2019-5736", "runc", "before 1.0.0-rc7"];
    program_that_runs_the_runtime:
        "a program with the interpreter /proc/self/exe is the runtime's, and the container can write to it",
        ["CVE-2019-5736", "runc", "before 1.0.0-rc7"];
    cwd_through_a_descriptor:
        "a working directory /proc/self/fd/N leads to the host",
        ["CVE-2024-21626", "runc", "1.0.0-rc93 to 1.1.11"];
    cwd_through_a_link_of_the_image:
        "a working directory that is the image's link to /proc/self/fd/N leads to the host",
        ["CVE-2024-21626", "runc", "1.0.0-rc93 to 1.1.11"];
    program_through_a_descriptor:
        "the program /proc/self/fd/N/../PATH is one of the host",
        ["CVE-2024-21626", "runc", "1.0.0-rc93 to 1.1.11"];
    exec_through_a_descriptor:
        "`exec` with a working directory or a program behind /proc/self/fd/N leads to the host",
        ["CVE-2024-21626", "runc", "1.0.0-rc93 to 1.1.11"];
    cwd_that_is_made_through_a_link:
        "the runtime makes a missing working directory at the target of the image's link on the host",
        ["CVE-2026-55686", "Podman", "the same fault in an engine"];
}

/// The directories among a process's descriptors that are on a mount of this test's mount namespace, which is the
/// host's.
fn host_directories(pid: i32) -> Result<Vec<String>> {
    let mounts = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let of_the_host = |id: &str| mounts.lines().any(|line| line.split(' ').next() == Some(id));
    let mut found = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let fd = entry.file_name().to_string_lossy().into_owned();
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
        let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).unwrap_or_default().trim();
        if fs::metadata(entry.path()).is_ok_and(|file| file.is_dir()) && of_the_host(mount) {
            found.push(format!("{fd} -> {}", fs::read_link(entry.path())?.display()));
        }
    }
    Ok(found)
}

/// Whether this is the runtime's own file by a way that can be written to: runc 1.1 runs itself by a read-only mount.
fn is_the_runtime(path: &str) -> bool {
    // Opened once: the process may execute another program between two looks.
    let (Ok(own), Ok(file)) = (fs::metadata(&runtime::get().path), File::open(path)) else { return false };
    let same = file.metadata().is_ok_and(|it| (it.dev(), it.ino()) == (own.dev(), own.ino()));
    same && fstatvfs(&file).is_ok_and(|mount| !mount.flags().contains(FsFlags::ST_RDONLY))
}

fn descriptors_of_the_host_are_not_in_init() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    crowded(container.launch(["create"]))?.success()?;
    let found = host_directories(container.pid()?)?;
    ensure_held(found.is_empty(), format_args!("directories in init: {found:?}"))?;
    container.start()?;
    let file = container.aside("exec.pid");
    let call = container.call(["exec", "--detach", "--pid-file"]).arg(&file).arg(&container.id);
    let call = call.args(["/payload", "pause"]).output_to(container.aside("out"), container.aside("err"));
    crowded(call)?.success()?;
    let pid = fs::read_to_string(&file)?.trim().parse()?;
    let found = host_directories(pid)?;
    ensure_held(found.is_empty(), format_args!("directories in a process of exec: {found:?}"))
}

fn created_init_is_not_dumpable() -> Result {
    let container = Bundle::new(["pause"]).set("/process/user", json!({ "uid": 1000, "gid": 1000 })).create()?;
    let status = format!("/proc/{}/status", container.pid()?);
    // An init that is still root is out of that user's reach.
    if !fs::read_to_string(&status)?.contains("\nUid:\t1000\t") {
        return Ok(());
    }
    let owner = fs::metadata(&status)?.uid();
    ensure_held(owner == 0, format_args!("{owner} owns init's files in /proc"))
}

/// A process that the container's CAP_SYS_PTRACE can reach, one in its pid namespace, never has the host's root
/// directory and never runs the runtime's own binary.
fn exec_enters_the_pid_namespace_last() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let (pid, mount) = (container.namespace("pid")?, container.namespace("mnt")?);
    let own = process::id() as i32;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let last = fs::read_to_string("/proc/loadavg").unwrap_or_default();
                let last: i32 = last.rsplit(' ').next().and_then(|text| text.trim().parse().ok()).unwrap_or(own);
                for process in last - 4..=last + 1 {
                    if !namespace_of(process, "pid").is_ok_and(|seen| seen == pid) {
                        continue;
                    }
                    let root = namespace_of(process, "mnt");
                    let sees_the_host = root.is_ok_and(|seen| seen != mount);
                    ensure_held(!sees_the_host, format_args!("process {process} sees the host's files"))?;
                    let same = is_the_runtime(&format!("/proc/{process}/exe"));
                    ensure_held(!same, format_args!("process {process} runs the host's binary"))?;
                }
            }
            Ok(())
        });
        let calls = (0..rounds(8)).try_for_each(|_| container.exec([], ["true"])?.success().map(drop));
        over.store(true, Ordering::Relaxed);
        calls.and(watch.join().expect("the watch does not panic"))
    })
}

/// A container whose process spies on others of its pid namespace, while these calls of `exec` are made.
fn spied(bundle: Bundle, prey: &str, mut exec: impl FnMut(&Container) -> Result) -> Result<String> {
    let container = bundle
        .set("/process/args", json!(["/payload", "spy", "/stop", prey]))
        .capabilities(&["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"])
        .start()?;
    container.wait_output("spy: begins")?;
    let calls = (0..rounds(8)).try_for_each(|_| exec(&container));
    fs::write(container.rootfs().join("stop"), "")?;
    container.wait_status("stopped")?;
    calls?;
    container.output()
}

fn container_that_spies_on_exec() -> Result {
    let sentinel = Sentinel::new("file")?;
    let file = climb(&sentinel.path().join("file"));
    let exec = |container: &Container| container.exec([], ["true"])?.success().map(drop);
    let seen = spied(Bundle::new(["true"]), &file, exec)?;
    ensure_held(!seen.contains(SECRET), format_args!("the container read a file of the host: {seen}"))
}

fn executable_of_init_is_sealed() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let path = format!("/proc/{}/exe", container.pid()?);
    ensure_held(!is_the_runtime(&path), "init runs the host's binary, and can write to it")?;
    let writable = OpenOptions::new().write(true).open(&path).is_ok();
    ensure_held(!writable, "init's binary can be opened for writing")?;
    if runtime::is("tare") {
        let file = File::open(&path)?;
        // SAFETY: F_GET_SEALS takes no argument, and the file is open.
        let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        let wanted = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
        // Without memfds, init is a file on a read-only mount, which has no seals.
        let read_only = fstatvfs(&file)?.flags().contains(FsFlags::ST_RDONLY);
        ensure_held(read_only || seals != -1 && seals & wanted == wanted, format_args!("seals {seals:#x}"))?;
    }
    Ok(())
}

fn program_that_runs_the_runtime() -> Result {
    let before = fs::read(&runtime::get().path)?;
    let bundle = Bundle::new(["true"]).file_with_mode("evil", "#!/proc/self/exe\n", 0o755);
    // The program may run or fail; the spy waits for it.
    let exec = |container: &Container| container.call(["exec", &container.id, "/evil"]).output().map(drop);
    let seen = spied(bundle, "none", exec)?;
    let written = seen.lines().find(|line| line.starts_with("spy: can write to"));
    ensure_held(written.is_none(), format_args!("a program of the runtime: {}", written.unwrap_or_default()))?;
    ensure_held(fs::read(&runtime::get().path)? == before, "the runtime's binary has changed")
}

/// Runs the call with some descriptors open, as a caller's log files are. What runc 1.1 leaked had a low number, and
/// without those its own pipes took its place.
fn crowded(call: Call) -> Result<Output> {
    (3..=9).try_fold(call, |call, number| call.inherit(File::open("/dev/null")?, number))?.output()
}

/// Runs the container in this way.
fn run_crowded(bundle: Bundle) -> Result<Output> {
    let container = bundle.build()?;
    crowded(container.launch(["run"]))
}

fn cwd_through_a_descriptor() -> Result {
    let sentinel = Sentinel::new("file")?;
    let file = climb(&sentinel.path().join("file"));
    for prefix in ["/proc/self/fd", "/proc/1/fd"] {
        for fd in 0..=40 {
            let bundle = Bundle::new(["cat", &file, ",", "cwd"]);
            inside(&run_crowded(bundle.set("/process/cwd", format!("{prefix}/{fd}")))?)?;
        }
    }
    sentinel.untouched("file")
}

fn cwd_through_a_link_of_the_image() -> Result {
    let sentinel = Sentinel::new("file")?;
    let file = climb(&sentinel.path().join("file"));
    for fd in 3..=20 {
        let bundle = Bundle::new(["cat", &file, ",", "cwd"]).symlink("work", &format!("/proc/self/fd/{fd}"));
        inside(&run_crowded(bundle.set("/process/cwd", "/work"))?)?;
        let bundle = Bundle::new(["cat", &file, ",", "cwd"]).symlink("work", &format!("/proc/self/fd/{fd}"));
        inside(&run_crowded(bundle.set("/process/cwd", format!("/work/{}", "../".repeat(9))))?)?;
    }
    sentinel.untouched("file")
}

fn program_through_a_descriptor() -> Result {
    let program = climb(payload::path());
    for fd in 3..=20 {
        let container = Bundle::new([]).build()?;
        let args = json!([format!("/proc/self/fd/{fd}/{program}"), "echo", SECRET]);
        container.edit_config(|config| config["process"]["args"] = args)?;
        inside(&crowded(container.launch(["run"]))?)?;
    }
    Ok(())
}

fn exec_through_a_descriptor() -> Result {
    let sentinel = Sentinel::new("file")?;
    let file = climb(&sentinel.path().join("file"));
    let container = Bundle::new(["pause"]).symlink("work", "/proc/self/fd/7").start()?;
    let mut places: Vec<String> = (0..=40).map(|fd| format!("/proc/self/fd/{fd}")).collect();
    places.extend((0..=20).map(|fd| format!("/proc/1/fd/{fd}")));
    places.push("/work".into());
    for cwd in &places {
        inside(&crowded(container.exec_call(["--cwd", cwd], ["cat", &file, ",", "cwd"]))?)?;
    }
    for fd in 3..=20 {
        let program = format!("/proc/self/fd/{fd}/{}", climb(payload::path()));
        inside(&crowded(container.call(["exec", &container.id, &program, "echo", SECRET]))?)?;
    }
    sentinel.untouched("file")
}

fn cwd_that_is_made_through_a_link() -> Result {
    let sentinel = Sentinel::new("file")?;
    for way in sentinel.ways() {
        for cwd in ["/work/new", "/work/new/deeper"] {
            let container = Bundle::new(["cwd"]).symlink("work", &way).set("/process/cwd", cwd).build()?;
            container.run()?;
            sentinel.untouched("file")?;
            ensure!(container.rootfs().join("work").is_symlink(), "the image's link is gone");
        }
    }
    Ok(())
}
