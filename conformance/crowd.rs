//! Random commands: eight callers on twenty containers, and a comparison with another runtime.
//!
//! `CROWD=600` lets the first test run for ten minutes instead of some seconds. `PEER=/path/to/runc` names the other
//! runtime; the default is the runc that `hack/peers` has fetched.

use crate::harness::*;
use anyhow::{Context, bail, ensure};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

tests![eight_callers, like_another_runtime];

const CALLERS: u64 = 8;
const CONTAINERS: usize = 20;
const SECONDS: u64 = 4;

/// Pseudo-random numbers from a seed (Marsaglia's xorshift), so that a run can be repeated.
struct Random(u64);

impl Random {
    fn of_now() -> Result<Random> {
        Ok(Random(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64 | 1))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % limit
    }
}

/// Makes one call after another until the time is up. All callers use the same containers.
fn caller(containers: &[Container], mut random: Random, end: Instant) -> Result<usize> {
    const COMMANDS: [&str; 16] = [
        "create", "create", "create", "run", "start", "start", "start", "kill", "delete", "delete", "force", "exec",
        "state", "pause", "resume", "update",
    ];
    let mut made = 0;
    while Instant::now() < end {
        let container = &containers[random.below(containers.len())];
        let command = COMMANDS[random.below(COMMANDS.len())];
        let output = container.named(command).patience(60).output()?;
        // A forced delete kills the runtime that creates the container.
        let ended = matches!(command, "create" | "run") && output.status.signal() == Some(libc::SIGKILL);
        ensure!(ended || output.status.code().is_some(), "died: {output}");
        ensure!(!output.stderr.contains("panicked"), "panicked: {output}");
        if command == "state" && output.status.success() {
            let state: Value = serde_json::from_str(&output.stdout).with_context(|| format!("{output}"))?;
            let known = ["creating", "created", "running", "paused", "stopped"];
            ensure!(known.iter().any(|status| state["status"] == **status), "{output}");
        }
        made += 1;
    }
    Ok(made)
}

/// No command hangs or crashes, and a forced delete removes all that is left.
fn eight_callers() -> Result {
    let seconds = std::env::var("CROWD").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(SECONDS));
    let mut containers = Vec::new();
    for _ in 0..CONTAINERS {
        let container = Bundle::new(["pause"]).build()?;
        container.edit_config(|config| {
            config["hooks"] = json!({ "startContainer": [{ "path": "/payload", "args": ["payload", "true"] }] });
        })?;
        containers.push(container);
    }
    let seed = Random::of_now()?.0;
    let failures = Mutex::new(Vec::new());
    let mut made = 0;
    std::thread::scope(|scope| {
        let containers = &containers;
        let callers: Vec<_> = (1..=CALLERS)
            .map(|number| scope.spawn(move || caller(containers, Random(seed.wrapping_mul(2 * number + 1)), end)))
            .collect();
        // An exec or a hook in a container that is paused meanwhile waits until another caller resumes it.
        while callers.iter().any(|caller| !caller.is_finished()) {
            std::thread::sleep(Duration::from_millis(100));
            for container in containers.iter().filter(|_| Instant::now() > end) {
                let _ = container.named("resume").output();
            }
        }
        for caller in callers {
            match caller.join() {
                Ok(Ok(count)) => made += count,
                Ok(Err(error)) => failures.lock().expect("no caller panics with it").push(format!("{error:#}")),
                Err(_) => failures.lock().expect("no caller panics with it").push("a caller panicked".to_owned()),
            }
        }
    });
    let failures = failures.into_inner()?;
    ensure!(failures.is_empty(), "seed {seed}: {failures:#?}");
    for container in &containers {
        let forced = container.call(["delete", "--force"]).arg(&container.id).patience(60).output()?;
        forced.success().with_context(|| format!("seed {seed}"))?;
        container.nothing_left().with_context(|| format!("seed {seed}, after {made} commands"))?;
    }
    if seconds.is_some() {
        println!("{made} commands");
    }
    Ok(())
}

/// The other runtime, with a container of its own.
struct Peer {
    path: PathBuf,
    container: Container,
}

impl Peer {
    fn call(&self, command: &str) -> Call {
        let container = &self.container;
        let base = Call::of(&self.path, ["--root"]).arg(container.state_root());
        let about = |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
        let bundle = container.bundle().display().to_string();
        let id = &*container.id;
        let words = match command {
            "create" => about(&["create", "--bundle", &bundle, id]),
            "run" => about(&["run", "--detach", "--bundle", &bundle, id]),
            "force" => about(&["delete", "--force", id]),
            "kill" => about(&["kill", id, "KILL"]),
            "exec" => about(&["exec", id, "/payload", "true"]),
            "update" => about(&["update", "--pids-limit", "77", id]),
            other => about(&[other, id]),
        };
        base.args(words).output_to(container.aside("out"), container.aside("err")).patience(60)
    }

    fn status(&self) -> Result<String> {
        let call = Call::of(&self.path, ["--root"]).arg(self.container.state_root());
        status(&call.args(["state", &self.container.id]).output()?)
    }
}

fn status(output: &Output) -> Result<String> {
    if !output.status.success() {
        return Ok("none".to_owned());
    }
    let state: Value = serde_json::from_str(&output.stdout).with_context(|| format!("{output}"))?;
    Ok(state["status"].as_str().context("a status")?.to_owned())
}

/// Both runtimes get the same commands, and agree on success and on the status after each.
fn like_another_runtime() -> Result {
    const COMMANDS: [&str; 12] =
        ["create", "create", "run", "start", "start", "start", "kill", "kill", "delete", "force", "exec", "update"];
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/bin/runc");
    let path = std::env::var_os("PEER").map_or(fetched, PathBuf::from);
    if runtime::is("runc") || !path.exists() {
        return skip(format!("there is no other runtime at {}", path.display()));
    }
    let ours = Bundle::new(["pause"]).build()?;
    let peer = Peer { path, container: Bundle::new(["pause"]).build()? };
    let mut random = Random::of_now()?;
    let seed = random.0;
    let mut history = Vec::new();
    for _ in 0..60 {
        let command = COMMANDS[random.below(COMMANDS.len())];
        history.push(command);
        let (one, other) = (ours.named(command).patience(60).output()?, peer.call(command).output()?);
        let what = || format!("seed {seed}: {history:?}: {one}; the other: {other}");
        ensure!(one.status.success() == other.status.success(), "{}", what());
        // A killed process needs some time to end.
        let mut both = (String::new(), String::new());
        let same = eventually("one status", || {
            both = (status(&ours.command(["state"])?)?, peer.status()?);
            Ok(both.0 == both.1)
        });
        if same.is_err() {
            bail!("{both:?} after {}", what());
        }
    }
    peer.call("force").output()?;
    ours.command(["delete", "--force"])?.success()?;
    ours.nothing_left()
}
