//! `features`: the description that the runtime gives of itself.

use crate::harness::bundle::scratch;
use crate::harness::*;
use anyhow::{Context, ensure};

tests![
    is_json_and_nothing_else,
    versions,
    hooks_and_namespaces,
    mount_options,
    mount_options_are_accepted,
    of_cgroups,
    annotations,
    has_all_members,
    of_memory_policy,
    mount_options_are_sorted,
    form,
];

fn features() -> Result<Value> {
    Ok(serde_json::from_str(&Call::new(["features"]).output()?.success()?.stdout)?)
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|word| Some(word.as_str()?.to_owned())).collect()
}

/// The JSON is on standard output, and standard error is empty: CRI-O parses both together.
fn is_json_and_nothing_else() -> Result {
    let output = Call::new(["features"]).output()?;
    equal("standard error", &*output.success()?.stderr, "")?;
    ensure!(serde_json::from_str::<Value>(&output.stdout)?.is_object(), "{output}");
    Ok(())
}

/// It has the range of supported versions of the specification.
fn versions() -> Result {
    let features = features()?;
    equal("ociVersionMin", &features["ociVersionMin"], "1.0.0")?;
    ensure!(features["ociVersionMax"].as_str().is_some_and(|v| v.starts_with("1.")), "{features}");
    Ok(())
}

/// It has all six lists of hooks and all eight kinds of namespaces.
fn hooks_and_namespaces() -> Result {
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

/// Kubernetes recognizes support for recursive read-only mounts by `rro`.
fn mount_options() -> Result {
    let options = words(&features()?["mountOptions"]);
    for option in ["bind", "rbind", "ro", "rro", "nosuid", "noexec", "nodev", "rprivate", "rshared", "tmpcopyup"] {
        ensure!(options.iter().any(|word| word == option), "no {option} in {options:?}");
    }
    Ok(())
}

/// An option that is listed MUST be accepted: each one is tried on a mount that it is for.
fn mount_options_are_accepted() -> Result {
    let source = scratch()?;
    let options = words(&features()?["mountOptions"]);
    // These options are not for bind mounts: they are for other file systems, or would change the existing mount.
    let special = ["remount", "tmpcopyup", "mand", "loud", "silent", "iversion", "lazytime"];
    for option in options.iter().filter(|option| !special.contains(&option.as_str())) {
        let entry =
            json!({ "destination": "/mnt", "type": "bind", "source": source.path(), "options": ["bind", option] });
        let output = Bundle::new(["true"]).mount(entry).run()?;
        output.success().with_context(|| format!("option {option}"))?;
    }
    Ok(())
}

/// It has the cgroup versions that the machine has.
fn of_cgroups() -> Result {
    let cgroup = &features()?["linux"]["cgroup"];
    let key = if machine::get().layout == machine::Layout::Unified { "v2" } else { "v1" };
    equal(key, &cgroup[key], true)
}

/// Engines read the runtime's version, and whether it supports checkpoints, from annotations.
fn annotations() -> Result {
    let features = features()?;
    ensure!(features["annotations"].is_object(), "{features}");
    let text = features["annotations"].to_string();
    ensure!(!text.contains("\\n"), "a newline in an annotation: {text}");
    Ok(())
}

/// All members are there, with values of the specified types.
fn has_all_members() -> Result {
    let features = features()?;
    for (place, wanted) in [
        ("/linux/cgroup/v1", true),
        ("/linux/cgroup/v2", true),
        ("/linux/seccomp/enabled", true),
        ("/linux/intelRdt/enabled", true),
        ("/linux/mountExtensions/idmap/enabled", true),
    ] {
        equal(place, features.pointer(place), Some(&json!(wanted)))?;
    }
    for place in ["/linux/cgroup/systemd", "/linux/apparmor/enabled", "/linux/selinux/enabled"] {
        ensure!(features.pointer(place).is_some_and(Value::is_boolean), "{place} in {features}");
    }
    for place in ["actions", "operators", "archs", "knownFlags", "supportedFlags"] {
        ensure!(!words(&features["linux"]["seccomp"][place]).is_empty(), "{place} in {features}");
    }
    Ok(())
}

/// `linux.memoryPolicy` and `linux.netDevices` came with version 1.3 of the specification.
fn of_memory_policy() -> Result {
    let features = features()?;
    equal("netDevices", &features["linux"]["netDevices"]["enabled"], true)?;
    let modes = words(&features["linux"]["memoryPolicy"]["modes"]);
    ensure!(modes.iter().any(|mode| mode == "MPOL_PREFERRED_MANY") && modes.len() == 7, "{modes:?}");
    equal("flags", words(&features["linux"]["memoryPolicy"]["flags"]).len(), 3)
}

/// The list of mount options is sorted, and lacks `idmap`, which has a member of its own.
fn mount_options_are_sorted() -> Result {
    let options = words(&features()?["mountOptions"]);
    ensure!(options.is_sorted(), "{options:?}");
    ensure!(!options.iter().any(|option| option == "idmap" || option == "ridmap"), "{options:?}");
    Ok(())
}

/// The JSON is indented by four spaces and ends with one newline.
fn form() -> Result {
    let output = Call::new(["features"]).output()?;
    ensure!(output.success()?.stdout.starts_with("{\n    \"ociVersionMin\""), "{output}");
    ensure!(output.stdout.ends_with("}\n"), "{output}");
    Ok(())
}
