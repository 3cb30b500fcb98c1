//! Extensions of crun that runc lacks and tare has. A runtime without an extension skips its tests.

use crate::harness::bundle::scratch;
use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

tests![
    config_outside_the_bundle,
    config_outside_the_bundle_is_read_again,
    config_that_is_missing,
    cgroup_manager_unknown,
    cgroup_manager_cgroupfs,
    cgroup_manager_disabled_makes_no_cgroup,
    cgroup_manager_disabled_refuses_limits,
    kill_regex,
    kill_regex_of_nobody,
    kill_regex_malformed,
    delete_regex,
    delete_regex_goes_on_after_a_failure,
    copy_symlink,
    copy_symlink_of_a_file_binds_it,
    copy_symlink_over_the_same_link,
    copy_symlink_over_something_else,
    copy_symlink_in_a_user_namespace,
    source_is_not_followed,
    source_is_not_followed_in_a_user_namespace,
    destination_is_not_followed,
    link_options_are_for_bind_mounts,
    idmap_with_mappings,
    idmap_with_mappings_of_the_container,
    idmap_with_malformed_mappings,
    groups_are_kept,
    groups_are_kept_in_exec,
    groups_are_kept_whatever_is_listed,
    annotations_of_crun_that_are_not_carried_out,
    hooks_output_goes_to_files,
    hooks_output_to_a_relative_path,
    hooks_output_that_cannot_be_opened,
    mounts_are_added_and_removed,
    mounts_are_added_in_a_user_namespace,
    mounts_added_in_part_are_undone,
    mounts_of_the_wrong_form,
    mounts_of_a_stopped_container,
    mounts_stay_inside_the_root,
    mounts_are_removed_by_what_they_are,
    mounts_that_were_not_added_are_not_removed,
    mounts_of_files_and_of_the_same_place,
    mounts_have_their_flags_when_they_are_attached,
    mounts_below_proc_and_sys_are_refused,
    remount_does_not_follow_the_containers_links,
    delegated_cgroup_is_the_containers,
    delegated_cgroup_in_a_user_namespace,
    delegated_cgroup_of_a_wrong_name,
    delegated_cgroup_needs_v2,
    features_tell_what_is_unsafe,
];

/// A bundle for an extension; skips the test if the runtime has none.
fn bundle<const N: usize>(words: [&str; N]) -> Result<Bundle> {
    if runtime::is("runc") {
        return skip("runc lacks this extension");
    }
    Ok(Bundle::new(words))
}

/// `--config` names a config outside the bundle. Relative paths in it still begin at the bundle.
fn config_outside_the_bundle() -> Result {
    let container = bundle(["echo", "elsewhere"])?.build()?;
    let config = container.aside("other.json");
    fs::rename(container.bundle().join("config.json"), &config)?;
    for option in ["--config", "-f"] {
        let call = container.launch(["run", option, &config.to_string_lossy()]);
        call.output()?.success()?.has_line("elsewhere")?;
    }
    Ok(())
}

/// exec reads the process from the same file, whatever its working directory is.
fn config_outside_the_bundle_is_read_again() -> Result {
    let container = bundle(["pause"])?.set("/process/env", json!(["FROM=other"])).build()?;
    let config = container.aside("other.json");
    fs::rename(container.bundle().join("config.json"), &config)?;
    container.launch(["run", "-d", "-f", "other.json"]).current_dir(&container.aside("")).output()?.success()?;
    container.exec([], ["env"])?.success()?.has_line("FROM=other").map(drop)
}

/// A `--config` that does not exist is named in the error.
fn config_that_is_missing() -> Result {
    let container = bundle(["true"])?.build()?;
    let output = container.launch(["create", "--config", "/nosuch/config.json"]).output()?;
    output.fails_with("/nosuch/config.json")?;
    container.nothing_left()
}

/// `--cgroup-manager` takes cgroupfs, systemd and disabled only.
fn cgroup_manager_unknown() -> Result {
    let container = bundle(["true"])?.build()?;
    container.call(["--cgroup-manager", "nosuch", "list"]).output()?.fails_with("cgroup-manager").map(drop)
}

/// `--cgroup-manager=cgroupfs` is the default.
fn cgroup_manager_cgroupfs() -> Result {
    let container = bundle(["pause"])?.build()?;
    let call = container.call(["--cgroup-manager=cgroupfs", "create", "--bundle"]).arg(container.bundle());
    call.arg(&container.id).output_to(container.aside("out"), container.aside("err")).output()?.success()?;
    ensure!(container.cgroups().iter().any(|path| path.is_dir()), "no cgroup was made");
    Ok(())
}

/// Starts a container with `--cgroup-manager=disabled` and this view of the cgroup hierarchies.
fn without_cgroup(bundle: Bundle) -> Result<(Container, Output)> {
    let container = bundle.build()?;
    let call = container.call(["--cgroup-manager", "disabled", "run", "-d", "--bundle"]).arg(container.bundle());
    let output = call.arg(&container.id).output_to(container.aside("out"), container.aside("err")).output()?;
    Ok((container, output))
}

/// With `disabled` the container stays in the caller's cgroup, and the later commands remember it.
fn cgroup_manager_disabled_makes_no_cgroup() -> Result {
    for view in [View::Machine, View::Unified] {
        let (container, output) = without_cgroup(bundle(["pause"])?.view(view))?;
        output.success()?;
        ensure!(container.cgroups().iter().all(|path| !path.exists()), "a cgroup was made");
        let own = fs::read_to_string("/proc/self/cgroup")?;
        equal("cgroup", fs::read_to_string(format!("/proc/{}/cgroup", container.pid()?))?, own)?;
        container.exec([], ["true"])?.success()?;
        let listed = container.command(["ps", "-f", "json"])?;
        equal("processes", listed.success()?.stdout.trim(), format!("[{}]", container.pid()?))?;
        container.command(["pause"])?.fails_with("no cgroup")?;
        container.kill("KILL")?.success()?;
        container.wait_status("stopped")?;
        container.command(["delete"])?.success()?;
        container.nothing_left()?;
    }
    Ok(())
}

/// With `disabled` a limit could not be enforced, so it is refused by name.
fn cgroup_manager_disabled_refuses_limits() -> Result {
    let bundle = bundle(["pause"])?.set("/linux/resources/pids/limit", 10);
    let (container, output) = without_cgroup(bundle)?;
    names_field(&output, "linux.resources.pids.limit")?;
    container.nothing_left()
}

/// Three running containers whose names begin alike, and calls about all of them.
struct Three(Vec<Container>);

impl Three {
    fn new() -> Result<Self> {
        let first = bundle(["pause"])?.build()?;
        for name in ["web-1", "web-2", "db"] {
            let own = format!("{}/{}-{name}", machine::cgroup_parent(), first.id);
            first.edit_config(|config| config["linux"]["cgroupsPath"] = json!(own))?;
            let call = first.call(["run", "-d", "--bundle"]).arg(first.bundle()).arg(name);
            call.output_to(first.aside("out"), first.aside("err")).output()?.success()?;
        }
        Ok(Self(vec![first]))
    }

    fn call<const N: usize>(&self, words: [&str; N]) -> Result<Output> {
        self.0[0].call(words).output()
    }

    /// The name and the status of each, sorted by name.
    fn all(&self) -> Result<Vec<(String, String)>> {
        let output = self.call(["list", "-f", "json"])?;
        let list: Option<Vec<Value>> = serde_json::from_str(&output.success()?.stdout)?;
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        Ok(list.unwrap_or_default().iter().map(|entry| (text(entry, "id"), text(entry, "status"))).collect())
    }

    fn status(&self, wanted: [&str; 3]) -> Result {
        let names = ["db", "web-1", "web-2"];
        let wanted: Vec<_> = names.iter().zip(wanted).map(|(name, status)| ((*name).into(), status.into())).collect();
        eventually(&format!("{wanted:?}"), || Ok(self.all()? == wanted))
    }
}

impl Drop for Three {
    fn drop(&mut self) {
        for name in ["web-1", "web-2", "db"] {
            let _ = self.call(["delete", "--force", name]);
        }
    }
}

/// `kill --regex` sends the signal to all containers that match.
fn kill_regex() -> Result {
    let three = Three::new()?;
    three.call(["kill", "--regex", "^web-", "KILL"])?.success()?;
    three.status(["running", "stopped", "stopped"])?;
    // A container that does not run any more is no error.
    three.call(["kill", "-r", "^web-[12]$", "KILL"])?.success().map(drop)
}

/// If no container matches, that is no error.
fn kill_regex_of_nobody() -> Result {
    let three = Three::new()?;
    three.call(["kill", "--regex", "nosuch", "KILL"])?.success()?;
    three.status(["running", "running", "running"])
}

/// A malformed regular expression is an error.
fn kill_regex_malformed() -> Result {
    let three = Three::new()?;
    three.call(["kill", "--regex", "web-(", "KILL"])?.failure()?;
    three.status(["running", "running", "running"])
}

/// `delete --regex` deletes all containers that match.
fn delete_regex() -> Result {
    let three = Three::new()?;
    three.call(["delete", "--force", "--regex", "web-."])?.success()?;
    equal("containers", three.all()?, [("db".to_owned(), "running".to_owned())])
}

/// A container that cannot be deleted is named, and the others are deleted.
fn delete_regex_goes_on_after_a_failure() -> Result {
    let three = Three::new()?;
    three.call(["kill", "web-2", "KILL"])?.success()?;
    three.status(["running", "running", "stopped"])?;
    let output = three.call(["delete", "-r", "web-"])?;
    contains("message", &output.stderr, "web-1")?;
    let names: Vec<String> = three.all()?.into_iter().map(|(name, _)| name).collect();
    equal("containers", names, ["db", "web-1"])
}

fn mount(source: &std::path::Path, options: &[&str]) -> Value {
    json!({ "destination": "/mnt", "type": "bind", "source": source, "options": options })
}

/// `copy-symlink`: a link becomes a link with the same text.
fn copy_symlink() -> Result {
    let dir = scratch()?;
    symlink("../some/where", dir.path().join("link"))?;
    let mut entry = mount(&dir.path().join("link"), &["bind", "copy-symlink"]);
    entry["destination"] = json!("/a/b/link");
    let output = bundle(["readlink", "/a/b/link"])?.mount(entry).run()?;
    output.success()?.has_line("../some/where").map(drop)
}

/// `copy-symlink` binds a source that is no link.
fn copy_symlink_of_a_file_binds_it() -> Result {
    let dir = scratch()?;
    fs::write(dir.path().join("file"), "text")?;
    let entry = mount(&dir.path().join("file"), &["bind", "copy-symlink"]);
    let output = bundle(["cat", "/mnt", ",", "mountinfo"])?.mount(entry).run()?;
    output.success()?.has_line("text")?;
    contains("mountinfo", &output.stdout, " /mnt ")
}

/// The link may exist already, from an earlier create.
fn copy_symlink_over_the_same_link() -> Result {
    let dir = scratch()?;
    symlink("text", dir.path().join("link"))?;
    let entry = mount(&dir.path().join("link"), &["bind", "copy-symlink"]);
    let output = bundle(["readlink", "/mnt"])?.symlink("/mnt", "text").mount(entry).run()?;
    output.success()?.has_line("text").map(drop)
}

/// `copy-symlink` does not replace another file.
fn copy_symlink_over_something_else() -> Result {
    let dir = scratch()?;
    symlink("text", dir.path().join("link"))?;
    let entry = mount(&dir.path().join("link"), &["bind", "copy-symlink"]);
    let output = bundle(["true"])?.file("/mnt", "precious").mount(entry).refused("mounts[2]")?;
    contains("message", &output.stderr, "file exists")
}

/// The link may be in a directory that the container's root cannot read.
fn copy_symlink_in_a_user_namespace() -> Result {
    let dir = scratch()?;
    symlink("text", dir.path().join("link"))?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700))?;
    let entry = mount(&dir.path().join("link"), &["bind", "copy-symlink"]);
    let output = bundle(["readlink", "/mnt"])?.user_namespace(100_000, 1000).mount(entry).run()?;
    output.success()?.has_line("text").map(drop)
}

/// A link with this text and, beside it, a file `target`, both on the host.
fn link_to(text: &str) -> Result<tempfile::TempDir> {
    let dir = scratch()?;
    fs::write(dir.path().join("target"), text)?;
    symlink("target", dir.path().join("link"))?;
    Ok(dir)
}

/// `src-nofollow` binds the link itself, so the container resolves it.
fn source_is_not_followed() -> Result {
    let dir = link_to("outside")?;
    let entry = mount(&dir.path().join("link"), &["bind", "src-nofollow"]);
    let output = bundle(["cat", "/mnt"])?.file("/target", "inside").mount(entry).run()?;
    output.success()?.has_line("inside").map(drop)
}

/// The same if the runtime opens the source, as it does for a user namespace.
fn source_is_not_followed_in_a_user_namespace() -> Result {
    let dir = link_to("outside")?;
    let entry = mount(&dir.path().join("link"), &["bind", "src-nofollow"]);
    let bundle = bundle(["cat", "/mnt"])?.file("/target", "inside").user_namespace(100_000, 1000);
    bundle.mount(entry).run()?.success()?.has_line("inside").map(drop)
}

/// `dest-nofollow` mounts over a link at the destination, and not over its target.
fn destination_is_not_followed() -> Result {
    let dir = scratch()?;
    fs::write(dir.path().join("file"), "bound")?;
    let entry = mount(&dir.path().join("file"), &["bind", "dest-nofollow"]);
    let bundle = bundle(["cat", "/mnt", ",", "cat", "/target"])?.file("/target", "kept").symlink("/mnt", "target");
    bundle.mount(entry).run()?.success()?.has_line("bound")?.has_line("kept").map(drop)
}

/// These options have no meaning on mounts that are no binds, so they are refused there.
fn link_options_are_for_bind_mounts() -> Result {
    for option in ["copy-symlink", "src-nofollow", "dest-nofollow"] {
        let entry = json!({ "destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": [option] });
        bundle(["true"])?.mount(entry).refused_by_tare("mounts[2].options")?;
    }
    Ok(())
}

/// A directory that holds a file with this owner.
fn owned(uid: u32, gid: u32) -> Result<tempfile::TempDir> {
    let dir = scratch()?;
    fs::write(dir.path().join("file"), "x")?;
    chown(dir.path().join("file"), Some(uid), Some(gid))?;
    Ok(dir)
}

/// `idmap=uids=A-B-N;gids=…`: the first id in the file system, the first id on the host, the number of ids.
fn idmap_with_mappings() -> Result {
    let dir = owned(1001, 1002)?;
    let entry = mount(dir.path(), &["bind", "idmap=uids=0-0-1#1000-5000-10;gids=1000-6000-10"]);
    let output = bundle(["stat", "/mnt/file"])?.mount(entry).run()?;
    contains("stat", &output.success()?.stdout, "uid=5001 gid=6002")
}

/// With `@` the second number is an id of the container's user namespace.
fn idmap_with_mappings_of_the_container() -> Result {
    let dir = owned(1001, 1001)?;
    let entry = mount(dir.path(), &["bind", "idmap=uids=@1001-7-1;gids=@1001-8-1"]);
    let output = bundle(["stat", "/mnt/file"])?.user_namespace(100_000, 1000).mount(entry).run()?;
    contains("stat", &output.success()?.stdout, "uid=7 gid=8")
}

/// Malformed mappings are named in the error.
fn idmap_with_malformed_mappings() -> Result {
    let dir = owned(1001, 1001)?;
    for text in
        ["idmap=uids=0-1;gids=0-0-1", "idmap=x=1", "idmap=uids=a-b-c;gids=0-0-1", "idmap=uids=-1-0-1;gids=0-0-1"]
    {
        let entry = mount(dir.path(), &["bind", text]);
        bundle(["true"])?.mount(entry).refused("mounts[2].options").with_context(|| text.to_owned())?;
    }
    Ok(())
}

const KEEP: &str = "run.oci.keep_original_groups";

/// Calls the runtime with these supplementary groups.
fn with_groups(container: &Container, words: &[&str]) -> Result<Output> {
    let mut command = std::process::Command::new("setpriv");
    command.args(["--groups", "1234,2345"]).arg(&runtime::get().path).arg("--root").arg(container.state_root());
    let output = command.args(words).stdin(std::process::Stdio::null()).output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Ok(Output { line: format!("{command:?}"), status: output.status, stdout, stderr })
}

/// The container keeps the caller's supplementary groups, as `podman run --group-add keep-groups` asks.
fn groups_are_kept() -> Result {
    for (annotation, wanted) in [("1", "1234 2345"), ("0", "")] {
        let container =
            bundle(["cat", "/proc/self/status"])?.set("/annotations", json!({ KEEP: annotation })).build()?;
        let bundle = container.bundle().display().to_string();
        let output = with_groups(&container, &["run", "--bundle", &bundle, &container.id])?;
        let groups =
            output.success()?.stdout.lines().find_map(|line| line.strip_prefix("Groups:")).context("groups")?;
        equal("groups", groups.trim(), wanted)?;
    }
    Ok(())
}

/// The annotation overrides the groups that the config lists: engines always list the groups of the image's user.
fn groups_are_kept_whatever_is_listed() -> Result {
    let bundle = bundle(["cat", "/proc/self/status"])?.set("/annotations", json!({ KEEP: "1" }));
    let container = bundle.set("/process/user/additionalGids", json!([1, 2, 3])).build()?;
    let path = container.bundle().display().to_string();
    let output = with_groups(&container, &["run", "--bundle", &path, &container.id])?;
    let groups = output.success()?.stdout.lines().find_map(|line| line.strip_prefix("Groups:")).context("groups")?;
    equal("groups", groups.trim(), "1234 2345")?;
    equal("the container's standard error", &*output.stderr, "")
}

/// tare refuses the annotations that crun documents and tare does not support: the container would not be what its
/// config says.
fn annotations_of_crun_that_are_not_carried_out() -> Result {
    for name in ["seccomp_bpf_data", "seccomp.plugins", "systemd.force_cgroup_v1", "timens_offset", "handler"] {
        let name = format!("run.oci.{name}");
        bundle(["true"])?.set("/annotations", json!({ &name: "x" })).refused_by_tare(&format!("annotations.{name}"))?;
    }
    Ok(())
}

/// The groups are kept in a new user namespace, too, and by exec.
fn groups_are_kept_in_exec() -> Result {
    let bundle = bundle(["pause"])?.set("/annotations", json!({ KEEP: "1" })).user_namespace(100_000, 1000);
    let container = bundle.start()?;
    let output = with_groups(&container, &["exec", &container.id, "/payload", "cat", "/proc/self/status"])?;
    let groups = output.success()?.stdout.lines().find_map(|line| line.strip_prefix("Groups:")).context("groups")?;
    // The groups have no mapping in the user namespace, so they are shown as the overflow id.
    equal("groups", groups.trim(), "65534 65534")
}

/// The output of hooks is appended to the files that the annotations name, wherever the hooks run.
fn hooks_output_goes_to_files() -> Result {
    let dir = scratch()?;
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    fs::write(&out, "before\n")?;
    let say = |program: &std::path::Path, name: &str| json!({ "path": program, "args": ["hook", "echo", format!("{name} out"), ",", "stderr", format!("{name} err")] });
    let outside = payload::path();
    let container = bundle(["true"])?
        .set("/annotations", json!({ "run.oci.hooks.stdout": &out, "run.oci.hooks.stderr": &err }))
        .push("/hooks/createRuntime", say(outside, "createRuntime"))
        .push("/hooks/startContainer", say(std::path::Path::new("/payload"), "startContainer"))
        .push("/hooks/poststop", say(outside, "poststop"))
        .start()?;
    container.wait_status("stopped")?;
    container.command(["delete"])?.success()?;
    let wanted = |stream: &str| format!("createRuntime {stream}\nstartContainer {stream}\npoststop {stream}\n");
    equal("out", fs::read_to_string(out)?, format!("before\n{}", wanted("out")))?;
    equal("err", fs::read_to_string(err)?, wanted("err"))
}

/// A relative path is refused: later commands may have another working directory.
fn hooks_output_to_a_relative_path() -> Result {
    let bundle = bundle(["true"])?.set("/annotations", json!({ "run.oci.hooks.stdout": "here" }));
    bundle.refused_by_tare("annotations.run.oci.hooks.stdout")
}

/// A file that cannot be opened is named in the error.
fn hooks_output_that_cannot_be_opened() -> Result {
    let bundle = bundle(["true"])?
        .set("/annotations", json!({ "run.oci.hooks.stdout": "/nosuch/conformance" }))
        .push("/hooks/createRuntime", json!({ "path": "/bin/true" }));
    let output = bundle.refused("run.oci.hooks.stdout")?;
    contains("message", &output.stderr, "/nosuch/conformance")
}

/// Calls `mounts add|remove ID FILE` with this list in FILE.
fn change(container: &Container, verb: &str, list: &Value) -> Result<Output> {
    let file = container.aside("mounts.json");
    fs::write(&file, serde_json::to_vec(list)?)?;
    container.call(["mounts", verb, &container.id]).arg(file).output()
}

fn mountinfo(container: &Container) -> Result<String> {
    Ok(fs::read_to_string(format!("/proc/{}/mountinfo", container.pid()?))?)
}

fn adds_and_removes(bundle: Bundle) -> Result {
    let dir = scratch()?;
    fs::write(dir.path().join("file"), "from outside")?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let container = bundle.start()?;
    let before = mountinfo(&container)?;
    let list = json!([
        { "destination": "/bound", "type": "bind", "source": dir.path(), "options": ["bind", "ro"] },
        { "destination": "/filled", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "nosuid"] },
    ]);
    change(&container, "add", &list)?.success()?;
    let output = container.exec([], ["cat", "/bound/file", ",", "mountinfo"])?;
    output.success()?.has_line("from outside")?;
    ensure!(output.stdout.lines().any(|line| line.contains(" /bound ro,")), "{output}");
    ensure!(output.stdout.lines().any(|line| line.contains(" /filled ") && line.contains("nosuid")), "{output}");
    change(&container, "remove", &list)?.success()?;
    equal("mounts", mountinfo(&container)?, before)?;
    // The mounts are gone, so a second `remove` fails.
    change(&container, "remove", &list)?.failure().map(drop)
}

/// Mounts can be added to a running container, and removed.
fn mounts_are_added_and_removed() -> Result {
    adds_and_removes(bundle(["pause"])?)
}

/// The same if the container is in a user namespace.
fn mounts_are_added_in_a_user_namespace() -> Result {
    adds_and_removes(bundle(["pause"])?.user_namespace(100_000, 1000))
}

/// If one mount of the list fails, none is added.
fn mounts_added_in_part_are_undone() -> Result {
    let container = bundle(["pause"])?.start()?;
    let before = mountinfo(&container)?;
    let list = json!([
        { "destination": "/one", "type": "tmpfs", "source": "tmpfs" },
        { "destination": "/two", "type": "nosuchfs", "source": "none" },
    ]);
    names_field(&change(&container, "add", &list)?, "mounts[1]")?;
    if runtime::is("tare") {
        equal("mounts", mountinfo(&container)?, before)?;
    }
    Ok(())
}

/// A list of the wrong form is an error and changes nothing.
fn mounts_of_the_wrong_form() -> Result {
    let container = bundle(["pause"])?.start()?;
    let before = mountinfo(&container)?;
    for list in [
        json!({}),
        json!([1]),
        json!("x"),
        json!([{ "source": "x" }]),
        json!([{ "destination": "/", "type": "tmpfs" }]),
    ] {
        change(&container, "add", &list)?.failure().with_context(|| list.to_string())?;
    }
    let nosuch = container.call(["mounts", "add", &container.id, "/nosuch"]).output()?;
    nosuch.fails_with("no such file or directory")?;
    container.call(["mounts", "move", &container.id, "/nosuch"]).output()?.failure()?;
    equal("mounts", mountinfo(&container)?, before)
}

/// Mounts cannot be added to a stopped container.
fn mounts_of_a_stopped_container() -> Result {
    let container = bundle(["true"])?.start()?;
    container.wait_status("stopped")?;
    change(&container, "add", &json!([]))?.failure().map(drop)
}

/// The container may make links anywhere. A destination with a link leads to a place inside the root, or is refused.
fn mounts_stay_inside_the_root() -> Result {
    let container = bundle(["pause"])?.symlink("/way", "/../../..").start()?;
    let here = fs::read_to_string("/proc/thread-self/mountinfo")?;
    let before = mountinfo(&container)?;
    let list = json!([{ "destination": "/way/deep", "type": "tmpfs", "source": "tmpfs" }]);
    let output = change(&container, "add", &list)?;
    equal("mounts outside", fs::read_to_string("/proc/thread-self/mountinfo")?, here)?;
    if runtime::is("tare") {
        names_field(&output, "mounts[0]")?;
        return equal("mounts", mountinfo(&container)?, before);
    }
    output.success()?;
    contains("mounts", &mountinfo(&container)?, " /deep ")?;
    change(&container, "remove", &list)?.success().map(drop)
}

/// A container with a volume that was added at `/a/b/data` and then moved, as the container itself can do. At the old
/// place is a link to a mount that protects settings of the host.
fn with_a_moved_volume(config: impl FnOnce(Bundle) -> Bundle, list: &Value) -> Result<Container> {
    let bundle = bundle(["pause"])?.dir("a/b/data").set("/linux/readonlyPaths", json!(["/proc/sys"]));
    let container = config(bundle).start()?;
    if !list.is_null() {
        change(&container, "add", list)?.success()?;
    }
    let (old, new) = (container.rootfs().join("a/b"), container.rootfs().join("a/c"));
    fs::rename(&old, new)?;
    fs::create_dir(&old)?;
    symlink("/proc/sys", old.join("data"))?;
    Ok(container)
}

fn is_mounted(container: &Container, at: &str, flag: &str) -> Result<bool> {
    let table = mountinfo(container)?;
    let mut lines = table.lines().filter(|line| line.split(' ').nth(4) == Some(at));
    Ok(lines.any(|line| line.split(' ').nth(5).is_some_and(|flags| flags.split(',').any(|one| one == flag))))
}

/// `remove` detaches the mount that was added, wherever it is by then, and no other.
fn mounts_are_removed_by_what_they_are() -> Result {
    let dir = scratch()?;
    let list = json!([{ "destination": "/a/b/data", "type": "bind", "source": dir.path(), "options": ["bind"] }]);
    let container = with_a_moved_volume(|bundle| bundle, &list)?;
    ensure!(is_mounted(&container, "/a/c/data", "rw")?, "{}", mountinfo(&container)?);
    let output = change(&container, "remove", &list)?;
    ensure!(is_mounted(&container, "/proc/sys", "ro")?, "/proc/sys is writable: {}", mountinfo(&container)?);
    output.success()?;
    ensure!(!is_mounted(&container, "/a/c/data", "rw")?, "{}", mountinfo(&container)?);
    Ok(())
}

/// `remove` does not detach mounts of the config.
fn mounts_that_were_not_added_are_not_removed() -> Result {
    let container = bundle(["pause"])?.set("/linux/readonlyPaths", json!(["/proc/sys"])).start()?;
    let before = mountinfo(&container)?;
    for destination in ["/proc/sys", "/dev", "/proc"] {
        let list = json!([{ "destination": destination, "type": "tmpfs", "source": "tmpfs" }]);
        let output = change(&container, "remove", &list)?;
        if runtime::is("tare") {
            names_field(&output, "mounts[0].destination")?;
            equal("mounts", mountinfo(&container)?, before.clone())?;
        }
    }
    Ok(())
}

/// A mount of a file is removed as well, and of two mounts at one place the later one is removed first.
fn mounts_of_files_and_of_the_same_place() -> Result {
    let dir = scratch()?;
    for name in ["one", "two"] {
        fs::write(dir.path().join(name), name)?;
    }
    let list = |name: &str| json!([{ "destination": "/deep/file", "type": "bind", "source": dir.path().join(name), "options": ["bind", "ro"] }]);
    let container = bundle(["pause"])?.start()?;
    let before = mountinfo(&container)?;
    let says = |wanted: &str| container.exec([], ["cat", "/deep/file"])?.success()?.has_line(wanted).map(drop);
    change(&container, "add", &list("one"))?.success()?;
    change(&container, "add", &list("two"))?.success()?;
    says("two")?;
    change(&container, "remove", &list("two"))?.success()?;
    says("one")?;
    change(&container, "remove", &list("one"))?.success()?;
    equal("mounts", mountinfo(&container)?, before)
}

/// If a flag cannot be set, the mount is not attached: otherwise the container would have it without the flag. Here the
/// flags are some that a user namespace may not clear.
fn mounts_have_their_flags_when_they_are_attached() -> Result {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let dir = scratch()?;
    let below = dir.path().join("below");
    fs::create_dir(&below)?;
    let none = None::<&str>;
    mount(Some("tmpfs"), &below, Some("tmpfs"), MsFlags::MS_RDONLY, none)?;
    mount(none, &below, none, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY, none)?;
    let result = (|| {
        let container = bundle(["pause"])?.user_namespace(100_000, 1000).start()?;
        let before = mountinfo(&container)?;
        let options = ["rbind", "rrw"];
        let list = json!([{ "destination": "/bound", "type": "bind", "source": dir.path(), "options": options }]);
        let output = change(&container, "add", &list)?;
        if runtime::is("tare") {
            names_field(&output, "mounts[0]")?;
            equal("mounts", mountinfo(&container)?, before)?;
        }
        Ok(())
    })();
    umount2(&below, MntFlags::MNT_DETACH)?;
    result
}

/// Mounts at or below /proc and /sys are refused: they would cover the information on processes, or the mounts that
/// protect the host's settings.
fn mounts_below_proc_and_sys_are_refused() -> Result {
    if !runtime::is("tare") {
        return skip("crun's extension allows it");
    }
    let sysfs = json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs" });
    let container = bundle(["pause"])?.namespace("network").mount(sysfs).symlink("way", "proc").start()?;
    let before = mountinfo(&container)?;
    for destination in ["/proc", "/proc/sys", "/proc/uptime", "/sys", "/sys/fs/new", "/way/sys", "/x/../proc"] {
        for options in [&[] as &[&str], &["bind"], &["remount", "rw"]] {
            let list = json!([{ "destination": destination, "type": "tmpfs", "source": "/tmp", "options": options }]);
            let output = change(&container, "add", &list)?;
            names_field(&output, "mounts[0]").with_context(|| format!("{destination} {options:?}"))?;
        }
    }
    equal("mounts", mountinfo(&container)?, before)
}

/// `remount` changes the mount that it names, and does not follow a link that the container has made.
fn remount_does_not_follow_the_containers_links() -> Result {
    let dir = scratch()?;
    let volume = json!({ "destination": "/a/b/data", "type": "bind", "source": dir.path(), "options": ["bind", "ro"] });
    let container = with_a_moved_volume(|bundle| bundle.mount(volume), &Value::Null)?;
    let options = ["bind", "remount", "rw"];
    let list = json!([{ "destination": "/a/b/data", "type": "bind", "source": dir.path(), "options": options }]);
    change(&container, "add", &list)?;
    ensure!(is_mounted(&container, "/proc/sys", "ro")?, "/proc/sys is writable: {}", mountinfo(&container)?);
    // Without a link the remount works.
    let list = json!([{ "destination": "/a/c/data", "type": "bind", "source": dir.path(), "options": options }]);
    change(&container, "add", &list)?.success()?;
    ensure!(is_mounted(&container, "/a/c/data", "rw")?, "{}", mountinfo(&container)?);
    Ok(())
}

/// `features` lists the annotations that an image must not set; engines filter by it.
fn features_tell_what_is_unsafe() -> Result {
    if runtime::is("runc") {
        return skip("runc lacks this extension");
    }
    let features: Value = serde_json::from_str(&Call::new(["features"]).output()?.success()?.stdout)?;
    let unsafe_ones = features["potentiallyUnsafeConfigAnnotations"].to_string();
    for name in [KEEP, "run.oci.hooks.stdout", "run.oci.hooks.stderr"] {
        ensure!(unsafe_ones.contains(name) || unsafe_ones.contains("\"run.oci.\""), "{name} in {unsafe_ones}");
    }
    Ok(())
}

const SUB: &str = "/sys/fs/cgroup/sub";

/// A container that manages a cgroup below the one that has its limits.
fn delegated<const N: usize>(words: [&str; N]) -> Result<Bundle> {
    let mount = json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"] });
    let bundle = bundle(words)?.view(View::Unified).namespace("cgroup").mount(mount);
    Ok(bundle.set("/annotations", json!({ "run.oci.delegate-cgroup": "own/inner" })))
}

/// `run.oci.delegate-cgroup` makes a cgroup below the container's; it is the root of the container's cgroup namespace.
fn delegated_cgroup_is_the_containers() -> Result {
    let words = ["cat", "/proc/self/cgroup", ",", "mkdir", SUB, ",", "pause"];
    let container = delegated(words)?.option("-d").build()?;
    container.launch(["run"]).output()?.success()?;
    container.wait_output(&format!("mkdir {SUB}: ok"))?;
    container.wait_output("0::/")?;
    let group = container.cgroup("")?.join("own/inner");
    let pid = container.pid()?.to_string();
    equal("processes", fs::read_to_string(group.join("cgroup.procs"))?.trim(), pid.as_str())?;
    container.exec([], ["cat", "/proc/self/cgroup"])?.success()?.has_line("0::/")?;
    container.command(["pause"])?.success()?;
    equal("status", container.status()?, "paused")?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// The delegated cgroup belongs to the container's user; the cgroup with the limits does not.
fn delegated_cgroup_in_a_user_namespace() -> Result {
    let words = ["mkdir", SUB, ",", "pause"];
    let container = delegated(words)?.user_namespace(100_000, 65_536).option("-d").build()?;
    container.launch(["run"]).output()?.success()?;
    container.wait_output(&format!("mkdir {SUB}: ok"))?;
    let owner = |path: &str| -> Result<u32> { Ok(fs::metadata(container.cgroup("")?.join(path))?.uid()) };
    equal("owner of the inner cgroup", owner("own/inner/cgroup.procs")?, 100_000)?;
    equal("owner of the outer cgroup", owner("cgroup.procs")?, 0)
}

/// A name that leads out of the container's cgroup is refused.
fn delegated_cgroup_of_a_wrong_name() -> Result {
    for name in ["..", "a/../../b", "/a", "a//b", "."] {
        let bundle = delegated(["true"])?.set("/annotations", json!({ "run.oci.delegate-cgroup": name }));
        let container = bundle.build()?;
        container.create()?.failure()?;
        container.nothing_left()?;
    }
    Ok(())
}

/// On v1 it is refused: v1 hierarchies cannot be delegated safely.
fn delegated_cgroup_needs_v2() -> Result {
    if machine::get().layout == machine::Layout::Unified || runtime::is("crun") {
        return skip("this machine has no v1 hierarchy");
    }
    let bundle = bundle(["true"])?.set("/annotations", json!({ "run.oci.delegate-cgroup": "own" }));
    names_field(&bundle.build()?.create()?, "run.oci.delegate-cgroup")
}
