//! `state`: what is known of a container, derived anew each time.

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
    owner_is_empty,
    of_a_directory_without_state,
    of_a_malformed_id,
    without_its_cgroup,
];

/// The state MUST have `ociVersion`, `id`, `status`, `bundle` and, while the container is created, the `pid` of its
/// process as the host sees it. `bundle` is absolute.
fn of_created() -> Result {
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
fn of_running() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let pid = container.pid()?;
    container.start()?;
    equal("status", container.status()?, "running")?;
    equal("pid", container.pid()?, pid)
}

/// When the process has ended the status MUST be `stopped`; the pid of a stopped container is 0 or absent.
fn of_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    equal("pid", container.state()?["pid"].as_i64().unwrap_or(0), 0)
}

/// runc prints the state's members in a fixed order, indented by two spaces; people diff and grep it.
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

/// `annotations` is left out when there are none (no internal ones are shown).
fn has_no_annotations_member_when_there_are_none() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("annotations", container.state()?.get("annotations"), None)
}

/// State of a container that does not exist MUST be an error; engines match on its words.
fn of_unknown_container() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.command(["state"])?.fails_with("does not exist").map(drop)
}

/// `created` is RFC 3339 in UTC with a fraction, and the time of now.
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

/// Tools look for `ROOT/ID/state.json` (mode 0600) in a directory that only its owner lists (0711), and for
/// `exec.fifo` between create and start.
fn directory_and_its_modes() -> Result {
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

/// The status is of now, not of the last command: a process that died otherwise makes a stopped container.
fn init_killed_from_outside_is_stopped() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(container.pid()?), nix::sys::signal::Signal::SIGKILL)?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// CRI-O and go-runc read output and error together: the JSON is all there is.
fn is_json_and_nothing_else() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.command(["state"])?;
    equal("standard error", &*output.success()?.stderr, "")?;
    ensure!(output.stdout.starts_with("{\n  \"ociVersion\": "), "two blanks of indent: {output}");
    ensure!(output.stdout.ends_with('}'), "no newline after it: {output}");
    Ok(())
}

/// `owner` is there and empty.
fn owner_is_empty() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("owner", &container.state()?["owner"], "")
}

/// Half a state is none.
fn of_a_directory_without_state() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    fs::create_dir(container.state_dir())?;
    container.command(["state"])?.fails_with("does not exist").map(drop)
}

/// Ids are checked before they become paths.
fn of_a_malformed_id() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    for id in ["../x", "a/b", ".", "..", "a b"] {
        container.call(["state", id]).output()?.fails_with("invalid container ID format")?;
    }
    container.call(["state", ""]).output()?.fails_with("container id cannot be empty").map(drop)
}

/// A cgroup that vanishes does not make the state an error.
fn without_its_cgroup() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.cgroups().iter().for_each(|path| machine::remove_cgroup(path));
    equal("status", container.status()?, "stopped")
}
