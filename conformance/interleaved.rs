//! Two commands on one container: one is stopped before each of its system calls, and the other runs meanwhile.
//!
//! The outcome is right if one of the two orders gives it, or if one command fails and changes nothing. The container's
//! hooks leave marks, which show a hook that has run twice. Each test tries some of the moments; with `INTERLEAVED=all`
//! it tries all of them (`hack/interleaved`).

use crate::harness::{check, scope, *};
use anyhow::{Context, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

tests![
    create_beside_create,
    create_beside_forced_delete,
    create_beside_start,
    create_beside_others,
    create_that_ends_beside_others,
    run_beside_others,
    start_beside_start,
    start_beside_forced_delete,
    start_beside_others,
    delete_of_created_beside_start,
    delete_of_created_beside_others,
    forced_delete_beside_others,
    kill_beside_others,
    pause_beside_kill,
    pause_beside_others,
    update_beside_forced_delete,
    delete_beside_delete,
    delete_of_stopped_beside_others,
    three_at_once,
    scopes_of_systemd,
];

/// The share of the moments that are tried: `INTERLEAVED` is `all` or `few`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    All,
    /// Some moments of each pair.
    Some,
    /// Fewer moments, of one pair in each test: for slow machines.
    Few,
}

impl Share {
    fn asked() -> Share {
        match std::env::var("INTERLEAVED").as_deref() {
            Ok("all") => Share::All,
            Ok("few") => Share::Few,
            _ => Share::Some,
        }
    }

    /// The moments that are tried, of so many. The first one is another each time: many runs together try all moments.
    fn of(self, moments: usize) -> impl Iterator<Item = usize> {
        let step = match self {
            Share::All => 1,
            Share::Some => moments.div_ceil(4),
            Share::Few => moments.div_ceil(2),
        };
        (std::process::id() as usize % step..moments).step_by(step)
    }
}

/// The state of the container before the two commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Created,
    Running,
    Stopped,
}

use Before::{Created, Nothing, Running as Runs, Stopped};

/// The state of the container before, and whether systemd makes its cgroup.
#[derive(Clone, Copy, Debug)]
struct Scene {
    before: Before,
    systemd: bool,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    /// Whether each command succeeded.
    succeeded: Vec<bool>,
    status: String,
    /// The number of processes in the container's cgroup.
    processes: usize,
    /// The number of times that the poststop hook has run.
    poststop: usize,
    /// Whether a hook of start has run twice. Once is always right: another command may overtake a start after its
    /// hook.
    hooks_twice: bool,
}

/// A container in this state, whose hooks leave marks.
fn fresh(scene: Scene) -> Result<Container> {
    let Scene { before, systemd } = scene;
    let bundle = Bundle::new(["pause"]);
    let container = if systemd { scope::build(bundle, scope::PATH)? } else { bundle.build()? };
    let hook = |name: &str| {
        let line = format!("echo {name} >> {}", container.aside("hooks").display());
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", line] }])
    };
    container.edit_config(|config| {
        config["hooks"] = json!({ "poststart": hook("poststart"), "poststop": hook("poststop") });
        config["hooks"]["startContainer"] =
            json!([{ "path": "/payload", "args": ["payload", "append", "/tmp/hooks", "startContainer\n"] }]);
    })?;
    fs::create_dir(container.rootfs().join("tmp"))?;
    fs::write(container.rootfs().join("tmp/hooks"), "")?;
    if before != Nothing {
        call(&container, systemd, "create").output()?.success()?;
    }
    if matches!(before, Runs | Stopped) {
        container.start()?;
    }
    if before == Stopped {
        container.stop()?;
    }
    Ok(container)
}

fn call(container: &Container, systemd: bool, command: &str) -> Call {
    match command {
        "create" if systemd => container.launch(["--systemd-cgroup", "create"]),
        other => container.named(other),
    }
    .patience(30)
}

fn look(container: &Container, succeeded: &[bool]) -> Result<End> {
    let output = container.command(["state"])?;
    let status = if output.status.success() {
        let state: Value = serde_json::from_str(&output.stdout)?;
        state["status"].as_str().context("a status")?.to_owned()
    } else {
        contains("state of what is not there", &output.stderr, "does not exist")?;
        "none".to_owned()
    };
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let marks = read(container.aside("hooks")) + &container.read("tmp/hooks")?;
    let count = |name: &str| marks.lines().filter(|line| *line == name).count();
    Ok(End {
        succeeded: succeeded.to_vec(),
        status,
        processes: container.processes().len(),
        poststop: count("poststop"),
        hooks_twice: ["startContainer", "poststart"].into_iter().any(|name| count(name) > 1),
    })
}

/// The outcome, once it no longer changes: a killed process needs some time to end, and a program to begin.
fn end(container: &Container, succeeded: &[bool], is_right: impl Fn(&End) -> bool) -> Result<End> {
    let mut last = look(container, succeeded)?;
    let patience = Instant::now() + check::patience(3);
    while !is_right(&last) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
        last = look(container, succeeded)?;
    }
    Ok(last)
}

/// Deletes the container and checks that `delete --force` has removed all of it.
fn clear(container: &Container) -> Result {
    container.call(["delete", "--force"]).arg(&container.id).patience(30).output()?.success()?;
    container.nothing_left()
}

/// Makes the commands one after the other, in this order of their numbers. Commands that are not in the order are not
/// made and count as failed.
fn in_order(scene: Scene, commands: &[&str], order: &[usize]) -> Result<End> {
    let container = fresh(scene)?;
    let mut succeeded = vec![false; commands.len()];
    for &number in order {
        succeeded[number] = call(&container, scene.systemd, commands[number]).output()?.status.success();
    }
    // The commands have ended, so their effects show within a moment.
    let mut same = 0;
    let mut last = look(&container, &succeeded)?;
    eventually("an end that stays", || {
        std::thread::sleep(Duration::from_millis(10));
        let now = look(&container, &succeeded)?;
        same = if now == last { same + 1 } else { 0 };
        last = now;
        Ok(same == 5)
    })?;
    clear(&container)?;
    Ok(last)
}

/// The outcomes that are right for commands at the same time: those of each order. Commands that an order leaves out
/// count as failed.
fn allowed(scene: Scene, commands: &[&str], orders: &[&[usize]]) -> Result<BTreeSet<End>> {
    orders.iter().map(|order| in_order(scene, commands, order)).collect()
}

/// Stops the first command before one of its system calls, and makes the others meanwhile, one after the other.
fn interleave(scene: Scene, commands: &[&str], number: usize, allowed: &BTreeSet<End>) -> Result<Option<End>> {
    let container = fresh(scene)?;
    let first = call(&container, scene.systemd, commands[0]);
    let held = match first.hold_before(number)? {
        Reached::Held(held) => held,
        Reached::Ended => return Ok(None),
    };
    let mut others = Vec::new();
    let mut waiting = false;
    for command in &commands[1..] {
        let mut running = call(&container, scene.systemd, command).spawn()?;
        // A command that waits for a lock of the first one ends only after the first one continues.
        let patience = Instant::now() + Duration::from_millis(250);
        while !waiting && !running.has_ended()? {
            waiting = Instant::now() > patience;
            std::thread::sleep(Duration::from_millis(1));
        }
        others.push(running);
    }
    let mut succeeded = vec![held.go_on()?.wait()?.status.success()];
    for running in others {
        succeeded.push(running.wait()?.status.success());
    }
    let end = end(&container, &succeeded, |end| allowed.contains(end))?;
    clear(&container)?;
    Ok(Some(end))
}

fn moments(scene: Scene, commands: &[&str], orders: &[&[usize]]) -> Result {
    if runtime::is("runc") {
        return skip("runc makes system calls in several threads, and the tracer follows one");
    }
    let mut allowed = allowed(scene, commands, orders)?;
    if scene.before == Nothing {
        // A container that is deleted during its creation has run hooks already, and then runs poststop hooks.
        let deleted: Vec<End> = allowed.iter().filter(|end| end.poststop == 0).cloned().collect();
        allowed.extend(deleted.into_iter().map(|end| End { poststop: 1, ..end }));
    }
    let container = fresh(scene)?;
    let calls = call(&container, scene.systemd, commands[0]).count_calls()?;
    clear(&container)?;
    ensure!(calls > 0, "{commands:?}: no system call was seen");
    let share = Share::asked();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for number in share.of(calls) {
        let what = || format!("{scene:?}: {commands:?}, the first one stopped before its call {number} of {calls}");
        let Some(end) = interleave(scene, commands, number, &allowed).with_context(what)? else { continue };
        seen += 1;
        if !allowed.contains(&end) {
            wrong.push(format!("{}: {end:?}", what()));
        }
    }
    if share == Share::All {
        println!("{scene:?} {commands:?}: {seen} moments, {} wrong", wrong.len());
    }
    if let Some(first) = wrong.first() {
        bail!(
            "{} of {seen} moments have an outcome that no order gives, the first: {first}; allowed: {allowed:#?}",
            wrong.len()
        );
    }
    Ok(())
}

/// Both commands in either order, one of them, or none.
const ORDERS: [&[usize]; 5] = [&[0, 1], &[1, 0], &[0], &[1], &[]];

fn pair(before: Before, first: &str, second: &str) -> Result {
    moments(Scene { before, systemd: false }, &[first, second], &ORDERS)
}

fn pairs(before: Before, first: &str, others: &[&str]) -> Result {
    let few = if Share::asked() == Share::Few { &others[..1] } else { others };
    few.iter().try_for_each(|other| pair(before, first, other))
}

/// Of two creates with one id, one succeeds.
fn create_beside_create() -> Result {
    pair(Nothing, "create", "create")
}

/// A forced delete ends a create, or finds no container. If create succeeds, its container is not lost.
fn create_beside_forced_delete() -> Result {
    pair(Nothing, "create", "force")
}

/// A container that is not created yet is not started.
fn create_beside_start() -> Result {
    pair(Nothing, "create", "start")
}

/// Other commands fail, or act on the created container.
fn create_beside_others() -> Result {
    pairs(Nothing, "create", &["state", "kill", "delete"])
}

/// A command begins while `create` has no process yet, and continues after `create` has ended. It sees the container as
/// it was or as it is now, and loses nothing.
fn create_that_ends_beside_others() -> Result {
    if runtime::is("runc") {
        return skip("runc makes system calls in several threads, and the tracer follows one");
    }
    for command in ["state", "delete", "force"] {
        let container = fresh(Scene { before: Created, systemd: false })?;
        let calls = call(&container, false, command).count_calls()?;
        clear(&container)?;
        ensure!(calls > 0, "{command}: no system call was seen");
        for number in Share::asked().of(calls) {
            end_create_during(command, number)
                .with_context(|| format!("{command}, stopped before its call {number} of {calls}"))?;
        }
    }
    Ok(())
}

fn end_create_during(command: &str, number: usize) -> Result {
    let container = fresh(Scene { before: Nothing, systemd: false })?;
    let renames = [libc::SYS_rename, libc::SYS_renameat, libc::SYS_renameat2];
    let Reached::Held(creating) = call(&container, false, "create").hold_where(|call| renames.contains(&call))? else {
        bail!("create ends without renaming its record");
    };
    let other = call(&container, false, command).hold_before(number)?;
    let created = creating.go_on()?.wait()?.status.success();
    if let Reached::Held(other) = other {
        let output = other.go_on()?.wait()?;
        ensure!(!output.stdout.contains("\"stopped\""), "{output}");
        let removed = command != "state" && output.status.success();
        ensure!(removed || !created || container.status()? == "created", "{output}");
    }
    clear(&container)
}

/// The same for run.
fn run_beside_others() -> Result {
    pairs(Nothing, "run", &["force", "create", "kill"])
}

/// Of two starts one succeeds, and the hooks run once.
fn start_beside_start() -> Result {
    pair(Created, "start", "start")
}

/// A container that is deleted during its start is gone.
fn start_beside_forced_delete() -> Result {
    pair(Created, "start", "force")
}

/// A start at the same time as commands that read the container, stop it or change it.
fn start_beside_others() -> Result {
    pairs(Created, "start", &["kill", "state", "exec", "delete"])
}

/// Delete of a created container and its start do not both succeed: delete would kill a program that runs.
fn delete_of_created_beside_start() -> Result {
    pair(Created, "delete", "start")
}

/// Other commands find the container before the delete, or fail.
fn delete_of_created_beside_others() -> Result {
    pairs(Created, "delete", &["delete", "force", "kill", "state"])
}

/// The same with `--force`.
fn forced_delete_beside_others() -> Result {
    pairs(Created, "force", &["start", "force", "create", "state"])?;
    pairs(Runs, "force", &["kill", "pause", "create", "force", "exec"])
}

/// A kill at the same time as another command acts before it or after it.
fn kill_beside_others() -> Result {
    pair(Created, "kill", "start")?;
    pairs(Runs, "kill", &["force", "pause"])
}

/// A container that is killed and paused at the same time ends.
fn pause_beside_kill() -> Result {
    pair(Runs, "pause", "kill")
}

/// A container that one command pauses can be deleted, started or resumed by the other.
fn pause_beside_others() -> Result {
    pairs(Created, "pause", &["start", "force"])?;
    pairs(Runs, "pause", &["force", "resume", "pause"])
}

/// An update does not restore a container that is deleted.
fn update_beside_forced_delete() -> Result {
    pair(Created, "update", "force")?;
    pair(Runs, "update", "force")?;
    pair(Runs, "exec", "force")
}

/// Of two deletes one succeeds, and the poststop hooks run once.
fn delete_beside_delete() -> Result {
    pair(Stopped, "delete", "delete")
}

/// A stopped container is deleted once, and its id is free for one other container.
fn delete_of_stopped_beside_others() -> Result {
    pairs(Stopped, "delete", &["create", "force", "start", "state"])?;
    pair(Stopped, "create", "delete")?;
    pair(Stopped, "force", "create")
}

/// A delete and another create overtake a create: it must not touch the container of the other create.
fn three_at_once() -> Result {
    // The second and the third command run in this order.
    let orders: [&[usize]; 9] = [&[0, 1, 2], &[1, 0, 2], &[1, 2, 0], &[0, 1], &[1, 0], &[1, 2], &[0, 2], &[2], &[1]];
    for (before, first) in [(Nothing, "create"), (Stopped, "delete"), (Created, "start")] {
        moments(Scene { before, systemd: false }, &[first, "force", "create"], &orders)?;
    }
    Ok(())
}

/// The same if systemd makes the cgroup, and removes it when it chooses to.
fn scopes_of_systemd() -> Result {
    for (before, first, second) in [
        (Nothing, "create", "force"),
        (Created, "delete", "start"),
        (Created, "start", "force"),
        (Stopped, "delete", "delete"),
        (Runs, "force", "kill"),
    ] {
        moments(Scene { before, systemd: true }, &[first, second], &ORDERS)?;
    }
    Ok(())
}
