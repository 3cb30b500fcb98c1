//! Loads a [`Config`] from the bytes of `config.json`.

use std::path::Path;

use anyhow::{Result, bail};
use oci_spec::runtime::{LinuxResources, Process, Spec};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::config::Config;
use super::peek::{Peek, PeekProcess};
use super::process::ProcessConfig;
use super::shape::{self, Property};
use super::typed::{from_tree, typed};
use super::validate;
use super::{Refusal, limits, refusal, refuse};
use crate::sys::Call;
use crate::tables::capability;

/// Reads the bytes of a config.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("JSON specification file {} not found", path.display())
        }
        other => other.named(path.display()),
    }
}

/// Checks that the bytes are UTF-8, as JSON demands.
fn utf8<'a>(bytes: &'a [u8], document: &'static str) -> Result<&'a str, Refusal> {
    std::str::from_utf8(bytes).map_err(|error| refusal!(document, "not valid UTF-8: {error}"))
}

/// Parses and checks `config.json`.
///
/// `oci-spec` is stricter than the specification in six places. A pre-pass reads only those, without copies, and
/// decides whether to parse by way of a JSON tree, which is slower.
pub fn parse(bytes: &[u8]) -> Result<Config> {
    let text = utf8(bytes, "config.json")?;
    shape::check(text, shape::CONFIG, "config.json")?;
    let peek: Option<Peek> = typed(text)?;
    let peek = peek.ok_or_else(|| refusal!("config.json", "config cannot be null"))?;
    let (beside_process, beside_resources) = peek.seen();
    let mut spec: Spec = match beside_process.unusual || beside_resources.unusual {
        true => reduced(text)?,
        false => typed(text)?,
    };
    validate::document(&spec)?;
    let process = spec.process_mut().take().ok_or_else(validate::no_process)?;
    let process = ProcessConfig::new(process, beside_process.extras);
    Ok(Config::new(spec, process, beside_resources.extras))
}

/// Parses a `process` object on its own, as `exec --process` reads it.
pub fn parse_process(bytes: &[u8]) -> Result<ProcessConfig> {
    let text = utf8(bytes, "process")?;
    shape::check(text, shape::PROCESS, "process")?;
    let beside = typed::<PeekProcess<'_>>(text)?.seen();
    let process: Process = if beside.unusual {
        let mut tree: Value = typed(text)?;
        shape::without_beside(&mut tree, shape::PROCESS);
        reduce_process(&mut tree);
        from_tree(&tree)?
    } else {
        typed(text)?
    };
    Ok(ProcessConfig::new(process, beside.extras))
}

/// Parses a `linux.resources` section on its own, as `update --resources` reads it. Checks the type of every field, and
/// returns the JSON object, which `update` merges into the config.
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
    let text = utf8(bytes, "resources")?;
    let own: Value = serde_json::from_str(text).map_err(|error| refusal!("resources", "{error}"))?;
    let Value::Object(asked) = own.clone() else { refuse!("resources", "not an object") };
    // The errors then name the field by its path in a config.
    let text = serde_json::json!({ "linux": { "resources": own } }).to_string();
    shape::check(&text, shape::CONFIG, "config.json")?;
    typed::<Peek<'_>>(&text)?;
    let mut whole: Value = typed(&text)?;
    shape::without_beside(&mut whole, shape::CONFIG);
    reduce_resources(&mut whole["linux"]["resources"]);
    from_tree::<Whole>(&whole)?;
    Ok(asked)
}

/// The properties of a config that nothing in this program reads. The specification says that they are ignored; `plan`
/// lists them for the author of the config.
pub fn unknown_properties(bytes: &[u8], config: &Config) -> Result<Vec<String>> {
    let given: Value = typed(utf8(bytes, "config.json")?)?;
    let mut known = serde_json::to_value(config.spec())?;
    known["process"] = serde_json::to_value(&**config.process())?;
    let mut unknown = Vec::new();
    compare("", shape::CONFIG, &given, &known, &mut unknown);
    Ok(unknown)
}

fn compare(place: &str, members: &'static [Property], given: &Value, known: &Value, unknown: &mut Vec<String>) {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            for (key, value) in given {
                let inner = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                let property = shape::find(members, key);
                match known.get(key) {
                    _ if property.is_some_and(|property| property.beside)
                        || value.is_null()
                        || limits::reads(&inner) => {}
                    Some(known) => {
                        let members = property.map_or(&[] as &[_], |property| property.members);
                        compare(&inner, members, value, known, unknown);
                    }
                    None => unknown.push(inner),
                }
            }
        }
        (Value::Array(given), Value::Array(known)) => {
            for (index, (given, known)) in given.iter().zip(known).enumerate() {
                compare(&format!("{place}[{index}]"), members, given, known, unknown);
            }
        }
        _ => {}
    }
}

/// Parses by way of a tree, without the values that `oci-spec` refuses. The pre-pass has read those.
fn reduced(text: &str) -> Result<Spec> {
    let mut tree: Value = typed(text)?;
    shape::without_beside(&mut tree, shape::CONFIG);
    if let Some(process) = tree.get_mut("process") {
        reduce_process(process);
    }
    if let Some(resources) = tree.get_mut("linux").and_then(|linux| linux.get_mut("resources")) {
        reduce_resources(resources);
    }
    Ok(from_tree(&tree)?)
}

fn reduce_resources(resources: &mut Value) {
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
    // The schema requires neither id. As in runc, an absent id is 0.
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
    if let Some(Value::Object(sets)) = process.get_mut("capabilities") {
        for set in sets.values_mut().filter_map(Value::as_array_mut) {
            set.retain(|name| name.as_str().is_none_or(|name| capability::number(name).is_some()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::process::ExecAffinity;

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
        let config = parse(text.as_bytes()).unwrap();
        assert_eq!(config.process().extras.unknown_capabilities, ["CAP_TEST"]);
        let sets = config.process().capabilities().as_ref().unwrap().clone();
        assert_eq!(sets.bounding().as_ref().unwrap().len(), 1);
    }

    #[test]
    fn affinity_may_be_empty_and_hold_blanks() {
        let text = with("process/execCPUAffinity", serde_json::json!({"initial": "", "final": "0-3, 7"}));
        let config = parse(text.as_bytes()).unwrap();
        let wanted = ExecAffinity { initial: None, last: Some("0-3, 7".to_owned()) };
        assert_eq!(config.process().extras.exec_cpu_affinity, wanted);
    }

    #[test]
    fn absent_and_zero_pids_differ() {
        let limit = |value| {
            let config = parse(with("linux/resources/pids", value).as_bytes()).unwrap();
            config.extras().limit("linux.resources.pids.limit")
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
    }

    #[test]
    fn unknown_properties_are_found() {
        let text = with("process/colour", Value::from("red"));
        let config = parse(text.as_bytes()).unwrap();
        assert_eq!(unknown_properties(text.as_bytes(), &config).unwrap(), ["process.colour"]);
        let config = parse(SMALL.as_bytes()).unwrap();
        assert!(unknown_properties(SMALL.as_bytes(), &config).unwrap().is_empty());
    }

    #[test]
    fn broken_documents_are_errors() {
        for text in ["", "null", "[]", "{", "{}", "{} x"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
