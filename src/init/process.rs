//! Operations on the process: identity, privileges, limits, the program to run.

use core::ffi::CStr;

use super::files::Fd;
use super::machine::{Init, NOT_RUN};
use super::op::{self, Text, why};
use super::path::PathBuffer;
use super::sys::{self, Fault, Mapped, Try};
use super::{calls, passwd, proc_file, stdio};

const PR_CAPBSET_DROP: u32 = 24;
const PR_CAP_AMBIENT: u32 = 47;
const PR_SET_KEEPCAPS: u32 = 8;
pub const PR_SET_DUMPABLE: u32 = 4;
const PR_SET_NO_NEW_PRIVS: u32 = 38;

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
            Do::NoNewPrivileges => sys::prctl(PR_SET_NO_NEW_PRIVS, 1, 0),
            Do::Bounding { keep } => bounding(keep),
            Do::Shed { keep } => shed(keep),
            Do::User { uid, gid, groups, set_groups, keep } => {
                if self.groups_denied && groups.len > 0 {
                    self.warn(Fault::because(why::GROUPS_DENIED, sys::EPERM));
                }
                let groups = (set_groups && !self.groups_denied).then(|| self.program.numbers(groups));
                user(uid, gid, groups, keep)
            }
            Do::Capabilities { effective, permitted, inheritable, ambient } => {
                let lost = capabilities(effective, permitted, inheritable, ambient)?;
                if lost != 0 {
                    self.warn(Fault { detail: lost, ..Fault::because(0, sys::EPERM) });
                }
                Ok(())
            }
            Do::Home { uid, envp, slot } => {
                self.program.put(envp, slot, passwd::home(uid));
                Ok(())
            }
            Do::Find { candidates } => {
                self.found = find(self.program, self.program.texts(candidates))?;
                Ok(())
            }
            Do::CloseOnExec { from } => {
                // Linux before 5.11 answers EINVAL; then `Close` must succeed.
                self.close_on_exec = sys::close_range_on_exec(from).is_ok();
                Ok(())
            }
            Do::Seccomp { filter, flags, agent } => {
                let listener = sys::seccomp(self.program.words(filter), flags)?;
                self.filtered = true;
                if agent == Text::NONE { Ok(()) } else { self.listener(listener) }
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

/// Change the uid and stay undumpable: with `fs.suid_dumpable` the kernel makes a process dumpable, and so traceable,
/// when its uid changes.
pub fn set_uid(uid: u32) -> Try<()> {
    sys::setresuid(uid)?;
    sys::prctl(PR_SET_DUMPABLE, 0, 0)
}

pub fn bounding(keep: u64) -> Try<()> {
    for capability in 0..64 {
        if keep >> capability & 1 == 0 {
            match sys::prctl(PR_CAPBSET_DROP, capability, 0) {
                // The first number unknown to the kernel ends the list.
                Err(fault) if fault.errno == sys::EINVAL => return Ok(()),
                other => other?,
            }
        }
    }
    Ok(())
}

pub fn user(uid: u32, gid: u32, groups: Option<&[u32]>, keep: bool) -> Try<()> {
    sys::prctl(PR_SET_KEEPCAPS, u64::from(keep), 0)?;
    if let Some(groups) = groups {
        sys::setgroups(groups)?;
    }
    sys::setresgid(gid)?;
    set_uid(uid)?;
    sys::prctl(PR_SET_KEEPCAPS, 0, 0)
}

/// Drop all other capabilities. The inheritable set is emptied, and with it the ambient set.
pub fn shed(keep: u64) -> Try<()> {
    let kept = sys::permitted()? & keep;
    sys::capset(kept, kept, 0)
}

/// Returns the capabilities that could not be set. A set with all bits is no demand.
pub fn capabilities(effective: u64, permitted: u64, inheritable: u64, ambient: u64) -> Try<u64> {
    const PR_CAP_AMBIENT_RAISE: u64 = 2;
    const PR_CAP_AMBIENT_CLEAR_ALL: u64 = 4;
    let had = sys::permitted()?;
    let (permits, mut inherits) = (permitted & had, inheritable & had);
    let acts = effective & permits;
    match sys::capset(acts, permits, inherits) {
        Err(fault) if fault.errno == sys::EPERM && inherits != 0 => {
            // A capability outside the bounding set cannot be inheritable.
            inherits = (0..64)
                .filter(|it| inherits >> it & 1 == 1 && sys::in_bounding_set(*it))
                .fold(0, |all, it| all | 1 << it);
            sys::capset(acts, permits, inherits)?;
        }
        other => other?,
    }
    sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0)?;
    let missing = |asked: u64, got: u64| if asked == u64::MAX { 0 } else { asked & !got };
    let mut lost = missing(effective, acts) | missing(permitted, permits) | missing(inheritable, inherits);
    for capability in (0..64).filter(|capability| ambient >> capability & 1 == 1) {
        if sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability).is_err() {
            lost |= 1 << capability;
        }
    }
    Ok(lost)
}

/// Enter the working directory and check that it lies inside the root: a path such as `/proc/self/fd/7` must not lead
/// outside (CVE-2024-21626).
pub fn chdir(path: &CStr) -> Try<()> {
    sys::chdir(path)?;
    let mut buffer = [0u8; 4096];
    match sys::getcwd(&mut buffer) {
        Ok(_) if buffer[0] == b'/' => Ok(()),
        Ok(_) => Err(Fault::because(why::CWD_OUTSIDE, sys::ENOENT)),
        Err(fault) if fault.errno == sys::ENOENT => Err(Fault::because(why::CWD_OUTSIDE, sys::ENOENT)),
        Err(fault) => Err(fault),
    }
}

/// The first executable candidate.
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

/// Write the reason of a failed `execve(2)` to the container's own stderr, since the caller of `start` has already been
/// told of success. A seccomp filter may be the reason.
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
