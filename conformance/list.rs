//! `list`: all containers of a state root.

use crate::harness::*;
use anyhow::ensure;
use nix::sys::resource::Resource;
use std::fs;

tests![
    json_has_the_state,
    json_of_nothing,
    table,
    quiet,
    is_sorted,
    of_stopped,
    unknown_format,
    missing_root,
    skips_what_it_cannot_read,
    names_the_owner,
    json_is_one_line,
    more_containers_than_descriptors,
    annotation_named_config,
    broken_entries_are_told_of_on_stderr,
];

fn list(container: &Container) -> Result<Vec<Value>> {
    let output = container.call(["list", "--format", "json"]).output()?;
    Ok(serde_json::from_str(&output.success()?.stdout)?)
}

/// `list -f json` prints a list of states.
fn json_has_the_state() -> Result {
    let container = Bundle::new(["pause"]).set("/annotations", json!({ "a": "b" })).start()?;
    let all = list(&container)?;
    equal("containers", all.len(), 1)?;
    let state = container.state()?;
    for key in ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations"] {
        equal(key, &all[0][key], &state[key])?;
    }
    Ok(())
}

/// Without containers the JSON is `null`, as Go encodes an empty list; callers decode that.
fn json_of_nothing() -> Result {
    let container = Bundle::new(["true"]).build()?;
    equal("list", container.call(["list", "-f", "json"]).output()?.success()?.stdout.trim(), "null")
}

/// The table has runc's columns.
fn table() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.call(["list"]).output()?;
    let rows: Vec<Vec<&str>> = output.success()?.stdout.lines().map(|l| l.split_whitespace().collect()).collect();
    equal("header", &rows[0][..], &["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"][..])?;
    equal("rows", rows.len(), 2)?;
    let pid = container.pid()?.to_string();
    let bundle = container.bundle().canonicalize()?.display().to_string();
    equal("row", &rows[1][..4], &[container.id.as_str(), &pid, "running", &bundle][..])?;
    equal("owner", rows[1].last().copied(), Some("root"))
}

/// `-q` prints ids only, one on a line.
fn quiet() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("list", &*container.call(["list", "-q"]).output()?.success()?.stdout, format!("{}\n", container.id))
}

/// The list is sorted by id, whatever the order of creation.
fn is_sorted() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    for id in ["zz", "aa", "mm"] {
        let name = format!("{}-{id}", container.id);
        let call = container.call(["create", "--bundle"]).arg(container.bundle()).arg(&name);
        // The three containers share a bundle, so each gets a cgroup path of its own.
        container.edit_config(|config| {
            config["linux"]["cgroupsPath"] = json!(format!("{}/{name}", machine::cgroup_parent()))
        })?;
        call.output_to(container.aside("out"), container.aside("err")).output()?.success()?;
    }
    let output = container.call(["list", "-q"]).output()?;
    let ids: Vec<String> = ["aa", "mm", "zz"].iter().map(|id| format!("{}-{id}", container.id)).collect();
    let seen: Vec<String> = output.success()?.stdout.lines().map(str::to_owned).collect();
    for id in &ids {
        container.call(["delete", "--force", id]).output()?.success()?;
    }
    equal("ids", seen, ids)
}

/// A stopped container is listed until it is deleted, with pid 0.
fn of_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    let all = list(&container)?;
    equal("status", &all[0]["status"], "stopped")?;
    equal("pid", &all[0]["pid"], 0)
}

/// Formats other than `table` and `json` are refused.
fn unknown_format() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.call(["list", "--format", "xml"]).output()?.fails_with("invalid format option").map(drop)
}

/// A state root that is given and does not exist is an error.
fn missing_root() -> Result {
    Call::new(["--root", "/nosuch/conformance", "list"]).output()?.failure().map(drop)
}

/// A broken container does not hide the others.
fn skips_what_it_cannot_read() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let broken = container.state_root().join("broken");
    fs::create_dir(&broken)?;
    fs::write(broken.join("state.json"), "{")?;
    let output = container.call(["list", "-f", "json"]).output()?;
    contains("list", &output.success()?.stdout, &container.id)?;
    contains("words about the other", &output.stderr, "broken")
}

/// The owner is the user who created the container.
fn names_the_owner() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("owner", &list(&container)?[0]["owner"], "root")
}

/// The JSON is one line.
fn json_is_one_line() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let output = container.call(["list", "-f", "json"]).output()?;
    equal("lines", output.success()?.stdout.lines().count(), 1)?;
    ensure!(output.stdout.ends_with("]\n"), "{output}");
    Ok(())
}

/// A container that cannot be loaded is reported on standard error, also if there is a log, in every format of the
/// list.
fn broken_entries_are_told_of_on_stderr() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let log = container.aside("log");
    fs::create_dir(container.state_root().join("half"))?;
    fs::write(container.state_root().join("file"), "")?;
    for format in [&["list"][..], &["list", "-q"], &["list", "-f", "json"]] {
        let call = container.call(["--log", &log.to_string_lossy(), "--log-format", "json"]);
        let output = call.args(format).output()?;
        contains("list", &output.success()?.stdout, &container.id)?;
        equal("standard error", &*output.stderr, "load container half: container does not exist\n")?;
    }
    equal("log", &*fs::read_to_string(log)?, "")
}

/// The list holds no descriptor for each container: their number is not limited by that of descriptors.
fn more_containers_than_descriptors() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let record = fs::read_to_string(container.state_dir().join("state.json"))?;
    for number in 0..40 {
        let id = format!("{}-{number}", container.id);
        let directory = container.state_root().join(&id);
        fs::create_dir(&directory)?;
        let quoted = |id: &str| format!("\"id\":\"{id}\"");
        fs::write(directory.join("state.json"), record.replace(&quoted(&container.id), &quoted(&id)))?;
    }
    let output = container.call(["list", "-q"]).limiting(Resource::RLIMIT_NOFILE, 30, 30).output()?;
    equal("ids", output.success()?.stdout.lines().count(), 41)?;
    let output = container.call(["list"]).limiting(Resource::RLIMIT_NOFILE, 30, 30).output()?;
    equal("rows", output.success()?.stdout.lines().count(), 42)?;
    equal("errors", output.stderr.as_str(), "")
}

/// An annotation may be named as a member of the record is.
fn annotation_named_config() -> Result {
    let annotations = json!({ "config": "{", "a": ",\"config\":" });
    let container = Bundle::new(["pause"]).set("/annotations", annotations.clone()).create()?;
    equal("annotations", &list(&container)?[0]["annotations"], &annotations)?;
    container.command(["kill"])?.success().map(drop)
}
