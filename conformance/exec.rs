//! `exec`: another process in a container.

use crate::harness::container::namespace_of;
use crate::harness::*;
use anyhow::ensure;
use std::fs::{self, File};

tests![
    namespaces_are_those_of_create,
    joins_where_init_is_when_the_cgroup_is_delegated,
    a_huge_passwd_is_given_up,
    exit_code_is_the_programs,
    exit_code_of_a_killed_program,
    missing_program_is_255,
    unknown_container,
    stopped_container,
    created_container,
    no_arguments,
    joins_all_namespaces,
    joins_the_cgroups,
    standard_streams_are_the_callers,
    stdin_is_passed_through,
    inherits_the_configured_process,
    env_is_added,
    cwd,
    cwd_that_is_missing,
    user_and_group,
    user_alone_keeps_the_group,
    user_by_name_is_refused,
    additional_groups,
    capability_is_added,
    capability_is_not_made_inheritable,
    capability_where_none_is_configured,
    capabilities_are_the_configured_ones,
    no_new_privileges,
    umask_is_the_configured_one,
    rlimits_are_the_configured_ones,
    oom_score_is_the_configured_one,
    config_is_read_again,
    process_file,
    process_file_from_a_pipe,
    process_file_without_env_gets_home,
    process_file_that_is_broken,
    process_file_is_silent,
    process_file_says_it_all,
    process_file_without_no_new_privileges,
    process_file_with_an_umask,
    process_file_with_an_oom_score,
    oom_score_that_may_not_be_lowered_is_a_warning,
    limit_of_processes_is_named,
    rights_of_what_is_about_to_join,
    detached_writes_the_pid_file,
    detached_failure_writes_no_pid_file,
    pid_file_that_cannot_be_written_is_255,
    descriptors_of_the_caller_are_closed,
    preserve_fds_passes_them,
    preserve_fds_with_holes,
    many_at_once,
    is_seen_in_the_containers_proc,
    ends_with_the_container,
    home_is_set,
    scheduler_and_io_priority,
    scheduler_that_outlives_no_fork,
    affinity_is_the_configured_one,
    lost_bundle,
];

/// In the foreground exec exits with the program's exit code.
fn exit_code_is_the_programs() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    for code in ["0", "1", "42"] {
        equal("exit code", container.exec([], ["exit", code])?.code()?.to_string(), code)?;
    }
    Ok(())
}

/// If a signal killed the program, exec exits with 128 plus the signal's number.
fn exit_code_of_a_killed_program() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    equal("exit code", container.exec([], ["die", "KILL"])?.code()?, 137)?;
    equal("exit code", container.exec([], ["die", "TERM"])?.code()?, 143)
}

/// If exec itself fails, the exit code is 255, and the message contains `exec failed`.
fn missing_program_is_255() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.call(["exec", &container.id, "nosuch"]).output()?;
    equal("exit code", output.code()?, 255)?;
    output.fails_with("exec failed")?.fails_with("executable file not found in $PATH")?;
    equal("status", container.status()?, "running")
}

/// exec in an unknown container is an error.
fn unknown_container() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.exec([], ["true"])?.fails_with("does not exist").map(drop)
}

/// exec in a stopped container is an error: it has no namespaces to join.
fn stopped_container() -> Result {
    let container = Bundle::new(["true"]).start()?;
    container.wait_status("stopped")?;
    let output = container.exec([], ["true"])?;
    output.fails_with("stopped container")?;
    equal("exit code", output.code()?, 255)
}

/// exec works in a container that is created and not started: its namespaces exist.
fn created_container() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let output = container.exec([], ["echo", "inside"])?;
    equal("output", &*output.success()?.stdout, "inside\n")?;
    equal("status", container.status()?, "created")
}

/// exec without a program is an error.
fn no_arguments() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    // No exit status that the program could have had.
    equal("exit code", container.command(["exec"])?.fails_with("exec args cannot be empty")?.code()?, 255)
}

/// The process is in every namespace that the container's first process is in.
fn joins_all_namespaces() -> Result {
    let mut bundle = Bundle::new(["pause"]).namespace("network").namespace("cgroup");
    if has_namespace("time") {
        bundle = bundle.namespace("time");
    }
    let container = bundle.user_namespace(100_000, 1000).start()?;
    let output = container.exec([], ["ns"])?;
    let kinds = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    for kind in kinds.into_iter().filter(|kind| has_namespace(kind)) {
        output.success()?.has_line(&container.namespace(kind)?)?;
    }
    Ok(())
}

/// The process is in every cgroup that the container's first process is in.
fn joins_the_cgroups() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec([], ["cat", "/proc/self/cgroup"])?;
    let init = fs::read_to_string(format!("/proc/{}/cgroup", container.pid()?))?;
    equal("cgroups", output.success()?.stdout.trim_end(), init.trim_end())
}

/// Standard output and standard error of the process are the caller's, and are not mixed.
fn standard_streams_are_the_callers() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec([], ["echo", "to out", ",", "stderr", "to err"])?;
    equal("standard output", &*output.success()?.stdout, "to out\n")?;
    equal("standard error", &*output.stderr, "to err\n")
}

/// The process reads the caller's standard input, up to its end.
fn stdin_is_passed_through() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec_call([], ["stdin"]).stdin("a line\n")?.output()?;
    output.success()?.says("stdin", "a line").map(drop)
}

/// Without options the process has all attributes that config.json has for the container's process.
fn inherits_the_configured_process() -> Result {
    let container = Bundle::new(["pause"])
        .set("/process/env", json!(["PATH=/", "FROM=config"]))
        .set("/process/cwd", "/proc")
        .set("/process/user", json!({ "uid": 11, "gid": 12, "additionalGids": [13, 14] }))
        .start()?;
    let output = container.exec([], ["env", ",", "cwd", ",", "ids"])?;
    output.success()?.has_line("FROM=config")?.says("cwd", "/proc")?;
    output.says("uid", "11")?.says("gid", "12")?.says("groups", "13,14").map(drop)
}

/// `--env` can be repeated. It adds variables and overrides them; commas do not split it.
fn env_is_added() -> Result {
    let container = Bundle::new(["pause"]).set("/process/env", json!(["PATH=/", "A=config", "B=config"])).start()?;
    let output = container.exec(["-e", "A=exec", "-e", "C=x,y=z"], ["env"])?;
    output.success()?.has_line("A=exec")?.has_line("B=config")?.has_line("C=x,y=z")?;
    ensure!(!output.stdout.contains("A=config"), "{output}");
    Ok(())
}

/// `--cwd` sets the working directory.
fn cwd() -> Result {
    let container = Bundle::new(["pause"]).dir("deep/er").start()?;
    container.exec(["--cwd", "/deep/er"], ["cwd"])?.success()?.says("cwd", "/deep/er").map(drop)
}

/// A missing working directory is created for the container's first process only: `--cwd` must exist.
fn cwd_that_is_missing() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec(["--cwd", "/nosuch"], ["true"])?;
    equal("exit code", output.code()?, 255)?;
    output.fails_with("/nosuch").map(drop)
}

/// `--user UID:GID` sets the user and the group.
fn user_and_group() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec(["--user", "1000:1001"], ["ids"])?;
    output.success()?.says("uid", "1000")?.says("euid", "1000")?.says("gid", "1001")?.says("egid", "1001").map(drop)
}

/// `--user UID` keeps the configured group.
fn user_alone_keeps_the_group() -> Result {
    let container = Bundle::new(["pause"]).set("/process/user", json!({ "uid": 5, "gid": 77 })).start()?;
    let output = container.exec(["-u", "1000"], ["ids"])?;
    output.success()?.says("uid", "1000")?.says("gid", "77").map(drop)
}

/// `--user` takes numbers only: the runtime does not look up names in the container's passwd.
fn user_by_name_is_refused() -> Result {
    let container = Bundle::new(["pause"]).file("etc/passwd", "me:x:5:5::/:/\n").start()?;
    container.exec(["--user", "me"], ["true"])?.fails_with("bad uid")?;
    container.exec(["--user", "5:me"], ["true"])?.fails_with("bad gid").map(drop)
}

/// `--additional-gids` can be repeated.
fn additional_groups() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec(["--additional-gids", "100", "--additional-gids", "65534"], ["ids"])?;
    output.success()?.says("groups", "100,65534").map(drop)
}

const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const SYSLOG: u64 = 1 << 34;

/// `--cap` adds a capability to the bounding, effective and permitted sets.
fn capability_is_added() -> Result {
    let container = Bundle::new(["pause"])
        .set("/process/capabilities/bounding", json!(["CAP_CHOWN"]))
        .set("/process/capabilities/effective", json!(["CAP_CHOWN"]))
        .set("/process/capabilities/permitted", json!(["CAP_CHOWN"]))
        .start()?;
    let output = container.exec(["--cap", "CAP_KILL", "--cap", "CAP_SYSLOG"], ["caps"])?;
    for set in ["bounding", "effective", "permitted"] {
        output.success()?.says(set, &format!("{:x}", CHOWN | KILL | SYSLOG))?;
    }
    output.says("ambient", "0").map(drop)
}

/// `--cap` never adds a capability to the inheritable set (CVE-2022-29162).
fn capability_is_not_made_inheritable() -> Result {
    let bounding = json!({ "bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"] });
    let container = Bundle::new(["pause"]).set("/process/capabilities", bounding).start()?;
    container.exec(["--cap", "CAP_KILL"], ["caps"])?.success()?.says("inheritable", "0").map(drop)
}

/// If config.json has no capabilities, `--cap` gives that one and no other.
fn capability_where_none_is_configured() -> Result {
    let container = Bundle::new(["pause"]).remove("/process/capabilities").start()?;
    let output = container.exec(["--cap", "CAP_SYSLOG"], ["caps"])?;
    for set in ["bounding", "effective", "permitted"] {
        output.success()?.says(set, &format!("{SYSLOG:x}"))?;
    }
    output.says("inheritable", "0")?.says("ambient", "0").map(drop)
}

/// Without `--cap` the sets are the configured ones.
fn capabilities_are_the_configured_ones() -> Result {
    let container = Bundle::new(["pause"]).capabilities(&["CAP_CHOWN", "CAP_KILL"]).start()?;
    let output = container.exec([], ["caps"])?;
    for set in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
        output.success()?.says(set, &format!("{:x}", CHOWN | KILL))?;
    }
    Ok(())
}

/// `--no-new-privs` sets no_new_privs, `--no-new-privs=false` clears the configured value; without the option the
/// configured value holds.
fn no_new_privileges() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.exec([], ["nonewprivs"])?.success()?.says("nonewprivs", "0")?;
    container.exec(["--no-new-privs"], ["nonewprivs"])?.success()?.says("nonewprivs", "1")?;
    let container = Bundle::new(["pause"]).set("/process/noNewPrivileges", true).start()?;
    container.exec([], ["nonewprivs"])?.success()?.says("nonewprivs", "1")?;
    container.exec(["--no-new-privs=false"], ["nonewprivs"])?.success()?.says("nonewprivs", "0").map(drop)
}

/// The umask is the configured one, or 0022 by default.
fn umask_is_the_configured_one() -> Result {
    let container = Bundle::new(["pause"]).set("/process/user/umask", 0o77).start()?;
    container.exec([], ["ids"])?.success()?.says("umask", "0077")?;
    let container = Bundle::new(["pause"]).start()?;
    container.exec([], ["ids"])?.success()?.says("umask", "0022").map(drop)
}

/// The resource limits are the configured ones.
fn rlimits_are_the_configured_ones() -> Result {
    let limit = json!([{ "type": "RLIMIT_NOFILE", "soft": 333, "hard": 444 }]);
    let container = Bundle::new(["pause"]).set("/process/rlimits", limit).start()?;
    container.exec([], ["rlimit", "RLIMIT_NOFILE"])?.success()?.says("RLIMIT_NOFILE", "333 444").map(drop)
}

/// The OOM score is the configured one.
fn oom_score_is_the_configured_one() -> Result {
    for view in [View::Machine, View::Unified] {
        let container = Bundle::new(["pause"]).set("/process/oomScoreAdj", 321).view(view).start()?;
        container.exec([], ["cat", "/proc/self/oom_score_adj"])?.success()?.has_line("321")?;
    }
    Ok(())
}

/// exec reads the bundle's config.json again: edited values take effect.
fn config_is_read_again() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    container.edit_config(|config| config["process"]["env"] = json!(["PATH=/", "NEW=yes"]))?;
    container.exec([], ["env"])?.success()?.has_line("NEW=yes").map(drop)
}

const PROCESS: &str = r#"{ "args": ["/payload", "args", ",", "ids", ",", "cwd", ",", "env", ",", "nonewprivs"],
    "cwd": "/proc", "user": { "uid": 21, "gid": 22, "additionalGids": [23] }, "noNewPrivileges": true,
    "env": ["ONLY=this", "HOME=/h"] }"#;

/// `--process FILE` holds the whole process. The other options about the process are ignored.
fn process_file() -> Result {
    let container = Bundle::new(["pause"]).set("/process/env", json!(["FROM=config"])).start()?;
    let file = container.aside("process.json");
    fs::write(&file, PROCESS)?;
    let call = container.call(["exec", "--env", "FROM=option", "--process"]).arg(&file).arg(&container.id);
    check_process(&call.output()?)
}

fn check_process(output: &Output) -> Result {
    output.success()?.says("uid", "21")?.says("gid", "22")?.says("groups", "23")?.says("cwd", "/proc")?;
    output.has_line("ONLY=this")?.has_line("HOME=/h")?.says("nonewprivs", "1")?;
    ensure!(!output.stdout.contains("FROM="), "{output}");
    Ok(())
}

/// FILE may be readable only once, from the start: `/dev/fd/3`.
fn process_file_from_a_pipe() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let (reader, mut writer) = std::io::pipe()?;
    std::io::Write::write_all(&mut writer, PROCESS.as_bytes())?;
    drop(writer);
    let reader = File::from(std::os::fd::OwnedFd::from(reader));
    let call = container.call(["exec", "-p", "/dev/fd/3"]).arg(&container.id).inherit(reader, 3)?;
    check_process(&call.output()?)
}

/// HOME is set from the container's passwd even if FILE has no `env`.
fn process_file_without_env_gets_home() -> Result {
    let container = Bundle::new(["pause"]).file("etc/passwd", "me:x:21:22::/home/me:/sh\n").start()?;
    let file = container.aside("process.json");
    fs::write(&file, r#"{ "args": ["/payload", "env"], "cwd": "/", "user": { "uid": 21, "gid": 22 } }"#)?;
    let output = container.call(["exec", "--process"]).arg(&file).arg(&container.id).output()?;
    output.success()?.has_line("HOME=/home/me").map(drop)
}

/// A FILE that is no JSON, or has no args, is a failure of exec.
fn process_file_that_is_broken() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let file = container.aside("process.json");
    for text in ["{", "[]", r#"{ "args": [], "cwd": "/" }"#, r#"{ "args": ["/payload"], "cwd": "relative" }"#] {
        fs::write(&file, text)?;
        container.call(["exec", "--process"]).arg(&file).arg(&container.id).output()?.failure()?;
    }
    Ok(())
}

/// A container's limits and scheduling; the same fields are used in process files.
const LIMITED: [(&str, &str); 3] = [
    ("/process/scheduler", r#"{ "policy": "SCHED_BATCH", "nice": 5 }"#),
    ("/process/ioPriority", r#"{ "class": "IOPRIO_CLASS_BE", "priority": 6 }"#),
    ("/process/execCPUAffinity", r#"{ "initial": "0", "final": "0" }"#),
];

/// Containers with few capabilities, with none, and with all.
fn containers() -> Result<Vec<Container>> {
    let few = |set: Value| json!({ "bounding": ["CAP_CHOWN", "CAP_KILL"], "effective": set, "permitted": set });
    let mut bundle = Bundle::new(["pause"]).set("/process/user/umask", 0o77).set("/process/oomScoreAdj", 321);
    for (place, value) in LIMITED {
        bundle = bundle.set(place, serde_json::from_str::<Value>(value)?);
    }
    Ok(vec![
        Bundle::new(["pause"]).start()?,
        Bundle::new(["pause"]).remove("/process/capabilities").start()?,
        bundle.set("/process/capabilities", few(json!(["CAP_KILL"]))).start()?,
    ])
}

const FACTS: [&str; 11] = ["caps", ",", "ids", ",", "sched", ",", "ioprio", ",", "affinity", ",", "cat"];

/// The attributes that a process with this description prints of itself. `cat` prints its OOM score.
fn with_file(container: &Container, mut file: Value) -> Result<Output> {
    let mut args = vec!["/payload"];
    args.extend(FACTS);
    args.extend(["/proc/self/oom_score_adj", ",", "nonewprivs"]);
    file["args"] = json!(args);
    file["cwd"] = json!("/");
    file["env"] = json!(["PATH=/"]);
    let path = container.aside("process.json");
    fs::write(&path, file.to_string())?;
    container.call(["exec", "--process"]).arg(&path).arg(&container.id).output()
}

/// For a field that FILE lacks the container's value holds. Above all, no process has a capability that the container
/// lacks.
fn process_file_is_silent() -> Result {
    let containers = containers()?;
    let silent = [
        json!({}),
        json!({ "capabilities": null, "scheduler": null, "ioPriority": null, "oomScoreAdj": null }),
        json!({ "apparmorProfile": "", "selinuxLabel": "", "execCPUAffinity": {}, "user": { "uid": 0, "gid": 0 } }),
    ];
    for (container, own) in containers.iter().zip([true, false, true]) {
        // An exec without FILE takes all fields from config.json; the result must be the same.
        let mut words = FACTS.to_vec();
        words.push("/proc/self/oom_score_adj");
        let wanted = container.call(["exec", &container.id, "/payload"]).args(words).output()?;
        for file in &silent {
            let output = with_file(container, file.clone())?;
            for key in ["bounding", "effective", "permitted", "inheritable", "ambient"] {
                output.success()?.says(key, wanted.success()?.value(key)?)?;
            }
            for key in ["umask", "policy", "nice", "ioprio", "affinity"] {
                output.says(key, wanted.value(key)?)?;
            }
            let score = wanted.stdout.lines().last().unwrap_or_default();
            output.has_line(score)?;
            ensure!(own || output.value("effective")? != "0", "root lacks the container's capabilities: {output}");
        }
    }
    let output = with_file(&containers[2], json!({}))?;
    output.success()?.says("bounding", "21")?.says("umask", "0077")?.says("policy", "3")?.says("nice", "5")?;
    output.says("ioprio", "class=2 priority=6")?.says("affinity", "0")?.has_line("321").map(drop)
}

/// A field that FILE has holds, even if it has more capabilities than the container: the caller asked for them by name.
fn process_file_says_it_all() -> Result {
    let sets = |names: Value| json!({ "bounding": names, "effective": names, "permitted": names });
    for container in containers()? {
        for (names, wanted) in [(json!([]), 0), (json!(["CAP_SYSLOG"]), SYSLOG)] {
            let output = with_file(
                &container,
                json!({ "capabilities": sets(names), "scheduler": { "policy": "SCHED_OTHER", "nice": 7 },
                    "ioPriority": { "class": "IOPRIO_CLASS_IDLE", "priority": 0 }, "execCPUAffinity": { "final": "0" },
                    "noNewPrivileges": true }),
            )?;
            output.success()?.says("bounding", &format!("{wanted:x}"))?.says("effective", &format!("{wanted:x}"))?;
            output.says("policy", "0")?.says("nice", "7")?.says("nonewprivs", "1")?.says("affinity", "0")?;
            ensure!(output.value("ioprio")?.starts_with("class=3"), "{output}");
        }
    }
    Ok(())
}

/// noNewPrivileges restricts the container, so only `false` in FILE clears it.
fn process_file_without_no_new_privileges() -> Result {
    let container = Bundle::new(["pause"]).set("/process/noNewPrivileges", true).start()?;
    with_file(&container, json!({ "noNewPrivileges": false }))?.success()?.says("nonewprivs", "0")?;
    with_file(&container, json!({}))?.success()?.says("nonewprivs", "1").map(drop)
}

/// FILE may have an umask.
fn process_file_with_an_umask() -> Result {
    for container in containers()? {
        let user = json!({ "uid": 0, "gid": 0, "umask": 0o7 });
        with_file(&container, json!({ "user": user }))?.success()?.says("umask", "0007")?;
    }
    Ok(())
}

/// FILE may have an OOM score.
fn process_file_with_an_oom_score() -> Result {
    for container in containers()? {
        with_file(&container, json!({ "oomScoreAdj": 500 }))?.success()?.has_line("500")?;
    }
    Ok(())
}

/// Engines pass on the container's own OOM score. If the caller may not lower the score that far, exec warns and
/// continues.
fn oom_score_that_may_not_be_lowered_is_a_warning() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let path = container.aside("process.json");
    let process = json!({ "args": ["/payload", "echo", "runs"], "cwd": "/", "oomScoreAdj": -7 });
    fs::write(&path, process.to_string())?;
    let call = container.call(["exec", "--process"]).arg(&path).arg(&container.id).after(|| {
        const CAP_SYS_RESOURCE: libc::c_long = 24;
        // SAFETY: prctl(2) takes integers only here.
        match unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_RESOURCE, 0, 0, 0) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    });
    let output = call.output()?;
    output.success()?.has_line("runs")?;
    if runtime::is("tare") {
        contains("warning", &output.stderr, "process.oomScoreAdj")?;
    }
    Ok(())
}

/// If the container's limit of processes is reached, the message names linux.resources.pids.limit.
fn limit_of_processes_is_named() -> Result {
    let container = Bundle::new(["pause"]).set("/linux/resources/pids/limit", 1).start()?;
    names_field(&container.exec([], ["true"])?, "linux.resources.pids.limit")
}

/// A process that joins is visible in the container's pid namespace before it has its final attributes. Another process
/// there that may trace it could use its rights. It has the container's rights and those that it still needs (to set
/// groups and ids, to load a filter), and no more. The seccomp agent is asked about one of its last steps, and reads
/// its rights at that moment.
fn rights_of_what_is_about_to_join() -> Result {
    use std::sync::atomic::{AtomicI32, Ordering};
    use std::sync::{Arc, Mutex};
    const STILL_NEEDED: u64 = 1 << 6 | 1 << 7 | 1 << 21;
    let profile = json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": ["setgroups"], "action": "SCMP_ACT_NOTIFY" }] });
    let bundle = Bundle::new(["pause"]).capabilities(&["CAP_CHOWN", "CAP_KILL"]).set("/linux/seccomp", profile);
    let container = bundle.build()?;
    let (first, seen) = (Arc::new(AtomicI32::new(0)), Arc::new(Mutex::new(Vec::new())));
    let agent = Agent::bind(container.aside("agent"), {
        let (first, seen) = (first.clone(), seen.clone());
        move |_| {
            let first = first.load(Ordering::Relaxed);
            if let (true, Ok(mut seen)) = (first != 0, seen.lock()) {
                seen.extend(neighbours(first).into_iter().map(rights));
            }
            Verdict::Continue
        }
    })?;
    let path = agent.path.display().to_string();
    container.edit_config(|config| config["linux"]["seccomp"]["listenerPath"] = json!(path))?;
    container.create()?.success()?;
    container.start()?;
    first.store(container.pid()?, Ordering::Relaxed);
    container.exec([], ["true"])?.success()?;
    let seen = seen.lock().map_err(|_| anyhow::anyhow!("the agent has panicked"))?;
    ensure!(!seen.is_empty(), "no process that joins was seen");
    for [effective, permitted, bounding] in seen.iter() {
        let more = (effective | permitted) & !(CHOWN | KILL | STILL_NEEDED) | bounding & !(CHOWN | KILL);
        equal("rights that only the host's root has", format!("{more:x}"), "0")?;
    }
    Ok(())
}

/// The other processes of the first process's pid namespace, with the host's pids.
fn neighbours(first: i32) -> Vec<i32> {
    let namespace = |pid: i32| namespace_of(pid, "pid").ok();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| *pid != first && namespace(*pid).is_some_and(|own| Some(own) == namespace(first))).collect()
}

/// The effective, permitted and bounding sets of a process.
fn rights(pid: i32) -> [u64; 3] {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    ["CapEff:", "CapPrm:", "CapBnd:"].map(|key| {
        let set = status.lines().find_map(|line| line.strip_prefix(key));
        set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(u64::MAX)
    })
}

/// `--detach` returns once the program was started. The pid file exists by then.
fn detached_writes_the_pid_file() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let file = container.aside("exec.pid");
    container.exec(["-d", "--pid-file", &file.to_string_lossy()], ["pause"])?.success()?;
    let pid: i32 = fs::read_to_string(&file)?.parse()?;
    equal("pid namespace", namespace_of(pid, "pid")?, container.namespace("pid")?)?;
    ensure!(pid != container.pid()?, "the pid file has the pid of the first process");
    Ok(())
}

/// If exec fails, there is no pid file: conmon takes a missing pid file for a failed exec.
fn detached_failure_writes_no_pid_file() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let file = container.aside("exec.pid");
    let call = container.call(["exec", "-d", "--pid-file"]).arg(&file).arg(&container.id).arg("/nosuch");
    equal("exit code", call.output()?.code()?, 255)?;
    ensure!(!file.exists(), "there is a pid file");
    Ok(())
}

/// If the pid file cannot be written, exec fails with 255, and no process is left.
fn pid_file_that_cannot_be_written_is_255() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec(["-d", "--pid-file", "/nosuchdir/pid"], ["pause"])?;
    equal("exit code", output.code()?, 255)?;
    let processes = || Ok(container.command(["ps", "-f", "json"])?.stdout.matches(',').count() == 0);
    eventually("no process but the first", processes)
}

/// The program gets the descriptors 0, 1 and 2, and none of the caller or the runtime.
fn descriptors_of_the_caller_are_closed() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec_call([], ["fds"]).inherit(File::open("/")?, 7)?.output()?;
    output.success()?.says("fds", "0,1,2").map(drop)
}

/// With `--preserve-fds` the numbers that are not open stay closed, as with `podman exec --preserve-fd=9,40`. Files
/// that the runtime opens under these numbers, such as its log, are not passed to the container.
fn preserve_fds_with_holes() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let log = container.aside("log").display().to_string();
    for (given, wanted) in [(&[9, 40][..], "0,1,2,9,40"), (&[4], "0,1,2,4"), (&[], "0,1,2")] {
        let mut call = container.call(["--log", &log, "exec", "--preserve-fds", "38"]).arg(&container.id).closing_all();
        for number in given {
            call = call.inherit(File::open("/dev/null")?, *number)?;
        }
        call.args(["/payload", "fds"]).output()?.success()?.says("fds", wanted)?;
    }
    Ok(())
}

/// `--preserve-fds N` passes the N descriptors from 3 on.
fn preserve_fds_passes_them() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let file = || File::open("/dev/null");
    let call = container.exec_call(["--preserve-fds", "1"], ["fds"]).inherit(file()?, 3)?.inherit(file()?, 4)?;
    call.output()?.success()?.says("fds", "0,1,2,3").map(drop)
}

/// Several execs at the same time do not disturb each other.
fn many_at_once() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let calls = (0..10).map(|n| container.exec_call([], ["exit", &n.to_string()]).spawn());
    let calls = calls.collect::<Result<Vec<_>>>()?;
    for (n, call) in calls.into_iter().enumerate() {
        equal("exit code", call.wait()?.code()?, n as i32)?;
    }
    Ok(())
}

/// The process has a pid in the container's /proc, and its parent, which is outside, is shown as 0.
fn is_seen_in_the_containers_proc() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let output = container.exec([], ["pids"])?;
    let pid: i32 = output.success()?.value("pid")?.parse()?;
    ensure!((2..100).contains(&pid), "{output}");
    output.says("ppid", "0").map(drop)
}

/// If the first process ends, the kernel kills all other processes of the pid namespace: exec returns 137.
fn ends_with_the_container() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let mut running = container.exec_call([], ["echo", "up", ",", "pause"]).spawn()?;
    eventually("the program", || Ok(running.stdout()?.contains("up")))?;
    container.kill("KILL")?.success()?;
    equal("exit code", running.wait()?.code()?, 137)
}

/// HOME is the home directory of exec's user in the container's passwd, or `/`.
fn home_is_set() -> Result {
    let container = Bundle::new(["pause"]).file("etc/passwd", "r:x:0:0::/root:/\nme:x:5:5::/home/me:/\n").start()?;
    container.exec([], ["env"])?.success()?.has_line("HOME=/root")?;
    container.exec(["--user", "5"], ["env"])?.success()?.has_line("HOME=/home/me")?;
    container.exec(["--user", "6"], ["env"])?.success()?.has_line("HOME=/")?;
    container.exec(["--env", "HOME=/mine"], ["env"])?.success()?.has_line("HOME=/mine").map(drop)
}

/// Scheduler and I/O priority of config.json apply to exec's process, too.
fn scheduler_and_io_priority() -> Result {
    let container = Bundle::new(["pause"])
        .set("/process/scheduler", json!({ "policy": "SCHED_BATCH", "nice": 5 }))
        .set("/process/ioPriority", json!({ "class": "IOPRIO_CLASS_BE", "priority": 6 }))
        .start()?;
    let output = container.exec([], ["sched", ",", "ioprio"])?;
    output.success()?.says("policy", "3")?.says("nice", "5")?.says("ioprio", "class=2 priority=6").map(drop)
}

/// SCHED_DEADLINE, which forbids fork(2), and SCHED_FLAG_RESET_ON_FORK, which a fork clears, are set, too.
fn scheduler_that_outlives_no_fork() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    for (flags, wanted) in [(json!([]), "0"), (json!(["SCHED_FLAG_RESET_ON_FORK"]), "1")] {
        let scheduler = json!({ "policy": "SCHED_DEADLINE", "flags": flags, "runtime": 42_000, "deadline": 1_000_000,
            "period": 1_000_000 });
        let process = json!({ "args": ["/payload", "sched"], "cwd": "/", "user": { "uid": 0, "gid": 0 },
            "scheduler": scheduler });
        let file = container.aside("process.json");
        fs::write(&file, process.to_string())?;
        let output = container.call(["exec", "--process"]).arg(&file).arg(&container.id).output()?;
        output.success()?.says("policy", "6")?.says("flags", wanted)?;
    }
    Ok(())
}

/// `execCPUAffinity.final` applies to exec's program, and not to the first process.
fn affinity_is_the_configured_one() -> Result {
    let affinity = json!({ "initial": "0", "final": "0" });
    let container = Bundle::new(["affinity", ",", "pause"]).set("/process/execCPUAffinity", affinity).start()?;
    container.exec([], ["affinity"])?.success()?.says("affinity", "0")?;
    let all = container.exec([], ["cat", "/proc/1/status"])?;
    if std::thread::available_parallelism()?.get() == 1 {
        return skip("this machine has one CPU");
    }
    ensure!(!all.success()?.stdout.contains("Cpus_allowed_list:\t0\n"), "the first process is limited to CPU 0: {all}");
    Ok(())
}

/// Without config.json exec cannot know the process and fails. `--process` does not need config.json.
fn lost_bundle() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    fs::remove_file(container.bundle().join("config.json"))?;
    container.exec([], ["true"])?.failure()?;
    let file = container.aside("process.json");
    fs::write(&file, PROCESS)?;
    check_process(&container.call(["exec", "-p"]).arg(&file).arg(&container.id).output()?)
}

/// exec joins the container's namespaces, whatever the bundle's config.json lists by now.
fn namespaces_are_those_of_create() -> Result {
    let container = Bundle::new(["pause"]).user_namespace(100_000, 1000).start()?;
    container.edit_config(|config| {
        config["linux"]["namespaces"] = serde_json::json!([]);
        for key in ["uidMappings", "gidMappings"] {
            config["linux"].as_object_mut().map(|linux| linux.remove(key));
        }
        config.as_object_mut().map(|config| config.remove("hostname"));
    })?;
    let output = container.exec([], ["cat", "/proc/self/uid_map"])?;
    contains("map", &output.success()?.stdout, "100000")
}

/// With a delegated cgroup the container's own cgroup has no processes: exec joins the cgroup of init.
fn joins_where_init_is_when_the_cgroup_is_delegated() -> Result {
    let container = Bundle::new(["pause"]).view(View::Unified).start()?;
    let pid = container.pid()?;
    let seen = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = seen.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let own = std::path::Path::new("/sys/fs/cgroup/unified").join(path);
    if !own.is_dir() {
        return skip("the v2 hierarchy is not at /sys/fs/cgroup/unified");
    }
    if !std::fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers")?.contains("hugetlb") {
        return skip("hugetlb is not in the v2 hierarchy");
    }
    std::fs::create_dir(own.join("init"))?;
    std::fs::write(own.join("init/cgroup.procs"), pid.to_string())?;
    std::fs::write(own.join("cgroup.subtree_control"), "+hugetlb")?;
    container.exec([], ["true"])?.success().map(drop)
}

/// The container's /etc/passwd may have any size: the search for HOME in it ends.
fn a_huge_passwd_is_given_up() -> Result {
    let container = Bundle::new(["pause"]).file("/etc/passwd", "").start()?;
    let file = std::fs::File::options().write(true).open(container.rootfs().join("etc/passwd"))?;
    file.set_len(1 << 40)?;
    let start = std::time::Instant::now();
    container.edit_config(|config| {
        config["process"].as_object_mut().map(|process| process.remove("env"));
    })?;
    container.exec([], ["/payload", "true"])?.code()?;
    anyhow::ensure!(start.elapsed() < std::time::Duration::from_secs(5), "exec took {:?}", start.elapsed());
    Ok(())
}
