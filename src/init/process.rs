//! Operations on the process: working directory, limits, priorities, the user's program.

use core::ffi::CStr;

use super::files::Fd;
use super::machine::{Init, NOT_RUN};
use super::op::{self, Text, why};
use super::path::PathBuffer;
use super::sys::{self, Fault, Mapped, Try};
use super::{calls, passwd, proc_file, stdio};

impl Init {
    pub fn process(&mut self, op: &op::Process) -> Try<()> {
        use op::Process as Do;
        let text = |text| self.program.text(text);
        match *op {
            Do::Write { path, value, must } => self.write(text(path), text(value), must),
            Do::OwnStdio { uid } => stdio::own_stdio(uid),
            Do::Chdir { path, later } => self.enter_directory(text(path), later),
            Do::Umask { mask } => {
                sys::umask(mask);
                Ok(())
            }
            Do::Limit { resource, soft, hard } => sys::setrlimit(resource, soft, hard),
            Do::Scheduler { policy, nice, priority, flags, runtime, deadline, period } => {
                let size = size_of::<sys::SchedAttr>() as u32;
                sys::sched_setattr(&sys::SchedAttr { size, policy, flags, nice, priority, runtime, deadline, period })
            }
            Do::IoPriority { value } => sys::ioprio_set(value),
            Do::Personality { domain } => sys::personality(domain),
            Do::MemoryPolicy { mode, nodes } => sys::set_mempolicy(mode, self.program.words(nodes)),
            Do::Home { uid, envp, slot } => {
                self.program.put(envp, slot, passwd::home(uid));
                Ok(())
            }
            Do::Find { candidates } => {
                self.found = find(self.program, self.program.texts(candidates))?;
                Ok(())
            }
            Do::CloseOnExec { from } => {
                // Linux before 5.11 answers EINVAL; then the operation `Close` must succeed.
                self.close_on_exec = sys::close_range_on_exec(from).is_ok();
                Ok(())
            }
            Do::Close { from } => self.close(from, u32::MAX),
            Do::Exec { argv, envp } => {
                let fault = sys::execve(self.found, self.program, argv, envp);
                complain(self.found, fault.errno, self.filtered);
                sys::exit(NOT_RUN)
            }
        }
    }

    fn write(&self, path: &CStr, value: &CStr, must: bool) -> Try<()> {
        match proc_file::write(path, value.to_bytes()) {
            Err(fault) if !must && matches!(fault.errno, sys::EPERM | sys::EACCES) => {
                self.warn(fault);
                Ok(())
            }
            other => other,
        }
    }

    fn enter_directory(&mut self, path: &CStr, later: bool) -> Try<()> {
        if self.entered {
            return Ok(());
        }
        match chdir(path) {
            Err(fault) if later && fault.step == calls::CHDIR => Ok(()),
            other => other.map(|()| self.entered = true),
        }
    }

    /// Close descriptors. If the container's filter forbids it, `execve(2)` closes them (`CloseOnExec`).
    pub fn close(&self, first: u32, last: u32) -> Try<()> {
        match sys::close_range(first, last) {
            Err(_) if self.close_on_exec => Ok(()),
            other => other,
        }
    }
}

/// Enter the working directory and check that it lies inside the root: a path such as `/proc/self/fd/7` must not lead
/// outside (CVE-2024-21626).
pub fn chdir(path: &CStr) -> Try<()> {
    sys::chdir(path)?;
    match inside_the_root::<256>() {
        Err(fault) if fault.errno == sys::ERANGE => inside_the_root::<4096>(),
        other => other,
    }
}

/// `SIZE` is larger than the path.
#[inline(never)]
fn inside_the_root<const SIZE: usize>() -> Try<()> {
    let mut buffer = [0u8; SIZE];
    match sys::getcwd(&mut buffer) {
        Ok(_) if buffer[0] == b'/' => Ok(()),
        Ok(_) => Err(Fault::because(why::CWD_OUTSIDE, sys::ENOENT)),
        Err(fault) if fault.errno == sys::ENOENT => Err(Fault::because(why::CWD_OUTSIDE, sys::ENOENT)),
        Err(fault) => Err(fault),
    }
}

/// The first candidate that the process may execute.
pub fn find(program: Mapped, candidates: &[Text]) -> Try<&'static CStr> {
    let mut reason = sys::ENOENT;
    for candidate in candidates {
        let path = program.text(*candidate);
        match runnable(path) {
            Ok(()) => return Ok(path),
            Err(fault) if fault.errno == sys::ENOENT => {}
            Err(fault) => reason = fault.errno,
        }
    }
    Err(Fault::because(why::NOT_FOUND, reason))
}

fn runnable(path: &CStr) -> Try<()> {
    let file = Fd(sys::open(path, sys::O_PATH | sys::O_CLOEXEC)?);
    if sys::fstat(file.0)?.is_directory() {
        return Err(Fault::because(why::NOT_FOUND, sys::EISDIR));
    }
    sys::executable(path)
}

/// Write the reason of a failed `execve(2)` to the container's own stderr: `start` has already reported success to its
/// caller. If a seccomp filter is in force, the message says so, because the filter may be the reason.
pub fn complain(path: &CStr, errno: i32, filtered: bool) {
    const REASONS: [(i32, &[u8]); 9] = [
        (1, b"operation not permitted"),
        (2, b"no such file or directory"),
        (7, b"argument list too long"),
        (8, b"exec format error"),
        (12, b"cannot allocate memory"),
        (13, b"permission denied"),
        (26, b"text file busy"),
        (40, b"too many levels of symbolic links"),
        (80, b"accessing a corrupted shared library"),
    ];
    let reason =
        REASONS.iter().find(|(number, _)| *number == errno).map_or(&b"cannot be executed"[..], |(_, text)| text);
    let line = PathBuffer::new(b"exec ").and_then(|mut line| {
        line.append(path.to_bytes())?;
        line.append(b": ")?;
        line.append(reason)?;
        let by_filter = filtered && matches!(errno, sys::EPERM | sys::ENOSYS);
        line.append(if by_filter { b" (a filter of linux.seccomp is in force)\n" } else { b"\n" })?;
        Ok(line)
    });
    if let Ok(line) = line {
        let _ = sys::write(2, line.as_cstr().to_bytes());
    }
}
