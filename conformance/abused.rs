//! Abuse of the state and of the process that calls: records that are cut off or are no files, state roots that are full
//! or read-only, callers without descriptors and without /proc.
//!
//! Each command must end with success or with one clear line, tell the truth, and leave nothing that `delete --force`
//! cannot remove. With `FAULTS=all` the record is cut off at every length.

use crate::harness::bundle::scratch;
use crate::harness::*;
use anyhow::{Context, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

tests![
    record_cut_off_at_each_length,
    record_with_each_byte_changed,
    record_that_is_no_file,
    record_that_is_huge,
    record_that_is_a_link,
    root_that_is_full,
    root_that_fills_up_meanwhile,
    root_that_is_read_only,
    root_that_is_missing,
    root_that_is_removed_meanwhile,
    root_on_another_file_system,
    standard_descriptors_that_are_closed,
    caller_that_is_gone,
    proc_that_is_missing,
    proc_that_hides_processes,
    proc_that_shows_processes_only,
];

/// Commands that ask or change a container, in an order in which a running one serves them all.
const COMMANDS: [&str; 9] = ["state", "start", "ps", "exec", "pause", "resume", "update", "kill", "delete"];

fn record_of(container: &Container) -> PathBuf {
    container.state_dir().join("state.json")
}

/// One line for a failure, no panic, and the exit status of a runtime's own error: that of `exec` differs from those of
/// most programs.
fn is_clear(output: &Output) -> Result {
    let code = output.code()?;
    ensure!(!output.stderr.contains("panicked"), "panicked: {output}");
    if code != 0 {
        let lines = output.stderr.lines().filter(|line| !line.is_empty()).count();
        ensure!(lines == 1, "{lines} lines: {output}");
        ensure!(code == 1 || code == 255, "exit status {code}: {output}");
    }
    Ok(())
}

/// Runs `damage` for places in the record of a running container: all with `FAULTS=all`, else about forty. `damage` gets
/// the record as it was and the place. Then the record is as it was, and the container can be removed.
fn at_places(damage: impl Fn(&Container, &[u8], usize) -> Result) -> Result {
    if runtime::is("crun") {
        return skip("the other runtimes have another file for the record");
    }
    let container = Bundle::new(["pause"]).start()?;
    let record = fs::read(record_of(&container))?;
    let in_full = std::env::var_os("FAULTS").is_some_and(|which| which == "all");
    let step = if in_full { 1 } else { record.len().div_ceil(40) };
    for place in (0..record.len()).step_by(step) {
        damage(&container, &record, place)?;
    }
    fs::write(record_of(&container), &record)?;
    if container.status()? == "paused" {
        container.command(["resume"])?.success()?;
    }
    equal("status", container.status()?, "running")?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// A record that is cut off at any length is no container, or one that `state` knows. It never has another status.
fn record_cut_off_at_each_length() -> Result {
    at_places(|container, record, place| {
        // An empty record is that of a create that was killed.
        let length = place + 1;
        fs::write(record_of(container), &record[..length])?;
        let what = || format!("a record of {length} of {} bytes", record.len());
        let output = container.command(["state"])?;
        is_clear(&output).with_context(what)?;
        if output.status.success() {
            contains("state", &output.stdout, "\"status\": \"running\"").with_context(what)?;
        }
        is_clear(&container.command(["start"])?).with_context(what)?;
        is_clear(&container.command(["delete"])?).with_context(what)?;
        container.call(["list"]).output()?.code().with_context(what)?;
        ensure!(record_of(container).exists(), "{}: the record was removed", what());
        Ok(())
    })
}

/// A byte that is changed at any place never lets a command hang, panic, or harm another process.
fn record_with_each_byte_changed() -> Result {
    at_places(|container, record, place| {
        for other in [b'"', b'9', 0, 0xff] {
            let mut changed = record.to_vec();
            changed[place] = other;
            fs::write(record_of(container), &changed)?;
            let what = || format!("byte {place} is {other:#x}");
            is_clear(&container.command(["state"])?).with_context(what)?;
            is_clear(&container.command(["pause"])?).with_context(what)?;
            container.call(["list"]).output()?.code().with_context(what)?;
        }
        Ok(())
    })
}

/// A record that is a FIFO, a socket, a device or a directory is refused by each command, and nobody waits for it.
fn record_that_is_no_file() -> Result {
    if runtime::is("runc") {
        return skip("runc waits for the writer of a FIFO");
    }
    type Make = fn(&Path) -> Result;
    let kinds: [(&str, Make); 5] = [
        ("a FIFO", |path| Ok(mkfifo(path, Mode::S_IRWXU)?)),
        ("a socket", |path| UnixListener::bind(path).map(drop).map_err(Into::into)),
        ("a directory", |path| Ok(fs::create_dir(path)?)),
        ("an endless device", |path| Ok(mknod(path, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 5))?)),
        ("an empty device", |path| Ok(mknod(path, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 3))?)),
    ];
    for (kind, make) in kinds {
        let container = Bundle::new(["pause"]).build()?;
        fs::create_dir(container.state_dir())?;
        make(&record_of(&container))?;
        for command in COMMANDS {
            if command == "delete" && kind == "an empty device" {
                continue;
            }
            let output = container.named(command).output()?;
            is_clear(output.failure()?).with_context(|| format!("{command}, {kind}"))?;
        }
        container.call(["list"]).output()?.code().with_context(|| kind.to_owned())?;
        container.create()?.failure()?;
        fs::remove_dir_all(container.state_dir())?;
    }
    Ok(())
}

/// A record larger than the memory of the caller is refused, and costs no memory.
fn record_that_is_huge() -> Result {
    if !runtime::is("tare") {
        return skip("the other runtimes read a record of any size");
    }
    let container = Bundle::new(["pause"]).build()?;
    fs::create_dir(container.state_dir())?;
    File::create(record_of(&container))?.set_len(1 << 40)?;
    for command in COMMANDS {
        let call = container.named(command).limiting(nix::sys::resource::Resource::RLIMIT_AS, 1 << 30, 1 << 30);
        let output = call.output()?;
        is_clear(output.failure()?).with_context(|| command.to_owned())?;
        names_field(&output, "state.json")?;
    }
    container.call(["list"]).output()?.code()?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// A record that is a link is not followed: the state root may be below a directory that others can write.
fn record_that_is_a_link() -> Result {
    if !runtime::is("tare") {
        return skip("the other runtimes follow it");
    }
    let (container, other) = (Bundle::new(["pause"]).build()?, Bundle::new(["pause"]).start()?);
    fs::create_dir(container.state_dir())?;
    symlink(record_of(&other), record_of(&container))?;
    for command in COMMANDS {
        is_clear(container.named(command).output()?.failure()?).with_context(|| command.to_owned())?;
    }
    container.command(["delete", "--force"])?;
    equal("status of the other container", other.status()?, "running")
}

/// A tmpfs over the state root in this suite's mount namespace. Dropping it removes it.
struct Covered(PathBuf);

impl Covered {
    fn with(root: &Path, flags: MsFlags, options: &str) -> Result<Self> {
        mount(Some("state"), root, Some("tmpfs"), flags, Some(options)).context("mount of a tmpfs")?;
        Ok(Self(root.to_owned()))
    }

    fn remount(&self, flags: MsFlags) -> Result {
        Ok(mount(None::<&str>, &self.0, None::<&str>, flags | MsFlags::MS_REMOUNT, None::<&str>)?)
    }

    /// Fails if something is left of the container in the state root or elsewhere.
    fn nothing_left(&self, container: &Container) -> Result {
        let names: Vec<_> = fs::read_dir(&self.0)?.flatten().map(|entry| entry.file_name()).collect();
        ensure!(names.iter().all(|name| name == "filler"), "left behind in the state root: {names:?}");
        container.nothing_left_but(std::slice::from_ref(&self.0))
    }

    /// Takes all space that is left.
    fn fill(&self) -> Result {
        let mut file = File::create(self.0.join("filler"))?;
        while std::io::Write::write(&mut file, &[1; 1024]).is_ok() {}
        Ok(())
    }

    fn empty(&self) -> Result {
        Ok(fs::remove_file(self.0.join("filler"))?)
    }
}

impl Drop for Covered {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
    }
}

/// A create without space for its record fails with the reason, and leaves no cgroup and no process.
fn root_that_is_full() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let covered = Covered::with(&container.state_root(), MsFlags::empty(), "size=64k")?;
    covered.fill()?;
    for command in ["create", "run"] {
        let output = container.named(command).output()?;
        fs::remove_file(container.aside("err"))?;
        is_clear(output.failure()?)?;
        if runtime::is("tare") {
            contains(command, &output.stderr, "no space left on device")?;
        }
        covered.nothing_left(&container)?;
    }
    covered.empty()?;
    container.create()?.success()?;
    container.command(["delete", "--force"])?.success()?;
    covered.nothing_left(&container)
}

/// A container of a state root that has become full can be started, asked and removed.
fn root_that_fills_up_meanwhile() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let covered = Covered::with(&container.state_root(), MsFlags::empty(), "size=64k")?;
    container.create()?.success()?;
    covered.fill()?;
    let started = container.command(["start"])?;
    is_clear(&started)?;
    if runtime::is("tare") {
        started.success()?;
        equal("status", container.status()?, "running")?;
        container.exec([], ["true"])?.success()?;
    }
    container.command(["delete", "--force"])?.success()?;
    covered.nothing_left(&container)
}

/// In a state root that cannot be written, `state` still tells the truth; what must write fails with the reason.
fn root_that_is_read_only() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let covered = Covered::with(&container.state_root(), MsFlags::empty(), "size=64k")?;
    container.create()?.success()?;
    covered.remount(MsFlags::MS_RDONLY)?;
    equal("status", container.status()?, "created")?;
    is_clear(&container.command(["start"])?)?;
    let status = container.status()?;
    ensure!(status == "created" || status == "running", "status: {status}");
    for command in ["exec", "pause", "resume", "update"] {
        is_clear(&container.named(command).output()?).with_context(|| command.to_owned())?;
    }
    let deleted = container.command(["delete", "--force"])?;
    is_clear(&deleted)?;
    covered.remount(MsFlags::empty())?;
    container.command(["delete", "--force"])?.success()?;
    covered.nothing_left(&container)?;
    covered.remount(MsFlags::MS_RDONLY)?;
    is_clear(container.create()?.failure()?)?;
    covered.nothing_left(&container)
}

/// Without a state root there are no containers; `create` makes the directory.
fn root_that_is_missing() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    fs::remove_dir(container.state_root())?;
    for command in COMMANDS {
        is_clear(container.named(command).output()?.failure()?).with_context(|| command.to_owned())?;
    }
    is_clear(&container.call(["list"]).output()?)?;
    container.command(["delete", "--force"])?.success()?;
    container.create()?.success()?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// If somebody removes the state, the container is unknown. Its process and its cgroup are still there: a new container
/// of that name is refused, or has a cgroup of its own.
fn root_that_is_removed_meanwhile() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let pid = container.pid()?;
    fs::remove_dir_all(container.state_dir())?;
    for command in COMMANDS {
        is_clear(container.named(command).output()?.failure()?).with_context(|| command.to_owned())?;
    }
    container.command(["delete", "--force"])?.success()?;
    ensure!(Path::new(&format!("/proc/{pid}")).exists(), "the process of the lost container was killed");
    let again = container.create()?;
    is_clear(&again)?;
    if again.status.success() {
        container.command(["delete", "--force"])?.success()?;
    }
    Ok(())
}

/// A disk's file system serves as well as memory. It outlives a boot, so records do, too.
fn root_on_another_file_system() -> Result {
    let disk = disk::Disk::new()?;
    let made = std::process::Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(&disk.path).status();
    if !made.is_ok_and(|status| status.success()) {
        return skip("no mke2fs");
    }
    let container = Bundle::new(["pause"]).build()?;
    let root = container.state_root();
    mount(Some(&disk.path), &root, Some("ext4"), MsFlags::empty(), None::<&str>)?;
    let covered = Covered(root);
    container.create()?.success()?;
    container.start()?;
    equal("status", container.status()?, "running")?;
    contains("list", &container.call(["list"]).output()?.success()?.stdout, "running")?;
    container.exec([], ["true"])?.success()?;
    container.command(["delete", "--force"])?.success()?;
    let names: Vec<_> = fs::read_dir(&covered.0)?.flatten().map(|entry| entry.file_name()).collect();
    equal("names in the state root", names, ["lost+found"])?;
    drop(covered);
    container.nothing_left()
}

/// Without standard descriptors a command works or refuses. No file of the runtime takes their numbers: the container
/// would write its output into it.
fn standard_descriptors_that_are_closed() -> Result {
    for closed in [&[0][..], &[1], &[2], &[0, 1, 2]] {
        let container = Bundle::new(["ids", ",", "pause"]).build()?;
        let closes = |call: Call| {
            call.after(move || {
                for fd in closed {
                    // SAFETY: close(2) takes an integer only; the child has one thread.
                    unsafe { libc::close(*fd) };
                }
                Ok(())
            })
        };
        let what = || format!("without {closed:?}");
        let status = closes(container.launch(["create"])).output()?.status;
        ensure!(status.code().is_some(), "create died, {}", what());
        if status.success() {
            for command in ["start", "state", "exec", "pause", "resume", "update"] {
                let output = closes(container.named(command)).output()?;
                ensure!(output.status.code().is_some(), "{command} died, {}", what());
            }
            equal("status", container.status()?, "running").with_context(what)?;
            // The program says `euid: 0`. A file below the state root has no such line.
            for file in fs::read_dir(container.state_dir())?.flatten().filter(|file| file.path().is_file()) {
                let text = fs::read(file.path())?;
                ensure!(!text.windows(6).any(|part| part == b"euid: "), "output in {file:?}, {}", what());
            }
        }
        closes(container.call(["delete", "--force"]).arg(&container.id)).output()?;
        container.command(["delete", "--force"])?.success().with_context(what)?;
        container.nothing_left().with_context(what)?;
    }
    Ok(())
}

/// A caller that has ended before its command, with its session, its terminal and its directory, loses nothing.
fn caller_that_is_gone() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let directory = scratch()?;
    let gone = directory.path().join("gone");
    fs::create_dir(&gone)?;
    let place = CString::new(gone.as_os_str().as_bytes())?;
    let mut running = container
        .launch(["create"])
        .current_dir(&gone)
        .after(move || {
            // SAFETY: system calls on integers and on a text that lives as long as the closure.
            unsafe {
                libc::setsid();
                libc::rmdir(place.as_ptr());
                // The middle process ends at once, so the runtime's parent is not its caller.
                match libc::fork() {
                    0 => Ok(()),
                    _ => libc::_exit(0),
                }
            }
        })
        .spawn()?;
    eventually("the end of the caller", || running.has_ended())?;
    eventually("a created container", || Ok(container.status().is_ok_and(|status| status == "created")))?;
    container.start()?;
    equal("status", container.status()?, "running")?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// Makes the call in a mount namespace of its own, where /proc is what this mount makes it.
fn with_proc(call: Call, kind: &'static str, options: Option<&'static str>) -> Call {
    call.after(move || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        Ok(mount(Some(kind), "/proc", Some(kind), MsFlags::empty(), options)?)
    })
}

/// Each command under this /proc is clear and tells the truth about a container that runs.
fn under_proc(kind: &'static str, options: Option<&'static str>) -> Result {
    let container = Bundle::new(["pause"]).start()?;
    for command in COMMANDS {
        if matches!(command, "kill" | "delete") {
            continue;
        }
        let output = with_proc(container.named(command), kind, options).output()?;
        is_clear(&output).with_context(|| command.to_owned())?;
        if command == "state" && output.status.success() {
            contains("state", &output.stdout, "\"status\": \"running\"")?;
        }
        let paused = command == "pause" && output.status.success();
        let wanted = if paused { "paused" } else { "running" };
        equal("status", container.status()?, wanted).with_context(|| format!("after {command}"))?;
    }
    let deleted = with_proc(container.named("delete"), kind, options).output()?;
    is_clear(deleted.failure()?)?;
    equal("status", container.status()?, "running")?;
    is_clear(&with_proc(container.named("kill"), kind, options).output()?)?;
    container.kill(Signal::SIGKILL.as_str())?;
    container.wait_status("stopped")?;
    is_clear(&with_proc(container.named("force"), kind, options).output()?)?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()?;
    let created = with_proc(container.named("create"), kind, options).output()?;
    is_clear(&created)?;
    if created.status.success() {
        equal("status", container.status()?, "created")?;
        container.command(["delete", "--force"])?.success()?;
    }
    container.nothing_left()
}

/// If something else covers /proc, a command works or names the file that it cannot read.
fn proc_that_is_missing() -> Result {
    under_proc("tmpfs", None)
}

/// If /proc hides other processes' directories (proc(5), hidepid), a command of root works.
fn proc_that_hides_processes() -> Result {
    under_proc("proc", Some("hidepid=invisible"))
}

/// If /proc has nothing but processes (proc(5), subset=pid), a command works or names the file that it cannot read.
fn proc_that_shows_processes_only() -> Result {
    under_proc("proc", Some("subset=pid"))
}
