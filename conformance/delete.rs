//! `delete`: nothing of a container is left.

use crate::harness::*;
use anyhow::ensure;
use std::fs;

tests![
    unknown,
    forced_unknown_is_silent,
    running_is_refused,
    created,
    stopped,
    forced_running,
    forced_created,
    removes_a_state_directory_without_state,
    removes_a_state_directory_with_broken_state,
    forced_does_not_leave_the_state_root,
    id_can_be_used_again,
    forced_delete_during_create_leaves_nothing,
    kills_survivors_where_pids_are_shared,
    kills_survivors_in_the_unified_view,
    forced_with_processes_in_sub_cgroups,
    forced_created_and_paused,
    stopped_without_its_cgroup,
    stopped_without_its_bundle,
    refusal_names_the_status,
    is_silent,
    all_goes_though_a_poststop_hook_fails,
    poststop_failure_is_a_warning,
];

/// `delete` of a container that does not exist MUST be an error.
fn unknown() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let output = container.command(["delete"])?;
    output.fails_with("does not exist")?;
    equal("exit code", output.code()?, 1)
}

/// With `--force` it succeeds silently, so that clean-up can be repeated.
fn forced_unknown_is_silent() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let output = container.command(["delete", "--force"])?;
    equal("output", format!("{}{}", output.success()?.stdout, output.stderr), "")
}

/// `delete` of a container that is not stopped MUST be an error and MUST NOT change it.
fn running_is_refused() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["delete"])?.fails_with("not stopped")?;
    equal("status", container.status()?, "running")
}

/// Beyond the specification, as with runc: a created container is deleted without `--force`.
fn created() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// `delete` MUST remove what create has made. Afterwards the container does not exist.
fn stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()?;
    container.command(["state"])?.failure()?;
    ensure!(container.rootfs().join("payload").exists(), "delete removed the bundle");
    Ok(())
}

/// `delete --force` kills a running container and removes it.
fn forced_running() -> Result {
    let container = Bundle::new(["fork", "2", ",", "pause"]).start()?;
    container.wait_output("forked: 2")?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// The same before start.
fn forced_created() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.command(["delete", "-f"])?.success()?;
    container.nothing_left()
}

/// A state directory without state.json is left by a create that was killed early. `delete` removes it and reports that
/// there is no container; with `--force` it is silent.
fn removes_a_state_directory_without_state() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    fs::create_dir(container.state_dir())?;
    container.command(["delete"])?.failure()?;
    ensure!(!container.state_dir().exists(), "the state directory is left");
    fs::create_dir(container.state_dir())?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// An unreadable state.json must not block an id for ever.
fn removes_a_state_directory_with_broken_state() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    for broken in ["", "{", "[]", "null"] {
        fs::create_dir(container.state_dir())?;
        fs::write(container.state_dir().join("state.json"), broken)?;
        container.command(["delete", "--force"])?.success()?;
        container.nothing_left()?;
    }
    Ok(())
}

/// The id is checked before it is used in a path: `delete --force ../x` removes nothing outside the state root.
fn forced_does_not_leave_the_state_root() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let precious = container.aside("precious");
    fs::create_dir(&precious)?;
    fs::write(precious.join("data"), "kept")?;
    // It may succeed or fail.
    container.call(["delete", "--force", "../precious"]).output()?.code()?;
    container.call(["delete", "../precious"]).output()?.failure()?;
    equal("file beside the state root", fs::read_to_string(precious.join("data"))?, "kept")
}

/// After a container is deleted, another one MAY use its id.
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

/// Whether create or the forced delete is faster, nothing is left that no command can find.
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

fn kills_survivors(view: View) -> Result {
    let container = Bundle::new(["fork", "2", ",", "pause"]).without_namespace("pid").view(view).start()?;
    container.wait_output("forked: 2")?;
    let first = nix::unistd::Pid::from_raw(container.pid()?);
    nix::sys::signal::kill(first, nix::sys::signal::Signal::SIGKILL)?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// If the pid namespace is the host's, the processes that survive the first one are killed through the cgroup.
fn kills_survivors_where_pids_are_shared() -> Result {
    kills_survivors(View::Machine)
}

/// The same on v2.
fn kills_survivors_in_the_unified_view() -> Result {
    kills_survivors(View::Unified)
}

/// Sub-cgroups with processes are removed, too: an init in the container, such as systemd, makes a tree of them.
fn forced_with_processes_in_sub_cgroups() -> Result {
    for view in [View::Machine, View::Unified] {
        let container = Bundle::new(["fork", "1", ",", "pause"]).view(view).start()?;
        container.wait_output("forked: 1")?;
        let first = container.pid()?;
        let second = container.processes().into_iter().find(|pid| *pid != first).unwrap_or_default();
        for cgroup in container.cgroups().into_iter().filter(|path| path.is_dir()) {
            fs::create_dir_all(cgroup.join("a/b"))?;
            // Some v1 hierarchies refuse a process here: cpuset needs its values first.
            let _ = fs::write(cgroup.join("a/b/cgroup.procs"), second.to_string());
        }
        container.command(["delete", "--force"])?.success()?;
        container.nothing_left()?;
    }
    Ok(())
}

/// A created container that is paused is deleted with `--force` like a created one.
fn forced_created_and_paused() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.command(["pause"])?.success()?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// `delete` succeeds if the cgroup was removed before.
fn stopped_without_its_cgroup() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.cgroups().iter().for_each(|path| machine::remove_cgroup(path));
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// `delete` succeeds if the bundle was removed before.
fn stopped_without_its_bundle() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    fs::remove_dir_all(container.bundle())?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// The message has the container's status: engines show it.
fn refusal_names_the_status() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let wanted = format!("cannot delete container {} that is not stopped: running", container.id);
    let output = container.command(["delete"])?;
    output.fails_with(&wanted)?;
    equal("exit code", output.code()?, 1)
}

/// `delete` prints nothing if it succeeds.
fn is_silent() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.command(["delete", "--force"])?;
    equal("output", format!("{}{}", output.success()?.stdout, output.stderr), "")
}

/// If one poststop hook fails, the others run, and nothing of the container is left.
fn all_goes_though_a_poststop_hook_fails() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let mark = container.aside("mark");
    container.edit_config(|config| {
        config["hooks"] = json!({ "poststop": [
            { "path": "/bin/false" },
            { "path": "/bin/sh", "args": ["sh", "-c", format!("echo ran > {}", mark.display())] },
        ] });
    })?;
    container.create()?.success()?;
    container.start()?;
    container.wait_status("stopped")?;
    // The hook is named in an error or in a warning.
    let output = container.command(["delete"])?;
    contains("message", &output.stderr, "error running poststop hook #0")?;
    container.nothing_left()?;
    ensure!(mark.exists(), "the second hook did not run");
    Ok(())
}

/// If a poststop hook fails, delete logs a warning and succeeds: "the runtime MUST log a warning, but the remaining
/// hooks and lifecycle continue as if the hook had succeeded".
fn poststop_failure_is_a_warning() -> Result {
    let container = Bundle::new(["true"]).set("/hooks/poststop", json!([{ "path": "/bin/false" }])).start()?;
    container.wait_status("stopped")?;
    let log = container.aside("log");
    container.call(["--log", &log.to_string_lossy(), "delete", &container.id]).output()?.success()?;
    contains("log", &fs::read_to_string(log)?, "level=warning")
}
