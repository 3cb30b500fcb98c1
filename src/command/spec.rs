//! `spec`: write a `config.json` as a template.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::cgroup::{Layout, Mode};
use crate::cli::{Global, SpecArgs};
use crate::host::Host;
use crate::spec::OCI_VERSION;
use crate::sys::{Call, CallError};

pub fn run(global: &Global, args: &SpecArgs) -> Result<()> {
    let caller = Host::read().caller;
    let mode = Layout::read()?.mode();
    let config = match args.rootless {
        true => rootless(template(&global.name, mode), caller.euid, caller.egid),
        false => template(&global.name, mode),
    };
    let path = args.bundle.as_deref().unwrap_or(Path::new(".")).join("config.json");
    let mut text = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    serde::Serialize::serialize(&config, &mut serde_json::Serializer::with_formatter(&mut text, format))?;
    let file = File::options().write(true).create_new(true).mode(0o666).open(&path);
    let file = match file {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("File config.json exists. Remove it first")
        }
        Err(error) => return Err(CallError::new(path.display(), error).into()),
    };
    write(file, &text).inspect_err(|_| drop(std::fs::remove_file(&path)))
}

fn write(mut file: File, text: &[u8]) -> Result<()> {
    file.write_all(text).named("write config.json")
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": kind, "source": source, "options": options})
}

/// runc's template, with the same fields: instructions written for runc apply here.
pub fn template(name: &str, mode: Mode) -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mut namespaces: Vec<Value> =
        ["pid", "network", "ipc", "uts", "mount"].iter().map(|kind| json!({"type": kind})).collect();
    if mode == Mode::Unified {
        namespaces.push(json!({"type": "cgroup"}));
    }
    json!({
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": name,
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": namespaces,
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// The template for an ordinary user: only the user's own id is mapped, the network and `/sys` are the host's, and
/// there are no limits.
pub fn rootless(mut config: Value, uid: u32, gid: u32) -> Value {
    if let Some(linux) = config["linux"].as_object_mut() {
        linux.remove("resources");
        linux.insert("uidMappings".to_owned(), json!([{"containerID": 0, "hostID": uid, "size": 1}]));
        linux.insert("gidMappings".to_owned(), json!([{"containerID": 0, "hostID": gid, "size": 1}]));
        if let Some(namespaces) = linux.get_mut("namespaces").and_then(Value::as_array_mut) {
            namespaces.retain(|namespace| namespace["type"] != "network");
            namespaces.push(json!({"type": "user"}));
        }
    }
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        if mount["destination"] == "/sys" {
            *mount = json!({"destination": "/sys", "type": "none", "source": "/sys", "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
        }
        if let Some(options) = mount.get_mut("options").and_then(Value::as_array_mut) {
            let owned = |option: &Value| {
                option.as_str().is_some_and(|text| text.starts_with("uid=") || text.starts_with("gid="))
            };
            options.retain(|option| !owned(option));
        }
    }
    config
}
