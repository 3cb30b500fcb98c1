//! Ownership: a command on one container affects neither another container nor files that it cannot read.

use crate::harness::*;
use anyhow::{Context, ensure};
use nix::errno::Errno;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

tests![
    delete_spares_who_took_over_the_cgroup,
    delete_spares_who_took_over_the_cgroup_in_the_unified_view,
    forced_delete_spares_who_took_over_the_cgroup,
    kill_of_stopped_spares_who_took_over_the_cgroup,
    delete_spares_who_lives_below_the_cgroup,
    one_id_under_two_roots,
    create_in_a_cgroup_in_use_leaves_it_alone,
    killed_create_in_a_cgroup_in_use,
    creates_at_once_in_one_cgroup,
    from_another_pid_namespace,
    from_another_time_namespace,
    main_thread_that_has_ended,
    record_of_another_program,
    record_of_a_newer_version,
    record_that_cannot_be_read,
    empty_record,
    directory_of_another_program,
    gate_is_the_runtimes_own,
    start_hook_runs_once,
    pid_file_of_somebody_else,
    pid_file_leaves_no_other_name,
    pid_file_is_replaced,
    foreground_run_that_cannot_go_on,
];

/// A container in the cgroup of `other`, which has no processes any more.
fn successor(other: &Container, bundle: Bundle) -> Result<Container> {
    let path = format!("{}/{}", machine::cgroup_parent(), other.id);
    bundle.set("/linux/cgroupsPath", path).start()
}

fn lives(container: &Container) -> Result {
    equal("status of the other container", container.status()?, "running")
}

fn spares(view: View, command: &[&str]) -> Result {
    let old = Bundle::new(["true"]).view(view).start()?;
    old.wait_status("stopped")?;
    let new = successor(&old, Bundle::new(["pause"]).view(view))?;
    names_field(&old.call([]).args(command).arg(&old.id).output()?, "device or resource busy")?;
    lives(&new)?;
    new.command(["delete", "--force"])?.success()?;
    old.command(["delete"])?.success()?;
    old.nothing_left()
}

/// Another container may have taken over a stopped container's cgroup: delete kills no process there, and reports that
/// the cgroup is busy.
fn delete_spares_who_took_over_the_cgroup() -> Result {
    spares(View::Machine, &["delete"])
}

/// The same on v2.
fn delete_spares_who_took_over_the_cgroup_in_the_unified_view() -> Result {
    spares(View::Unified, &["delete"])
}

/// `delete --force` acts on its own container only, too.
fn forced_delete_spares_who_took_over_the_cgroup() -> Result {
    spares(View::Machine, &["delete", "--force"])
}

/// With a shared pid namespace, a process in the cgroup that is not in the container's namespaces does not belong to
/// the container.
fn kill_of_stopped_spares_who_took_over_the_cgroup() -> Result {
    let old = Bundle::new(["true"]).without_namespace("pid").start()?;
    old.wait_status("stopped")?;
    let new = successor(&old, Bundle::new(["pause"]).without_namespace("pid"))?;
    old.kill("KILL")?.failure()?;
    lives(&new)?;
    names_field(&old.command(["delete"])?, "device or resource busy")?;
    lives(&new)?;
    names_field(&old.command(["delete", "--force"])?, "device or resource busy")?;
    lives(&new)
}

/// delete does not kill processes of another container whose cgroup is below.
fn delete_spares_who_lives_below_the_cgroup() -> Result {
    let old = Bundle::new(["true"]).start()?;
    old.wait_status("stopped")?;
    let path = format!("{}/{}/below", machine::cgroup_parent(), old.id);
    let new = Bundle::new(["pause"]).set("/linux/cgroupsPath", path).start()?;
    names_field(&old.command(["delete"])?, "device or resource busy")?;
    lives(&new)?;
    new.command(["delete", "--force"])?.success()?;
    old.command(["delete"])?.success()?;
    old.nothing_left()
}

/// One id under two state roots names two containers, which have the same default cgroup.
fn one_id_under_two_roots() -> Result {
    let old = Bundle::new(["true"]).start()?;
    old.wait_status("stopped")?;
    let new = successor(&old, Bundle::new(["pause"]))?;
    let root = new.state_root();
    let (from, to) = (root.join(&new.id), old.state_root().join("other"));
    fs::rename(&from, &to)?;
    let refused = names_field(&old.command(["delete"])?, "device or resource busy");
    fs::rename(to, from)?;
    refused?;
    lives(&new)
}

/// A create whose cgroup has processes is refused, and its undo does not kill them.
fn create_in_a_cgroup_in_use_leaves_it_alone() -> Result {
    for view in [View::Machine, View::Unified] {
        let first = Bundle::new(["pause"]).view(view).start()?;
        let path = format!("{}/{}", machine::cgroup_parent(), first.id);
        let second = Bundle::new(["pause"]).view(view).set("/linux/cgroupsPath", path).build()?;
        second.create()?.failure()?;
        second.call(["delete", "--force"]).arg(&second.id).output()?.success()?;
        lives(&first)?;
    }
    Ok(())
}

/// If such a create is killed at any moment, `delete --force` of its leftovers does not kill them either.
fn killed_create_in_a_cgroup_in_use() -> Result {
    let first = Bundle::new(["pause"]).start()?;
    let path = format!("{}/{}", machine::cgroup_parent(), first.id);
    let bundle = || Bundle::new(["pause"]).set("/linux/cgroupsPath", &*path).build();
    if runtime::is("runc") {
        return skip("runc makes system calls in several threads, and the tracer follows one");
    }
    let calls = bundle()?.launch(["create"]).count_calls()?;
    ensure!(calls > 0, "no system call was seen");
    for number in (0..calls).step_by(calls.div_ceil(12)) {
        let second = bundle()?;
        second.launch(["create"]).with_fault(number, Fault::Killed)?;
        let forced = second.call(["delete", "--force"]).arg(&second.id).output()?;
        forced.success().with_context(|| format!("killed before call {number}"))?;
        ensure!(!second.state_dir().exists(), "the record is left, killed before call {number}");
        lives(&first)?;
    }
    Ok(())
}

/// Of two creates that take over one empty cgroup at the same time, at most one succeeds.
fn creates_at_once_in_one_cgroup() -> Result {
    if runtime::is("runc") {
        return skip("runc makes system calls in several threads, and the tracer follows one");
    }
    for view in [View::Machine, View::Unified] {
        at_once_in_one_cgroup(view)?;
    }
    Ok(())
}

fn at_once_in_one_cgroup(view: View) -> Result {
    let calls = Bundle::new(["pause"]).view(view).build()?.launch(["create"]).count_calls()?;
    // On v2 there are few system calls, so each one is tried.
    for number in (calls / 8..calls).step_by(if view == View::Unified { 1 } else { 5 }) {
        let first = Bundle::new(["pause"]).view(view).build()?;
        let path = format!("{}/{}", machine::cgroup_parent(), first.id);
        let second = Bundle::new(["pause"]).view(view).set("/linux/cgroupsPath", path).build()?;
        let Reached::Held(held) = first.launch(["create"]).hold_before(number)? else { break };
        let two = second.create()?.status.success();
        let one = held.go_on()?.wait()?.status.success();
        ensure!(!(one && two), "both are in one cgroup, the first stopped before call {number}");
        for (succeeded, container) in [(one, &first), (two, &second)] {
            if succeeded {
                equal("status", container.status()?, "created")?;
            }
        }
    }
    Ok(())
}

/// A command that cannot see the container's process must not take it for dead.
fn from_elsewhere(options: &[&str]) -> Result {
    let container = Bundle::new(["pause"]).start()?;
    for words in [&["delete"][..], &["state"], &["kill"], &["delete", "--force"], &["start"]] {
        let call = Call::of(Path::new("unshare"), options).arg(&runtime::get().path).arg("--root");
        let call = call.arg(container.state_root()).args(words).arg(&container.id);
        names_field(&call.output()?, "namespace")?;
        lives(&container)?;
    }
    Ok(())
}

/// A command in another pid namespace.
fn from_another_pid_namespace() -> Result {
    from_elsewhere(&["--pid", "--fork", "--mount-proc"])
}

/// A command in another time namespace, in which processes have other start times.
fn from_another_time_namespace() -> Result {
    if !has_namespace("time") {
        return skip("the kernel has no time namespaces");
    }
    from_elsewhere(&["--time", "--boottime", "100000", "--fork"])
}

/// A program whose main thread has ended while another thread runs is running.
fn main_thread_that_has_ended() -> Result {
    let container = Bundle::new(["thread-stays"]).start()?;
    container.wait_output("the main thread ends")?;
    let pid = container.pid()?;
    let zombie = || Ok(fs::read_to_string(format!("/proc/{pid}/stat"))?.contains(") Z "));
    eventually("a zombie for a main thread", zombie)?;
    equal("status", container.status()?, "running")?;
    container.command(["delete"])?.fails_with("not stopped")?;
    ensure!(fs::read_dir(format!("/proc/{pid}/task"))?.count() > 1, "all other threads have ended");
    container.kill("KILL")?.success()?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// Every command reports that it cannot read the record, and only `delete --force` removes it.
fn unreadable(record: &str, wanted: &str) -> Result {
    if runtime::is("crun") {
        return skip("the other runtimes have another file for the record");
    }
    let container = Bundle::new(["pause"]).build()?;
    fs::create_dir(container.state_dir())?;
    let path = container.state_dir().join("state.json");
    fs::write(&path, record)?;
    for words in [&["state"][..], &["start"], &["kill"], &["delete"], &["pause"], &["resume"], &["ps"], &["update"]] {
        let output = container.call([]).args(words).arg(&container.id).output()?;
        names_field(&output, "state.json")?;
        names_field(&output, wanted)?;
    }
    names_field(&container.exec([], ["true"])?, "state.json")?;
    contains("list", &container.call(["list"]).output()?.stderr, &container.id)?;
    container.create()?.fails_with("already exists")?;
    equal("the record", fs::read_to_string(&path)?, record)?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// A record of another program, such as runc: its container runs, and would be lost.
fn record_of_another_program() -> Result {
    unreadable(r#"{"id":"x","init_process_pid":1,"init_process_start":1,"created":"","config":{}}"#, "another")
}

/// A record whose format is newer than this program.
fn record_of_a_newer_version() -> Result {
    if runtime::is("crun") {
        return skip("the other runtimes have another file for the record");
    }
    let container = Bundle::new(["pause"]).create()?;
    let path = container.state_dir().join("state.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&path)?)?;
    record["format"] = json!(99);
    unreadable(&record.to_string(), "format is 99")
}

/// A record that exists and cannot be read is not a missing one.
fn record_that_cannot_be_read() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let path = container.state_dir().join("state.json");
    fs::create_dir_all(&path)?;
    for words in [&["state"][..], &["kill"], &["delete"]] {
        names_field(&container.call([]).args(words).arg(&container.id).output()?, "state.json")?;
    }
    ensure!(path.exists(), "the record was removed");
    fs::remove_dir_all(container.state_dir())?;
    Ok(())
}

/// A create that was killed before it wrote to the record: there is no container, and delete removes the directory.
fn empty_record() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    fs::create_dir(container.state_dir())?;
    fs::write(container.state_dir().join("state.json"), "")?;
    names_field(&container.command(["state"])?, "does not exist")?;
    names_field(&container.command(["delete"])?, "does not exist")?;
    container.nothing_left()
}

/// A directory with files of another program, such as crun's record: the files stay, whatever the command.
fn directory_of_another_program() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    fs::create_dir(container.state_dir())?;
    fs::write(container.state_dir().join("status"), "{}")?;
    for words in [&["delete"][..], &["delete", "--force"]] {
        names_field(&container.call([]).args(words).arg(&container.id).output()?, "not empty")?;
        ensure!(container.state_dir().join("status").exists(), "the file was removed");
    }
    fs::remove_dir_all(container.state_dir())?;
    Ok(())
}

/// A process that can open the gate can start the container without its hooks. Only the runtime's user can, whatever
/// the umask and the owner of the user namespace.
fn gate_is_the_runtimes_own() -> Result {
    for bundle in [Bundle::new(["pause"]), Bundle::new(["pause"]).user_namespace(100_000, 65536)] {
        let container = bundle.build()?;
        let open = || {
            nix::sys::stat::umask(nix::sys::stat::Mode::empty());
            Ok(())
        };
        container.launch(["create"]).in_child(open).output()?.success()?;
        let gate = fs::metadata(container.state_dir().join("exec.fifo"))?;
        equal("mode", gate.permissions().mode() & 0o777, 0o600)?;
        equal("owner", std::os::unix::fs::MetadataExt::uid(&gate), 0)?;
        container.start()?;
    }
    Ok(())
}

/// Of two starts the second one is refused before it runs a hook: a hook that fails would end the container.
fn start_hook_runs_once() -> Result {
    let container = Bundle::new(["pause"]).dir("once").build()?;
    container.edit_config(|config| {
        // The hook waits until the other start has been refused.
        let words = ["payload", "append", "/once/ran", "ran\n", ",", "wait", "/once/go"];
        config["hooks"] = json!({ "startContainer": [{ "path": "/payload", "args": words }] });
    })?;
    container.create()?.success()?;
    let first = container.call(["start", &container.id]).spawn()?;
    eventually("the hook", || Ok(container.read("once/ran").is_ok()))?;
    container.command(["start"])?.failure()?;
    fs::write(container.rootfs().join("once/go"), "")?;
    first.wait()?.success()?;
    equal("hooks", container.read("once/ran")?, "ran\n")?;
    lives(&container)
}

/// A file with the name of a temporary file of the runtime may belong to another program: it stays.
fn pid_file_of_somebody_else() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let (file, other) = (container.aside("pid"), container.aside(".pid"));
    fs::write(&other, "precious")?;
    container.launch(["create", "--pid-file", &file.to_string_lossy()]).output()?.success()?;
    equal("pid file", fs::read_to_string(&file)?, container.pid()?.to_string())?;
    equal("the other file", fs::read_to_string(other)?, "precious")
}

/// A create that is killed at any moment leaves the pid file or none, and no temporary file.
fn pid_file_leaves_no_other_name() -> Result {
    if !runtime::is("tare") {
        return skip("the temporary names of other runtimes are not known");
    }
    let create = |it: &Container| it.launch(["create", "--pid-file", &it.aside("pids/1").to_string_lossy()]);
    let bundle = || -> Result<Container> {
        let container = Bundle::new(["pause"]).build()?;
        fs::create_dir(container.aside("pids"))?;
        Ok(container)
    };
    let calls = create(&bundle()?).count_calls()?;
    // The pid file is written at the end.
    for number in calls.saturating_sub(24)..calls {
        let container = bundle()?;
        create(&container).with_fault(number, Fault::Killed)?;
        let names: Vec<_> = fs::read_dir(container.aside("pids"))?.flatten().map(|entry| entry.file_name()).collect();
        ensure!(names.iter().all(|name| name == "1"), "killed before call {number} of {calls}: {names:?}");
    }
    Ok(())
}

/// The pid file of an earlier container is replaced.
fn pid_file_is_replaced() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let file = container.aside("pid");
    fs::write(&file, "1")?;
    container.launch(["create", "--pid-file", &file.to_string_lossy()]).output()?.success()?;
    equal("pid file", fs::read_to_string(&file)?, container.pid()?.to_string())
}

/// A run in the foreground that cannot wait for its container kills it, and leaves nothing.
fn foreground_run_that_cannot_go_on() -> Result {
    if runtime::is("runc") {
        return skip("runc makes system calls in several threads, and the tracer follows one");
    }
    let container = Bundle::new(["pause"]).build()?;
    let wait = |call| call == libc::SYS_signalfd4;
    let (call, output) = container.launch(["run"]).with_fault_where(wait, Fault::Fails(Errno::EMFILE))?;
    ensure!(call.is_some(), "no signalfd4 was seen");
    names_field(&output, "too many open files")?;
    container.nothing_left()
}
