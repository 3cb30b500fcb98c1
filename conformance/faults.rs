//! One system call of a command fails, or its process is killed before it: the runtime or `init`. The command must end
//! in time with success or with one line that says why not, and leave nothing that `delete --force` cannot remove.
//!
//! Each test makes some of the faults; with `FAULTS=all` it makes all of them and prints its figures, with a number so
//! many of them (`hack/faults`).

use crate::harness::injector::{Harm, Hit, Made, PATIENCE, Point, Traced};
use crate::harness::{answers, scope, *};
use anyhow::{Context, bail, ensure};
use std::fmt::{self, Display};
use std::os::unix::process::ExitStatusExt;

tests![
    create,
    create_with_everything,
    create_in_a_user_namespace,
    create_in_the_unified_view,
    create_with_systemd,
    run,
    run_with_everything,
    start,
    start_with_hooks,
    exec,
    exec_with_everything,
    delete,
    forced_delete,
    forced_delete_with_systemd,
    kill,
    state,
    ps,
    pause,
    resume,
    update,
    update_with_systemd,
];

/// The number of faults of each test, unless `FAULTS` says another one.
const FEW: usize = 10;

/// The number of faults that are made.
#[derive(Clone, Copy)]
enum Share {
    Few,
    /// So many, with figures.
    Some(usize),
    All,
    /// This one: `PROCESS.CALL.ERROR`, where ERROR is the number of one of the call's errors, or `kill`.
    One(Point, Harm),
}

impl Share {
    fn asked() -> Result<Share> {
        match std::env::var("FAULTS").as_deref() {
            Err(_) => Ok(Share::Few),
            Ok("all") => Ok(Share::All),
            Ok(number) if !number.contains('.') => number.parse().map(Share::Some).context("FAULTS"),
            Ok(one) => {
                let [process, number, harm] = one.split('.').collect::<Vec<_>>()[..] else { bail!("FAULTS={one}") };
                let harm = if harm == "kill" { Harm::Kills } else { Harm::Fails(harm.parse()?) };
                Ok(Share::One(Point { process: process.parse()?, number: number.parse()? }, harm))
            }
        }
    }

    /// The faults that are made, of all. Without `FAULTS` they are the same in each run.
    fn of(self, all: &[(Point, Harm)]) -> Vec<(Point, Harm)> {
        let step = match self {
            Share::Few => all.len().div_ceil(FEW),
            Share::Some(number) => all.len().div_ceil(number.max(1)),
            Share::All => 1,
            Share::One(point, harm) => return vec![(point, harm)],
        };
        let first = if matches!(self, Share::Some(_)) { std::process::id() as usize % step.max(1) } else { 0 };
        all.iter().skip(first).step_by(step.max(1)).copied().collect()
    }
}

/// The state of the container before the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    Created,
    Runs,
    Paused,
    Stopped,
}

/// A command, and the containers that it is tried on.
struct Trial {
    name: &'static str,
    before: Before,
    bundle: fn() -> Bundle,
    command: fn(&Container) -> Call,
    /// The exit status if the command fails.
    failure: i32,
    /// Checks the state of the container after the command.
    check: fn(&Round<'_>) -> Result,
    /// Whether the cgroup is a scope of systemd.
    systemd: bool,
}

/// The way in which a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Success,
    Failure,
    /// The fault killed the runtime, or left it without memory for a small value. Then it can undo nothing.
    Killed,
}

/// One command with one fault.
struct Round<'a> {
    container: &'a Container,
    output: &'a Output,
    end: End,
    /// Whether the fault was one of `init`: then its container may end at once.
    of_init: bool,
}

impl Round<'_> {
    /// The container's status, which must be one of these. If `init` had the fault, it may also have ended.
    fn status_is(&self, wanted: &[&str]) -> Result {
        let status = self.container.status()?;
        let ended = self.of_init && status == "stopped";
        ensure!(ended || wanted.contains(&&*status), "status: wanted one of {wanted:?}, saw {status:?}");
        Ok(())
    }
}

/// The ways in which a round can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Panic,
    Hang,
    Leak,
    Status,
    Message,
    State,
}

/// The figures of a trial.
#[derive(Default)]
struct Figures {
    rounds: usize,
    wrong: Vec<Wrong>,
}

impl Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |kind| self.wrong.iter().filter(|wrong| **wrong == kind).count();
        write!(
            f,
            "{} rounds, {} panics, {} hangs, {} leaks, {} wrong statuses, {} wrong messages, {} wrong states",
            self.rounds,
            count(Wrong::Panic),
            count(Wrong::Hang),
            count(Wrong::Leak),
            count(Wrong::Status),
            count(Wrong::Message),
            count(Wrong::State),
        )
    }
}

impl Trial {
    fn container(&self) -> Result<Container> {
        let bundle = (self.bundle)();
        let container = match self.before {
            Before::Nothing if self.systemd => scope::build(bundle, scope::PATH)?,
            _ if self.systemd => scope::started(bundle)?,
            Before::Nothing => bundle.build()?,
            Before::Created => bundle.create()?,
            Before::Runs | Before::Paused | Before::Stopped => bundle.start()?,
        };
        match self.before {
            Before::Stopped => container.stop()?,
            Before::Paused => drop(container.command(["pause"])?.success()?),
            Before::Nothing | Before::Created | Before::Runs => {}
        }
        Ok(container)
    }

    /// Traces the command: with a waiting `init` if it is `start`.
    fn inject(&self, container: &Container, fault: Option<(Point, Harm)>) -> Result<Traced> {
        let beside = if self.before == Before::Created { Some(container.pid()?) } else { None };
        (self.command)(container).inject(beside, fault)
    }

    fn rounds(&self) -> Result {
        let share = Share::asked()?;
        if matches!(share, Share::Few) && !runtime::is("tare") {
            return skip("hack/faults counts the faults of other runtimes");
        }
        let container = self.container()?;
        let seen = self.inject(&container, None)?;
        ensure!(seen.output.is_some_and(|output| output.status.success()), "{} fails without a fault", self.name);
        drop(container);
        let faults = share.of(&faults_of(&seen.calls));
        ensure!(!faults.is_empty(), "no system call was seen");
        let mut figures = Figures::default();
        let mut first = None;
        for (point, harm) in faults {
            figures.rounds += 1;
            let Err((wrong, error)) = self.round(point, harm) else { continue };
            figures.wrong.push(wrong);
            if !matches!(share, Share::Few) {
                println!("{}: {wrong:?}: {error:#}", self.name);
            }
            first.get_or_insert(error.context(format!("{wrong:?}")));
        }
        if !matches!(share, Share::Few) {
            println!("{}: {figures}", self.name);
        }
        match first {
            Some(error) => Err(error.context(figures.to_string())),
            None => Ok(()),
        }
    }

    fn round(&self, point: Point, harm: Harm) -> std::result::Result<(), (Wrong, anyhow::Error)> {
        let state = |error| (Wrong::State, error);
        let container = self.container().map_err(state)?;
        let fault = || shown(point, harm, None, None);
        let traced = self.inject(&container, Some((point, harm))).map_err(|error| state(error.context(fault())))?;
        let what = shown(point, harm, traced.hit.as_ref(), traced.output.as_ref());
        self.judge(&container, &traced, point).map_err(|(wrong, error)| (wrong, error.context(what.clone())))?;
        let leak = |error: anyhow::Error| (Wrong::Leak, error.context(what.clone()));
        let deletion = container.call(["delete", "--force"]).arg(&container.id).patience(PATIENCE).output();
        deletion.and_then(|output| output.success().map(drop)).map_err(leak)?;
        if self.systemd {
            scope::gone(&container).map_err(leak)?;
        }
        nothing_left(&container, &traced.pids).map_err(leak)
    }

    fn judge(
        &self,
        container: &Container,
        traced: &Traced,
        point: Point,
    ) -> std::result::Result<(), (Wrong, anyhow::Error)> {
        let wrong = |kind: Wrong| move |error: anyhow::Error| (kind, error);
        let Some(output) = &traced.output else {
            return Err((Wrong::Hang, anyhow::anyhow!("has not ended after {PATIENCE} seconds")));
        };
        let of_init = point.process > 0;
        let kills = traced.hit.is_some_and(|hit| hit.errno.is_none());
        let killed = kills && !of_init && output.status.signal() == Some(libc::SIGKILL);
        crashes(output, killed).map_err(wrong(Wrong::Panic))?;
        let end = match (killed, output.status.success()) {
            (true, _) => End::Killed,
            (_, false) if output.stderr.ends_with(NO_MEMORY) => End::Killed,
            (_, true) => End::Success,
            (_, false) => End::Failure,
        };
        if end == End::Failure {
            let by_signal = kills && of_init && output.status.code() == Some(128 + libc::SIGKILL);
            let not_run = of_init && is_execve(traced.hit) && output.status.code() == Some(NOT_RUN);
            if !by_signal && !not_run {
                // A fault before the command line was read. No command has another status for this than 1.
                let wanted = if output.stderr.starts_with("cannot begin: ") { 1 } else { self.failure };
                equal("exit status", output.status.code(), Some(wanted)).map_err(wrong(Wrong::Status))?;
            }
            if !by_signal {
                one_line(output).map_err(wrong(Wrong::Message))?;
            }
        }
        let round = Round { container, output, end, of_init };
        possible(container).and_then(|()| (self.check)(&round)).map_err(wrong(Wrong::State))
    }
}

/// The message of a runtime without memory for a small value.
const NO_MEMORY: &str = "out of memory\n";

/// The status of a process that could not execute the user's program.
const NOT_RUN: i32 = 255;

fn is_execve(hit: Option<Hit>) -> bool {
    hit.is_some_and(|hit| hit.made.call == libc::SYS_execve)
}

/// All faults of a command that makes these system calls.
fn faults_of(calls: &[Vec<Made>]) -> Vec<(Point, Harm)> {
    let mut faults = Vec::new();
    for (process, calls) in calls.iter().enumerate() {
        for (number, made) in calls.iter().enumerate().skip(if process == 0 { startup(calls) } else { 0 }) {
            let point = Point { process, number };
            let errors = answers::of(made.call, made.arguments).len();
            faults.extend((0..errors).map(|which| (point, Harm::Fails(which))));
            faults.push((point, Harm::Kills));
        }
    }
    faults
}

/// The number of calls that the C library makes before a runtime's own code. They get no faults: without memory for the
/// thread's values, musl ends the process with a signal. tare's first call is poll(2).
fn startup(calls: &[Made]) -> usize {
    let own = if runtime::is("tare") { calls.iter().position(|made| made.call == libc::SYS_poll) } else { None };
    own.unwrap_or(0)
}

/// The fault, as `FAULTS` takes it and in words, and the end of the command.
fn shown(point: Point, harm: Harm, hit: Option<&Hit>, output: Option<&Output>) -> String {
    let Point { process, number } = point;
    let code = match harm {
        Harm::Kills => "kill".to_owned(),
        Harm::Fails(which) => which.to_string(),
    };
    let fault = match hit {
        None => "not reached".to_owned(),
        Some(Hit { made, errno: None }) => format!("killed before {}", named(made.call)),
        Some(Hit { made, errno: Some(errno) }) => format!("{} fails with {errno:?}", named(made.call)),
    };
    let end = output.map_or_else(String::new, |it| format!("{}; stderr {:?}", it.status, it.stderr));
    format!("FAULTS={process}.{number}.{code}: {fault}: {end}")
}

fn named(call: i64) -> String {
    let known = usize::try_from(call).ok().and_then(syscalls::Sysno::new);
    known.map_or_else(|| call.to_string(), |call| call.name().to_owned())
}

/// Fails if the runtime died of a signal that was not the fault, or reports a mistake in its own code.
fn crashes(output: &Output, killed: bool) -> Result {
    ensure!(killed || output.status.code().is_some(), "died");
    for words in ["panicked at", "internal error", "goroutine ", "runtime error:"] {
        ensure!(!output.stderr.contains(words), "crashed");
    }
    Ok(())
}

/// A failure has one line on standard error, beside warnings. Other runtimes need only say something.
fn one_line(output: &Output) -> Result {
    let lines = output.stderr.lines().filter(|line| !line.starts_with("warning: ")).count();
    ensure!(lines > 0, "a failure without a message");
    ensure!(lines == 1 || !runtime::is("tare"), "a failure with {lines} lines");
    Ok(())
}

/// `state` must tell one of the states of the specification, or that the container does not exist.
fn possible(container: &Container) -> Result {
    let output = container.command(["state"])?;
    if !output.status.success() {
        return contains("state of what is not there", &output.failure()?.stderr, "does not exist");
    }
    let state: Value = serde_json::from_str(&output.stdout)?;
    let status = state["status"].as_str().unwrap_or_default();
    ensure!(["creating", "created", "running", "paused", "stopped"].contains(&status), "impossible: {output}");
    Ok(())
}

/// Fails if anything of the container is left, or one of the processes that were traced.
fn nothing_left(container: &Container, pids: &[i32]) -> Result {
    container.nothing_left()?;
    let lives = |pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        !status.is_empty() && !status.contains("\nState:\tZ") && !status.contains("\nState:\tX")
    };
    let mut left = Vec::new();
    eventually("the end of all processes", || {
        left = pids.iter().copied().filter(lives).collect();
        Ok(left.is_empty())
    })
    .with_context(|| format!("processes {left:?}"))
}

fn plain() -> Bundle {
    Bundle::new(["pause"])
}

fn ending() -> Bundle {
    Bundle::new(["true"])
}

fn unified() -> Bundle {
    plain().view(View::Unified)
}

fn in_a_user_namespace() -> Bundle {
    plain().namespace("network").user_namespace(100_000, 1000)
}

/// A container that uses most of the fields that make `init` or the runtime do something.
pub fn furnished(bundle: Bundle) -> Bundle {
    let hook = json!([{ "path": "/bin/true" }]);
    let inside = json!([{ "path": "/payload", "args": ["payload", "true"] }]);
    let seccomp = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["acct"], "action": "SCMP_ACT_ERRNO" }],
    });
    let resources = json!({
        "memory": { "limit": 67_108_864 },
        "pids": { "limit": 50 },
        "devices": [{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm" }],
    });
    bundle
        .namespace("network")
        .namespace("cgroup")
        .capabilities(&["CAP_KILL", "CAP_NET_RAW"])
        .file("masked", "text")
        .dir("bound")
        .set("/hostname", "faults")
        .set("/root/readonly", true)
        .set("/process/user/additionalGids", json!([7, 8]))
        .set("/process/user/umask", 0o27)
        .set("/process/noNewPrivileges", true)
        .set("/process/oomScoreAdj", 100)
        .set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 64, "hard": 64 }]))
        .set("/linux/maskedPaths", json!(["/masked", "/proc/acpi", "/proc/keys"]))
        .set("/linux/readonlyPaths", json!(["/proc/bus", "/proc/sys"]))
        .set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }))
        .set("/linux/devices", json!([{ "path": "/dev/one", "type": "c", "major": 1, "minor": 5, "fileMode": 438 }]))
        .set("/linux/resources", resources)
        .set("/linux/seccomp", seccomp)
        .set("/hooks/prestart", hook.clone())
        .set("/hooks/createRuntime", hook.clone())
        .set("/hooks/createContainer", hook.clone())
        .set("/hooks/startContainer", inside)
        .set("/hooks/poststart", hook.clone())
        .set("/hooks/poststop", hook)
        .mount(json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "noexec"] }))
        .mount(json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"] }))
        .mount(json!({ "destination": "/bound", "type": "bind", "source": "/etc", "options": ["rbind", "ro"] }))
        .mount(json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"] }))
}

fn everything() -> Bundle {
    furnished(plain())
}

fn everything_that_ends() -> Bundle {
    furnished(ending())
}

fn launch_create(container: &Container) -> Call {
    container.launch(["create"])
}

fn launch_run(container: &Container) -> Call {
    container.launch(["run"])
}

/// A create that fails leaves nothing; one that succeeds leaves a container.
fn creates(name: &'static str, bundle: fn() -> Bundle) -> Result {
    let check = |round: &Round<'_>| match round.end {
        End::Success => round.status_is(&["created"]),
        End::Failure => round.container.nothing_left(),
        End::Killed => Ok(()),
    };
    Trial { name, before: Before::Nothing, bundle, command: launch_create, failure: 1, check, systemd: false }.rounds()
}

fn create() -> Result {
    creates("create", plain)
}

/// The same for a container with hooks, limits, mounts, a filter and namespaces.
fn create_with_everything() -> Result {
    creates("create with everything", everything)
}

/// The same in a user namespace.
fn create_in_a_user_namespace() -> Result {
    creates("create in a user namespace", in_a_user_namespace)
}

/// The same on v2.
fn create_in_the_unified_view() -> Result {
    creates("create on v2", unified)
}

/// The same with a scope of systemd, which removes the scope a moment later.
fn create_with_systemd() -> Result {
    let command = |it: &Container| scope::launching(it, &["create"]);
    let check = |round: &Round<'_>| match round.end {
        End::Success => round.status_is(&["created"]),
        End::Failure => scope::gone(round.container),
        End::Killed => Ok(()),
    };
    let name = "create with systemd";
    Trial { name, before: Before::Nothing, bundle: plain, command, failure: 1, check, systemd: true }.rounds()
}

/// A run that fails leaves nothing. In the foreground it removes the container also if it succeeds.
fn runs(name: &'static str, bundle: fn() -> Bundle) -> Result {
    let check = |round: &Round<'_>| {
        if round.end == End::Killed {
            return Ok(());
        }
        if round.output.stderr.contains("could not be removed") {
            return equal("status", round.container.status()?, "stopped");
        }
        round.container.nothing_left()
    };
    Trial { name, before: Before::Nothing, bundle, command: launch_run, failure: 1, check, systemd: false }.rounds()
}

fn run() -> Result {
    runs("run", ending)
}

/// The same for a container with hooks, limits, mounts, a filter and namespaces.
fn run_with_everything() -> Result {
    runs("run with everything", everything_that_ends)
}

/// A start that fails leaves the container as it was, unless the program runs. One that is killed has started the
/// container or can be repeated.
fn started(round: &Round<'_>) -> Result {
    match round.end {
        End::Success => round.status_is(&["running"]),
        End::Failure => round.status_is(&["created", "running"]),
        End::Killed => {
            if round.container.status()? == "created" {
                let again = round.container.command(["start"])?;
                // start was killed after it had opened the gate, and before the program ran.
                if !again.status.success() {
                    contains("start", &again.stderr, "already running")?;
                }
            }
            round.container.wait_status("running")
        }
    }
}

fn start() -> Result {
    let command = |it: &Container| it.named("start");
    Trial { name: "start", before: Before::Created, bundle: plain, command, failure: 1, check: started, systemd: false }
        .rounds()
}

/// The same with hooks. The container is removed if a `startContainer` hook fails, or if start was killed and the hooks
/// cannot run again.
fn start_with_hooks() -> Result {
    let command = |it: &Container| it.named("start");
    let check = |round: &Round<'_>| {
        if round.end == End::Failure && round.output.stderr.contains("hook") && !round.container.state_dir().exists() {
            return round.container.nothing_left();
        }
        started(round)
    };
    let name = "start with hooks";
    Trial { name, before: Before::Created, bundle: everything, command, failure: 1, check, systemd: false }.rounds()
}

/// An exec that fails or is killed does not harm the container.
fn execs(name: &'static str, bundle: fn() -> Bundle) -> Result {
    let command = |it: &Container| it.named("exec");
    let check = |round: &Round<'_>| equal("status", round.container.status()?, "running");
    Trial { name, before: Before::Runs, bundle, command, failure: 255, check, systemd: false }.rounds()
}

fn exec() -> Result {
    execs("exec", plain)
}

/// The same in a container with limits, mounts, a filter and namespaces.
fn exec_with_everything() -> Result {
    execs("exec with everything", everything)
}

/// A delete that fails or is killed can be repeated.
fn delete() -> Result {
    let command = |it: &Container| it.named("delete");
    let check = |round: &Round<'_>| {
        if round.end != End::Success && round.container.state_dir().exists() {
            round.container.command(["delete"])?.code()?;
        }
        if round.end == End::Killed { Ok(()) } else { round.container.nothing_left() }
    };
    Trial { name: "delete", before: Before::Stopped, bundle: everything, command, failure: 1, check, systemd: false }
        .rounds()
}

/// A forced delete that fails or is killed can be repeated.
fn forced_delete() -> Result {
    let command = |it: &Container| it.named("force");
    let check = |round: &Round<'_>| match round.end {
        End::Success => round.container.nothing_left(),
        End::Failure | End::Killed => Ok(()),
    };
    Trial {
        name: "delete --force",
        before: Before::Runs,
        bundle: everything,
        command,
        failure: 1,
        check,
        systemd: false,
    }
    .rounds()
}

/// The same for a container in a scope of systemd.
fn forced_delete_with_systemd() -> Result {
    let command = |it: &Container| it.named("force");
    let check = |round: &Round<'_>| match round.end {
        End::Success => scope::gone(round.container),
        End::Failure | End::Killed => Ok(()),
    };
    let name = "delete --force with systemd";
    Trial { name, before: Before::Runs, bundle: plain, command, failure: 1, check, systemd: true }.rounds()
}

/// A kill that succeeds has sent its signal.
fn kill() -> Result {
    let command = |it: &Container| it.named("kill");
    let check = |round: &Round<'_>| match round.end {
        End::Success => round.container.wait_status("stopped"),
        End::Failure | End::Killed => Ok(()),
    };
    Trial { name: "kill", before: Before::Runs, bundle: plain, command, failure: 1, check, systemd: false }.rounds()
}

/// A command that only reads: if it succeeds, its answer has this word.
fn reads(name: &'static str, check: fn(&Round<'_>) -> Result) -> Result {
    let command = match name {
        "ps" => |it: &Container| it.named("ps"),
        _ => |it: &Container| it.named("state"),
    };
    Trial { name, before: Before::Runs, bundle: plain, command, failure: 1, check, systemd: false }.rounds()
}

/// If `state` succeeds, its answer is true.
fn state() -> Result {
    reads("state", |round| match round.end {
        End::Success => contains("state", &round.output.stdout, "\"status\": \"running\""),
        End::Failure | End::Killed => round.status_is(&["running"]),
    })
}

/// If `ps` succeeds, it lists all processes.
fn ps() -> Result {
    reads("ps", |round| match round.end {
        End::Success => contains("processes", &round.output.stdout, &round.container.pid()?.to_string()),
        End::Failure | End::Killed => round.status_is(&["running"]),
    })
}

/// A pause that fails leaves the container running.
fn pause() -> Result {
    let command = |it: &Container| it.named("pause");
    let check = |round: &Round<'_>| match round.end {
        End::Success => round.status_is(&["paused"]),
        End::Failure => round.status_is(&["running"]),
        End::Killed => round.status_is(&["running", "paused"]),
    };
    Trial { name: "pause", before: Before::Runs, bundle: plain, command, failure: 1, check, systemd: false }.rounds()
}

/// A resume that fails can be repeated.
fn resume() -> Result {
    let command = |it: &Container| it.named("resume");
    let check = |round: &Round<'_>| match round.end {
        End::Success => round.status_is(&["running"]),
        End::Failure | End::Killed => {
            round.status_is(&["running", "paused"])?;
            if round.container.status()? == "paused" {
                round.container.command(["resume"])?.success()?;
            }
            round.status_is(&["running"])
        }
    };
    Trial { name: "resume", before: Before::Paused, bundle: plain, command, failure: 1, check, systemd: false }.rounds()
}

/// An update that fails changes no limit; one that succeeds has changed it.
fn update() -> Result {
    let command = |it: &Container| it.named("update");
    let check = |round: &Round<'_>| {
        let limit = round.container.cgroup_file("pids", "pids.max")?;
        match round.end {
            End::Success => equal("pids.max", &*limit, "77"),
            End::Failure => equal("pids.max", &*limit, "50"),
            End::Killed if ["50", "77"].contains(&&*limit) => Ok(()),
            End::Killed => bail!("pids.max: {limit}"),
        }
    };
    Trial { name: "update", before: Before::Runs, bundle: everything, command, failure: 1, check, systemd: false }
        .rounds()
}

/// The same for a container in a scope: systemd and the kernel have the same limit.
fn update_with_systemd() -> Result {
    let bundle = || plain().set("/linux/resources", json!({ "pids": { "limit": 50 } }));
    let command = |it: &Container| it.named("update");
    let check = |round: &Round<'_>| {
        let limit = scope::file(round.container, "pids.max")?;
        if round.end == End::Killed {
            ensure!(["50", "77"].contains(&&*limit), "pids.max: {limit}");
            return Ok(());
        }
        let wanted = if round.end == End::Success { "77" } else { "50" };
        equal("pids.max", &*limit, wanted)?;
        equal("TasksMax", scope::property(round.container, "TasksMax")?.as_str(), wanted)
    };
    let name = "update with systemd";
    Trial { name, before: Before::Runs, bundle, command, failure: 1, check, systemd: true }.rounds()
}
