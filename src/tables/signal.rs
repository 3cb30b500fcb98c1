//! Signals by name: `asm/signal.h` of x86_64.

const NAMES: [(&str, i32); 35] = [
    ("ABRT", 6),
    ("ALRM", 14),
    ("BUS", 7),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("FPE", 8),
    ("HUP", 1),
    ("ILL", 4),
    ("INT", 2),
    ("IO", 29),
    ("IOT", 6),
    ("KILL", 9),
    ("PIPE", 13),
    ("POLL", 29),
    ("PROF", 27),
    ("PWR", 30),
    ("QUIT", 3),
    ("SEGV", 11),
    ("STKFLT", 16),
    ("STOP", 19),
    ("SYS", 31),
    ("TERM", 15),
    ("TRAP", 5),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("USR1", 10),
    ("USR2", 12),
    ("VTALRM", 26),
    ("WINCH", 28),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("UNUSED", 31),
];

/// The description of each signal from 1 on, as Go words it. C libraries differ in some of them.
const TEXTS: [&str; 31] = [
    "hangup",
    "interrupt",
    "quit",
    "illegal instruction",
    "trace/breakpoint trap",
    "aborted",
    "bus error",
    "floating point exception",
    "killed",
    "user defined signal 1",
    "segmentation fault",
    "user defined signal 2",
    "broken pipe",
    "alarm clock",
    "terminated",
    "stack fault",
    "child exited",
    "continued",
    "stopped (signal)",
    "stopped",
    "stopped (tty input)",
    "stopped (tty output)",
    "urgent I/O condition",
    "CPU time limit exceeded",
    "file size limit exceeded",
    "virtual timer expired",
    "profiling timer expired",
    "window changed",
    "I/O possible",
    "power failure",
    "bad system call",
];

/// The description of a signal: `killed`.
pub fn text(signal: i32) -> String {
    let known = usize::try_from(signal).ok().and_then(|signal| TEXTS.get(signal.wrapping_sub(1)));
    known.map_or_else(|| format!("signal {signal}"), |text| (*text).to_owned())
}

/// The number of a signal given as `15`, `TERM`, `SIGTERM` or `sigterm`, or as `RTMIN+n` or `RTMAX-n`. Any number
/// passes: the kernel refuses an invalid one.
pub fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let realtime = |rest: &str, base: i32, sign: i32| match rest {
        "" => Some(base),
        rest => rest[1..].parse::<i32>().ok().filter(|n| (0..=30).contains(n)).map(|n| base + sign * n),
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return if rest.is_empty() || rest.starts_with('+') { realtime(rest, 34, 1) } else { None };
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return if rest.is_empty() || rest.starts_with('-') { realtime(rest, 64, -1) } else { None };
    }
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    #[test]
    fn forms() {
        for (text, number) in
            [("9", 9), ("KILL", 9), ("sigkill", 9), ("SIGUSR1", 10), ("RTMIN+1", 35), ("SIGRTMAX", 64), ("0", 0)]
        {
            assert_eq!(super::number(text), Some(number), "{text}");
        }
        for text in ["", "SIG", "FOO", "RTMIN-1", "9x"] {
            assert_eq!(super::number(text), None, "{text}");
        }
    }
}
