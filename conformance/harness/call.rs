//! One call of the runtime's command line, with a time limit.

use super::lacking::{self, Lacking};
use super::{Receiver, Result, View, check, machine, runtime};
use anyhow::{Context, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigHandler, Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A runtime that has not ended after so many seconds counts as hanging.
const PATIENCE: u32 = 20;

/// A call of the runtime that has not been made yet.
///
/// Its output goes to files, not pipes: a container that runs on keeps its end of a pipe open.
pub struct Call {
    command: Command,
    line: String,
    stdout: Option<PathBuf>,
    stderr: Option<PathBuf>,
    terminal: Option<OwnedFd>,
    patience: u32,
    /// The system calls that it lacks, unless they are denied already.
    pub(super) lacking: Option<Lacking>,
}

impl Call {
    /// The runtime with these arguments.
    pub fn new<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        Self { lacking: lacking::asked().cloned(), ..Self::of(&runtime::get().path, args) }
    }

    /// Another program with these arguments.
    pub fn of<S: AsRef<OsStr>>(program: &Path, args: impl IntoIterator<Item = S>) -> Self {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).env_remove("NOTIFY_SOCKET").env_remove("LISTEN_FDS");
        let (line, patience) = (String::new(), PATIENCE);
        Self { command, line, stdout: None, stderr: None, terminal: None, patience, lacking: None }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, key: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    pub fn no_env(mut self) -> Self {
        self.command.env_clear();
        self
    }

    pub fn current_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Gives the call this text as standard input.
    pub fn stdin(mut self, text: &str) -> Result<Self> {
        let mut file = tempfile::tempfile()?;
        file.write_all(text.as_bytes())?;
        file.rewind()?;
        self.command.stdin(file);
        Ok(self)
    }

    /// Appends standard output and standard error to these files, which the caller of this function reads.
    pub fn output_to(mut self, stdout: PathBuf, stderr: PathBuf) -> Self {
        (self.stdout, self.stderr) = (Some(stdout), Some(stderr));
        self
    }

    /// Sets standard input.
    pub fn stdin_from(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Adds `--console-socket` with the path of this receiver.
    pub fn console(self, receiver: &Receiver) -> Self {
        self.arg("--console-socket").arg(&receiver.path)
    }

    /// Makes the call at a terminal. A file that was named for the output then gets standard output alone.
    pub fn at_terminal(mut self, terminal: OwnedFd) -> Self {
        // SAFETY: setsid(2) and ioctl(2) are async-signal-safe system calls; standard error is the terminal by then.
        unsafe {
            self.command.pre_exec(|| match libc::setsid() != -1 && libc::ioctl(2, libc::TIOCSCTTY, 0) != -1 {
                true => Ok(()),
                false => Err(std::io::Error::last_os_error()),
            });
        }
        self.terminal = Some(terminal);
        self
    }

    /// Runs a function in the child before execve(2). The function must not allocate memory or take locks.
    pub fn in_child(mut self, act: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        // SAFETY: the functions that callers pass make system calls only.
        unsafe {
            self.command.pre_exec(act);
        }
        self
    }

    /// Makes the call as an ordinary user without supplementary groups. Steps that were added before run as root.
    pub fn user(self, uid: u32) -> Self {
        // Only root may load a filter without no_new_privs.
        let mut call = self.deny_what_lacks();
        // SAFETY: three async-signal-safe system calls, in a child with one thread.
        unsafe {
            call.command.pre_exec(move || {
                let done =
                    libc::setgroups(0, std::ptr::null()) == 0 && libc::setgid(uid) == 0 && libc::setuid(uid) == 0;
                if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
        call
    }

    fn deny_what_lacks(mut self) -> Self {
        match self.lacking.take() {
            Some(lacking) => self.after(lacking.loader()),
            None => self,
        }
    }

    /// Makes the call from this cgroup, also if the user of the call may not enter it.
    pub fn in_cgroup(mut self, dir: &Path) -> Result<Self> {
        let mut procs = File::options().write(true).open(dir.join("cgroup.procs"))?;
        // SAFETY: write(2) to an open file is async-signal-safe. The kernel checks the rights of the process that
        // opened the file.
        unsafe {
            self.command.pre_exec(move || procs.write_all(b"0"));
        }
        Ok(self)
    }

    /// Makes the call with this signal ignored.
    pub fn ignoring(self, signal: Signal) -> Self {
        self.taking(signal, SigHandler::SigIgn)
    }

    /// Makes the call with this action for a signal. A runtime inherits ignored signals.
    pub fn taking(mut self, signal: Signal, so: SigHandler) -> Self {
        // SAFETY: signal(2) is one async-signal-safe system call.
        unsafe {
            self.command.pre_exec(move || Ok(nix::sys::signal::signal(signal, so).map(drop)?));
        }
        self
    }

    /// Makes the call with this view of the cgroup hierarchies.
    pub fn view(mut self, view: View) -> Self {
        if let (View::Unified, Some(namespace)) = (view, &machine::get().unified) {
            let namespace: BorrowedFd<'static> = namespace.as_fd();
            // SAFETY: setns(2) is one async-signal-safe system call, and the child has one thread.
            unsafe {
                self.command.pre_exec(move || Ok(setns(namespace, CloneFlags::CLONE_NEWNS)?));
            }
        }
        self
    }

    /// Makes the call in a mount namespace where this file of the machine, if it exists, is covered by /dev/null.
    pub fn hiding(mut self, file: &'static std::ffi::CStr) -> Self {
        // SAFETY: unshare(2) and mount(2) are system calls on static texts; the child has one thread.
        unsafe {
            self.command.pre_exec(move || {
                unshare(CloneFlags::CLONE_NEWNS)?;
                let null = Some(c"/dev/null");
                match nix::mount::mount(null, file, None::<&str>, nix::mount::MsFlags::MS_BIND, None::<&str>) {
                    Err(Errno::ENOENT) | Ok(()) => Ok(()),
                    Err(errno) => Err(errno.into()),
                }
            });
        }
        self
    }

    /// Makes the call in a mount namespace where a tmpfs covers this directory.
    pub fn covering(mut self, directory: &Path) -> Result<Self> {
        let directory = std::ffi::CString::new(directory.as_os_str().as_bytes())?;
        // SAFETY: unshare(2) and mount(2) are system calls on texts that live as long as the closure; the child has one
        // thread.
        unsafe {
            self.command.pre_exec(move || {
                unshare(CloneFlags::CLONE_NEWNS)?;
                let flags = nix::mount::MsFlags::empty();
                nix::mount::mount(None::<&str>, directory.as_c_str(), Some("tmpfs"), flags, None::<&str>)?;
                Ok(())
            });
        }
        Ok(self)
    }

    /// Makes the call as root of a new user namespace in which only root is mapped.
    pub fn by_root_elsewhere(mut self) -> Self {
        // SAFETY: unshare(2) and three writes of short paths, which allocate nothing; the child has one thread.
        unsafe {
            self.command.pre_exec(|| {
                unshare(CloneFlags::CLONE_NEWUSER)?;
                fs::write("/proc/self/setgroups", "deny")?;
                fs::write("/proc/self/gid_map", "0 0 1")?;
                fs::write("/proc/self/uid_map", "0 0 1")
            });
        }
        self
    }

    /// Makes the call as root without CAP_MKNOD in the bounding set.
    pub fn without_mknod(self) -> Self {
        const CAP_MKNOD: libc::c_ulong = 27;
        // SAFETY: prctl(2) takes integers only here.
        self.after(|| match unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_MKNOD, 0, 0, 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        })
    }

    /// Makes the call under a seccomp filter that fails one system call. If `first` is given, the filter fails it only
    /// with this first argument.
    pub fn denying(self, number: libc::c_long, first: Option<u32>, errno: Errno) -> Self {
        const LOAD: u16 = 0x20;
        const JUMP_IF_EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        const ERRNO: u32 = 0x0005_0000;
        const ALLOW: u32 = 0x7fff_0000;
        let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
        let filter = [
            step(LOAD, 0, 0),
            step(JUMP_IF_EQUAL, 3, number as u32),
            step(LOAD, 0, 16),
            step(JUMP_IF_EQUAL, 1, first.unwrap_or_default()),
            step(RETURN, 0, ERRNO | errno as u32),
            step(RETURN, 0, ALLOW),
        ];
        let any = [filter[0], step(JUMP_IF_EQUAL, 1, number as u32), filter[4], filter[5]];
        self.after(move || {
            let steps = if first.is_some() { &filter[..] } else { &any[..] };
            let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_ptr().cast_mut() };
            // SAFETY: the program lives until the call returns. Root may load a filter without no_new_privs.
            match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        })
    }

    /// Makes the call without the descriptors that this program inherited, except for the standard ones.
    pub fn closing_all(self) -> Self {
        const CLOSE_RANGE_CLOEXEC: u32 = 4;
        self.after(|| {
            // SAFETY: close_range(2) takes integers only; it closes nothing before execve(2).
            match unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, CLOSE_RANGE_CLOEXEC) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        })
    }

    /// Makes the call with these resource limits.
    pub fn limiting(self, resource: nix::sys::resource::Resource, soft: u64, hard: u64) -> Self {
        self.after(move || Ok(nix::sys::resource::setrlimit(resource, soft, hard)?))
    }

    /// Runs a function in the child before execve(2). It may make system calls, and must not take locks.
    pub fn after(mut self, step: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static) -> Self {
        // SAFETY: the functions that callers pass make system calls only; the child has one thread.
        unsafe {
            self.command.pre_exec(step);
        }
        self
    }

    /// Sets the time limit, in seconds.
    pub fn patience(mut self, seconds: u32) -> Self {
        self.patience = seconds;
        self
    }

    /// Passes an open file to the runtime under this low number.
    pub fn inherit(mut self, file: File, number: i32) -> Result<Self> {
        // A number above the low ones, which other calls of this function fill.
        let high = fcntl(&file, FcntlArg::F_DUPFD_CLOEXEC(100))?;
        // SAFETY: fcntl(2) has just made this descriptor, and nothing else owns it.
        let file = unsafe { OwnedFd::from_raw_fd(high) };
        // SAFETY: dup2(2) is one async-signal-safe system call; `file` lives as long as the closure that owns it.
        unsafe {
            self.command.pre_exec(move || match libc::dup2(file.as_raw_fd(), number) {
                -1 => Err(std::io::Error::last_os_error()),
                _ => Ok(()),
            });
        }
        Ok(self)
    }

    /// Starts the runtime and returns at once.
    pub fn spawn(self) -> Result<Running> {
        // The steps of the test before execve(2) have all calls.
        self.deny_what_lacks().start()
    }

    fn start(mut self) -> Result<Running> {
        self.line = format!("{:?}", self.command);
        let stdout = sink(self.stdout.as_deref())?;
        let stderr = sink(self.stderr.as_deref())?;
        self.command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
        if let Some(terminal) = &self.terminal {
            self.command.stderr(terminal.try_clone()?);
            if self.stdout.is_none() {
                self.command.stdout(terminal.try_clone()?).stdin(terminal.try_clone()?);
            }
        }
        let child = self.command.spawn().with_context(|| format!("starting {}", self.line))?;
        Ok(Running { child, collected: None, line: self.line, stdout, stderr, patience: self.patience })
    }

    /// Makes the call and waits for its end.
    pub fn output(self) -> Result<Output> {
        self.spawn()?.wait()
    }
}

fn sink(path: Option<&Path>) -> Result<File> {
    match path {
        Some(path) => Ok(File::options().append(true).create(true).read(true).open(path)?),
        None => Ok(tempfile::tempfile()?),
    }
}

/// A runtime that was started. Dropping this kills it.
pub struct Running {
    child: Child,
    /// The wait status, if the tracer has reaped the process.
    collected: Option<ExitStatus>,
    line: String,
    stdout: File,
    stderr: File,
    patience: u32,
}

impl Running {
    /// Sends a signal to the runtime.
    pub fn signal(&self, signal: Signal) -> Result {
        Ok(kill(Pid::from_raw(self.child.id() as i32), signal)?)
    }

    /// Sends a signal by its number: realtime signals have no name in nix.
    pub fn signal_number(&self, number: i32) -> Result {
        // SAFETY: kill(2) takes integers only.
        ensure!(unsafe { libc::kill(self.pid(), number) } == 0, "kill: {}", std::io::Error::last_os_error());
        Ok(())
    }

    /// The pid of the runtime.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Standard output so far.
    pub fn stdout(&mut self) -> Result<String> {
        read_all(&mut self.stdout)
    }

    /// Records the wait status: the tracer has reaped the process.
    pub fn collected(&mut self, status: i32) {
        self.collected = Some(ExitStatus::from_raw(status));
    }

    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.collected.is_some() || self.child.try_wait()?.is_some())
    }

    /// Waits for the end. A runtime that hangs is killed, and that is an error.
    pub fn wait(mut self) -> Result<Output> {
        let patience = check::patience(self.patience);
        let deadline = Instant::now() + patience;
        let status = loop {
            let ended = self.collected.map_or_else(|| self.child.try_wait(), |status| Ok(Some(status)))?;
            match ended {
                Some(status) => break status,
                None if Instant::now() > deadline => bail!("{} did not end within {patience:?}", self.line),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        let stdout = read_all(&mut self.stdout)?;
        let stderr = read_all(&mut self.stderr)?;
        Ok(Output { line: self.line.clone(), status, stdout, stderr })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The process is reaped, and the pid may be another process's.
        if self.collected.is_some() {
            return;
        }
        // If the process has ended already, neither call has an effect.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_all(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    // A new open file description: reading must not move the offset at which the container writes.
    let mut file = fs::File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The outcome of a call of the runtime.
#[derive(Debug)]
pub struct Output {
    pub line: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The exit code. Fails if a signal ended the runtime.
    pub fn code(&self) -> Result<i32> {
        self.status.code().with_context(|| format!("{self}"))
    }

    pub fn success(&self) -> Result<&Self> {
        ensure!(self.status.success(), "wanted success: {self}");
        Ok(self)
    }

    /// Fails unless the runtime reported a failure: no success, no death by a signal, no crash.
    pub fn failure(&self) -> Result<&Self> {
        ensure!(self.code()? != 0, "wanted a failure: {self}");
        ensure!(!self.stderr.contains("panicked at") && !self.stderr.contains("goroutine "), "a crash: {self}");
        ensure!(!self.stderr.trim().is_empty(), "a failure without a message: {self}");
        Ok(self)
    }

    /// Fails unless the runtime failed with a message that contains this.
    pub fn fails_with(&self, part: &str) -> Result<&Self> {
        check::contains("the message", &self.failure()?.stderr, part)?;
        Ok(self)
    }

    /// The text behind `KEY: ` in standard output.
    pub fn value(&self, key: &str) -> Result<&str> {
        value_in(&self.stdout, key).with_context(|| format!("no {key:?} in: {self}"))
    }

    /// Fails unless standard output has the line `KEY: WANTED`.
    pub fn says(&self, key: &str, wanted: &str) -> Result<&Self> {
        check::equal(key, self.value(key)?, wanted)?;
        Ok(self)
    }

    /// Fails unless standard output has this line.
    pub fn has_line(&self, wanted: &str) -> Result<&Self> {
        ensure!(self.stdout.lines().any(|line| line == wanted), "no line {wanted:?} in: {self}");
        Ok(self)
    }
}

fn value_in<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, status, stdout, stderr } = self;
        let signal = status.signal().map(|n| format!(" (signal {n})")).unwrap_or_default();
        write!(f, "{line}: {status}{signal}; stdout {stdout:?}; stderr {stderr:?}")
    }
}
