//! The log: its two formats, the log file and standard error.

use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;

tests![
    goes_to_the_file_and_to_stderr,
    json_is_one_object_a_line,
    json_is_empty_when_all_went_well,
    format_unknown,
    debug_is_accepted,
    is_appended_to,
    that_cannot_be_opened_is_an_error,
    empty_values_mean_the_defaults,
    json_without_a_file,
    json_in_the_file_and_words_on_stderr,
    debug_in_json_is_pure,
    text_is_quoted,
    has_usage_errors,
];

/// An error goes to the log file and, as plain text, to standard error: containerd reads the first, conmon the second.
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

/// `--log-format json` writes `level`, `msg` and an RFC 3339 `time`. containerd decodes every line.
fn json_is_one_object_a_line() -> Result {
    let container = Bundle::new([]).set("/process/args", json!(["/nosuch"])).build()?;
    let log = container.aside("log.json");
    let call = container.call(["--log", &log.to_string_lossy(), "--log-format", "json", "create", "--bundle"]);
    call.arg(container.bundle()).arg(&container.id).output()?.failure()?;
    let text = fs::read_to_string(log)?;
    let mut errors = 0;
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        ensure!(entry["time"].as_str().is_some_and(|t| t.len() >= 20 && &t[10..11] == "T"), "no valid time in {line}");
        ensure!(entry["msg"].is_string() && entry["level"].is_string(), "no msg or level in {line}");
        errors += usize::from(entry["level"] == "error");
    }
    ensure!(errors >= 1, "no error in {text:?}");
    contains("log", &text, "no such file or directory")
}

/// A command that succeeds logs nothing of level error.
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

/// `--debug` changes only the log.
fn debug_is_accepted() -> Result {
    let container = Bundle::new(["echo", "out"]).build()?;
    let log = container.aside("log");
    let call = container.call(["--debug", "--log", &log.to_string_lossy(), "run", "--bundle"]);
    let output = call.arg(container.bundle()).arg(&container.id).output()?;
    equal("output", &*output.success()?.stdout, "out\n")
}

/// Each call appends to the log.
fn is_appended_to() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let log = container.aside("log");
    fs::write(&log, "first\n")?;
    for _ in 0..2 {
        container.call(["--log", &log.to_string_lossy(), "state", &container.id]).output()?.failure()?;
    }
    let text = fs::read_to_string(log)?;
    equal("lines", text.lines().count(), 3)?;
    ensure!(text.starts_with("first\n"), "{text}");
    Ok(())
}

/// If the log cannot be opened, the command fails before it does anything: its caller would miss the error.
fn that_cannot_be_opened_is_an_error() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let call = container.call(["--log", "/nosuch/conformance/log", "create", "--bundle"]);
    call.arg(container.bundle()).arg(&container.id).output()?.fails_with("no such file or directory")?;
    container.nothing_left()
}

/// An empty `--log` means standard error, an empty `--log-format` means text: engines pass values that are not
/// configured.
fn empty_values_mean_the_defaults() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let call = container.call(["--log", "", "--log-format=", "state", &container.id]);
    call.output()?.fails_with("does not exist").map(drop)
}

/// Without a log file the JSON goes to standard error, one object on a line.
fn json_without_a_file() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let output = container.call(["--log-format", "json", "state", &container.id]).output()?;
    let entry: Value = serde_json::from_str(output.failure()?.stderr.trim())?;
    equal("level", &entry["level"], "error")?;
    equal("msg", &entry["msg"], "container does not exist")?;
    let time = entry["time"].as_str().unwrap_or_default();
    ensure!(is_rfc3339(time), "time {time}");
    Ok(())
}

/// `2026-01-02T03:04:05Z`, or with an offset instead of `Z`; the precision is seconds.
fn is_rfc3339(time: &str) -> bool {
    let form: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    form == "0000-00-00T00:00:00Z"
        || form.len() == 25 && form.starts_with("0000-00-00T00:00:00") && form.ends_with(":00")
}

/// An error that is in the log file as JSON is on standard error as plain text: conmon shows it to the user.
fn json_in_the_file_and_words_on_stderr() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let log = container.aside("log");
    let words = ["--log", &log.to_string_lossy(), "--log-format", "json", "state", &container.id];
    let output = container.call(words).output()?;
    equal("standard error", &*output.failure()?.stderr, "container does not exist\n")?;
    let entry: Value = serde_json::from_str(fs::read_to_string(log)?.trim())?;
    ensure!(is_rfc3339(entry["time"].as_str().unwrap_or_default()), "{entry}");
    equal("members", entry.as_object().map(|entry| entry.len()), Some(3))
}

/// With `--debug` the log still holds JSON objects only: containerd decodes all of them.
fn debug_in_json_is_pure() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let log = container.aside("log");
    let words = ["--debug", "--log", &log.to_string_lossy(), "--log-format", "json", "run", "--bundle"];
    container.call(words).arg(container.bundle()).arg(&container.id).output()?.success()?;
    let text = fs::read_to_string(log)?;
    ensure!(text.lines().count() > 3, "no debug messages: {text}");
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        equal("level", &entry["level"], "debug")?;
        ensure!(is_rfc3339(entry["time"].as_str().unwrap_or_default()), "{entry}");
    }
    Ok(())
}

/// In the text format quotes and backslashes of a message are escaped.
fn text_is_quoted() -> Result {
    let container = Bundle::new([]).set("/process/args", json!(["no\"such"])).build()?;
    let log = container.aside("log");
    let call = container.call(["--log", &log.to_string_lossy(), "create", "--bundle"]);
    call.arg(container.bundle()).arg(&container.id).output()?.failure()?;
    let text = fs::read_to_string(log)?;
    contains("log", text.lines().last().unwrap_or_default(), "level=error msg=\"")?;
    contains("log", &text, "executable file not found in $PATH")?;
    contains("log", &text, "\\\"")
}

/// Usage errors are logged like other errors.
fn has_usage_errors() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let log = container.aside("log");
    container.call(["--log", &log.to_string_lossy(), "state", "--nosuch"]).output()?.failure()?;
    contains("log", &fs::read_to_string(log)?, "flag provided but not defined")
}
