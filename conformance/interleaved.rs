//! Two commands at one container: the one is stopped before each of its system calls, and the other runs meanwhile.
//!
//! Right is what one of the two orders gives, or that one of them fails and changes nothing. The container's hooks leave
//! marks, so a hook that runs twice is seen. Each test looks at some of the moments; `INTERLEAVED=all` has it look at
//! all of them (`hack/interleaved`).

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

/// How much is looked at: `INTERLEAVED` says `all` or `few`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    All,
    /// Some moments of each pair.
    Some,
    /// Less, of one pair in each test: for slow machines.
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

    /// Every which moment of so many is looked at.
    fn step(self, moments: usize) -> usize {
        match self {
            Share::All => 1,
            Share::Some => moments.div_ceil(4),
            Share::Few => moments.div_ceil(2),
        }
    }
}

/// What the container is when the two begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Created,
    Running,
    Stopped,
}

use Before::{Created, Nothing, Running as Runs, Stopped};

/// What the container is, and who makes its cgroup.
#[derive(Clone, Copy, Debug)]
struct Scene {
    before: Before,
    systemd: bool,
}

/// What is seen afterwards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    /// Whether each command said that it succeeded.
    succeeded: Vec<bool>,
    status: String,
    /// How many processes live in the container's cgroup.
    processes: usize,
    /// How often the poststop hook has run.
    poststop: usize,
    /// A hook of start has run twice. That it has run says nothing: a start may be overtaken after its hook.
    hooks_twice: bool,
}

/// A container whose hooks leave marks, in this state.
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

/// The end, once it stays: what was killed takes its time to go, and a program its time to begin.
fn end(container: &Container, succeeded: &[bool], is_right: impl Fn(&End) -> bool) -> Result<End> {
    let mut last = look(container, succeeded)?;
    let patience = Instant::now() + check::patience(3);
    while !is_right(&last) && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(5));
        last = look(container, succeeded)?;
    }
    Ok(last)
}

/// Everything that the container still has goes, and nothing stays that `delete --force` does not find.
fn clear(container: &Container) -> Result {
    container.call(["delete", "--force"]).arg(&container.id).patience(30).output()?.success()?;
    container.nothing_left()
}

/// The commands one after the other, in this order of their numbers; the others are not made and count as failed.
fn in_order(scene: Scene, commands: &[&str], order: &[usize]) -> Result<End> {
    let container = fresh(scene)?;
    let mut succeeded = vec![false; commands.len()];
    for &number in order {
        succeeded[number] = call(&container, scene.systemd, commands[number]).output()?.status.success();
    }
    // The commands have ended one after the other: what they did needs no more than a moment.
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

/// What may come of commands that are made at once: what some order of some of them gives, where those that are left out
/// have failed.
fn allowed(scene: Scene, commands: &[&str], orders: &[&[usize]]) -> Result<BTreeSet<End>> {
    orders.iter().map(|order| in_order(scene, commands, order)).collect()
}

/// The first command is stopped before one of its calls; the others run one after the other meanwhile.
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
        // One that waits for the first one goes on when that does.
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
        return skip("its calls are made by several threads, and this follows one");
    }
    let mut allowed = allowed(scene, commands, orders)?;
    if scene.before == Nothing {
        // What is deleted while it is created has run hooks, and those that undo them.
        let deleted: Vec<End> = allowed.iter().filter(|end| end.poststop == 0).cloned().collect();
        allowed.extend(deleted.into_iter().map(|end| End { poststop: 1, ..end }));
    }
    let container = fresh(scene)?;
    let calls = call(&container, scene.systemd, commands[0]).count_calls()?;
    clear(&container)?;
    ensure!(calls > 0, "{commands:?}: no system call was seen");
    let share = Share::asked();
    let step = share.step(calls);
    let (mut wrong, mut seen) = (Vec::new(), 0);
    // Not always the same ones: together, many runs look at them all.
    let first = std::process::id() as usize % step;
    for number in (first..calls).step_by(step) {
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
        bail!("{} of {seen} moments ended as no order can, the first: {first}; allowed: {allowed:#?}", wrong.len());
    }
    Ok(())
}

/// The two in either order, or one of them, or none.
const ORDERS: [&[usize]; 5] = [&[0, 1], &[1, 0], &[0], &[1], &[]];

fn pair(before: Before, first: &str, second: &str) -> Result {
    moments(Scene { before, systemd: false }, &[first, second], &ORDERS)
}

fn pairs(before: Before, first: &str, others: &[&str]) -> Result {
    let few = if Share::asked() == Share::Few { &others[..1] } else { others };
    few.iter().try_for_each(|other| pair(before, first, other))
}

/// Of two creates of one id one succeeds.
fn create_beside_create() -> Result {
    pair(Nothing, "create", "create")
}

/// A forced delete ends a create, or finds nothing; the create's container is not lost.
fn create_beside_forced_delete() -> Result {
    pair(Nothing, "create", "force")
}

/// What is not created yet is not started.
fn create_beside_start() -> Result {
    pair(Nothing, "create", "start")
}

/// The others fail, or come after it.
fn create_beside_others() -> Result {
    pairs(Nothing, "create", &["state", "kill", "delete"])
}

/// A command that begins while `create` has no process yet, and goes on when `create` has ended, sees the container as
/// it was before or as it is now, and loses nothing.
fn create_that_ends_beside_others() -> Result {
    if runtime::is("runc") {
        return skip("its calls are made by several threads, and this follows one");
    }
    let scene = Scene { before: Nothing, systemd: false };
    for command in ["state", "delete", "force"] {
        let container = fresh(Scene { before: Created, systemd: false })?;
        let calls = call(&container, false, command).count_calls()?;
        clear(&container)?;
        let step = Share::asked().step(calls);
        for number in (std::process::id() as usize % step..calls).step_by(step) {
            end_create_during(scene, command, number)
                .with_context(|| format!("{command}, stopped before its call {number} of {calls}"))?;
        }
    }
    Ok(())
}

fn end_create_during(scene: Scene, command: &str, number: usize) -> Result {
    let container = fresh(scene)?;
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

/// The same of run.
fn run_beside_others() -> Result {
    pairs(Nothing, "run", &["force", "create", "kill"])
}

/// Of two starts one succeeds, and hooks run once.
fn start_beside_start() -> Result {
    pair(Created, "start", "start")
}

/// Whoever is deleted while he starts is gone.
fn start_beside_forced_delete() -> Result {
    pair(Created, "start", "force")
}

/// A start beside those that look at the container, stop it or change it.
fn start_beside_others() -> Result {
    pairs(Created, "start", &["kill", "state", "exec", "delete"])
}

/// Delete of a created container and its start do not both succeed: the program that runs would be killed.
fn delete_of_created_beside_start() -> Result {
    pair(Created, "delete", "start")
}

/// What is deleted is not there for others, before or after.
fn delete_of_created_beside_others() -> Result {
    pairs(Created, "delete", &["delete", "force", "kill", "state"])
}

/// The same with `--force`.
fn forced_delete_beside_others() -> Result {
    pairs(Created, "force", &["start", "force", "create", "state"])?;
    pairs(Runs, "force", &["kill", "pause", "create", "force", "exec"])
}

/// A kill beside others is one before or after them.
fn kill_beside_others() -> Result {
    pair(Created, "kill", "start")?;
    pairs(Runs, "kill", &["force", "pause"])
}

/// What is killed and paused at once dies.
fn pause_beside_kill() -> Result {
    pair(Runs, "pause", "kill")
}

/// What is paused by one can be removed, started or resumed by the other.
fn pause_beside_others() -> Result {
    pairs(Created, "pause", &["start", "force"])?;
    pairs(Runs, "pause", &["force", "resume", "pause"])
}

/// An update does not bring back what is deleted.
fn update_beside_forced_delete() -> Result {
    pair(Created, "update", "force")?;
    pair(Runs, "update", "force")?;
    pair(Runs, "exec", "force")
}

/// Of two deletes one succeeds, and poststop hooks run once.
fn delete_beside_delete() -> Result {
    pair(Stopped, "delete", "delete")
}

/// A stopped container is deleted once, and its id is free for one other.
fn delete_of_stopped_beside_others() -> Result {
    pairs(Stopped, "delete", &["create", "force", "start", "state"])?;
    pair(Stopped, "create", "delete")?;
    pair(Stopped, "force", "create")
}

/// A create that is overtaken by a delete and another create leaves that one's container alone.
fn three_at_once() -> Result {
    // The second and the third one run in this order.
    let orders: [&[usize]; 9] = [&[0, 1, 2], &[1, 0, 2], &[1, 2, 0], &[0, 1], &[1, 0], &[1, 2], &[0, 2], &[2], &[1]];
    for (before, first) in [(Nothing, "create"), (Stopped, "delete"), (Created, "start")] {
        moments(Scene { before, systemd: false }, &[first, "force", "create"], &orders)?;
    }
    Ok(())
}

/// The same where systemd makes the cgroup, and takes it away when it sees fit.
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
