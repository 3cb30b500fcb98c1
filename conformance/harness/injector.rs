//! Traces the runtime with all its threads and child processes (ptrace(2)), and has one of their system calls fail, or
//! kills the process before the call.
//!
//! A child is traced up to the execve(2) of a program that is not the runtime's own: a hook or the container's program.

use super::{Call, Output, Result, Running, answers, check, runtime};
use anyhow::{Context, bail, ensure};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// A command that has not ended after so many seconds hangs.
pub const PATIENCE: u32 = 10;

/// The time in which the first stop of a new process is seen.
const LATE: Duration = Duration::from_millis(50);

/// One system call of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The runtime is 0; its children follow in the order in which they were born.
    pub process: usize,
    pub number: usize,
}

/// A system call that a process has made, and its first arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    pub call: i64,
    pub arguments: [u64; 3],
}

/// A fault at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The call fails with the error of this number among those that it can have, see [`answers::of`].
    Fails(usize),
    /// The process is killed before the call.
    Kills,
}

/// The fault that was made.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    pub made: Made,
    /// `None` for SIGKILL.
    pub errno: Option<Errno>,
}

/// The result of a traced call.
pub struct Traced {
    /// `None` if the call has not ended in time and was killed.
    pub output: Option<Output>,
    /// The system calls of each process that are not private.
    pub calls: Vec<Vec<Made>>,
    /// `None` if no process has come to the point.
    pub hit: Option<Hit>,
    /// All processes that were traced.
    pub pids: Vec<i32>,
}

impl Call {
    /// Makes the call, with a fault if there is one. `beside` is a process that is traced as if it were a child: `init`,
    /// which waits for `start`.
    pub fn inject(self, beside: Option<i32>, fault: Option<(Point, Harm)>) -> Result<Traced> {
        let running = self.in_child(|| Ok(ptrace::traceme()?)).spawn()?;
        let runtime = running.pid();
        let mut family =
            Family { runtime, fault, members: BTreeMap::new(), processes: Vec::new(), hit: None, end: None };
        family.begin()?;
        let watchdog = Watchdog::over(runtime);
        if let Some(pid) = beside {
            seize(pid).context("ptrace: seize init")?;
            family.request(libc::PTRACE_INTERRUPT as _, pid, 0)?;
            family.add(pid);
        }
        while family.end.is_none() {
            let (tid, status) = wait(-1, 0)?.context("no process is left, and the runtime has not ended")?;
            family.handle(tid, status)?;
        }
        family.let_go()?;
        let hung = watchdog.has_bitten();
        let mut running: Running = running;
        running.collected(family.end.unwrap_or_default());
        let output = running.wait()?;
        Ok(Traced {
            output: (!hung).then_some(output),
            hit: family.hit,
            pids: family.processes.iter().map(|process| process.pid).collect(),
            calls: family.processes.into_iter().map(|process| process.calls).collect(),
        })
    }
}

/// A process, with all of its threads.
struct Process {
    pid: i32,
    calls: Vec<Made>,
}

/// A thread.
#[derive(Clone, Copy, Default)]
struct Member {
    /// The index of its process.
    process: usize,
    /// Whether it is between the beginning and the end of a system call.
    inside: bool,
    /// The result that its call gets.
    result: Option<Errno>,
}

struct Family {
    runtime: i32,
    fault: Option<(Point, Harm)>,
    members: BTreeMap<i32, Member>,
    processes: Vec<Process>,
    hit: Option<Hit>,
    /// The wait status of the runtime.
    end: Option<i32>,
}

impl Family {
    /// Attaches to the runtime, which has just executed its program. PTRACE_SEIZE needs a stopped process that nobody
    /// traces: it leaves this trace with a SIGSTOP.
    fn begin(&mut self) -> Result {
        let pid = self.runtime;
        let stopped = |signal| ensure_stopped(pid, signal);
        stopped(libc::SIGTRAP)?;
        ptrace::detach(Pid::from_raw(pid), Signal::SIGSTOP).context("ptrace: detach")?;
        stopped(libc::SIGSTOP)?;
        seize(pid).context("ptrace: seize")?;
        self.add(pid);
        Ok(kill(Pid::from_raw(pid), Signal::SIGCONT)?)
    }

    /// Adds a thread, with its process if that is new.
    fn add(&mut self, tid: i32) -> Member {
        let pid = process_of(tid).unwrap_or(tid);
        let process = self.processes.iter().position(|process| process.pid == pid).unwrap_or_else(|| {
            self.processes.push(Process { pid, calls: Vec::new() });
            self.processes.len() - 1
        });
        let member = Member { process, ..Member::default() };
        self.members.insert(tid, member);
        member
    }

    fn request(&self, request: libc::c_uint, tid: i32, data: i32) -> Result {
        // SAFETY: these requests take an integer and no address.
        let result = unsafe { libc::ptrace(request as _, tid, 0, libc::c_long::from(data)) };
        match Errno::result(result) {
            // ESRCH: another process has killed it.
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(errno) => Err(errno).with_context(|| format!("ptrace request {request}")),
        }
    }

    /// Continues a thread: up to its next system call or, once the fault is made, up to the next event.
    fn go_on(&self, tid: i32, signal: i32) -> Result {
        let pending = self.members.get(&tid).is_some_and(|member| member.result.is_some());
        let how = if self.hit.is_none() || pending { libc::PTRACE_SYSCALL } else { libc::PTRACE_CONT };
        self.request(how as _, tid, signal)
    }

    fn handle(&mut self, tid: i32, status: i32) -> Result {
        if !libc::WIFSTOPPED(status) {
            self.members.remove(&tid);
            if tid == self.runtime {
                self.end = Some(status);
            }
            return Ok(());
        }
        if !self.members.contains_key(&tid) {
            self.add(tid);
        }
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        match event {
            _ if signal == libc::SIGTRAP | 0x80 => self.system_call(tid),
            libc::PTRACE_EVENT_EXEC => self.executed(tid),
            libc::PTRACE_EVENT_STOP if is_group_stop(signal) => self.request(libc::PTRACE_LISTEN as _, tid, 0),
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                // The child may report its own stop only after the runtime has ended.
                let born = ptrace::getevent(Pid::from_raw(tid)).unwrap_or_default() as i32;
                if born > 0 && !self.members.contains_key(&born) {
                    self.add(born);
                }
                self.go_on(tid, 0)
            }
            0 => self.go_on(tid, signal),
            _ => self.go_on(tid, 0),
        }
    }

    /// Lets a process go that executes another program.
    fn executed(&mut self, tid: i32) -> Result {
        let process = self.add(tid).process;
        // The other threads have ended. Their ends, if they are reported, are those of unknown threads.
        self.members.retain(|other, member| *other == tid || member.process != process);
        if let Some(member) = self.members.get_mut(&tid) {
            member.inside = true;
        }
        if is_own_program(tid) {
            return self.go_on(tid, 0);
        }
        self.members.remove(&tid);
        self.request(libc::PTRACE_DETACH as _, tid, 0)
    }

    /// Handles the beginning or the end of a system call.
    fn system_call(&mut self, tid: i32) -> Result {
        let Some(member) = self.members.get_mut(&tid) else { bail!("unknown thread {tid}") };
        member.inside = !member.inside;
        let process = member.process;
        if !member.inside {
            if let Some(errno) = member.result.take() {
                change(tid, |registers| registers.rax = (-i64::from(errno as i32)) as u64)?;
            }
            return self.go_on(tid, 0);
        }
        if self.hit.is_none() {
            self.begins(tid, process)?;
        }
        self.go_on(tid, 0)
    }

    /// Notes a system call, and makes the fault if this is the point.
    fn begins(&mut self, tid: i32, process: usize) -> Result {
        let registers = match ptrace::getregs(Pid::from_raw(tid)) {
            Ok(registers) => registers,
            Err(Errno::ESRCH) => return Ok(()),
            Err(errno) => return Err(errno).context("ptrace: registers"),
        };
        let made = Made { call: registers.orig_rax as i64, arguments: [registers.rdi, registers.rsi, registers.rdx] };
        if answers::is_private(made.call) {
            return Ok(());
        }
        let calls = &mut self.processes[process].calls;
        calls.push(made);
        let here = Point { process, number: calls.len() - 1 };
        let Some((_, harm)) = self.fault.filter(|(point, _)| *point == here) else { return Ok(()) };
        let errors = answers::of(made.call, made.arguments);
        let errno = match harm {
            Harm::Kills => {
                kill(Pid::from_raw(self.processes[process].pid), Signal::SIGKILL)?;
                None
            }
            // Another call than the one that was seen before: the order of the threads has changed.
            Harm::Fails(_) if errors.is_empty() => return Ok(()),
            Harm::Fails(which) => Some(errors[which % errors.len()]),
        };
        self.hit = Some(Hit { made, errno });
        if errno.is_some() {
            if !answers::is_done_anyway(made.call) {
                change(tid, |registers| registers.orig_rax = u64::MAX)?;
            }
            if let Some(member) = self.members.get_mut(&tid) {
                member.result = errno;
            }
        }
        Ok(())
    }

    /// Detaches from the processes that outlive the runtime.
    fn let_go(&mut self) -> Result {
        for tid in self.members.keys().copied().collect::<Vec<_>>() {
            self.request(libc::PTRACE_INTERRUPT as _, tid, 0)?;
        }
        let deadline = Instant::now() + check::patience(PATIENCE);
        // A process that was forked just before the end is traced, and its first stop may still be to come.
        let mut late = Instant::now() + LATE;
        while !self.members.is_empty() || Instant::now() < late && has_children() {
            match wait(-1, libc::WNOHANG)? {
                Some((tid, status)) if libc::WIFSTOPPED(status) => self.leave(tid, status)?,
                Some((tid, _)) => drop(self.members.remove(&tid)),
                None if Instant::now() > deadline => {
                    let left: Vec<_> = self.members.keys().collect();
                    bail!("processes that cannot be detached from: {left:?}");
                }
                None => {
                    std::thread::sleep(Duration::from_micros(200));
                    // The end of a thread may have been reported before its process had become known.
                    self.members.retain(|tid, _| Path::new(&format!("/proc/{tid}")).exists());
                    continue;
                }
            }
            late = Instant::now() + LATE;
        }
        Ok(())
    }

    /// Detaches from a stopped thread. The result of a call that was made to fail is set first.
    fn leave(&mut self, tid: i32, status: i32) -> Result {
        let (signal, event) = (libc::WSTOPSIG(status), status >> 16);
        let is_call = signal == libc::SIGTRAP | 0x80;
        let result = self.members.remove(&tid).and_then(|member| member.result);
        if let Some(errno) = result.filter(|_| is_call) {
            change(tid, |registers| registers.rax = (-i64::from(errno as i32)) as u64)?;
        }
        let signal = if event == 0 && !is_call { signal } else { 0 };
        self.request(libc::PTRACE_DETACH as _, tid, signal)
    }
}

fn is_group_stop(signal: i32) -> bool {
    [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&signal)
}

fn seize(pid: i32) -> nix::Result<()> {
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_EXITKILL
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC;
    ptrace::seize(Pid::from_raw(pid), options)
}

/// Changes the registers of a stopped thread, unless it was killed.
fn change(tid: i32, edit: impl FnOnce(&mut libc::user_regs_struct)) -> Result {
    let pid = Pid::from_raw(tid);
    let set = || {
        let mut registers = ptrace::getregs(pid)?;
        edit(&mut registers);
        ptrace::setregs(pid, registers)
    };
    match set() {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(errno) => Err(errno).context("ptrace: registers"),
    }
}

/// Waits for a child or a traced process of this thread. Returns its tid and its wait status.
fn wait(pid: i32, options: i32) -> Result<Option<(i32, i32)>> {
    let mut status = 0;
    // SAFETY: waitpid(2) writes the status.
    let tid = unsafe { libc::waitpid(pid, &raw mut status, options | libc::__WALL | libc::__WNOTHREAD) };
    match Errno::result(tid) {
        Ok(0) | Err(Errno::ECHILD) => Ok(None),
        Ok(tid) => Ok(Some((tid, status))),
        Err(errno) => Err(errno).context("waitpid"),
    }
}

/// Whether this thread has a child or traces a process.
fn has_children() -> bool {
    let options = libc::WEXITED | libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL | libc::__WNOTHREAD;
    // SAFETY: waitid(2) may have no place for its answer.
    unsafe { libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), options) == 0 }
}

fn ensure_stopped(pid: i32, signal: i32) -> Result {
    let (_, status) = wait(pid, libc::WUNTRACED)?.context("the runtime is gone")?;
    ensure!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == signal, "ptrace: status {status:#x}");
    Ok(())
}

/// The process of a thread.
fn process_of(tid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{tid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

/// Whether a process executes a program of the runtime: its file, a copy of it or tare's `init`.
fn is_own_program(pid: i32) -> bool {
    let Ok(program) = fs::read_link(format!("/proc/{pid}/exe")) else { return false };
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    program.to_string_lossy().starts_with("/memfd:") || name.starts_with(&*runtime::get().name)
}

/// Kills the runtime if it takes too long. Otherwise waitpid(2) would block for ever.
struct Watchdog {
    bites: Arc<AtomicBool>,
    _done: mpsc::Sender<()>,
}

impl Watchdog {
    fn over(pid: i32) -> Watchdog {
        let (sender, receiver) = mpsc::channel();
        let bites = Arc::new(AtomicBool::new(false));
        let bitten = bites.clone();
        std::thread::spawn(move || {
            if let Err(mpsc::RecvTimeoutError::Timeout) = receiver.recv_timeout(check::patience(PATIENCE)) {
                bitten.store(true, Ordering::Relaxed);
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        });
        Watchdog { bites, _done: sender }
    }

    fn has_bitten(&self) -> bool {
        self.bites.load(Ordering::Relaxed)
    }
}
