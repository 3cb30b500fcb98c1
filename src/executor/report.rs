//! From an index and an errno to a sentence that names the field.

use crate::init::calls;
use crate::init::op::{self, Message, Op, place, why};
use crate::plan::{Program, describe};
use crate::seccomp::FLAG_WAIT_KILLABLE_RECV;
use crate::sys::{Errno, reason};
use crate::tables::capability;

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
        Op::Process(op::Process::Seccomp { filter, .. }) => Some(program.show_words(*filter)),
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
        (Op::Process(op::Process::Find { .. }), _) => format!("{field}: {}", not_found(program, message.errno)),
        (Op::Process(op::Process::Seccomp { flags, .. }), calls::SECCOMP)
            if message.errno == libc::EINVAL && flags & FLAG_WAIT_KILLABLE_RECV != 0 =>
        {
            format!("{field}.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs Linux 5.19: {errno}")
        }
        (_, why::INSIDE_PROC) => format!("{field}: {what}: cannot be mounted because it is inside /proc"),
        (Op::Process(op::Process::User { .. }), why::GROUPS_DENIED) => {
            format!("{field}.additionalGids: left out, for this user namespace denies setgroups: {errno}")
        }
        (Op::Enter(op::Enter::Fork { .. }), _) if message.errno == libc::EAGAIN => {
            format!(
                "linux.resources.pids.limit, or a limit above it or of the caller: no more processes: {what}: {errno}"
            )
        }
        (Op::Enter(op::Enter::Keyring { .. }), _) => {
            format!("{field}: {what}: {errno} (--no-new-keyring keeps the caller's)")
        }
        (_, why::NOT_PROC) => format!("{field}: {what}: cannot be mounted because it is not of type proc"),
        (_, why::NOT_NULL) => format!("{field}: {what}: /dev/null of the container is not the null device"),
        (Op::Talk(op::Talk::Terminal { .. }), _) if message.errno == libc::ENOENT => {
            format!("{field}: {what}: there is no devpts at /dev/pts of the container: {errno}")
        }
        (Op::Talk(op::Talk::Terminal { .. }), why::NOT_TERMINAL) => {
            format!("{field}: {what}: /dev/pts of the container is no devpts")
        }
        (Op::Process(op::Process::Write { .. }), why::NOT_PLAIN) => format!("{field}: {what}: is not a file of procfs"),
        (Op::Mount(op::Mount::Directory { .. }) | Op::Mount(op::Mount::Hold { .. }), why::NOT_PLAIN) => {
            format!("{field}: {what}: must be an ordinary directory: {errno}")
        }
        (
            Op::Mount(op::Mount::FileSystem { place, .. })
            | Op::Mount(op::Mount::Attach { place, .. })
            | Op::Mount(op::Mount::Remount { place, .. }),
            why::NOT_PLAIN,
        ) if place & place::LIVING != 0 => {
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
        (Op::Process(op::Process::Chdir { path, .. }), _) => {
            format!("{field}: chdir to cwd ({:?}) set in config.json failed: {errno}", program.show(*path))
        }
        (Op::Mount(op::Mount::MakeDirectory { path }), calls::MKDIRAT) => {
            format!("{field}: mkdir {}: {errno}", program.show(*path))
        }
        (_, step) => match calls::name(step) {
            Some(call) if !what.starts_with(call) => format!("{field}: {}: {call}: {errno}", what.trim()),
            _ => format!("{field}: {}: {errno}", what.trim()),
        },
    }
}

/// The texts that engines tell "not found" and "not executable" by.
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

/// What a warning of `init` means.
pub fn warning(program: &Program, message: &Message) -> String {
    match program.at(message.index) {
        Some((Op::Process(op::Process::Capabilities { ambient, .. }), field)) => {
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
        program.push(&Field::of("linux.seccomp"), op::Process::Seccomp { filter, flags: 0, agent });
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
