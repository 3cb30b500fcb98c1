//! Hooks: child processes in the runtime's namespaces, or processes that `init` starts in the container's.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::exec::{Joining, exec};
use super::receivers::Receivers;
use super::wait::wait_for_exit;
use crate::plan::{Exec, Facts, Hook, HookEntry, HookRights, Options, ProcessPlan};
use crate::spec::{Config, Field, Ids, annotation};
use crate::state::{Record, Status};
use crate::sys::{self, Call, CallError};
use crate::tables::{hook, signal};
use crate::trace;

/// The container that the hooks belong to.
#[derive(Clone, Copy)]
pub struct HookOwner<'a> {
    pub record: &'a Record,
    pub config: &'a Config,
    pub facts: &'a Facts,
    pub options: &'a Options,
}

/// Runs `prestart`, `createRuntime` and `createContainer`, in this order, up to the first failure.
pub fn before_pivot(owner: &HookOwner<'_>) -> Result<()> {
    once_there_are_namespaces(owner.record)?;
    all_inside(hook::CREATE_CONTAINER, &owner.record.hooks.create_container, owner, Status::Creating)
}

/// Runs `prestart` and `createRuntime`: the hooks of a restored container, whose root is complete.
pub fn once_there_are_namespaces(record: &Record) -> Result<()> {
    let hooks = &record.hooks;
    // `prestart` is older than the status `creating`. Its hooks get `created`, as in earlier versions of the
    // specification and in the validation suite.
    for (name, list, status) in [
        (hook::PRESTART, &hooks.prestart, Status::Created),
        (hook::CREATE_RUNTIME, &hooks.create_runtime, Status::Creating),
    ] {
        let state = record.for_hooks(status);
        for (index, hook) in list.iter().enumerate() {
            trace::wait(format_args!("hooks.{name}[{index}]"), || run(hook, record, &state))
                .with_context(|| failed(name, index))?;
        }
    }
    Ok(())
}

/// Runs `startContainer`: in the container, before the user's program.
pub fn start_container(owner: &HookOwner<'_>) -> Result<()> {
    all_inside(hook::START_CONTAINER, &owner.record.hooks.start_container, owner, Status::Created)
}

fn all_inside(name: &str, list: &[Hook], owner: &HookOwner<'_>, status: Status) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let state = owner.record.for_hooks(status);
    for (index, hook) in list.iter().enumerate() {
        let inside = InsideHook { owner: *owner, status };
        trace::wait(format_args!("hooks.{name}[{index}]"), || run_inside(name, index, hook, &inside, &state))?;
    }
    Ok(())
}

/// Runs `poststart`: after the user's program has started, up to the first failure, which ends the container.
pub fn poststart(record: &Record) -> Result<()> {
    let state = record.for_hooks(Status::Running);
    for (index, hook) in record.hooks.poststart.iter().enumerate() {
        let run = || run(hook, record, &state);
        trace::wait(format_args!("hooks.{}[{index}]", hook::POSTSTART), run)
            .with_context(|| failed(hook::POSTSTART, index))?;
    }
    Ok(())
}

/// Runs `poststop`: after the container is removed. All of them run; failures are returned as warnings (runtime.md).
pub fn poststop(record: &Record) -> Result<Vec<String>> {
    let state = record.for_hooks(Status::Stopped);
    let mut warnings = Vec::new();
    for (index, hook) in record.hooks.poststop.iter().enumerate() {
        if let Err(error) = trace::wait(format_args!("hooks.{}[{index}]", hook::POSTSTOP), || run(hook, record, &state))
        {
            warnings.push(format!("{}: {error:#}", failed(hook::POSTSTOP, index)));
        }
    }
    Ok(warnings)
}

fn failed(name: &str, index: usize) -> String {
    format!("hooks.{name}[{index}]: error running {name} hook #{index}")
}

/// The standard descriptors of a hook. They are never the caller's, which may be a terminal: a hook may be a program of
/// the image.
struct HookStdio {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    /// The hook's standard error, unless it goes to a file. A message about a failure quotes it.
    errors: Option<Receiver<Vec<u8>>>,
}

/// The maximum number of bytes to quote.
const TOLD: u64 = 64 << 10;

impl HookStdio {
    /// `inside` is the config of the container, for a hook that runs in it. Output that no annotation asks for then
    /// goes to a pipe and not to the host's null device: through that descriptor the hook could change the mode of the
    /// device.
    fn new(record: &Record, state: &[u8], inside: Option<&Config>) -> Result<HookStdio> {
        let owner = inside.and_then(Config::mapped_root);
        let (stdin, state_to) = pipe(owner, 0)?;
        let state = state.to_vec();
        // In a thread: the state may be larger than a pipe's buffer, and a hook need not read it.
        thread(move || drop(File::from(state_to).write_all(&state)))?;
        let stdout = match output(record, annotation::HOOKS_STDOUT)? {
            Some(file) => file.into(),
            None if inside.is_none() => {
                let null = File::options().write(true).open("/dev/null");
                null.named("open /dev/null")?.into()
            }
            None => {
                let (said, stdout) = pipe(owner, 1)?;
                thread(move || drop(std::io::copy(&mut File::from(said), &mut std::io::sink())))?;
                stdout
            }
        };
        let (stderr, errors) = match output(record, annotation::HOOKS_STDERR)? {
            Some(file) => (file.into(), None),
            None => {
                let (said, stderr) = pipe(owner, 1)?;
                let (sender, receiver) = channel();
                thread(move || {
                    let (mut said, mut text) = (File::from(said), Vec::new());
                    let _ = (&said).take(TOLD).read_to_end(&mut text);
                    // Discard the rest, so that the hook never blocks.
                    let _ = std::io::copy(&mut said, &mut std::io::sink());
                    let _ = sender.send(text);
                })?;
                (stderr, Some(receiver))
            }
        };
        Ok(HookStdio { stdin, stdout, stderr, errors })
    }
}

/// The hook's output, for a message. A process that the hook has left running may keep the pipe open.
fn said(errors: Option<Receiver<Vec<u8>>>) -> String {
    let errors = errors.and_then(|errors| errors.recv_timeout(Duration::from_millis(500)).ok()).unwrap_or_default();
    match String::from_utf8_lossy(&errors).trim() {
        "" => String::new(),
        errors => format!(", stderr: {}", errors.replace('\n', "; ")),
    }
}

/// Makes a pipe, the read end first. The end with the index `theirs` gets the owner `owner`, so that the hook can open
/// it by a name such as /dev/stderr.
fn pipe(owner: Option<Ids>, theirs: usize) -> Result<(OwnedFd, OwnedFd)> {
    let ends = nix::unistd::pipe2(OFlag::O_CLOEXEC).named("pipe")?;
    if let Some(Ids { uid, gid }) = owner {
        // An unprivileged user owns the pipe already.
        let _ = nix::unistd::fchown(if theirs == 0 { &ends.0 } else { &ends.1 }, Some(uid), Some(gid));
    }
    Ok(ends)
}

fn thread(copies: impl FnOnce() + Send + 'static) -> Result<()> {
    sys::process::thread(copies).map(drop).named("start a thread")
}

/// The output file that an annotation names, if any.
fn output(record: &Record, annotation: &str) -> Result<Option<File>> {
    let Some(path) = record.annotations.get(annotation) else { return Ok(None) };
    let open = File::options().append(true).create(true).mode(0o600).open(path);
    open.map(Some).named(format_args!("annotations.{annotation}: open {path}"))
}

/// Runs a hook as a child of this process.
fn run(hook: &Hook, record: &Record, state: &[u8]) -> Result<()> {
    // The hook must not inherit descriptors that are for the container.
    sys::process::close_on_exec_from(3).named("close_range")?;
    sys::process::expect_children();
    let HookStdio { stdin, stdout, stderr, errors } = HookStdio::new(record, state, None)?;
    let mut command = Command::new(&hook.path);
    sys::process::start_as_called(&mut command);
    command.arg0(&hook.args[0]).args(&hook.args[1..]).env_clear().stdin(stdin).stdout(stdout).stderr(stderr);
    for entry in hook.env.iter().flatten() {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        command.env(name, value);
    }
    if record.bundle.is_dir() {
        command.current_dir(&record.bundle);
    }
    let mut child = command.spawn().named(hook.path.display())?;
    // This drops the runtime's copies of the hook's ends.
    drop(command);
    let ended = sys::process::pidfd_open(child.id() as i32)
        .named("pidfd_open")
        .and_then(|pidfd| wait_for_exit(pidfd.as_fd(), timeout(hook)));
    if !matches!(ended, Ok(true)) {
        let _ = child.kill();
        let _ = child.wait();
        ended?;
        bail!("timed out after {} seconds", hook.timeout.unwrap_or_default());
    }
    let status = child.wait().map_err(sys::io)?;
    if status.success() {
        return Ok(());
    }
    let how = exit_text(status.code(), std::os::unix::process::ExitStatusExt::signal(&status));
    bail!("{how}{}", said(errors))
}

fn exit_text(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (Some(code), _) => format!("exit status {code}"),
        (None, signal) => format!("signal: {}", signal::text(signal.unwrap_or_default())),
    }
}

fn timeout(hook: &Hook) -> Option<Duration> {
    hook.timeout.map(Duration::from_secs)
}

/// Context of a hook that runs inside the container.
struct InsideHook<'a> {
    owner: HookOwner<'a>,
    status: Status,
}

/// Runs a hook in the namespaces of the container.
fn run_inside(name: &str, index: usize, hook: &Hook, inside: &InsideHook<'_>, state: &[u8]) -> Result<()> {
    let plan = plan_inside(name, index, hook, &inside.owner)?;
    run_planned(hook, inside, &plan, state).with_context(|| failed(name, index))
}

fn plan_inside(name: &str, index: usize, hook: &Hook, owner: &HookOwner<'_>) -> Result<ProcessPlan> {
    let HookOwner { record, config, facts, options } = *owner;
    let field = Field::item(format!("hooks.{name}"), index);
    // As in runc, a startContainer hook without `env` gets the container's environment.
    let process = Some(config.process()).filter(|_| name == hook::START_CONTAINER);
    let (env, home) = match (&hook.env, process) {
        (Some(env), _) => (env.clone(), None),
        (None, Some(process)) => (process.env().clone().unwrap_or_default(), Some(process.user().uid())),
        (None, None) => (Vec::new(), None),
    };
    let path = hook.path.to_string_lossy();
    // Before pivot_root the container's root is an ordinary directory, in which a createContainer hook starts.
    let rootfs = record.rootfs.to_string_lossy();
    let rights = match process {
        Some(process) => HookRights::Process(process),
        None => HookRights::All {
            cwd: if name == hook::CREATE_CONTAINER { &rootfs } else { "/" },
            umask: sys::process::umask().bits(),
        },
    };
    let attaches_late = super::exec::attaches_late(record);
    let cgroups = record.cgroup.host_dirs();
    let container = Exec { config, facts, options, pid: record.pid, cgroups, attaches_late };
    container.hook(&HookEntry { field: &field, path: &path, args: &hook.args, env: &env, home, rights })
}

fn run_planned(hook: &Hook, inside: &InsideHook<'_>, plan: &ProcessPlan, state: &[u8]) -> Result<()> {
    let HookOwner { record, config, .. } = inside.owner;
    let place = record.cgroup.place(&[], record.pid)?;
    let HookStdio { stdin, stdout, stderr, errors } = HookStdio::new(record, state, Some(config))?;
    let joining = Joining {
        record,
        status: inside.status,
        plan,
        place: &place,
        stdio: [Some(stdin.as_fd()), Some(stdout.as_fd()), Some(stderr.as_fd())],
        receivers: &Receivers::default(),
        mounted: None,
    };
    sys::process::expect_children();
    // The warnings of the start are dropped. They are about fields of `process`, such as a refused OOM score, and
    // `create` has already warned about the container's. Hooks of runc and crun inherit these attributes without a
    // warning.
    let child = exec(&joining, |_| Ok(()))?.child;
    drop((stdin, stdout, stderr));
    let pid = Pid::from_raw(child.pid);
    let ended = wait_for_exit(child.pidfd.as_fd(), timeout(hook));
    if !matches!(ended, Ok(true)) {
        // Its pid namespace, the container's, does not end before it is reaped.
        let _ = sys::process::pidfd_send_signal(child.pidfd.as_fd(), libc::SIGKILL);
        let _ = sys::again(|| waitpid(pid, None));
        ended?;
        bail!("timed out after {} seconds", hook.timeout.unwrap_or_default());
    }
    match sys::again(|| waitpid(pid, None)) {
        Ok(WaitStatus::Exited(_, 0)) => Ok(()),
        Ok(WaitStatus::Exited(_, code)) => bail!("{}{}", exit_text(Some(code), None), said(errors)),
        Ok(WaitStatus::Signaled(_, signal, _)) => bail!("{}{}", exit_text(None, Some(signal as i32)), said(errors)),
        Ok(other) => bail!("waitpid: {other:?}"),
        Err(errno) => bail!(CallError::new("waitpid", errno)),
    }
}
