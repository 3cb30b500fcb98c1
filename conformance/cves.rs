//! Vulnerabilities that other runtimes had. Each test names the vulnerability and the effect that must not appear.

use crate::harness::bundle::scratch;
use crate::harness::container::namespace_of;
use crate::harness::{Exchange, payload, *};
use anyhow::{Context, bail, ensure};
use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

tests![
    numeric_user_is_not_a_name,
    user_without_a_group_is_not_root,
    largest_id_is_not_root,
    descriptors_of_the_host_are_not_in_init,
    created_init_is_not_dumpable,
    exec_enters_the_pid_namespace_last,
    executable_of_init_is_sealed,
    entrypoint_that_runs_the_runtime,
    volume_over_proc,
    volume_over_proc_through_dots,
    symlinked_proc_and_sys,
    devices_are_denied_by_default,
    devices_are_denied_by_default_in_the_unified_view,
    mount_target_in_a_shared_volume,
    mount_target_made_in_a_shared_volume,
    values_longer_than_16_bits,
    exec_capability_is_not_inheritable,
    rootless_cgroups_are_not_writable,
    cwd_through_a_descriptor,
    cwd_through_a_link_of_the_image,
    program_through_a_descriptor,
    exec_through_a_descriptor,
    masked_by_a_false_null,
    masked_without_a_null,
    volume_below_proc,
    sysctl_is_written_to_the_kernel,
    dev_that_leads_to_the_host,
    start_container_hook_has_no_more_rights,
];

const USER: u32 = 64_322;
/// The duration of an attack by a race.
const ATTACK: Duration = Duration::from_secs(3);

/// A text of the host that no container may read or change.
const SECRET: &str = "of the host";

/// `../../…` and then a path of the host: it leads to the host's root from any directory.
fn climb(path: &Path) -> String {
    format!("{}{}", "../".repeat(12), path.display().to_string().trim_start_matches('/'))
}

/// A directory of the host with one file, and the state of both before the attack.
struct Sentinel(tempfile::TempDir);

impl Sentinel {
    fn new(file: &str) -> Result<Self> {
        let dir = scratch()?;
        fs::write(dir.path().join(file), SECRET)?;
        Ok(Self(dir))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fails if something was made, removed, written or mounted here.
    fn untouched(&self, file: &str) -> Result {
        let names: Vec<_> = fs::read_dir(self.path())?.flatten().map(|entry| entry.file_name()).collect();
        equal("entries on the host", names, [file])?;
        equal("file of the host", fs::read_to_string(self.path().join(file))?.as_str(), SECRET)?;
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo")?;
        ensure!(!mounts.contains(&self.path().display().to_string()), "mounted on the host: {mounts}");
        Ok(())
    }
}

/// CVE-2016-3697: the uid 1000 is a number. A user in /etc/passwd whose name is `1000` must not change it.
fn numeric_user_is_not_a_name() -> Result {
    let container = Bundle::new(["ids", ",", "pause"])
        .file("etc/passwd", "1000:x:0:0:evil:/:/bin/sh\n")
        .file("etc/group", "1000:x:0:\n")
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .start()?;
    container.wait_output("uid: 1000")?;
    let output = container.exec(["--user", "1000:1000"], ["ids"])?;
    output.success()?.says("uid", "1000")?.says("gid", "1000").map(drop)
}

/// CVE-2026-30892 (crun): `exec --user 1` without a group must run as uid 1, not as root.
fn user_without_a_group_is_not_root() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.exec(["--user", "1"], ["ids"])?.success()?.says("uid", "1")?.says("euid", "1").map(drop)
}

/// The same class of bug: 4294967295 is -1, which setresuid(2) takes as "keep the id". It is refused, or the process is
/// at least not root.
fn largest_id_is_not_root() -> Result {
    const LARGEST: &str = "4294967295";
    let not_root = |output: &Output| match output.status.success() {
        true => output.says("uid", LARGEST)?.says("gid", LARGEST).map(drop),
        false => output.failure().map(drop),
    };
    not_root(&Bundle::new(["ids"]).set("/process/user", json!({ "uid": u32::MAX, "gid": u32::MAX })).run()?)?;
    let container = Bundle::new(["pause"]).start()?;
    not_root(&container.exec(["--user", &format!("{LARGEST}:{LARGEST}")], ["ids"])?)
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

/// CVE-2016-9962, CVE-2024-21626: neither the init that waits for start nor a process of exec has a directory of the
/// host open.
fn descriptors_of_the_host_are_not_in_init() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("directories in init", host_directories(container.pid()?)?, Vec::<String>::new())?;
    container.start()?;
    let file = container.aside("exec.pid");
    let call = container.call(["exec", "--detach", "--pid-file"]).arg(&file).arg(&container.id);
    call.args(["/payload", "pause"]).output_to(container.aside("out"), container.aside("err")).output()?.success()?;
    let pid = fs::read_to_string(&file)?.trim().parse()?;
    equal("directories in a process of exec", host_directories(pid)?, Vec::<String>::new())
}

/// CVE-2016-9962: an init that waits with the uid of an ordinary user is not dumpable, so that user cannot trace it.
fn created_init_is_not_dumpable() -> Result {
    let container = Bundle::new(["pause"]).set("/process/user", json!({ "uid": 1000, "gid": 1000 })).create()?;
    let status = format!("/proc/{}/status", container.pid()?);
    contains("init", &fs::read_to_string(&status)?, "\nUid:\t1000\t")?;
    equal("owner of init's files in /proc", fs::metadata(&status)?.uid(), 0)
}

/// CVE-2016-9962: a process that the container's CAP_SYS_PTRACE can reach, one in its pid namespace, never has the
/// host's root directory and never runs the runtime's own binary.
fn exec_enters_the_pid_namespace_last() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let (pid, mount) = (container.namespace("pid")?, container.namespace("mnt")?);
    let own = process::id() as i32;
    let runtime = fs::metadata(&runtime::get().path)?;
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
                    if root.is_ok_and(|seen| seen != mount) {
                        bail!("process {process} of the container's pid namespace sees the host's files");
                    }
                    let exe = fs::metadata(format!("/proc/{process}/exe"));
                    if exe.is_ok_and(|exe| (exe.dev(), exe.ino()) == (runtime.dev(), runtime.ino())) {
                        bail!("process {process} of the container's pid namespace runs the host's binary");
                    }
                }
            }
            Ok(())
        });
        let calls = (0..25).try_for_each(|_| container.exec([], ["true"])?.success().map(drop));
        over.store(true, Ordering::Relaxed);
        calls?;
        watch.join().expect("the watch does not panic")
    })
}

/// CVE-2019-5736: /proc/PID/exe of init is not the host's binary, and is sealed against writes.
fn executable_of_init_is_sealed() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let path = format!("/proc/{}/exe", container.pid()?);
    let (seen, own) = (fs::metadata(&path)?, fs::metadata(&runtime::get().path)?);
    ensure!((seen.dev(), seen.ino()) != (own.dev(), own.ino()), "init runs the host's binary");
    ensure!(OpenOptions::new().write(true).open(&path).is_err(), "init's binary can be opened for writing");
    if runtime::is("tare") {
        let file = File::open(&path)?;
        // SAFETY: F_GET_SEALS takes no argument, and the file is open.
        let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        let wanted = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
        equal("seals", seals & wanted, wanted)?;
    }
    Ok(())
}

/// CVE-2019-5736: an entrypoint whose interpreter is `/proc/self/exe` runs no binary of the host, and changes none.
fn entrypoint_that_runs_the_runtime() -> Result {
    let before = fs::read(&runtime::get().path)?;
    let container = Bundle::new([]).file_with_mode("evil", "#!/proc/self/exe\n", 0o755).build()?;
    container.edit_config(|config| config["process"]["args"] = json!(["/evil"]))?;
    let output = container.run()?;
    ensure!(!output.status.success() || !output.stdout.contains(SECRET), "{output}");
    ensure!(fs::read(&runtime::get().path)? == before, "the runtime's binary has changed");
    container.nothing_left()
}

/// CVE-2019-16884: a volume over /proc would replace the files that LSM labels are written to.
fn volume_over_proc() -> Result {
    let dir = scratch()?;
    let volumes = [
        json!({ "destination": "/proc", "type": "tmpfs", "source": "tmpfs" }),
        json!({ "destination": "/proc", "type": "bind", "source": dir.path(), "options": ["bind"] }),
        json!({ "destination": "/x/../proc/.", "type": "bind", "source": dir.path(), "options": ["rbind"] }),
    ];
    for volume in volumes {
        Bundle::new(["true"]).mount(volume).refused("mounts[2]")?.fails_with("not of type proc")?;
    }
    Ok(())
}

/// CVE-2019-16884: a source is no procfs because its path begins with /proc; here it leads out by `..`.
fn volume_over_proc_through_dots() -> Result {
    let dir = scratch()?;
    for source in [format!("/proc/..{}", dir.path().display()), format!("/proc/self/root{}", dir.path().display())] {
        let volume = json!({ "destination": "/proc", "type": "bind", "source": source, "options": ["bind"] });
        Bundle::new(["true"]).mount(volume).refused("mounts[2]")?;
    }
    Ok(())
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: a symbolic link at /proc or /sys is refused, wherever it leads.
fn symlinked_proc_and_sys() -> Result {
    let sys = json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"] });
    for target in ["elsewhere", "/elsewhere", "../../elsewhere", "/proc/self/fd", "."] {
        Bundle::new(["true"]).dir("elsewhere").symlink("proc", target).refused("mounts[0]")?;
        Bundle::new(["true"]).dir("elsewhere").symlink("sys", target).mount(sys.clone()).refused("mounts[2]")?;
    }
    Bundle::new(["true"]).file("proc", "a file").refused("mounts[0]").map(drop)
}

fn denied_by_default(view: View) -> Result {
    let words = ["mknod", "/null2", "c:1:3", ",", "open", "/null2", ",", "mknod", "/kmsg2", "c:1:11", ",", "open"];
    let output = Bundle::new([])
        .set("/process/args", {
            let mut args = vec!["/payload"];
            args.extend(words);
            args.push("/kmsg2");
            json!(args)
        })
        .capabilities(&["CAP_MKNOD"])
        .set(
            "/linux/resources/devices",
            json!([{ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw" }]),
        )
        .view(view)
        .run()?;
    output.success()?.has_line("open /null2: ok")?.has_line("open /kmsg2: EPERM").map(drop)
}

/// GHSA-g54h-m393-cpwq: a list of device rules without a leading "deny all" denies all that it does not allow.
fn devices_are_denied_by_default() -> Result {
    denied_by_default(View::Machine)
}

/// The same on v2, where the rules are a BPF program.
fn devices_are_denied_by_default_in_the_unified_view() -> Result {
    denied_by_default(View::Unified)
}

/// Exchanges two names in a directory until it is stopped.
fn swap(dir: &Path, over: &AtomicBool) -> Result {
    let exchange = Exchange::new(&dir.join("a"), &dir.join("b"))?;
    while !over.load(Ordering::Relaxed) {
        exchange.once().context("renameat2")?;
    }
    Ok(())
}

/// Runs containers that mount at `/vol/a/…` while `a` in that volume is exchanged with a link to the host.
fn attack(destination: &str, make_parents: bool) -> Result {
    let sentinel = Sentinel::new("file")?;
    fs::create_dir(sentinel.path().join("deep")).context("the target on the host")?;
    let volume = scratch()?;
    for link in [sentinel.path().display().to_string(), climb(sentinel.path())] {
        let (a, b) = (volume.path().join("a"), volume.path().join("b"));
        let _ = fs::remove_file(&b).or_else(|_| fs::remove_dir_all(&b));
        let _ = fs::remove_file(&a).or_else(|_| fs::remove_dir_all(&a));
        fs::create_dir(&a)?;
        if !make_parents {
            fs::create_dir(a.join("deep"))?;
        }
        symlink(link, &b)?;
        let container = Bundle::new(["true"])
            .mount(json!({ "destination": "/vol", "source": volume.path(), "options": ["rbind"] }))
            .mount(json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" }))
            .build()?;
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let racer = scope.spawn(|| swap(volume.path(), &over));
            let end = Instant::now() + ATTACK / 2;
            let runs = || -> Result {
                while Instant::now() < end {
                    // The container may start or fail. Only the host must be untouched.
                    container.run()?;
                    let names = fs::read_dir(sentinel.path())?.count();
                    equal("entries on the host", names, 2)?;
                    equal("entries below", fs::read_dir(sentinel.path().join("deep"))?.count(), 0)?;
                    let mounts = fs::read_to_string("/proc/thread-self/mountinfo")?;
                    for dir in [sentinel.path(), volume.path()] {
                        ensure!(!mounts.contains(&dir.display().to_string()), "mounted on the host: {mounts}");
                    }
                }
                Ok(())
            };
            let result = runs();
            over.store(true, Ordering::Relaxed);
            racer.join().expect("the racer does not panic").and(result)
        })?;
    }
    fs::remove_dir(sentinel.path().join("deep"))?;
    sentinel.untouched("file")
}

/// CVE-2021-30465: if a component of a mount's target becomes a link during the mount, the mount does not go to the
/// host.
fn mount_target_in_a_shared_volume() -> Result {
    attack("/vol/a/deep", false)
}

/// CVE-2024-45310: the directories of a missing target are not made on the host either.
fn mount_target_made_in_a_shared_volume() -> Result {
    attack("/vol/a/new/directories", true)
}

/// CVE-2021-43784: lengths above 16 bits do not wrap: such values arrive whole, or are refused.
fn values_longer_than_16_bits() -> Result {
    let long = "x".repeat(70_000);
    let container = Bundle::new(["args", ",", "pause"]).set("/annotations/long", long.clone()).create()?;
    equal("annotation", container.state()?["annotations"]["long"].as_str().map(str::len), Some(70_000))?;
    let output = Bundle::new(["echo", &long]).run()?;
    equal("argument", output.success()?.stdout.trim_end().len(), 70_000)?;
    let source = format!("/{}", "x/".repeat(35_000));
    let mount = json!({ "destination": "/mnt", "source": source, "options": ["bind"] });
    Bundle::new(["true"]).mount(mount).refused("mounts[2]")?;
    let mount = json!({ "destination": format!("/{long}"), "type": "tmpfs", "source": "tmpfs" });
    Bundle::new(["true"]).mount(mount).refused("mounts[2]")?;
    let maps: Vec<_> = (0..5000).map(|id| json!({ "containerID": id, "hostID": 100_000 + id, "size": 1 })).collect();
    let bundle = Bundle::new(["true"]).user_namespace(100_000, 1).set("/linux/uidMappings", maps);
    bundle.refused("linux.uidMappings").map(drop)
}

/// CVE-2022-29162: `exec --cap` adds nothing to the inheritable set. It adds nothing to the ambient set, either, if the
/// inheritable set was empty.
fn exec_capability_is_not_inheritable() -> Result {
    let container =
        Bundle::new(["pause"]).set("/process/capabilities", json!({ "bounding": ["CAP_CHOWN"] })).start()?;
    let output = container.exec(["--cap", "CAP_KILL"], ["caps"])?;
    output.success()?.says("inheritable", "0")?.says("ambient", "0").map(drop)
}

/// CVE-2023-25809: without a cgroup namespace, the container of an ordinary user cannot write below /sys/fs/cgroup.
fn rootless_cgroups_are_not_writable() -> Result {
    let sys = json!({ "destination": "/sys", "type": "none", "source": "/sys",
        "options": ["rbind", "nosuid", "noexec", "nodev", "ro"] });
    let cgroup = json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] });
    let bundle = Bundle::new(["mkdir", "/sys/fs/cgroup/x", ",", "mkdir", "/sys/x"]);
    let output = bundle.user(USER).user_namespace(USER, 1).mount(sys).mount(cgroup).run()?;
    output.success()?.has_line("mkdir /sys/fs/cgroup/x: EROFS")?.has_line("mkdir /sys/x: EROFS").map(drop)
}

/// Checks a process that may have left the container: however it ended, it has not read the host's file.
fn inside(output: &Output) -> Result {
    ensure!(!output.stdout.contains(SECRET), "a process left the container: {output}");
    if output.status.success() {
        ensure!(!output.stdout.contains("unreachable"), "a directory outside the root: {output}");
        return Ok(());
    }
    output.failure().map(drop)
}

/// CVE-2024-21626: a working directory given by a descriptor that init may have open does not lead to the host.
fn cwd_through_a_descriptor() -> Result {
    let sentinel = Sentinel::new("file")?;
    let file = climb(&sentinel.path().join("file"));
    for prefix in ["/proc/self/fd", "/proc/1/fd"] {
        for fd in 0..=40 {
            let bundle = Bundle::new(["cat", &file, ",", "cwd"]);
            inside(&bundle.set("/process/cwd", format!("{prefix}/{fd}")).run()?)?;
        }
    }
    sentinel.untouched("file")
}

/// CVE-2024-21626: the same if the working directory is a link of the image.
fn cwd_through_a_link_of_the_image() -> Result {
    let sentinel = Sentinel::new("file")?;
    let file = climb(&sentinel.path().join("file"));
    for fd in 3..=20 {
        let bundle = Bundle::new(["cat", &file, ",", "cwd"]).symlink("work", &format!("/proc/self/fd/{fd}"));
        inside(&bundle.set("/process/cwd", "/work").run()?)?;
        let bundle = Bundle::new(["cat", &file, ",", "cwd"]).symlink("work", &format!("/proc/self/fd/{fd}"));
        inside(&bundle.set("/process/cwd", format!("/work/{}", "../".repeat(9))).run()?)?;
    }
    sentinel.untouched("file")
}

/// CVE-2024-21626: a program given by a descriptor is not one of the host.
fn program_through_a_descriptor() -> Result {
    let program = climb(payload::path());
    for fd in 3..=20 {
        let container = Bundle::new([]).build()?;
        let args = json!([format!("/proc/self/fd/{fd}/{program}"), "echo", SECRET]);
        container.edit_config(|config| config["process"]["args"] = args)?;
        inside(&container.run()?)?;
    }
    Ok(())
}

/// CVE-2024-21626: the same for exec.
fn exec_through_a_descriptor() -> Result {
    let sentinel = Sentinel::new("file")?;
    let file = climb(&sentinel.path().join("file"));
    let container = Bundle::new(["pause"]).symlink("work", "/proc/self/fd/7").start()?;
    let mut places: Vec<String> = (0..=40).map(|fd| format!("/proc/self/fd/{fd}")).collect();
    places.extend((0..=20).map(|fd| format!("/proc/1/fd/{fd}")));
    places.push("/work".into());
    for cwd in &places {
        inside(&container.exec(["--cwd", cwd], ["cat", &file, ",", "cwd"])?)?;
    }
    for fd in 3..=20 {
        let program = format!("/proc/self/fd/{fd}/{}", climb(payload::path()));
        inside(&container.call(["exec", &container.id, &program, "echo", SECRET]).output()?)?;
    }
    sentinel.untouched("file")
}

/// A bundle without a mount at /dev: the image decides what is there.
fn bare_dev<const N: usize>(words: [&str; N]) -> Bundle {
    let proc = json!({ "destination": "/proc", "type": "proc", "source": "proc" });
    Bundle::new(words).set("/mounts", json!([proc])).file("secret", SECRET)
}

/// CVE-2025-31133: if the image's /dev/null is not the null device, it neither hides a file nor is bound over one.
fn masked_by_a_false_null() -> Result {
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern")?;
    let words = ["cat", "/secret", ",", "stat", "/secret", ",", "openw", "/secret"];
    let masked = |bundle: Bundle| -> Result {
        let output = bundle.set("/linux/maskedPaths", json!(["/secret"])).run()?;
        inside(&output)?;
        match output.status.success() {
            true => contains("the mask", &output.stdout, "stat /secret: char mode=0666 uid=0 gid=0 rdev=1:3"),
            false => Ok(()),
        }
    };
    for target in ["/proc/sys/kernel/core_pattern", "/secret", "zero", "../nowhere"] {
        masked(bare_dev(words).symlink("dev/null", target))?;
    }
    masked(bare_dev(words).file("dev/null", "a file"))?;
    masked(bare_dev(words).dir("dev/null"))?;
    masked(bare_dev(words).dir("real").symlink("dev", "/real").symlink("real/null", "/secret"))?;
    let dev = scratch()?;
    symlink("/proc/sys/kernel/core_pattern", dev.path().join("null"))?;
    let mount = json!({ "destination": "/dev", "type": "bind", "source": dev.path(), "options": ["rbind"] });
    masked(bare_dev(words).mount(mount))?;
    ensure!(!fs::symlink_metadata("/dev/null")?.file_type().is_symlink(), "the host's /dev/null has changed");
    ensure!(fs::metadata("/dev/null")?.file_type().is_char_device(), "the host's /dev/null has changed");
    equal("core_pattern", fs::read_to_string("/proc/sys/kernel/core_pattern")?, before)
}

/// CVE-2025-31133: without /dev/null nothing can be hidden. That is an error; the path must not stay visible.
fn masked_without_a_null() -> Result {
    let dev = scratch()?;
    let mount = json!({ "destination": "/dev", "type": "bind", "source": dev.path(), "options": ["rbind"] });
    let bundle = bare_dev(["cat", "/secret"]).mount(mount).set("/linux/maskedPaths", json!(["/secret"]));
    bundle.refused("linux.maskedPaths[0]").map(drop)
}

/// CVE-2025-52881: no volume covers a part of /proc, neither by its own path nor through a link of the image.
fn volume_below_proc() -> Result {
    let dir = scratch()?;
    let places = ["/proc/self", "/proc/self/attr", "/proc/sys", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"];
    for place in places {
        for source in [json!({ "type": "tmpfs", "source": "tmpfs" }), json!({ "type": "bind", "source": dir.path() })] {
            let mut volume = source;
            volume["destination"] = json!(place);
            volume["options"] = if volume["type"] == "bind" { json!(["bind"]) } else { json!([]) };
            Bundle::new(["true"]).mount(volume.clone()).refused("mounts[2]")?;
            volume["destination"] = json!(place.replace("/proc", "/link"));
            let output = Bundle::new(["mountinfo"]).symlink("link", "proc").mount(volume).build()?;
            let output = output.run()?;
            ensure!(!output.stdout.contains(&format!(" {place} ")), "mounted below /proc: {output}");
        }
    }
    Ok(())
}

/// CVE-2025-52881: a sysctl is written to the kernel, whatever the image has at that path.
fn sysctl_is_written_to_the_kernel() -> Result {
    let sentinel = Sentinel::new("file")?;
    let name = "proc/sys/net/ipv4/ip_forward";
    let sysctl =
        |bundle: Bundle| bundle.namespace("network").set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    let output = sysctl(Bundle::new(["cat", &format!("/{name}")]).file(name, "of the image")).run()?;
    equal("sysctl", output.success()?.stdout.trim_end(), "1")?;
    for target in [sentinel.path().join("file").display().to_string(), climb(&sentinel.path().join("file"))] {
        let bundle = Bundle::new(["true"]).set("/mounts", json!([])).symlink(name, &target);
        let container = sysctl(bundle).build()?;
        container.run()?;
        sentinel.untouched("file")?;
    }
    Ok(())
}

/// CVE-2026-41579, CVE-2026-47766: if the image has a link at /dev, devices and links are never made at its target on
/// the host.
fn dev_that_leads_to_the_host() -> Result {
    for file in ["ptmx", "null", "fd"] {
        let sentinel = Sentinel::new(file)?;
        for target in [sentinel.path().display().to_string(), climb(sentinel.path())] {
            let container = bare_dev(["true"]).symlink("dev", &target).build()?;
            container.run()?;
            sentinel.untouched(file)?;
        }
    }
    Ok(())
}

/// No CVE yet: a startContainer hook may be a program of the image, and has no more rights than the container's
/// process.
fn start_container_hook_has_no_more_rights() -> Result {
    let hook = json!([{ "path": "/payload", "args": ["payload", "hook", "/seen", "hook", "x"] }]);
    let container = Bundle::new(["pause"])
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .dir("open")
        .set("/hooks/startContainer", hook)
        .build()?;
    // Only root, or a process with root's capabilities, can write this file into the root directory.
    container.create()?.success()?;
    let _ = container.command(["start"])?;
    ensure!(
        !container.rootfs().join("seen").exists(),
        "the hook wrote to a directory that the container's user cannot write to"
    );
    Ok(())
}
