//! The program that runs inside the containers of the conformance suite.
//!
//! `payload VERB [ARG…] [, VERB [ARG…]]…` carries out its verbs in order and reports each on standard output. A verb
//! that fails prints `VERB SUBJECT: ERRNO`, and the next one follows: a test checks what must fail as well as what must
//! succeed. The program is static and needs neither `/proc` nor any file of the container.

mod calls;
mod greed;
mod held;
mod kernel;
mod spy;

use kernel::{Answer, errno_name};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::process::exit;
use std::time::Duration;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    for sentence in words.split(|word| word == ",") {
        let Some((verb, args)) = sentence.split_first() else {
            continue;
        };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        carry_out(verb, &args);
    }
}

fn say(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    // Ignore EPIPE and the like: the reader may be gone.
    let _ = writeln!(out, "{}", text.as_ref());
    let _ = out.flush();
}

/// Prints `VERB SUBJECT: ok` or `VERB SUBJECT: ERRNO`.
fn report<T>(verb: &str, subject: &str, answer: std::io::Result<T>) {
    match answer {
        Ok(_) => say(format!("{verb} {subject}: ok")),
        Err(error) => say(format!("{verb} {subject}: {}", errno_name(&error))),
    }
}

/// Prints the value of an answer, or the name of its errno.
fn tell(verb: &str, subject: &str, answer: Answer) {
    match answer {
        Ok(text) => say(text),
        Err(error) => say(format!("{verb} {subject}: {}", errno_name(&error))),
    }
}

fn carry_out(verb: &str, args: &[&str]) {
    let first = args.first().copied().unwrap_or_default();
    let second = args.get(1).copied().unwrap_or_default();
    if process_verb(verb, first, args) || file_verb(verb, first, second) || fact_verb(verb, first) {
        return;
    }
    say(format!("unknown verb {verb}"));
    exit(120);
}

/// Verbs that this process carries out on itself.
fn process_verb(verb: &str, first: &str, args: &[&str]) -> bool {
    match verb {
        "true" => {}
        "exit" => exit(number(first)),
        "echo" => say(args.join(" ")),
        "stderr" => eprintln!("{}", args.join(" ")),
        "pause" => loop {
            std::thread::park();
        },
        "sleep" => std::thread::sleep(Duration::from_millis(number(first) as u64)),
        "trap" => kernel::trap(first, say),
        "signals" => kernel::signals(number(first), say),
        "orphan" => kernel::orphan(),
        "die" => kernel::die(first),
        "call" => tell(verb, first, calls::by_number(args).map(|value| format!("call {first}: {value}"))),
        "int80" => tell(verb, first, calls::by_interrupt(args).map(|value| format!("int80 {first}: {value}"))),
        "sigsys" => say(calls::with_handler(args)),
        "thread" => say(calls::in_a_thread(args)),
        "thread-stays" => kernel::end_main_thread(say),
        "wait" => wait_for(first),
        "traced" => say(calls::traced(args)),
        "fork" => say(format!("forked: {}", kernel::fork_sleepers(number(first)))),
        "alloc" => say(format!("allocated: {} MiB", allocate(number(first)))),
        "count" => count(first),
        "work" => greed::work(first),
        "bomb" => greed::bomb(number(first)),
        "read" | "overwrite" => {
            let number = |index: usize| number(args.get(index).copied().unwrap_or_default());
            say(greed::transfer(first, verb == "overwrite", number(1) as u64, number(2) as usize));
        }
        "spy" => spy::on_others(first, args.get(1).copied().unwrap_or_default(), say),
        "tcp" => held::connection(first),
        "lock" => held::lock(first),
        "lines" => held::lines(first),
        "stdin" => tell(verb, "", read_stdin()),
        "line" => tell(verb, "", read_line()),
        "background" => kernel::in_background(|| {
            std::thread::sleep(Duration::from_millis(number(first) as u64));
            say(args.get(1).copied().unwrap_or_default());
        }),
        "flood" => flood(number(first)),
        "winch" => tell(verb, first, kernel::wait_for_size(first)),
        "notify" => report(verb, first, notify(first)),
        "hook" => record_hook(first, args),
        _ => return false,
    }
    true
}

/// Verbs about a file.
fn file_verb(verb: &str, path: &str, second: &str) -> bool {
    match verb {
        "cat" => tell(verb, path, fs::read(path).map(|b| String::from_utf8_lossy(&b).trim_end().into())),
        "ls" => tell(verb, path, list(path)),
        "stat" => tell(verb, path, stat(path)),
        "readlink" => tell(verb, path, fs::read_link(path).map(|p| p.display().to_string())),
        "write" => report(verb, path, fs::write(path, second)),
        "append" => report(verb, path, append(path, second)),
        "mkdir" => report(verb, path, fs::create_dir(path)),
        "rm" => report(verb, path, fs::remove_file(path)),
        "rmdir" => report(verb, path, fs::remove_dir(path)),
        "rename" => report(verb, path, fs::rename(path, second)),
        "open" => report(verb, path, fs::File::open(path)),
        "openw" => report(verb, path, fs::OpenOptions::new().write(true).open(path)),
        "chmod" => report(verb, path, fs::set_permissions(path, fs::Permissions::from_mode(0o600))),
        "run" => tell(verb, path, run(path, second)),
        "unshare" => report(verb, "", kernel::own_namespaces()),
        "proc" => report(verb, "", kernel::mount_proc()),
        "mknod" => report(verb, path, kernel::mknod(path, second)),
        "statfs" => tell(verb, path, kernel::statfs(path)),
        "label" => tell(verb, path, kernel::file_label(path).map(|label| format!("label {path}: {label}"))),
        _ => return false,
    }
    true
}

/// Verbs that report a fact about this process or its namespaces.
fn fact_verb(verb: &str, first: &str) -> bool {
    match verb {
        "args" => say(format!("args: {:?}", std::env::args().collect::<Vec<_>>())),
        "env" => std::env::vars_os().for_each(|(k, v)| say(format!("{}={}", k.to_string_lossy(), v.to_string_lossy()))),
        "cwd" => tell(verb, "", std::env::current_dir().map(|p| format!("cwd: {}", p.display()))),
        "ids" => say(kernel::ids()),
        "caps" => say(kernel::capabilities()),
        "rlimit" => say(kernel::rlimit(first)),
        "uts" => say(kernel::uts()),
        "mountinfo" => tell(verb, "", fs::read_to_string("/proc/self/mountinfo")),
        "ns" => namespaces(),
        "sched" => say(kernel::scheduling()),
        "ioprio" => say(kernel::io_priority()),
        "affinity" => say(kernel::affinity()),
        "uptime" => say(kernel::clocks()),
        "fds" => say(kernel::open_descriptors()),
        "tty" => say(kernel::terminals()),
        "pids" => say(kernel::process_ids()),
        "personality" => say(kernel::personality()),
        "nonewprivs" => say(kernel::no_new_privileges()),
        "keyring-label" => tell(verb, "", kernel::keyring_label()),
        "keyring" => tell(verb, "", kernel::session_keyring()),
        "loopback" => tell(verb, "", kernel::loopback_flags()),
        "attributes" => say(kernel::attributes()),
        "rootns" => say(format!("parent of root: {}", same_root())),
        _ => return false,
    }
    true
}

fn number(text: &str) -> i32 {
    text.parse().unwrap_or_else(|_| {
        say(format!("not a number: {text:?}"));
        exit(121)
    })
}

fn wait_for(path: &str) {
    while fs::metadata(path).is_err() {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn allocate(mebibytes: i32) -> usize {
    let mut held = Vec::new();
    for _ in 0..mebibytes {
        // The pages are written to: only memory that the kernel has allocated counts.
        held.push(std::hint::black_box(vec![0x5au8; 1 << 20]));
    }
    held.len()
}

/// Writes a growing number to a file for ever: if the process is frozen, the number does not change. The size of the
/// file does not change either, since CRIU compares the size of open files.
fn count(path: &str) -> ! {
    for turn in 0u64.. {
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let _ = file.and_then(|mut file| file.write_all(format!("{turn:020}").as_bytes()));
        std::thread::sleep(Duration::from_millis(2));
    }
    exit(0)
}

fn read_stdin() -> Answer {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(format!("stdin: {}", text.trim_end()))
}

fn read_line() -> Answer {
    let mut text = String::new();
    std::io::stdin().read_line(&mut text)?;
    Ok(format!("line: {}", text.trim_end()))
}

/// Writes this many KiB of `x`, in lines.
fn flood(kibibytes: i32) {
    let line = "x".repeat(1023);
    (0..kibibytes).for_each(|_| say(&line));
}

/// Sends a message to the service manager, as sd_notify(3) does.
fn notify(text: &str) -> std::io::Result<usize> {
    let socket = std::env::var("NOTIFY_SOCKET").map_err(std::io::Error::other)?;
    std::os::unix::net::UnixDatagram::unbound()?.send_to(text.as_bytes(), socket)
}

/// `run PROGRAM VERB`: the program's output. It shows what changes only at a second execve(2).
fn run(program: &str, verb: &str) -> Answer {
    let output = std::process::Command::new(program).arg(verb).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().into())
}

fn append(path: &str, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn list(path: &str) -> Answer {
    let mut names = fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()?;
    names.sort();
    Ok(format!("ls {path}: {}", names.join(" ")))
}

fn stat(path: &str) -> Answer {
    let meta = fs::symlink_metadata(path)?;
    let kind = meta.file_type();
    let kind = match () {
        () if kind.is_dir() => "dir",
        () if kind.is_file() => "file",
        () if kind.is_symlink() => "symlink",
        () if kind.is_char_device() => "char",
        () if kind.is_block_device() => "block",
        () if kind.is_fifo() => "fifo",
        () => "other",
    };
    let (major, minor) = kernel::device_numbers(meta.rdev());
    let mode = meta.mode() & 0o7777;
    let (uid, gid) = (meta.uid(), meta.gid());
    Ok(format!("stat {path}: {kind} mode={mode:04o} uid={uid} gid={gid} rdev={major}:{minor} size={}", meta.size()))
}

/// Whether `/..` is `/`: walking up must not lead to another root.
fn same_root() -> bool {
    let key = |path: &str| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    key("/") == key("/..") && key("/") == key("/../../..")
}

fn namespaces() {
    for name in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let link = fs::read_link(format!("/proc/self/ns/{name}"));
        say(link.map_or_else(|e| format!("{name}: {}", errno_name(&e)), |p| p.display().to_string()));
    }
}

/// `hook FILE NAME`: appends the input of a hook to FILE, as one line of `key=value` pairs that tabs separate.
fn record_hook(path: &str, args: &[&str]) {
    let mut state = String::new();
    let _ = std::io::stdin().read_to_string(&mut state);
    let env: Vec<String> = std::env::vars().map(|(key, value)| format!("{key}={value}")).collect();
    let arg0 = std::env::args().next().unwrap_or_default();
    let cwd = std::env::current_dir().map(|p| p.display().to_string()).unwrap_or_default();
    let link = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).map(|p| p.display().to_string());
    let fields = [
        ("name", args.get(1).unwrap_or(&"").to_string()),
        ("arg0", arg0),
        ("env", env.join(" ")),
        ("cwd", cwd),
        ("mnt", link("mnt").unwrap_or_default()),
        ("net", link("net").unwrap_or_default()),
        ("fds", kernel::open_descriptors()),
        ("terminals", kernel::standard_terminals()),
        ("blocked", kernel::blocked_signals()),
        ("umask", format!("{:04o}", kernel::umask())),
        ("keyring", kernel::session_keyring().unwrap_or_default()),
        ("attributes", kernel::attributes()),
        ("state", state.split_whitespace().collect::<Vec<_>>().join(" ")),
    ];
    let line: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if append(path, &(line.join("\t") + "\n")).is_err() {
        exit(122);
    }
}
