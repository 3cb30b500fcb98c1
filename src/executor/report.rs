//! From an index and an errno to a sentence that names the field.

use crate::init::op::{Message, Op, place, why};
use crate::plan::{Program, describe};
use crate::seccomp::FLAG_WAIT_KILLABLE_RECV;
use crate::sys::{Errno, reason};
use crate::tables::capability;

/// Names of the system calls that `init` makes, `asm/unistd_64.h`.
const CALLS: [(u32, &str); 66] = [
    (0, "read"),
    (1, "write"),
    (5, "fstat"),
    (9, "mmap"),
    (14, "sigprocmask"),
    (16, "ioctl"),
    (40, "sendfile"),
    (41, "socket"),
    (46, "sendmsg"),
    (72, "fcntl"),
    (79, "getcwd"),
    (80, "chdir"),
    (81, "fchdir"),
    (91, "fchmod"),
    (93, "fchown"),
    (112, "setsid"),
    (116, "setgroups"),
    (117, "setresuid"),
    (119, "setresgid"),
    (125, "capget"),
    (126, "capset"),
    (135, "personality"),
    (138, "fstatfs"),
    (155, "pivot_root"),
    (157, "prctl"),
    (161, "chroot"),
    (165, "mount"),
    (166, "umount"),
    (170, "sethostname"),
    (171, "setdomainname"),
    (190, "fsetxattr"),
    (193, "fgetxattr"),
    (196, "flistxattr"),
    (203, "sched_setaffinity"),
    (217, "getdents"),
    (238, "set_mempolicy"),
    (250, "keyctl"),
    (251, "ioprio_set"),
    (257, "open"),
    (258, "mkdir"),
    (259, "mknod"),
    (260, "chown"),
    (262, "stat"),
    (263, "unlink"),
    (266, "symlink"),
    (267, "readlink"),
    (268, "chmod"),
    (272, "unshare"),
    (280, "utimensat"),
    (269, "access"),
    (292, "dup3"),
    (302, "prlimit"),
    (308, "setns"),
    (314, "sched_setattr"),
    (317, "seccomp"),
    (322, "execve"),
    (332, "statx"),
    (428, "open_tree"),
    (429, "move_mount"),
    (430, "fsopen"),
    (431, "fsconfig"),
    (432, "fsmount"),
    (435, "clone3"),
    (437, "open"),
    (439, "access"),
    (442, "mount_setattr"),
];

/// What a failure of `init` means. Where the container's own filter may have caused it, that one comes first.
pub fn failure(program: &Program, message: &Message) -> String {
    let text = plain_failure(program, message);
    match filter_before(program, message.index) {
        Some(filter) if may_answer(&filter, message.errno) => format!("{FILTERED}: {text}"),
        _ => text,
    }
}

const FILTERED: &str = "linux.seccomp: the filter is in force already, and may forbid what is still to be done";

/// `init` ended before all was done, and could not say why. `end` is how, which a filter may have brought about or not.
pub fn death(program: &Program, heard_of: u32, end: &str, by_filter: bool) -> String {
    // A filter that forbids write(2) is noticed at the first message after it.
    let next = program.ops().iter().skip(heard_of as usize).position(|op| matches!(op, Op::Ask { .. }));
    let until = next.map_or(u32::MAX, |next| heard_of + next as u32);
    match filter_before(program, until) {
        Some(_) if by_filter => format!("{FILTERED}: init died before the container's program could run: {end}"),
        _ => format!("init died before the container's program could run: {end}"),
    }
}

/// The filter that is loaded before this operation.
fn filter_before(program: &Program, index: u32) -> Option<Vec<u64>> {
    program.ops().iter().take(index as usize).find_map(|op| match op {
        Op::Seccomp { filter, .. } => Some(program.show_words(*filter)),
        _ => None,
    })
}

/// Does any instruction of the filter return this error?
fn may_answer(filter: &[u64], errno: i32) -> bool {
    const RETURN: u16 = 0x06;
    const ERRNO: u32 = 0x0005_0000;
    filter.iter().any(|word| {
        let [c0, c1, _, _, k @ ..] = word.to_ne_bytes();
        u16::from_ne_bytes([c0, c1]) == RETURN && u32::from_ne_bytes(k) == ERRNO | errno as u32
    })
}

fn plain_failure(program: &Program, message: &Message) -> String {
    let Some((op, field)) = program.at(message.index) else {
        return format!("init failed in an unknown way: {message:?}");
    };
    let what = describe(op, program);
    let errno = reason(Errno::from_raw(message.errno));
    match (op, message.step) {
        (Op::Find { .. }, _) => format!("{field}: {}", not_found(program, message.errno)),
        (Op::Seccomp { flags, .. }, 317) if message.errno == libc::EINVAL && flags & FLAG_WAIT_KILLABLE_RECV != 0 => {
            format!("{field}.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs Linux 5.19: {errno}")
        }
        (_, why::INSIDE_PROC) => format!("{field}: {what}: cannot be mounted because it is inside /proc"),
        (Op::User { .. }, why::GROUPS_DENIED) => {
            format!("{field}.additionalGids: left out, for this user namespace denies setgroups: {errno}")
        }
        (Op::Fork { .. }, _) if message.errno == libc::EAGAIN => {
            format!(
                "linux.resources.pids.limit, or a limit above it or of the caller: no more processes: {what}: {errno}"
            )
        }
        (Op::Keyring { .. }, _) => format!("{field}: {what}: {errno} (--no-new-keyring keeps the caller's)"),
        (_, why::NOT_PROC) => format!("{field}: {what}: cannot be mounted because it is not of type proc"),
        (_, why::NOT_NULL) => format!("{field}: {what}: /dev/null of the container is not the null device"),
        (Op::Terminal { .. }, _) if message.errno == libc::ENOENT => {
            format!("{field}: {what}: there is no devpts at /dev/pts of the container: {errno}")
        }
        (Op::Terminal { .. }, why::NOT_TERMINAL) => format!("{field}: {what}: /dev/pts of the container is no devpts"),
        (Op::Write { .. }, why::NOT_PLAIN) => format!("{field}: {what}: is not a file of procfs"),
        (Op::Directory { .. } | Op::Hold { .. }, why::NOT_PLAIN) => {
            format!("{field}: {what}: must be an ordinary directory: {errno}")
        }
        (Op::Mount { place, .. } | Op::Attach { place, .. } | Op::Remount { place, .. }, why::NOT_PLAIN)
            if place & place::LIVING != 0 =>
        {
            format!("{field}: {what}: no symbolic link may lead there: {errno}")
        }
        (_, why::NOT_PLAIN) => format!("{field}: {what}: must be mounted on ordinary directory: {errno}"),
        (_, why::NOT_DEVICE) => format!("{field}: {}: there is another file already: {errno}", what.trim()),
        (_, why::OTHER_DEVICE) => format!("{field}: {}: the host's is another device", what.trim()),
        (_, why::IS_ROOT) => format!("{field}: {what}: the root cannot be hidden"),
        (_, why::NEEDS_SETATTR) => {
            format!("{field}: {what}: the kernel cannot set its flags before it is mounted: {errno}")
        }
        (_, why::NOT_MOUNTED) => format!("{field}: {what}: it is not mounted there: {errno}"),
        (_, why::UNSTEADY) => format!("{field}: {what}: a file changes while it is copied: {errno}"),
        (_, why::TOO_DEEP) => format!("{field}: {what}: directories are nested too deeply: {errno}"),
        (_, why::TOO_LONG) => format!("{field}: {what}: {errno}"),
        (_, why::ORPHAN) => format!("{field}: {what}: the runtime went away"),
        (_, why::CWD_OUTSIDE) => {
            format!(
                "{field}: {what}: current working directory is outside of container mount namespace root -- possible container breakout detected"
            )
        }
        (Op::Chdir { path, .. }, _) => {
            format!("{field}: chdir to cwd ({:?}) set in config.json failed: {errno}", program.show(*path))
        }
        (Op::MakeDirectory { path }, 258) => format!("{field}: mkdir {}: {errno}", program.show(*path)),
        (_, step) => match CALLS.iter().find(|(number, _)| *number == step) {
            Some((_, call)) if !what.starts_with(call) => format!("{field}: {}: {call}: {errno}", what.trim()),
            _ => format!("{field}: {}: {errno}", what.trim()),
        },
    }
}

/// The texts that engines tell "not found" and "not executable" by.
fn not_found(program: &Program, errno: i32) -> String {
    let argv = program.ops().iter().find_map(|op| match op {
        Op::Exec { argv, .. } => program.show_addresses(*argv).first().map(|name| (*name).to_owned()),
        _ => None,
    });
    let name = argv.unwrap_or_default();
    let errno = Errno::from_raw(errno);
    if !name.contains('/') && errno != Errno::EACCES {
        return format!("exec: {name:?}: executable file not found in $PATH");
    }
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => format!("exec: {name:?}: stat {name}: {}", reason(errno)),
        errno => format!("exec: {name:?}: {}", reason(errno)),
    }
}

/// What a warning of `init` means.
pub fn warning(program: &Program, message: &Message) -> String {
    match program.at(message.index) {
        Some((Op::Capabilities { ambient, .. }, field)) => {
            let names = capability::names(message.detail).join(" ");
            // In runc's words.
            let what = match message.detail & !ambient {
                0 => format!("ambient capability {names}"),
                _ => format!("capabilities [{names}]"),
            };
            format!("{field}: can't raise {what}: {}", reason(Errno::from_raw(message.errno)))
        }
        _ => failure(program, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Field;

    #[test]
    fn the_field_comes_first_and_the_reason_last() {
        let mut program = Program::new();
        let name = program.text("web");
        program.push(&Field::of("hostname"), Op::Hostname { name });
        let message = Message { step: 170, errno: 1, ..Message::default() };
        assert_eq!(failure(&program, &message), "hostname: sethostname \"web\": operation not permitted");
    }

    #[test]
    fn a_filter_is_named_where_it_may_be_the_cause() {
        let errno = |errno: u64| 0x0006 | (0x0005_0000 | errno) << 32;
        let mut program = Program::new();
        let name = program.text("web");
        program.push(&Field::of("hostname"), Op::Hostname { name });
        let filter = program.words(&[errno(1)]);
        let agent = crate::init::op::Text::NONE;
        program.push(&Field::of("linux.seccomp"), Op::Seccomp { filter, flags: 0, agent });
        program.push(&Field::of("process"), Op::Session);
        let text = |index, errno| failure(&program, &Message { step: 112, index, errno, ..Message::default() });
        assert!(text(2, 1).starts_with("linux.seccomp: the filter is in force already"), "{}", text(2, 1));
        assert_eq!(text(2, 13), "process: setsid: permission denied");
        assert!(text(0, 1).starts_with("hostname: "), "{}", text(0, 1));
        assert!(death(&program, 2, "exit status 255", true).starts_with("linux.seccomp: "));
        assert!(death(&program, 0, "signal: killed", false).starts_with("init died"));
    }
}
