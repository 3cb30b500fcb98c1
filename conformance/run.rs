//! `run`: create, start, wait, delete in one command; descriptors and exit codes.

use crate::harness::*;
use anyhow::ensure;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::Path;

tests![
    exit_code_is_the_programs,
    exit_code_of_a_killed_program,
    deletes_the_container,
    deletes_the_container_after_a_failure_of_the_program,
    keep_keeps_it,
    detached_returns_at_once,
    detached_has_written_the_pid_file,
    standard_streams_are_the_callers,
    stdin_is_passed_through,
    signals_are_forwarded,
    every_catchable_signal_is_forwarded,
    end_is_noticed_by_a_caller_without_sigchld,
    output_arrives_though_the_end_fails,
    orphans_become_the_runtimes,
    orphans_are_not_the_runtimes_without_a_subreaper,
    processes_left_by_the_program_end_with_it,
    missing_program_fails,
    late_exec_failure_is_the_containers_word,
    script_with_interpreter,
    id_in_use,
    descriptors_of_the_caller_are_closed,
    preserve_fds_passes_them,
    preserve_fds_with_holes,
    callers_with_low_limits,
    sandboxes_that_lack_newer_calls,
    listen_fds_are_passed,
    listen_fds_of_another_process_are_ignored,
    callers_directory_is_not_the_containers,
    no_new_keyring_keeps_the_callers,
    keyring_is_the_containers_own,
    keyring_that_cannot_be_made,
    no_pivot,
    no_pivot_hides_the_old_root,
    no_pivot_leaves_the_hosts_mounts_alone,
];

/// In the foreground `run` exits with the program's exit code.
fn exit_code_is_the_programs() -> Result {
    for code in ["0", "1", "42", "255"] {
        let output = Bundle::new(["exit", code]).run()?;
        equal("exit code", output.code()?.to_string(), code)?;
    }
    Ok(())
}

/// If a signal killed the program, `run` exits with 128 plus the signal's number.
fn exit_code_of_a_killed_program() -> Result {
    let container = Bundle::new(["echo", "up", ",", "pause"]).build()?;
    let running = container.spawn_run()?;
    container.wait_output("up")?;
    container.kill("KILL")?.success()?;
    equal("exit code", running.wait()?.code()?, 137)
}

/// After the program has ended, nothing of the container is left.
fn deletes_the_container() -> Result {
    let container = Bundle::new(["echo", "ran"]).build()?;
    container.run()?.success()?.has_line("ran")?;
    container.nothing_left()
}

/// The same if the program failed.
fn deletes_the_container_after_a_failure_of_the_program() -> Result {
    let container = Bundle::new(["exit", "3"]).build()?;
    equal("exit code", container.run()?.code()?, 3)?;
    container.nothing_left()
}

/// `--keep` leaves a stopped container, which delete removes.
fn keep_keeps_it() -> Result {
    let container = Bundle::new(["true"]).option("--keep").build()?;
    container.run()?.success()?;
    equal("status", container.status()?, "stopped")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// `--detach` returns when the program is started. The program runs on.
fn detached_returns_at_once() -> Result {
    for flag in ["--detach", "-d"] {
        let container = Bundle::new(["echo", "up", ",", "pause"]).option(flag).build()?;
        container.run()?.success()?;
        equal("status", container.status()?, "running")?;
        container.wait_output("up")?;
    }
    Ok(())
}

/// The pid file of `run -d` exists before the command ends.
fn detached_has_written_the_pid_file() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let file = container.aside("pid");
    container.launch(["run", "-d", "--pid-file", &file.to_string_lossy()]).output()?.success()?;
    equal("pid file", fs::read_to_string(file)?, container.pid()?.to_string())
}

/// Standard output and standard error of the program reach the caller's, and are not mixed.
fn standard_streams_are_the_callers() -> Result {
    let output = Bundle::new(["echo", "to out", ",", "stderr", "to err"]).run()?;
    equal("standard output", &*output.success()?.stdout, "to out\n")?;
    equal("standard error", &*output.stderr, "to err\n")
}

/// The program reads the caller's standard input, up to its end.
fn stdin_is_passed_through() -> Result {
    let container = Bundle::new(["stdin"]).build()?;
    let output = container.launch(["run"]).stdin("a line\n")?.output()?;
    output.success()?.says("stdin", "a line").map(drop)
}

/// In the foreground the runtime forwards the signals that it receives to the program.
fn signals_are_forwarded() -> Result {
    for (name, signal) in [("TERM", Signal::SIGTERM), ("USR1", Signal::SIGUSR1), ("INT", Signal::SIGINT)] {
        let container = Bundle::new(["trap", name, ",", "exit", "9"]).build()?;
        let running = container.spawn_run()?;
        container.wait_output("ready")?;
        running.signal(signal)?;
        let output = running.wait()?;
        output.has_line(&format!("got SIG{name}"))?;
        equal("exit code", output.code()?, 9)?;
    }
    Ok(())
}

/// "forwards every catchable signal to init except SIGCHLD, SIGWINCH, SIGURG": real-time signals, too.
fn every_catchable_signal_is_forwarded() -> Result {
    // SIGKILL and SIGSTOP cannot be caught; 32 and 33 belong to the C library.
    let own = [libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD, libc::SIGWINCH, libc::SIGURG, 32, 33];
    let numbers: Vec<i32> = (1..=64).filter(|number| !own.contains(number)).collect();
    let container = Bundle::new(["signals", &numbers.len().to_string()]).build()?;
    let running = container.spawn_run()?;
    container.wait_output("ready")?;
    for number in &numbers {
        running.signal_number(*number)?;
        container.wait_output(&format!("got {number}"))?;
    }
    running.wait()?.success().map(drop)
}

/// Children inherit ignored signals. A caller may ignore SIGCHLD, as some daemons do: the runtime notices the program's
/// end all the same.
fn end_is_noticed_by_a_caller_without_sigchld() -> Result {
    let container = Bundle::new(["exit", "6"]).build()?;
    let running = container.launch(["run"]).ignoring(Signal::SIGCHLD).spawn()?;
    equal("exit code", running.wait()?.code()?, 6)?;
    container.nothing_left()
}

/// Output of the program is not lost if a later step fails: here its state cannot be removed.
fn output_arrives_though_the_end_fails() -> Result {
    if runtime::is("runc") {
        return skip("runc leaves files that it cannot remove, without an error");
    }
    let container = Bundle::new(["flood", "192"]).build()?;
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let call = container.call(["run", "--bundle"]).arg(container.bundle()).arg(&container.id);
    let running = call.inherit(File::from(writer), 1)?.spawn()?;
    let pid = container.wait_for_a_full_pipe()?;
    let held = container.state_dir().join("held");
    fs::create_dir(&held)?;
    nix::mount::mount(Some("tmpfs"), &held, Some("tmpfs"), nix::mount::MsFlags::empty(), None::<&str>)?;
    let (mut reader, mut bytes) = (File::from(reader), vec![0; 100 << 10]);
    reader.read_exact(&mut bytes)?;
    let ended = eventually("its end", || Ok(!Path::new(&format!("/proc/{pid}")).exists()));
    let rest = reader.read_to_end(&mut bytes);
    let output = running.wait();
    nix::mount::umount(&held)?;
    ended.and(Ok(rest?))?;
    output?.failure()?;
    equal("bytes", bytes.len(), 192 << 10)
}

fn orphan(options: &[&str]) -> Result<(i32, String)> {
    let container = Bundle::new(["orphan"]).without_namespace("pid").build()?;
    let running = container.launch(["run"]).args(options).spawn()?;
    let pid = running.pid();
    let output = running.wait()?;
    Ok((pid, output.success()?.value("parent")?.to_owned()))
}

/// In the foreground the runtime is the subreaper of the container's orphans.
fn orphans_become_the_runtimes() -> Result {
    let (pid, parent) = orphan(&[])?;
    equal("parent of the orphan", parent, pid.to_string())
}

/// With `--no-subreaper` another process is.
fn orphans_are_not_the_runtimes_without_a_subreaper() -> Result {
    let (pid, parent) = orphan(&["--no-subreaper"])?;
    ensure!(parent != pid.to_string(), "the runtime has taken the orphan");
    Ok(())
}

/// In a pid namespace the kernel kills the processes that the first one leaves: the runtime does not wait for ever.
fn processes_left_by_the_program_end_with_it() -> Result {
    let container = Bundle::new(["fork", "3"]).build()?;
    container.run()?.success()?.says("forked", "3")?;
    container.nothing_left()
}

/// If the program does not exist, `run` fails, and nothing is left.
fn missing_program_fails() -> Result {
    let container = Bundle::new([]).set("/process/args", json!(["/nosuch"])).build()?;
    container.run()?.fails_with("no such file or directory")?;
    container.nothing_left()
}

/// If execve(2) fails after create succeeded (here: no interpreter), the container itself prints the reason.
fn late_exec_failure_is_the_containers_word() -> Result {
    let script =
        Bundle::new([]).file_with_mode("script", "#!/nosuch\n", 0o755).set("/process/args", json!(["/script"]));
    let container = script.build()?;
    let output = container.run()?;
    ensure!(output.code()? != 0, "{output}");
    contains("standard error", &output.stderr, "exec /script: no such file or directory")?;
    container.nothing_left()
}

/// A script is run by its interpreter.
fn script_with_interpreter() -> Result {
    let script = Bundle::new([]).file_with_mode("script", "#!/payload args\n", 0o755);
    let output = script.set("/process/args", json!(["/script", "more"])).run()?;
    contains("arguments", output.success()?.value("args")?, "script")
}

/// `run` with an id that is in use fails and does not change the container that has it.
fn id_in_use() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.run()?.fails_with("already exists")?;
    equal("status", container.status()?, "running")
}

/// The program gets the descriptors 0, 1 and 2 only: one of the caller or the runtime could lead to the host.
fn descriptors_of_the_caller_are_closed() -> Result {
    let container = Bundle::new(["fds"]).build()?;
    let root = File::open("/")?;
    let output = container.launch(["run"]).inherit(root, 7)?.output()?;
    output.success()?.says("fds", "0,1,2").map(drop)
}

/// `--preserve-fds N` passes the N descriptors from 3 on, and no more.
fn preserve_fds_passes_them() -> Result {
    let container = Bundle::new(["fds", ",", "cat", "/proc/self/fd/3"]).option("--preserve-fds=2").build()?;
    let call = container.launch(["run"]).inherit(text_file("third")?, 3)?.inherit(text_file("fourth")?, 4)?;
    let output = call.inherit(File::open("/")?, 5)?.output()?;
    output.success()?.says("fds", "0,1,2,3,4")?.has_line("third").map(drop)
}

/// Numbers that are not open stay closed, as with `podman run --preserve-fd=9,40`. The runtime has no files under them,
/// neither while the container waits for its start nor later.
fn preserve_fds_with_holes() -> Result {
    for (given, wanted) in [(&[9, 40][..], "fds: 0,1,2,9,40"), (&[], "fds: 0,1,2")] {
        let container = Bundle::new(["fds", ",", "pause"]).option("--preserve-fds=38").build()?;
        let mut call = container.launch(["create"]).closing_all();
        for number in given {
            call = call.inherit(File::open("/dev/null")?, *number)?;
        }
        call.output()?.success()?;
        container.start()?;
        container.wait_output(wanted)?;
    }
    // Joined namespaces need more descriptors.
    let bundle = Bundle::new(["fds"]).join("ipc", "/proc/self/ns/ipc").option("--preserve-fds=4294967295");
    let container = bundle.build()?;
    let output = container.launch(["run"]).closing_all().inherit(File::open("/dev/null")?, 8)?.output()?;
    output.success()?.says("fds", "0,1,2,8").map(drop)
}

/// If a sandbox does not know newer system calls, the runtime uses older ones, and each process is still in its cgroup.
fn sandboxes_that_lack_newer_calls() -> Result {
    use nix::errno::Errno;
    let lacking = [
        (libc::SYS_clone3, Errno::ENOSYS),
        (libc::SYS_close_range, Errno::ENOSYS),
        (libc::SYS_close_range, Errno::EPERM),
        (libc::SYS_memfd_create, Errno::ENOSYS),
        (libc::SYS_memfd_create, Errno::EPERM),
    ];
    for (view, user_namespace) in
        [(View::Machine, false), (View::Machine, true), (View::Unified, false), (View::Unified, true)]
    {
        for (number, errno) in lacking {
            let bundle = Bundle::new(["echo", "runs", ",", "fds", ",", "pause"]).view(view);
            let bundle = if user_namespace { bundle.user_namespace(100_000, 1000) } else { bundle };
            let container = bundle.build()?;
            let low = |call: Call| call.closing_all().limiting(nix::sys::resource::Resource::RLIMIT_NOFILE, 256, 1024);
            low(container.launch(["create"])).denying(number, None, errno).output()?.success()?;
            container.start()?;
            container.wait_output("fds: 0,1,2")?;
            let pid_file = container.aside("pid").display().to_string();
            let call = container.exec_call(["--detach", "--pid-file", &pid_file], ["pause"]);
            low(call).denying(number, None, errno).output()?.success()?;
            let cgroup = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup"));
            let own = cgroup(&container.pid()?.to_string())?;
            contains("cgroups", &own, &container.id)?;
            equal("cgroups of what joins", cgroup(&fs::read_to_string(&pid_file)?)?, own)?;
        }
    }
    Ok(())
}

/// Soft limits of the caller that are too low for the runtime's own work do not make it fail. The container has the
/// caller's limits, unless its config has others.
fn callers_with_low_limits() -> Result {
    use nix::sys::resource::{Resource, getrlimit};
    for (resource, name, soft) in
        [(Resource::RLIMIT_NOFILE, "RLIMIT_NOFILE", 6), (Resource::RLIMIT_FSIZE, "RLIMIT_FSIZE", 100)]
    {
        let (_, hard) = getrlimit(resource)?;
        let (theirs, own) = (format!("{soft} {hard}"), format!("{} {}", soft - 1, soft - 1));
        let limits = json!([{ "type": name, "soft": soft - 1, "hard": soft - 1 }]);
        for (limits, wanted) in [(json!([]), &theirs), (limits, &own)] {
            let bundle = || Bundle::new(["rlimit", name]).set("/process/rlimits", limits.clone());
            let container = bundle().build()?;
            let output = container.launch(["run"]).closing_all().limiting(resource, soft, hard).output()?;
            output.success()?.says(name, wanted)?;
            let container = bundle().set("/process/args", json!(["/payload", "pause"])).build()?;
            container.create()?.success()?;
            container.command(["start"])?.success()?;
            let call = container.exec_call([], ["rlimit", name]).closing_all();
            call.limiting(resource, soft, hard).output()?.success()?.says(name, wanted)?;
            for words in [&["state"][..], &["ps"], &["pause"], &["resume"], &["kill"], &["delete", "--force"]] {
                let call = container.call([]).args(words).arg(&container.id).closing_all();
                call.limiting(resource, soft, hard).output()?.success()?;
            }
            container.nothing_left()?;
        }
    }
    Ok(())
}

/// Socket activation: if `LISTEN_PID` is the runtime's pid, `LISTEN_FDS` descriptors are passed on, and the container
/// gets its own pid, 1. The shell makes the two pids equal.
fn listen_fds_are_passed() -> Result {
    let container = Bundle::new(["fds", ",", "env"]).build()?;
    let output = shell(&container, "export LISTEN_PID=$$ LISTEN_FDS=1")?;
    output.says("fds", "0,1,2,3")?.has_line("LISTEN_FDS=1")?.has_line("LISTEN_PID=1").map(drop)
}

/// They are ignored if `LISTEN_PID` is the pid of another process.
fn listen_fds_of_another_process_are_ignored() -> Result {
    let container = Bundle::new(["fds", ",", "env"]).build()?;
    let output = shell(&container, "export LISTEN_PID=1 LISTEN_FDS=1")?;
    output.says("fds", "0,1,2")?;
    ensure!(!output.stdout.contains("LISTEN_"), "{output}");
    Ok(())
}

/// The caller's working directory is not reachable in the container (CVE-2024-21626).
fn callers_directory_is_not_the_containers() -> Result {
    let output = Bundle::new(["cwd", ",", "ls", "/proc/self/cwd/"]).run()?;
    output.success()?.says("cwd", "/")?.says("ls /proc/self/cwd/", "dev payload proc").map(drop)
}

/// `--no-new-keyring` keeps the caller's session keyring.
fn no_new_keyring_keeps_the_callers() -> Result {
    let container = Bundle::new(["keyring"]).option("--no-new-keyring").build()?;
    let output = container.run()?;
    let answer = output.success()?.stdout.trim();
    ensure!(answer.starts_with("keyring") && !answer.contains(&container.id), "{output}");
    Ok(())
}

/// Otherwise the container has a session keyring of its own, `_ses.ID`: it must not have the host's keys.
fn keyring_is_the_containers_own() -> Result {
    let container = Bundle::new(["keyring"]).build()?;
    let output = container.run()?;
    let keyring = output.success()?.value("keyring")?;
    contains("keyring", keyring, &format!("_ses.{}", container.id))?;
    // Type, owner, group, permissions. Other processes of the same user can find the keyring, and neither write to it
    // nor change it.
    let permissions = keyring.split(';').nth(3).and_then(|text| u32::from_str_radix(text, 16).ok()).unwrap_or(u32::MAX);
    const USER_WRITES_OR_CHANGES: u32 = 0x0024_0000;
    equal("permissions for the user to change it", permissions & USER_WRITES_OR_CHANGES, 0)
}

/// If the keyring cannot be made, the container would have the caller's keys: an error, unless the kernel has no
/// keyrings.
fn keyring_that_cannot_be_made() -> Result {
    use nix::errno::Errno;
    for errno in [Errno::EDQUOT, Errno::EPERM] {
        let container = Bundle::new(["true"]).build()?;
        container.launch(["run"]).denying(libc::SYS_keyctl, None, errno).output()?.fails_with("keyring")?;
        container.nothing_left()?;
    }
    let container = Bundle::new(["true"]).build()?;
    container.launch(["run"]).denying(libc::SYS_keyctl, None, Errno::ENOSYS).output()?.success()?;
    let container = Bundle::new(["true"]).option("--no-new-keyring").build()?;
    container.launch(["run"]).denying(libc::SYS_keyctl, None, Errno::EPERM).output()?.success().map(drop)
}

/// `--no-pivot` is for roots that cannot be pivoted, such as an initramfs. The container's root is the same.
fn no_pivot() -> Result {
    let output = Bundle::new(["ls", "/", ",", "rootns"]).option("--no-pivot").run()?;
    output.success()?.says("ls /", "dev payload proc")?.says("parent of root", "true").map(drop)
}

/// The old root stays below the new one with the host's /proc and /sys. They are hidden: otherwise the kernel would let
/// a user namespace in the container mount a proc in which nothing is masked.
fn no_pivot_hides_the_old_root() -> Result {
    for option in ["--no-new-keyring", "--no-pivot"] {
        let bundle = Bundle::new(["unshare", ",", "run", "/payload", "proc"]).option(option);
        let output = bundle.set("/linux/maskedPaths", json!(["/proc/version"])).set("/process/user/uid", 1000).run()?;
        output.success()?.has_line("unshare : ok")?;
        contains(option, &output.stdout, "proc : EPERM")?;
    }
    Ok(())
}

/// Mounts are detached from the old root for the container only, even if its mounts are shared with the host.
fn no_pivot_leaves_the_hosts_mounts_alone() -> Result {
    let dir = bundle::scratch()?;
    let below = dir.path().join("tty");
    let make = |place: &Path, kind| mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>);
    make(dir.path(), "proc")?;
    mount(None::<&str>, dir.path(), None::<&str>, MsFlags::MS_SHARED, None::<&str>)?;
    make(&below, "tmpfs")?;
    let output = Bundle::new(["true"]).option("--no-pivot").set("/linux/rootfsPropagation", "shared").run();
    let left = container::mounts_below(&below);
    umount2(dir.path(), MntFlags::MNT_DETACH)?;
    output?.success()?;
    equal("mounts", left, vec![below])
}

fn text_file(text: &str) -> Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Calls `run` through a shell that sets a variable to its own pid and then executes the runtime. Descriptor 3 is open.
fn shell(container: &Container, setting: &str) -> Result<Output> {
    let mut out = tempfile::tempfile()?;
    let script = format!("{setting}; exec \"$0\" \"$@\" 3</dev/null");
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .arg(&runtime::get().path)
        .arg("--root")
        .arg(container.state_root())
        .args(["run", "--bundle"])
        .arg(container.bundle())
        .arg(&container.id)
        .stdout(out.try_clone()?)
        .status()?;
    out.rewind()?;
    let mut stdout = String::new();
    out.read_to_string(&mut stdout)?;
    let output = Output { line: script, status, stdout, stderr: String::new() };
    output.success()?;
    Ok(output)
}
