//! The payload's system calls: each function asks the kernel one question and returns the answer as text.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::stat::{Mode, SFlag, major, makedev, minor};
use nix::unistd::Pid;
use std::fmt::Display;
use std::io;

/// The kernel's answer to a question: text, or the errno.
pub type Answer = io::Result<String>;

/// The name of an error's errno, such as `EROFS`.
pub fn errno_name(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |n| format!("{:?}", Errno::from_raw(n)))
}

/// A system call without a wrapper in nix or std.
fn raw(number: i64, args: [u64; 4]) -> io::Result<i64> {
    // SAFETY: the callers below pass plain numbers, or pointers to buffers that they hold across the call and whose
    // size is the one that this system call fills or reads.
    let result = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], 0u64) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn address<T>(buffer: &mut T) -> u64 {
    std::ptr::from_mut(buffer) as u64
}

fn join<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

/// The file mode creation mask. umask(2) can only set it: set it to read it, then restore it.
pub fn umask() -> u32 {
    let mask = nix::sys::stat::umask(Mode::empty());
    nix::sys::stat::umask(mask);
    mask.bits()
}

/// All attributes of the process that execve(2) keeps, in one line.
pub fn attributes() -> String {
    let keyring = session_keyring().unwrap_or_else(|error| errno_name(&error));
    let score = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_else(|error| errno_name(&error));
    let facts = [
        ids(),
        capabilities(),
        rlimit("RLIMIT_NOFILE"),
        rlimit("RLIMIT_CORE"),
        scheduling(),
        io_priority(),
        affinity(),
        personality(),
        no_new_privileges(),
        keyring,
        format!("oom_score_adj: {score}"),
    ];
    facts.iter().map(|fact| fact.trim().replace('\n', ", ")).collect::<Vec<_>>().join("; ")
}

pub fn ids() -> String {
    let groups = nix::unistd::getgroups().unwrap_or_default();
    format!(
        "uid: {}\neuid: {}\ngid: {}\negid: {}\ngroups: {}\numask: {:04o}",
        nix::unistd::getuid(),
        nix::unistd::geteuid(),
        nix::unistd::getgid(),
        nix::unistd::getegid(),
        join(groups),
        umask()
    )
}

/// The five capability sets as numbers in hexadecimal.
pub fn capabilities() -> String {
    let mut header = [0x2008_0522u32, 0];
    let mut sets = [[0u32; 3]; 2];
    if let Err(error) = raw(libc::SYS_capget, [address(&mut header), address(&mut sets), 0, 0]) {
        return format!("caps: {}", errno_name(&error));
    }
    let set = |index: usize| u64::from(sets[0][index]) | u64::from(sets[1][index]) << 32;
    let probe = |option: i32, argument: u64| {
        (0..64u64).filter(move |cap| {
            let args = if argument == 0 { [option as u64, *cap, 0, 0] } else { [option as u64, argument, *cap, 0] };
            raw(libc::SYS_prctl, args).is_ok_and(|held| held == 1)
        })
    };
    let bounding: u64 = probe(libc::PR_CAPBSET_READ, 0).map(|cap| 1 << cap).sum();
    let ambient: u64 = probe(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET as u64).map(|cap| 1 << cap).sum();
    format!(
        "effective: {:x}\npermitted: {:x}\ninheritable: {:x}\nbounding: {bounding:x}\nambient: {ambient:x}",
        set(0),
        set(1),
        set(2)
    )
}

pub fn rlimit(name: &str) -> String {
    let resource = match name {
        "RLIMIT_NOFILE" => Resource::RLIMIT_NOFILE,
        "RLIMIT_NPROC" => Resource::RLIMIT_NPROC,
        "RLIMIT_CORE" => Resource::RLIMIT_CORE,
        "RLIMIT_FSIZE" => Resource::RLIMIT_FSIZE,
        "RLIMIT_STACK" => Resource::RLIMIT_STACK,
        "RLIMIT_AS" => Resource::RLIMIT_AS,
        "RLIMIT_CPU" => Resource::RLIMIT_CPU,
        "RLIMIT_DATA" => Resource::RLIMIT_DATA,
        "RLIMIT_MSGQUEUE" => Resource::RLIMIT_MSGQUEUE,
        "RLIMIT_SIGPENDING" => Resource::RLIMIT_SIGPENDING,
        _ => return format!("{name}: unknown"),
    };
    match getrlimit(resource) {
        Ok((soft, hard)) => format!("{name}: {soft} {hard}"),
        Err(errno) => format!("{name}: {errno:?}"),
    }
}

pub fn uts() -> String {
    match nix::sys::utsname::uname() {
        Ok(names) => format!(
            "hostname: {}\ndomainname: {}\nmachine: {}",
            names.nodename().to_string_lossy(),
            names.domainname().to_string_lossy(),
            names.machine().to_string_lossy()
        ),
        Err(errno) => format!("uts: {errno:?}"),
    }
}

/// Policy, flags, nice value and priority, from sched_getattr(2).
pub fn scheduling() -> String {
    let mut attr = [0u8; 56];
    match raw(libc::SYS_sched_getattr, [0, address(&mut attr), attr.len() as u64, 0]) {
        Ok(_) => {
            let word = |at: usize| u32::from_ne_bytes([attr[at], attr[at + 1], attr[at + 2], attr[at + 3]]);
            format!("policy: {}\nflags: {}\nnice: {}\npriority: {}", word(4), word(8), word(16) as i32, word(20))
        }
        Err(error) => format!("sched: {}", errno_name(&error)),
    }
}

pub fn io_priority() -> String {
    match raw(libc::SYS_ioprio_get, [1, 0, 0, 0]) {
        Ok(value) => format!("ioprio: class={} priority={}", value >> 13, value & 0x1fff),
        Err(error) => format!("ioprio: {}", errno_name(&error)),
    }
}

pub fn affinity() -> String {
    let mask = match nix::sched::sched_getaffinity(Pid::from_raw(0)) {
        Ok(mask) => mask,
        Err(errno) => return format!("affinity: {errno:?}"),
    };
    let cpus = (0..nix::sched::CpuSet::count()).filter(|cpu| mask.is_set(*cpu).unwrap_or(false));
    format!("affinity: {}", join(cpus))
}

/// Seconds on the clocks that a time namespace has offsets for.
pub fn clocks() -> String {
    let read = |clock: i64| {
        let mut time = [0i64; 2];
        match raw(libc::SYS_clock_gettime, [clock as u64, address(&mut time), 0, 0]) {
            Ok(_) => time[0].to_string(),
            Err(error) => errno_name(&error),
        }
    };
    format!("monotonic: {}\nboottime: {}", read(libc::CLOCK_MONOTONIC.into()), read(libc::CLOCK_BOOTTIME.into()))
}

/// All open file descriptors, found without /proc.
pub fn open_descriptors() -> String {
    let open = (0..2048u64).filter(|fd| raw(libc::SYS_fcntl, [*fd, libc::F_GETFD as u64, 0, 0]).is_ok());
    format!("fds: {}", join(open))
}

pub fn process_ids() -> String {
    let session = nix::unistd::getsid(None).map_or(-1, Pid::as_raw);
    format!("pid: {}\nppid: {}\nsid: {session}", nix::unistd::getpid(), nix::unistd::getppid())
}

pub fn personality() -> String {
    match raw(libc::SYS_personality, [0xffff_ffff, 0, 0, 0]) {
        Ok(value) => format!("personality: {value:x}"),
        Err(error) => format!("personality: {}", errno_name(&error)),
    }
}

pub fn no_new_privileges() -> String {
    match raw(libc::SYS_prctl, [libc::PR_GET_NO_NEW_PRIVS as u64, 0, 0, 0]) {
        Ok(value) => format!("nonewprivs: {value}"),
        Err(error) => format!("nonewprivs: {}", errno_name(&error)),
    }
}

/// The kernel's description of the session keyring: `type;uid;gid;perm;name`.
pub fn session_keyring() -> Answer {
    const DESCRIBE: u64 = 6;
    const SESSION: u64 = -3i64 as u64;
    let mut text = [0u8; 256];
    let length = raw(libc::SYS_keyctl, [DESCRIBE, SESSION, address(&mut text), 256])?;
    let end = (length as usize).saturating_sub(1).min(text.len());
    Ok(format!("keyring: {}", String::from_utf8_lossy(&text[..end])))
}

/// The label of the session keyring, from the kernel's security module.
pub fn keyring_label() -> Answer {
    const GET_SECURITY: u64 = 17;
    const SESSION: u64 = -3i64 as u64;
    let mut text = [0u8; 256];
    let length = raw(libc::SYS_keyctl, [GET_SECURITY, SESSION, address(&mut text), 256])?;
    Ok(format!("keyring label: {}", without_nul(&text[..(length as usize).min(text.len())])))
}

/// The SELinux label of a file.
pub fn file_label(path: &str) -> Answer {
    let path = std::ffi::CString::new(path)?;
    let (path, name) = (path.as_ptr() as u64, c"security.selinux".as_ptr() as u64);
    let mut text = [0u8; 256];
    let length = raw(libc::SYS_lgetxattr, [path, name, address(&mut text), 256])?;
    Ok(without_nul(&text[..(length as usize).min(text.len())]))
}

fn without_nul(text: &[u8]) -> String {
    String::from_utf8_lossy(text).trim_end_matches('\0').to_owned()
}

/// The flags of `lo`; bit 0 is "up".
pub fn loopback_flags() -> Answer {
    const SIOCGIFFLAGS: u64 = 0x8913;
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let mut request = [0u8; 40];
    request[..2].copy_from_slice(b"lo");
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    raw(libc::SYS_ioctl, [fd as u64, SIOCGIFFLAGS, address(&mut request), 0])?;
    Ok(format!("loopback up: {}", request[16] & 1 == 1))
}

pub fn device_numbers(rdev: u64) -> (u64, u64) {
    (major(rdev), minor(rdev))
}

/// `TYPE:MAJOR:MINOR`; the type is c, b or p.
pub fn mknod(path: &str, what: &str) -> io::Result<()> {
    let mut parts = what.split(':');
    let kind = match parts.next() {
        Some("c") => SFlag::S_IFCHR,
        Some("b") => SFlag::S_IFBLK,
        _ => SFlag::S_IFIFO,
    };
    let mut number = || parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let device = makedev(number(), number());
    Ok(nix::sys::stat::mknod(path, kind, Mode::from_bits_truncate(0o666), device)?)
}

/// Type, size and flags of the file system at `path`.
pub fn statfs(path: &str) -> Answer {
    let fs = nix::sys::statfs::statfs(path)?;
    let size = fs.blocks() * fs.block_size() as u64;
    Ok(format!("statfs {path}: type={:x} size={size}", fs.filesystem_type().0))
}

fn signal(name: &str) -> Option<Signal> {
    format!("SIG{name}").parse().ok()
}

/// Prints `ready`, waits for the signal, prints `got SIGNAL`.
pub fn trap(name: &str, say: impl Fn(String)) {
    let Some(signal) = signal(name) else {
        return say(format!("trap {name}: unknown signal"));
    };
    let mut set = SigSet::empty();
    set.add(signal);
    let _ = set.thread_block();
    say("ready".into());
    match set.wait() {
        Ok(signal) => say(format!("got {signal}")),
        Err(errno) => say(format!("trap {name}: {errno:?}")),
    }
}

/// Sends itself a signal. The first process of a pid namespace survives all signals from inside that it does not
/// handle, except those that the kernel itself sends.
pub fn die(name: &str) {
    if let Some(signal) = signal(name) {
        let _ = kill(nix::unistd::getpid(), signal);
    }
}

/// Starts up to `wanted` children that sleep until they are killed. Tells how many were started.
pub fn fork_sleepers(wanted: i32) -> String {
    for done in 0..wanted.min(64) {
        // SAFETY: this process has one thread, and the child does nothing but sleep.
        match unsafe { nix::unistd::fork() } {
            Ok(nix::unistd::ForkResult::Child) => loop {
                std::thread::park();
            },
            Ok(nix::unistd::ForkResult::Parent { .. }) => {}
            Err(errno) => return format!("{done} then {errno:?}"),
        }
    }
    wanted.to_string()
}

/// Ends the main thread and leaves another one running.
pub fn end_main_thread(say: impl Fn(&'static str)) -> ! {
    std::thread::spawn(|| {
        loop {
            std::thread::park();
        }
    });
    say("the main thread ends");
    // SAFETY: exit(2) ends this thread alone, and no other thread joins it.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!()
}

fn window_size() -> io::Result<libc::winsize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    raw(libc::SYS_ioctl, [0, libc::TIOCGWINSZ as u64, address(&mut size), 0])?;
    Ok(size)
}

fn size_text() -> String {
    window_size().map_or_else(|error| errno_name(&error), |size| format!("{}x{}", size.ws_row, size.ws_col))
}

/// Tells the standard descriptors that are terminals, the names of all three, and the state and size of the controlling
/// terminal.
pub fn terminals() -> String {
    let name = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).map(|path| path.display().to_string());
    let name = |fd: i32| name(fd).unwrap_or_else(|error| errno_name(&error));
    let terminals = standard_terminals();
    let controlling = std::fs::File::open("/dev/tty").map_or_else(|error| errno_name(&error), |_| "yes".to_owned());
    let names = join([0, 1, 2].map(name));
    format!("terminals: {terminals}\nnames: {names}\ncontrolling: {controlling}\nsize: {}", size_text())
}

/// The standard descriptors that are terminals.
pub fn standard_terminals() -> String {
    join([0, 1, 2].iter().filter(|fd| nix::unistd::isatty(standard(**fd)).unwrap_or(false)))
}

fn standard(fd: i32) -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: the standard descriptors are never closed by the payload.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) }
}

/// Waits until the terminal has this size. It looks again at each SIGWINCH.
pub fn wait_for_size(wanted: &str) -> Answer {
    let mut set = SigSet::empty();
    set.add(Signal::SIGWINCH);
    set.thread_block()?;
    while size_text() != wanted {
        set.wait()?;
    }
    Ok(format!("size: {wanted}"))
}

/// Does this in a child, and does not wait for it.
pub fn in_background(work: impl FnOnce()) {
    // SAFETY: the payload has one thread, so the child may do all that the payload may do.
    if let Ok(nix::unistd::ForkResult::Child) = unsafe { nix::unistd::fork() } {
        work();
        std::process::exit(0)
    }
}

/// Waits for `wanted` signals and prints their numbers.
pub fn signals(wanted: i32, say: impl Fn(String)) {
    // SAFETY: the set is filled before it is read, and no siginfo is asked for.
    unsafe {
        // Not sigfillset(3), which leaves out the signals that the C library reserves for itself.
        let mut set: libc::sigset_t = std::mem::zeroed();
        std::ptr::write_bytes(&raw mut set, 0xff, 1);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        say("ready".into());
        for _ in 0..wanted {
            say(format!("got {}", libc::sigwaitinfo(&set, std::ptr::null_mut())));
        }
    }
}

/// Prints the pid of the process that becomes the parent of an orphan.
pub fn orphan() {
    let Ok((mut said, mut say)) = std::io::pipe() else { return };
    in_background(|| {
        let middle = nix::unistd::getpid();
        in_background(|| {
            while nix::unistd::getppid() == middle {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            let _ = io::Write::write_all(&mut say, format!("parent: {}", nix::unistd::getppid()).as_bytes());
        });
    });
    drop(say);
    let mut text = String::new();
    let _ = io::Read::read_to_string(&mut said, &mut text);
    println!("{text}");
}

/// The numbers of the blocked signals.
pub fn blocked_signals() -> String {
    // SAFETY: sigprocmask(2) fills the set before it is read.
    let blocked: Vec<String> = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set);
        (1..=64)
            .filter(|number| libc::sigismember(&raw const set, *number) == 1)
            .map(|number| number.to_string())
            .collect()
    };
    blocked.join(",")
}

/// Creates a user, a mount and a pid namespace, and maps itself to root. Only children are in the pid namespace.
pub fn own_namespaces() -> io::Result<()> {
    use nix::sched::{CloneFlags, unshare};
    let uid = nix::unistd::getuid();
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)?;
    std::fs::write("/proc/self/uid_map", format!("0 {uid} 1"))
}

/// Mounts a proc without masked paths, as the owner of a pid namespace may.
pub fn mount_proc() -> io::Result<()> {
    Ok(nix::mount::mount(Some("proc"), "/proc", Some("proc"), nix::mount::MsFlags::empty(), None::<&str>)?)
}
