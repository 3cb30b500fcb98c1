//! `features`: what this runtime supports, from the tables that the planner uses.

use anyhow::Result;
use serde_json::{Value, json};

use super::shared::print;
use crate::cli::VERSION;
use crate::spec::OCI_VERSION;
use crate::spec::annotation;
use crate::sys;
use crate::tables::{capability, hook, memory_policy, mount_option, namespace, seccomp};

pub fn run() -> Result<()> {
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut text, format);
    serde::Serialize::serialize(&features(), &mut writer)?;
    text.push(b'\n');
    print(&String::from_utf8_lossy(&text))
}

/// The object that features.md of the runtime-spec describes.
fn features() -> Value {
    let options: Vec<&str> =
        mount_option::OPTIONS.iter().filter(|(_, _, listed)| *listed).map(|(name, _, _)| *name).collect();
    let namespaces: Vec<&str> = namespace::NAMESPACES.iter().map(|row| row.name).collect();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": hook::HOOKS,
        "mountOptions": options,
        "linux": {
            "namespaces": namespaces,
            "capabilities": capability::NAMES.as_slice(),
            "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true},
            "seccomp": {
                "enabled": true,
                "actions": seccomp::ACTIONS,
                "operators": seccomp::OPERATORS,
                "archs": seccomp::ARCHITECTURES,
                "knownFlags": seccomp::FLAGS.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
                "supportedFlags": supported_flags(),
            },
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
            "memoryPolicy": {
                "modes": memory_policy::MODES.map(|mode| mode.name),
                "flags": memory_policy::FLAGS.map(|(_, name, _)| name),
            },
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": true},
        },
        "annotations": {
            "org.opencontainers.runc.version": VERSION,
            "org.opencontainers.runc.checkpoint.enabled": "true",
        },
        "potentiallyUnsafeConfigAnnotations": annotation::UNSAFE,
    })
}

/// The seccomp flags of our table that this kernel supports.
fn supported_flags() -> Vec<&'static str> {
    let known = seccomp::FLAGS.iter().filter(|(_, bits)| sys::process::knows_seccomp_flags(*bits));
    known.map(|(name, _)| *name).collect()
}
