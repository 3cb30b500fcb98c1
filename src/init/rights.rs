//! Operations on the rights of the process: user, capabilities, seccomp.

use super::machine::Init;
use super::op::{Rights, Text, why};
use super::sys::{self, Fault, Try};

const PR_CAPBSET_DROP: u32 = 24;
const PR_CAP_AMBIENT: u32 = 47;
const PR_SET_KEEPCAPS: u32 = 8;
pub const PR_SET_DUMPABLE: u32 = 4;
const PR_SET_NO_NEW_PRIVS: u32 = 38;

impl Init {
    pub fn rights(&mut self, op: &Rights) -> Try<()> {
        match *op {
            Rights::NoNewPrivileges => sys::prctl(PR_SET_NO_NEW_PRIVS, 1, 0),
            Rights::Bounding { keep } => bounding(keep),
            Rights::Shed { keep } => shed(keep),
            Rights::User { uid, gid, groups, set_groups, keep } => {
                if self.groups_denied && groups.len > 0 {
                    self.warn(Fault::because(why::GROUPS_DENIED, sys::EPERM));
                }
                let groups = (set_groups && !self.groups_denied).then(|| self.program.numbers(groups));
                user(uid, gid, groups, keep)
            }
            Rights::Capabilities { effective, permitted, inheritable, ambient } => {
                let lost = capabilities(effective, permitted, inheritable, ambient)?;
                if lost != 0 {
                    self.warn(Fault { detail: lost, ..Fault::because(0, sys::EPERM) });
                }
                Ok(())
            }
            Rights::Seccomp { filter, flags, agent } => {
                let listener = sys::seccomp(self.program.words(filter), flags)?;
                self.filtered = true;
                if agent == Text::NONE { Ok(()) } else { self.listener(listener) }
            }
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
                // The list ends at the first capability that the kernel does not know.
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

/// Drop all capabilities that are not in `keep`. This also empties the inheritable set, and with it the ambient set.
pub fn shed(keep: u64) -> Try<()> {
    let kept = sys::permitted()? & keep;
    sys::capset(kept, kept, 0)
}

/// Set the capabilities, and return those that could not be set. A set with all bits means all capabilities that the
/// process has.
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
