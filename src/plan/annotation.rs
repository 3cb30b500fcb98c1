//! `annotations` that mean something to the runtime; all others are somebody else's.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Result, bail};
use oci_spec::runtime::Spec;

/// Keep the caller's supplementary groups; crun's, and what `podman run --group-add keep-groups`
/// asks for. `0` asks for nothing.
pub const KEEP_GROUPS: &str = "run.oci.keep_original_groups";
/// Append what hooks write to standard output to this file; crun's.
pub const HOOKS_STDOUT: &str = "run.oci.hooks.stdout";
/// The same for standard error.
pub const HOOKS_STDERR: &str = "run.oci.hooks.stderr";

/// A socket that gets a handle of the container's first process; crun's.
pub const PIDFD_RECEIVER: &str = "run.oci.pidfd_receiver";
/// Its place in the config.
pub const PIDFD_RECEIVER_FIELD: &str = "annotations.run.oci.pidfd_receiver";
/// A socket that gets the listener of a seccomp filter, where the profile names none; crun's.
pub const SECCOMP_RECEIVER: &str = "run.oci.seccomp.receiver";
/// The name of a cgroup below the container's own, which the container is in and manages; crun's.
pub const DELEGATE_CGROUP: &str = "run.oci.delegate-cgroup";
/// The name of a cgroup below the scope, which is the container's own then; crun's, whose value is `container` unless it is
/// told otherwise. Nothing of it without systemd.
pub const SYSTEMD_SUBGROUP: &str = "run.oci.systemd.subgroup";
/// A file of settings for CRIU, or with no name that there is none; runc's.
pub const CRIU_CONFIG: &str = "org.criu.config";

/// What the names of those begin with that set a property of the container's unit; runc's.
pub const SYSTEMD_PROPERTY: &str = "org.systemd.property.";

/// Fail where the profile names a system call that no architecture has; crun's. `0` asks for nothing.
pub const FAIL_UNKNOWN_SYSCALL: &str = "run.oci.seccomp_fail_unknown_syscall";

/// Annotations of crun that change what a container may do, or what it is, and are not carried out: each with what does
/// it instead. Passed over, they would leave a container other than its config says.
const REFUSED: &[(&str, &str)] = &[
    ("run.oci.handler", "other kinds of containers are not made"),
    ("run.oci.mount_context_type", "linux.mountLabel always becomes the option \"context\""),
    ("run.oci.seccomp.plugins", "an agent is named by linux.seccomp.listenerPath"),
    ("run.oci.seccomp_bpf_data", "a profile is given by linux.seccomp"),
    ("run.oci.systemd.force_cgroup_v1", "a v1 hierarchy is given by mounts"),
    ("run.oci.timens_offset", "offsets are given by linux.timeOffsets"),
];

/// What an image must not be allowed to set: features.md, "Unsafe annotations in config.json".
pub const UNSAFE: &[&str] = &[
    #[cfg(feature = "criu")]
    CRIU_CONFIG,
    #[cfg(feature = "systemd")]
    SYSTEMD_PROPERTY,
    DELEGATE_CGROUP,
    FAIL_UNKNOWN_SYSCALL,
    HOOKS_STDERR,
    HOOKS_STDOUT,
    KEEP_GROUPS,
    PIDFD_RECEIVER,
    SECCOMP_RECEIVER,
    #[cfg(feature = "systemd")]
    SYSTEMD_SUBGROUP,
];

/// The cgroup that is handed over to the container, relative to its own.
pub fn delegated_cgroup(spec: &Spec) -> Result<Option<&str>> {
    cgroup_below(spec.annotations().as_ref(), DELEGATE_CGROUP, "the container's cgroup")
}

/// The cgroup below the scope of systemd, relative to it.
///
/// # Errors
/// A path that leads elsewhere.
pub fn systemd_subgroup(annotations: Option<&HashMap<String, String>>) -> Result<Option<&str>> {
    cgroup_below(annotations, SYSTEMD_SUBGROUP, "the scope")
}

fn cgroup_below<'a>(
    annotations: Option<&'a HashMap<String, String>>,
    name: &str,
    whose: &str,
) -> Result<Option<&'a str>> {
    let value = annotations.and_then(|annotations| annotations.get(name));
    let Some(path) = value.filter(|path| !path.is_empty()) else { return Ok(None) };
    if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
        bail!("annotations.{name}: {path:?} is not a path below {whose}");
    }
    Ok(Some(path))
}

/// The socket for the listener of a seccomp filter.
///
/// # Errors
/// A path that is not absolute.
pub fn seccomp_receiver(spec: &Spec) -> Result<Option<&str>> {
    let value = spec.annotations().as_ref().and_then(|annotations| annotations.get(SECCOMP_RECEIVER));
    match value {
        Some(path) if !Path::new(path).is_absolute() => {
            bail!("annotations.{SECCOMP_RECEIVER}: {path:?} must be an absolute path")
        }
        value => Ok(value.map(String::as_str)),
    }
}

/// Are the caller's groups kept?
pub fn keeps_groups(spec: &Spec) -> bool {
    is_set(spec, KEEP_GROUPS)
}

/// Is a system call that no architecture has an error?
pub fn fails_unknown_syscall(spec: &Spec) -> bool {
    is_set(spec, FAIL_UNKNOWN_SYSCALL)
}

fn is_set(spec: &Spec, name: &str) -> bool {
    let value = spec.annotations().as_ref().and_then(|annotations| annotations.get(name));
    value.is_some_and(|value| value != "0")
}

/// Check the values of those that have to be something, and that nothing is asked for that is not carried out.
///
/// # Errors
/// A file for the output of hooks that is not named by an absolute path: later commands run
/// elsewhere.
pub fn check(spec: &Spec) -> Result<()> {
    for (name, value) in spec.annotations().iter().flatten() {
        if matches!(name.as_str(), HOOKS_STDOUT | HOOKS_STDERR) && !Path::new(value).is_absolute() {
            bail!("annotations.{name}: {value:?} must be an absolute path");
        }
        if let Some((_, instead)) = REFUSED.iter().find(|(refused, _)| refused == name) {
            bail!("annotations.{name}: not supported: {instead}");
        }
    }
    Ok(())
}
