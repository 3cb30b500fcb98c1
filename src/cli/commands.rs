//! The table of commands: names, options, how many arguments.

use clap::Arg;

use super::{list, option, switch};

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `checkpoint`
    Checkpoint,
    /// `create`
    Create,
    /// `delete`
    Delete,
    /// `events`
    Events,
    /// `exec`
    Exec,
    /// `features`
    Features,
    /// `kill`
    Kill,
    /// `list`
    List,
    /// `mounts`
    Mounts,
    /// `pause`
    Pause,
    /// `plan`
    Plan,
    /// `ps`
    Ps,
    /// `restore`
    Restore,
    /// `resume`
    Resume,
    /// `run`
    Run,
    /// `setup`
    Setup,
    /// `spec`
    Spec,
    /// `start`
    Start,
    /// `state`
    State,
    /// `update`
    Update,
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
pub const COMMANDS: &[Row] = &[
    row(Verb::Checkpoint, "checkpoint", "write a running container to files", "<container-id>", checkpoint),
    Row {
        most: Some(2),
        ..row(Verb::Create, "create", "make a container that waits for start", "<container-id> [bundle]", create)
    },
    row(Verb::Delete, "delete", "remove a container", "<container-id>", delete),
    row(Verb::Events, "events", "show a container's statistics and its want of memory", "<container-id>", events),
    Row {
        most: None,
        stops: true,
        ..row(Verb::Exec, "exec", "run another process in a container", "<container-id> <command> [args...]", exec)
    },
    Row { least: 0, most: Some(0), ..row(Verb::Features, "features", "show what this runtime supports", "", none) },
    Row { most: Some(2), ..row(Verb::Kill, "kill", "send a signal to a container", "<container-id> [signal]", kill) },
    Row { least: 0, most: Some(0), ..row(Verb::List, "list", "list containers", "", list_options) },
    Row {
        least: 3,
        most: Some(3),
        ..row(
            Verb::Mounts,
            "mounts",
            "add mounts to a container or remove them",
            "add|remove <container-id> <file>",
            none,
        )
    },
    row(Verb::Pause, "pause", "suspend all processes of a container", "<container-id>", none),
    Row { least: 0, ..row(Verb::Plan, "plan", "show what a bundle would do, without doing it", "[bundle]", plan) },
    Row {
        most: None,
        stops: true,
        ..row(Verb::Ps, "ps", "list the processes of a container", "<container-id> [ps options]", ps)
    },
    Row {
        most: Some(2),
        ..row(Verb::Restore, "restore", "bring a container back from a checkpoint", "<container-id> [bundle]", restore)
    },
    row(Verb::Resume, "resume", "let a paused container go on", "<container-id>", none),
    Row { most: Some(2), ..row(Verb::Run, "run", "create and start a container", "<container-id> [bundle]", run) },
    row(
        Verb::Setup,
        "setup",
        "print what makes an engine use this runtime",
        "containerd|docker|kubernetes|podman",
        none,
    ),
    Row { least: 0, most: Some(0), ..row(Verb::Spec, "spec", "write a config.json to begin with", "", spec) },
    row(Verb::Start, "start", "run the program of a created container", "<container-id>", none),
    row(Verb::State, "state", "show the state of a container", "<container-id>", none),
    row(Verb::Update, "update", "change the limits of a container", "<container-id>", update),
];

fn none() -> Vec<Arg> {
    Vec::new()
}

fn bundle() -> Arg {
    option("bundle", "DIR", "directory of the bundle (default: where you are)").short('b')
}

fn config() -> Arg {
    option("config", "FILE", "the config (default: config.json of the bundle)").short('f')
}

fn pid_file() -> Arg {
    option("pid-file", "FILE", "write the pid of the process to this file")
}

fn create() -> Vec<Arg> {
    vec![
        bundle(),
        config(),
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

/// What `checkpoint` and `restore` have in common.
fn criu() -> Vec<Arg> {
    vec![
        option("image-path", "DIR", "directory of the images (default: ./checkpoint)"),
        option("work-path", "DIR", "directory for logs and other files of the moment"),
        switch("tcp-established", "with open TCP connections"),
        switch("tcp-close", "close TCP connections instead of keeping them"),
        switch("ext-unix-sk", "with unix sockets that lead outside"),
        switch("shell-job", "with a session that began outside"),
        switch("file-locks", "with file locks"),
        option("manage-cgroups-mode", "MODE", "what is done with cgroups: soft, full, strict or ignore"),
        list("empty-ns", "KIND", "leave what is in the namespace out: network"),
        switch("auto-dedup", "keep each page of memory in one image only"),
        switch("lazy-pages", "bring memory over when it is used"),
    ]
}

fn checkpoint() -> Vec<Arg> {
    let mut options = criu();
    options.extend([
        option("parent-path", "DIR", "directory of an earlier pre-dump, relative to the images"),
        switch("leave-running", "let the container go on"),
        switch("tcp-skip-in-flight", "leave out TCP connections that are not established yet"),
        switch("link-remap", "with open files that are deleted, by links to them"),
        option("status-fd", "FD", "write a NUL byte there once lazy pages can be fetched"),
        option("page-server", "ADDRESS:PORT", "send the memory to this page server"),
        switch("pre-dump", "write only the memory, and let the container go on"),
    ]);
    options
}

fn restore() -> Vec<Arg> {
    let mut options = criu();
    options.extend([
        bundle(),
        option("console-socket", "SOCKET", "socket that receives the terminal"),
        pid_file(),
        switch("detach", "do not wait for the container").short('d'),
        switch("no-subreaper", "do not collect the container's orphans"),
        switch("no-pivot", "for an initramfs, whose root cannot be exchanged"),
        option("lsm-profile", "TYPE:NAME", "another profile of the security module"),
        option("lsm-mount-context", "CONTEXT", "another SELinux context for mounts"),
    ]);
    options
}

fn regex() -> Arg {
    switch("regex", "the id is a regular expression: all containers that it matches").short('r')
}

fn delete() -> Vec<Arg> {
    vec![switch("force", "kill it first if need be").short('f'), regex()]
}

fn kill() -> Vec<Arg> {
    vec![switch("all", "a container that does not run is no error").short('a'), regex()]
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
    vec![bundle(), config(), option("id", "ID", "the container's id (default: the bundle's name)")]
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
        list("cgroup", "[CTRL,...:]PATH", "cgroup below the container's; with controllers it may be repeated (v1)"),
        switch("ignore-paused", "also into a paused container"),
    ]
}

fn events() -> Vec<Arg> {
    vec![
        option("interval", "DURATION", "time between two statistics, such as 5s (the default) or 1m30s"),
        switch("stats", "show the statistics once"),
    ]
}

fn update() -> Vec<Arg> {
    vec![
        option(
            "resources",
            "FILE",
            "read linux.resources from FILE, or from standard input for -; nothing else counts then",
        )
        .short('r'),
        option("blkio-weight", "N", "weight of block I/O, 10 to 1000"),
        option("cpu-period", "USEC", "length of a CPU period"),
        option("cpu-quota", "USEC", "CPU time in a period, -1 for no limit"),
        option("cpu-burst", "USEC", "CPU time that may be saved for a period"),
        option("cpu-share", "N", "weight of CPU time, 2 to 262144"),
        option("cpu-rt-period", "USEC", "length of a realtime period (cgroup v1)"),
        option("cpu-rt-runtime", "USEC", "realtime CPU time in a period (cgroup v1)"),
        option("cpuset-cpus", "LIST", "CPUs to use"),
        option("cpuset-mems", "LIST", "memory nodes to use"),
        option("cpu-idle", "0|1", "1: run when nothing else does"),
        option("memory", "SIZE", "memory, such as 50M; -1 for no limit"),
        option("memory-reservation", "SIZE", "memory to be kept under pressure"),
        option("memory-swap", "SIZE", "memory and swap together; -1 for no limit"),
        option("kernel-memory", "SIZE", "has no effect").hide(true),
        option("kernel-memory-tcp", "SIZE", "has no effect").hide(true),
        option("pids-limit", "N", "processes; -1 for no limit"),
        option("l3-cache-schema", "SCHEMA", "share of the L3 cache (Intel RDT)"),
        option("mem-bw-schema", "SCHEMA", "share of the memory bandwidth (Intel RDT)"),
    ]
}
