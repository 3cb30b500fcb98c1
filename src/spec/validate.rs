//! Checks of the document itself: required fields, forms, contradictions.

use std::ffi::OsStr;

use anyhow::Result;
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};

use super::{Field, Refusal, refusal, refuse};

/// The version of the runtime-spec that this program implements.
pub const OCI_VERSION: &str = "1.3.0";

/// The refusal of a config without `process`.
pub fn no_process() -> Refusal {
    refusal!("process", "process property must not be empty")
}

/// Checks the fields that every command relies on, before the runtime changes anything.
pub fn document(spec: &Spec) -> Result<()> {
    version(spec.version())?;
    match spec.root() {
        Some(root) if root.path().as_os_str().is_empty() => refuse!("root.path", "must not be empty"),
        Some(_) => {}
        None => refuse!("root", "root must be specified"),
    }
    let Some(process) = spec.process() else { return Err(no_process().into()) };
    check_process(process)?;
    namespaces(spec)?;
    texts(spec)
}

/// Checks a `process`, that of a config or of `exec --process`.
pub fn check_process(process: &Process) -> Result<()> {
    if process.cwd().as_os_str().is_empty() {
        refuse!("process.cwd", "Cwd property must not be empty");
    }
    if !process.cwd().is_absolute() {
        refuse!("process.cwd", "Cwd must be an absolute path");
    }
    match process.args() {
        Some(args) if !args.is_empty() => {}
        _ => refuse!("process.args", "args must not be empty"),
    }
    for (index, entry) in process.env().iter().flatten().enumerate() {
        let field = || Field::item("process.env", index);
        no_nul(entry, field)?;
        // The value may be a secret, so the message does not include it.
        if !entry.contains('=') {
            refuse!(field(), "invalid environment variable: missing '='");
        }
        if entry.starts_with('=') {
            refuse!(field(), "invalid environment variable: name cannot be empty");
        }
    }
    for (index, argument) in process.args().iter().flatten().enumerate() {
        no_nul(argument, || Field::item("process.args", index))?;
    }
    Ok(())
}

/// Accepts any 1.x of the specification. A property that a later 1.x adds is refused on its own.
fn version(version: &str) -> Result<()> {
    let numbers = version.split(['-', '+']).next().unwrap_or_default();
    let mut parts = numbers.split('.').map(|part| part.parse::<u32>().ok().filter(|_| !part.starts_with('+')));
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Some(1)), Some(Some(_)), Some(Some(_)), None) => Ok(()),
        (Some(Some(_)), Some(Some(_)), Some(Some(_)), None) => {
            refuse!("ociVersion", "unsupported version \"{version}\": this runtime implements {OCI_VERSION}")
        }
        _ => refuse!("ociVersion", "\"{version}\" is not a version"),
    }
}

fn namespaces(spec: &Spec) -> Result<()> {
    let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    let has = |kind| list.iter().any(|namespace| namespace.typ() == kind);
    // Without `linux` the runtime would change the host's name.
    if spec.hostname().as_ref().is_some_and(|name| !name.is_empty()) && !has(LinuxNamespaceType::Uts) {
        refuse!("hostname", "unable to set hostname without a private UTS namespace");
    }
    if spec.domainname().as_ref().is_some_and(|name| !name.is_empty()) && !has(LinuxNamespaceType::Uts) {
        refuse!("domainname", "unable to set domainname without a private UTS namespace");
    }
    let Some(linux) = spec.linux() else { return Ok(()) };
    for (index, namespace) in list.iter().enumerate() {
        let field = Field::item("linux.namespaces", index);
        if list[..index].iter().any(|earlier| earlier.typ() == namespace.typ()) {
            refuse!(field, "malformed spec file: duplicated ns \"{}\"", namespace.typ());
        }
        if let Some(path) = namespace.path() {
            no_nul(path, || field.member("path"))?;
        }
    }
    let mapped = linux.uid_mappings().as_ref().is_some_and(|maps| !maps.is_empty())
        || linux.gid_mappings().as_ref().is_some_and(|maps| !maps.is_empty());
    if mapped && !has(LinuxNamespaceType::User) {
        refuse!(
            "linux.uidMappings",
            "user namespace mappings specified, but user namespace isn't enabled in the config"
        );
    }
    for (key, paths) in [("linux.maskedPaths", linux.masked_paths()), ("linux.readonlyPaths", linux.readonly_paths())] {
        if paths.as_ref().is_some_and(|paths| !paths.is_empty()) && !has(LinuxNamespaceType::Mount) {
            refuse!(key, "unable to restrict sys entries without a private MNT namespace");
        }
    }
    if linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty()) && !has(LinuxNamespaceType::Network) {
        refuse!("linux.netDevices", "unable to move network devices without a NET namespace");
    }
    Ok(())
}

/// A text that becomes a C string must not contain a NUL byte (compare CVE-2021-43784).
fn texts(spec: &Spec) -> Result<()> {
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        let member = |key| Field::item("mounts", index).member(key);
        no_nul(mount.destination(), || member("destination"))?;
        no_nul(mount.typ().as_deref().unwrap_or_default(), || member("type"))?;
        if let Some(source) = mount.source() {
            no_nul(source, || member("source"))?;
        }
        for option in mount.options().iter().flatten() {
            no_nul(option, || member("options"))?;
        }
    }
    if let Some(root) = spec.root() {
        no_nul(root.path(), || Field::of("root.path"))?;
    }
    for (field, value) in [(Field::of("hostname"), spec.hostname()), (Field::of("domainname"), spec.domainname())] {
        let value = value.as_deref().unwrap_or_default();
        no_nul(value, || field.clone())?;
        if value.len() > 64 {
            refuse!(field, "longer than 64 bytes");
        }
    }
    let Some(linux) = spec.linux() else { return Ok(()) };
    for (key, paths) in [("linux.maskedPaths", linux.masked_paths()), ("linux.readonlyPaths", linux.readonly_paths())] {
        for (index, path) in paths.iter().flatten().enumerate() {
            no_nul(path, || Field::item(key, index))?;
        }
    }
    for (key, value) in linux.sysctl().iter().flatten() {
        let field = || Field::of("linux.sysctl").member(key);
        no_nul(key, field)?;
        no_nul(value, field)?;
    }
    Ok(())
}

/// `field` names the text. It is called only for an error, for there may be thousands of texts.
fn no_nul(text: impl AsRef<OsStr>, field: impl FnOnce() -> Field) -> Result<()> {
    if text.as_ref().as_encoded_bytes().contains(&0) { refuse!(field(), "contains a NUL byte") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["1.0.0", "1.0.2-dev", "1.3.0", "1.4.0", "1.2.1+x"] {
            assert!(version(good).is_ok(), "{good}");
        }
        for bad in ["", "invalid", "1", "1.0", "2.0.0", "0.9.0", "1.0.0.0", "1.0.x"] {
            assert!(version(bad).is_err(), "{bad}");
        }
    }
}
