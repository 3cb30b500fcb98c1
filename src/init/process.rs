//! The process: identity, privileges, limits, the program to run.

use core::ffi::CStr;

use crate::files::{self, Fd, PathBuffer};
use crate::op::{List, Text, why};
use crate::sys::{self, Fault, Program, Try};

const PR_CAPBSET_DROP: u32 = 24;
const PR_CAP_AMBIENT: u32 = 47;
const PR_SET_KEEPCAPS: u32 = 8;
const PR_SET_DUMPABLE: u32 = 4;
const CLONE_NEWUSER: u32 = 0x1000_0000;

/// `setns(2)` for each, as `nsenter` does it: namespaces that the user namespace does not own are
/// joined before it, those that it owns after it.
pub fn join(program: Program, list: List) -> Try<()> {
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

/// Root of the user namespace. Groups go too, where the namespace lets them be set at all. Returns whether it does not.
pub fn become_root(uid: u32, gid: u32, keep_groups: bool) -> Try<bool> {
    sys::setresgid(gid)?;
    set_uid(uid)?;
    if keep_groups {
        return Ok(false);
    }
    match sys::setgroups(&[]) {
        // An unprivileged user's namespace has setgroups denied: the groups stay as they are.
        Err(fault) if fault.errno == sys::EPERM && files::setgroups_is_denied() => Ok(true),
        other => other.map(|()| false),
    }
}

/// With `fs.suid_dumpable` the kernel makes whoever changes his identity one that others may look into; this program they
/// may not.
fn set_uid(uid: u32) -> Try<()> {
    sys::setresuid(uid)?;
    sys::prctl(PR_SET_DUMPABLE, 0, 0)
}

pub fn bounding(keep: u64) -> Try<()> {
    for capability in 0..64 {
        if keep >> capability & 1 == 0 {
            match sys::prctl(PR_CAPBSET_DROP, capability, 0) {
                // The first number that the kernel does not know ends the list.
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

/// Keep no other capabilities than these. The inheritable set becomes empty, and with it the ambient one.
pub fn shed(keep: u64) -> Try<()> {
    let kept = sys::permitted()? & keep;
    sys::capset(kept, kept, 0)
}

/// Returns the capabilities that could not be had. What is asked for with all bits set is no demand.
pub fn capabilities(effective: u64, permitted: u64, inheritable: u64, ambient: u64) -> Try<u64> {
    const PR_CAP_AMBIENT_RAISE: u64 = 2;
    const PR_CAP_AMBIENT_CLEAR_ALL: u64 = 4;
    let had = sys::permitted()?;
    let (permits, mut inherits) = (permitted & had, inheritable & had);
    let acts = effective & permits;
    match sys::capset(acts, permits, inherits) {
        Err(fault) if fault.errno == sys::EPERM && inherits != 0 => {
            // Nobody inherits what is not in the bounding set.
            inherits = (0..64).filter(|it| inherits >> it & 1 == 1 && sys::in_bounding_set(*it)).fold(0, |all, it| all | 1 << it);
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

/// Enter the working directory and make sure that it lies inside the root: a path such as
/// `/proc/self/fd/7` must not lead out of it (CVE-2024-21626).
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

/// HOME of this uid from the container's `/etc/passwd`, else `/`.
pub fn home(uid: u32) -> &'static CStr {
    let buffer = sys::lasting();
    buffer[..5].copy_from_slice(b"HOME=");
    let found = passwd(uid, &mut buffer[5..511]).unwrap_or(0);
    if found == 0 {
        buffer[5..7].copy_from_slice(b"/\0");
    }
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"HOME=/")
}

/// Write the home directory of the first entry of this uid; returns its length.
fn passwd(uid: u32, home: &mut [u8]) -> Option<usize> {
    const OPEN: u64 = sys::O_RDONLY | sys::O_CLOEXEC | sys::O_NONBLOCK;
    let file = Fd(sys::open(c"/etc/passwd", OPEN).ok()?);
    if !sys::fstat(file.0).ok()?.is_file() {
        return None;
    }
    // A file of the container's own: it may be of any size.
    const MOST: usize = 1 << 20;
    let mut chunk = [0u8; 1024];
    let mut seen = 0;
    let (mut field, mut number, mut length) = (0, Some(0u32), 0);
    loop {
        let filled = if seen < MOST { sys::read(file.0, &mut chunk).ok()? } else { 0 };
        seen += filled;
        let end = if filled == 0 { &b"\n"[..] } else { &chunk[..filled] };
        for byte in end {
            match byte {
                b'\n' if field >= 5 && number == Some(uid) && length > 0 => {
                    *home.get_mut(length)? = 0;
                    return Some(length);
                }
                b'\n' => (field, number, length) = (0, Some(0), 0),
                b':' => field += 1,
                digit if field == 2 => {
                    let digit = u32::from(*digit).wrapping_sub(u32::from(b'0'));
                    number = number.filter(|_| digit < 10).and_then(|n| n.checked_mul(10)?.checked_add(digit));
                }
                byte if field == 5 => {
                    if let Some(place) = home.get_mut(length) {
                        *place = *byte;
                        length += 1;
                    }
                }
                _ => {}
            }
        }
        if filled == 0 {
            return None;
        }
    }
}

/// The first candidate that can be run.
pub fn find(program: Program, candidates: &[Text]) -> Try<&'static CStr> {
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

/// The line that a failed `execve(2)` leaves on the container's own stderr: whoever started it was
/// told that all was well. A seccomp filter that is in force may be why.
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
    let reason = REASONS.iter().find(|(number, _)| *number == errno).map_or(&b"cannot be executed"[..], |(_, text)| text);
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
