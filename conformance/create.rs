//! The life of a container: create, start, state, kill, delete; ids; races.

use crate::harness::container::namespace_of;
use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;

tests![
    a_foreign_pid_file_outlives_a_failed_create,
    forced_delete_during_create_leaves_nothing,
    term_ends_a_created_container,
    standard_input_is_the_containers_null,
    create_does_not_run_the_program,
    state_of_created,
    state_of_running,
    state_of_stopped,
    state_prints_its_members_in_order,
    state_has_annotations,
    state_has_no_annotations_member_when_there_are_none,
    state_of_unknown_container,
    state_says_when_it_was_created,
    state_directory_and_its_modes,
    create_twice,
    create_twice_after_start,
    create_race_has_one_winner,
    creates_in_parallel,
    create_refuses_bad_ids,
    create_accepts_odd_ids,
    create_with_missing_program,
    create_with_program_that_is_a_directory,
    create_with_program_that_is_not_executable,
    create_looks_the_program_up_in_path,
    create_writes_pid_file,
    create_refuses_unwritable_pid_file,
    create_takes_the_current_directory_as_bundle,
    create_accepts_relative_bundle,
    create_takes_bundle_as_second_argument,
    config_changes_after_create_have_no_effect,
    start_unknown,
    start_twice,
    start_stopped,
    kill_default_is_term,
    kill_by_name_and_number,
    kill_any_case,
    kill_zero_asks_only,
    kill_unknown_signal,
    kill_created,
    kill_stopped,
    kill_all_of_stopped_is_no_error,
    kill_unknown,
    kill_reaches_all_when_pids_are_shared,
    init_killed_from_outside_is_stopped,
    delete_unknown,
    delete_forced_unknown_is_silent,
    delete_running_is_refused,
    delete_created,
    delete_stopped,
    delete_forced_running,
    delete_forced_created,
    delete_removes_a_state_directory_without_state,
    delete_removes_a_state_directory_with_broken_state,
    delete_forced_does_not_leave_the_state_root,
    id_can_be_used_again,
    start_race_has_one_winner,
];

/// Create MUST NOT run the program that `process` names; start MUST run it.
fn create_does_not_run_the_program() -> Result {
    let container = Bundle::new(["echo", "hello"]).create()?;
    std::thread::sleep(std::time::Duration::from_millis(60));
    equal("output before start", container.output()?, "")?;
    container.start()?;
    container.wait_output("hello")
}

/// The state MUST have `ociVersion`, `id`, `status`, `bundle` and, while the container is created, the `pid` of its
/// process as the host sees it. `bundle` is absolute.
fn state_of_created() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let state = container.state()?;
    equal("status", &state["status"], "created")?;
    equal("id", &state["id"], container.id.as_str())?;
    let bundle = container.bundle().canonicalize()?;
    equal("bundle", &state["bundle"], bundle.to_string_lossy().as_ref())?;
    ensure!(state["ociVersion"].as_str().is_some_and(|v| v.starts_with("1.")), "ociVersion in {state}");
    let pid = container.pid()?;
    ensure!(namespace_of(pid, "pid")? != namespace_of(std::process::id() as i32, "pid")?, "the pid is the container's");
    Ok(())
}

/// After start the status MUST be `running` and the pid stay the same.
fn state_of_running() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let pid = container.pid()?;
    container.start()?;
    equal("status", container.status()?, "running")?;
    equal("pid", container.pid()?, pid)
}

/// When the process has ended the status MUST be `stopped`; the pid of a stopped container is 0 or absent.
fn state_of_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    equal("pid", container.state()?["pid"].as_i64().unwrap_or(0), 0)
}

/// runc prints the state's members in a fixed order, indented by two spaces; people diff and grep it.
fn state_prints_its_members_in_order() -> Result {
    let container = Bundle::new(["pause"]).set("/annotations", json!({"a": "b"})).create()?;
    let output = container.command(["state"])?;
    let keys: Vec<&str> = output
        .success()?
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("  \"")?.split_once('"'))
        .map(|(key, _)| key)
        .collect();
    equal("members", keys, ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"])
}

/// `annotations` of the state MUST be those of config.json.
fn state_has_annotations() -> Result {
    let annotations = json!({ "org.example.a": "1", "org.example.b": "", "c": "two words" });
    let container = Bundle::new(["pause"]).set("/annotations", annotations.clone()).create()?;
    equal("annotations", &container.state()?["annotations"], &annotations)
}

/// `annotations` is left out when there are none (no internal ones are shown).
fn state_has_no_annotations_member_when_there_are_none() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("annotations", container.state()?.get("annotations"), None)
}

/// State of a container that does not exist MUST be an error; engines match on its words.
fn state_of_unknown_container() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.command(["state"])?.fails_with("does not exist").map(drop)
}

/// `created` is RFC 3339 in UTC with a fraction, and the time of now.
fn state_says_when_it_was_created() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let state = container.state()?;
    let created = state["created"].as_str().context("a string")?;
    ensure!(created.ends_with('Z') && created.contains('T') && created.contains('.'), "created: {created}");
    let now = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H"]).output()?;
    let hour = String::from_utf8_lossy(&now.stdout).trim().to_owned();
    let minute_before = std::process::Command::new("date").args(["-u", "-d", "-1 minute", "+%Y-%m-%dT%H"]).output()?;
    let before = String::from_utf8_lossy(&minute_before.stdout).trim().to_owned();
    ensure!(created.starts_with(&hour) || created.starts_with(&before), "created {created}, now {hour}");
    Ok(())
}

/// Tools look for `ROOT/ID/state.json` (mode 0600) in a directory that only its owner lists (0711), and for
/// `exec.fifo` between create and start.
fn state_directory_and_its_modes() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let dir = container.state_dir();
    let mode = |path: &std::path::Path| -> Result<u32> { Ok(fs::metadata(path)?.permissions().mode() & 0o777) };
    equal("mode of the directory", mode(&dir)?, 0o711)?;
    equal("mode of state.json", mode(&dir.join("state.json"))?, 0o600)?;
    ensure!(dir.join("exec.fifo").exists(), "exec.fifo before start");
    container.start()?;
    ensure!(!dir.join("exec.fifo").exists(), "no exec.fifo after start");
    Ok(())
}

/// Create with an id that is in use MUST be an error and MUST NOT touch the container that has it.
fn create_twice() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let pid = container.pid()?;
    container.create()?.fails_with("already exists")?;
    equal("status", container.status()?, "created")?;
    equal("pid", container.pid()?, pid)?;
    container.start()?;
    equal("status", container.status()?, "running")
}

/// The same for a container that runs, and for `run`.
fn create_twice_after_start() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.create()?.failure()?;
    container.run()?.failure()?;
    equal("status", container.status()?, "running")
}

/// The id MUST be unique among the runtime's containers also when creates race: one wins, and its container works.
fn create_race_has_one_winner() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let racers = (0..6).map(|_| container.launch(["create"]).spawn()).collect::<Result<Vec<_>>>()?;
    let outputs = racers.into_iter().map(Running::wait).collect::<Result<Vec<_>>>()?;
    let winners = outputs.iter().filter(|output| output.status.success()).count();
    ensure!(winners == 1, "{winners} creates succeeded: {outputs:#?}");
    equal("status", container.status()?, "created")?;
    container.start()?;
    equal("status", container.status()?, "running")
}

/// Containers with different ids do not disturb each other's creation.
fn creates_in_parallel() -> Result {
    let containers = (0..8).map(|_| Bundle::new(["pause"]).build()).collect::<Result<Vec<_>>>()?;
    let calls = containers.iter().map(|c| c.launch(["create"]).spawn()).collect::<Result<Vec<_>>>()?;
    for call in calls {
        call.wait()?.success()?;
    }
    containers.iter().try_for_each(|container| equal("status", container.status()?, "created"))
}

/// An id is made of letters, digits and `_+.-`, and is neither `.` nor `..`: anything else could leave the state root.
fn create_refuses_bad_ids() -> Result {
    let container = Bundle::new(["true"]).build()?;
    for id in ["", ".", "..", "a/b", "../evil", "a b", "a\nb", "é", "a:b", "/abs", "a;b", "a*"] {
        let call = container.call(["create", "--bundle"]).arg(container.bundle()).arg(id);
        call.output()?.failure().with_context(|| format!("id {id:?}"))?;
    }
    let left: Vec<_> = fs::read_dir(container.state_root())?.collect();
    ensure!(left.is_empty(), "state of refused containers: {left:?}");
    Ok(())
}

/// Every character that is allowed works, also first, and so does a long id.
fn create_accepts_odd_ids() -> Result {
    for suffix in ["_", "+", ".x", "-", "A0", &"x".repeat(150)] {
        let mut container = Bundle::new(["true"]).build()?;
        container.id = format!("{}{suffix}", container.id);
        container.create()?.success()?;
        equal("id", &container.state()?["id"], container.id.as_str())?;
    }
    Ok(())
}

/// The program is looked up before create returns: a missing one is an error of create, and engines match the words.
fn create_with_missing_program() -> Result {
    let output = Bundle::new([]).set("/process/args", json!(["nosuch"])).refused("process.args")?;
    contains("message", &output.stderr, "executable file not found in $PATH")?;
    let output = Bundle::new([]).set("/process/args", json!(["/nosuch"])).refused("process.args")?;
    contains("message", &output.stderr, "no such file or directory")
}

/// Engines turn `is a directory` or `permission denied` into exit code 126.
fn create_with_program_that_is_a_directory() -> Result {
    let output = Bundle::new([]).dir("dir").set("/process/args", json!(["/dir"])).refused("process.args")?;
    let known = ["is a directory", "permission denied"].iter().any(|words| output.stderr.contains(words));
    ensure!(known, "{output}");
    Ok(())
}

/// A file without an x bit is not a program.
fn create_with_program_that_is_not_executable() -> Result {
    let output = Bundle::new([]).file("data", "x").set("/process/args", json!(["/data"])).refused("process.args")?;
    contains("message", &output.stderr, "permission denied")
}

/// `args` has the semantics of execvp: a name without a slash is searched in the PATH of `process.env`.
fn create_looks_the_program_up_in_path() -> Result {
    let output = Bundle::new([])
        .symlink("deep/bin/tool", "/payload")
        .set("/process/args", json!(["tool", "args"]))
        .set("/process/env", json!(["PATH=/nowhere:/deep/bin"]))
        .run()?;
    output.success()?.says("args", r#"["tool", "args"]"#).map(drop)
}

/// `--pid-file` gets the pid in decimal without a newline: go-runc parses it strictly.
fn create_writes_pid_file() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let file = container.aside("pid");
    container.launch(["create", "--pid-file", &file.to_string_lossy()]).output()?.success()?;
    equal("pid file", fs::read_to_string(file)?, container.pid()?.to_string())
}

/// A pid file that cannot be written fails create, which leaves nothing.
fn create_refuses_unwritable_pid_file() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    container.launch(["create", "--pid-file", "/nosuchdir/pid"]).output()?.failure()?;
    container.nothing_left()
}

/// Without `--bundle` the bundle is the current directory, and the state says so.
fn create_takes_the_current_directory_as_bundle() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let call = container.call(["create"]).arg(&container.id).current_dir(&container.bundle());
    call.output_to(container.aside("out"), container.aside("err")).output()?.success()?;
    let bundle = container.bundle().canonicalize()?;
    equal("bundle", &container.state()?["bundle"], bundle.to_string_lossy().as_ref())
}

/// A relative bundle and a relative pid file are both meant from where the caller is.
fn create_accepts_relative_bundle() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let above = container.aside("");
    let call = container.call(["create", "-b", "bundle", "--pid-file", "pid"]).arg(&container.id).current_dir(&above);
    call.output_to(container.aside("out"), container.aside("err")).output()?.success()?;
    equal("pid file", fs::read_to_string(above.join("pid"))?, container.pid()?.to_string())?;
    let bundle = container.bundle().canonicalize()?;
    equal("bundle", &container.state()?["bundle"], bundle.to_string_lossy().as_ref())
}

/// tare takes `create ID BUNDLE`, the form that the specification's operations have.
fn create_takes_bundle_as_second_argument() -> Result {
    if !runtime::is("tare") {
        return skip("only tare takes the bundle as an argument");
    }
    let container = Bundle::new(["pause"]).build()?;
    let call = container.call(["create"]).arg(&container.id).arg(container.bundle());
    call.output_to(container.aside("out"), container.aside("err")).output()?.success()?;
    equal("status", container.status()?, "created")
}

/// Changes of config.json after create MUST NOT have an effect on the container.
fn config_changes_after_create_have_no_effect() -> Result {
    let container = Bundle::new(["echo", "before"]).create()?;
    container.edit_config(|config| config["process"]["args"] = json!(["/payload", "echo", "after"]))?;
    container.start()?;
    container.wait_status("stopped")?;
    equal("output", container.output()?, "before\n")
}

/// Start of what does not exist MUST be an error.
fn start_unknown() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.command(["start"])?.fails_with("does not exist").map(drop)
}

/// Start of a container that is not `created` MUST be an error and MUST NOT touch it.
fn start_twice() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let pid = container.pid()?;
    container.command(["start"])?.failure()?;
    equal("pid", container.pid()?, pid)?;
    equal("status", container.status()?, "running")
}

/// The same for a container that has stopped.
fn start_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.command(["start"])?.fails_with("stopped")?;
    equal("status", container.status()?, "stopped")
}

/// Kill without a signal sends SIGTERM.
fn kill_default_is_term() -> Result {
    let container = Bundle::new(["trap", "TERM"]).start()?;
    container.wait_output("ready")?;
    container.command(["kill"])?.success()?;
    container.wait_output("got SIGTERM")
}

/// Kill MUST send the signal that was named, as `NAME`, `SIGNAME` or number, to the container's process.
fn kill_by_name_and_number() -> Result {
    for signal in ["USR1", "SIGUSR1", "10"] {
        let container = Bundle::new(["trap", "USR1"]).start()?;
        container.wait_output("ready")?;
        container.kill(signal)?.success()?;
        container.wait_output("got SIGUSR1").with_context(|| format!("kill {signal}"))?;
    }
    Ok(())
}

/// Signals are named in any case.
fn kill_any_case() -> Result {
    for signal in ["hup", "sigHup"] {
        let container = Bundle::new(["trap", "HUP"]).start()?;
        container.wait_output("ready")?;
        container.kill(signal)?.success()?;
        container.wait_output("got SIGHUP").with_context(|| format!("kill {signal}"))?;
    }
    Ok(())
}

/// Signal 0 asks whether the process is there and does nothing to it.
fn kill_zero_asks_only() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.kill("0")?.success()?;
    equal("status", container.status()?, "running")?;
    container.stop()?;
    container.kill("0")?.failure().map(drop)
}

/// A word that is no signal is an error and sends nothing.
fn kill_unknown_signal() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.kill("NOSUCH")?.fails_with("unknown signal")?;
    equal("status", container.status()?, "running")
}

/// Kill works on a container that is created and not started.
fn kill_created() -> Result {
    let container = Bundle::new(["echo", "ran"]).create()?;
    container.stop()?;
    equal("output", container.output()?, "")
}

/// Kill of a container that is neither created nor running MUST be an error; containerd and CRI-O match the words.
fn kill_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    let output = container.kill("TERM")?;
    output.fails_with("container not running")?;
    equal("exit code", output.code()?, 1)
}

/// `--all` is hidden now and only makes "not running" no error: engines send it while a container goes away.
fn kill_all_of_stopped_is_no_error() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.call(["kill", "--all", &container.id, "KILL"]).output()?.success().map(drop)
}

/// Kill of what does not exist MUST be an error.
fn kill_unknown() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.kill("KILL")?.fails_with("does not exist").map(drop)
}

/// With the host's pid namespace nothing but the cgroup tells what belongs to the container: SIGKILL reaches all of it.
fn kill_reaches_all_when_pids_are_shared() -> Result {
    let container = Bundle::new(["fork", "3", ",", "pause"]).without_namespace("pid").start()?;
    container.wait_output("forked: 3")?;
    equal("processes", container.processes().len(), 4)?;
    container.kill("KILL")?.success()?;
    eventually("the end of all four", || Ok(container.processes().is_empty()))?;
    container.wait_status("stopped")
}

/// The status is of now, not of the last command: a process that died otherwise makes a stopped container.
fn init_killed_from_outside_is_stopped() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(container.pid()?), nix::sys::signal::Signal::SIGKILL)?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// Delete of what does not exist MUST be an error.
fn delete_unknown() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let output = container.command(["delete"])?;
    output.fails_with("does not exist")?;
    equal("exit code", output.code()?, 1)
}

/// With `--force` there is nothing to be done, and nothing is said: clean-up may be repeated.
fn delete_forced_unknown_is_silent() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let output = container.command(["delete", "--force"])?;
    equal("output", format!("{}{}", output.success()?.stdout, output.stderr), "")
}

/// Delete of a container that is not stopped MUST be an error and MUST NOT touch it.
fn delete_running_is_refused() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["delete"])?.fails_with("not stopped")?;
    equal("status", container.status()?, "running")
}

/// What runc does beyond the specification: a created container is deleted without `--force`.
fn delete_created() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// Delete MUST remove what create made; afterwards the container does not exist.
fn delete_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()?;
    container.command(["state"])?.failure()?;
    ensure!(container.rootfs().join("payload").exists(), "the bundle is the caller's and stays");
    Ok(())
}

/// `delete --force` ends what runs and removes it.
fn delete_forced_running() -> Result {
    let container = Bundle::new(["fork", "2", ",", "pause"]).start()?;
    container.wait_output("forked: 2")?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// The same before start.
fn delete_forced_created() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.command(["delete", "-f"])?.success()?;
    container.nothing_left()
}

/// A state directory without a state is a create that was killed early: delete removes it, then says that there was
/// no container; with `--force` it is silent.
fn delete_removes_a_state_directory_without_state() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    fs::create_dir(container.state_dir())?;
    container.command(["delete"])?.failure()?;
    ensure!(!container.state_dir().exists(), "the directory is gone");
    fs::create_dir(container.state_dir())?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// A state that cannot be read is no reason to keep an id blocked for ever.
fn delete_removes_a_state_directory_with_broken_state() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    for broken in ["", "{", "[]", "null"] {
        fs::create_dir(container.state_dir())?;
        fs::write(container.state_dir().join("state.json"), broken)?;
        container.command(["delete", "--force"])?.success()?;
        container.nothing_left()?;
    }
    Ok(())
}

/// An id is checked before it becomes a path: `delete --force ../x` removes nothing outside the state root.
fn delete_forced_does_not_leave_the_state_root() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let precious = container.aside("precious");
    fs::create_dir(&precious)?;
    fs::write(precious.join("data"), "kept")?;
    // Whether it fails is not the point.
    container.call(["delete", "--force", "../precious"]).output()?.code()?;
    container.call(["delete", "../precious"]).output()?.failure()?;
    equal("file beside the state root", fs::read_to_string(precious.join("data"))?, "kept")
}

/// Once a container is deleted its id MAY be used by another one.
fn id_can_be_used_again() -> Result {
    let container = Bundle::new(["echo", "again"]).build()?;
    for turn in 1..=3 {
        container.create()?.success()?;
        container.start()?;
        container.wait_status("stopped")?;
        container.command(["delete"])?.success()?;
        equal("output", container.output()?, "again\n".repeat(turn))?;
    }
    container.nothing_left()
}

/// Starts that race start the program once.
fn start_race_has_one_winner() -> Result {
    let container = Bundle::new(["append", "/log", "x", ",", "pause"]).create()?;
    let calls = (0..4).map(|_| container.call(["start", &container.id]).spawn()).collect::<Result<Vec<_>>>()?;
    let outputs = calls.into_iter().map(Running::wait).collect::<Result<Vec<_>>>()?;
    let winners = outputs.iter().filter(|output| output.status.success()).count();
    ensure!(winners == 1, "{winners} starts succeeded: {outputs:#?}");
    container.wait_output("append /log: ok")?;
    equal("runs", container.read("log")?, "x")
}

/// What a failed create takes back is its own.
fn a_foreign_pid_file_outlives_a_failed_create() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let file = container.aside("pid");
    let name = file.display().to_string();
    let create = || container.launch(["create", "--pid-file", &name]).output();
    create()?.success()?;
    create()?.failure()?;
    ensure!(file.exists(), "the pid file of the first create is gone");
    Ok(())
}

/// Whichever of the two is quicker, nothing stays that no command can find.
fn forced_delete_during_create_leaves_nothing() -> Result {
    for turn in 0..12 {
        let container = Bundle::new(["pause"]).build()?;
        let creating = container.launch(["create"]).spawn()?;
        std::thread::sleep(std::time::Duration::from_millis(turn));
        container.command(["delete", "--force"])?.code()?;
        creating.wait()?.code().ok();
        container.command(["delete", "--force"])?.code()?;
        container.nothing_left()?;
    }
    Ok(())
}

/// Waiting for start, a container ends by the signals that end any process.
fn term_ends_a_created_container() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.kill("TERM")?.success()?;
    container.wait_status("stopped")
}

/// The host's null device is not handed in: its mode could be changed through the descriptor.
fn standard_input_is_the_containers_null() -> Result {
    use std::os::unix::fs::MetadataExt;
    let container = Bundle::new(["pause"]).start()?;
    let (seen, host) = (fs::metadata(format!("/proc/{}/fd/0", container.pid()?))?, fs::metadata("/dev/null")?);
    ensure!(seen.rdev() != host.rdev() || (seen.dev(), seen.ino()) != (host.dev(), host.ino()), "it is the host's");
    Ok(())
}
