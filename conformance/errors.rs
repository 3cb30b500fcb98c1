//! Wrong configurations: the error names the field, and nothing is left behind.

use crate::harness::*;
use anyhow::{Context, ensure};
use nix::errno::Errno;
use nix::sys::resource::Resource;
use std::fs;

tests![
    config_missing,
    config_is_no_json,
    config_is_empty,
    config_is_no_object,
    config_is_cut_off,
    bundle_missing,
    bundle_is_a_file,
    oci_version_missing,
    oci_version_unknown,
    oci_version_is_no_version,
    root_missing,
    process_missing,
    args_missing,
    args_empty,
    cwd_missing,
    cwd_relative,
    wrong_types_in_process,
    wrong_types_in_mounts,
    wrong_types_in_linux,
    wrong_types_in_resources,
    numbers_out_of_range,
    nul_bytes,
    nul_byte_in_the_hostname,
    unknown_properties_are_ignored,
    unknown_annotations_are_ignored,
    other_platforms_are_ignored,
    refused_create_leaves_the_id_free,
    late_failure_leaves_nothing,
    error_is_printed_once,
    reasons_are_those_of_the_caller,
];

/// Writes this text as config.json: create must fail and leave nothing.
fn refused_text(text: &str) -> Result<Output> {
    let container = Bundle::new(["true"]).build()?;
    fs::write(container.bundle().join("config.json"), text)?;
    let output = container.create()?;
    names_field(&output, "config.json")?;
    container.nothing_left()?;
    Ok(output)
}

/// A bundle MUST have a config.json.
fn config_missing() -> Result {
    let container = Bundle::new(["true"]).build()?;
    fs::remove_file(container.bundle().join("config.json"))?;
    container.create()?.fails_with("config.json")?;
    container.nothing_left()
}

/// config.json MUST be JSON.
fn config_is_no_json() -> Result {
    refused_text("this is no JSON").map(drop)
}

/// An empty file is no JSON.
fn config_is_empty() -> Result {
    refused_text("").map(drop)
}

/// config.json holds an object.
fn config_is_no_object() -> Result {
    for text in ["[]", "\"text\"", "1", "true"] {
        refused_text(text).with_context(|| text)?;
    }
    Ok(())
}

/// A config.json that is cut off is refused, wherever it ends.
fn config_is_cut_off() -> Result {
    let text = serde_json::to_string(&Bundle::new(["true"]).config)?;
    for length in [1, text.len() / 2, text.len() - 1] {
        refused_text(&text[..length])?;
    }
    Ok(())
}

/// The bundle must exist.
fn bundle_missing() -> Result {
    let container = Bundle::new(["true"]).build()?;
    container.call(["create", "--bundle", "/nosuch/bundle"]).arg(&container.id).output()?.failure()?;
    container.nothing_left()
}

/// The bundle must be a directory.
fn bundle_is_a_file() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let file = container.bundle().join("config.json");
    container.call(["create", "--bundle"]).arg(file).arg(&container.id).output()?.failure()?;
    container.nothing_left()
}

/// `ociVersion` is REQUIRED.
fn oci_version_missing() -> Result {
    Bundle::new(["true"]).remove("/ociVersion").refused("ociVersion").map(drop)
}

/// A version that the runtime does not support MUST be an error.
fn oci_version_unknown() -> Result {
    Bundle::new(["true"]).set("/ociVersion", "2.0.0").refused("ociVersion").map(drop)
}

/// `ociVersion` MUST be a semantic version.
fn oci_version_is_no_version() -> Result {
    Bundle::new(["true"]).set("/ociVersion", "one").refused("ociVersion").map(drop)
}

/// `root` is REQUIRED on Linux.
fn root_missing() -> Result {
    Bundle::new(["true"]).remove("/root").refused("root").map(drop)
}

/// `process` is REQUIRED by start; runc demands it at create.
fn process_missing() -> Result {
    Bundle::new(["true"]).remove("/process").refused("process").map(drop)
}

/// `process.args` is REQUIRED.
fn args_missing() -> Result {
    Bundle::new(["true"]).remove("/process/args").refused("process.args").map(drop)
}

/// `process.args` has at least one entry.
fn args_empty() -> Result {
    Bundle::new(["true"]).set("/process/args", json!([])).refused("process.args").map(drop)
}

/// `process.cwd` is REQUIRED.
fn cwd_missing() -> Result {
    Bundle::new(["true"]).remove("/process/cwd").refused("process.cwd").map(drop)
}

/// `process.cwd` MUST be absolute.
fn cwd_relative() -> Result {
    Bundle::new(["true"]).set("/process/cwd", "relative").refused("process.cwd").map(drop)
}

/// In each case the value has the wrong type for its place.
fn wrong(cases: &[(&str, Value, &str)]) -> Result {
    for (place, value, field) in cases {
        Bundle::new(["true"]).set(place, value.clone()).refused(field).with_context(|| format!("{place} = {value}"))?;
    }
    Ok(())
}

/// A value of the wrong type is an error that names its place.
fn wrong_types_in_process() -> Result {
    wrong(&[
        ("/process/args", json!("text"), "process.args"),
        ("/process/args", json!([1]), "process.args"),
        ("/process/env", json!({}), "process.env"),
        ("/process/cwd", json!(1), "process.cwd"),
        ("/process/terminal", json!("no"), "process.terminal"),
        ("/process/user/uid", json!("root"), "process.user.uid"),
        ("/process/user/additionalGids", json!([-1]), "process.user.additionalGids"),
        ("/process/noNewPrivileges", json!(1), "process.noNewPrivileges"),
        ("/process/rlimits", json!([{ "type": 1, "soft": 1, "hard": 1 }]), "process.rlimits"),
        ("/process/capabilities", json!(["CAP_KILL"]), "process.capabilities"),
    ])
}

/// The same for mounts.
fn wrong_types_in_mounts() -> Result {
    wrong(&[
        ("/mounts", json!({}), "mounts"),
        ("/mounts", json!(["/proc"]), "mounts"),
        ("/mounts/1/options", json!("ro"), "mounts[1]"),
        ("/mounts/1/destination", json!(1), "mounts[1]"),
    ])
}

/// The same for `linux` and the rest.
fn wrong_types_in_linux() -> Result {
    wrong(&[
        ("/linux/namespaces", json!("all"), "linux.namespaces"),
        ("/linux/namespaces/0/type", json!(1), "linux.namespaces"),
        ("/linux/sysctl", json!([]), "linux.sysctl"),
        ("/linux/maskedPaths", json!("/x"), "linux.maskedPaths"),
        ("/linux/cgroupsPath", json!(1), "linux.cgroupsPath"),
        ("/hostname", json!(1), "hostname"),
        ("/root/readonly", json!("yes"), "root.readonly"),
        ("/annotations", json!({ "a": 1 }), "annotations"),
        ("/hooks", json!([]), "hooks"),
    ])
}

/// The same for resources.
fn wrong_types_in_resources() -> Result {
    wrong(&[
        ("/linux/resources/memory/limit", json!("1G"), "linux.resources.memory"),
        ("/linux/resources/pids", json!(5), "linux.resources.pids"),
        ("/linux/resources/cpu/shares", json!(-1), "linux.resources.cpu"),
        ("/linux/resources/devices", json!([{ "allow": "yes" }]), "linux.resources.devices"),
    ])
}

/// A number that its type cannot hold is refused, and not truncated.
fn numbers_out_of_range() -> Result {
    wrong(&[
        ("/process/user/uid", json!(-1), "process.user.uid"),
        ("/process/user/uid", json!(4_294_967_296_u64), "process.user.uid"),
        ("/process/user/gid", json!(1.5), "process.user.gid"),
        ("/process/oomScoreAdj", json!(1e10), "process.oomScoreAdj"),
    ])
}

/// The kernel's strings end at a NUL byte: inside a path it would cut the path off.
fn nul_bytes() -> Result {
    wrong(&[
        ("/process/args", json!(["/payload\u{0}x"]), "process.args"),
        ("/process/env", json!(["A=\u{0}"]), "process.env"),
        ("/mounts/1/destination", json!("/dev\u{0}x"), "mounts[1]"),
    ])
}

/// A NUL byte is refused in a hostname, too, which the kernel takes with its length.
fn nul_byte_in_the_hostname() -> Result {
    wrong(&[("/hostname", json!("a\u{0}b"), "hostname")])
}

/// Unknown properties MUST be ignored.
fn unknown_properties_are_ignored() -> Result {
    let bundle = ["/nosuch", "/process/nosuch", "/root/nosuch", "/linux/nosuch", "/linux/resources/nosuch"];
    let bundle =
        bundle.iter().fold(Bundle::new(["echo", "works"]), |bundle, place| bundle.set(place, json!({ "a": [1] })));
    bundle.run()?.success()?.has_line("works").map(drop)
}

/// Unknown annotations MUST be ignored.
fn unknown_annotations_are_ignored() -> Result {
    let annotations = json!({ "com.example.unknown": "x", "run.oci.unknown": "y" });
    Bundle::new(["echo", "works"]).set("/annotations", annotations).run()?.success()?.has_line("works").map(drop)
}

/// Sections for other platforms are ignored.
fn other_platforms_are_ignored() -> Result {
    let bundle =
        Bundle::new(["echo", "works"]).set("/windows", json!({ "layerFolders": [] })).set("/solaris", json!({}));
    bundle.run()?.success()?.has_line("works").map(drop)
}

/// After a create that was refused, its id is free.
fn refused_create_leaves_the_id_free() -> Result {
    let container = Bundle::new(["true"]).set("/process/cwd", "relative").build()?;
    container.create()?.failure()?;
    container.edit_config(|config| config["process"]["cwd"] = json!("/"))?;
    container.create()?.success()?;
    container.start()
}

/// If the last step fails, all earlier steps are undone: cgroups with limits, hooks, mounts.
fn late_failure_leaves_nothing() -> Result {
    let tmpfs = json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" });
    Bundle::new([])
        .set("/process/args", json!(["/nosuch"]))
        .set("/linux/resources", json!({ "memory": { "limit": 67_108_864 }, "pids": { "limit": 50 } }))
        .namespace("network")
        .namespace("cgroup")
        .mount(tmpfs)
        .refused("process.args")
        .map(drop)
}

/// RLIMIT_FSIZE of the caller and a system call that its sandbox denies are reported as what they are, if they make
/// create fail at all.
fn reasons_are_those_of_the_caller() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let limited = container.launch(["create"]).limiting(Resource::RLIMIT_FSIZE, 10 << 10, 10 << 10).output()?;
    ensure!(!limited.stderr.contains("no space left"), "{limited}");
    container.command(["delete", "--force"])?.success()?;
    let sandboxed = container.launch(["create"]).denying(libc::SYS_openat2, None, Errno::ENOSYS).output()?;
    ensure!(!sandboxed.stderr.contains("invalid rootfs"), "{sandboxed}");
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// An error is one line on standard error, and not repeated at each level.
fn error_is_printed_once() -> Result {
    let output = Bundle::new(["true"]).set("/process/cwd", "relative").refused("process.cwd")?;
    equal("lines", output.stderr.trim_end().lines().count(), 1)
}
