//! Code that the commands share: output, options, and places.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use nix::sys::signal::Signal;

use crate::cli::{CreateArgs, Global, Number};
use crate::executor::Notify;
use crate::host::Host;
use crate::plan::{Limit, Options};
use crate::state::{Directory, Root};
use crate::sys::{self, Call};

use super::log::Log;

/// Why a command failed, and with which status the program ends.
#[derive(Debug)]
pub struct Failure {
    /// For the person or the engine that called.
    pub message: String,
    /// Exit status.
    pub status: u8,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure { message: format!("{error:#}"), status: 1 }
    }
}

/// Write to standard output, as a whole. A reader that went away ends the program as it does most others, runc and crun
/// among them: by SIGPIPE, without a word.
///
/// # Errors
/// A text that was not written in full: a reader must not take a part for all of it.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        sys::process::die_of(Signal::SIGPIPE);
    }
    written.named("write to standard output")
}

/// The containers that a command means.
pub enum Chosen<'a> {
    /// The one of this id.
    One(&'a str),
    /// With `--regex`: all whose ids match.
    Matching(&'a str),
}

impl<'a> Chosen<'a> {
    /// One id, or a pattern of ids.
    pub fn of(id: &'a str, regex: bool) -> Chosen<'a> {
        if regex { Chosen::Matching(id) } else { Chosen::One(id) }
    }
}

/// Do something to each of the containers. Of several that match, one that fails does not keep the others from their turn.
///
/// # Errors
/// Of one container its own; of many how many failed, when the log has told of each.
pub fn each(global: &Global, chosen: &Chosen<'_>, log: &Log, act: impl Fn(&Root, &str) -> Result<()>) -> Result<()> {
    let root = root(global)?;
    let text = match chosen {
        Chosen::One(id) => return act(&root, id),
        Chosen::Matching(text) => *text,
    };
    let pattern = sys::regex::Regex::new(text)?;
    // Without a state directory no id matches.
    let ids = root.ids().unwrap_or_default();
    let mut failed = 0;
    for id in ids.iter().filter(|id| pattern.matches(id)) {
        if let Err(error) = act(&root, id) {
            log.error(&format!("{id}: {error:#}"));
            failed += 1;
        }
    }
    if failed > 0 {
        bail!("{failed} of the containers that match {text:?} could not be dealt with");
    }
    Ok(())
}

/// Log warnings.
pub fn tell(log: &Log, warnings: impl IntoIterator<Item = String>) {
    for warning in warnings {
        log.warning(&warning);
    }
}

/// The state directory.
///
/// # Errors
/// A directory in `XDG_RUNTIME_DIR` that cannot be made.
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
    // The sticky bit keeps clean-up tools from the directory, as the XDG specification has it.
    std::fs::create_dir_all(&root)
        .and_then(|()| std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o1700)))
        .named(format_args!("{UNFIT}: {}", root.display()))?;
    Ok(Root(root))
}

/// Root of the host has `/run`; everybody else, and root of a user namespace unless it calls
/// itself `root`, has his own directory.
fn prefers_xdg() -> bool {
    let caller = Host::read().caller;
    caller.euid != 0 || caller.in_user_namespace && std::env::var_os("USER").is_none_or(|user| user != "root")
}

/// The bundle: absolute, without links.
pub fn bundle(option: Option<&Path>, argument: Option<&Path>) -> Result<PathBuf> {
    let bundle = match (option, argument) {
        (Some(_), Some(_)) => bail!("the bundle is given twice: as an argument and by --bundle"),
        (Some(bundle), None) | (None, Some(bundle)) => bundle,
        (None, None) => Path::new("."),
    };
    // The kernel's name of the working directory has no links in it.
    let real = if bundle == Path::new(".") { std::env::current_dir() } else { bundle.canonicalize() };
    real.named(format_args!("bundle {}", bundle.display()))
}

/// The file that `--config` names instead of the bundle's.
pub fn config(option: Option<&Path>) -> Result<Option<PathBuf>> {
    let absolute = |path: &Path| std::path::absolute(path).named(format_args!("--config {}", path.display()));
    option.map(absolute).transpose()
}

/// When the program of a container begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// When `start` opens the gate.
    AtStart,
    /// As soon as the state is saved.
    AtOnce,
}

/// The options of `create` and `run` that go into the plan.
pub fn options(global: &Global, args: &CreateArgs, host: &Host, bundle: PathBuf, begin: Begin) -> Result<Options> {
    let listen_fds = listen_fds();
    Ok(Options {
        id: args.id.clone(),
        bundle,
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

/// How many descriptors from 3 on are passed on: those of `--preserve-fds`, and `more`, up to the last that the caller has
/// opened. What is not open in between stays closed; what tare itself has opened there is closed by execve(2).
pub fn preserve_fds(option: &Number<u32>, more: u32) -> Result<u32> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    use nix::sys::resource::{Resource, getrlimit};
    let asked = option.get()?.unwrap_or(0).saturating_add(more);
    if asked == 0 {
        return Ok(0);
    }
    // No descriptor has a number above the hard limit, unless the limit was lowered since.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).named("getrlimit")?;
    let most = u32::try_from(most).unwrap_or(u32::MAX).saturating_sub(3).min(asked);
    // A descriptor of the caller has come through execve(2), so it is not close-on-exec.
    let given = |fd: &u32| {
        let flags = fcntl(sys::process::borrow(3 + *fd as i32), FcntlArg::F_GETFD);
        flags.is_ok_and(|flags| flags & FdFlag::FD_CLOEXEC.bits() == 0)
    };
    Ok((0..most).rfind(given).map_or(0, |last| last + 1))
}

/// The service manager's socket, if there is one to tell that the container is ready.
pub fn manager() -> Option<std::ffi::OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())
}

/// The container's own socket in its place, for a container that was made with one.
///
/// A manager that cannot be reached is a warning: the variable may be left over, or of another mount namespace.
pub fn bind_notify(directory: &Directory, log: &Log) -> Result<Option<Notify>> {
    let place = directory.notify();
    let Some(manager) = manager().filter(|_| place.is_dir()) else { return Ok(None) };
    match Notify::reach(&manager) {
        Ok(manager) => Notify::bind(&place, manager).map(Some),
        Err(error) => {
            log.warning(&format!("{error:#}; nobody will be told that the container is ready"));
            Ok(None)
        }
    }
}

/// Sockets that a service manager passes (sd_listen_fds(3)): only when they are meant for us.
fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") == Some(std::process::id()) { number("LISTEN_FDS").unwrap_or(0) } else { 0 }
}

/// `--rootless=auto`: whoever is not root of the host tolerates missing permissions.
fn rootless_cgroups(global: &Global, host: &Host) -> bool {
    global.rootless.unwrap_or(!host.caller.is_privileged())
}

/// Limits that the container gets as the caller has them, unless its config sets them.
fn callers_limits() -> Vec<Limit> {
    let raised = sys::limits::raised().iter();
    raised.map(|(resource, soft, hard)| Limit { resource: *resource as u32, soft: *soft, hard: *hard }).collect()
}

/// The options for joining a container.
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
