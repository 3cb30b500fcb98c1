//! `linux.seccomp`: the filter acts in the container, in its processes and in those that join.

use crate::harness::*;
use serde_json::{Value, json};

tests![
    errno_with_new_privileges,
    errno_without_new_privileges,
    errno_of_the_rule,
    kill_process,
    argument_decides,
    unknown_names_are_skipped,
    what_is_not_named_has_the_default_action,
    exec_has_the_same_filter,
    filter_of_an_ordinary_user,
    action_that_does_not_exist,
    argument_index_out_of_range,
    notify_is_refused_by_name,
];

/// A profile that allows all but these rules.
fn profile(rules: Value) -> Value {
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules })
}

fn no_mkdir() -> Value {
    profile(json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]))
}

fn mkdir(new_privileges: bool, filter: Value) -> Result<Output> {
    Bundle::new(["mkdir", "/new"]).set("/process/noNewPrivileges", !new_privileges).set("/linux/seccomp", filter).run()
}

/// Loaded while the privileges for it are there: the runtime has to get through with the rest.
fn errno_with_new_privileges() -> Result {
    mkdir(true, no_mkdir())?.success()?.has_line("mkdir /new: EPERM").map(drop)
}

/// With no_new_privs it is loaded last.
fn errno_without_new_privileges() -> Result {
    mkdir(false, no_mkdir())?.success()?.has_line("mkdir /new: EPERM").map(drop)
}

/// `errnoRet` is what the call answers.
fn errno_of_the_rule() -> Result {
    let rule = json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13 }]);
    mkdir(false, profile(rule))?.success()?.has_line("mkdir /new: EACCES").map(drop)
}

/// `SCMP_ACT_KILL_PROCESS` ends the process with SIGSYS.
fn kill_process() -> Result {
    let rule = json!([{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" }]);
    equal("status", mkdir(false, profile(rule))?.code()?, 128 + libc::SIGSYS)
}

/// A rule with a condition decides only the calls that meet it.
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

/// A profile may be newer than the runtime.
fn unknown_names_are_skipped() -> Result {
    let rule = json!([{ "names": ["no_such_call", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }]);
    mkdir(false, profile(rule))?.success()?.has_line("mkdir /new: EPERM").map(drop)
}

/// `defaultAction` is for all that no rule names; with `LOG` everything works.
fn what_is_not_named_has_the_default_action() -> Result {
    let filter = json!({ "defaultAction": "SCMP_ACT_LOG", "architectures": ["SCMP_ARCH_X86_64"] });
    mkdir(false, filter)?.success()?.has_line("mkdir /new: ok").map(drop)
}

/// A process that joins is filtered as the first one is.
fn exec_has_the_same_filter() -> Result {
    let container = Bundle::new(["pause"]).set("/linux/seccomp", no_mkdir()).start()?;
    container.exec([], ["mkdir", "/new"])?.success()?.has_line("mkdir /new: EPERM").map(drop)
}

/// The identity of the process makes no difference.
fn filter_of_an_ordinary_user() -> Result {
    let bundle =
        Bundle::new(["mkdir", "/tmp/new"]).dir("/tmp").set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    let output = bundle.set("/linux/seccomp", no_mkdir()).run()?;
    output.success()?.has_line("mkdir /tmp/new: EPERM").map(drop)
}

/// An action that is none is an error of create.
fn action_that_does_not_exist() -> Result {
    let filter = json!({ "defaultAction": "SCMP_ACT_MAYBE" });
    Bundle::new(["true"]).set("/linux/seccomp", filter).refused("linux.seccomp").map(drop)
}

/// A system call has six arguments.
fn argument_index_out_of_range() -> Result {
    let args = json!([{ "index": 6, "value": 0, "op": "SCMP_CMP_EQ" }]);
    let filter = profile(json!([{ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "args": args }]));
    Bundle::new(["true"]).set("/linux/seccomp", filter).refused("linux.seccomp").map(drop)
}

/// What tare does not carry out it refuses by its name: a filter that is not applied would be a hole.
fn notify_is_refused_by_name() -> Result {
    let filter = profile(json!([{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }]));
    Bundle::new(["true"]).set("/linux/seccomp", filter).refused_by_tare("linux.seccomp")
}
