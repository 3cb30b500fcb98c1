//! System calls by number, in every way that the machine has, and what a seccomp filter does to them.

use crate::kernel::{Answer, errno_name};
use std::arch::asm;
use std::io;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

const SYS_SECCOMP: i32 = 1;

fn arguments(words: &[&str]) -> [u64; 7] {
    let mut numbers = [0; 7];
    for (number, word) in numbers.iter_mut().zip(words) {
        *number = word
            .strip_prefix("0x")
            .map_or_else(|| word.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok())
            .unwrap_or(0);
    }
    numbers
}

fn answer(result: i64) -> Answer {
    if result < 0 { Err(io::Error::from_raw_os_error(-result as i32)) } else { Ok(result.to_string()) }
}

/// `NUMBER ARGUMENT…`: the call by the syscall instruction.
pub fn by_number(words: &[&str]) -> Answer {
    let [number, a, b, c, d, e, f] = arguments(words);
    // SAFETY: the tests pass numbers only, to calls that take numbers or fail with EFAULT.
    let result = unsafe { libc::syscall(number as i64, a, b, c, d, e, f) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result.to_string()) }
}

/// The call by `int 0x80`, as 32-bit x86 programs make it. 64-bit code may do so, too.
pub fn by_interrupt(words: &[&str]) -> Answer {
    let [number, a, b, c, d, ..] = arguments(words);
    let result: i64;
    // SAFETY: as above; the compiler uses rbx, so it is restored.
    unsafe {
        asm!("xchg rbx, {first}", "int 0x80", "xchg rbx, {first}", first = inout(reg) a => _,
             inlateout("rax") number as i64 => result, in("rcx") b, in("rdx") c, in("rsi") d, in("rdi") 0,
             lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _);
    }
    answer(i64::from(result as i32))
}

static TRAPPED: AtomicI32 = AtomicI32::new(-1);
static ARCH: AtomicU32 = AtomicU32::new(0);
static DATA: AtomicI32 = AtomicI32::new(-1);

extern "C" fn trapped(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a siginfo of SIGSYS. The call's address, its number and its architecture lie behind the
    // three words that all signals have (asm-generic/siginfo.h).
    unsafe {
        if (*info).si_code == SYS_SECCOMP {
            DATA.store((*info).si_errno, Ordering::Relaxed);
            TRAPPED.store(info.cast::<i32>().add(6).read(), Ordering::Relaxed);
            ARCH.store(info.cast::<u32>().add(7).read(), Ordering::Relaxed);
        }
    }
}

/// Makes a call for which the filter may send SIGSYS, and tells what the signal's siginfo holds.
pub fn with_handler(words: &[&str]) -> String {
    // SAFETY: the handler writes three atomics and nothing else.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = trapped as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGSYS, &action, std::ptr::null_mut());
    }
    let _ = by_number(words);
    let (number, arch) = (TRAPPED.load(Ordering::Relaxed), ARCH.load(Ordering::Relaxed));
    format!("trapped: call {number} arch {arch:x} data {}", DATA.load(Ordering::Relaxed))
}

/// Makes a call in a thread: a filter may kill the thread and not the process.
pub fn in_a_thread(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let thread = std::thread::spawn(move || {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        by_number(&words).map_err(|error| errno_name(&error))
    });
    // std panics on joining a thread that the kernel killed, since it leaves no result.
    while !thread.is_finished() && std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() > 1) {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    if !thread.is_finished() {
        return "thread: killed".into();
    }
    match thread.join() {
        Ok(Ok(value)) => format!("thread: {value}"),
        Ok(Err(errno)) => format!("thread: {errno}"),
        Err(_) => "thread: killed".into(),
    }
}

/// The type of a request of `ptrace(2)`: not that of every C library.
#[cfg(target_env = "musl")]
type Request = libc::c_int;
#[cfg(not(target_env = "musl"))]
type Request = libc::c_uint;

/// `ptrace(2)` on a child.
fn trace(request: Request, child: nix::unistd::Pid, data: u64) -> io::Result<()> {
    // SAFETY: numbers, or for GETEVENTMSG the address of a word that the caller holds.
    match unsafe { libc::ptrace(request, child.as_raw(), 0u64, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Makes a call in a child that this process traces, and tells what the filter tells the tracer.
pub fn traced(words: &[&str]) -> String {
    use nix::sys::signal::{Signal, raise};
    use nix::sys::wait::{WaitStatus, waitpid};
    const EVENT_SECCOMP: i32 = 7;
    // SAFETY: the payload has one thread, so the child may do all that the payload may do.
    let Ok(nix::unistd::ForkResult::Parent { child }) = (unsafe { nix::unistd::fork() }) else {
        let _ = trace(libc::PTRACE_TRACEME, nix::unistd::Pid::this(), 0);
        let _ = raise(Signal::SIGSTOP);
        let made = by_number(words).is_ok();
        std::process::exit(if made { 0 } else { 1 });
    };
    let mut told: u64 = 0;
    let mut follow = || -> io::Result<bool> {
        waitpid(child, None)?;
        trace(libc::PTRACE_SETOPTIONS, child, (libc::PTRACE_O_TRACESECCOMP | libc::PTRACE_O_EXITKILL) as u64)?;
        trace(libc::PTRACE_CONT, child, 0)?;
        let stopped = matches!(waitpid(child, None)?, WaitStatus::PtraceEvent(_, _, EVENT_SECCOMP));
        if stopped {
            trace(libc::PTRACE_GETEVENTMSG, child, &raw mut told as u64)?;
            trace(libc::PTRACE_CONT, child, 0)?;
            waitpid(child, None).map(|status| told |= u64::from(status != WaitStatus::Exited(child, 0)) << 32)?;
        }
        Ok(stopped)
    };
    match follow() {
        Ok(true) => format!("traced: data {} made {}", told as u32, told >> 32 == 0),
        Ok(false) => "traced: no".into(),
        Err(error) => format!("traced: {}", errno_name(&error)),
    }
}
