//! `hooks`: the six lists, the input of a hook, and the effect of its failure.

use crate::harness::bundle::scratch;
use crate::harness::container::namespace_of;
use crate::harness::*;
use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

tests![
    lists_run_in_order,
    poststart_runs_after_start_container,
    hooks_of_a_list_run_in_order,
    create_runs_its_hooks_and_no_others,
    state_on_standard_input,
    state_has_the_annotations,
    status_by_list,
    status_at_poststart,
    environment_is_the_hooks_own,
    environment_absent_is_empty,
    start_container_without_env_has_the_containers,
    start_container_hook_has_what_the_process_has,
    umask_is_the_callers,
    keyring_is_not_the_callers,
    arguments_are_kept,
    signals_are_not_held_back,
    hooks_of_a_caller_without_sigchld,
    descriptors_are_closed,
    descriptors_are_closed_for_create_container,
    terminal_of_the_caller_is_not_theirs,
    output_that_nobody_reads,
    errors_are_told,
    runtime_hooks_run_in_the_runtimes_namespaces,
    create_container_hook_runs_in_the_mount_namespace,
    start_container_hook_runs_inside,
    create_runtime_sees_the_network_namespace,
    prestart_failure,
    create_runtime_failure,
    create_container_failure,
    start_container_failure,
    poststart_failure,
    poststart_may_wait_for_a_program_that_writes_much,
    poststop_failure,
    poststop_runs_after_a_failed_create,
    missing_program,
    relative_path_is_refused,
    timeout_ends_the_hook,
    timeout_that_is_kept,
    timeout_of_zero_is_refused,
    hook_without_reading_its_input,
];

const LISTS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Hooks that write their input to one file. In the container the directory of that file is `/log`.
struct Recorder(TempDir);

/// The input of one hook.
struct Record(String);

impl Record {
    fn get(&self, key: &str) -> &str {
        let field = self.0.split('\t').find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
        field.unwrap_or_default()
    }

    fn state(&self) -> Result<Value> {
        serde_json::from_str(self.get("state")).with_context(|| self.0.clone())
    }
}

impl Recorder {
    fn new() -> Result<Self> {
        Ok(Self(scratch()?))
    }

    fn hook(&self, list: &str, name: &str) -> Value {
        let inside = list == "startContainer";
        let program = if inside { Path::new("/payload") } else { payload::path() };
        let log = if inside { Path::new("/log") } else { self.0.path() }.join("hooks");
        json!({ "path": program, "args": ["hook-name", "hook", log, name] })
    }

    fn add(&self, bundle: Bundle, list: &str, name: &str) -> Bundle {
        bundle.push(&format!("/hooks/{list}"), self.hook(list, name))
    }

    /// A bundle with one recording hook in each of these lists.
    fn bundle<const N: usize>(&self, words: [&str; N], lists: &[&str]) -> Bundle {
        let entry = json!({ "destination": "/log", "source": self.0.path(), "options": ["bind"] });
        lists.iter().fold(Bundle::new(words).mount(entry), |bundle, list| self.add(bundle, list, list))
    }

    fn records(&self) -> Vec<Record> {
        let text = fs::read_to_string(self.0.path().join("hooks")).unwrap_or_default();
        text.lines().map(|line| Record(line.to_owned())).collect()
    }

    fn names(&self) -> Vec<String> {
        self.records().iter().map(|record| record.get("name").to_owned()).collect()
    }

    fn record(&self, name: &str) -> Result<Record> {
        let found = self.records().into_iter().find(|record| record.get("name") == name);
        found.with_context(|| format!("hook {name} did not run: {:?}", self.names()))
    }
}

/// Hooks run at their points of the lifecycle: prestart, createRuntime and createContainer at create, startContainer at
/// start, poststop at delete.
fn lists_run_in_order() -> Result {
    let recorder = Recorder::new()?;
    let lists = LISTS.map(|list| if list == "poststart" { "poststop" } else { list });
    recorder.bundle(["true"], &lists[..5]).run()?.success()?;
    equal("hooks", recorder.names(), &lists[..5])
}

/// poststart MUST be called after the user's process is started, so after startContainer.
fn poststart_runs_after_start_container() -> Result {
    let recorder = Recorder::new()?;
    recorder.bundle(["true"], &LISTS).run()?.success()?;
    equal("hooks", recorder.names(), LISTS)
}

/// Hooks of a list MUST be called in the listed order.
fn hooks_of_a_list_run_in_order() -> Result {
    let recorder = Recorder::new()?;
    let bundle = ["1", "2", "3", "4"].iter().fold(Bundle::new(["true"]), |b, n| recorder.add(b, "createRuntime", n));
    bundle.run()?.success()?;
    equal("hooks", recorder.names(), ["1", "2", "3", "4"])
}

/// Each command runs its own hooks only.
fn create_runs_its_hooks_and_no_others() -> Result {
    let recorder = Recorder::new()?;
    let container = recorder.bundle(["pause"], &LISTS).create()?;
    equal("after create", recorder.names(), &LISTS[..3])?;
    container.start()?;
    eventually("the hooks of start", || Ok(recorder.names() == LISTS[..5]))?;
    container.stop()?;
    equal("after the end", recorder.names(), &LISTS[..5])?;
    container.command(["delete"])?.success()?;
    equal("after delete", recorder.names(), LISTS)
}

/// The state MUST be passed to hooks over standard input.
fn state_on_standard_input() -> Result {
    let recorder = Recorder::new()?;
    let container = recorder.bundle(["pause"], &["prestart", "createRuntime", "poststart"]).start()?;
    for list in ["prestart", "createRuntime", "poststart"] {
        let state = recorder.record(list)?.state()?;
        equal("id", &state["id"], container.id.as_str())?;
        equal("pid", &state["pid"], container.pid()?)?;
        let bundle = container.bundle().canonicalize()?;
        equal("bundle", &state["bundle"], bundle.to_string_lossy().as_ref())?;
        ensure!(state["ociVersion"].is_string(), "{state}");
    }
    Ok(())
}

/// The state has the annotations.
fn state_has_the_annotations() -> Result {
    let recorder = Recorder::new()?;
    let annotations = json!({ "org.example": "1" });
    recorder.bundle(["true"], &["createRuntime"]).set("/annotations", annotations.clone()).run()?.success()?;
    equal("annotations", &recorder.record("createRuntime")?.state()?["annotations"], &annotations)
}

/// The state has the container's status at that point of the lifecycle.
fn status_by_list() -> Result {
    let recorder = Recorder::new()?;
    recorder.bundle(["true"], &LISTS).run()?.success()?;
    let wanted = ["", "creating", "creating", "created", "", "stopped"];
    for (list, status) in LISTS.iter().zip(wanted).filter(|(_, status)| !status.is_empty()) {
        equal(list, &recorder.record(list)?.state()?["status"], status)?;
    }
    // prestart is older than the status `creating`: the validation suite and crun have `created` here, runc has
    // `creating`.
    let status = recorder.record("prestart")?.state()?["status"].clone();
    ensure!(status == "creating" || status == "created", "prestart: {status}");
    Ok(())
}

/// The status at poststart is `running`.
fn status_at_poststart() -> Result {
    let recorder = Recorder::new()?;
    recorder.bundle(["pause"], &["poststart"]).start()?;
    equal("status", &recorder.record("poststart")?.state()?["status"], "running")
}

/// A hook's environment is its `env`, and holds nothing of the runtime's.
fn environment_is_the_hooks_own() -> Result {
    let recorder = Recorder::new()?;
    let mut with = recorder.hook("createRuntime", "with");
    with["env"] = json!(["A=1", "B=two words"]);
    Bundle::new(["true"]).push("/hooks/createRuntime", with).run()?.success()?;
    equal("env", recorder.record("with")?.get("env"), "A=1 B=two words")
}

/// A hook without `env` has an empty environment.
fn environment_absent_is_empty() -> Result {
    let recorder = Recorder::new()?;
    recorder.bundle(["true"], &["createRuntime"]).run()?.success()?;
    equal("env", recorder.record("createRuntime")?.get("env"), "")
}

/// runc gives a startContainer hook without `env` the environment of the container.
fn start_container_without_env_has_the_containers() -> Result {
    let recorder = Recorder::new()?;
    let bundle = recorder.bundle(["true"], &["startContainer"]).set("/process/env", json!(["PATH=/", "C=1"]));
    bundle.file("etc/passwd", "root:x:0:0::/root:/\n").run()?.success()?;
    contains("env", recorder.record("startContainer")?.get("env"), "C=1")?;
    // The environment includes the variables that the runtime adds.
    contains("env", recorder.record("startContainer")?.get("env"), "HOME=/root")
}

/// A startContainer hook has all attributes of the process: identity, umask, limits, scheduling.
fn start_container_hook_has_what_the_process_has() -> Result {
    let recorder = Recorder::new()?;
    let bundle = recorder
        .bundle(["attributes"], &["startContainer"])
        .set("/process/user", json!({"uid": 0, "gid": 0, "umask": 0o27, "additionalGids": [5, 6]}))
        .set(
            "/process/rlimits",
            json!([
                {"type": "RLIMIT_NOFILE", "soft": 512, "hard": 600}, {"type": "RLIMIT_CORE", "soft": 4096, "hard": 8192}
            ]),
        )
        .set("/process/oomScoreAdj", 77)
        .set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 3}))
        .set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 2}))
        .set("/linux/personality", json!({"domain": "LINUX32"}));
    let output = bundle.run()?;
    output.success()?;
    contains("attributes", &output.stdout, "umask: 0027")?;
    contains("attributes", &output.stdout, "oom_score_adj: 77")?;
    equal("attributes", recorder.record("startContainer")?.get("attributes"), output.stdout.trim())
}

/// Hooks of the runtime namespace, and a createContainer hook, have the caller's umask.
fn umask_is_the_callers() -> Result {
    let recorder = Recorder::new()?;
    let lists = ["prestart", "createRuntime", "createContainer", "poststart"];
    let container = recorder.bundle(["pause"], &lists).build()?;
    let as_caller = |call: Call| {
        call.in_child(|| {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o27));
            Ok(())
        })
    };
    as_caller(container.launch(["create"])).output()?.success()?;
    as_caller(container.call(["start"]).arg(&container.id)).output()?.success()?;
    for list in lists {
        equal(list, recorder.record(list)?.get("umask"), "0027")?;
    }
    Ok(())
}

/// A hook in the container has the container's session keyring, and so none of the caller's keys.
fn keyring_is_not_the_callers() -> Result {
    let recorder = Recorder::new()?;
    let container = recorder.bundle(["keyring"], &["createContainer", "startContainer"]).build()?;
    let output = container.launch(["run"]).output()?;
    output.success()?;
    for list in ["createContainer", "startContainer"] {
        equal(list, recorder.record(list)?.get("keyring"), output.stdout.trim())?;
    }
    Ok(())
}

/// `args` has the semantics of execv(3): the first one is the name that the program sees.
fn arguments_are_kept() -> Result {
    let recorder = Recorder::new()?;
    recorder.bundle(["true"], &["createRuntime", "startContainer"]).run()?.success()?;
    equal("argv[0]", recorder.record("createRuntime")?.get("arg0"), "hook-name")?;
    equal("argv[0]", recorder.record("startContainer")?.get("arg0"), "hook-name")
}

/// A hook inherits no descriptor of the runtime.
fn descriptors_are_closed() -> Result {
    let recorder = Recorder::new()?;
    recorder.bundle(["true"], &LISTS).run()?.success()?;
    for list in LISTS.into_iter().filter(|list| *list != "createContainer") {
        equal(list, recorder.record(list)?.get("fds"), "fds: 0,1,2")?;
    }
    Ok(())
}

/// A runtime in the foreground blocks signals, to forward them. A hook must not inherit that: a Ctrl-C at the caller's
/// terminal is for it, too.
fn signals_are_not_held_back() -> Result {
    let recorder = Recorder::new()?;
    recorder.bundle(["true"], &LISTS).run()?.success()?;
    for list in LISTS {
        equal(list, recorder.record(list)?.get("blocked"), "")?;
    }
    Ok(())
}

/// The runtime notices the end of a hook even if its caller ignores SIGCHLD.
fn hooks_of_a_caller_without_sigchld() -> Result {
    let recorder = Recorder::new()?;
    let container = recorder.bundle(["true"], &LISTS).build()?;
    container.launch(["create"]).ignoring(Signal::SIGCHLD).output()?.success()?;
    container.call(["start"]).arg(&container.id).ignoring(Signal::SIGCHLD).output()?.success()?;
    container.wait_status("stopped")?;
    container.call(["delete"]).arg(&container.id).ignoring(Signal::SIGCHLD).output()?.success()?;
    let names = recorder.names();
    ensure!(LISTS.iter().all(|list| names.iter().any(|name| name == list)), "{names:?}");
    Ok(())
}

/// A createContainer hook, which is in the container's namespaces but not in its root, inherits no descriptor either.
fn descriptors_are_closed_for_create_container() -> Result {
    let recorder = Recorder::new()?;
    recorder.bundle(["true"], &["createContainer"]).run()?.success()?;
    equal("descriptors", recorder.record("createContainer")?.get("fds"), "fds: 0,1,2")
}

/// Hooks do not get the caller's terminal as standard input: some of them are programs of the image.
fn terminal_of_the_caller_is_not_theirs() -> Result {
    for verb in ["run", "create"] {
        let recorder = Recorder::new()?;
        let container = recorder.bundle(["true"], &LISTS).build()?;
        let terminal = Terminal::open(24, 80)?;
        terminal.start(container.launch([verb]))?.wait()?.success()?;
        if verb == "create" {
            terminal.start(container.call(["start", &container.id]))?.wait()?.success()?;
            container.wait_status("stopped")?;
            terminal.start(container.call(["delete", &container.id]))?.wait()?.success()?;
        }
        for list in LISTS {
            equal(&format!("{verb}, {list}"), recorder.record(list)?.get("terminals"), "")?;
        }
    }
    Ok(())
}

/// A hook may write more than a pipe holds, although nothing reads it.
fn output_that_nobody_reads() -> Result {
    for list in LISTS {
        let program = if list == "startContainer" { Path::new("/payload") } else { payload::path() };
        let hook = json!({ "path": program, "args": ["hook", "flood", "2000"] });
        let output = Bundle::new(["echo", "ran"]).push(&format!("/hooks/{list}"), hook).run()?;
        output.success()?;
        equal(list, output.stdout.trim_end(), "ran")?;
    }
    Ok(())
}

/// The standard error of a hook that fails is part of the error message, wherever the hook runs.
fn errors_are_told() -> Result {
    for list in ["createRuntime", "createContainer", "startContainer"] {
        let program = if list == "startContainer" { Path::new("/payload") } else { payload::path() };
        let hook = json!({ "path": program, "args": ["hook", "stderr", "no", "luck", ",", "exit", "3"] });
        let output = Bundle::new(["echo", "ran"]).push(&format!("/hooks/{list}"), hook).run()?;
        output.fails_with("exit status 3")?.fails_with("no luck")?;
        ensure!(!output.stdout.contains("ran"), "{output}");
    }
    Ok(())
}

/// prestart, createRuntime, poststart and poststop MUST run in the runtime's namespaces.
fn runtime_hooks_run_in_the_runtimes_namespaces() -> Result {
    let recorder = Recorder::new()?;
    let lists = ["prestart", "createRuntime", "poststart", "poststop"];
    recorder.bundle(["true"], &lists).namespace("network").run()?.success()?;
    let own = |kind: &str| namespace_of(std::process::id() as i32, kind);
    for list in lists {
        equal(list, recorder.record(list)?.get("mnt"), own("mnt")?)?;
        equal(list, recorder.record(list)?.get("net"), own("net")?)?;
    }
    Ok(())
}

/// createContainer hooks MUST run in the container's namespaces. Their path is resolved in the runtime's namespaces,
/// before pivot_root, with the root file system as working directory.
fn create_container_hook_runs_in_the_mount_namespace() -> Result {
    let recorder = Recorder::new()?;
    let container = recorder.bundle(["pause"], &["createContainer"]).namespace("network").create()?;
    let record = recorder.record("createContainer")?;
    equal("mount namespace", record.get("mnt"), container.namespace("mnt")?)?;
    equal("network namespace", record.get("net"), container.namespace("net")?)?;
    contains("directory", record.get("cwd"), "rootfs")
}

/// startContainer hooks MUST run in the container, and their path MUST be resolved there.
fn start_container_hook_runs_inside() -> Result {
    let recorder = Recorder::new()?;
    let container = recorder.bundle(["pause"], &["startContainer"]).start()?;
    eventually("the hook", || Ok(!recorder.names().is_empty()))?;
    equal("mount namespace", recorder.record("startContainer")?.get("mnt"), container.namespace("mnt")?)
}

/// The purpose of createRuntime hooks: the namespaces exist, so a hook can set up the network in them.
fn create_runtime_sees_the_network_namespace() -> Result {
    let dir = scratch()?;
    let log = dir.path().join("link");
    let script = format!(
        "pid=$(/bin/sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p'); readlink /proc/$pid/ns/net >{}",
        log.display()
    );
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] });
    let container = Bundle::new(["pause"]).namespace("network").push("/hooks/createRuntime", hook).create()?;
    equal("network namespace", fs::read_to_string(log)?.trim(), container.namespace("net")?)
}

fn failing(list: &str) -> Bundle {
    let program = if list == "startContainer" { Path::new("/payload") } else { payload::path() };
    let hook = json!({ "path": program, "args": ["payload", "stderr", "words of the hook", ",", "exit", "7"] });
    Bundle::new(["echo", "ran", ",", "pause"]).push(&format!("/hooks/{list}"), hook)
}

/// A failing prestart hook MUST make create fail.
fn prestart_failure() -> Result {
    failing("prestart").refused("hooks.prestart[0]").map(drop)
}

/// A failing createRuntime hook MUST make create fail.
fn create_runtime_failure() -> Result {
    failing("createRuntime").refused("hooks.createRuntime[0]").map(drop)
}

/// A failing createContainer hook MUST make create fail.
fn create_container_failure() -> Result {
    failing("createContainer").refused("hooks.createContainer[0]").map(drop)
}

/// A failing startContainer hook MUST make start fail, and the program MUST NOT run.
fn start_container_failure() -> Result {
    let container = failing("startContainer").create()?;
    // In runc start has returned by then, so only the end of the container is checked.
    container.command(["start"])?.code()?;
    ended(&container)?;
    ensure!(!container.output()?.contains("ran"), "the program ran");
    Ok(())
}

/// A failing poststart hook stops the container (since 1.3).
fn poststart_failure() -> Result {
    let container = failing("poststart").create()?;
    container.command(["start"])?.failure()?;
    ended(&container)
}

/// Checks that the lifecycle went on with its destruction: the container is stopped, or deleted already.
fn ended(container: &Container) -> Result {
    let output = container.command(["state"])?;
    if output.code()? != 0 {
        return output.fails_with("does not exist").map(drop);
    }
    container.wait_status("stopped")
}

/// After a poststop hook has failed, all of the container MUST be gone. Whether delete reports the failure is the
/// runtime's choice.
fn poststop_failure() -> Result {
    let dir = scratch()?;
    let log = dir.path().join("log");
    let hook = json!({ "path": payload::path(), "args": ["payload", "append", log, "ran", ",", "exit", "7"] });
    let container = Bundle::new(["true"]).push("/hooks/poststop", hook).start()?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.code()?;
    equal("the hook", fs::read_to_string(log)?.as_str(), "ran")?;
    container.nothing_left()?;
    container.command(["state"])?.fails_with("does not exist").map(drop)
}

/// A create that fails undoes its work as delete would, and runs poststop hooks.
fn poststop_runs_after_a_failed_create() -> Result {
    let recorder = Recorder::new()?;
    recorder.add(failing("createRuntime"), "poststop", "poststop").refused("hooks.createRuntime[0]")?;
    equal("hooks", recorder.names(), ["poststop"])
}

/// A hook whose program does not exist fails like any other hook.
fn missing_program() -> Result {
    let hook = json!({ "path": "/nosuch/hook" });
    let output = Bundle::new(["true"]).push("/hooks/createRuntime", hook).refused("hooks.createRuntime[0]")?;
    contains("message", &output.stderr, "no such file or directory")
}

/// `path` MUST be absolute.
fn relative_path_is_refused() -> Result {
    let hook = json!({ "path": "bin/true" });
    Bundle::new(["true"]).push("/hooks/createRuntime", hook).refused("hooks.createRuntime[0]").map(drop)
}

fn sleeping(milliseconds: &str, timeout: i32) -> Value {
    json!({ "path": payload::path(), "args": ["payload", "sleep", milliseconds], "timeout": timeout })
}

/// A hook that runs for longer than `timeout` seconds is killed, and has failed.
fn timeout_ends_the_hook() -> Result {
    let begin = Instant::now();
    Bundle::new(["true"]).push("/hooks/createRuntime", sleeping("15000", 1)).refused("hooks.createRuntime[0]")?;
    ensure!(begin.elapsed() >= Duration::from_millis(900), "the hook was killed before its timeout");
    ensure!(begin.elapsed() < Duration::from_secs(10), "the hook was killed after {:?}", begin.elapsed());
    Ok(())
}

/// A hook that ends before its `timeout` is not killed.
fn timeout_that_is_kept() -> Result {
    let dir = scratch()?;
    let log = dir.path().join("log");
    let args = json!(["payload", "sleep", "30", ",", "append", log, "ran"]);
    let hook = json!({ "path": payload::path(), "args": args, "timeout": 10 });
    Bundle::new(["true"]).push("/hooks/createRuntime", hook).run()?.success()?;
    equal("the hook", fs::read_to_string(log)?.as_str(), "ran")
}

/// If set, `timeout` MUST be greater than zero.
fn timeout_of_zero_is_refused() -> Result {
    Bundle::new(["true"]).push("/hooks/createRuntime", sleeping("0", 0)).refused("hooks.createRuntime[0]").map(drop)
}

/// A hook may ignore its standard input: EPIPE on writing the state is no error.
fn hook_without_reading_its_input() -> Result {
    let dir = scratch()?;
    let log = dir.path().join("log");
    let hook = json!({ "path": payload::path(), "args": ["payload", "append", log, "ran"] });
    let annotation = |n: u32| (format!("org.example.{n}"), json!("x".repeat(100)));
    let many: serde_json::Map<_, _> = (0..2000).map(annotation).collect();
    Bundle::new(["true"]).push("/hooks/createRuntime", hook).set("/annotations", many).run()?.success()?;
    equal("the hook", fs::read_to_string(log)?.as_str(), "ran")
}

/// The runtime reads the program's output while hooks run: otherwise a hook that waits for a program with much output
/// would wait for ever.
fn poststart_may_wait_for_a_program_that_writes_much() -> Result {
    let container = Bundle::new(["flood", "256", ",", "write", "/done", "yes"]).build()?;
    let wait = format!("until [ -e {}/done ]; do sleep 0.01; done", container.rootfs().display());
    container.edit_config(|config| {
        config["hooks"] = json!({ "poststart": [{ "path": "/bin/sh", "args": ["sh", "-c", wait],
            "env": ["PATH=/usr/bin:/bin"], "timeout": 8 }] });
    })?;
    equal("bytes", container.run()?.success()?.stdout.len() >= 256 << 10, true)
}
