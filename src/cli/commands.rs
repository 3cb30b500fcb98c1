//! The table of commands: names, options, how many arguments.

use clap::Arg;

use super::{list, option, switch};

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `create`
    Create,
    /// `delete`
    Delete,
    /// `exec`
    Exec,
    /// `features`
    Features,
    /// `kill`
    Kill,
    /// `list`
    List,
    /// `pause`
    Pause,
    /// `plan`
    Plan,
    /// `ps`
    Ps,
    /// `resume`
    Resume,
    /// `run`
    Run,
    /// `spec`
    Spec,
    /// `start`
    Start,
    /// `state`
    State,
}

/// A row of the table.
pub struct Row {
    /// The command.
    pub verb: Verb,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// Its arguments, for the usage.
    pub arguments: &'static str,
    /// Its options.
    pub options: fn() -> Vec<Arg>,
    /// Fewest arguments.
    pub least: usize,
    /// Most arguments.
    pub most: Option<usize>,
    /// The first argument ends the options.
    pub stops: bool,
}

const fn row(
    verb: Verb,
    name: &'static str,
    about: &'static str,
    arguments: &'static str,
    options: fn() -> Vec<Arg>,
) -> Row {
    Row { verb, name, about, arguments, options, least: 1, most: Some(1), stops: false }
}

/// All commands, sorted by name.
pub const COMMANDS: [Row; 14] = [
    Row {
        most: Some(2),
        ..row(Verb::Create, "create", "make a container that waits for start", "<container-id> [bundle]", create)
    },
    row(Verb::Delete, "delete", "remove a container", "<container-id>", delete),
    Row {
        most: None,
        stops: true,
        ..row(Verb::Exec, "exec", "run another process in a container", "<container-id> <command> [args...]", exec)
    },
    Row { least: 0, most: Some(0), ..row(Verb::Features, "features", "show what this runtime supports", "", none) },
    Row { most: Some(2), ..row(Verb::Kill, "kill", "send a signal to a container", "<container-id> [signal]", kill) },
    Row { least: 0, most: Some(0), ..row(Verb::List, "list", "list containers", "", list_options) },
    row(Verb::Pause, "pause", "suspend all processes of a container", "<container-id>", none),
    Row { least: 0, ..row(Verb::Plan, "plan", "show what a bundle would do, without doing it", "[bundle]", plan) },
    Row {
        most: None,
        stops: true,
        ..row(Verb::Ps, "ps", "list the processes of a container", "<container-id> [ps options]", ps)
    },
    row(Verb::Resume, "resume", "let a paused container go on", "<container-id>", none),
    Row { most: Some(2), ..row(Verb::Run, "run", "create and start a container", "<container-id> [bundle]", run) },
    Row { least: 0, most: Some(0), ..row(Verb::Spec, "spec", "write a config.json to begin with", "", spec) },
    row(Verb::Start, "start", "run the program of a created container", "<container-id>", none),
    row(Verb::State, "state", "show the state of a container", "<container-id>", none),
];

fn none() -> Vec<Arg> {
    Vec::new()
}

fn bundle() -> Arg {
    option("bundle", "DIR", "directory of the bundle (default: where you are)").short('b')
}

fn pid_file() -> Arg {
    option("pid-file", "FILE", "write the pid of the process to this file")
}

fn create() -> Vec<Arg> {
    vec![
        bundle(),
        option("console-socket", "SOCKET", "socket that receives the terminal"),
        option("pidfd-socket", "SOCKET", "socket that receives a handle of the first process"),
        pid_file(),
        option("preserve-fds", "N", "pass N more descriptors to the container"),
        switch("no-pivot", "move the root instead of exchanging it (for an initramfs)"),
        switch("no-new-keyring", "keep the caller's session keyring"),
    ]
}

fn run() -> Vec<Arg> {
    let mut options = create();
    options.extend([
        switch("detach", "do not wait for the container").short('d'),
        switch("keep", "do not delete the container after it exits"),
        switch("no-subreaper", "do not collect the container's orphans"),
    ]);
    options
}

fn delete() -> Vec<Arg> {
    vec![switch("force", "kill it first if need be").short('f')]
}

fn kill() -> Vec<Arg> {
    vec![switch("all", "a container that does not run is no error").short('a')]
}

fn list_options() -> Vec<Arg> {
    vec![option("format", "FORMAT", "table or json").short('f'), switch("quiet", "ids only").short('q')]
}

fn ps() -> Vec<Arg> {
    vec![option("format", "FORMAT", "table or json").short('f')]
}

fn spec() -> Vec<Arg> {
    vec![bundle(), switch("rootless", "for an ordinary user")]
}

fn plan() -> Vec<Arg> {
    vec![bundle(), option("id", "ID", "the container's id (default: the bundle's name)")]
}

fn exec() -> Vec<Arg> {
    vec![
        option("console-socket", "SOCKET", "socket that receives the terminal"),
        option("cwd", "DIR", "working directory"),
        list("env", "NAME=VALUE", "environment variable, may be repeated").short('e'),
        switch("tty", "with a terminal").short('t'),
        option("user", "UID[:GID]", "identity, as numbers").short('u'),
        list("additional-gids", "GID", "one more group, may be repeated").short('g'),
        option("process", "FILE", "the whole process as JSON").short('p'),
        switch("detach", "do not wait for the process").short('d'),
        pid_file(),
        option("pidfd-socket", "SOCKET", "socket that receives a handle of the process"),
        option("process-label", "LABEL", "SELinux label"),
        option("apparmor", "PROFILE", "AppArmor profile"),
        switch("no-new-privs", "no_new_privs for the process"),
        list("cap", "CAP", "one more capability, may be repeated").short('c'),
        option("preserve-fds", "N", "pass N more descriptors to the process"),
        switch("ignore-paused", "also into a paused container"),
    ]
}
