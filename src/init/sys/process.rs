//! System calls on the process: namespaces, identity, privileges, limits, exit.

use core::arch::asm;
use core::ffi::CStr;

use super::super::op::List;
use super::{EINVAL, ENOSYS, EPERM, Fault, Mapped, Try, calls};

/// Exit. If a seccomp filter forbids exit_group(2), an illegal instruction ends the process: filters do not see it.
pub fn exit(status: i32) -> ! {
    let _ = call!(EXIT_GROUP, status);
    // SAFETY: the instruction raises SIGILL here and does nothing else; nothing runs after it.
    unsafe { asm!("ud2", options(noreturn, nomem, nostack)) }
}

pub fn setns(fd: i32, kind: u32) -> Try<()> {
    done!(SETNS, fd, kind)
}

pub fn unshare(flags: u64) -> Try<()> {
    done!(UNSHARE, flags)
}

/// The side of a fork.
pub enum Fork {
    Parent(i32),
    Child,
}

/// Make a sibling in new namespaces, with a copy of this process's memory.
pub fn fork_sibling(flags: u64) -> Try<Fork> {
    const CLONE_PARENT: u64 = 0x8000;
    // struct clone_args: flags, then fields that stay 0. With CLONE_PARENT the exit signal is inherited and must be 0
    // here.
    let mut args = [0u64; 11];
    args[0] = flags | CLONE_PARENT;
    // Without CLONE_VM the child continues on a copy of this stack.
    let forked = match call!(CLONE3, args.as_ptr(), size_of_val(&args)) {
        // A sandbox may allow only `clone(2)`.
        Err(fault) if matches!(fault.errno, EPERM | ENOSYS) => call!(CLONE, args[0], 0, 0, 0, 0).map_err(|_| fault),
        other => other,
    };
    match forked? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid as i32)),
    }
}

pub fn setgroups(groups: &[u32]) -> Try<()> {
    done!(SETGROUPS, groups.len(), groups.as_ptr())
}

pub fn setresgid(gid: u32) -> Try<()> {
    done!(SETRESGID, gid, gid, gid)
}

pub fn setresuid(uid: u32) -> Try<()> {
    done!(SETRESUID, uid, uid, uid)
}

const CAPABILITY_HEADER: [u32; 2] = [0x2008_0522, 0];

/// The permitted capabilities of this process.
pub fn permitted() -> Try<u64> {
    let mut data = [0u32; 6];
    call!(CAPGET, CAPABILITY_HEADER.as_ptr(), data.as_mut_ptr())?;
    Ok(u64::from(data[1]) | u64::from(data[4]) << 32)
}

pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Try<()> {
    let sets = [effective, permitted, inheritable];
    let mut data = [0u32; 6];
    for (at, set) in sets.iter().enumerate() {
        data[at] = *set as u32;
        data[at + 3] = (*set >> 32) as u32;
    }
    done!(CAPSET, CAPABILITY_HEADER.as_ptr(), data.as_ptr())
}

/// Whether this capability is in the bounding set.
pub fn in_bounding_set(capability: u64) -> bool {
    const PR_CAPBSET_READ: usize = 23;
    call!(PRCTL, PR_CAPBSET_READ, capability, 0, 0, 0).is_ok_and(|answer| answer == 1)
}

pub fn prctl(option: u32, a: u64, b: u64) -> Try<()> {
    done!(PRCTL, option, a, b, 0, 0)
}

pub fn setsid() -> Try<()> {
    done!(SETSID)
}

/// Join a session keyring of this name (`KEYCTL_JOIN_SESSION_KEYRING`) and set its rights (`KEYCTL_SETPERM`): all for
/// the possessor; view, read, search and link for other processes of the same user. `exec` needs these to join the
/// keyring by its name.
pub fn session_keyring(name: &CStr) -> Try<()> {
    const POSSESSOR_ALL_USER_FINDS: usize = 0x3f1b_0000;
    const KEYCTL_JOIN_SESSION_KEYRING: usize = 1;
    const KEYCTL_SETPERM: usize = 5;
    let key = call!(KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr())?;
    done!(KEYCTL, KEYCTL_SETPERM, key, POSSESSOR_ALL_USER_FINDS)
}

pub fn sched_setaffinity(mask: &[u64]) -> Try<()> {
    done!(SCHED_SETAFFINITY, 0, size_of_val(mask), mask.as_ptr())
}

pub fn sethostname(name: &CStr) -> Try<()> {
    done!(SETHOSTNAME, name.as_ptr(), name.count_bytes())
}

pub fn setdomainname(name: &CStr) -> Try<()> {
    done!(SETDOMAINNAME, name.as_ptr(), name.count_bytes())
}

/// Set the default action of every signal, and an empty signal mask.
pub fn reset_signals() -> Try<()> {
    let default = [0u64; 4];
    for signal in 1..=64 {
        // SIGKILL and SIGSTOP answer EINVAL; their action is always the default.
        let _ = call!(RT_SIGACTION, signal, default.as_ptr(), 0, 8);
    }
    const SIG_SETMASK: usize = 2;
    done!(RT_SIGPROCMASK, SIG_SETMASK, default.as_ptr(), 0, 8)
}

pub fn umask(mask: u32) {
    let _ = call!(UMASK, mask);
}

pub fn setrlimit(resource: u32, soft: u64, hard: u64) -> Try<()> {
    let limit = [soft, hard];
    done!(PRLIMIT64, 0, resource, limit.as_ptr(), 0)
}

#[repr(C)]
pub struct SchedAttr {
    pub size: u32,
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

pub fn sched_setattr(attr: &SchedAttr) -> Try<()> {
    done!(SCHED_SETATTR, 0, attr as *const SchedAttr, 0)
}

pub fn ioprio_set(value: u32) -> Try<()> {
    const IOPRIO_WHO_PROCESS: usize = 1;
    done!(IOPRIO_SET, IOPRIO_WHO_PROCESS, 0, value)
}

pub fn personality(domain: u32) -> Try<()> {
    done!(PERSONALITY, domain)
}

pub fn set_mempolicy(mode: u32, nodes: &[u64]) -> Try<()> {
    if nodes.is_empty() {
        return done!(SET_MEMPOLICY, mode, 0, 0);
    }
    // The kernel uses one bit less than this number.
    done!(SET_MEMPOLICY, mode, nodes.as_ptr(), nodes.len() * 64 + 1)
}

#[repr(C)]
struct SockFprog {
    length: u16,
    filter: *const u64,
}

/// `SECCOMP_SET_MODE_FILTER`. Returns the listener, if the flags ask for one.
pub fn seccomp(filter: &[u64], flags: u32) -> Try<i32> {
    const SECCOMP_SET_MODE_FILTER: usize = 1;
    let program = SockFprog { length: filter.len() as u16, filter: filter.as_ptr() };
    call!(SECCOMP, SECCOMP_SET_MODE_FILTER, flags, &program as *const SockFprog).map(|listener| listener as i32)
}

/// Execute another program. Returns only on failure.
pub fn execve(path: &CStr, program: Mapped, argv: List, envp: List) -> Fault {
    let (argv, envp): (&[usize], &[usize]) = (program.addresses(argv), program.addresses(envp));
    match call!(EXECVE, path.as_ptr(), argv.as_ptr(), envp.as_ptr()) {
        Err(fault) => fault,
        Ok(_) => Fault::because(calls::EXECVE, EINVAL),
    }
}
