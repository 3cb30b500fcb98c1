//! `state`: the state of a container, which the runtime determines anew each time.

use crate::harness::container::namespace_of;
use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;

tests![
    of_created,
    of_running,
    of_stopped,
    prints_its_members_in_order,
    has_annotations,
    has_no_annotations_member_when_there_are_none,
    of_unknown_container,
    says_when_it_was_created,
    directory_and_its_modes,
    init_killed_from_outside_is_stopped,
    is_json_and_nothing_else,
    is_written_at_once,
    owner_is_empty,
    of_a_directory_without_state,
    of_a_malformed_id,
    without_its_cgroup,
];

/// The state MUST have `ociVersion`, `id`, `status`, `bundle` and, while the container is created, `pid`: the host's
/// pid of its process. `bundle` is absolute.
fn of_created() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let state = container.state()?;
    equal("status", &state["status"], "created")?;
    equal("id", &state["id"], container.id.as_str())?;
    let bundle = container.bundle().canonicalize()?;
    equal("bundle", &state["bundle"], bundle.to_string_lossy().as_ref())?;
    ensure!(state["ociVersion"].as_str().is_some_and(|v| v.starts_with("1.")), "ociVersion in {state}");
    let pid = container.pid()?;
    ensure!(
        namespace_of(pid, "pid")? != namespace_of(std::process::id() as i32, "pid")?,
        "the process of this pid is not in the container"
    );
    Ok(())
}

/// After start the status MUST be `running`; the pid stays the same.
fn of_running() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let pid = container.pid()?;
    container.start()?;
    equal("status", container.status()?, "running")?;
    equal("pid", container.pid()?, pid)
}

/// After the process has ended the status MUST be `stopped`. The pid of a stopped container is 0 or absent.
fn of_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    equal("pid", container.state()?["pid"].as_i64().unwrap_or(0), 0)
}

/// The members are in runc's fixed order, indented by two spaces: people diff and grep the output.
fn prints_its_members_in_order() -> Result {
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
fn has_annotations() -> Result {
    let annotations = json!({ "org.example.a": "1", "org.example.b": "", "c": "two words" });
    let container = Bundle::new(["pause"]).set("/annotations", annotations.clone()).create()?;
    equal("annotations", &container.state()?["annotations"], &annotations)
}

/// Without annotations the state has no member `annotations`, and shows no internal ones.
fn has_no_annotations_member_when_there_are_none() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("annotations", container.state()?.get("annotations"), None)
}

/// `state` of a container that does not exist MUST be an error. Engines match its words.
fn of_unknown_container() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.command(["state"])?.fails_with("does not exist").map(drop)
}

/// `created` is the current time as RFC 3339 in UTC with a fraction.
fn says_when_it_was_created() -> Result {
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

/// Tools look for `ROOT/ID/state.json` (mode 0600) in a directory that only its owner can list (0711), and for
/// `exec.fifo` between create and start.
fn directory_and_its_modes() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let dir = container.state_dir();
    let mode = |path: &std::path::Path| -> Result<u32> { Ok(fs::metadata(path)?.permissions().mode() & 0o777) };
    equal("mode of the directory", mode(&dir)?, 0o711)?;
    equal("mode of state.json", mode(&dir.join("state.json"))?, 0o600)?;
    ensure!(dir.join("exec.fifo").exists(), "no exec.fifo before start");
    container.start()?;
    ensure!(!dir.join("exec.fifo").exists(), "exec.fifo is left after start");
    Ok(())
}

/// The status is the current one: a container whose process was killed by another program is stopped.
fn init_killed_from_outside_is_stopped() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(container.pid()?), nix::sys::signal::Signal::SIGKILL)?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// Standard error is empty: CRI-O and go-runc read both outputs together.
fn is_json_and_nothing_else() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.command(["state"])?;
    equal("standard error", &*output.success()?.stderr, "")?;
    ensure!(output.stdout.starts_with("{\n  \"ociVersion\": "), "the indent is not two spaces: {output}");
    ensure!(output.stdout.ends_with('}'), "a newline at the end: {output}");
    Ok(())
}

/// The state has the member `owner`, which is empty.
fn owner_is_empty() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("owner", &container.state()?["owner"], "")
}

/// A state directory without state.json is no container.
fn of_a_directory_without_state() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    fs::create_dir(container.state_dir())?;
    container.command(["state"])?.fails_with("does not exist").map(drop)
}

/// An id is checked before it is used in a path.
fn of_a_malformed_id() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    for id in ["../x", "a/b", ".", "..", "a b"] {
        container.call(["state", id]).output()?.fails_with("invalid container ID format")?;
    }
    container.call(["state", ""]).output()?.fails_with("container id cannot be empty").map(drop)
}

/// `state` succeeds if the container's cgroup is gone.
fn without_its_cgroup() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.cgroups().iter().for_each(|path| machine::remove_cgroup(path));
    equal("status", container.status()?, "stopped")
}

/// A reader that has found its word, such as `grep -q`, is gone before a second write, of which the command would die.
fn is_written_at_once() -> Result {
    if runtime::is("runc") {
        return skip("the threads of Go write to each other");
    }
    let container = Bundle::new(["pause"]).create()?;
    let mut writes = 0;
    let state = container.call(["state", &container.id]);
    state.hold_where(|call| {
        writes += usize::from([libc::SYS_write, libc::SYS_writev].contains(&call));
        false
    })?;
    equal("writes", writes, 1)
}
