//! bench-seccomp CONFIG [NAME=PROGRAM...]: compares the program that tare makes from the profile in a config.json with
//! other programs for the same profile: the length, the time to load it, and the time of system calls under it.
//!
//! A PROGRAM is a file of `struct sock_filter`. The programs take turns. Each runs in a new child, because a filter
//! cannot be removed.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tare::seccomp::{NATIVE, compile};

/// The number of times that each program is loaded. The output has medians.
const ROUNDS: usize = 41;
/// The number of system calls of each kind under a program.
const CALLS: u64 = 100_000;

/// The measurements in a child, in nanoseconds; those of system calls are for one call.
#[derive(Clone, Copy)]
enum Measured {
    /// The CPU time of seccomp(2).
    Load,
    /// A call with only one outcome, which the kernel knows without running the program.
    GetPid,
    /// A call whose argument the program must test: personality(0xffffffff), which changes nothing.
    ByArgument,
    /// A call that the profile refuses: swapoff(NULL).
    Refused,
}

const ALL: [Measured; 4] = [Measured::Load, Measured::GetPid, Measured::ByArgument, Measured::Refused];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let config = arguments.next().expect("usage: bench-seccomp CONFIG [NAME=PROGRAM...]");
    let config: Value = serde_json::from_slice(&std::fs::read(config).expect("the config")).expect("JSON");
    let text = config["linux"]["seccomp"].to_string();
    let parse = || serde_json::from_str(&text).expect("a profile");

    let mut times = Vec::new();
    let mut program = Vec::new();
    for _ in 0..201 {
        let profile = parse();
        let before = cpu_time();
        let filter = compile(black_box(&profile), NATIVE).expect("a filter");
        times.push(cpu_time() - before);
        program = filter.program;
    }
    println!("tare compiles the profile in {:.3} ms of CPU (median of 201)", median(times) as f64 / 1e6);

    let mut programs = vec![("none".to_owned(), Vec::new()), ("tare".to_owned(), program)];
    for argument in arguments {
        let (name, file) = argument.split_once('=').expect("NAME=PROGRAM");
        let bytes = std::fs::read(file).expect("a program");
        let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("whole instructions"));
        programs.push((name.to_owned(), bytes.chunks(8).map(word).collect()));
    }
    let mut results = vec![[const { Vec::new() }; ALL.len()]; programs.len()];
    for _ in 0..ROUNDS {
        for ((_, program), results) in programs.iter().zip(&mut results) {
            for (result, values) in in_child(program).into_iter().zip(results) {
                values.push(result);
            }
        }
    }
    println!(
        "{:<12} {:>12} {:>10} {:>10} {:>14} {:>12}",
        "program", "instructions", "load, ms", "getpid, ns", "by argument, ns", "refused, ns"
    );
    for ((name, program), results) in programs.iter().zip(results) {
        let [load, getpid, by_argument, refused] = results.map(median);
        let load = load as f64 / 1e6;
        println!("{name:<12} {:>12} {load:>10.3} {getpid:>10} {by_argument:>14} {refused:>12}", program.len());
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

fn clock(clock: libc::clockid_t) -> u64 {
    // SAFETY: the call fills the time.
    unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(clock, &mut time);
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

fn cpu_time() -> u64 {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// Loads a program, and makes system calls under it.
fn in_child(program: &[u64]) -> [u64; ALL.len()] {
    // SAFETY: the shared page has room for one atomic for each measurement, and is unmapped at the end. The child only
    // makes plain system calls and exits; engines' profiles allow that.
    unsafe {
        let size = ALL.len() * 8;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let page = libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert_ne!(page, libc::MAP_FAILED);
        let results = std::slice::from_raw_parts(page.cast::<AtomicU64>(), ALL.len());
        let child = libc::fork();
        if child == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            for (what, result) in ALL.into_iter().zip(results) {
                result.store(measure(what, program), Ordering::SeqCst);
            }
            libc::_exit(0);
        }
        let mut status = 0;
        libc::waitpid(child, &mut status, 0);
        assert!(child > 0 && status == 0, "a child ended with status {status:#x}");
        let values = std::array::from_fn(|at| results[at].load(Ordering::SeqCst));
        libc::munmap(page, size);
        values
    }
}

/// # Safety
/// The process must have one thread, and may keep the filter for the rest of its life.
unsafe fn measure(what: Measured, program: &[u64]) -> u64 {
    let each = |number: i64, argument: u64| {
        let before = cpu_time();
        for _ in 0..CALLS {
            // SAFETY: none of these calls accesses memory.
            unsafe { libc::syscall(number, argument) };
        }
        (cpu_time() - before) / CALLS
    };
    match what {
        Measured::Load if program.is_empty() => 0,
        Measured::Load => {
            let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr() as *mut _ };
            let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW);
            // SAFETY: the program is valid until the call returns.
            unsafe {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                let before = cpu_time();
                let loaded = libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program);
                let took = cpu_time() - before;
                if loaded != 0 {
                    libc::_exit(1);
                }
                took
            }
        }
        Measured::GetPid => each(libc::SYS_getpid, 0),
        Measured::ByArgument => each(libc::SYS_personality, 0xffff_ffff),
        Measured::Refused => each(libc::SYS_swapoff, 0),
    }
}
