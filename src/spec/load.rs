//! From the bytes of `config.json` to a [`Spec`] and what a `Spec` cannot hold.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use oci_spec::runtime::{LinuxResources, Spec};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::{Extras, limits};
use crate::tables::capability;

/// Read and check a config.
pub fn load(path: &Path) -> Result<(Spec, Extras)> {
    parse(&read(path)?)
}

/// The bytes of a config.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("JSON specification file {} not found", path.display())
        }
        other => other.map_err(crate::sys::io).context(path.display().to_string()),
    }
}

/// Parse `config.json`.
///
/// `oci-spec` is strict in six places where the specification is not; a borrowed pre-pass over
/// only those finds out whether the detour over a JSON tree is needed at all.
pub fn parse(bytes: &[u8]) -> Result<(Spec, Extras)> {
    let text = std::str::from_utf8(bytes).context("config.json: not valid UTF-8")?;
    super::shape::check(text)?;
    let peek: Option<Peek> = typed(text)?;
    let peek = peek.ok_or_else(|| anyhow!("config.json: config cannot be null"))?;
    let (extras, unusual) = peek.extras();
    let spec = if unusual { reduced(text)? } else { typed(text)? };
    super::validate::document(&spec)?;
    Ok((spec, extras))
}

/// Parse a `process` object on its own: what `exec --process` is given.
pub fn parse_process(bytes: &[u8]) -> Result<(oci_spec::runtime::Process, Extras)> {
    let text = std::str::from_utf8(bytes).context("process: not valid UTF-8")?;
    let peek: PeekProcess = typed(text)?;
    let (extras, unusual) = Peek { process: Some(peek), linux: None }.extras();
    let process = if unusual {
        let mut tree: Value = typed(text)?;
        reduce_process(&mut tree);
        from_tree(tree)?
    } else {
        typed(text)?
    };
    Ok((process, extras))
}

/// Parse a `linux.resources` section on its own: what `update --resources` is given. The result is
/// the document, to be merged into a config, once every field in it is known to have the right type.
pub fn parse_resources(bytes: &[u8]) -> Result<Map<String, Value>> {
    #[derive(Deserialize)]
    struct Whole {
        #[expect(dead_code, reason = "parsed to be checked")]
        linux: Part,
    }
    #[derive(Deserialize)]
    struct Part {
        #[expect(dead_code, reason = "parsed to be checked")]
        resources: LinuxResources,
    }
    let text = std::str::from_utf8(bytes).context("resources: not valid UTF-8")?;
    let own: Value = serde_json::from_str(text).map_err(|error| anyhow!("resources: {error}"))?;
    let Value::Object(asked) = own.clone() else { bail!("resources: not an object") };
    // As a part of a config it is complained about as one.
    let text = serde_json::json!({ "linux": { "resources": own } }).to_string();
    super::shape::check(&text)?;
    typed::<Peek<'_>>(&text)?;
    let mut whole: Value = typed(&text)?;
    reduce_resources(&mut whole["linux"]["resources"]);
    from_tree::<Whole>(whole)?;
    Ok(asked)
}

/// The properties of a config that nothing in this program reads: the specification has them
/// ignored, and whoever wrote them may want to know.
pub fn unknown_properties(bytes: &[u8], spec: &Spec) -> Result<Vec<String>> {
    let (given, known): (Value, Value) = (serde_json::from_slice(bytes)?, serde_json::to_value(spec)?);
    let mut unknown = Vec::new();
    compare("", &given, &known, &mut unknown);
    Ok(unknown)
}

fn compare(place: &str, given: &Value, known: &Value, unknown: &mut Vec<String>) {
    // What `oci-spec` cannot hold and the pre-pass reads.
    const READ: [&str; 4] = [
        "process.execCPUAffinity",
        "process.scheduler.flags",
        "linux.resources.pids",
        "linux.resources.hugepageLimits",
    ];
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            for (key, value) in given {
                let inner = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                match known.get(key) {
                    _ if READ.contains(&inner.as_str()) || limits::reads(&inner) || value.is_null() => {}
                    Some(known) => compare(&inner, value, known, unknown),
                    None => unknown.push(inner),
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                compare(&format!("{place}[{index}]"), given, known, unknown);
            }
        }
        _ => {}
    }
}

/// Parse, and on failure say at which field.
fn typed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T> {
    serde_json::from_str(text).or_else(|_| {
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| anyhow!("config.json: {error}"))?;
        let mut parser = serde_json::Deserializer::from_str(text);
        let parsed = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
            let path = error.path().to_string();
            at_field(&path, &error.into_inner())
        })?;
        Ok(parsed)
    })
}

fn from_tree<T: for<'a> Deserialize<'a>>(tree: Value) -> Result<T> {
    serde_path_to_error::deserialize(tree).map_err(|error| {
        let path = error.path().to_string();
        at_field(&path, &error.into_inner())
    })
}

/// An error of the parser with the field first; one about a field that is missing is about that.
fn at_field(path: &str, error: &serde_json::Error) -> anyhow::Error {
    let path = if matches!(path, "." | "?") { "" } else { path };
    let text = nearest(error.to_string());
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match (path, missing) {
        ("", Some(name)) => anyhow!("{name}: must be given"),
        (path, Some(name)) => anyhow!("{path}.{name}: must be given"),
        ("", None) => anyhow!("config.json: {text}"),
        (path, None) => anyhow!("{path}: {text}"),
    }
}

/// Of the words that a field takes the parser lists all. Of many those that are near stay.
fn nearest(text: String) -> String {
    const FEW: usize = 8;
    let Some((before, list)) = text.split_once(", expected one of ") else { return text };
    let Some(given) = before.split('`').nth(1) else { return text };
    if list.matches('`').count() <= 2 * FEW {
        return text;
    }
    let (list, place) = list.split_once(" at line ").map_or((list, None), |(list, place)| (list, Some(place)));
    let mut near: Vec<(usize, &str)> = list
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|word| (distance(given, word), word))
        .filter(|(far, _)| *far <= 3)
        .collect();
    near.sort();
    let words: Vec<String> = near.iter().take(3).map(|(_, word)| format!("`{word}`")).collect();
    let near = if words.is_empty() { String::new() } else { format!(", did you mean {}?", words.join(" or ")) };
    let place = place.map_or(String::new(), |place| format!(" at line {place}"));
    format!("{before}{near}{place}")
}

/// How many letters have to be put in, taken out or exchanged to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (at, another) in other.chars().enumerate() {
            let exchanged = diagonal + usize::from(letter != another);
            diagonal = row[at + 1];
            row[at + 1] = exchanged.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.chars().count()]
}

/// The long way: take out what `oci-spec` refuses; the pre-pass has kept it.
fn reduced(text: &str) -> Result<Spec> {
    let mut tree: Value = typed(text)?;
    if let Some(process) = tree.get_mut("process") {
        reduce_process(process);
    }
    if let Some(resources) = tree.get_mut("linux").and_then(|linux| linux.get_mut("resources")) {
        reduce_resources(resources);
    }
    from_tree(tree)
}

fn reduce_resources(resources: &mut Value) {
    let Value::Object(resources) = resources else { return };
    resources.remove("pids");
    resources.remove("hugepageLimits");
    for rule in resources.get_mut("devices").and_then(Value::as_array_mut).into_iter().flatten() {
        if rule.get("type") == Some(&Value::String(String::new()))
            && let Some(rule) = rule.as_object_mut()
        {
            rule.remove("type");
        }
    }
}

fn reduce_process(process: &mut Value) {
    let Value::Object(process) = process else { return };
    process.remove("execCPUAffinity");
    // The schema requires neither, and to runc what is not said is 0.
    let user = process.entry("user").or_insert(Value::Null);
    if user.is_null() {
        *user = Value::Object(Map::new());
    }
    if let Value::Object(user) = user {
        for id in ["uid", "gid"] {
            let id = user.entry(id).or_insert(Value::Null);
            if id.is_null() {
                *id = Value::from(0);
            }
        }
    }
    if let Some(Value::Object(scheduler)) = process.get_mut("scheduler") {
        scheduler.remove("flags");
    }
    if let Some(Value::Object(sets)) = process.get_mut("capabilities") {
        for set in sets.values_mut().filter_map(Value::as_array_mut) {
            set.retain(|name| name.as_str().is_none_or(|name| capability::number(name).is_some()));
        }
    }
}

#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    process: Option<PeekProcess<'a>>,
    #[serde(borrow)]
    linux: Option<PeekLinux<'a>>,
}

/// Lists of names by the name of the set.
type Sets<'a> = HashMap<Cow<'a, str>, Option<Vec<Cow<'a, str>>>>;

#[derive(Deserialize)]
struct PeekProcess<'a> {
    #[serde(borrow)]
    capabilities: Option<Sets<'a>>,
    scheduler: Option<PeekScheduler>,
    user: Option<PeekUser>,
    #[serde(rename = "execCPUAffinity")]
    exec_cpu_affinity: Option<PeekAffinity>,
}

#[derive(Deserialize)]
struct PeekUser {
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Deserialize)]
struct PeekScheduler {
    flags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct PeekAffinity {
    initial: Option<String>,
    #[serde(rename = "final")]
    last: Option<String>,
}

#[derive(Deserialize)]
struct PeekLinux<'a> {
    #[serde(borrow)]
    resources: Option<PeekResources<'a>>,
}

#[derive(Default)]
struct PeekResources<'a> {
    limits: Vec<(&'static str, i64)>,
    /// An object `pids` has no `limit`, which the type of `oci-spec` demands.
    pids_without_limit: bool,
    hugepage_limits: Option<Vec<PeekHugepage>>,
    devices: Option<Vec<PeekDevice<'a>>>,
}

impl<'a, 'de: 'a> Deserialize<'de> for PeekResources<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(ResourcesVisitor)
    }
}

/// A key of `linux.resources`, without a copy of it.
enum Key {
    HugepageLimits,
    Devices,
    /// With fields that `limits` reads.
    Section(&'static str),
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_identifier(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> std::result::Result<Key, E> {
        Ok(match key {
            "hugepageLimits" => Key::HugepageLimits,
            "devices" => Key::Devices,
            key => limits::section(key).map_or(Key::Other, Key::Section),
        })
    }
}

struct ResourcesVisitor;

impl<'de> Visitor<'de> for ResourcesVisitor {
    type Value = PeekResources<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut peek = PeekResources::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::HugepageLimits => peek.hugepage_limits = map.next_value()?,
                Key::Devices => peek.devices = map.next_value()?,
                Key::Section(name) => {
                    let before = peek.limits.len();
                    map.next_value_seed(limits::Section { name, limits: &mut peek.limits })?;
                    peek.pids_without_limit |= name == "pids" && peek.limits.len() == before;
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(peek)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PeekHugepage {
    page_size: String,
    limit: u64,
}

#[derive(Deserialize)]
struct PeekDevice<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
}

impl Peek<'_> {
    /// What was seen, and whether `oci-spec` would refuse or lose some of it.
    fn extras(self) -> (Extras, bool) {
        let mut extras = Extras::default();
        let mut unusual = false;
        if let Some(process) = self.process {
            for name in process.capabilities.into_iter().flatten().filter_map(|(_, set)| set).flatten() {
                if capability::number(&name).is_none() {
                    unusual = true;
                    if !extras.unknown_capabilities.iter().any(|known| *known == name) {
                        extras.unknown_capabilities.push(name.into_owned());
                    }
                }
            }
            extras.scheduler_flags = process.scheduler.and_then(|scheduler| scheduler.flags).unwrap_or_default();
            unusual |= process.user.is_none_or(|user| user.uid.is_none() || user.gid.is_none());
            // The check in oci-spec compiles a Unicode regex, which costs more than the rest.
            unusual |= process.exec_cpu_affinity.is_some() || !extras.scheduler_flags.is_empty();
            if let Some(affinity) = process.exec_cpu_affinity {
                let set = |list: Option<String>| list.filter(|list| !list.is_empty());
                extras.exec_cpu_affinity = (set(affinity.initial), set(affinity.last));
            }
        }
        if let Some(resources) = self.linux.and_then(|linux| linux.resources) {
            extras.limits = resources.limits;
            let limits = resources.hugepage_limits.unwrap_or_default();
            unusual |= resources.pids_without_limit;
            unusual |= limits.iter().any(|limit| i64::try_from(limit.limit).is_err());
            unusual |=
                resources.devices.into_iter().flatten().any(|rule| rule.kind.is_some_and(|kind| kind.is_empty()));
            extras.hugepage_limits = limits.into_iter().map(|limit| (limit.page_size, limit.limit)).collect();
        }
        (extras, unusual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"ociVersion":"1.3.0","root":{"path":"rootfs"},
        "process":{"user":{"uid":0,"gid":0},"cwd":"/","args":["x"]}}"#;

    fn with(pointer: &str, value: Value) -> String {
        let mut tree: Value = serde_json::from_str(SMALL).unwrap();
        let mut place = &mut tree;
        for key in pointer.split('/') {
            place = place.as_object_mut().unwrap().entry(key).or_insert_with(|| Value::Object(Default::default()));
        }
        *place = value;
        tree.to_string()
    }

    #[test]
    fn unknown_capabilities_are_kept_apart() {
        let text = with("process/capabilities", serde_json::json!({"bounding": ["CAP_KILL", "CAP_TEST"]}));
        let (spec, extras) = parse(text.as_bytes()).unwrap();
        assert_eq!(extras.unknown_capabilities, ["CAP_TEST"]);
        let sets = spec.process().as_ref().unwrap().capabilities().as_ref().unwrap().clone();
        assert_eq!(sets.bounding().as_ref().unwrap().len(), 1);
    }

    #[test]
    fn affinity_may_be_empty_and_hold_blanks() {
        let text = with("process/execCPUAffinity", serde_json::json!({"initial": "", "final": "0-3, 7"}));
        let (_, extras) = parse(text.as_bytes()).unwrap();
        assert_eq!(extras.exec_cpu_affinity, (None, Some("0-3, 7".to_owned())));
    }

    #[test]
    fn absent_and_zero_pids_differ() {
        let limit = |value| {
            parse(with("linux/resources/pids", value).as_bytes()).unwrap().1.limit("linux.resources.pids.limit")
        };
        assert_eq!(limit(serde_json::json!({})), None);
        assert_eq!(limit(serde_json::json!({"limit": 0})), Some(0));
    }

    #[test]
    fn wrong_types_are_named() {
        let error = |pointer, value| format!("{:#}", parse(with(pointer, value).as_bytes()).unwrap_err());
        assert!(error("process/cwd", Value::from(7)).starts_with("process.cwd: invalid type"));
        assert!(
            error("linux/resources/pids", serde_json::json!({"limit": "x"}))
                .starts_with("linux.resources.pids.limit: ")
        );
        assert!(error("mounts", serde_json::json!([{"source": "x"}])).starts_with("mounts[0]"));
    }

    #[test]
    fn resources_on_their_own() {
        let asked = parse_resources(br#"{"pids": {"limit": 0}, "hugepageLimits": [], "cpu": null}"#).unwrap();
        assert_eq!(asked["pids"]["limit"], 0);
        for (text, wanted) in [
            ("", "resources: EOF while parsing"),
            (r#"{"cpu": 3"#, "resources: EOF while parsing"),
            ("{} {}", "resources: trailing characters"),
            ("null", "resources: not an object"),
            ("[]", "resources: not an object"),
            (r#"{"cpu": 3}"#, "linux.resources.cpu: invalid type"),
            (r#"{"pids": {"limit": "x"}}"#, "linux.resources.pids.limit: invalid type"),
            (r#"{"memory": []}"#, "linux.resources.memory: "),
        ] {
            let error = parse_resources(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn of_words_only_the_near_ones_are_listed() {
        let text = |given: &str| {
            let profile = serde_json::json!({"defaultAction": given});
            parse(with("linux/seccomp", profile).as_bytes()).unwrap_err().to_string()
        };
        let near = text("SCMP_ACT_ALOW");
        assert!(
            near.starts_with("linux.seccomp.defaultAction: unknown variant `SCMP_ACT_ALOW`, did you mean"),
            "{near}"
        );
        assert!(near.contains("`SCMP_ACT_ALLOW`") && !near.contains("KILL_PROCESS"), "{near}");
        assert!(!text("x").contains("did you mean"), "{}", text("x"));
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn unknown_properties_are_found() {
        let text = with("process/colour", Value::from("red"));
        let (spec, _) = parse(text.as_bytes()).unwrap();
        assert_eq!(unknown_properties(text.as_bytes(), &spec).unwrap(), ["process.colour"]);
        let (spec, _) = parse(SMALL.as_bytes()).unwrap();
        assert!(unknown_properties(SMALL.as_bytes(), &spec).unwrap().is_empty());
    }

    #[test]
    fn broken_documents_are_errors() {
        for text in ["", "null", "[]", "{", "{}", "{} x"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
