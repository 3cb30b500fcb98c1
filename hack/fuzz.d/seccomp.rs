//! For any profile, the compiler does not panic, and the kernel accepts every program that it makes.
//!
//! An input that begins with `{` is a config.json or only a profile. Any other input is a sequence of choices, from
//! which the fuzzer makes a plausible profile.
#![no_main]

use std::sync::atomic::{AtomicI64, Ordering};

use libfuzzer_sys::{Corpus, fuzz_target};
use oci_spec::runtime::{Arch, LinuxSeccomp};
use serde_json::{Value, json};
use tare::seccomp::{Filter, NATIVE, compile, unknown_names};

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some(profile) = profile(data) else { return Corpus::Reject };
    let _ = unknown_names(&profile);
    for native in [Arch::ScmpArchAarch64, Arch::ScmpArchRiscv64] {
        let _ = compile(&profile, native);
    }
    if let Ok(filter) = compile(&profile, NATIVE) {
        load(&filter);
    }
    Corpus::Keep
});

fn profile(data: &[u8]) -> Option<LinuxSeccomp> {
    let value = if data.first() == Some(&b'{') {
        let mut value: Value = serde_json::from_slice(data).ok()?;
        let seccomp = value.pointer_mut("/linux/seccomp").map(Value::take);
        seccomp.unwrap_or(value)
    } else {
        Choices(data).profile()
    };
    serde_json::from_value(value).ok()
}

/// Names of system calls: common ones, some that not all architectures have, and some behind multiplexed calls.
const NAMES: &[&str] = &[
    "read",
    "write",
    "open",
    "close",
    "socket",
    "socketcall",
    "accept",
    "recvmsg",
    "ipc",
    "shmget",
    "semop",
    "msgrcv",
    "clone",
    "clone3",
    "ioctl",
    "personality",
    "execve",
    "mknod",
    "mkdir",
    "mount",
    "openat2",
    "close_range",
    "newfstatat",
    "set_tls",
    "cacheflush",
    "sync_file_range2",
    "uselib",
    "chown32",
    "ptrace",
    "preadv2",
    "clock_gettime64",
    "map_shadow_stack",
    "nothing",
];
const ACTIONS: &[&str] = &["ALLOW", "ERRNO", "KILL", "KILL_THREAD", "KILL_PROCESS", "TRAP", "TRACE", "LOG", "NOTIFY"];
const OPERATORS: &[&str] = &["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
const ARCHITECTURES: &[&str] = &["X86_64", "X86", "X32", "AARCH64", "ARM", "RISCV64", "S390X", "MIPSEL", "NATIVE"];
const FLAGS: &[&str] = &["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"];

/// Reads bytes as choices. After the last byte every choice is the first one.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }

    fn word(&mut self, prefix: &str, words: &[&str]) -> String {
        format!("{prefix}{}", words[self.byte() % words.len()])
    }

    /// A number; usually a small one, or a power of two or its neighbour.
    fn number(&mut self) -> u64 {
        match self.byte() {
            small @ 0..128 => small as u64,
            power @ 128..192 => 1 << (power - 128),
            power @ 192..255 => (1u64 << (power - 192)).wrapping_sub(1),
            _ => (0..8).fold(0, |number, _| number << 8 | self.byte() as u64),
        }
    }

    fn some<T>(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.byte() % (most + 1)).map(|_| one(self)).collect()
    }

    fn profile(mut self) -> Value {
        let mut profile = json!({
            "defaultAction": self.word("SCMP_ACT_", ACTIONS),
            "architectures": self.some(4, |it| it.word("SCMP_ARCH_", ARCHITECTURES)),
        });
        if self.byte() % 2 == 1 {
            profile["flags"] = json!(self.some(3, |it| it.word("SECCOMP_FILTER_FLAG_", FLAGS)));
        }
        let mut rules = Vec::new();
        while !self.0.is_empty() {
            rules.push(self.rule());
        }
        profile["syscalls"] = json!(rules);
        profile
    }

    fn rule(&mut self) -> Value {
        let mut rule = json!({
            "names": self.some(3, |it| it.word("", NAMES)),
            "action": self.word("SCMP_ACT_", ACTIONS),
            "args": self.some(4, |it| json!({
                "index": it.byte() % 7,
                "op": it.word("SCMP_CMP_", OPERATORS),
                "value": it.number(),
                "valueTwo": it.number(),
            })),
        });
        if self.byte() % 4 == 1 {
            rule["errnoRet"] = json!(self.number() as u32);
        }
        rule
    }
}

/// Loads a program in a child, because the program may forbid fork(2) and exit_group(2). After that the child makes no
/// system call: it reports the result in shared memory, spins, and is killed. It also dies with this process.
fn load(filter: &Filter) {
    const PENDING: i64 = i64::MIN;
    let program = libc::sock_fprog { len: filter.program.len() as u16, filter: filter.program.as_ptr() as *mut _ };
    // SAFETY: the shared page is one atomic, which is unmapped at the end. The child has a copy of the memory, makes
    // plain system calls, takes no lock, and then only spins.
    let result = unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            8,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(page, libc::MAP_FAILED);
        let said = &*page.cast::<AtomicI64>();
        said.store(PENDING, Ordering::SeqCst);
        let child = libc::fork();
        if child == 0 {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            let mode = libc::SECCOMP_SET_MODE_FILTER;
            let loaded = libc::syscall(libc::SYS_seccomp, mode, filter.flags, &raw const program);
            said.store(if loaded < 0 { -i64::from(*libc::__errno_location()) } else { 0 }, Ordering::SeqCst);
            loop {
                std::hint::spin_loop();
            }
        }
        assert!(child > 0, "fork: {}", std::io::Error::last_os_error());
        let mut waited = 0;
        while said.load(Ordering::SeqCst) == PENDING && waited < 100_000 {
            libc::usleep(20);
            waited += 1;
        }
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
        let result = said.load(Ordering::SeqCst);
        libc::munmap(page, 8);
        result
    };
    assert_ne!(result, PENDING, "a child did not load its program within two seconds");
    assert_eq!(
        result,
        0,
        "the kernel refuses a program of {} instructions, flags {:#x}",
        filter.program.len(),
        filter.flags
    );
}
