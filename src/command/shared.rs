//! Code that the commands share: output, options, and places.

use std::io::IoSlice;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use crate::cli::{CreateArgs, Global, Number};
use crate::executor::Notify;
use crate::host::Host;
use crate::plan::{Limit, Options};
use crate::state::{Directory, Root};
use crate::sys::{self, Call, Errno};

use super::log::Log;

/// A failed command: the message and the exit status.
#[derive(Debug)]
pub struct Failure {
    /// The error message, for the caller.
    pub message: String,
    /// The exit status of the runtime.
    pub status: u8,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure { message: format!("{error:#}"), status: 1 }
    }
}

/// Writes a text to standard output, as a whole. If the reader has closed its end, SIGPIPE ends the runtime without a
/// message, as it ends runc, crun and most other programs.
///
/// # Errors
/// A text that was not written in full: a reader must not take a part for the whole.
pub fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// [`print`] for a text that is not known to be UTF-8.
///
/// # Errors
/// As for [`print`].
pub fn print_bytes(text: &[u8]) -> Result<()> {
    // The standard library's buffer would write the last line on its own. A reader that has found its word by then,
    // such as `grep -q`, is gone, and the command dies of SIGPIPE.
    let stdout = std::io::stdout();
    let written = sys::write_all(stdout.as_fd(), &mut [IoSlice::new(text)]);
    if written == Err(Errno::EPIPE) {
        sys::process::die_of(Signal::SIGPIPE);
    }
    written.named("write to standard output")
}

/// The containers that a command acts on.
pub enum Chosen<'a> {
    /// The container with this id.
    One(&'a str),
    /// With `--regex`: all containers whose ids match.
    Matching(&'a str),
}

impl<'a> Chosen<'a> {
    pub fn of(id: &'a str, regex: bool) -> Chosen<'a> {
        if regex { Chosen::Matching(id) } else { Chosen::One(id) }
    }
}

/// Does something to each of the containers. If several match, a failure of one does not stop the others.
///
/// # Errors
/// For one container, its error. For several, the number of failures; the log has each of them.
pub fn each(global: &Global, chosen: &Chosen<'_>, log: &Log, act: impl Fn(&Root, &str) -> Result<()>) -> Result<()> {
    let root = root(global)?;
    let text = match chosen {
        Chosen::One(id) => return act(&root, id),
        Chosen::Matching(text) => *text,
    };
    let pattern = sys::regex::Regex::new(text)?;
    // Without a state directory there is no container to match.
    let ids = root.ids().unwrap_or_default();
    let mut failed = 0;
    for id in ids.iter().filter(|id| pattern.matches(id)) {
        if let Err(error) = act(&root, id) {
            log.error(&format!("{id}: {error:#}"));
            failed += 1;
        }
    }
    if failed > 0 {
        bail!("the command failed for {failed} of the containers that match {text:?}");
    }
    Ok(())
}

pub fn tell(log: &Log, warnings: impl IntoIterator<Item = String>) {
    for warning in warnings {
        log.warning(&warning);
    }
}

/// The state directory of this caller.
///
/// # Errors
/// A directory in `XDG_RUNTIME_DIR` that cannot be created.
pub fn root(global: &Global) -> Result<Root> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(root) = &global.root {
        return Ok(Root(root.clone()));
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    let Some(runtime) = runtime.filter(|_| prefers_xdg()) else {
        return Ok(Root(Path::new("/run").join(&global.name)));
    };
    const UNFIT: &str = "the path in $XDG_RUNTIME_DIR must be writable by the user";
    let root = Path::new(&runtime).join(&global.name);
    let root = std::path::absolute(&root).named(format_args!("{UNFIT}: {}", root.display()))?;
    // The sticky bit keeps clean-up tools from removing the directory, as the XDG specification describes.
    std::fs::create_dir_all(&root)
        .and_then(|()| std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o1700)))
        .named(format_args!("{UNFIT}: {}", root.display()))?;
    Ok(Root(root))
}

/// Root of the host uses `/run`. An ordinary user has a directory of its own, and so has root of a user namespace
/// unless `USER` is `root`.
fn prefers_xdg() -> bool {
    let caller = Host::read().caller;
    caller.euid != 0 || caller.in_user_namespace && std::env::var_os("USER").is_none_or(|user| user != "root")
}

/// The path of the bundle: absolute, without links.
pub fn bundle(option: Option<&Path>, argument: Option<&Path>) -> Result<PathBuf> {
    let bundle = match (option, argument) {
        (Some(_), Some(_)) => bail!("the bundle is given twice: as an argument and by --bundle"),
        (Some(bundle), None) | (None, Some(bundle)) => bundle,
        (None, None) => Path::new("."),
    };
    // getcwd(2) returns a path without links.
    let real = if bundle == Path::new(".") { std::env::current_dir() } else { bundle.canonicalize() };
    real.named(format_args!("bundle {}", bundle.display()))
}

/// The absolute path that `--config` gives, used instead of `config.json` of the bundle.
pub fn config(option: Option<&Path>) -> Result<Option<PathBuf>> {
    option.map(|path| absolute("--config", path)).transpose()
}

/// The path that an option gives, which is relative to the working directory.
fn absolute(option: &str, path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).named(format_args!("{option} {}", path.display()))
}

/// The moment at which the user's program begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// When `start` opens the gate.
    AtStart,
    /// As soon as the record is saved.
    AtOnce,
}

/// The options of the plan, from the command line of `create` or `run`.
pub fn options(global: &Global, args: &CreateArgs, host: &Host, bundle: PathBuf, begin: Begin) -> Result<Options> {
    let listen_fds = listen_fds();
    Ok(Options {
        id: args.id.clone(),
        bundle,
        layers: args.layer.iter().map(|layer| absolute("--layer", Path::new(layer))).collect::<Result<_>>()?,
        upper: args.upper.as_deref().map(|upper| absolute("--upper", upper)).transpose()?,
        no_pivot: args.no_pivot,
        no_new_keyring: args.no_new_keyring,
        preserve_fds: preserve_fds(&args.preserve_fds, listen_fds)?,
        callers_limits: callers_limits(),
        listen_fds,
        notify: None,
        gate: begin == Begin::AtStart,
        config_file: config(args.config.as_deref())?,
        program: global.name.clone(),
        systemd_cgroup: global.systemd_cgroup,
        no_cgroup: global.no_cgroup,
        rootless_cgroups: rootless_cgroups(global, host),
    })
}

/// The number of descriptors, from 3 on, that the container inherits: those of `--preserve-fds` plus `more`, but none
/// above the last that the caller has opened. A number in between that is not open stays closed. Descriptors that the
/// runtime itself has opened there are closed by execve(2).
pub fn preserve_fds(option: &Number<u32>, more: u32) -> Result<u32> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use nix::sys::resource::{Resource, getrlimit};
    let asked = option.get()?.unwrap_or(0).saturating_add(more);
    if asked == 0 {
        return Ok(0);
    }
    // No descriptor has a number above the hard limit, unless the limit was lowered after the descriptor was opened.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).named("getrlimit")?;
    let most = u32::try_from(most).unwrap_or(u32::MAX).saturating_sub(3).min(asked);
    // A descriptor of the caller has survived execve(2), so it is not close-on-exec.
    let given = |fd: &u32| {
        let flags = fcntl(sys::process::borrow(3 + *fd as i32), FcntlArg::F_GETFD);
        flags.is_ok_and(|flags| flags & FdFlag::FD_CLOEXEC.bits() == 0)
    };
    Ok((0..most).rfind(given).map_or(0, |last| last + 1))
}

/// The socket of the service manager that waits for `READY=1`.
pub fn manager() -> Option<std::ffi::OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())
}

/// Binds the container's own notify socket, if the container was created with one.
///
/// An unreachable manager is a warning only: the variable may be inherited from another service, or its path may be of
/// another mount namespace.
pub fn bind_notify(directory: &Directory, log: &Log) -> Result<Option<Notify>> {
    let place = directory.notify();
    let Some(manager) = manager().filter(|_| place.is_dir()) else { return Ok(None) };
    match Notify::reach(&manager) {
        Ok(manager) => Notify::bind(&place, manager).map(Some),
        Err(error) => {
            log.warning(&format!("{error:#}; the service manager will not be told that the container is ready"));
            Ok(None)
        }
    }
}

/// The number of sockets that a service manager passes to this process (sd_listen_fds(3)).
fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") == Some(std::process::id()) { number("LISTEN_FDS").unwrap_or(0) } else { 0 }
}

/// Whether missing permissions for cgroups are tolerated. `--rootless=auto` tolerates them unless the caller is root of
/// the host.
fn rootless_cgroups(global: &Global, host: &Host) -> bool {
    global.rootless.unwrap_or(!host.caller.is_privileged())
}

/// The caller's resource limits that the container gets unless its config sets them.
fn callers_limits() -> Vec<Limit> {
    let raised = sys::limits::raised().iter();
    raised.map(|(resource, soft, hard)| Limit { resource: *resource as u32, soft: *soft, hard: *hard }).collect()
}

/// The options of the plan for a process that joins a container.
pub fn joining_options(global: &Global, host: &Host, id: &str, bundle: PathBuf) -> Options {
    Options {
        id: id.to_owned(),
        bundle,
        program: global.name.clone(),
        rootless_cgroups: rootless_cgroups(global, host),
        callers_limits: callers_limits(),
        ..Options::default()
    }
}
