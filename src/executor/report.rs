//! Makes an error message that names the field from the index of an operation and an errno.

use super::union;
use crate::init::calls;
use crate::init::op::{self, Message, Op, Rules, why};
use crate::plan::{Program, describe};
use crate::spec::Field;
use crate::sys::{Errno, reason};
use crate::tables::capability;
use crate::tables::seccomp::FLAG_WAIT_KILLABLE_RECV;

/// The message for a failure of `init`. If the container's own filter may be the cause, the message begins with it.
pub fn failure(program: &Program, message: &Message) -> String {
    let text = plain_failure(program, message);
    match filter_before(program, message.index) {
        Some(filter) if may_answer(&filter, message.errno) => format!("{FILTERED}: {text}"),
        _ => text,
    }
}

const FILTERED: &str = "linux.seccomp: the filter is in force already, and may forbid the remaining steps";

/// The message if `init` died early without a message. `end` is its exit status or signal; `by_filter` says whether a
/// filter may be the cause.
pub fn death(program: &Program, heard_of: u32, end: &str, by_filter: bool) -> String {
    // If a filter forbids write(2), `init` dies at its first message after loading the filter.
    let next = program.ops().iter().skip(heard_of as usize).position(|op| matches!(op, Op::Talk(op::Talk::Ask { .. })));
    let until = next.map_or(u32::MAX, |next| heard_of + next as u32);
    match filter_before(program, until) {
        Some(_) if by_filter => format!("{FILTERED}: init died before the container's program could run: {end}"),
        _ => format!("init died before the container's program could run: {end}"),
    }
}

/// The filter that is loaded before this operation.
fn filter_before(program: &Program, index: u32) -> Option<Vec<u64>> {
    program.ops().iter().take(index as usize).find_map(|op| match op {
        Op::Rights(op::Rights::Seccomp { filter, .. }) => Some(program.show_words(*filter)),
        _ => None,
    })
}

/// Whether any instruction of the filter returns this error.
fn may_answer(filter: &[u64], errno: i32) -> bool {
    const RETURN: u16 = 0x06;
    const ERRNO: u32 = 0x0005_0000;
    filter.iter().any(|word| {
        let [c0, c1, _, _, k @ ..] = word.to_ne_bytes();
        u16::from_ne_bytes([c0, c1]) == RETURN && u32::from_ne_bytes(k) == ERRNO | errno as u32
    })
}

/// Failures that are not those of one system call: the text, and whether to add the errno.
const REASONS: [(u32, &str, bool); 14] = [
    (why::INSIDE_PROC, "cannot be mounted because it is inside /proc", false),
    (why::NOT_PROC, "cannot be mounted because it is not of type proc", false),
    (why::NOT_NULL, "/dev/null of the container is not the null device", false),
    (why::NOT_PLAIN, "must be mounted on ordinary directory", true),
    (why::NOT_TERMINAL, "/dev/pts of the container is no devpts", false),
    (why::NOT_DEVICE, "there is another file already", true),
    (why::OTHER_DEVICE, "the host's is another device", false),
    (why::IS_ROOT, "the root cannot be hidden", false),
    (why::NEEDS_SETATTR, "the kernel cannot set its flags before it is mounted", true),
    (why::NOT_MOUNTED, "it is not mounted there", true),
    (why::UNSTEADY, "a file changes while it is copied", true),
    (why::TOO_DEEP, "directories are nested too deeply", true),
    (why::ORPHAN, "the runtime went away", false),
    (
        why::CWD_OUTSIDE,
        "current working directory is outside of container mount namespace root -- possible container breakout detected",
        false,
    ),
];

fn plain_failure(program: &Program, message: &Message) -> String {
    let Some((op, field)) = program.at(message.index) else {
        return format!("init failed in an unknown way: {message:?}");
    };
    if let Some(text) = of_operation(op, field, program, message) {
        return text;
    }
    let what = describe(op, program);
    let (what, errno) = (what.trim(), reason(Errno::from_raw(message.errno)));
    if let Some((_, text, more)) = REASONS.iter().find(|(number, ..)| *number == message.step) {
        return if *more { format!("{field}: {what}: {text}: {errno}") } else { format!("{field}: {what}: {text}") };
    }
    match calls::name(message.step) {
        Some(call) if !what.starts_with(call) => format!("{field}: {what}: {call}: {errno}"),
        _ => format!("{field}: {what}: {errno}"),
    }
}

/// The message for an operation whose failure has a text of its own.
fn of_operation(op: &Op, field: &Field, program: &Program, message: &Message) -> Option<String> {
    let what = describe(op, program);
    let errno = reason(Errno::from_raw(message.errno));
    Some(match (op, message.step) {
        (Op::Process(op::Process::Find { .. }), _) => format!("{field}: {}", not_found(program, message.errno)),
        (Op::Rights(op::Rights::Seccomp { flags, .. }), calls::SECCOMP)
            if message.errno == libc::EINVAL && flags & FLAG_WAIT_KILLABLE_RECV != 0 =>
        {
            format!("{field}.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs Linux 5.19: {errno}")
        }
        (Op::Rights(op::Rights::User { .. }), why::GROUPS_DENIED) => {
            format!("{field}.additionalGids: left out, for this user namespace denies setgroups: {errno}")
        }
        (Op::Enter(op::Enter::Fork { .. }), _) if message.errno == libc::EAGAIN => {
            format!(
                "linux.resources.pids.limit, or a limit above it or of the caller: no more processes: {what}: {errno}"
            )
        }
        (Op::Rootfs(op::Rootfs::Union { layers, .. }), step) => {
            // `init` names the layer by its number, from 1 on.
            let index = (message.detail as usize).checked_sub(1);
            let layer = index.and_then(|index| Some((index, *program.show_texts(*layers).get(index)?)));
            let call = calls::name(step).unwrap_or("too long");
            match layer {
                Some((index, path)) => {
                    format!("{}: {call} {:?}: {errno}", field.element(index), program.show(path))
                }
                None => format!("{field}: {what}: {call}: {errno}{}", union::hint(Errno::from_raw(message.errno))),
            }
        }
        (Op::Enter(op::Enter::Keyring { .. }), _) => {
            format!("{field}: {what}: {errno} (--no-new-keyring keeps the caller's)")
        }
        (Op::Talk(op::Talk::Terminal { .. }), _) if message.errno == libc::ENOENT => {
            format!("{field}: {what}: there is no devpts at /dev/pts of the container: {errno}")
        }
        (Op::Process(op::Process::Write { .. }), why::NOT_PLAIN) => format!("{field}: {what}: is not a file of procfs"),
        (Op::Entry(op::Entry::Directory { .. } | op::Entry::Hold { .. }), why::NOT_PLAIN) => {
            format!("{field}: {what}: must be an ordinary directory: {errno}")
        }
        (
            Op::Mount(
                op::Mount::FileSystem { rules, .. }
                | op::Mount::Attach { rules, .. }
                | op::Mount::Remount { rules, .. },
            ),
            why::NOT_PLAIN,
        ) if rules.has(Rules::LIVING) => format!("{field}: {what}: no symbolic link may lead there: {errno}"),
        (Op::Process(op::Process::Chdir { path, .. }), step) if step != why::CWD_OUTSIDE => {
            format!("{field}: chdir to cwd ({:?}) set in config.json failed: {errno}", program.show(*path))
        }
        (Op::Entry(op::Entry::MakeDirectory { path }), calls::MKDIRAT) => {
            format!("{field}: mkdir {}: {errno}", program.show(*path))
        }
        _ => return None,
    })
}

/// The texts by which engines distinguish "not found" and "not executable".
fn not_found(program: &Program, errno: i32) -> String {
    let argv = program.ops().iter().find_map(|op| match op {
        Op::Process(op::Process::Exec { argv, .. }) => {
            program.show_addresses(*argv).first().map(|name| (*name).to_owned())
        }
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

/// The message for a warning of `init`.
pub fn warning(program: &Program, message: &Message) -> String {
    match program.at(message.index) {
        Some((Op::Rights(op::Rights::Capabilities { ambient, .. }), field)) => {
            let names = capability::names(message.detail).join(" ");
            // These are runc's words.
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

    #[test]
    fn the_field_comes_first_and_the_reason_last() {
        let mut program = Program::new();
        let name = program.text("web");
        program.push(&Field::of("hostname"), op::Enter::Hostname { name });
        let message = Message { step: calls::SETHOSTNAME, errno: 1, ..Message::default() };
        assert_eq!(failure(&program, &message), "hostname: sethostname \"web\": operation not permitted");
    }

    #[test]
    fn a_filter_is_named_where_it_may_be_the_cause() {
        let errno = |errno: u64| 0x0006 | (0x0005_0000 | errno) << 32;
        let mut program = Program::new();
        let name = program.text("web");
        program.push(&Field::of("hostname"), op::Enter::Hostname { name });
        let filter = program.words(&[errno(1)]);
        let agent = crate::init::op::Text::NONE;
        program.push(&Field::of("linux.seccomp"), op::Rights::Seccomp { filter, flags: 0, agent });
        program.push(&Field::of("process"), op::Enter::Session);
        let text =
            |index, errno| failure(&program, &Message { step: calls::SETSID, index, errno, ..Message::default() });
        assert!(text(2, 1).starts_with("linux.seccomp: the filter is in force already"), "{}", text(2, 1));
        assert_eq!(text(2, 13), "process: setsid: permission denied");
        assert!(text(0, 1).starts_with("hostname: "), "{}", text(0, 1));
        assert!(death(&program, 2, "exit status 255", true).starts_with("linux.seccomp: "));
        assert!(death(&program, 0, "signal: killed", false).starts_with("init died"));
    }
}
