//! The annotations that the runtime carries out. It ignores all others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::config::Config;
use super::{Field, refuse};

/// crun's: keep the caller's supplementary groups, which `podman run --group-add keep-groups` asks for. `0` means no.
pub const KEEP_GROUPS: &str = "run.oci.keep_original_groups";
/// crun's: append the standard output of hooks to this file.
pub const HOOKS_STDOUT: &str = "run.oci.hooks.stdout";
/// crun's: append the standard error of hooks to this file.
pub const HOOKS_STDERR: &str = "run.oci.hooks.stderr";
/// crun's: a socket that receives a pidfd of the container's first process.
pub const PIDFD_RECEIVER: &str = "run.oci.pidfd_receiver";
/// The path of this annotation, for messages.
pub const PIDFD_RECEIVER_FIELD: &str = "annotations.run.oci.pidfd_receiver";
/// crun's: a socket that receives the listener of the seccomp filter if the profile names no socket.
pub const SECCOMP_RECEIVER: &str = "run.oci.seccomp.receiver";
/// crun's: the name of a cgroup below the container's own. The container runs in it and manages it.
pub const DELEGATE_CGROUP: &str = "run.oci.delegate-cgroup";
/// The path of this annotation, for messages.
pub const DELEGATE_CGROUP_FIELD: &str = "annotations.run.oci.delegate-cgroup";
/// crun's: the name of a cgroup below the scope, which becomes the container's own. crun's default is `container`; tare
/// has no default. Only the systemd driver reads it.
pub const SYSTEMD_SUBGROUP: &str = "run.oci.systemd.subgroup";
/// runc's: a file with settings for CRIU. An empty name means no such file.
pub const CRIU_CONFIG: &str = "org.criu.config";
/// runc's: the prefix of annotations that set a property of the container's unit.
pub const SYSTEMD_PROPERTY: &str = "org.systemd.property.";
/// crun's: refuse a profile that names a system call that no architecture has. `0` means no.
pub const FAIL_UNKNOWN_SYSCALL: &str = "run.oci.seccomp_fail_unknown_syscall";

/// tare's: the layers of the root file system, a JSON array of directories with the base layer first.
pub const LAYERS: &str = "dev.tare.layers";
/// tare's: the directory that is the writable layer above them.
pub const UPPER: &str = "dev.tare.upper";
/// tare's: the directory that overlayfs needs beside the writable layer.
pub const WORK: &str = "dev.tare.work";
/// tare's: the writable layer stays when the container is deleted. `true` or `false`.
pub const KEEP: &str = "dev.tare.keep";
/// tare's: the mappings of the container's user namespace also map the owners of the layers. `true` or `false`.
pub const ID_MAP: &str = "dev.tare.idmap";
/// tare's: the image that the layers come from, with the digest of its manifest: `PATH@DIGEST`.
pub const IMAGE: &str = "dev.tare.image";

/// Annotations of crun that change what a container is or may do, and that tare refuses, each with its replacement. If tare
/// ignored them, the container would differ from its config.
const REFUSED: &[(&str, &str)] = &[
    ("run.oci.handler", "other kinds of containers are not made"),
    ("run.oci.mount_context_type", "linux.mountLabel always becomes the option \"context\""),
    ("run.oci.seccomp.plugins", "an agent is named by linux.seccomp.listenerPath"),
    ("run.oci.seccomp_bpf_data", "a profile is given by linux.seccomp"),
    ("run.oci.systemd.force_cgroup_v1", "a v1 hierarchy is given by mounts"),
    ("run.oci.timens_offset", "offsets are given by linux.timeOffsets"),
];

/// Annotations that an image must not set: features.md, "Unsafe annotations in config.json".
pub const UNSAFE: &[&str] = &[
    CRIU_CONFIG,
    LAYERS,
    UPPER,
    WORK,
    KEEP,
    ID_MAP,
    IMAGE,
    SYSTEMD_PROPERTY,
    DELEGATE_CGROUP,
    FAIL_UNKNOWN_SYSCALL,
    HOOKS_STDERR,
    HOOKS_STDOUT,
    KEEP_GROUPS,
    PIDFD_RECEIVER,
    SECCOMP_RECEIVER,
    SYSTEMD_SUBGROUP,
];

/// The annotation [`DELEGATE_CGROUP`]: a path relative to the container's cgroup.
pub fn delegated_cgroup(config: &Config) -> Result<Option<&str>> {
    cgroup_below(config.annotations(), DELEGATE_CGROUP, "the container's cgroup")
}

/// The annotation [`SYSTEMD_SUBGROUP`]: a path relative to the scope.
///
/// # Errors
/// A path that leads out of the scope.
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
        refuse!(Field::of("annotations").member(name), "{path:?} is not a path below {whose}");
    }
    Ok(Some(path))
}

/// The annotation [`SECCOMP_RECEIVER`].
///
/// # Errors
/// A path that is not absolute.
pub fn seccomp_receiver(config: &Config) -> Result<Option<&str>> {
    match config.annotation(SECCOMP_RECEIVER) {
        Some(path) if !Path::new(path).is_absolute() => {
            refuse!(Field::of("annotations").member(SECCOMP_RECEIVER), "{path:?} must be an absolute path")
        }
        value => Ok(value),
    }
}

/// The annotation [`KEEP_GROUPS`].
pub fn keeps_groups(config: &Config) -> bool {
    is_set(config, KEEP_GROUPS)
}

/// The annotation [`FAIL_UNKNOWN_SYSCALL`].
pub fn fails_unknown_syscall(config: &Config) -> bool {
    is_set(config, FAIL_UNKNOWN_SYSCALL)
}

/// The annotation [`LAYERS`].
///
/// # Errors
/// A value that is not a list of paths.
pub fn layers(config: &Config) -> Result<Option<Vec<PathBuf>>> {
    let Some(text) = config.annotation(LAYERS) else { return Ok(None) };
    match serde_json::from_str(text) {
        Ok(layers) => Ok(Some(layers)),
        Err(_) => {
            refuse!(Field::of("annotations").member(LAYERS), "must be a JSON array of directories, such as [\"/base\"]")
        }
    }
}

/// An annotation that is `true` or `false`, such as [`KEEP`]; `false` without it.
///
/// # Errors
/// Another value.
pub fn is_true(config: &Config, name: &str) -> Result<bool> {
    match config.annotation(name) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(value) => refuse!(Field::of("annotations").member(name), "{value:?} is neither true nor false"),
    }
}

fn is_set(config: &Config, name: &str) -> bool {
    config.annotation(name).is_some_and(|value| value != "0")
}

/// Checks the annotations of a config.
///
/// # Errors
/// A refused annotation. A relative path for the output of hooks: the later commands, which also run hooks, may have
/// another working directory.
pub fn check(config: &Config) -> Result<()> {
    for (name, value) in config.annotations().into_iter().flatten() {
        if matches!(name.as_str(), HOOKS_STDOUT | HOOKS_STDERR) && !Path::new(value).is_absolute() {
            refuse!(Field::of("annotations").member(name), "{value:?} must be an absolute path");
        }
        if let Some((_, instead)) = REFUSED.iter().find(|(refused, _)| refused == name) {
            refuse!(Field::of("annotations").member(name), "not supported: {instead}");
        }
    }
    Ok(())
}
