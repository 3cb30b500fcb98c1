//! The commands, and what each of them takes.

use std::path::PathBuf;

use clap::Arg;

#[cfg(feature = "image")]
use super::image::{DiffArgs, ImageArgs, PackArgs, PruneArgs, Rest, UnpackArgs};
use super::option::{Count, Line, Number, Opt, Takes, list, option, switch, takes, with_value};
use super::words::Placement;
use crate::tables::limit::{self, OptionKind, Scalar, UpdateOption};

/// A row of the table of commands.
pub struct Row {
    pub name: &'static str,
    /// The arguments, for the usage text.
    pub usage: &'static str,
    /// The description, for the help text.
    pub about: &'static str,
    pub arguments: Count,
    pub options: fn() -> Vec<Arg>,
    /// Makes the command from a command line that clap has accepted.
    pub take: fn(Line) -> Verb,
}

impl Row {
    /// If the number of arguments is unlimited, the last ones are another program's command line.
    pub fn placement(&self) -> Placement {
        if self.arguments.most.is_none() { Placement::First } else { Placement::Anywhere }
    }
}

/// The option of `run` with which the arguments are free.
pub const FREE: &str = "image";

/// Makes the enum of commands and the table of them from one list.
macro_rules! commands {
    ($($(#[$only:meta])? $verb:ident($args:ident) $name:literal $usage:literal $about:literal;)*) => {
        /// A command with its arguments and options.
        #[derive(Clone, Debug)]
        #[allow(missing_docs, reason = "the table says what a command does")]
        #[allow(clippy::large_enum_variant, reason = "a run of the program has one of it")]
        pub enum Verb {
            $($(#[$only])? $verb($args),)*
        }

        /// All commands, sorted by name.
        pub const COMMANDS: &[Row] = &[$($(#[$only])? Row {
            name: $name,
            usage: $usage,
            about: $about,
            arguments: $args::ARGUMENTS,
            options: $args::options,
            take: |mut line| Verb::$verb($args::take(&mut line)),
        },)*];
    };
}

commands! {
    Checkpoint(CheckpointArgs) "checkpoint" "<container-id>" "write a running container to files";
    Create(CreateArgs) "create" "<container-id> [bundle]" "create a container that waits for start";
    Delete(DeleteArgs) "delete" "<container-id>" "remove a container";
    #[cfg(feature = "image")]
    Diff(DiffArgs) "diff" "<bundle>|<container-id>" "list what the writable layer adds, changes and deletes";
    Events(EventsArgs) "events" "<container-id>" "show the statistics and OOM events of a container";
    Exec(ExecArgs) "exec" "<container-id> <command> [args...]" "run another process in a container";
    Features(NoArgs) "features" "" "show what this runtime supports";
    Kill(KillArgs) "kill" "<container-id> [signal]" "send a signal to a container";
    List(ListArgs) "list" "" "list containers";
    Mounts(MountsArgs) "mounts" "add|remove <container-id> <file>" "add mounts to a container or remove them";
    #[cfg(feature = "image")]
    Pack(PackArgs) "pack" "<bundle>|<container-id> <image>:<tag>" "write the layers of a container as an image";
    Pause(IdArgs) "pause" "<container-id>" "suspend all processes of a container";
    Plan(PlanArgs) "plan" "[bundle]" "show what create would do with a bundle, without doing it";
    #[cfg(feature = "image")]
    Prune(PruneArgs) "prune" "" "remove the layers that no bundle and no container uses";
    Ps(PsArgs) "ps" "<container-id> [ps options]" "list the processes of a container";
    Restore(RestoreArgs) "restore" "<container-id> [bundle]" "restore a container from a checkpoint";
    Resume(IdArgs) "resume" "<container-id>" "resume all processes of a container";
    Run(RunArgs) "run" "<container-id> [bundle]" "create and start a container";
    Setup(SetupArgs) "setup" "containerd|docker|kubernetes|podman" "print the configuration that makes an engine use this runtime";
    Spec(SpecArgs) "spec" "" "write a config.json as a template";
    Start(IdArgs) "start" "<container-id>" "run the program of a created container";
    State(IdArgs) "state" "<container-id>" "show the state of a container";
    #[cfg(feature = "image")]
    Unpack(UnpackArgs) "unpack" "<image> <bundle>" "make a bundle from an image";
    Update(UpdateArgs) "update" "<container-id>" "change the limits of a container";
}

takes! {
    /// The arguments of a command without any.
    NoArgs() {}
}

takes! {
    /// The argument of a command that takes one container.
    IdArgs(id: String) {}
}

takes! {
    /// `create`. The second argument, the bundle, exists in tare only.
    CreateArgs(id: String, bundle_argument: Option<PathBuf>) {
        bundle: Option<PathBuf> = bundle(),
        config: Option<PathBuf> = config(),
        console_socket: Option<String> = console_socket(),
        pidfd_socket: Option<String> =
            option("pidfd-socket", "SOCKET", "socket that receives a pidfd of the first process"),
        pid_file: Option<PathBuf> = pid_file(),
        preserve_fds: Number<u32> = option("preserve-fds", "N", "pass N more descriptors to the container"),
        layer: Vec<String> = layer(),
        upper: Option<PathBuf> = upper(),
        no_pivot: bool = switch("no-pivot", "move the root instead of exchanging it (for an initramfs)"),
        no_new_keyring: bool = switch("no-new-keyring", "keep the caller's session keyring"),
    }
}

#[cfg(feature = "image")]
takes! {
    /// `run`. With `--image` the id may be missing; the words after it are a command, of which the first one stands in
    /// place of the bundle.
    RunArgs(command: Rest) {
        ..create: CreateArgs,
        ..options: ImageArgs,
        image: Option<String> =
            option(FREE, "IMAGE", "unpack an image and run it: run --image IMAGE [container-id] [-- command [args...]]"),
        detach: bool = detach("do not wait for the container"),
        keep: bool = switch("keep", "do not delete the container after it exits"),
        no_subreaper: bool = no_subreaper(),
    }
}

#[cfg(not(feature = "image"))]
takes! {
    RunArgs() {
        ..create: CreateArgs,
        detach: bool = detach("do not wait for the container"),
        keep: bool = switch("keep", "do not delete the container after it exits"),
        no_subreaper: bool = no_subreaper(),
    }
}

takes! {
    /// The options that `checkpoint` and `restore` share.
    CriuArgs() {
        image_path: Option<PathBuf> = option("image-path", "DIR", "directory of the images (default: ./checkpoint)"),
        work_path: Option<PathBuf> = option("work-path", "DIR", "directory for logs and temporary files"),
        tcp_established: bool = switch("tcp-established", "allow open TCP connections"),
        tcp_close: bool = switch("tcp-close", "close TCP connections instead of keeping them"),
        ext_unix_sk: bool = switch("ext-unix-sk", "allow connections to unix sockets outside the container"),
        shell_job: bool = switch("shell-job", "allow a session that began outside the container"),
        file_locks: bool = switch("file-locks", "allow file locks"),
        manage_cgroups_mode: Option<String> =
            option("manage-cgroups-mode", "MODE", "how cgroups are restored: soft, full, strict or ignore"),
        empty_ns: Vec<String> = list("empty-ns", "KIND", "do not save the content of this namespace: network"),
        auto_dedup: bool = switch("auto-dedup", "keep each page of memory in one image only"),
        lazy_pages: bool = switch("lazy-pages", "transfer a page of memory when it is used"),
    }
}

takes! {
    CheckpointArgs(id: String) {
        ..criu: CriuArgs,
        parent_path: Option<PathBuf> =
            option("parent-path", "DIR", "directory of an earlier pre-dump, relative to the images"),
        leave_running: bool = switch("leave-running", "keep the container running"),
        tcp_skip_in_flight: bool =
            switch("tcp-skip-in-flight", "skip TCP connections that are not established yet"),
        link_remap: bool = switch("link-remap", "allow open files that are deleted, by links to them"),
        status_fd: Number<i32> = option("status-fd", "FD", "write a NUL byte there once lazy pages can be fetched"),
        page_server: Option<String> = option("page-server", "ADDRESS:PORT", "send the memory to this page server"),
        pre_dump: bool = switch("pre-dump", "write only the memory, and keep the container running"),
    }
}

takes! {
    RestoreArgs(id: String, bundle_argument: Option<PathBuf>) {
        ..criu: CriuArgs,
        bundle: Option<PathBuf> = bundle(),
        console_socket: Option<String> = console_socket(),
        pid_file: Option<PathBuf> = pid_file(),
        detach: bool = detach("do not wait for the container"),
        no_subreaper: bool = no_subreaper(),
        no_pivot: bool = switch("no-pivot", "move the root instead of exchanging it, as in an initramfs"),
        lsm_profile: Option<String> = option("lsm-profile", "TYPE:NAME", "replace the profile of the security module"),
        lsm_mount_context: Option<String> =
            option("lsm-mount-context", "CONTEXT", "replace the SELinux context of mounts"),
    }
}

takes! {
    DeleteArgs(id: String) {
        force: bool = switch("force", "kill the container first if it runs").short('f'),
        regex: bool = regex(),
    }
}

takes! {
    KillArgs(id: String, signal: Option<String>) {
        all: bool = switch("all", "a container that does not run is not an error").short('a'),
        regex: bool = regex(),
    }
}

takes! {
    ListArgs() {
        format: Option<String> = format(),
        quiet: bool = switch("quiet", "ids only").short('q'),
    }
}

takes! {
    PsArgs(id: String, options_of_ps: Vec<String>) {
        format: Option<String> = format(),
    }
}

takes! {
    MountsArgs(action: String, id: String, file: String) {}
}

takes! {
    SetupArgs(engine: String) {}
}

takes! {
    SpecArgs() {
        bundle: Option<PathBuf> = bundle(),
        rootless: bool = switch("rootless", "write a config for an ordinary user"),
    }
}

takes! {
    PlanArgs(bundle_argument: Option<PathBuf>) {
        bundle: Option<PathBuf> = bundle(),
        config: Option<PathBuf> = config(),
        id: Option<String> = option("id", "ID", "the container's id (default: the bundle's name)"),
        layer: Vec<String> = layer(),
        upper: Option<PathBuf> = upper(),
    }
}

takes! {
    ExecArgs(id: String, command: Vec<String>) {
        console_socket: Option<String> = console_socket(),
        cwd: Option<PathBuf> = option("cwd", "DIR", "working directory"),
        env: Vec<String> = list("env", "NAME=VALUE", "environment variable, may be repeated").short('e'),
        tty: bool = switch("tty", "run the process with a terminal").short('t'),
        user: Option<String> = option("user", "UID[:GID]", "user and group of the process, as numbers").short('u'),
        additional_gids: Vec<String> = list("additional-gids", "GID", "additional group, may be repeated").short('g'),
        process: Option<PathBuf> = option("process", "FILE", "read the whole process as JSON from this file").short('p'),
        detach: bool = detach("do not wait for the process"),
        pid_file: Option<PathBuf> = pid_file(),
        pidfd_socket: Option<String> = option("pidfd-socket", "SOCKET", "socket that receives a pidfd of the process"),
        process_label: Option<String> = option("process-label", "LABEL", "SELinux label"),
        apparmor: Option<String> = option("apparmor", "PROFILE", "AppArmor profile"),
        no_new_privs: Option<bool> = switch("no-new-privs", "set no_new_privs for the process"),
        cap: Vec<String> = list("cap", "CAP", "additional capability, may be repeated").short('c'),
        preserve_fds: Number<u32> = option("preserve-fds", "N", "pass N more descriptors to the process"),
        cgroup: Vec<String> = list(
            "cgroup",
            "[CTRL,...:]PATH",
            "cgroup below the container's; with controllers it may be repeated (v1)",
        ),
        ignore_paused: bool = switch("ignore-paused", "run the process in a paused container, too"),
    }
}

takes! {
    EventsArgs(id: String) {
        interval: Option<String> =
            option("interval", "DURATION", "time between two statistics, for example 5s (the default) or 1m30s"),
        stats: bool = switch("stats", "show the statistics once"),
    }
}

takes! {
    /// The option of `update` that reads limits in the form of `config.json`.
    ResourcesArgs() {
        resources: Option<String> = option(
            "resources",
            "FILE",
            "read linux.resources from FILE (-: standard input), and ignore the other options",
        )
        .short('r'),
    }
}

takes! {
    UpdateArgs(id: String) {
        ..from: ResourcesArgs,
        ..limits: Limits,
        l3_cache_schema: Option<String> = option("l3-cache-schema", "SCHEMA", "share of the L3 cache (Intel RDT)"),
        mem_bw_schema: Option<String> =
            option("mem-bw-schema", "SCHEMA", "share of the memory bandwidth (Intel RDT)"),
    }
}

/// The limits on the command line: the field, its option and the value's text.
#[derive(Clone, Debug, Default)]
pub struct Limits(pub Vec<(&'static Scalar, &'static UpdateOption, String)>);

impl Takes for Limits {
    const ARGUMENTS: Count = Count::NONE;

    fn options() -> Vec<Arg> {
        let arg = |option: &UpdateOption| {
            with_value(option.name, option.value, option.help).hide(option.kind == OptionKind::Ignored)
        };
        limit::options().iter().map(|(_, option)| arg(option)).collect()
    }

    fn take(line: &mut Line) -> Self {
        let given = limit::options().into_iter().filter_map(|(scalar, option)| {
            let text = line.options.remove_one::<String>(option.name)?;
            Some((scalar, option, text))
        });
        Limits(given.filter(|(.., text)| !text.is_empty()).collect())
    }
}

fn bundle() -> Opt<Option<PathBuf>> {
    option("bundle", "DIR", "directory of the bundle (default: the working directory)").short('b')
}

fn config() -> Opt<Option<PathBuf>> {
    option("config", "FILE", "the config (default: config.json of the bundle)").short('f')
}

fn layer() -> Opt<Vec<String>> {
    list("layer", "DIR", "layer of the root, the base first, may be repeated")
}

fn upper() -> Opt<Option<PathBuf>> {
    option("upper", "DIR", "writable layer of the root, which stays if it exists")
}

fn pid_file() -> Opt<Option<PathBuf>> {
    option("pid-file", "FILE", "write the pid of the process to this file")
}

fn console_socket() -> Opt<Option<String>> {
    option("console-socket", "SOCKET", "socket that receives the terminal")
}

fn detach(help: &'static str) -> Opt<bool> {
    switch("detach", help).short('d')
}

fn no_subreaper() -> Opt<bool> {
    switch("no-subreaper", "do not reap the container's orphans")
}

fn regex() -> Opt<bool> {
    switch("regex", "the id is a regular expression, for all containers that match").short('r')
}

fn format() -> Opt<Option<String>> {
    option("format", "FORMAT", "table or json").short('f')
}
