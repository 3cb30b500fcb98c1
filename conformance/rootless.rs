//! All commands as an ordinary user, without an entry in passwd and without newuidmap.

use crate::harness::*;
use anyhow::ensure;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

tests![
    runs_as_root_of_its_namespace,
    life_cycle,
    host_files_are_the_users,
    exec_joins,
    state_root_is_in_the_runtime_directory,
    devices_are_bound,
    needs_a_user_namespace,
    limits_without_permission_are_refused,
    cgroup_without_permission_is_refused,
    additional_groups_are_refused,
    mapping_of_foreign_ids_is_refused,
    spec_for_the_caller_can_be_run,
    detached_and_killed,
    warns_when_processes_cannot_be_known,
    leaves_nothing,
];

const USER: u32 = 64_321;

fn bundle<const N: usize>(words: [&str; N]) -> Bundle {
    Bundle::new(words).user(USER).user_namespace(USER, 1)
}

/// A user may run a container in a user namespace with one mapping, and is root there.
fn runs_as_root_of_its_namespace() -> Result {
    let output = bundle(["ids", ",", "pids", ",", "cat", "/proc/self/uid_map"]).run()?;
    output.success()?.says("uid", "0")?.says("gid", "0")?.says("pid", "1")?;
    let map = output.stdout.lines().last().unwrap_or_default().split_whitespace().collect::<Vec<_>>();
    equal("map", map, ["0", &USER.to_string(), "1"])
}

/// create, state, start, list and delete work.
fn life_cycle() -> Result {
    let container = bundle(["echo", "up", ",", "pause"]).create()?;
    equal("status", container.status()?, "created")?;
    container.start()?;
    container.wait_output("up")?;
    contains("list", &container.call(["list", "-q"]).output()?.success()?.stdout, &container.id)?;
    container.stop()?;
    container.command(["delete"])?.success()?;
    container.nothing_left()
}

/// Files that the container writes belong to the user on the host.
fn host_files_are_the_users() -> Result {
    let container = bundle(["write", "/new", "x"]).build()?;
    container.run()?.success()?.has_line("write /new: ok")?;
    equal("owner", fs::metadata(container.rootfs().join("new"))?.uid(), USER)
}

/// exec joins the user namespace first.
fn exec_joins() -> Result {
    let container = bundle(["pause"]).start()?;
    let output = container.exec([], ["ids", ",", "ns"])?;
    output.success()?.says("uid", "0")?;
    for kind in ["user", "mnt", "pid", "ipc", "uts"] {
        output.has_line(&container.namespace(kind)?)?;
    }
    Ok(())
}

/// Without `--root` the state is in `$XDG_RUNTIME_DIR/NAME`. Its sticky bit keeps clean-up tools away.
fn state_root_is_in_the_runtime_directory() -> Result {
    let container = bundle(["pause"]).build()?;
    let directory = container.aside("state");
    let call =
        |words: &[&str]| Call::new(words).arg(&container.id).user(USER).no_env().env("XDG_RUNTIME_DIR", &directory);
    let bundle = container.bundle().display().to_string();
    let create = call(&["create", "--bundle", &bundle]).output_to(container.aside("out"), container.aside("err"));
    create.output()?.success()?;
    let roots: Vec<_> = fs::read_dir(&directory)?.flatten().map(|entry| entry.path()).collect();
    equal("state roots", roots.len(), 1)?;
    ensure!(roots[0].join(&container.id).join("state.json").exists(), "{roots:?}");
    equal("mode", fs::metadata(&roots[0])?.permissions().mode() & 0o7777, 0o1700)?;
    call(&["delete", "--force"]).output()?.success().map(drop)
}

/// The user cannot make device nodes, so the host's are bound, and they work.
fn devices_are_bound() -> Result {
    let output = bundle(["stat", "/dev/null", ",", "write", "/dev/null", "x", ",", "open", "/dev/zero"]).run()?;
    contains("stat", &output.success()?.stdout, "rdev=1:3")?;
    output.has_line("write /dev/null: ok")?.has_line("open /dev/zero: ok").map(drop)
}

/// Without a user namespace a user cannot make any container.
fn needs_a_user_namespace() -> Result {
    Bundle::new(["true"]).user(USER).refused("linux.namespaces").map(drop)
}

/// A limit that cannot be set is an error. It is not ignored.
fn limits_without_permission_are_refused() -> Result {
    let bundle = bundle(["true"]).set("/linux/resources/pids/limit", 10);
    bundle.refused("linux.resources").map(drop)
}

/// A cgroup path that cannot be made is an error.
fn cgroup_without_permission_is_refused() -> Result {
    let output =
        bundle(["true"]).set("/linux/cgroupsPath", "/tare-conformance-not-his").refused("linux.cgroupsPath")?;
    contains("message", &output.stderr, "unable to apply cgroup configuration")?;
    contains("message", &output.stderr, "permission denied")
}

/// setgroups(2) is denied in such a user namespace: supplementary groups in the config are an error.
fn additional_groups_are_refused() -> Result {
    bundle(["true"]).set("/process/user/additionalGids", json!([5])).refused("process.user.additionalGids").map(drop)
}

/// A user may map only its own ids.
fn mapping_of_foreign_ids_is_refused() -> Result {
    let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    bundle(["true"]).set("/linux/uidMappings", map).refused("linux.uidMappings").map(drop)
}

/// `spec --rootless` writes a config that the caller can run.
fn spec_for_the_caller_can_be_run() -> Result {
    let container = bundle([]).dir("proc").dir("dev").dir("sys").build()?;
    fs::remove_file(container.bundle().join("config.json"))?;
    let bundle = container.bundle().display().to_string();
    Call::new(["spec", "--rootless", "--bundle", &bundle]).user(USER).no_env().output()?.success()?;
    container.edit_config(|config| {
        config["process"]["args"] = json!(["/payload", "ids"]);
        config["process"]["terminal"] = json!(false);
    })?;
    container.run()?.success()?.says("uid", "0").map(drop)
}

/// `run --detach`, then `kill`.
fn detached_and_killed() -> Result {
    let container = bundle(["pause"]).option("--detach").build()?;
    container.run()?.success()?;
    container.kill("KILL")?.success()?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success().map(drop)
}

/// Without a cgroup and a pid namespace the runtime cannot know all processes of the container, and warns.
fn warns_when_processes_cannot_be_known() -> Result {
    let proc = json!({ "destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"] });
    let unknown = bundle(["pause"]).without_namespace("pid").set("/mounts", json!([proc]));
    for (bundle, warned) in [(bundle(["pause"]), false), (unknown, true)] {
        let container = bundle.build()?;
        let said = container.create()?.success()?.stderr.contains("Such configuration is strongly discouraged");
        container.command(["delete", "--force"])?.success()?;
        equal("warned", said, warned)?;
    }
    Ok(())
}

/// A create that is refused leaves nothing.
fn leaves_nothing() -> Result {
    bundle([]).set("/process/args", json!(["/nosuch"])).refused("process.args").map(drop)
}
