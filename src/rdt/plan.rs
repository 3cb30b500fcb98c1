//! Plans `linux.intelRdt`: the container's class of service, and the limits of that class.

use std::collections::BTreeMap;

use anyhow::Result;
use oci_spec::runtime::LinuxIntelRdt;

use crate::spec::{Field, given, refuse};

/// The plan of `linux.intelRdt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rdt {
    /// The directory of the class in resctrl; empty for the root class, that is `closID: "/"`.
    pub class: String,
    /// Whether `closID` names the class. Such a class may exist already, and other processes may be in it.
    pub named: bool,
    /// The lines of `l3CacheSchema` and `memBwSchema`.
    pub separate: Vec<String>,
    /// The lines of `schemata`, which are written after the others.
    pub schemata: Vec<String>,
    /// `enableMonitoring`: the name of the monitoring group in the class.
    pub monitoring: Option<String>,
}

impl Rdt {
    /// Plans the section. `resctrl` says whether the host has resctrl mounted.
    pub fn of(rdt: Option<&LinuxIntelRdt>, id: &str, resctrl: bool) -> Result<Option<Rdt>> {
        let Some(rdt) = rdt else { return Ok(None) };
        if !resctrl {
            refuse!("linux.intelRdt", "intelRdt is specified in config, but Intel RDT is not enabled");
        }
        let named = given(rdt.clos_id());
        Ok(Some(Rdt {
            class: class(named.unwrap_or(id))?,
            named: named.is_some(),
            separate: separate(given(rdt.l3_cache_schema()), given(rdt.mem_bw_schema()))?,
            schemata: schemata(rdt)?,
            monitoring: rdt.enable_monitoring().unwrap_or(false).then(|| id.to_owned()),
        }))
    }

    /// Whether there is anything to write to `schemata`.
    pub fn limits(&self) -> bool {
        !self.separate.is_empty() || !self.schemata.is_empty()
    }

    /// The first setting of `l3CacheSchema` or `memBwSchema` that an existing class does not have. `existing` is the
    /// `schemata` of that class. Settings that the config's `schemata` will replace are not compared.
    pub fn difference(&self, existing: &str) -> Option<String> {
        let existing = settings(existing.lines());
        let coming = settings(self.schemata.iter().map(String::as_str));
        let wanted = settings(self.separate.iter().map(String::as_str));
        let mut open = wanted.iter().filter(|(place, _)| !coming.contains_key(*place));
        let (place, value) = open.find(|(place, value)| existing.get(*place) != Some(*value))?;
        Some(format!("{}:{}={value}", place.0, place.1))
    }
}

/// The lines of `l3CacheSchema` and `memBwSchema`, as written to resctrl. With `memBwSchema`, lines `MB:` of
/// `l3CacheSchema` are ignored.
pub fn separate(l3: Option<&str>, bandwidth: Option<&str>) -> Result<Vec<String>> {
    if let Some(text) = bandwidth {
        if !text.starts_with("MB:") {
            refuse!("linux.intelRdt.memBwSchema", "\"{text}\" does not start with \"MB:\"");
        }
        if text.contains('\n') {
            refuse!("linux.intelRdt.memBwSchema", "{text:?} has more than one line");
        }
    }
    let lines = l3.into_iter().flat_map(str::lines).filter(|line| !line.trim().is_empty());
    let lines = lines.filter(|line| bandwidth.is_none() || !line.trim_start().starts_with("MB:"));
    Ok(lines.chain(bandwidth).map(str::to_owned).collect())
}

fn schemata(rdt: &LinuxIntelRdt) -> Result<Vec<String>> {
    let lines = rdt.schemata().clone().unwrap_or_default();
    for (index, line) in lines.iter().enumerate() {
        if line.contains('\n') {
            refuse!(Field::item("linux.intelRdt.schemata", index), "{line:?} has more than one line");
        }
    }
    Ok(lines)
}

fn class(name: &str) -> Result<String> {
    /// Names of resctrl's own directories beside the classes.
    const RESERVED: [&str; 3] = ["info", "mon_groups", "mon_data"];
    if name == "/" {
        return Ok(String::new());
    }
    if matches!(name, "." | "..") || name.contains(['/', '\n', '\0']) || RESERVED.contains(&name) {
        refuse!("linux.intelRdt.closID", "invalid intelRdt.ClosID {name:?}");
    }
    Ok(name.to_owned())
}

/// Parses lines such as `L3:0=07f;1=1f` into places and values that can be compared: the kernel pads numbers and adds
/// places.
fn settings<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<(String, String), String> {
    let bare = |text: &str| text.trim().trim_start_matches('0').to_ascii_lowercase();
    let mut found = BTreeMap::new();
    for line in lines {
        let (resource, domains) = line.split_once(':').unwrap_or((line, ""));
        for domain in domains.split(';') {
            let (number, value) = domain.split_once('=').unwrap_or((domain, ""));
            found.insert((resource.trim().to_owned(), number.trim().to_owned()), bare(value));
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(rdt: Value) -> Result<Option<Rdt>> {
        Rdt::of(Some(&serde_json::from_value(rdt).unwrap()), "box", true)
    }

    fn rdt(value: Value) -> Rdt {
        of(value).unwrap().unwrap()
    }

    #[test]
    fn the_section_is_read() {
        let all = rdt(json!({"closID": "gold", "l3CacheSchema": "L3:0=f\nMB:0=9", "memBwSchema": "MB:0=20",
            "schemata": ["L2:0=3"], "enableMonitoring": true}));
        assert_eq!((all.class.as_str(), all.named, all.monitoring.as_deref()), ("gold", true, Some("box")));
        assert_eq!(
            (all.separate, all.schemata),
            (vec!["L3:0=f".to_owned(), "MB:0=20".to_owned()], vec!["L2:0=3".to_owned()])
        );
        let bare = rdt(json!({"closID": "", "l3CacheSchema": ""}));
        assert_eq!((bare.class.as_str(), bare.named, bare.limits(), bare.monitoring), ("box", false, false, None));
        assert_eq!(rdt(json!({"l3CacheSchema": "L3:0=f\nMB:0=9"})).separate, ["L3:0=f", "MB:0=9"]);
        assert_eq!(rdt(json!({"closID": "/"})).class, "");
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let cases = [
            (json!({"closID": ".."}), "linux.intelRdt.closID: invalid intelRdt.ClosID \"..\""),
            (json!({"closID": "a/b"}), "linux.intelRdt.closID: invalid intelRdt.ClosID \"a/b\""),
            (json!({"closID": "info"}), "linux.intelRdt.closID: invalid intelRdt.ClosID \"info\""),
            (json!({"memBwSchema": "L3:0=f"}), "linux.intelRdt.memBwSchema: \"L3:0=f\" does not start with \"MB:\""),
            (json!({"memBwSchema": "MB:0=9\nx"}), "linux.intelRdt.memBwSchema: \"MB:0=9\\nx\" has more than one line"),
            (json!({"schemata": ["", "a\nb"]}), "linux.intelRdt.schemata[1]: \"a\\nb\" has more than one line"),
        ];
        for (section, error) in cases {
            assert_eq!(of(section).unwrap_err().to_string(), error);
        }
        let error = Rdt::of(Some(&serde_json::from_value(json!({})).unwrap()), "box", false).unwrap_err().to_string();
        assert_eq!(error, "linux.intelRdt: intelRdt is specified in config, but Intel RDT is not enabled");
        assert_eq!(Rdt::of(None, "box", false).unwrap(), None);
    }

    #[test]
    fn an_existing_class_is_compared_by_value() {
        let there = "    L3:0=007f;1=001F\n    MB:0= 20;1=100\n";
        let difference = |section: Value| rdt(section).difference(there);
        assert_eq!(difference(json!({"l3CacheSchema": "L3:0=7F;1=1f", "memBwSchema": "MB:1=100"})), None);
        assert_eq!(difference(json!({"l3CacheSchema": "L3:0=ff"})).as_deref(), Some("L3:0=ff"));
        assert_eq!(difference(json!({"memBwSchema": "MB:2=20"})).as_deref(), Some("MB:2=20"));
        assert!(difference(json!({"l3CacheSchema": "nonsense"})).is_some());
        assert_eq!(difference(json!({"l3CacheSchema": "L3:0=ff", "schemata": ["L3:0=1"]})), None);
    }
}
