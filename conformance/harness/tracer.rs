//! Stops, fails or kills a call of the runtime before one of its system calls (ptrace(2)). Only the runtime's own
//! process is traced, not its children.

use super::{Call, Output, Result, Running, check, runtime};
use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::sync::mpsc;

/// System calls that affect only the process itself: other processes neither notice them nor have an influence on them.
const PRIVATE: [i64; 19] = [
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_arch_prctl,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_geteuid,
    libc::SYS_getegid,
    libc::SYS_prlimit64,
    libc::SYS_clock_gettime,
    libc::SYS_exit_group,
];

/// A fault at one system call.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The kernel does not make the call; it returns this error.
    Fails(Errno),
    /// The process is killed before the call.
    Killed,
}

/// A runtime that is stopped before one of its system calls.
pub struct Held {
    running: Running,
}

impl Held {
    /// Lets the runtime continue, without a tracer.
    pub fn go_on(self) -> Result<Running> {
        match ptrace::detach(pid_of(&self.running), None) {
            // ESRCH: another process has killed it.
            Ok(()) | Err(Errno::ESRCH) => Ok(self.running),
            Err(errno) => Err(errno).context("ptrace: detach"),
        }
    }
}

/// The result of waiting for a system call.
pub enum Reached {
    /// The runtime is stopped before the system call.
    Held(Held),
    /// The runtime ended before it made that call.
    Ended,
}

impl Call {
    /// The number of system calls that are not private. tare's are counted from its first `poll(2)` on, which Rust's
    /// start-up code makes.
    pub fn count_calls(self) -> Result<usize> {
        let mut count = 0;
        let running = Trace::begin(self)?.follow(|_| {
            count += 1;
            false
        })?;
        running.running.wait()?;
        Ok(count)
    }

    /// Makes the call and stops it before the system call of this number.
    pub fn hold_before(self, number: usize) -> Result<Reached> {
        self.hold_where(nth(number))
    }

    /// Makes the call and stops it before the first system call for which `here` is true.
    pub fn hold_where(self, here: impl FnMut(i64) -> bool) -> Result<Reached> {
        let trace = Trace::begin(self)?.follow(here)?;
        match trace.alive {
            true => Ok(Reached::Held(Held { running: trace.running })),
            false => trace.running.wait().map(|_| Reached::Ended),
        }
    }

    /// Makes the call with a fault at the system call of this number. Returns that system call, unless the runtime
    /// ended before it.
    pub fn with_fault(self, number: usize, fault: Fault) -> Result<(Option<i64>, Output)> {
        self.with_fault_where(nth(number), fault)
    }

    /// Makes the call with a fault at the first system call for which `here` is true.
    pub fn with_fault_where(self, here: impl FnMut(i64) -> bool, fault: Fault) -> Result<(Option<i64>, Output)> {
        let trace = Trace::begin(self)?.follow(here)?;
        if !trace.alive {
            return Ok((None, trace.running.wait()?));
        }
        let (pid, call) = (pid_of(&trace.running), trace.call);
        match fault {
            Fault::Killed => kill(pid, Signal::SIGKILL)?,
            // close(2) closes the descriptor even if it returns an error, so the call is made.
            Fault::Fails(_) if call == libc::SYS_close => ptrace::detach(pid, None)?,
            Fault::Fails(errno) => {
                let mut registers = ptrace::getregs(pid)?;
                registers.orig_rax = u64::MAX;
                ptrace::setregs(pid, registers)?;
                ptrace::syscall(pid, None)?;
                if let WaitStatus::PtraceSyscall(_) = waitpid(pid, Some(WaitPidFlag::__WALL))? {
                    let mut registers = ptrace::getregs(pid)?;
                    registers.rax = (-i64::from(errno as i32)) as u64;
                    ptrace::setregs(pid, registers)?;
                    ptrace::detach(pid, None)?;
                }
            }
        }
        Ok((Some(call), trace.running.wait()?))
    }
}

fn nth(number: usize) -> impl FnMut(i64) -> bool {
    let mut seen = 0;
    move |_| {
        seen += 1;
        seen > number
    }
}

fn pid_of(running: &Running) -> Pid {
    Pid::from_raw(running.pid())
}

/// A runtime that is traced.
struct Trace {
    running: Running,
    alive: bool,
    /// The system call before which it is stopped.
    call: i64,
}

impl Trace {
    fn begin(call: Call) -> Result<Trace> {
        let running = call.in_child(|| Ok(ptrace::traceme()?)).spawn()?;
        let pid = pid_of(&running);
        match waitpid(pid, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
            other => bail!("ptrace: {other:?} instead of the trap of execve"),
        }
        let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(pid, options).context("ptrace: options")?;
        Ok(Trace { running, alive: true, call: 0 })
    }

    /// Continues up to the first system call that is not private and for which `stops` is true.
    fn follow(mut self, mut stops: impl FnMut(i64) -> bool) -> Result<Trace> {
        let pid = pid_of(&self.running);
        let watchdog = Watchdog::over(pid);
        let (mut entering, mut begun, mut deliver) = (true, !runtime::is("tare"), None);
        loop {
            ptrace::syscall(pid, deliver.take()).context("ptrace: syscall")?;
            match waitpid(pid, Some(WaitPidFlag::__WALL))? {
                WaitStatus::PtraceSyscall(_) if entering => {
                    entering = false;
                    let call = ptrace::getregs(pid).context("ptrace: registers")?.orig_rax as i64;
                    begun = begun || call == libc::SYS_poll;
                    if begun && !PRIVATE.contains(&call) && stops(call) {
                        self.call = call;
                        return Ok(self);
                    }
                }
                WaitStatus::PtraceSyscall(_) => entering = true,
                WaitStatus::Stopped(_, Signal::SIGTRAP) => {}
                WaitStatus::Stopped(_, signal) => deliver = Some(signal),
                WaitStatus::Exited(_, code) => {
                    self.ended(code << 8);
                    break;
                }
                WaitStatus::Signaled(_, signal, _) => {
                    self.ended(signal as i32);
                    break;
                }
                other => bail!("ptrace: {other:?}"),
            }
        }
        drop(watchdog);
        Ok(self)
    }

    /// Keeps the status for `Running::wait`: the tracer has reaped the process already.
    fn ended(&mut self, status: i32) {
        self.alive = false;
        self.running.collected(status);
    }
}

/// Kills the traced process if it takes too long. Otherwise waitpid(2) would block for ever.
struct Watchdog {
    _done: mpsc::Sender<()>,
}

impl Watchdog {
    fn over(pid: Pid) -> Watchdog {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            if let Err(mpsc::RecvTimeoutError::Timeout) = receiver.recv_timeout(check::patience(20)) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        Watchdog { _done: sender }
    }
}
