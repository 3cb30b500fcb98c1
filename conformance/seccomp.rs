//! `linux.seccomp`: the filter applies to the container's process, its children and the processes of exec.
//!
//! Each filtered container has a limit of processes: a process that may neither exit nor be killed, but may clone,
//! would fill the machine.

use crate::harness::*;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

tests![
    errno_with_new_privileges,
    errno_without_new_privileges,
    errno_of_the_rule,
    errno_of_the_default,
    kill_process,
    kill_process_ends_all_threads,
    kill_thread_spares_the_others,
    trap_is_a_signal,
    trace_without_a_tracer,
    trace_tells_the_tracer,
    log_lets_pass,
    actions_side_by_side,
    the_first_rule_that_holds_decides,
    argument_decides,
    every_operator,
    conditions_on_one_argument_are_alternatives,
    unknown_names_are_skipped,
    what_is_not_named_has_the_default_action,
    what_is_newer_than_the_profile_is_not_implemented,
    calls_of_32_bit_from_a_64_bit_program,
    calls_of_x32,
    a_32_bit_program_is_filtered,
    an_architecture_that_is_not_listed,
    exec_has_the_same_filter,
    filter_of_an_ordinary_user,
    action_that_does_not_exist,
    what_allows_everything_is_loaded,
    what_forbids_all_that_is_left_to_do,
    what_forbids_the_program_itself,
    unknown_names_are_an_error_for_who_wants_it,
    operator_that_does_not_exist,
    flag_that_does_not_exist,
    architecture_that_does_not_exist,
    architectures_of_other_hosts,
    errno_for_an_action_without,
    argument_index_out_of_range,
    every_flag,
    killable_flag_without_notify,
    program_over_the_kernels_limit,
    notify_is_answered,
    notify_is_answered_with_new_privileges,
    notify_may_continue,
    notify_of_exec,
    notify_of_what_the_runtime_calls,
    notify_of_what_the_runtime_calls_with_new_privileges,
    notify_of_sending_messages,
    notify_in_a_user_namespace,
    notify_of_an_ordinary_user,
    notify_of_an_ordinary_users_exec,
    notify_in_a_start_container_hook,
    notify_leaves_no_descriptor,
    notify_agent_that_goes_away,
    notify_killable,
    notify_by_annotation,
    notify_at_an_abstract_name,
    notify_without_a_listener,
    notify_listener_that_is_not_there,
    notify_for_write,
    notify_as_the_default,
    listener_without_notify,
    listener_metadata_without_a_listener,
];

/// A profile that allows all calls except for these rules.
fn profile(rules: Value) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules })
}

fn no_mkdir() -> Value {
    profile(json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]))
}

/// A container with this filter and a limit of processes.
fn filtered<const N: usize>(words: [&str; N], filter: Value) -> Bundle {
    Bundle::new(words).set("/linux/seccomp", filter).set("/linux/resources/pids/limit", 32)
}

fn mkdir(new_privileges: bool, filter: Value) -> Result<Output> {
    filtered(["mkdir", "/new"], filter).set("/process/noNewPrivileges", !new_privileges).run()
}

/// A rule for the system calls that make directories.
fn rule(action: &str) -> Value {
    json!({ "names": ["mkdir", "mkdirat"], "action": action })
}

fn with_errno(action: &str, errno: u32) -> Value {
    json!({ "names": ["mkdir", "mkdirat"], "action": action, "errnoRet": errno })
}

const MKDIR: &str = "83";

/// Without no_new_privs the filter is loaded while the process still has CAP_SYS_ADMIN. The rest of the runtime's steps
/// run under it.
fn errno_with_new_privileges() -> Result {
    mkdir(true, no_mkdir())?.success()?.has_line("mkdir /new: EPERM").map(drop)
}

/// With no_new_privs the filter is loaded last.
fn errno_without_new_privileges() -> Result {
    mkdir(false, no_mkdir())?.success()?.has_line("mkdir /new: EPERM").map(drop)
}

/// `errnoRet` is the error of the call.
fn errno_of_the_rule() -> Result {
    let rule = json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 }]);
    mkdir(false, profile(rule))?.success()?.has_line("mkdir /new: EACCES").map(drop)
}

/// `defaultErrnoRet` is the error of calls that no rule names.
fn errno_of_the_default() -> Result {
    let mut filter = allow_only();
    filter["defaultErrnoRet"] = json!(libc::EACCES);
    mkdir(false, filter)?.success()?.has_line("mkdir /new: EACCES").map(drop)
}

/// `SCMP_ACT_KILL_PROCESS` kills the process with SIGSYS.
fn kill_process() -> Result {
    let rule = json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" }]);
    equal("status", mkdir(false, profile(rule))?.code()?, 128 + libc::SIGSYS)
}

/// The same for a process of two threads, whichever of them makes the call.
fn kill_process_ends_all_threads() -> Result {
    let output =
        filtered(["thread", MKDIR, ",", "echo", "alive"], profile(json!([rule("SCMP_ACT_KILL_PROCESS")]))).run()?;
    equal("standard output", output.stdout.as_str(), "")?;
    equal("status", output.code()?, 128 + libc::SIGSYS)
}

/// `SCMP_ACT_KILL_THREAD`, and `SCMP_ACT_KILL`, which is its older name, end one thread.
fn kill_thread_spares_the_others() -> Result {
    for action in ["SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL"] {
        let output = filtered(["thread", MKDIR, ",", "echo", "alive"], profile(json!([rule(action)]))).run()?;
        output.success()?.has_line("thread: killed")?.has_line("alive")?;
    }
    Ok(())
}

/// `SCMP_ACT_TRAP` sends SIGSYS, which a process may handle.
fn trap_is_a_signal() -> Result {
    let filter = profile(json!([rule("SCMP_ACT_TRAP")]));
    let output = filtered(["sigsys", MKDIR], filter.clone()).run()?;
    output.success()?.has_line("trapped: call 83 arch c000003e data 0")?;
    equal("status without a handler", mkdir(false, filter)?.code()?, 128 + libc::SIGSYS)
}

/// Without a tracer a call with `SCMP_ACT_TRACE` fails with ENOSYS (seccomp(2)).
fn trace_without_a_tracer() -> Result {
    let filter = profile(json!([rule("SCMP_ACT_TRACE")]));
    mkdir(false, filter)?.success()?.has_line("mkdir /new: ENOSYS").map(drop)
}

/// A tracer gets the value, which is EPERM unless the profile has another one, and can let the call go on.
fn trace_tells_the_tracer() -> Result {
    for (rule, data) in [(rule("SCMP_ACT_TRACE"), 1), (with_errno("SCMP_ACT_TRACE", 4242), 4242)] {
        // The address of the path is invalid: only a call that the kernel carries out fails with EFAULT.
        let output = filtered(["traced", MKDIR], profile(json!([rule]))).run()?;
        output.success()?.has_line(&format!("traced: data {data} made false"))?;
    }
    let getsid = json!([{ "names": ["getsid"], "action": "SCMP_ACT_TRACE", "errnoRet": 7 }]);
    let output = filtered(["traced", "124"], profile(getsid)).run()?;
    output.success()?.has_line("traced: data 7 made true").map(drop)
}

/// `SCMP_ACT_LOG` allows the call.
fn log_lets_pass() -> Result {
    mkdir(false, profile(json!([rule("SCMP_ACT_LOG")])))?.success()?.has_line("mkdir /new: ok").map(drop)
}

/// One profile may have all actions, and ERRNO with several values.
fn actions_side_by_side() -> Result {
    let errno = |name: &str, value: u32| json!({ "names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": value });
    let other = |name: &str, action: &str| json!({ "names": [name], "action": action });
    // System calls that no runtime makes under the filter.
    let filter = profile(json!([
        errno("alarm", 11),
        errno("getpgrp", 12),
        other("sched_get_priority_min", "SCMP_ACT_LOG"),
        other("getsid", "SCMP_ACT_TRACE"),
        other("getrusage", "SCMP_ACT_TRAP"),
        other("times", "SCMP_ACT_KILL_PROCESS"),
    ]));
    let words = [
        "call", "37", ",", "call", "111", ",", "call", "147", ",", "call", "124", ",", "sigsys", "98", ",", "call",
        "100",
    ];
    let output = filtered(words, filter).run()?;
    equal("status", output.code()?, 128 + libc::SIGSYS)?;
    let said: Vec<&str> = output.stdout.lines().collect();
    let trapped = "trapped: call 98 arch c000003e data 0";
    equal("standard output", said, ["call 37: EAGAIN", "call 111: ENOMEM", "call 147: 0", "call 124: ENOSYS", trapped])
}

/// Rules for one call whose conditions exclude each other, and a value that meets none of them.
fn the_first_rule_that_holds_decides() -> Result {
    let when = |value: u64, errno: u32| {
        let args = json!([{ "index": 0, "value": value, "op": "SCMP_CMP_EQ" }]);
        json!({ "names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": args })
    };
    let filter = profile(json!([when(3, 11), when(4, 12)]));
    let output = filtered(["call", "121", "3", ",", "call", "121", "4", ",", "call", "121", "99999"], filter).run()?;
    let said: Vec<&str> = output.success()?.stdout.lines().collect();
    equal("standard output", said, ["call 121: EAGAIN", "call 121: ENOMEM", "call 121: ESRCH"])
}

/// A rule with a condition applies only to the calls that meet it.
fn argument_decides() -> Result {
    let condition = |value: u64| {
        let args = json!([{ "index": 1, "value": value, "op": "SCMP_CMP_EQ" }]);
        profile(json!([{ "names": ["chmod"], "action": "SCMP_ACT_ERRNO", "args": args }]))
    };
    for (value, line) in [(0o600, "chmod /f: EPERM"), (0o644, "chmod /f: ok")] {
        let output = Bundle::new(["chmod", "/f"]).file("/f", "").set("/linux/seccomp", condition(value)).run()?;
        output.success()?.has_line(line)?;
    }
    Ok(())
}

/// Each `SCMP_CMP_*` with 64-bit values: one that meets it, and the next one that does not.
fn every_operator() -> Result {
    const WIDE: u64 = 0x1_0000_0005;
    let masked = 0xf_0000_0000u64;
    for (op, value, two, yes, no) in [
        ("SCMP_CMP_EQ", WIDE, 0u64, WIDE, 5),
        ("SCMP_CMP_NE", WIDE, 0, 5, WIDE),
        ("SCMP_CMP_LT", WIDE, 0, WIDE - 1, WIDE),
        ("SCMP_CMP_LE", WIDE, 0, WIDE, WIDE + 1),
        ("SCMP_CMP_GT", WIDE, 0, WIDE + 1, WIDE),
        ("SCMP_CMP_GE", WIDE, 0, WIDE, WIDE - 1),
        ("SCMP_CMP_MASKED_EQ", masked, 0x1_0000_0000, WIDE, 0x2_0000_0005),
    ] {
        let args = json!([{ "index": 5, "value": value, "valueTwo": two, "op": op }]);
        let rule = json!([{ "names": ["alarm"], "action": "SCMP_ACT_ERRNO", "errnoRet": 11, "args": args }]);
        let (yes, no) = (yes.to_string(), no.to_string());
        let words = ["call", "37", "0", "0", "0", "0", "0", &yes, ",", "call", "37", "0", "0", "0", "0", "0", &no];
        let output = filtered(words, profile(rule)).run()?;
        let said: Vec<&str> = output.success()?.stdout.lines().collect();
        equal(op, said, ["call 37: EAGAIN", "call 37: 0"])?;
    }
    Ok(())
}

/// Several conditions on one argument are alternatives: runc made them so once, and keeps it.
fn conditions_on_one_argument_are_alternatives() -> Result {
    let when = |value: u64| json!({ "index": 0, "value": value, "op": "SCMP_CMP_EQ" });
    let rule =
        json!([{ "names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 11, "args": [when(3), when(4)] }]);
    let output =
        filtered(["call", "121", "3", ",", "call", "121", "4", ",", "call", "121", "99999"], profile(rule)).run()?;
    let said: Vec<&str> = output.success()?.stdout.lines().collect();
    equal("standard output", said, ["call 121: EAGAIN", "call 121: EAGAIN", "call 121: ESRCH"])
}

/// Unknown system calls are skipped: a profile may be newer than the runtime.
fn unknown_names_are_skipped() -> Result {
    let rule = json!([{ "names": ["no_such_call", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]);
    mkdir(false, profile(rule))?.success()?.has_line("mkdir /new: EPERM").map(drop)
}

/// `defaultAction` applies to all calls that no rule names. With `LOG` everything works.
fn what_is_not_named_has_the_default_action() -> Result {
    let filter = json!({ "defaultAction": "SCMP_ACT_LOG", "architectures": ["SCMP_ARCH_X86_64"] });
    mkdir(false, filter)?.success()?.has_line("mkdir /new: ok").map(drop)
}

/// Calls that are newer than the newest one in the profile fail with ENOSYS, and not with EPERM, which programs do not
/// take for "not supported". Older calls get the default action.
fn what_is_newer_than_the_profile_is_not_implemented() -> Result {
    let words = ["call", "436", "9", "1", ",", "call", "600", ",", "call", MKDIR];
    let output = filtered(words, allow_only()).set("/process/noNewPrivileges", true).run()?;
    let said: Vec<&str> = output.success()?.stdout.lines().collect();
    equal("standard output", said, ["call 436: EINVAL", "call 600: ENOSYS", "call 83: EPERM"])
}

/// A profile that allows the calls of a small program, and those of a runtime after loading it. `close_range` is the
/// newest one.
fn allow_only() -> Value {
    let names = [
        "access",
        "arch_prctl",
        "brk",
        "capget",
        "capset",
        "chdir",
        "clock_gettime",
        "clock_nanosleep",
        "clone",
        "close",
        "close_range",
        "connect",
        "dup",
        "dup3",
        "epoll_create1",
        "epoll_ctl",
        "epoll_pwait",
        "eventfd2",
        "execve",
        "exit",
        "exit_group",
        "faccessat",
        "fcntl",
        "fstat",
        "fstatfs",
        "futex",
        "getcwd",
        "getdents64",
        "getegid",
        "geteuid",
        "getgid",
        "getpid",
        "getppid",
        "getrandom",
        "gettid",
        "getuid",
        "ioctl",
        "lseek",
        "madvise",
        "mmap",
        "mprotect",
        "munmap",
        "nanosleep",
        "newfstatat",
        "open",
        "openat",
        "pipe2",
        "poll",
        "ppoll",
        "prctl",
        "pread64",
        "prlimit64",
        "read",
        "readlinkat",
        "recvfrom",
        "recvmsg",
        "restart_syscall",
        "rseq",
        "rt_sigaction",
        "rt_sigprocmask",
        "rt_sigreturn",
        "sched_getaffinity",
        "sched_yield",
        "sendmsg",
        "sendto",
        "set_robust_list",
        "set_tid_address",
        "setgid",
        "setgroups",
        "setresgid",
        "setresuid",
        "sigaltstack",
        "socket",
        "stat",
        "statx",
        "tgkill",
        "timer_create",
        "timer_settime",
        "uname",
        "unlinkat",
        "wait4",
        "waitid",
        "write",
    ];
    let rules = json!([{ "names": names.as_slice(), "action": "SCMP_ACT_ALLOW" }]);
    json!({ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules })
}

/// The same filter for all ABIs of system calls that the machine has.
fn of_all_architectures(mut filter: Value) -> Value {
    filter["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    filter
}

/// Skips the test if the kernel takes `int 0x80` for a 64-bit call, as user-mode Linux does: 64 is getppid(2) in the
/// table of 32-bit calls and semget(2) in the other.
fn has_calls_of_32_bit() -> Result {
    match Bundle::new(["int80", "64"]).run()?.success()?.stdout.trim() {
        "int80 64: 0" => Ok(()),
        _ => skip("this kernel has no 32-bit system calls"),
    }
}

/// The number is that of the ABI: `int 0x80` in a 64-bit program makes a call of 32-bit x86.
fn calls_of_32_bit_from_a_64_bit_program() -> Result {
    has_calls_of_32_bit()?;
    let words = ["int80", "39", ",", "int80", "64"];
    let filter = of_all_architectures(profile(json!([with_errno("SCMP_ACT_ERRNO", 11)])));
    let output = filtered(words, filter).run()?;
    let said: Vec<&str> = output.success()?.stdout.lines().collect();
    equal("standard output", said, ["int80 39: EAGAIN", "int80 64: 0"])
}

/// x32 has bit 30 in its numbers, and a filter of its own if the profile lists it.
fn calls_of_x32() -> Result {
    let number = (0x4000_0000 + 83).to_string();
    let filter = profile(json!([with_errno("SCMP_ACT_ERRNO", 11)]));
    let output = filtered(["call", &number], of_all_architectures(filter.clone())).run()?;
    output.success()?.has_line(&format!("call {number}: EAGAIN"))?;
    equal("status where x32 is not listed", filtered(["call", &number], filter).run()?.code()?, 128 + libc::SIGSYS)
}

/// A container whose program is a static 32-bit x86 one: it makes the directory `/new` and exits with the errno.
fn of_32_bit(filter: Option<Value>) -> Result<Output> {
    let bundle = match filter {
        Some(filter) => filtered([], filter),
        None => Bundle::new([]),
    };
    let container = bundle.set("/process/args", json!(["/i386"])).build()?;
    let program = container.rootfs().join("i386");
    fs::write(&program, i386_mkdir())?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    container.run()
}

/// An ELF file made by hand: a header, one segment for the whole file, and the code.
fn i386_mkdir() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    const HEADERS: u32 = 52 + 32;
    let code = |path: u32| {
        let [a, b, c, d] = path.to_le_bytes();
        let mkdir = [0xb8, 39, 0, 0, 0, 0xbb, a, b, c, d, 0xb9, 0xed, 0x01, 0, 0, 0xcd, 0x80];
        let exit = [0xf7, 0xd8, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80];
        [&mkdir[..], &exit[..], b"/new\0"].concat()
    };
    let path = BASE + HEADERS + code(0).len() as u32 - 5;
    let code = code(path);
    let size = HEADERS + code.len() as u32;
    let half = |numbers: &[u16]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let word = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    [
        b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec(),
        half(&[2, 3]),
        word(&[1, BASE + HEADERS, 52, 0, 0]),
        half(&[52, 32, 1, 0, 0, 0]),
        word(&[1, 0, BASE, BASE, size, size, 5, 0x1000]),
        code,
    ]
    .concat()
}

/// The rules apply to a 32-bit program by the numbers of its own architecture.
fn a_32_bit_program_is_filtered() -> Result {
    let free = of_32_bit(None)?;
    if !free.stderr.is_empty() {
        return skip("this kernel runs no programs for 32-bit x86");
    }
    free.success()?;
    let filter = of_all_architectures(profile(json!([with_errno("SCMP_ACT_ERRNO", 13)])));
    equal("status", of_32_bit(Some(filter))?.code()?, 13)
}

/// System calls of an architecture that the profile does not list are refused.
fn an_architecture_that_is_not_listed() -> Result {
    has_calls_of_32_bit()?;
    let filter = profile(json!([with_errno("SCMP_ACT_ERRNO", 13)]));
    let output = filtered(["int80", "64"], filter).run()?;
    equal("status", output.code()?, 128 + libc::SIGSYS)
}

/// A process of exec has the same filter as the first one.
fn exec_has_the_same_filter() -> Result {
    let container = Bundle::new(["pause"]).set("/linux/seccomp", no_mkdir()).start()?;
    container.exec([], ["mkdir", "/new"])?.success()?.has_line("mkdir /new: EPERM").map(drop)
}

/// The filter is loaded for an ordinary user, too.
fn filter_of_an_ordinary_user() -> Result {
    let bundle =
        Bundle::new(["mkdir", "/tmp/new"]).dir("/tmp").set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let output = bundle.set("/linux/seccomp", no_mkdir()).run()?;
    output.success()?.has_line("mkdir /tmp/new: EPERM").map(drop)
}

/// An unknown action is an error of create. The message does not list all known ones.
fn action_that_does_not_exist() -> Result {
    let filter = json!({ "defaultAction": "SCMP_ACT_MAYBE" });
    Bundle::new(["true"]).set("/linux/seccomp", filter).refused("linux.seccomp")?;
    let filter = json!({ "defaultAction": "SCMP_ACT_ALOW" });
    let output = Bundle::new(["true"]).set("/linux/seccomp", filter).refused("linux.seccomp.defaultAction")?;
    if runtime::is("tare") {
        contains("what is near", &output.stderr, "SCMP_ACT_ALLOW")?;
        ensure!(!output.stderr.contains("SCMP_ACT_KILL_PROCESS"), "{output}");
    }
    Ok(())
}

/// /proc/PID/status shows that a filter is loaded, even if it allows everything.
fn what_allows_everything_is_loaded() -> Result {
    for filter in
        [profile(json!([])), json!({ "defaultAction": "SCMP_ACT_ALLOW" }), profile(json!([rule("SCMP_ACT_ALLOW")]))]
    {
        let output = filtered(["cat", "/proc/self/status", ",", "mkdir", "/new"], filter).run()?;
        output.success()?.has_line("Seccomp:\t2")?.has_line("mkdir /new: ok")?;
    }
    Ok(())
}

/// A profile may forbid the steps that are left before the program runs, even exit_group(2) and write(2): create ends
/// at once with a message about the profile, and leaves nothing.
fn what_forbids_all_that_is_left_to_do() -> Result {
    let nothing = json!({ "defaultAction": "SCMP_ACT_ERRNO" });
    let killed = json!({ "defaultAction": "SCMP_ACT_KILL_PROCESS" });
    let deaf = profile(json!([{ "names": ["read"], "action": "SCMP_ACT_ERRNO" }]));
    for new_privileges in [true, false] {
        for filter in [&nothing, &killed, &deaf] {
            let bundle = filtered(["true"], filter.clone()).set("/process/noNewPrivileges", !new_privileges);
            let container = bundle.build()?;
            let output = container.create()?;
            if output.status.success() {
                // With no_new_privs the filter is loaded after the last step of create.
                let _ = container.command(["start"])?;
                container.wait_status("stopped")?;
                continue;
            }
            names_field(&output, "linux.seccomp")?;
            container.nothing_left()?;
        }
    }
    Ok(())
}

/// A profile may forbid execve(2), or the exit of init: that is an error, and nothing hangs.
fn what_forbids_the_program_itself() -> Result {
    for new_privileges in [true, false] {
        for names in [&["execve"][..], &["execve", "exit_group"], &["execve", "exit_group", "exit", "write"]] {
            let filter = profile(json!([{ "names": names, "action": "SCMP_ACT_ERRNO" }]));
            let bundle = filtered(["true"], filter).set("/process/noNewPrivileges", !new_privileges);
            let output = bundle.run()?;
            output.failure()?;
            if runtime::is("tare") {
                contains("the message", &output.stderr, "linux.seccomp")?;
            }
        }
    }
    Ok(())
}

/// With crun's annotation an unknown name is an error.
fn unknown_names_are_an_error_for_who_wants_it() -> Result {
    if runtime::is("runc") {
        return skip("an extension of crun, which runc lacks");
    }
    let filter = profile(json!([{ "names": ["mkdir", "make_coffee"], "action": "SCMP_ACT_ERRNO" }]));
    let annotated = |value| {
        let annotations = json!({ "run.oci.seccomp_fail_unknown_syscall": value });
        filtered(["true"], filter.clone()).set("/annotations", annotations)
    };
    annotated("0").run()?.success()?;
    annotated("1").refused("make_coffee").map(drop)
}

/// An unknown operator is an error.
fn operator_that_does_not_exist() -> Result {
    let args = json!([{ "index": 0, "value": 0, "op": "SCMP_CMP_LIKE" }]);
    let filter = profile(json!([{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": args }]));
    Bundle::new(["true"]).set("/linux/seccomp", filter).refused("linux.seccomp.syscalls[0].args[0].op").map(drop)
}

/// An unknown flag is an error.
fn flag_that_does_not_exist() -> Result {
    let mut filter = no_mkdir();
    filter["flags"] = json!(["SECCOMP_FILTER_FLAG_MAYBE"]);
    Bundle::new(["true"]).set("/linux/seccomp", filter).refused("linux.seccomp.flags[0]").map(drop)
}

/// An unknown architecture is an error.
fn architecture_that_does_not_exist() -> Result {
    let mut filter = no_mkdir();
    filter["architectures"] = json!(["SCMP_ARCH_PDP11"]);
    Bundle::new(["true"]).set("/linux/seccomp", filter).refused("linux.seccomp.architectures[0]").map(drop)
}

/// An architecture that the machine cannot run does not change the filter; one of the other byte order is an error.
fn architectures_of_other_hosts() -> Result {
    let mut filter = no_mkdir();
    filter["architectures"] = json!(["SCMP_ARCH_S390X"]);
    Bundle::new(["true"]).set("/linux/seccomp", filter.clone()).refused("linux.seccomp.architectures[0]")?;
    filter["architectures"] = json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPSEL64"]);
    mkdir(false, filter)?.success()?.has_line("mkdir /new: EPERM").map(drop)
}

/// "When the action doesn't support an errno, the runtime MUST print and error and fail."
fn errno_for_an_action_without() -> Result {
    let filter = profile(json!([with_errno("SCMP_ACT_KILL", 13)]));
    Bundle::new(["true"]).set("/linux/seccomp", filter).refused("linux.seccomp.syscalls[0].errnoRet").map(drop)
}

/// A system call has six arguments.
fn argument_index_out_of_range() -> Result {
    let args = json!([{ "index": 6, "value": 0, "op": "SCMP_CMP_EQ" }]);
    let filter = profile(json!([{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": args }]));
    Bundle::new(["true"]).set("/linux/seccomp", filter).refused("linux.seccomp").map(drop)
}

/// Flags may be absent, empty, or each by its name.
fn every_flag() -> Result {
    let flags = ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"];
    let one = flags.map(|flag| json!([flag]));
    for flags in [json!([]), json!(flags)].into_iter().chain(one) {
        let mut filter = no_mkdir();
        filter["flags"] = flags;
        mkdir(false, filter)?.success()?.has_line("mkdir /new: EPERM")?;
    }
    Ok(())
}

const KILLABLE: &str = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";

/// The kernel accepts this flag only with a listener.
fn killable_flag_without_notify() -> Result {
    let mut filter = no_mkdir();
    filter["flags"] = json!([KILLABLE]);
    Bundle::new(["true"]).set("/linux/seccomp", filter).refused("linux.seccomp.flags[0]").map(drop)
}

/// The kernel accepts 4096 instructions.
fn program_over_the_kernels_limit() -> Result {
    let rule = |value: u32| {
        let args = json!([{ "index": 0, "value": value, "op": "SCMP_CMP_EQ" }]);
        json!({ "names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": value % 100, "args": args })
    };
    let filter = profile((0..5000).map(rule).collect());
    Bundle::new(["true"]).set("/linux/seccomp", filter).refused("linux.seccomp").map(drop)
}

/// A profile that asks the agent about these calls.
fn notifying(names: &[&str]) -> Value {
    profile(json!([{ "names": names, "action": "SCMP_ACT_NOTIFY" }]))
}

/// A container with an agent. The agent gives this verdict on the container's `mkdir`, and lets all other calls
/// continue.
fn agent_of(bundle: Bundle, verdict: Verdict) -> Result<(Container, Agent)> {
    let container = bundle.build()?;
    let agent = Agent::bind(container.aside("agent"), move |number| match number {
        83 | 258 => verdict,
        _ => Verdict::Continue,
    })?;
    let path = agent.path.display().to_string();
    container.edit_config(|config| {
        config["linux"]["seccomp"]["listenerPath"] = json!(path);
        config["linux"]["seccomp"]["listenerMetadata"] = json!("for the agent");
    })?;
    Ok((container, agent))
}

fn answered(new_privileges: bool) -> Result {
    let bundle = filtered(["mkdir", "/new"], notifying(&["mkdir", "mkdirat"]));
    let bundle = bundle.set("/process/noNewPrivileges", !new_privileges).set("/annotations/a.key", "a value");
    let (container, agent) = agent_of(bundle, Verdict::Errno(libc::ENOMEDIUM))?;
    container.create()?.success()?;
    let messages = agent.messages(1)?;
    equal("connections", messages.len(), 1)?;
    equal("descriptors", messages[0].descriptors, 1)?;
    let (said, pid) = (&messages[0].state, container.pid()?);
    equal("fds", &said["fds"], &json!(["seccompFd"]))?;
    equal("pid", &said["pid"], &json!(pid))?;
    equal("metadata", &said["metadata"], &json!("for the agent"))?;
    ensure!(said["ociVersion"].is_string() && said["state"]["ociVersion"].is_string(), "no ociVersion in {said}");
    let state = &said["state"];
    equal("status", &state["status"], &json!("creating"))?;
    equal("id", &state["id"], &json!(container.id))?;
    equal("pid of the state", &state["pid"], &json!(pid))?;
    equal("bundle", &state["bundle"], &json!(container.bundle()))?;
    equal("annotations", &state["annotations"]["a.key"], &json!("a value"))?;
    container.start()?;
    container.wait_status("stopped")?;
    contains("standard output", &fs::read_to_string(container.aside("out"))?, "mkdir /new: ENOMEDIUM")
}

/// The agent gets the container process state with the listener, and answers.
fn notify_is_answered() -> Result {
    answered(false)
}

/// Without no_new_privs the filter is loaded early, and applies to the rest of the runtime's steps.
fn notify_is_answered_with_new_privileges() -> Result {
    answered(true)
}

/// The agent may let the kernel carry the call out.
fn notify_may_continue() -> Result {
    let (container, _agent) = agent_of(filtered(["mkdir", "/new"], notifying(&["mkdir"])), Verdict::Continue)?;
    container.run()?.success()?.has_line("mkdir /new: ok").map(drop)
}

/// A process of exec has a listener of its own: `pid` is the pid of the process, the state is the container's.
fn notify_of_exec() -> Result {
    for new_privileges in [true, false] {
        let bundle = filtered(["pause"], notifying(&["mkdir"])).set("/process/noNewPrivileges", !new_privileges);
        let (container, agent) = agent_of(bundle, Verdict::Errno(libc::ENOMEDIUM))?;
        container.create()?.success()?;
        container.start()?;
        let pid_file = container.aside("pid");
        let pid_file = pid_file.to_str().context("a path of letters")?;
        let output = container.exec(["--pid-file", pid_file], ["mkdir", "/new"])?;
        output.success()?.has_line("mkdir /new: ENOMEDIUM")?;
        let said = &agent.messages(2)?[1].state;
        equal("pid", said["pid"].to_string(), fs::read_to_string(pid_file)?)?;
        equal("pid of the state", &said["state"]["pid"], &json!(container.pid()?))?;
        equal("status", &said["state"]["status"], &json!("running"))?;
        equal("metadata", &said["metadata"], &json!("for the agent"))?;
    }
    Ok(())
}

fn of_the_runtimes_own(new_privileges: bool) -> Result {
    let names = [
        "execve",
        "openat",
        "open",
        "read",
        "close",
        "close_range",
        "chdir",
        "getcwd",
        "capset",
        "prctl",
        "setresuid",
        "setgroups",
        "fstat",
        "faccessat2",
        "faccessat",
        "prlimit64",
        "exit_group",
    ];
    let bundle = filtered(["echo", "hello"], notifying(&names)).set("/process/noNewPrivileges", !new_privileges);
    let (container, _agent) = agent_of(bundle, Verdict::Continue)?;
    container.run()?.success()?.has_line("hello").map(drop)
}

/// System calls that the runtime itself makes under the filter are answered by the agent like others.
fn notify_of_what_the_runtime_calls() -> Result {
    of_the_runtimes_own(false)
}

/// The same if the filter is loaded early.
fn notify_of_what_the_runtime_calls_with_new_privileges() -> Result {
    of_the_runtimes_own(true)
}

/// Agents that do networking for containers ask for these calls: the runtime must not need any of them to pass the
/// listener on.
fn notify_of_sending_messages() -> Result {
    let names = ["sendmsg", "sendto", "recvmsg", "recvfrom", "connect", "bind", "setsockopt", "close"];
    let (container, _agent) = agent_of(filtered(["echo", "hello"], notifying(&names)), Verdict::Continue)?;
    container.run()?.success()?.has_line("hello").map(drop)
}

/// The same in a user namespace, for the first process and for one of exec.
fn notify_in_a_user_namespace() -> Result {
    let bundle = filtered(["pause"], notifying(&["mkdir"])).user_namespace(100_000, 1000);
    let (container, agent) = agent_of(bundle, Verdict::Errno(libc::ENOMEDIUM))?;
    container.create()?.success()?;
    container.start()?;
    container.exec([], ["mkdir", "/new"])?.success()?.has_line("mkdir /new: ENOMEDIUM")?;
    equal("connections", agent.messages(2)?.len(), 2)
}

/// A container of an ordinary user, who may not access every process with ptrace(2).
fn notifying_an_ordinary_user(new_privileges: bool) -> Result<(Container, Agent)> {
    let (uid, hook) = (1000, json!([{ "path": "/payload", "args": ["payload", "mkdir", "/by-hook"] }]));
    let map = json!([{ "containerID": 0, "hostID": uid, "size": 1 }]);
    let bundle =
        Bundle::new(["mkdir", "/new", ",", "ls", "/", ",", "pause"]).set("/linux/seccomp", notifying(&["mkdir"]));
    let bundle =
        bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map).namespace("user").user(uid);
    let bundle = bundle.set("/process/noNewPrivileges", !new_privileges).set("/hooks/startContainer", hook);
    let (container, agent) = agent_of(bundle, Verdict::Errno(libc::ENOMEDIUM))?;
    fs::set_permissions(&agent.path, fs::Permissions::from_mode(0o777))?;
    container.create()?.success()?;
    container.start()?;
    Ok((container, agent))
}

/// The agent answers for the container of an ordinary user, and for its startContainer hook.
fn notify_of_an_ordinary_user() -> Result {
    for new_privileges in [true, false] {
        let (container, _agent) = notifying_an_ordinary_user(new_privileges)?;
        container.wait_output("ls /: dev payload proc")?;
        contains("output", &container.output()?, "mkdir /new: ENOMEDIUM")?;
    }
    Ok(())
}

/// A process of exec comes from outside the user namespace.
fn notify_of_an_ordinary_users_exec() -> Result {
    for new_privileges in [true, false] {
        let (container, _agent) = notifying_an_ordinary_user(new_privileges)?;
        container.exec([], ["mkdir", "/other"])?.success()?.has_line("mkdir /other: ENOMEDIUM")?;
    }
    Ok(())
}

/// A startContainer hook has the same filter, and the agent answers for it.
fn notify_in_a_start_container_hook() -> Result {
    let hook = json!([{ "path": "/payload", "args": ["payload", "mkdir", "/by-hook"] }]);
    let bundle = filtered(["ls", "/"], notifying(&["mkdir"])).set("/hooks/startContainer", hook);
    let (container, _agent) = agent_of(bundle, Verdict::Errno(libc::ENOMEDIUM))?;
    equal("what the hook made", container.run()?.success()?.value("ls /")?, "dev payload proc")
}

/// The listener is open in the agent only.
fn notify_leaves_no_descriptor() -> Result {
    for new_privileges in [true, false] {
        let bundle = filtered(["fds"], notifying(&["mkdir"])).set("/process/noNewPrivileges", !new_privileges);
        let (container, _agent) = agent_of(bundle, Verdict::Continue)?;
        container.run()?.success()?.says("fds", "0,1,2")?;
    }
    Ok(())
}

/// If the agent is gone, calls fail with ENOSYS: no process of the container has the listener open, either.
fn notify_agent_that_goes_away() -> Result {
    let bundle = filtered(["mkdir", "/new"], notifying(&["mkdir"]));
    let (container, agent) = agent_of(bundle, Verdict::Continue)?;
    container.create()?.success()?;
    agent.messages(1)?;
    drop(agent);
    container.start()?;
    container.wait_status("stopped")?;
    contains("standard output", &fs::read_to_string(container.aside("out"))?, "mkdir /new: ENOSYS")
}

/// Only if `features` lists the flag.
fn notify_killable() -> Result {
    let features: Value = serde_json::from_str(&Call::new(["features"]).output()?.success()?.stdout)?;
    let supported = features["linux"]["seccomp"]["supportedFlags"].as_array().context("supported flags")?;
    if !supported.contains(&json!(KILLABLE)) {
        return skip(format!("{KILLABLE} is not supported here"));
    }
    let mut filter = notifying(&["mkdir"]);
    filter["flags"] = json!([KILLABLE]);
    let (container, _agent) = agent_of(filtered(["mkdir", "/new"], filter), Verdict::Errno(libc::ENOMEDIUM))?;
    container.run()?.success()?.has_line("mkdir /new: ENOMEDIUM").map(drop)
}

/// crun's annotation names the agent if the profile does not.
fn notify_by_annotation() -> Result {
    if runtime::is("runc") {
        return skip("the annotation is an extension of crun");
    }
    let bundle = filtered(["mkdir", "/new"], notifying(&["mkdir"]));
    let (container, agent) = agent_of(bundle, Verdict::Errno(libc::ENOMEDIUM))?;
    container.edit_config(|config| {
        config["linux"]["seccomp"].as_object_mut().map(|seccomp| seccomp.remove("listenerPath"));
        config["annotations"]["run.oci.seccomp.receiver"] = json!(agent.path);
    })?;
    container.run()?.success()?.has_line("mkdir /new: ENOMEDIUM").map(drop)
}

/// runc, as a Go program, takes a name that begins with `@` for an abstract socket.
fn notify_at_an_abstract_name() -> Result {
    let bundle = filtered(["mkdir", "/new"], notifying(&["mkdir"]));
    let (container, _agent) = agent_of(bundle, Verdict::Continue)?;
    container.edit_config(|config| config["linux"]["seccomp"]["listenerPath"] = json!("@nobody-listens-here"))?;
    container.create()?.fails_with("failed to connect with seccomp agent")?;
    container.nothing_left()
}

/// A profile with SCMP_ACT_NOTIFY needs a listener.
fn notify_without_a_listener() -> Result {
    for path in [Value::Null, json!("")] {
        let mut filter = notifying(&["mkdir"]);
        filter["listenerPath"] = path;
        filtered(["true"], filter).refused("linux.seccomp.listenerPath")?;
    }
    Ok(())
}

/// "If sending to this socket fails, the runtime MUST generate an error."
fn notify_listener_that_is_not_there() -> Result {
    let mut filter = notifying(&["mkdir"]);
    filter["listenerPath"] = json!("/no/such/agent.sock");
    let output = filtered(["true"], filter).refused("linux.seccomp.listenerPath")?;
    output.fails_with("failed to connect with seccomp agent").map(drop)
}

/// SCMP_ACT_NOTIFY for `write` is refused: the runtime needs that call before the agent has the listener.
fn notify_for_write() -> Result {
    let mut filter = notifying(&["mkdir", "write"]);
    filter["listenerPath"] = json!("/no/such/agent.sock");
    let output = filtered(["true"], filter).refused("linux.seccomp.syscalls[0].names[1]")?;
    output.fails_with("SCMP_ACT_NOTIFY cannot be used for the write syscall").map(drop)
}

/// SCMP_ACT_NOTIFY is no default action, for the same reason.
fn notify_as_the_default() -> Result {
    let filter = json!({ "defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/no/such/agent.sock" });
    let output = filtered(["true"], filter).refused("linux.seccomp.defaultAction")?;
    output.fails_with("SCMP_ACT_NOTIFY cannot be used as default action").map(drop)
}

/// "If the SCMP_ACT_NOTIFY action is not used this value is ignored."
fn listener_without_notify() -> Result {
    let mut filter = no_mkdir();
    filter["listenerPath"] = json!("/no/such/agent.sock");
    mkdir(false, filter)?.success()?.has_line("mkdir /new: EPERM").map(drop)
}

/// "This field MUST NOT be set if listenerPath is not set."
fn listener_metadata_without_a_listener() -> Result {
    let mut filter = no_mkdir();
    filter["listenerMetadata"] = json!("for nobody");
    filtered(["true"], filter).refused("linux.seccomp.listenerMetadata").map(drop)
}
