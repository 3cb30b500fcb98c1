//! CRIU's log: only there does CRIU explain a failure.

use std::path::Path;

/// The maximum number of quoted lines.
const SHOWN: usize = 3;
/// Errors that say nothing about the cause: they only report a failure, follow from every failure, or do not matter.
const NOISE: [&str; 6] = [
    "FAILED.",
    "cgroupd: recv req error",
    "Killing processes because of failure",
    "Can't remove the directory",
    "Can't setup RLIMIT_NOFILE for self",
    "-V failed",
];

/// The last errors of a log, as one line.
pub fn errors(log: &Path) -> Option<String> {
    let text = std::fs::read(log).ok()?;
    let lines = last_errors(&String::from_utf8_lossy(&text));
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// The text after `Error (file:line):`, which CRIU and its code inside the processes print.
fn last_errors(text: &str) -> Vec<String> {
    let errors = text.lines().filter_map(|line| {
        let (_, rest) = line.split_once("Error (criu/").or_else(|| line.split_once("Error (compel/"))?;
        let words = rest.split_once("): ").map(|(_, words)| words.trim())?;
        (!words.is_empty() && !NOISE.iter().any(|text| words.contains(text))).then(|| words.to_owned())
    });
    let mut errors: Vec<String> = errors.collect();
    errors.dedup();
    errors.split_off(errors.len().saturating_sub(SHOWN))
}

#[cfg(test)]
mod tests {
    use super::last_errors;

    #[test]
    fn the_last_errors_count() {
        let log = "\
(00.000001) Version: 4.2 (gitid 0)
(00.033096) Error (criu/util.c:1534): rlimit: Can't setup RLIMIT_NOFILE for self: Operation not permitted
(00.054000) Error (criu/files.c:1): one
Error (criu/util.c:642): execvp(\"iptables-restore\", ...) failed: No such file or directory
(00.054057) Error (criu/net.c:3436): net: Locking network failed
(00.055000) Some Error (of somebody else): not this
(00.058205) Error (criu/cr-dump.c:1975): Dumping FAILED.
";
        assert_eq!(
            last_errors(log),
            [
                "one",
                "execvp(\"iptables-restore\", ...) failed: No such file or directory",
                "net: Locking network failed",
            ]
        );
    }

    #[test]
    fn who_cannot_be_stopped_is_told() {
        let log = "\
(40.285956) Error (criu/cr-dump.c:1655): Timeout reached. Try to interrupt: 0
(40.287356) Error (compel/src/lib/infect.c:262): Unseizable non-zombie 1518 found, state D, err -1/4
(40.308430) Error (criu/cr-dump.c:1975): Dumping FAILED.
";
        let wanted = ["Timeout reached. Try to interrupt: 0", "Unseizable non-zombie 1518 found, state D, err -1/4"];
        assert_eq!(last_errors(log), wanted);
    }
}
