//! `list` and `ps`.

use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;

tests![
    list_json_has_the_state,
    list_json_of_nothing,
    list_table,
    list_quiet,
    list_is_sorted,
    list_of_stopped,
    list_unknown_format,
    list_missing_root,
    list_skips_what_it_cannot_read,
    list_names_the_owner,
    ps_json,
    ps_table,
    ps_table_with_options,
    ps_of_stopped,
    ps_unknown_format,
    ps_unknown_container,
];

fn list(container: &Container) -> Result<Vec<Value>> {
    let output = container.call(["list", "--format", "json"]).output()?;
    Ok(serde_json::from_str(&output.success()?.stdout)?)
}

/// `list -f json` is a list of states.
fn list_json_has_the_state() -> Result {
    let container = Bundle::new(["pause"]).set("/annotations", json!({ "a": "b" })).start()?;
    let all = list(&container)?;
    equal("containers", all.len(), 1)?;
    let state = container.state()?;
    for key in ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations"] {
        equal(key, &all[0][key], &state[key])?;
    }
    Ok(())
}

/// Of nothing it is `null`: Go's way, that callers decode.
fn list_json_of_nothing() -> Result {
    let container = Bundle::new(["true"]).build()?;
    equal("list", container.call(["list", "-f", "json"]).output()?.success()?.stdout.trim(), "null")
}

/// The table's columns.
fn list_table() -> Result {
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

/// `-q`: ids alone, one a line.
fn list_quiet() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("list", &*container.call(["list", "-q"]).output()?.success()?.stdout, format!("{}\n", container.id))
}

/// Sorted by id, whatever came first.
fn list_is_sorted() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    for id in ["zz", "aa", "mm"] {
        let name = format!("{}-{id}", container.id);
        let call = container.call(["create", "--bundle"]).arg(container.bundle()).arg(&name);
        // One bundle and cgroup for three containers, so no cgroup of its own for each.
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

/// Stopped containers are listed until they are deleted, with pid 0.
fn list_of_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    let all = list(&container)?;
    equal("status", &all[0]["status"], "stopped")?;
    equal("pid", &all[0]["pid"], 0)
}

/// Other formats are refused.
fn list_unknown_format() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    container.call(["list", "--format", "xml"]).output()?.fails_with("invalid format option").map(drop)
}

/// A state root that was named and is not there is an error.
fn list_missing_root() -> Result {
    Call::new(["--root", "/nosuch/conformance", "list"]).output()?.failure().map(drop)
}

/// One broken container does not hide the others.
fn list_skips_what_it_cannot_read() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let broken = container.state_root().join("broken");
    fs::create_dir(&broken)?;
    fs::write(broken.join("state.json"), "{")?;
    let output = container.call(["list", "-f", "json"]).output()?;
    contains("list", &output.success()?.stdout, &container.id)?;
    contains("words about the other", &output.stderr, "broken")
}

/// The owner is the user who made it.
fn list_names_the_owner() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    equal("owner", &list(&container)?[0]["owner"], "root")
}

/// `ps -f json`: the host's pids of all processes of the container.
fn ps_json() -> Result {
    let container = Bundle::new(["fork", "3", ",", "pause"]).start()?;
    container.wait_output("forked: 3")?;
    let output = container.command(["ps", "--format", "json"])?;
    let mut pids: Vec<i32> = serde_json::from_str(&output.success()?.stdout)?;
    pids.sort_unstable();
    let mut wanted = container.processes();
    wanted.sort_unstable();
    equal("pids", pids.len(), 4)?;
    equal("pids", pids, wanted)
}

/// The table is ps(1)'s own, with the rows of the container.
fn ps_table() -> Result {
    let container = Bundle::new(["fork", "1", ",", "pause"]).start()?;
    container.wait_output("forked: 1")?;
    let output = container.command(["ps"])?;
    let rows: Vec<&str> = output.success()?.stdout.lines().collect();
    equal("rows", rows.len(), 3)?;
    ensure!(rows[0].split_whitespace().any(|word| word == "PID"), "{output}");
    ensure!(rows[1..].iter().all(|row| row.contains("/payload")), "{output}");
    Ok(())
}

/// Options after the id are for ps(1).
fn ps_table_with_options() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.call(["ps", &container.id, "-o", "pid,args"]).output();
    let output = output?;
    let pid = container.pid()?.to_string();
    // Without -e or -x ps may list only its own terminal's processes: the header is what counts.
    let header = output.success()?.stdout.lines().next().context("a header")?;
    equal("header", header.split_whitespace().collect::<Vec<_>>(), ["PID", "COMMAND"])?;
    let output = container.call(["ps", &container.id, "-eo", "pid,args"]).output()?;
    contains("rows", &output.success()?.stdout, &pid)
}

/// A stopped container has no processes, which is no error.
fn ps_of_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    let output = container.command(["ps", "-f", "json"])?;
    let pids: Option<Vec<i32>> = serde_json::from_str(&output.success()?.stdout)?;
    equal("pids", pids.unwrap_or_default(), Vec::<i32>::new())
}

/// Other formats are refused.
fn ps_unknown_format() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["ps", "--format", "xml"])?.failure().map(drop)
}

/// So is an unknown container.
fn ps_unknown_container() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.command(["ps"])?.fails_with("does not exist").map(drop)
}
