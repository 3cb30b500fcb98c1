//! `create`: a container that waits for start; ids, the bundle, pid files, races.

use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;

tests![
    create_does_not_run_the_program,
    create_twice,
    create_twice_after_start,
    create_race_has_one_winner,
    creates_in_parallel,
    create_refuses_bad_ids,
    create_accepts_odd_ids,
    create_with_missing_program,
    create_with_program_that_is_a_directory,
    create_with_program_that_is_not_executable,
    create_looks_the_program_up_in_path,
    create_writes_pid_file,
    create_refuses_unwritable_pid_file,
    create_takes_the_current_directory_as_bundle,
    create_accepts_relative_bundle,
    create_takes_bundle_as_second_argument,
    config_changes_after_create_have_no_effect,
    a_foreign_pid_file_outlives_a_failed_create,
    standard_input_is_the_containers_null,
];

/// `create` MUST NOT run the program of `process`; `start` MUST run it.
fn create_does_not_run_the_program() -> Result {
    let container = Bundle::new(["echo", "hello"]).create()?;
    std::thread::sleep(std::time::Duration::from_millis(60));
    equal("output before start", container.output()?, "")?;
    container.start()?;
    container.wait_output("hello")
}

/// `create` with an id that is in use MUST be an error and MUST NOT change the container that has the id.
fn create_twice() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let pid = container.pid()?;
    container.create()?.fails_with("already exists")?;
    equal("status", container.status()?, "created")?;
    equal("pid", container.pid()?, pid)?;
    container.start()?;
    equal("status", container.status()?, "running")
}

/// The same if that container runs, and for `run`.
fn create_twice_after_start() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.create()?.failure()?;
    container.run()?.failure()?;
    equal("status", container.status()?, "running")
}

/// The id MUST be unique among the runtime's containers. If creates race, one succeeds, and its container works.
fn create_race_has_one_winner() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let racers = (0..6).map(|_| container.launch(["create"]).spawn()).collect::<Result<Vec<_>>>()?;
    let outputs = racers.into_iter().map(Running::wait).collect::<Result<Vec<_>>>()?;
    let winners = outputs.iter().filter(|output| output.status.success()).count();
    ensure!(winners == 1, "{winners} creates succeeded: {outputs:#?}");
    equal("status", container.status()?, "created")?;
    container.start()?;
    equal("status", container.status()?, "running")
}

/// Creates of different ids at the same time do not disturb each other.
fn creates_in_parallel() -> Result {
    let containers = (0..8).map(|_| Bundle::new(["pause"]).build()).collect::<Result<Vec<_>>>()?;
    let calls = containers.iter().map(|c| c.launch(["create"]).spawn()).collect::<Result<Vec<_>>>()?;
    for call in calls {
        call.wait()?.success()?;
    }
    containers.iter().try_for_each(|container| equal("status", container.status()?, "created"))
}

/// An id consists of letters, digits and `_+.-`, and is neither `.` nor `..`: another one could lead out of the state
/// root.
fn create_refuses_bad_ids() -> Result {
    let container = Bundle::new(["true"]).build()?;
    for id in ["", ".", "..", "a/b", "../evil", "a b", "a\nb", "é", "a:b", "/abs", "a;b", "a*"] {
        let call = container.call(["create", "--bundle"]).arg(container.bundle()).arg(id);
        call.output()?.failure().with_context(|| format!("id {id:?}"))?;
    }
    let left: Vec<_> = fs::read_dir(container.state_root())?.collect();
    ensure!(left.is_empty(), "state of refused containers: {left:?}");
    Ok(())
}

/// Each allowed character works, as the first one too, and so does a long id.
fn create_accepts_odd_ids() -> Result {
    for suffix in ["_", "+", ".x", "-", "A0", &"x".repeat(150)] {
        let mut container = Bundle::new(["true"]).build()?;
        container.id = format!("{}{suffix}", container.id);
        container.create()?.success()?;
        equal("id", &container.state()?["id"], container.id.as_str())?;
    }
    Ok(())
}

/// The program is looked up before create returns. A missing program is an error of create, and engines match the
/// words.
fn create_with_missing_program() -> Result {
    let output = Bundle::new([]).set("/process/args", json!(["nosuch"])).refused("process.args")?;
    contains("message", &output.stderr, "executable file not found in $PATH")?;
    let output = Bundle::new([]).set("/process/args", json!(["/nosuch"])).refused("process.args")?;
    contains("message", &output.stderr, "no such file or directory")
}

/// Engines turn `is a directory` or `permission denied` into exit code 126.
fn create_with_program_that_is_a_directory() -> Result {
    let output = Bundle::new([]).dir("dir").set("/process/args", json!(["/dir"])).refused("process.args")?;
    let known = ["is a directory", "permission denied"].iter().any(|words| output.stderr.contains(words));
    ensure!(known, "{output}");
    Ok(())
}

/// A file without the x bit cannot be the program.
fn create_with_program_that_is_not_executable() -> Result {
    let output = Bundle::new([]).file("data", "x").set("/process/args", json!(["/data"])).refused("process.args")?;
    contains("message", &output.stderr, "permission denied")
}

/// `args` has the semantics of execvp(3): a name without a slash is looked up in the PATH of `process.env`.
fn create_looks_the_program_up_in_path() -> Result {
    let output = Bundle::new([])
        .symlink("deep/bin/tool", "/payload")
        .set("/process/args", json!(["tool", "args"]))
        .set("/process/env", json!(["PATH=/nowhere:/deep/bin"]))
        .run()?;
    output.success()?.says("args", r#"["tool", "args"]"#).map(drop)
}

/// `--pid-file` receives the pid in decimal without a newline: go-runc parses it strictly.
fn create_writes_pid_file() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let file = container.aside("pid");
    container.launch(["create", "--pid-file", &file.to_string_lossy()]).output()?.success()?;
    equal("pid file", fs::read_to_string(file)?, container.pid()?.to_string())
}

/// If the pid file cannot be written, create fails and leaves nothing.
fn create_refuses_unwritable_pid_file() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    container.launch(["create", "--pid-file", "/nosuchdir/pid"]).output()?.failure()?;
    container.nothing_left()
}

/// Without `--bundle` the bundle is the current directory, and the state has its absolute path.
fn create_takes_the_current_directory_as_bundle() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let call = container.call(["create"]).arg(&container.id).current_dir(&container.bundle());
    call.output_to(container.aside("out"), container.aside("err")).output()?.success()?;
    let bundle = container.bundle().canonicalize()?;
    equal("bundle", &container.state()?["bundle"], bundle.to_string_lossy().as_ref())
}

/// A relative bundle and a relative pid file are relative to the caller's working directory.
fn create_accepts_relative_bundle() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let above = container.aside("");
    let call = container.call(["create", "-b", "bundle", "--pid-file", "pid"]).arg(&container.id).current_dir(&above);
    call.output_to(container.aside("out"), container.aside("err")).output()?.success()?;
    equal("pid file", fs::read_to_string(above.join("pid"))?, container.pid()?.to_string())?;
    let bundle = container.bundle().canonicalize()?;
    equal("bundle", &container.state()?["bundle"], bundle.to_string_lossy().as_ref())
}

/// tare takes `create ID BUNDLE`, as the specification writes the operation.
fn create_takes_bundle_as_second_argument() -> Result {
    if !runtime::is("tare") {
        return skip("only tare takes the bundle as an argument");
    }
    let container = Bundle::new(["pause"]).build()?;
    let call = container.call(["create"]).arg(&container.id).arg(container.bundle());
    call.output_to(container.aside("out"), container.aside("err")).output()?.success()?;
    equal("status", container.status()?, "created")
}

/// Changes of config.json after create MUST NOT have an effect on the container.
fn config_changes_after_create_have_no_effect() -> Result {
    let container = Bundle::new(["echo", "before"]).create()?;
    container.edit_config(|config| config["process"]["args"] = json!(["/payload", "echo", "after"]))?;
    container.start()?;
    container.wait_status("stopped")?;
    equal("output", container.output()?, "before\n")
}

/// A create that fails removes only what it has made: not a pid file of another program.
fn a_foreign_pid_file_outlives_a_failed_create() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let file = container.aside("pid");
    let name = file.display().to_string();
    let create = || container.launch(["create", "--pid-file", &name]).output();
    create()?.success()?;
    create()?.failure()?;
    ensure!(file.exists(), "the pid file of the first create is gone");
    Ok(())
}

/// If standard input is the host's null device, the program gets the container's null device instead: through the
/// host's descriptor it could change that device's mode.
fn standard_input_is_the_containers_null() -> Result {
    use std::os::unix::fs::MetadataExt;
    let container = Bundle::new(["pause"]).start()?;
    let (seen, host) = (fs::metadata(format!("/proc/{}/fd/0", container.pid()?))?, fs::metadata("/dev/null")?);
    ensure!(
        seen.rdev() != host.rdev() || (seen.dev(), seen.ino()) != (host.dev(), host.ino()),
        "standard input is the host's null device"
    );
    Ok(())
}
