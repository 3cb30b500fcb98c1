//! `spec` and `features`.

use crate::harness::bundle::scratch;
use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;

tests![
    spec_writes_the_default_configuration,
    spec_in_the_current_directory,
    spec_does_not_overwrite,
    spec_can_be_run,
    spec_rootless,
    features_is_json_and_nothing_else,
    features_versions,
    features_hooks_and_namespaces,
    features_mount_options,
    features_mount_options_are_accepted,
    features_of_cgroups,
    features_annotations,
];

fn spec(options: &[&str]) -> Result<Value> {
    let dir = scratch()?;
    Call::new(["spec"]).args(options).args(["--bundle"]).arg(dir.path()).output()?.success()?;
    Ok(serde_json::from_slice(&fs::read(dir.path().join("config.json"))?)?)
}

/// `spec` writes a configuration that people start from.
fn spec_writes_the_default_configuration() -> Result {
    let config = spec(&[])?;
    equal("args", &config["process"]["args"], &json!(["sh"]))?;
    equal("terminal", &config["process"]["terminal"], true)?;
    equal("noNewPrivileges", &config["process"]["noNewPrivileges"], true)?;
    equal("cwd", &config["process"]["cwd"], "/")?;
    equal("root", &config["root"], &json!({ "path": "rootfs", "readonly": true }))?;
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    for set in ["bounding", "effective", "permitted"] {
        equal(set, &config["process"]["capabilities"][set], &capabilities)?;
    }
    let destinations: Vec<_> =
        config["mounts"].as_array().context("mounts")?.iter().map(|m| &m["destination"]).collect();
    let wanted = ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"];
    equal("mounts", destinations, wanted.iter().map(|d| json!(d)).collect::<Vec<_>>().iter().collect::<Vec<_>>())?;
    let kinds: Vec<_> =
        config["linux"]["namespaces"].as_array().context("namespaces")?.iter().map(|n| &n["type"]).collect();
    for kind in ["pid", "network", "ipc", "uts", "mount"] {
        ensure!(kinds.contains(&&json!(kind)), "no {kind} in {kinds:?}");
    }
    contains("masked paths", &config["linux"]["maskedPaths"].to_string(), "/proc/kcore")?;
    contains("read-only paths", &config["linux"]["readonlyPaths"].to_string(), "/proc/sys")
}

/// Without `--bundle` it is written where the caller is.
fn spec_in_the_current_directory() -> Result {
    let dir = scratch()?;
    Call::new(["spec"]).current_dir(dir.path()).output()?.success()?;
    ensure!(dir.path().join("config.json").exists(), "config.json is there");
    Ok(())
}

/// A file that is there may be somebody's work.
fn spec_does_not_overwrite() -> Result {
    let dir = scratch()?;
    fs::write(dir.path().join("config.json"), "mine")?;
    Call::new(["spec", "-b"]).arg(dir.path()).output()?.fails_with("exists")?;
    equal("file", fs::read_to_string(dir.path().join("config.json"))?, "mine")
}

/// What `spec` writes, `run` takes: with a program in place of the shell and without its terminal.
fn spec_can_be_run() -> Result {
    let mut config = spec(&[])?;
    config["process"]["args"] = json!(["/payload", "ids", ",", "caps", ",", "uts"]);
    config["process"]["terminal"] = json!(false);
    let container = Bundle::new([]).dir("proc").dir("dev").dir("sys").build()?;
    config["linux"]["cgroupsPath"] = json!(format!("{}/{}", machine::cgroup_parent(), container.id));
    container.edit_config(|old| *old = config)?;
    let output = container.run()?;
    output.success()?.says("uid", "0")?.says("effective", "20000420")?.says("bounding", "20000420").map(drop)
}

/// `--rootless` is for the caller: a user namespace with one mapping, no network namespace, no resources.
fn spec_rootless() -> Result {
    let config = spec(&["--rootless"])?;
    let text = config["linux"]["namespaces"].to_string();
    ensure!(text.contains("\"user\"") && !text.contains("\"network\""), "{text}");
    for map in ["uidMappings", "gidMappings"] {
        equal(map, &config["linux"][map], &json!([{ "containerID": 0, "hostID": 0, "size": 1 }]))?;
    }
    ensure!(config["linux"].get("resources").is_none(), "{config}");
    ensure!(!config["mounts"].to_string().contains("gid=5"), "{config}");
    Ok(())
}

fn features() -> Result<Value> {
    Ok(serde_json::from_str(&Call::new(["features"]).output()?.success()?.stdout)?)
}

/// CRI-O parses output and error together.
fn features_is_json_and_nothing_else() -> Result {
    let output = Call::new(["features"]).output()?;
    equal("standard error", &*output.success()?.stderr, "")?;
    ensure!(serde_json::from_str::<Value>(&output.stdout)?.is_object(), "{output}");
    Ok(())
}

/// The range of versions that are understood.
fn features_versions() -> Result {
    let features = features()?;
    equal("ociVersionMin", &features["ociVersionMin"], "1.0.0")?;
    ensure!(features["ociVersionMax"].as_str().is_some_and(|v| v.starts_with("1.")), "{features}");
    Ok(())
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
}

/// All six lists of hooks and all eight namespaces.
fn features_hooks_and_namespaces() -> Result {
    let features = features()?;
    let hooks = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    equal("hooks", words(&features["hooks"]), hooks)?;
    let namespaces = words(&features["linux"]["namespaces"]);
    for kind in ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"] {
        ensure!(namespaces.iter().any(|name| name == kind), "no {kind} in {namespaces:?}");
    }
    let capabilities = words(&features["linux"]["capabilities"]);
    ensure!(capabilities.iter().any(|name| name == "CAP_CHECKPOINT_RESTORE"), "{capabilities:?}");
    Ok(())
}

/// Kubernetes takes recursive read-only mounts from `rro`.
fn features_mount_options() -> Result {
    let options = words(&features()?["mountOptions"]);
    for option in ["bind", "rbind", "ro", "rro", "nosuid", "noexec", "nodev", "rprivate", "rshared", "tmpcopyup"] {
        ensure!(options.iter().any(|word| word == option), "no {option} in {options:?}");
    }
    Ok(())
}

/// What is listed MUST be taken: each option on a mount that it fits.
fn features_mount_options_are_accepted() -> Result {
    let source = scratch()?;
    let options = words(&features()?["mountOptions"]);
    // These fit no bind mount: they are for other file systems, or would change what is there already.
    let special = ["remount", "tmpcopyup", "mand", "loud", "silent", "iversion", "lazytime"];
    for option in options.iter().filter(|option| !special.contains(&option.as_str())) {
        let entry =
            json!({ "destination": "/mnt", "type": "bind", "source": source.path(), "options": ["bind", option] });
        let output = Bundle::new(["true"]).mount(entry).run()?;
        output.success().with_context(|| format!("option {option}"))?;
    }
    Ok(())
}

/// What the machine's cgroups are, the runtime can do.
fn features_of_cgroups() -> Result {
    let cgroup = &features()?["linux"]["cgroup"];
    let key = if machine::get().layout == machine::Layout::Unified { "v2" } else { "v1" };
    equal(key, &cgroup[key], true)
}

/// Engines read the runtime's version and whether it can checkpoint from annotations.
fn features_annotations() -> Result {
    let features = features()?;
    ensure!(features["annotations"].is_object(), "{features}");
    let text = features["annotations"].to_string();
    ensure!(!text.contains("\\n"), "no newline in an annotation: {text}");
    Ok(())
}
