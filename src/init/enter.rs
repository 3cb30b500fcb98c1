//! Operations that enter namespaces.

use super::machine::Init;
use super::op::{Enter, List, kind};
use super::proc_file;
use super::rights::{PR_SET_DUMPABLE, set_uid};
use super::sys::{self, Fault, Fork, Mapped, Try};

const CLONE_NEWUSER: u32 = 0x1000_0000;

impl Init {
    pub fn enter(&mut self, op: &Enter) -> Try<()> {
        let text = |text| self.program.text(text);
        match *op {
            Enter::Signals => sys::reset_signals(),
            Enter::Cgroup { tasks } => enter_cgroup(self.program.slot(tasks.0)),
            Enter::Undumpable => sys::prctl(PR_SET_DUMPABLE, 0, 0),
            Enter::Dumpable => sys::prctl(PR_SET_DUMPABLE, 1, 0),
            Enter::Join { list } => join(self.program, list),
            Enter::Fork { flags } => self.fork(flags),
            Enter::Unshare { flags } => sys::unshare(flags),
            Enter::TimeOffsets { lines } => proc_file::write(c"/proc/self/timens_offsets", text(lines).to_bytes()),
            Enter::BecomeRoot { uid, gid, keep_groups } => {
                become_root(uid, gid, keep_groups).map(|denied| self.groups_denied = denied)
            }
            Enter::Session => sys::setsid(),
            Enter::Keyring { name } => match sys::session_keyring(text(name)) {
                // A kernel without keyrings has no keyring of the caller to leave.
                Err(fault) if fault.errno == sys::ENOSYS => Ok(()),
                other => other,
            },
            Enter::Affinity { mask } => self.affinity(self.program.words(mask)),
            Enter::Hostname { name } => sys::sethostname(text(name)),
            Enter::Domainname { name } => sys::setdomainname(text(name)),
            Enter::Loopback => sys::loopback_up(),
        }
    }

    fn fork(&self, flags: u64) -> Try<()> {
        match sys::fork_sibling(flags)? {
            Fork::Child => self.wait(),
            Fork::Parent(pid) => {
                self.say(kind::FORKED, pid as u64)?;
                sys::exit(0)
            }
        }
    }

    fn affinity(&self, mask: &[u64]) -> Try<()> {
        match sys::sched_setaffinity(mask) {
            Err(fault) if mask.iter().all(|word| *word == u64::MAX) => {
                self.warn(fault);
                Ok(())
            }
            other => other,
        }
    }
}

/// Move this process. 0 is the thread that writes, here the only one of the process. If a thread moves itself, the
/// kernel (from Linux 5.5 on) does not stop all forks and exits of the machine meanwhile; to stop them, it waits for a
/// grace period of RCU: ten milliseconds on an idle machine (kernel/cgroup/cgroup.c, `cgroup_procs_write_start`).
fn enter_cgroup(tasks: i32) -> Try<()> {
    if tasks < 0 {
        return Ok(());
    }
    let moved = sys::write(tasks, b"0");
    sys::close(tasks);
    moved.map(drop)
}

/// Call `setns(2)` for each namespace. As in `nsenter`, the namespaces that the user namespace does not own are
/// joined before it, the others after it.
pub fn join(program: Mapped, list: List) -> Try<()> {
    let pairs = program.pairs(list);
    let mut late = 0u64;
    for (at, (slot, kind)) in pairs.iter().enumerate() {
        if pairs.len() > 1 && *kind == CLONE_NEWUSER {
            late |= 1 << at;
            continue;
        }
        match sys::setns(program.slot(*slot), *kind) {
            Err(fault) if fault.errno == sys::EPERM && pairs.len() > 1 => late |= 1 << at,
            other => other.map_err(|fault| Fault { detail: at as u64, ..fault })?,
        }
    }
    let is_user = |at: usize| pairs[at].1 == CLONE_NEWUSER;
    let users = (0..pairs.len()).filter(|at| is_user(*at));
    for at in users.chain((0..pairs.len()).filter(|at| !is_user(*at))) {
        if late >> at & 1 == 1 {
            let (slot, kind) = pairs[at];
            sys::setns(program.slot(slot), kind).map_err(|fault| Fault { detail: at as u64, ..fault })?;
        }
    }
    Ok(())
}

/// Become root of the user namespace, without supplementary groups where setgroups(2) is allowed. Returns whether it is
/// denied.
pub fn become_root(uid: u32, gid: u32, keep_groups: bool) -> Try<bool> {
    sys::setresgid(gid)?;
    set_uid(uid)?;
    if keep_groups {
        return Ok(false);
    }
    match sys::setgroups(&[]) {
        // In the user namespace of an unprivileged user setgroups(2) is denied, so the groups stay.
        Err(fault) if fault.errno == sys::EPERM && proc_file::setgroups_is_denied() => Ok(true),
        other => other.map(|()| false),
    }
}
