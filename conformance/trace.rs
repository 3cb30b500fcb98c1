//! `--trace`: the durations of all steps, for trace viewers. Only tare has this option, so other runtimes skip these
//! tests.

use crate::harness::*;
use anyhow::{Context, bail, ensure};
use nix::sys::stat::Mode;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::time::Instant;

tests![
    run_has_every_operation_of_the_plan,
    create_ends_at_the_gate,
    every_command_has_its_own,
    waits_are_told_from_work,
    is_no_longer_than_the_command,
    of_forks_and_namespaces,
    of_a_time_namespace,
    of_a_filter_that_forbids_clocks,
    of_hooks,
    of_a_user,
    of_a_failed_operation,
    of_a_failed_stage,
    of_an_init_that_died,
    of_a_failed_restore,
    leaves_nothing_in_the_container,
    of_other_commands_is_refused,
    file_that_cannot_be_made,
    file_that_is_no_file,
    replaces_a_file_and_not_its_links,
    that_cannot_be_written_is_a_warning,
];

/// A span of a trace, with times in microseconds.
#[derive(Debug)]
struct Span {
    pid: i64,
    name: String,
    category: String,
    begin: f64,
    end: f64,
    args: Value,
}

/// A trace, checked for its form.
struct Trace {
    spans: Vec<Span>,
    /// The name of each process.
    processes: Vec<(i64, String)>,
}

impl Trace {
    fn of(text: &str) -> Result<Trace> {
        let document: Value = serde_json::from_str(text).with_context(|| text.to_owned())?;
        let mut trace = Trace { spans: Vec::new(), processes: Vec::new() };
        for event in document["traceEvents"].as_array().context("traceEvents")? {
            let pid = event["pid"].as_i64().with_context(|| format!("no pid in {event}"))?;
            let name = event["name"].as_str().with_context(|| format!("no name in {event}"))?.to_owned();
            ensure!(event["tid"].is_i64() && event["args"].is_object(), "{event}");
            match event["ph"].as_str() {
                Some("M") if name == "process_name" => {
                    trace.processes.push((pid, event["args"]["name"].as_str().context("a name")?.to_owned()));
                }
                Some("M") => equal("metadata", name, "thread_name")?,
                Some("X") => {
                    let number = |key: &str| event[key].as_f64().with_context(|| format!("no {key} in {event}"));
                    let (begin, duration) = (number("ts")?, number("dur")?);
                    ensure!(begin > 0.0 && duration >= 0.0, "{event}");
                    let category = event["cat"].as_str().with_context(|| format!("no cat in {event}"))?.to_owned();
                    let (end, args) = (begin + duration, event["args"].clone());
                    trace.spans.push(Span { pid, name, category, begin, end, args });
                }
                _ => bail!("unknown event: {event}"),
            }
        }
        trace.check_nesting()?;
        Ok(trace)
    }

    /// Two spans of a process have no moment in common, or one lies within the other.
    fn check_nesting(&self) -> Result {
        // Floating-point numbers of this size have this error.
        const ERROR: f64 = 0.01;
        for (index, one) in self.spans.iter().enumerate() {
            for other in self.spans[index + 1..].iter().filter(|other| other.pid == one.pid) {
                let apart = one.end <= other.begin + ERROR || other.end <= one.begin + ERROR;
                let within = |a: &Span, b: &Span| a.begin <= b.begin + ERROR && b.end <= a.end + ERROR;
                ensure!(apart || within(one, other) || within(other, one), "{one:?} and {other:?}");
            }
        }
        Ok(())
    }

    fn pids(&self, process: &str) -> Vec<i64> {
        self.processes.iter().filter(|(_, name)| name == process).map(|(pid, _)| *pid).collect()
    }

    /// The operations of the only `init`.
    fn operations(&self) -> Result<Vec<&Span>> {
        let pids = self.pids("init");
        equal("processes that are init", pids.len(), 1)?;
        Ok(self.spans.iter().filter(|span| span.pid == pids[0]).collect())
    }

    /// The only span with this name.
    fn span(&self, name: &str) -> Result<&Span> {
        let mut found = self.spans.iter().filter(|span| span.name == name);
        let span = found.next().with_context(|| format!("no {name:?} in {:?}", self.names()))?;
        ensure!(found.next().is_none(), "{name:?} is there twice");
        Ok(span)
    }

    fn names(&self) -> Vec<&str> {
        self.spans.iter().map(|span| span.name.as_str()).collect()
    }

    /// The span of the whole command, which comes first.
    fn whole(&self) -> Result<&Span> {
        self.spans.first().context("a span")
    }

    /// The spans with an error, without that of the whole command.
    fn failed(&self) -> Vec<(&str, &str)> {
        let spans = self.spans.iter().skip(1);
        spans.filter_map(|span| Some((span.name.as_str(), span.args["error"].as_str()?))).collect()
    }
}

fn only_tare() -> Result {
    if runtime::is("tare") { Ok(()) } else { skip("only tare has this option") }
}

fn file(container: &Container) -> PathBuf {
    container.aside("trace.json")
}

fn read(container: &Container) -> Result<Trace> {
    Trace::of(&fs::read_to_string(file(container))?)
}

/// Runs the container to its end, with a trace.
fn run(bundle: Bundle) -> Result<(Container, Trace)> {
    only_tare()?;
    let container = bundle.build()?;
    launch(&container, "run")?.success()?;
    let trace = read(&container)?;
    Ok((container, trace))
}

fn launch(container: &Container, command: &str) -> Result<Output> {
    container.launch(["--trace", &file(container).to_string_lossy(), command]).output()
}

/// An operation: the field that asks for it, and its description.
type Operation = (String, String);

/// The operations of `init` that `tare plan` prints.
fn planned(container: &Container) -> Result<Vec<Operation>> {
    let output = container.call(["plan", "--id", &container.id]).arg(container.bundle()).output()?;
    let lines = output.success()?.stdout.lines().skip_while(|line| *line != "# init").skip(1);
    let of_init = lines.take_while(|line| !line.starts_with("# ")).filter(|line| !line.contains(" (runtime) "));
    let operation = |line: &str| {
        let (field, what) = line.split_once(' ').unwrap_or((line, ""));
        (field.to_owned(), what.trim().to_owned())
    };
    Ok(of_init.map(operation).collect())
}

/// The operations of the only `init` in a trace.
fn traced(trace: &Trace) -> Result<Vec<Operation>> {
    let operation = |span: &Span| (span.args["field"].as_str().unwrap_or_default().to_owned(), span.name.clone());
    Ok(trace.operations()?.into_iter().map(operation).collect())
}

const AT_GATE: &str = "and wait for start";

/// The operations of a `run`.
fn without_gate(container: &Container) -> Result<Vec<Operation>> {
    let plan = planned(container)?.into_iter();
    Ok(plan.filter(|(_, what)| !what.ends_with(AT_GATE)).collect())
}

/// A trace of `run` has each operation that `tare plan` prints, in its order. The plan has the gate, too, which `run`
/// does not need.
fn run_has_every_operation_of_the_plan() -> Result {
    for view in [View::Machine, View::Unified] {
        let bundle = Bundle::new(["true"]).set("/linux/maskedPaths", json!(["/proc/kcore", "/proc/keys"]));
        let (container, trace) = run(bundle.set("/hostname", "traced").view(view))?;
        equal("operations", traced(&trace)?, without_gate(&container)?)?;
        let begins: Vec<f64> = trace.operations()?.iter().map(|span| span.begin).collect();
        ensure!(begins.is_sorted(), "{begins:?}");
        equal("failed", trace.failed(), [])?;
    }
    Ok(())
}

/// `create` ends while `init` waits at the gate, and its trace has all operations up to there.
fn create_ends_at_the_gate() -> Result {
    only_tare()?;
    let container = Bundle::new(["true"]).build()?;
    launch(&container, "create")?.success()?;
    let mut plan = planned(&container)?;
    let gate = plan.iter().position(|(_, what)| what.ends_with(AT_GATE)).context("a gate")?;
    plan.truncate(gate + 1);
    let trace = read(&container)?;
    equal("operations", traced(&trace)?, plan)?;
    let gate = trace.operations()?.pop().context("a gate")?.args["note"].clone();
    equal("note", gate, "not complete when the trace ended")
}

/// create, start, exec and delete have a trace each. Their times are those of one clock.
fn every_command_has_its_own() -> Result {
    only_tare()?;
    let container = Bundle::new(["pause"]).build()?;
    let path = file(&container);
    let path = &path.to_string_lossy();
    launch(&container, "create")?.success()?;
    let create = read(&container)?;
    container.call(["--trace", path, "start", &container.id]).output()?.success()?;
    let start = read(&container)?;
    container.call(["--trace", path, "exec", &container.id, "/payload", "true"]).output()?.success()?;
    let exec = read(&container)?;
    container.call(["--trace", path, "delete", "--force", &container.id]).output()?.success()?;
    let delete = read(&container)?;
    for (trace, stage) in [
        (&create, "plan"),
        (&start, "open the gate"),
        (&start, "wait until init leaves the gate"),
        (&exec, "clone init"),
        (&exec, "wait until the program exits"),
        (&delete, "wait for the end of the first process"),
        (&delete, "remove the state directory"),
    ] {
        trace.span(stage)?;
    }
    ensure!(exec.operations()?.iter().any(|span| span.name.starts_with("execve")), "{:?}", exec.names());
    for (before, after) in [(&create, &start), (&start, &exec), (&exec, &delete)] {
        // The start-up has CPU time, which some kernels count in ticks.
        let (before, start) = (before.whole()?, after.span("start-up")?);
        ensure!(before.end < start.end, "{before:?} {start:?}");
        equal("status", &after.whole()?.args["status"], 0)?;
    }
    container.nothing_left()
}

/// The wait of one process for the other is marked in both.
fn waits_are_told_from_work() -> Result {
    let (_, trace) = run(Bundle::new(["true"]))?;
    for (name, category) in [
        ("created: let the runtime save the state", "wait"),
        ("wait until the program exits", "wait"),
        ("pivot_root", "work"),
        ("plan", "work"),
    ] {
        equal(name, &*trace.span(name)?.category, category)?;
    }
    let waits = trace.spans.iter().filter(|span| span.name == "wait for init");
    ensure!(waits.filter(|span| span.category == "wait").count() > 0, "{:?}", trace.names());
    Ok(())
}

/// The times of all clocks agree: the operations lie within the command, and the command within the test's own time.
fn is_no_longer_than_the_command() -> Result {
    only_tare()?;
    let container = Bundle::new(["true"]).build()?;
    let begin = Instant::now();
    launch(&container, "run")?.success()?;
    let wall = begin.elapsed().as_secs_f64() * 1e6;
    let trace = read(&container)?;
    let whole = trace.whole()?;
    // The start-up is CPU time. Some kernels count CPU time in ticks, of 10 ms at most.
    const TICK: f64 = 10_000.0;
    let start = trace.span("start-up")?;
    ensure!(whole.end - start.end <= wall, "{whole:?} after {start:?} in {wall} µs");
    ensure!(start.end - start.begin <= wall + TICK, "{start:?} in {wall} µs");
    let sum: f64 = trace.operations()?.iter().map(|span| span.end - span.begin).sum();
    ensure!(sum <= whole.end - whole.begin, "{sum} µs of {whole:?}");
    let clone = trace.span("clone init")?;
    for span in trace.operations()? {
        ensure!(span.begin >= clone.begin && span.end <= whole.end, "{span:?} {clone:?} {whole:?}");
    }
    Ok(())
}

/// `init` may fork, and may be in a user namespace.
fn of_forks_and_namespaces() -> Result {
    let owner = Bundle::new(["pause"]).start()?;
    let path = format!("/proc/{}/ns/pid", owner.pid()?);
    for bundle in [
        Bundle::new(["true"]).user_namespace(100_000, 65_536),
        Bundle::new(["true"]).join("pid", &path),
        Bundle::new(["true"]).user_namespace(100_000, 65_536).mount(json!({"destination": "/t", "type": "tmpfs"})),
    ] {
        let (container, trace) = run(bundle)?;
        equal("operations", traced(&trace)?, without_gate(&container)?)?;
    }
    Ok(())
}

/// The clock of a time namespace differs from the runtime's, but the times in the trace do not.
fn of_a_time_namespace() -> Result {
    if !PathBuf::from("/proc/self/ns/time").exists() {
        return skip("the kernel has no time namespaces");
    }
    let offsets = json!({"monotonic": {"secs": 1_000_000, "nanosecs": 0}});
    let (_, trace) = run(Bundle::new(["true"]).namespace("time").set("/linux/timeOffsets", offsets))?;
    let whole = trace.whole()?;
    let operations = trace.operations()?;
    ensure!(operations.len() > 5, "{:?}", trace.names());
    for span in operations {
        ensure!(span.begin > whole.begin && span.end <= whole.end, "{span:?} {whole:?}");
    }
    Ok(())
}

/// A seccomp filter that kills on every call that reads a clock does not stop the trace.
fn of_a_filter_that_forbids_clocks() -> Result {
    let names = json!(["clock_gettime", "gettimeofday", "time", "clock_getres", "getpid", "mmap"]);
    let rule = json!({"names": names, "action": "SCMP_ACT_KILL_PROCESS"});
    // The payload itself maps memory, so only the end of the program is not checked.
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    only_tare()?;
    let container = Bundle::new(["true"]).set("/linux/seccomp", seccomp).build()?;
    launch(&container, "run")?;
    let trace = read(&container)?;
    let last = trace.operations()?.pop().context("operations")?;
    ensure!(last.name.starts_with("execve"), "{last:?}");
    Ok(())
}

/// Each hook is a wait of its own. A hook in the container has an `init` of its own.
fn of_hooks() -> Result {
    let sleep = json!({"path": "/bin/sleep", "args": ["sleep", "0.05"]});
    let inside = json!({"path": "/payload", "args": ["payload", "true"]});
    let hooks = json!({"createRuntime": [sleep], "startContainer": [inside], "poststop": [sleep]});
    let (_, trace) = run(Bundle::new(["true"]).set("/hooks", hooks))?;
    for name in ["hooks.createRuntime[0]", "hooks.poststop[0]"] {
        let hook = trace.span(name)?;
        ensure!(hook.category == "wait" && hook.end - hook.begin > 50_000.0, "{hook:?}");
    }
    trace.span("hooks.startContainer[0]")?;
    equal("processes that are init", trace.pids("init").len(), 2)
}

/// An ordinary user gets a trace, too.
fn of_a_user() -> Result {
    only_tare()?;
    let container = Bundle::new(["true"]).user(64_321).user_namespace(64_321, 1).build()?;
    launch(&container, "run")?.success()?;
    equal("owner", fs::metadata(file(&container))?.uid(), 64_321)?;
    let trace = read(&container)?;
    let last = trace.operations()?.pop().context("operations")?;
    ensure!(last.name.starts_with("execve") && last.args["note"].is_null(), "{last:?}");
    Ok(())
}

/// A failed command has a trace, in which the operation that has failed has the error.
fn of_a_failed_operation() -> Result {
    only_tare()?;
    for (bundle, operation, field) in [
        (Bundle::new([]).set("/process/args", json!(["/nosuch"])), "find the program", "process.args"),
        (Bundle::new(["true"]).mount(json!({"destination": "/t", "type": "nosuch"})), "mount nosuch", "mounts"),
        (Bundle::new(["true"]).set("/process/cwd", "/proc/self/fd/7"), "", "process.cwd"),
    ] {
        let container = bundle.build()?;
        launch(&container, "create")?.failure()?;
        let trace = read(&container)?;
        let operations = trace.operations()?;
        let failed = operations.last().context("operations")?;
        ensure!(failed.name.starts_with(operation), "{failed:?}");
        contains("error", failed.args["error"].as_str().context("an error")?, field)?;
        contains("field", failed.args["field"].as_str().context("a field")?, field)?;
        equal("errors", trace.failed().len(), 1)?;
        let whole = trace.whole()?;
        equal("status", &whole.args["status"], 1)?;
        contains("error", whole.args["error"].as_str().context("an error")?, field)?;
        container.nothing_left()?;
    }
    Ok(())
}

/// If a step of the runtime fails, the innermost stage has the error.
fn of_a_failed_stage() -> Result {
    only_tare()?;
    let hook = json!([{"path": "/bin/false"}]);
    for (bundle, stage) in [
        (Bundle::new(["true"]).set("/hostname", json!(["x"])), "parse and check config.json"),
        (Bundle::new(["true"]).mount(json!({"destination": "/proc/self/attr", "type": "tmpfs"})), "plan"),
        (Bundle::new(["true"]).set("/hooks/createRuntime", hook), "hooks.createRuntime[0]"),
    ] {
        let container = bundle.build()?;
        launch(&container, "create")?.failure()?;
        let trace = read(&container)?;
        let stages: Vec<&str> = trace.failed().iter().map(|(name, _)| *name).collect();
        equal("failed", stages, [stage])?;
        container.nothing_left()?;
    }
    Ok(())
}

/// If a filter kills `init`, the operation in which it died has the error.
fn of_an_init_that_died() -> Result {
    only_tare()?;
    let rule = json!({"names": ["read", "write"], "action": "SCMP_ACT_KILL_PROCESS"});
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    let container = Bundle::new(["true"]).set("/linux/seccomp", seccomp).build()?;
    launch(&container, "create")?.failure()?;
    let trace = read(&container)?;
    let last = trace.operations()?.pop().context("operations")?;
    equal("operation", &*last.name, "created: let the runtime save the state")?;
    contains("error", last.args["error"].as_str().context("an error")?, "init died")
}

/// A restore has a trace, too. This one fails, with or without criu.
fn of_a_failed_restore() -> Result {
    only_tare()?;
    let container = Bundle::new(["true"]).build()?;
    let images = container.aside("images");
    fs::create_dir(&images)?;
    let path = file(&container);
    let words = ["--trace", &path.to_string_lossy(), "restore", "--image-path", &images.to_string_lossy()];
    container.launch(words).output()?.failure()?;
    let trace = read(&container)?;
    ensure!(trace.whole()?.name.contains(" restore "), "{:?}", trace.names());
    ensure!(trace.whole()?.args["error"].is_string(), "{:?}", trace.whole()?);
    trace.span("plan")?;
    container.nothing_left()
}

/// The program gets no descriptor, and its memory has nothing of the trace.
fn leaves_nothing_in_the_container() -> Result {
    only_tare()?;
    let container = Bundle::new(["fds", ",", "cat", "/proc/self/maps"]).option("--preserve-fds=2").build()?;
    let call = container.launch(["--trace", &file(&container).to_string_lossy(), "run"]);
    call.inherit(fs::File::open("/dev/null")?, 4)?.output()?.success()?;
    let output = container.output()?;
    ensure!(!output.contains("tare-trace") && !output.contains("trace.json"), "{output}");
    let without = Bundle::new(["fds"]).option("--preserve-fds=2").build()?;
    without.launch(["run"]).inherit(fs::File::open("/dev/null")?, 4)?.output()?.success()?;
    contains("descriptors", &output, without.output()?.trim_end())
}

/// Other commands have no trace, and no file is made for them.
fn of_other_commands_is_refused() -> Result {
    only_tare()?;
    let container = Bundle::new(["pause"]).create()?;
    let path = file(&container);
    let id = &*container.id;
    for words in [
        &["list"][..],
        &["state", id],
        &["kill", id, "KILL"],
        &["pause", id],
        &["resume", id],
        &["ps", id],
        &["events", "--stats", id],
        &["update", "--pids-limit", "5", id],
        &["features"],
        &["spec"],
        &["plan"],
        &["setup", "podman"],
        &["mounts", "add", id, "/nosuch"],
        &["checkpoint", id],
    ] {
        let output = container.call(["--trace", &path.to_string_lossy()]).args(words).output()?;
        output.fails_with("--trace: only create, delete, exec, restore, run and start have a trace")?;
        ensure!(!path.exists() && output.stdout.is_empty(), "{words:?}: {output}");
    }
    equal("status", container.status()?, "created")
}

/// The error of a command whose trace has this path.
fn refusal(container: &Container, path: &str, command: &str) -> Result<String> {
    let errors = container.aside("err");
    let _ = fs::remove_file(&errors);
    container.launch(["--trace", path, command]).output()?.failure()?;
    Ok(fs::read_to_string(errors)?)
}

/// If the file cannot be made, the error is one line, and the container is not made.
fn file_that_cannot_be_made() -> Result {
    only_tare()?;
    let container = Bundle::new(["true"]).build()?;
    for path in ["/nosuch/trace.json", "/proc/trace.json", "/dev/null/trace.json"] {
        for command in ["create", "run"] {
            let text = refusal(&container, path, command)?;
            ensure!(text.lines().count() == 1 && text.starts_with(&format!("--trace {path}: ")), "{text:?}");
            container.nothing_left()?;
        }
    }
    Ok(())
}

/// A directory, a fifo, a device or a symbolic link does not become a trace, and its target stays.
fn file_that_is_no_file() -> Result {
    only_tare()?;
    let container = Bundle::new(["true"]).build()?;
    let (target, link, fifo) = (container.aside("target"), container.aside("link"), container.aside("fifo"));
    fs::write(&target, "precious")?;
    symlink(&target, &link)?;
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU)?;
    let [link, fifo, bundle] = [&link, &fifo, &container.bundle()].map(|path| path.to_string_lossy().into_owned());
    let slash = format!("{}/", file(&container).display());
    for path in [&*link, &fifo, &bundle, &slash, "/dev/null", "/dev/stdout", ".."] {
        let text = refusal(&container, path, "run")?;
        equal("error", text, format!("--trace {path}: not a regular file\n"))?;
        container.nothing_left()?;
    }
    equal("target", fs::read_to_string(target)?, "precious")?;
    ensure!(fs::symlink_metadata(link)?.is_symlink(), "the link is gone");
    Ok(())
}

/// A file of the same name is replaced. Another name of the old file keeps its text.
fn replaces_a_file_and_not_its_links() -> Result {
    only_tare()?;
    let container = Bundle::new(["true"]).build()?;
    let other = container.aside("other");
    fs::write(file(&container), "old")?;
    fs::hard_link(file(&container), &other)?;
    launch(&container, "run")?.success()?;
    read(&container)?;
    equal("other name", fs::read_to_string(other)?, "old")
}

/// At the end it is too late for a failure: the container exists.
fn that_cannot_be_written_is_a_warning() -> Result {
    only_tare()?;
    let container = Bundle::new(["true"]).build()?;
    // The directory goes away while the command runs.
    let directory = container.aside("gone");
    fs::create_dir(&directory)?;
    let remove = format!("rmdir {}", directory.display());
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", remove]}]);
    container.edit_config(|config| config["hooks"] = json!({"createRuntime": hook}))?;
    let path = directory.join("trace.json");
    container.launch(["--trace", &path.to_string_lossy(), "create"]).output()?.success()?;
    let text = fs::read_to_string(container.aside("err"))?;
    equal("warning", text, format!("warning: --trace {}: no such file or directory\n", path.display()))?;
    equal("status", container.status()?, "created")
}
