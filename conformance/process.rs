//! `process`: the attributes of the container's first process.

use crate::harness::*;
use anyhow::{Context, ensure};
use nix::sys::signal::{SigHandler, Signal};

tests![
    args_are_passed_as_they_are,
    env_is_exactly_the_configured_one,
    env_last_duplicate_wins,
    env_absent,
    env_without_equals_sign,
    home_comes_from_passwd,
    home_from_a_passwd_that_only_root_may_read,
    home_of_an_unknown_user_is_the_root,
    home_configured_is_kept,
    home_empty_is_replaced,
    cwd,
    cwd_that_is_missing_is_made,
    cwd_that_only_the_user_may_enter,
    cwd_that_only_the_runtime_may_enter,
    cwd_that_is_a_file,
    user_and_group,
    additional_groups,
    no_additional_groups_by_default,
    umask_default,
    umask_configured,
    user_absent_is_root,
    capability_sets_that_are_empty,
    capability_sets_are_exactly_the_configured_ones,
    capabilities_of_an_ordinary_user_are_lost,
    ambient_capabilities_of_an_ordinary_user_stay,
    ambient_capability_that_is_not_inheritable_is_a_warning,
    capability_that_another_set_lacks_is_a_warning,
    unknown_capability_is_a_warning,
    rlimits,
    rlimit_infinity,
    rlimit_twice,
    rlimit_unknown,
    rlimit_soft_above_hard,
    oom_score,
    oom_score_out_of_range,
    no_new_privileges,
    new_privileges_by_default,
    scheduler_batch_and_nice,
    scheduler_idle,
    scheduler_without_policy,
    scheduler_nice_out_of_range,
    scheduler_nice_with_another_policy,
    scheduler_unknown_policy,
    io_priority,
    io_priority_of_class_idle,
    io_priority_unknown_class,
    io_priority_out_of_range,
    personality_of_32_bits,
    personality_unknown,
    is_pid_one_and_leads_a_session,
    signals_are_neither_blocked_nor_ignored,
    ignored_signals_of_the_caller_are_reset,
    has_no_parent_in_the_container,
    all_cpus_are_allowed,
    init_is_not_for_its_user_to_look_into,
    affinity_that_cannot_be_undone_is_a_warning,
    groups_where_setgroups_is_denied,
    program_where_memfds_are_not_executable,
    terminal_without_socket_is_refused,
    apparmor_where_there_is_none,
    selinux_where_there_is_none,
    memory_policy,
    umask_that_is_none,
];

/// `args` reach the program one by one and unchanged.
fn args_are_passed_as_they_are() -> Result {
    let odd = ["/payload", "args", "", " ", "a b", "$HOME", "*", "é", "--", "\"q\""];
    let output = Bundle::new([]).set("/process/args", json!(odd)).run()?;
    output.success()?.says("args", &format!("{odd:?}")).map(drop)
}

/// The environment MUST be `process.env`, without variables of the caller. Runtimes add only HOME.
fn env_is_exactly_the_configured_one() -> Result {
    let env = json!(["PATH=/", "HOME=/h", "EMPTY=", "X=a=b", "SP= a b "]);
    let container = Bundle::new(["env"]).set("/process/env", env).build()?;
    let output = container.launch(["run"]).env("SECRET", "of the caller").output()?;
    let mut seen: Vec<&str> = output.success()?.stdout.lines().collect();
    seen.sort_unstable();
    equal("environment", seen, ["EMPTY=", "HOME=/h", "PATH=/", "SP= a b ", "X=a=b"])
}

/// Of two values for one name the last one counts.
fn env_last_duplicate_wins() -> Result {
    let output = Bundle::new(["env"]).set("/process/env", json!(["A=1", "B=2", "A=3"])).run()?;
    output.success()?.has_line("A=3")?;
    equal("values for A", output.stdout.matches("A=").count(), 1)
}

/// `env` is optional.
fn env_absent() -> Result {
    let output = Bundle::new(["env"]).remove("/process/env").run()?;
    equal("environment", &*output.success()?.stdout, "HOME=/\n")
}

/// An entry without `=` is an error.
fn env_without_equals_sign() -> Result {
    Bundle::new(["true"]).set("/process/env", json!(["A=1", "WRONG"])).refused("process.env").map(drop)
}

/// If HOME is missing, it is taken from the container's passwd by the uid.
fn home_comes_from_passwd() -> Result {
    let passwd = "root:x:0:0:root:/root:/bin/sh\nme:x:33:33::/home/me:/bin/sh\n";
    let output = Bundle::new(["env"]).file("etc/passwd", passwd).set("/process/user/uid", 33).run()?;
    output.success()?.has_line("HOME=/home/me").map(drop)
}

/// Without an entry for the uid HOME is `/`.
fn home_of_an_unknown_user_is_the_root() -> Result {
    let output = Bundle::new(["env"]).file("etc/passwd", "a:x:1:1::/a:/\n").set("/process/user/uid", 99).run()?;
    output.success()?.has_line("HOME=/").map(drop)
}

/// A configured HOME is kept.
fn home_configured_is_kept() -> Result {
    let bundle = Bundle::new(["env"]).file("etc/passwd", "root:x:0:0::/root:/\n");
    bundle.set("/process/env", json!(["HOME=/mine"])).run()?.success()?.has_line("HOME=/mine").map(drop)
}

/// HOME is looked up before the process changes its uid: in hardened images only root may read the passwd.
fn home_from_a_passwd_that_only_root_may_read() -> Result {
    let passwd = "me:x:1000:1000::/home/me:/sh\n";
    let bundle = Bundle::new(["env", ",", "pause"]).file_with_mode("etc/passwd", passwd, 0o600);
    let container = bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 })).start()?;
    container.wait_output("HOME=/home/me")?;
    container.exec([], ["env"])?.success()?.has_line("HOME=/home/me").map(drop)
}

/// An empty HOME counts as missing.
fn home_empty_is_replaced() -> Result {
    let bundle = Bundle::new(["env"]).file("etc/passwd", "root:x:0:0::/root:/\n");
    bundle.set("/process/env", json!(["HOME="])).run()?.success()?.has_line("HOME=/root").map(drop)
}

/// `cwd` MUST be the program's working directory.
fn cwd() -> Result {
    let output = Bundle::new(["cwd"]).dir("a/b").set("/process/cwd", "/a/b").run()?;
    output.success()?.says("cwd", "/a/b").map(drop)
}

/// A missing `cwd` is made: images with only a WORKDIR need that.
fn cwd_that_is_missing_is_made() -> Result {
    let output = Bundle::new(["cwd"]).set("/process/cwd", "/made/for/you").run()?;
    output.success()?.says("cwd", "/made/for/you").map(drop)
}

/// `cwd` is entered with the program's own rights if root without capabilities may not enter it.
fn cwd_that_only_the_user_may_enter() -> Result {
    let container = Bundle::new(["cwd"]).dir("home").set("/process/cwd", "/home");
    let container = container.set("/process/user", json!({ "uid": 1234, "gid": 1234 })).build()?;
    let home = container.rootfs().join("home");
    std::os::unix::fs::chown(&home, Some(1234), Some(1234))?;
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    container.run()?.success()?.says("cwd", "/home").map(drop)
}

/// `cwd` is entered with the runtime's rights if the program's own do not suffice. The same holds for `exec`.
fn cwd_that_only_the_runtime_may_enter() -> Result {
    let bundle = Bundle::new(["cwd", ",", "pause"]).dir("home").set("/process/cwd", "/home");
    let container = bundle.capabilities(&[]).set("/process/user", json!({ "uid": 1234, "gid": 1234 })).build()?;
    std::fs::set_permissions(container.rootfs().join("home"), std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    container.create()?.success()?;
    container.start()?;
    container.wait_output("cwd: /home")?;
    container.exec(["--user", "4321"], ["cwd"])?.success()?.says("cwd", "/home").map(drop)
}

/// A `cwd` that is no directory is an error.
fn cwd_that_is_a_file() -> Result {
    let output = Bundle::new(["true"]).file("file", "x").set("/process/cwd", "/file").refused("process.cwd")?;
    contains("message", &output.stderr, "not a directory")
}

/// All uids and gids of the process MUST be `user.uid` and `user.gid`.
fn user_and_group() -> Result {
    let output = Bundle::new(["ids"]).set("/process/user", json!({ "uid": 1000, "gid": 2000 })).run()?;
    output.success()?.says("uid", "1000")?.says("euid", "1000")?.says("gid", "2000")?.says("egid", "2000").map(drop)
}

/// The schema requires neither `user` nor an id in it: a missing id is 0.
fn user_absent_is_root() -> Result {
    let ids = |bundle: Bundle| -> Result { bundle.run()?.success()?.says("uid", "0")?.says("gid", "0").map(drop) };
    ids(Bundle::new(["ids"]).remove("/process/user"))?;
    ids(Bundle::new(["ids"]).set("/process/user", json!({ "additionalGids": [7] })))
}

/// `user.additionalGids` MUST be the process's supplementary groups.
fn additional_groups() -> Result {
    let user = json!({ "uid": 1000, "gid": 2000, "additionalGids": [10, 3000, 65534] });
    Bundle::new(["ids"]).set("/process/user", user).run()?.success()?.says("groups", "10,3000,65534").map(drop)
}

/// Without `user.additionalGids` the process has no supplementary groups: it does not inherit the caller's.
fn no_additional_groups_by_default() -> Result {
    let output = Bundle::new(["ids"]).set("/process/user", json!({ "uid": 1000, "gid": 2000 })).run()?;
    let groups = output.success()?.value("groups")?;
    ensure!(groups.is_empty() || groups == "2000", "{output}");
    Ok(())
}

/// Without `user.umask` the umask is 0022, whatever the caller's umask is.
fn umask_default() -> Result {
    Bundle::new(["ids"]).run()?.success()?.says("umask", "0022").map(drop)
}

/// `user.umask` sets the umask.
fn umask_configured() -> Result {
    Bundle::new(["ids"]).set("/process/user/umask", 0o27).run()?.success()?.says("umask", "0027").map(drop)
}

const SETS: [&str; 5] = ["bounding", "effective", "permitted", "inheritable", "ambient"];

/// A set without names is empty, although the process is root.
fn capability_sets_that_are_empty() -> Result {
    let output = Bundle::new(["caps"]).set("/process/capabilities", json!({})).run()?;
    SETS.iter().try_for_each(|set| output.success()?.says(set, "0").map(drop))
}

/// Each of the five sets MUST be exactly the one that its member lists.
fn capability_sets_are_exactly_the_configured_ones() -> Result {
    let sets = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID", "CAP_NET_RAW"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"],
        "effective": ["CAP_KILL"],
        "inheritable": ["CAP_CHOWN", "CAP_SETUID"],
        "ambient": ["CAP_CHOWN"],
    });
    // As an ordinary user: execve(2) of root would raise the effective set to the permitted one.
    let output = Bundle::new(["caps"]).set("/process/capabilities", sets).set("/process/user/uid", 1000).run()?;
    output.success()?.says("bounding", "20a1")?.says("inheritable", "81")?.says("ambient", "1")?;
    // execve(2) of an ordinary user keeps the ambient set only.
    output.says("permitted", "1")?.says("effective", "1").map(drop)
}

/// An ordinary user's execve(2) drops capabilities that are not ambient.
fn capabilities_of_an_ordinary_user_are_lost() -> Result {
    let caps = json!({ "bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"] });
    let output = Bundle::new(["caps"]).set("/process/capabilities", caps).set("/process/user/uid", 1000).run()?;
    output.success()?.says("effective", "0")?.says("permitted", "0")?.says("bounding", "1").map(drop)
}

/// Ambient capabilities survive execve(2), and work.
fn ambient_capabilities_of_an_ordinary_user_stay() -> Result {
    let output = Bundle::new(["caps", ",", "cat", "/secret"])
        .file_with_mode("secret", "seen", 0o600)
        .capabilities(&["CAP_DAC_OVERRIDE"])
        .set("/process/user/uid", 1000)
        .run()?;
    output.success()?.says("ambient", "2")?.says("effective", "2")?.has_line("seen").map(drop)
}

/// A capability that one set lists, and cannot have because another set lacks it, is a warning: config.md, "MUST be
/// logged".
fn capability_that_another_set_lacks_is_a_warning() -> Result {
    let both = json!(["CAP_KILL", "CAP_CHOWN"]);
    let one = json!(["CAP_KILL"]);
    for sets in [
        json!({ "bounding": both, "permitted": one, "effective": both }),
        json!({ "bounding": one, "permitted": both, "effective": one, "inheritable": both }),
    ] {
        let output = Bundle::new(["caps"]).set("/process/capabilities", sets).run()?;
        output.success()?;
        contains("warning", &output.stderr, "CAP_CHOWN")?;
        ensure!(!output.stderr.contains("CAP_KILL"), "{output}");
    }
    Ok(())
}

/// An ambient capability that the inheritable set lacks cannot be set. Engines match the words of the warning.
fn ambient_capability_that_is_not_inheritable_is_a_warning() -> Result {
    let caps = ["CAP_KILL", "CAP_CHOWN"];
    let bundle = Bundle::new(["caps"]).capabilities(&caps);
    let output = bundle.set("/process/capabilities/inheritable", json!(["CAP_KILL"])).run()?;
    output.success()?.says("ambient", "20")?;
    contains("warning", &output.stderr, "can't raise ambient capability CAP_CHOWN: ")
}

/// A capability that cannot be granted is a warning and MUST NOT make the container fail (since 1.1).
fn unknown_capability_is_a_warning() -> Result {
    let output = Bundle::new(["caps"]).capabilities(&["CAP_KILL", "CAP_NOSUCH"]).run()?;
    output.success()?.says("effective", "20")?;
    contains("warning", &output.stderr, "CAP_NOSUCH")
}

/// Each of `rlimits` MUST be set, with its soft and its hard limit.
fn rlimits() -> Result {
    let limits = json!([
        { "type": "RLIMIT_NOFILE", "soft": 512, "hard": 1000 },
        { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
        { "type": "RLIMIT_NPROC", "soft": 100, "hard": 200 },
        { "type": "RLIMIT_STACK", "soft": 4194304, "hard": 8388608 },
        { "type": "RLIMIT_SIGPENDING", "soft": 7, "hard": 8 },
    ]);
    let kinds = ["RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_NPROC", "RLIMIT_STACK", "RLIMIT_SIGPENDING"];
    let [a, b, c, d, e] = kinds;
    let words = ["rlimit", a, ",", "rlimit", b, ",", "rlimit", c, ",", "rlimit", d, ",", "rlimit", e];
    let output = Bundle::new(words).set("/process/rlimits", limits).run()?;
    output.success()?.says(a, "512 1000")?.says(b, "0 0")?.says(c, "100 200")?;
    output.says(d, "4194304 8388608")?.says(e, "7 8").map(drop)
}

/// The largest number means unlimited.
fn rlimit_infinity() -> Result {
    let limits = json!([{ "type": "RLIMIT_FSIZE", "soft": 1_000_000, "hard": u64::MAX }]);
    let output = Bundle::new(["rlimit", "RLIMIT_FSIZE"]).set("/process/rlimits", limits).run()?;
    output.success()?.says("RLIMIT_FSIZE", &format!("1000000 {}", u64::MAX)).map(drop)
}

/// Two entries of one type MUST be an error.
fn rlimit_twice() -> Result {
    let limit = json!({ "type": "RLIMIT_CORE", "soft": 0, "hard": 0 });
    Bundle::new(["true"]).set("/process/rlimits", json!([limit, limit])).refused("process.rlimits").map(drop)
}

/// A type that cannot be mapped to the kernel's MUST be an error.
fn rlimit_unknown() -> Result {
    let limits = json!([{ "type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1 }]);
    Bundle::new(["true"]).set("/process/rlimits", limits).refused("process.rlimits").map(drop)
}

/// A soft limit above the hard one is refused, as the kernel does.
fn rlimit_soft_above_hard() -> Result {
    let limits = json!([{ "type": "RLIMIT_NOFILE", "soft": 200, "hard": 100 }]);
    Bundle::new(["true"]).set("/process/rlimits", limits).refused("process.rlimits").map(drop)
}

/// `oomScoreAdj` MUST be set.
fn oom_score() -> Result {
    for score in [1000, 100, 0] {
        let output = Bundle::new(["cat", "/proc/self/oom_score_adj"]).set("/process/oomScoreAdj", score).run()?;
        output.success()?.has_line(&score.to_string())?;
    }
    Ok(())
}

/// Scores are between -1000 and 1000.
fn oom_score_out_of_range() -> Result {
    Bundle::new(["true"]).set("/process/oomScoreAdj", 1001).refused("process.oomScoreAdj").map(drop)
}

/// `noNewPrivileges` MUST keep the process from gaining privileges.
fn no_new_privileges() -> Result {
    let output = Bundle::new(["nonewprivs"]).set("/process/noNewPrivileges", true).run()?;
    output.success()?.says("nonewprivs", "1").map(drop)
}

/// Without `noNewPrivileges` no_new_privs is not set.
fn new_privileges_by_default() -> Result {
    Bundle::new(["nonewprivs"]).run()?.success()?.says("nonewprivs", "0").map(drop)
}

/// `scheduler` sets the policy and the nice value.
fn scheduler_batch_and_nice() -> Result {
    let output =
        Bundle::new(["sched"]).set("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 7 })).run()?;
    output.success()?.says("policy", "3")?.says("nice", "7").map(drop)
}

/// The policy SCHED_IDLE.
fn scheduler_idle() -> Result {
    let output = Bundle::new(["sched"]).set("/process/scheduler", json!({ "policy": "SCHED_IDLE" })).run()?;
    output.success()?.says("policy", "5").map(drop)
}

/// A scheduler without its required policy is an error.
fn scheduler_without_policy() -> Result {
    Bundle::new(["true"]).set("/process/scheduler", json!({ "nice": 3 })).refused("process.scheduler").map(drop)
}

/// A nice value with a policy that has none is left to the kernel, which ignores it.
fn scheduler_nice_with_another_policy() -> Result {
    let scheduler = json!({ "policy": "SCHED_IDLE", "nice": 5 });
    Bundle::new(["sched"]).set("/process/scheduler", scheduler).run()?.success()?.says("policy", "5").map(drop)
}

/// A nice value out of range is refused, and so is a priority with a policy that is not a real-time one.
fn scheduler_nice_out_of_range() -> Result {
    let wrong = json!({ "policy": "SCHED_BATCH", "priority": 10 });
    Bundle::new(["true"]).set("/process/scheduler", wrong).refused("process.scheduler")?;
    let wrong = json!({ "policy": "SCHED_OTHER", "nice": 40 });
    Bundle::new(["true"]).set("/process/scheduler", wrong).refused("process.scheduler").map(drop)
}

/// A policy that does not exist is an error.
fn scheduler_unknown_policy() -> Result {
    let wrong = json!({ "policy": "SCHED_NOSUCH" });
    Bundle::new(["true"]).set("/process/scheduler", wrong).refused("process.scheduler").map(drop)
}

/// `ioPriority` sets the class and the level.
fn io_priority() -> Result {
    let wanted = json!({ "class": "IOPRIO_CLASS_BE", "priority": 3 });
    Bundle::new(["ioprio"])
        .set("/process/ioPriority", wanted)
        .run()?
        .success()?
        .says("ioprio", "class=2 priority=3")?;
    Ok(())
}

/// `ioPriority` may have the idle class.
fn io_priority_of_class_idle() -> Result {
    let wanted = json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 0 });
    contains("ioprio", Bundle::new(["ioprio"]).set("/process/ioPriority", wanted).run()?.value("ioprio")?, "class=3")
}

/// A class that does not exist is an error.
fn io_priority_unknown_class() -> Result {
    let wrong = json!({ "class": "IOPRIO_CLASS_NOSUCH", "priority": 0 });
    Bundle::new(["true"]).set("/process/ioPriority", wrong).refused("process.ioPriority").map(drop)
}

/// Levels are between 0 and 7.
fn io_priority_out_of_range() -> Result {
    let wrong = json!({ "class": "IOPRIO_CLASS_BE", "priority": 8 });
    Bundle::new(["true"]).set("/process/ioPriority", wrong).refused("process.ioPriority").map(drop)
}

/// With `linux.personality` LINUX32, uname(2) reports a 32-bit machine.
fn personality_of_32_bits() -> Result {
    let output =
        Bundle::new(["personality", ",", "uts"]).set("/linux/personality", json!({ "domain": "LINUX32" })).run()?;
    output.success()?.says("personality", "8")?;
    if std::fs::read_to_string("/proc/cpuinfo")?.contains("User Mode Linux") {
        return skip("user-mode Linux has no 32-bit personality");
    }
    if cfg!(target_arch = "x86_64") {
        output.says("machine", "i686")?;
    }
    Ok(())
}

/// A domain that does not exist is an error.
fn personality_unknown() -> Result {
    let wrong = json!({ "domain": "LINUX128" });
    Bundle::new(["true"]).set("/linux/personality", wrong).refused("linux.personality").map(drop)
}

/// In a new pid namespace the program is pid 1 and the leader of a new session.
fn is_pid_one_and_leads_a_session() -> Result {
    Bundle::new(["pids"]).run()?.success()?.says("pid", "1")?.says("sid", "1").map(drop)
}

fn signal_sets(output: &Output) -> Result<(u64, u64)> {
    let read = |name: &str| -> Result<u64> {
        let line = output.stdout.lines().find_map(|line| line.strip_prefix(name)).context("a line of status")?;
        Ok(u64::from_str_radix(line.trim(), 16)?)
    };
    // Rust's start-up code ignores SIGPIPE; the C library keeps the signals 32 and 33 for itself.
    let visible = !(1 << 12 | 3 << 31);
    Ok((read("SigBlk:")?, read("SigIgn:")? & visible))
}

/// The program starts with no signal blocked or ignored.
fn signals_are_neither_blocked_nor_ignored() -> Result {
    let all = Signal::iterator().filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP));
    signals_are_reset(all, SigHandler::SigDfl)
}

/// The same if the caller ignores some signals, as nohup does.
fn ignored_signals_of_the_caller_are_reset() -> Result {
    signals_are_reset([Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGTERM], SigHandler::SigIgn)
}

fn signals_are_reset(signals: impl IntoIterator<Item = Signal>, before: SigHandler) -> Result {
    let container = Bundle::new(["cat", "/proc/self/status"]).build()?;
    let output =
        signals.into_iter().fold(container.launch(["run"]), |call, signal| call.taking(signal, before)).output()?;
    equal("blocked and ignored signals", signal_sets(output.success()?)?, (0, 0))
}

/// No process of the runtime is visible in the container: pid 1 has no parent, and there is no other process.
fn has_no_parent_in_the_container() -> Result {
    let output = Bundle::new(["pids", ",", "ls", "/proc"]).run()?;
    let pids = output.success()?.value("ls /proc")?.split(' ').filter(|name| name.parse::<u32>().is_ok()).count();
    equal("processes", pids, 1)?;
    output.says("ppid", "0").map(drop)
}

/// The container may use all CPUs, even if the runtime itself is pinned to some.
fn all_cpus_are_allowed() -> Result {
    let container = Bundle::new(["affinity"]).build()?;
    let all = std::thread::available_parallelism()?.get();
    let output = container.run()?;
    equal("CPUs", output.success()?.value("affinity")?.split(',').count(), all)
}

/// `terminal` without a receiver for the terminal is an error of create.
fn terminal_without_socket_is_refused() -> Result {
    Bundle::new(["true"]).set("/process/terminal", true).refused("process.terminal").map(drop)
}

/// An AppArmor profile is an error if the kernel lacks AppArmor.
fn apparmor_where_there_is_none() -> Result {
    if std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        return skip("AppArmor is active on this machine");
    }
    Bundle::new(["true"]).set("/process/apparmorProfile", "some").refused("process.apparmorProfile").map(drop)
}

/// An SELinux label is an error if the kernel lacks SELinux.
fn selinux_where_there_is_none() -> Result {
    if std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        return skip("SELinux is active on this machine");
    }
    let label = "system_u:system_r:container_t:s0";
    Bundle::new(["true"]).set("/process/selinuxLabel", label).refused("process.selinuxLabel").map(drop)
}

/// `linux.memoryPolicy` is applied (specification 1.3).
fn memory_policy() -> Result {
    let policy = json!({ "mode": "MPOL_BIND", "nodes": "0" });
    if !std::path::Path::new("/proc/self/numa_maps").exists() {
        return skip("the kernel has no NUMA");
    }
    let output = Bundle::new(["cat", "/proc/self/numa_maps"]).set("/linux/memoryPolicy", policy).run()?;
    contains("policy of the memory", &output.success()?.stdout, "bind")
}

/// A config without an affinity resets only the inherited one. If a sandbox forbids that, the container runs with a
/// warning.
fn affinity_that_cannot_be_undone_is_a_warning() -> Result {
    use nix::errno::Errno;
    for errno in [Errno::ENOSYS, Errno::EPERM] {
        let container = Bundle::new(["echo", "runs", ",", "pause"]).build()?;
        let denied = |call: Call| call.denying(libc::SYS_sched_setaffinity, None, errno).output();
        denied(container.launch(["create"]))?.success()?;
        container.start()?;
        container.wait_output("runs")?;
        denied(container.exec_call([], ["echo", "runs"]))?.success()?.has_line("runs")?;
    }
    Ok(())
}

/// If the runtime's user namespace denies setgroups(2), supplementary groups are left out.
fn groups_where_setgroups_is_denied() -> Result {
    let bundle = Bundle::new(["ids"]).remove("/linux/resources").set("/process/user/additionalGids", json!([0]));
    let container =
        bundle.namespace("user").set("/linux/uidMappings", one()).set("/linux/gidMappings", one()).build()?;
    for user_namespace in [true, false] {
        container.edit_config(|config| {
            let linux = config["linux"].as_object_mut();
            linux.into_iter().for_each(|linux| drop(linux.remove("cgroupsPath")));
            if !user_namespace {
                let kinds = ["pid", "mount", "ipc", "uts"].map(|kind| json!({ "type": kind }));
                config["linux"] = json!({ "namespaces": kinds });
            }
        })?;
        let enter = || Ok(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?);
        container.launch(["run"]).by_root_elsewhere().after(enter).output()?.success()?.says("uid", "0")?;
    }
    Ok(())
}

fn one() -> Value {
    json!([{ "containerID": 0, "hostID": 0, "size": 1 }])
}

/// `vm.memfd_noexec=2` forbids to execute memfds in its pid namespace. Containers start all the same.
fn program_where_memfds_are_not_executable() -> Result {
    if !std::path::Path::new("/proc/sys/vm/memfd_noexec").exists() {
        return skip("this kernel has no vm.memfd_noexec");
    }
    let container = Bundle::new(["readlink", "/proc/self/exe"]).build()?;
    let script = "echo 2 > /proc/sys/vm/memfd_noexec && exec \"$@\"";
    let words = ["--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh"];
    let call = Call::of(std::path::Path::new("unshare"), words).arg(&runtime::get().path).arg("--root");
    let call = call.arg(container.state_root()).args(["run", "--bundle"]).arg(container.bundle()).arg(&container.id);
    call.output()?.success()?.has_line("/payload").map(drop)
}

/// init, while it waits for `start`, has the user's uid already, and descriptors of the runtime. Another process of
/// that user must not look into it, whatever `fs.suid_dumpable` is. The /proc files of a process that is not dumpable
/// belong to root.
fn init_is_not_for_its_user_to_look_into() -> Result {
    use std::os::unix::fs::MetadataExt;
    let container = Bundle::new(["pause"]).set("/process/user", json!({ "uid": 1000, "gid": 1000 })).create()?;
    let environ = || -> Result<u32> { Ok(std::fs::metadata(format!("/proc/{}/environ", container.pid()?))?.uid()) };
    equal("owner before start", environ()?, 0)?;
    container.start()?;
    eventually("the program itself, which is its user's", || Ok(environ()? == 1000))
}

/// A umask with other bits is refused: the kernel would drop them.
fn umask_that_is_none() -> Result {
    Bundle::new(["true"]).set("/process/user/umask", 0o1022).refused_by_tare("process.user.umask")
}
