//! The log: its two formats, the file and standard error.

use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;

tests![
    goes_to_the_file_and_to_stderr,
    json_is_one_object_a_line,
    json_is_empty_when_all_went_well,
    format_unknown,
    debug_is_accepted,
];

/// Errors go to the log file and, in plain words, to standard error: containerd reads the one, conmon the other.
fn goes_to_the_file_and_to_stderr() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let log = container.aside("log");
    let output = container.call(["--log", &log.to_string_lossy(), "state", &container.id]).output()?;
    output.fails_with("does not exist")?;
    let text = fs::read_to_string(log)?;
    contains("log", &text, "does not exist")?;
    contains("log", &text, "level=error")?;
    contains("log", &text, "time=\"")
}

/// `--log-format json` writes `level`, `msg` and an RFC 3339 `time`; containerd decodes every line.
fn json_is_one_object_a_line() -> Result {
    let container = Bundle::new([]).set("/process/args", json!(["/nosuch"])).build()?;
    let log = container.aside("log.json");
    let call = container.call(["--log", &log.to_string_lossy(), "--log-format", "json", "create", "--bundle"]);
    call.arg(container.bundle()).arg(&container.id).output()?.failure()?;
    let text = fs::read_to_string(log)?;
    let mut errors = 0;
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        ensure!(entry["time"].as_str().is_some_and(|t| t.len() >= 20 && &t[10..11] == "T"), "time in {line}");
        ensure!(entry["msg"].is_string() && entry["level"].is_string(), "msg and level in {line}");
        errors += usize::from(entry["level"] == "error");
    }
    ensure!(errors >= 1, "an error among {text:?}");
    contains("log", &text, "no such file or directory")
}

/// Nothing of level error is logged when nothing went wrong.
fn json_is_empty_when_all_went_well() -> Result {
    let container = Bundle::new(["echo", "ran"]).build()?;
    let log = container.aside("log.json");
    let call = container.call(["--log", &log.to_string_lossy(), "--log-format", "json", "run", "--bundle"]);
    call.arg(container.bundle()).arg(&container.id).output()?.success()?.has_line("ran")?;
    equal("log", fs::read_to_string(log).unwrap_or_default(), "")
}

/// Formats other than `text` and `json` are refused.
fn format_unknown() -> Result {
    Call::new(["--log-format", "xml", "list"]).output()?.fails_with("log-format").map(drop)
}

/// `--debug` changes what is logged and nothing else.
fn debug_is_accepted() -> Result {
    let container = Bundle::new(["echo", "out"]).build()?;
    let log = container.aside("log");
    let call = container.call(["--debug", "--log", &log.to_string_lossy(), "run", "--bundle"]);
    let output = call.arg(container.bundle()).arg(&container.id).output()?;
    equal("output", &*output.success()?.stdout, "out\n")
}
