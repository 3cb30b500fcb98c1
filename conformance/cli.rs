//! The command line as runc's callers use it: global options, forms of arguments, log files, exit codes.

use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;

tests![
    version_has_the_shape_that_engines_parse,
    help_is_no_error,
    every_command_has_help,
    unknown_command,
    unknown_option,
    option_without_its_value,
    wrong_number_of_arguments,
    a_second_bundle_is_refused,
    root_must_not_be_the_root_directory,
    root_repeated_last_wins,
    root_with_equals_sign_and_single_dash,
    root_is_made_with_its_parents,
    options_after_positionals,
    double_dash_ends_options,
    booleans_take_a_value,
    works_without_any_environment,
    errnos_are_in_lower_case_without_numbers,
    boolean_that_is_none,
    unknown_global_option,
    help_of_an_unknown_command,
    help_has_a_name,
    short_options_cannot_be_combined,
    value_that_looks_like_an_option,
    state_of_root_does_not_follow_xdg,
    state_of_a_user_follows_xdg,
    state_directory_that_cannot_be_made,
    output_that_cannot_be_written,
    output_of_any_command_that_cannot_be_written,
    reader_that_went_away,
    error_that_cannot_be_written,
];

/// The first line is `NAME version X.Y.Z`, then come `commit:` and `spec:`. go-runc and moby parse these prefixes.
fn version_has_the_shape_that_engines_parse() -> Result {
    for flag in ["--version", "-v"] {
        let output = Call::new([flag]).output()?;
        let (name, version) = output.success()?.stdout.split_once(" version ").context("NAME version X")?;
        ensure!(!name.contains(char::is_whitespace), "the name {name:?} has spaces");
        ensure!(version.starts_with(|c: char| c.is_ascii_digit()), "no number in {version:?}");
        let spec = output.value("spec")?;
        ensure!(spec.split('.').count() == 3 && spec.starts_with("1."), "spec: {spec}");
    }
    Ok(())
}

/// `--help` and `-h` exit with 0.
fn help_is_no_error() -> Result {
    for flag in ["--help", "-h"] {
        let output = Call::new([flag]).output()?;
        contains("help", &output.success()?.stdout, "create")?;
    }
    Ok(())
}

/// `CMD --help` works for every command: podman probes `checkpoint --help`.
fn every_command_has_help() -> Result {
    let of_runc = "checkpoint create delete events exec features kill list pause ps restore resume run spec start \
                   state update";
    let of_tare = if runtime::is("tare") { "mounts plan setup" } else { "" };
    for command in of_runc.split_whitespace().chain(of_tare.split_whitespace()) {
        for flag in ["--help", "-h"] {
            let output = Call::new([command, flag]).output()?;
            contains(command, &output.success()?.stdout, command)?;
        }
    }
    Ok(())
}

/// An unknown command fails with an exit status of its own.
fn unknown_command() -> Result {
    equal("exit code", Call::new(["nosuch"]).output()?.code()?, 3)
}

/// An unknown option fails with exit code 1 and is named.
fn unknown_option() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let output = container.command(["create", "--nosuch"])?;
    equal("exit code", output.code()?, 1)?;
    contains("message", &format!("{}{}", output.stdout, output.stderr), "flag provided but not defined")
}

/// podman matches these exact words to find out whether an option exists.
fn option_without_its_value() -> Result {
    let output = Call::new(["restore", "--lsm-mount-context"]).output()?;
    ensure!(output.code()? != 0, "{output}");
    contains("message", &format!("{}{}", output.stdout, output.stderr), "flag needs an argument")
}

/// Too few or too many arguments: exit code 1, and the message says how many.
fn wrong_number_of_arguments() -> Result {
    for words in [&["state"][..], &["state", "a", "b"], &["start"], &["delete"], &["pause"], &["kill"], &["exec"]] {
        let output = Call::new(["--root", "/tmp/nosuch-conformance"]).args(words).output()?;
        equal("exit code", output.code()?, 1).with_context(|| format!("{output}"))?;
        contains("message", &output.stderr, "argument").with_context(|| format!("{output}"))?;
    }
    Ok(())
}

/// `--root /` is refused: deleting a container would remove the directory of its name in `/`.
fn root_must_not_be_the_root_directory() -> Result {
    Call::new(["--root", "/", "list"]).output()?.failure().map(drop)
}

/// conmon-rs passes `--root` twice: the last one counts.
fn root_repeated_last_wins() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let call = Call::new(["--root", "/nosuch/conformance", "--root"]).arg(container.state_root());
    call.args(["state", &container.id]).output()?.success().map(drop)
}

/// Options have the forms of Go: one dash or two, the value after a space or an equals sign.
fn root_with_equals_sign_and_single_dash() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let root = container.state_root();
    for form in ["--root=", "-root="] {
        let call = Call::new([format!("{form}{}", root.display())]).args(["state", &container.id]);
        call.output()?.success()?;
    }
    let call = Call::new(["-root"]).arg(root).args(["list", "-format=json"]);
    contains("list", &call.output()?.success()?.stdout, &container.id)
}

/// A missing state root is made, with its parents.
fn root_is_made_with_its_parents() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let deep = container.aside("a/b/c");
    let call = Call::new(["--root"]).arg(&deep).args(["run", "--bundle"]).arg(container.bundle()).arg(&container.id);
    call.output()?.success()?;
    ensure!(deep.is_dir(), "the state root was not made");
    Ok(())
}

/// runc's released versions take options after the container's id: `delete ID --force`, `kill ID KILL -a`.
fn options_after_positionals() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.call(["delete", &container.id, "--force"]).output()?.success()?;
    container.nothing_left()
}

/// `--` ends the options, of exec too.
fn double_dash_ends_options() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.call(["state", "--", &container.id]).output()?.success()?;
    let output = container.call(["exec", "--", &container.id, "/payload", "echo", "-t", "--"]).output()?;
    equal("output", &*output.success()?.stdout, "-t --\n")
}

/// A boolean option may be written as `--force=true`, and cleared by `=false`.
fn booleans_take_a_value() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.command(["delete", "--force=false"])?.failure()?;
    container.command(["delete", "--force=true"])?.success().map(drop)
}

/// podman calls kill, delete and pause without PATH or any other variable.
fn works_without_any_environment() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    container.launch(["create"]).no_env().output()?.success()?;
    container.call(["start", &container.id]).no_env().output()?.success()?;
    container.call(["kill", &container.id, "KILL"]).no_env().output()?.success()?;
    container.wait_status("stopped")?;
    container.call(["delete", &container.id]).no_env().output()?.success().map(drop)
}

/// Engines match `no such file or directory`: the texts of errnos are Go's, in lower case, without "(os error N)".
fn errnos_are_in_lower_case_without_numbers() -> Result {
    let output = Bundle::new(["true"])
        .mount(json!({ "destination": "/x", "type": "bind", "source": "/nosuch", "options": ["bind"] }))
        .refused("mounts[2]")?;
    contains("message", &output.stderr, "no such file or directory")?;
    ensure!(!output.stderr.contains("os error"), "{output}");
    Ok(())
}

/// Another value of a boolean option is an error that names the option, before the command and after it.
fn boolean_that_is_none() -> Result {
    for words in [&["--debug=maybe", "list"][..], &["list", "--quiet=maybe"], &["delete", "-force=2", "x"]] {
        let output = Call::new(words).output()?;
        output.fails_with("invalid boolean value")?;
        equal("exit code", output.code()?, 1)?;
        contains("standard output", &output.stdout, "Incorrect Usage")?;
    }
    Ok(())
}

/// An unknown global option is named in the error, and the usage goes to standard output.
fn unknown_global_option() -> Result {
    let output = Call::new(["--nosuch", "list"]).output()?;
    output.fails_with("flag provided but not defined: -nosuch")?;
    contains("standard output", &output.stdout, "Incorrect Usage")?;
    equal("exit code", output.code()?, 1)
}

/// Help for an unknown command is an error with runc's words.
fn help_of_an_unknown_command() -> Result {
    Call::new(["nosuch", "-h"]).output()?.fails_with("No help topic for 'nosuch'").map(drop)
}

/// The first two lines of help have the same form for all commands.
fn help_has_a_name() -> Result {
    for words in [&["-h"][..], &["help"], &["state", "-h"], &["h", "state"], &[]] {
        let output = Call::new(words).output()?;
        let mut lines = output.success()?.stdout.lines();
        equal("first line", lines.next(), Some("NAME:"))?;
        ensure!(lines.next().is_some_and(|line| line.starts_with("   ") && line.contains(" - ")), "{output}");
    }
    Ok(())
}

/// Short options cannot be combined: `-it` is taken as one unknown option.
fn short_options_cannot_be_combined() -> Result {
    Call::new(["exec", "-dt", "x", "y"]).output()?.fails_with("flag provided but not defined: -dt").map(drop)
}

/// An option with a value takes the next word, even if that begins with a dash.
fn value_that_looks_like_an_option() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec(["--env", "-x=1"], ["env"])?;
    output.success()?.has_line("-x=1").map(drop)
}

/// `XDG_RUNTIME_DIR` is for ordinary users only: the state of the host's root stays in /run.
fn state_of_root_does_not_follow_xdg() -> Result {
    let dir = tempfile::tempdir()?;
    Call::new(["list"]).env("XDG_RUNTIME_DIR", dir.path()).output()?.code()?;
    equal("entries", dir.path().read_dir()?.count(), 0)
}

/// The state of an ordinary user is below `XDG_RUNTIME_DIR`. Its directory has the sticky bit, which keeps clean-up
/// tools away (XDG Base Directory Specification).
fn state_of_a_user_follows_xdg() -> Result {
    use std::os::unix::fs::{PermissionsExt, chown};
    let dir = crate::harness::bundle::scratch()?;
    chown(dir.path(), Some(1000), Some(1000))?;
    let output = Call::new(["list", "-q"]).env("XDG_RUNTIME_DIR", dir.path()).user(1000).output()?;
    equal("list", &*output.success()?.stdout, "")?;
    let name = runtime::get().path.file_name().unwrap_or_default().to_owned();
    let mode = dir.path().join(name).metadata()?.permissions().mode();
    equal("mode", mode & 0o7777, 0o1700)
}

/// If the state directory of an ordinary user cannot be made, that is an error.
fn state_directory_that_cannot_be_made() -> Result {
    let dir = crate::harness::bundle::scratch()?;
    let output = Call::new(["list", "-q"]).env("XDG_RUNTIME_DIR", dir.path()).user(1000).output()?;
    output.fails_with("the path in $XDG_RUNTIME_DIR must be writable by the user")?;
    equal("exit code", output.code()?, 1)
}

/// Makes the call with this file as standard output.
fn into(call: Call, file: impl Into<OwnedFd>) -> Result<Output> {
    call.inherit(File::from(file.into()), 1)?.output()
}

fn into_a_full_device(call: Call) -> Result {
    let output = into(call, File::options().write(true).open("/dev/full")?)?;
    equal(&output.line, output.code()?, 1)?;
    contains(&output.line, &output.stderr, "no space left on device")
}

/// If the output cannot be written completely, the command fails: its reader must not take a part for the whole.
fn output_that_cannot_be_written() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    into_a_full_device(container.call(["list"]))?;
    into_a_full_device(container.call(["list", "--format", "json"]))?;
    into_a_full_device(container.call(["features"]))
}

/// The same for all commands that print something.
fn output_of_any_command_that_cannot_be_written() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let id = container.id.as_str();
    for words in
        [&["state", id][..], &["list", "-q"], &["ps", id], &["ps", "--format", "json", id], &["events", "--stats", id]]
    {
        into_a_full_device(container.call([]).args(words))?;
    }
    for words in [&["--version"][..], &["--help"], &["list", "--help"], &[]] {
        into_a_full_device(container.call([]).args(words))?;
    }
    if runtime::is("tare") {
        into_a_full_device(container.call(["plan"]).arg(container.bundle()))?;
        into_a_full_device(container.call(["setup", "podman"]))?;
    }
    Ok(())
}

/// `list | head -1`: the runtime is killed by SIGPIPE, as other programs are, and prints no error.
fn reader_that_went_away() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    for words in [&["state", &container.id][..], &["list"], &["features"], &["--version"], &["--help"]] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let output = into(container.call([]).args(words), writer)?;
        equal(&output.line, output.status.signal(), Some(libc::SIGPIPE))?;
        equal(&output.line, output.stderr.as_str(), "")?;
    }
    Ok(())
}

/// No argument is ignored: a bundle beside that of `--bundle` is refused by every command that takes both.
fn a_second_bundle_is_refused() -> Result {
    if !runtime::is("tare") {
        return skip("only tare takes the bundle as an argument");
    }
    let container = Bundle::new(["true"]).build()?;
    for words in [&["plan"][..], &["create", &container.id], &["run", &container.id]] {
        let call = container.call([]).args(words).arg(container.bundle()).arg("--bundle").arg(container.bundle());
        let output = call.output()?;
        contains(&output.line, &output.failure()?.stderr, "the bundle is given twice: as an argument and by --bundle")?;
    }
    Ok(())
}

/// If standard error cannot be written to, a failure is still a failure, and the runtime does not crash.
fn error_that_cannot_be_written() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let full = || File::options().write(true).open("/dev/full");
    for words in [&["state", "nosuch"][..], &["--log", "/dev/full", "state", "nosuch"], &["--nosuch"]] {
        let output = container.call([]).args(words).inherit(full()?, 2)?.output()?;
        equal(&output.line, output.code()?, 1)?;
    }
    Ok(())
}
