//! From an image's config to `config.json`, as the image specification's conversion.md says.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use anyhow::{Result, bail};
use oci_spec::image::{Config as ImageSettings, ImageConfiguration};
use serde_json::{Map, Value, json};

use super::accounts::Accounts;
use crate::spec::annotation::UNSAFE;
use crate::spec::clean;
use crate::tables::signal;

/// The prefix of the annotations that the specification defines.
const PREFIX: &str = "org.opencontainers.image.";

/// Prefixes of annotations that tare, other runtimes or engines act upon. An image must not set them.
const ACTED_UPON: [&str; 7] = [
    "dev.tare.",
    "io.katacontainers.",
    "io.kubernetes.cri-o.",
    "io.podman.annotations.",
    "org.criu.",
    "org.systemd.property.",
    "run.oci.",
];

/// The facts about an image's files that its config refers to.
pub struct ImageFiles<'a> {
    /// The account files.
    pub accounts: Accounts<'a>,
    /// The user and group of a directory, by its absolute path. `None` if there is no such directory.
    pub owner: &'a dyn Fn(&Path) -> Option<(u32, u32)>,
}

/// A `config.json` that was made from an image.
#[derive(Debug)]
pub struct RuntimeConfig {
    /// The document.
    pub config: Value,
    /// A line for each label that the config lacks.
    pub warnings: Vec<String>,
}

/// Changes a template, such as `tare spec` writes, to a config for an image.
///
/// Members of the image's config that only docker knows, such as `Healthcheck`, `Shell` and `OnBuild`, are not for a
/// runtime: a build or an engine carries them out.
///
/// # Errors
/// A field of the image's config that cannot be carried out. The error names it.
pub fn from_image(template: Value, image: &ImageConfiguration, files: &ImageFiles) -> Result<RuntimeConfig> {
    let nothing = ImageSettings::default();
    let settings = image.config().as_ref().unwrap_or(&nothing);
    let mut config = template;
    let ids = files.accounts.ids(settings.user().as_deref().unwrap_or_default())?;
    let process = &mut config["process"];
    process["args"] = args(settings)?.into();
    process["env"] = env(&process["env"], settings)?.into();
    process["cwd"] = cwd(settings)?.into();
    process["user"]["uid"] = ids.uid.into();
    process["user"]["gid"] = ids.gid.into();
    if !ids.groups.is_empty() {
        process["user"]["additionalGids"] = ids.groups.into();
    }
    config["root"]["readonly"] = false.into();
    let mounts = volumes(&config["mounts"], settings, files)?;
    if let Some(list) = config["mounts"].as_array_mut() {
        list.extend(mounts);
    }
    let mut warnings = Vec::new();
    let annotations = annotations(image, settings, &mut warnings)?;
    if !config["annotations"].is_object() {
        config["annotations"] = Value::Object(Map::new());
    }
    if let Some(members) = config["annotations"].as_object_mut() {
        members.extend(annotations.into_iter().map(|(name, value)| (name, value.into())));
    }
    Ok(RuntimeConfig { config, warnings })
}

fn args(settings: &ImageSettings) -> Result<Vec<String>> {
    let parts = [settings.entrypoint(), settings.cmd()].into_iter().flatten();
    let args: Vec<String> = parts.flatten().cloned().collect();
    match args.first() {
        None => bail!("the image's Entrypoint and Cmd are empty: the image names no program"),
        Some(program) if program.is_empty() => bail!("the image's Entrypoint or Cmd begins with an empty word"),
        Some(_) => Ok(args),
    }
}

/// The variables of the template, each replaced by the image's of the same name, and the others of the image.
fn env(template: &Value, settings: &ImageSettings) -> Result<Vec<String>> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let mut all: Vec<String> =
        template.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    for variable in settings.env().iter().flatten() {
        if !variable.contains('=') || variable.starts_with('=') {
            bail!("the image's Env: {variable:?} is not of the form NAME=VALUE");
        }
        match all.iter_mut().find(|other| name(other) == name(variable)) {
            Some(other) => *other = variable.clone(),
            None => all.push(variable.clone()),
        }
    }
    Ok(all)
}

fn cwd(settings: &ImageSettings) -> Result<String> {
    match settings.working_dir().as_deref().unwrap_or_default() {
        "" => Ok("/".to_owned()),
        directory if directory.starts_with('/') => Ok(directory.to_owned()),
        directory => bail!("the image's WorkingDir: {directory:?} is not an absolute path"),
    }
}

/// The mounts for the image's volumes: a tmpfs each, with the content and the owner of the directory that it covers.
/// Without the option `mode`, tare keeps the mode of that directory.
fn volumes(template: &Value, settings: &ImageSettings, files: &ImageFiles) -> Result<Vec<Value>> {
    let taken: Vec<&str> =
        template.as_array().into_iter().flatten().filter_map(|mount| mount["destination"].as_str()).collect();
    // Sorted, so a volume comes after the one that it is in; each path once.
    let mut mounts = BTreeMap::new();
    for volume in settings.volumes().iter().flatten() {
        let directory = Path::new(volume);
        if !directory.is_absolute() || directory.components().any(|part| part == Component::ParentDir) {
            bail!("the image's Volumes: {volume:?} is not an absolute path without \"..\"");
        }
        let directory = clean(directory);
        if directory == Path::new("/") || taken.iter().any(|taken| directory.starts_with(taken)) {
            bail!("the image's Volumes: {volume:?} would cover a mount that the container needs");
        }
        let mut options: Vec<Value> = vec!["nosuid".into(), "nodev".into(), "tmpcopyup".into()];
        if let Some((uid, gid)) = (files.owner)(&directory).filter(|owner| *owner != (0, 0)) {
            options.extend([format!("uid={uid}").into(), format!("gid={gid}").into()]);
        }
        let name = directory.to_string_lossy().into_owned();
        let mount = json!({"destination": name, "type": "tmpfs", "source": "tmpfs", "options": options});
        mounts.insert(directory, mount);
    }
    Ok(mounts.into_values().collect())
}

/// The annotations that follow from the image's config, and its labels, which win.
fn annotations(
    image: &ImageConfiguration,
    settings: &ImageSettings,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<String, String>> {
    let features = image.os_features().as_ref().map(|features| features.join(","));
    let ports = ports(settings)?;
    let stop = stop_signal(settings)?;
    let implied = [
        ("os", Some(image.os().to_string())),
        ("architecture", Some(image.architecture().to_string())),
        ("variant", image.variant().clone()),
        ("os.version", image.os_version().clone()),
        ("os.features", features),
        ("author", image.author().clone()),
        ("created", image.created().clone()),
        ("stopSignal", stop),
        ("exposedPorts", Some(ports.join(","))),
    ];
    let implied = implied.into_iter().filter_map(|(name, value)| Some((name, value.filter(|it| !it.is_empty())?)));
    let mut all: BTreeMap<String, String> = implied.map(|(name, value)| (format!("{PREFIX}{name}"), value)).collect();
    let labels: BTreeMap<&String, &String> = settings.labels().iter().flatten().collect();
    for (name, value) in labels {
        if name.is_empty() {
            warnings.push("a label of the image is left out: its name is empty".to_owned());
        } else if is_unsafe(name) {
            warnings.push(format!("the label {name:?} of the image is left out: a runtime or an engine acts upon it"));
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    Ok(all)
}

/// Whether an image must not set an annotation.
fn is_unsafe(name: &str) -> bool {
    UNSAFE.contains(&name) || ACTED_UPON.iter().any(|prefix| name.starts_with(prefix))
}

fn stop_signal(settings: &ImageSettings) -> Result<Option<String>> {
    let Some(text) = settings.stop_signal().as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
    match signal::number(text) {
        Some(1..=64) => Ok(Some(text.to_owned())),
        _ => bail!("the image's StopSignal: {text:?} is not a signal"),
    }
}

/// The exposed ports: `PORT`, `PORT-PORT`, with `/tcp`, `/udp` or `/sctp`. In the order of their numbers, for the types of
/// oci-spec lose the order of the document.
fn ports(settings: &ImageSettings) -> Result<Vec<String>> {
    let mut ports = Vec::new();
    for text in settings.exposed_ports().iter().flatten() {
        let (range, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0 && digits(text));
        let known = ["tcp", "udp", "sctp"].iter().any(|known| protocol.eq_ignore_ascii_case(known));
        match (port(first), port(last)) {
            (Some(first), Some(last)) if known && first <= last => ports.push((first, text.clone())),
            _ => bail!("the image's ExposedPorts: {text:?} is not of the form PORT/tcp, PORT/udp or PORT/sctp"),
        }
    }
    ports.sort();
    Ok(ports.into_iter().map(|(_, text)| text).collect())
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod config_tests;
