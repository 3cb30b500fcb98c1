//! `ps`: the processes of a container, with the host's pids.

use crate::harness::*;
use anyhow::{Context, ensure};

tests![
    json,
    table,
    table_with_options,
    of_stopped,
    unknown_format,
    unknown_container,
    is_silent_on_stderr,
    counts_sub_cgroups,
    options_without_a_pid_column,
    options_that_ps_refuses,
    options_in_one_word,
];

/// `ps -f json` prints the host's pids of all processes of the container.
fn json() -> Result {
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

/// Skips the test if ps(1) itself does not work.
fn ps_works(options: &str) -> Result {
    let output = std::process::Command::new("ps").arg(options).output().context("ps")?;
    let words = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { skip(format!("ps does not work here: {}", words.trim())) }
}

/// The table is that of ps(1), with the rows of the container only.
fn table() -> Result {
    ps_works("-ef")?;
    let container = Bundle::new(["fork", "1", ",", "pause"]).start()?;
    container.wait_output("forked: 1")?;
    let output = container.command(["ps"])?;
    let rows: Vec<&str> = output.success()?.stdout.lines().collect();
    equal("rows", rows.len(), 3)?;
    ensure!(rows[0].split_whitespace().any(|word| word == "PID"), "{output}");
    ensure!(rows[1..].iter().all(|row| row.contains("/payload")), "{output}");
    Ok(())
}

/// Options after the id are passed to ps(1).
fn table_with_options() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.call(["ps", &container.id, "-o", "pid,args"]).output();
    let output = output?;
    let pid = container.pid()?.to_string();
    // Without -e or -x ps(1) may list the processes of its own terminal only, so the test checks the header.
    let header = output.success()?.stdout.lines().next().context("a header")?;
    equal("header", header.split_whitespace().collect::<Vec<_>>(), ["PID", "COMMAND"])?;
    let output = container.call(["ps", &container.id, "-eo", "pid,args"]).output()?;
    contains("rows", &output.success()?.stdout, &pid)
}

/// A stopped container has no processes. That is no error.
fn of_stopped() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    let output = container.command(["ps", "-f", "json"])?;
    let pids: Option<Vec<i32>> = serde_json::from_str(&output.success()?.stdout)?;
    equal("pids", pids.unwrap_or_default(), Vec::<i32>::new())
}

/// Formats other than `table` and `json` are refused.
fn unknown_format() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["ps", "--format", "xml"])?.failure().map(drop)
}

/// An unknown container is an error.
fn unknown_container() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.command(["ps"])?.fails_with("does not exist").map(drop)
}

/// Standard error is empty: go-runc reads both outputs together.
fn is_silent_on_stderr() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.command(["ps", "--format", "json"])?;
    equal("standard error", &*output.success()?.stderr, "")?;
    equal("output", &*output.stdout, format!("[{}]\n", container.pid()?))
}

/// Processes in sub-cgroups belong to the container, too.
fn counts_sub_cgroups() -> Result {
    for view in [View::Machine, View::Unified] {
        let container = Bundle::new(["fork", "1", ",", "pause"]).view(view).start()?;
        container.wait_output("forked: 1")?;
        let cgroup = container.cgroup("devices")?.join("sub");
        std::fs::create_dir(&cgroup)?;
        std::fs::write(cgroup.join("cgroup.procs"), container.pid()?.to_string())?;
        let output = container.command(["ps", "--format", "json"])?;
        let pids: Vec<i32> = serde_json::from_str(&output.success()?.stdout)?;
        equal("processes", pids.len(), 2)?;
    }
    Ok(())
}

/// ps(1) options without a pid column are refused: the rows could not be told apart.
fn options_without_a_pid_column() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.call(["ps", &container.id, "-eo", "args"]).output()?;
    output.fails_with("couldn't find PID field in ps output").map(drop)
}

/// Options that ps(1) refuses are an error.
fn options_that_ps_refuses() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.call(["ps", &container.id, "--nosuch"]).output()?.failure().map(drop)
}

/// CRI passes all options as one argument.
fn options_in_one_word() -> Result {
    ps_works("aux")?;
    let container = Bundle::new(["pause"]).start()?;
    let output = container.call(["ps", "--format", "table", &container.id, "aux"]).output()?;
    contains("rows", &output.success()?.stdout, "/payload pause")
}
