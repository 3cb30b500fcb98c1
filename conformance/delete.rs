//! `delete`: what is left of a container goes.

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
];

/// Delete of what does not exist MUST be an error.
fn unknown() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let output = container.command(["delete"])?;
    output.fails_with("does not exist")?;
    equal("exit code", output.code()?, 1)
}

/// With `--force` there is nothing to be done, and nothing is said: clean-up may be repeated.
fn forced_unknown_is_silent() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let output = container.command(["delete", "--force"])?;
    equal("output", format!("{}{}", output.success()?.stdout, output.stderr), "")
}

/// Delete of a container that is not stopped MUST be an error and MUST NOT touch it.
fn running_is_refused() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["delete"])?.fails_with("not stopped")?;
    equal("status", container.status()?, "running")
}

/// What runc does beyond the specification: a created container is deleted without `--force`.
fn created() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// Delete MUST remove what create made; afterwards the container does not exist.
fn stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    container.nothing_left()?;
    container.command(["state"])?.failure()?;
    ensure!(container.rootfs().join("payload").exists(), "the bundle is the caller's and stays");
    Ok(())
}

/// `delete --force` ends what runs and removes it.
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

/// A state directory without a state is a create that was killed early: delete removes it, then says that there was
/// no container; with `--force` it is silent.
fn removes_a_state_directory_without_state() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    fs::create_dir(container.state_dir())?;
    container.command(["delete"])?.failure()?;
    ensure!(!container.state_dir().exists(), "the directory is gone");
    fs::create_dir(container.state_dir())?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// A state that cannot be read is no reason to keep an id blocked for ever.
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

/// An id is checked before it becomes a path: `delete --force ../x` removes nothing outside the state root.
fn forced_does_not_leave_the_state_root() -> Result {
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
