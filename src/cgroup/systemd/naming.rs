//! The name of a unit and its place, computed from `cgroupsPath`; pure.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::gvariant::{self, GVariant};
use super::scope::{Scope, ScopeProperty, Unit};
use crate::spec::annotation::{self, SYSTEMD_PROPERTY};
use crate::spec::{Field, refusal, refuse};

/// The service manager that makes the unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manager {
    /// Whether it is the user's own manager, not the host's.
    pub user: bool,
    /// The cgroup of the manager, relative to the root of the hierarchy. Its slices are below.
    pub root: PathBuf,
}

/// The inputs for the scope of a container.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The service manager.
    pub manager: &'a Manager,
    /// The name that the runtime was called by. It is the prefix of a unit's name if the config has none.
    pub program: &'a str,
    /// `annotations`: some of them set properties.
    pub annotations: Option<&'a HashMap<String, String>>,
}

impl Asked<'_> {
    /// The scope for `linux.cgroupsPath`, which has the form `SLICE:PREFIX:NAME` here. `v2` says whether the host has
    /// only cgroup v2. The scope has no limits yet.
    ///
    /// Fails for a path of another form, a name that systemd refuses, and an annotation without a valid value.
    pub fn scope(&self, id: &str, path: Option<&Path>, v2: bool) -> Result<Scope> {
        let path = path.filter(|path| !path.as_os_str().is_empty());
        let text = match path {
            Some(path) => path.to_str().ok_or_else(|| refusal!("linux.cgroupsPath", "{path:?} is not UTF-8"))?,
            None => &format!(":{}:{id}", self.program),
        };
        let parts: Vec<&str> = text.split(':').collect();
        let [slice, prefix, name] = parts[..] else {
            refuse!(
                "linux.cgroupsPath",
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, \
                 got {text:?} instead"
            );
        };
        let slice = match slice {
            "" if self.manager.user => "user.slice",
            "" => "system.slice",
            "-" => "-.slice",
            slice => slice,
        };
        let above = self.manager.root.join(expand(slice)?);
        let subgroup = annotation::systemd_subgroup(self.annotations)?.map(PathBuf::from);
        if subgroup.is_some() && !v2 {
            refuse!(
                Field::of("annotations").member(annotation::SYSTEMD_SUBGROUP),
                "only on hosts with cgroup v2 alone"
            );
        }
        let unit = Unit { name: unit_name(prefix, name)?, user: self.manager.user, subgroup };
        let path = above.join(escaped(&unit.name));
        let properties = self.properties(name, slice, v2)?;
        Ok(Scope { slice: slice.to_owned(), unit, properties, path })
    }

    /// Accounting is on for all resources, so that there are statistics without limits, too.
    fn properties(&self, name: &str, slice: &str, v2: bool) -> Result<Vec<ScopeProperty>> {
        let field = Field::of("linux.cgroupsPath");
        let on = GVariant::Bool(true);
        let mut all = vec![
            ScopeProperty::new("Description", GVariant::text(format!("{} container {name}", self.program)), &field),
            ScopeProperty::new("Slice", GVariant::text(slice), &field),
            ScopeProperty::new("Delegate", on.clone(), &field),
            ScopeProperty::new("DefaultDependencies", GVariant::Bool(false), &field),
        ];
        for controller in ["Memory", "CPU", if v2 { "IO" } else { "BlockIO" }, "Tasks"] {
            all.push(ScopeProperty::new(format!("{controller}Accounting"), on.clone(), &field));
        }
        let mut given: Vec<_> = self.annotations.into_iter().flatten().collect();
        given.sort();
        for (key, text) in given {
            if let Some(name) = key.strip_prefix(SYSTEMD_PROPERTY) {
                let field = Field::of("annotations").member(key);
                all.push(annotated(name, text, &field)?);
            }
        }
        Ok(all)
    }
}

/// The property that an annotation sets; the value is a GVariant text. D-Bus has no `NameSec`, only `NameUSec` in
/// microseconds, so the name is converted.
fn annotated(name: &str, text: &str, field: &Field) -> Result<ScopeProperty> {
    if name.len() < 3 {
        refuse!(field, "property name {name:?} is too short");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        refuse!(field, "property name {name:?} contains a non-alphabetic character");
    }
    let value = gvariant::parse(text).map_err(|error| refusal!(field, "{text:?}: value parse error: {error}"))?;
    let seconds = name.strip_suffix("Sec").filter(|stem| stem.ends_with(|last: char| last.is_ascii_lowercase()));
    match seconds {
        None => Ok(ScopeProperty::new(name, value, field)),
        Some(stem) => {
            let value = value.microseconds().ok_or_else(|| refusal!(field, "{text:?}: not a number of seconds"))?;
            Ok(ScopeProperty::new(format!("{stem}USec"), value, field))
        }
    }
}

/// Makes the name `PREFIX-NAME.scope`.
fn unit_name(prefix: &str, name: &str) -> Result<String> {
    const FIELD: &str = "linux.cgroupsPath";
    if name.ends_with(".slice") {
        refuse!(FIELD, "unit {name:?} is a slice, which takes no processes of its own");
    }
    let unit = if prefix.is_empty() { format!("{name}.scope") } else { format!("{prefix}-{name}.scope") };
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.\\@:".contains(&byte);
    if name.is_empty() || unit.len() > 255 || !unit.bytes().all(valid) {
        refuse!(FIELD, "{unit:?} is not a valid unit name");
    }
    Ok(unit)
}

/// The path of a slice: `a-b.slice` is below `a.slice`.
fn expand(slice: &str) -> Result<PathBuf> {
    let invalid = || refusal!("linux.cgroupsPath", "invalid slice name: {slice}");
    let stem = slice.strip_suffix(".slice").filter(|stem| !stem.is_empty()).ok_or_else(invalid)?;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.\\@:".contains(&byte);
    if !slice.bytes().all(valid) || slice.len() > 255 {
        return Err(invalid().into());
    }
    // The root slice is the manager's own cgroup.
    if stem == "-" {
        return Ok(PathBuf::new());
    }
    let (mut path, mut prefix) = (PathBuf::new(), String::new());
    for part in stem.split('-') {
        if part.is_empty() {
            return Err(invalid().into());
        }
        prefix.push_str(part);
        path.push(escaped(&format!("{prefix}.slice")));
        prefix.push('-');
    }
    Ok(path)
}

/// systemd's name for the cgroup of a unit. It escapes the names of the kernel's files, and names that look escaped.
fn escaped(unit: &str) -> String {
    const CONTROLLERS: &str = "cgroup cpu cpuacct cpuset io blkio memory devices pids bpf-firewall bpf-devices \
                               bpf-foreign bpf-socket-bind bpf-restrict-network-interfaces";
    let first = unit.split('.').next().unwrap_or_default();
    let taken = unit.starts_with(['_', '.']) || CONTROLLERS.split(' ').any(|name| name == first);
    format!("{}{unit}", if taken { "_" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(path: &str, user: bool) -> Result<Scope, String> {
        let root = if user { "user.slice/user-1.slice/user@1.service" } else { "" };
        let manager = Manager { user, root: root.into() };
        let asked = Asked { manager: &manager, program: "runc", annotations: None };
        asked.scope("web", Some(Path::new(path)), true).map_err(|error| error.to_string())
    }

    #[test]
    fn paths_are_units() {
        for (path, wanted) in [
            ("", "system.slice/runc-web.scope"),
            ("system.slice:tare:x", "system.slice/tare-x.scope"),
            (":libpod:x", "system.slice/libpod-x.scope"),
            ("::x", "system.slice/x.scope"),
            ("-:p:x", "p-x.scope"),
            ("-.slice:p:x", "p-x.scope"),
            ("a.slice:p:x", "a.slice/p-x.scope"),
            ("a-b-c.slice:p:x", "a.slice/a-b.slice/a-b-c.slice/p-x.scope"),
            ("kubepods-pod1_2.slice:cri-containerd:x", "kubepods.slice/kubepods-pod1_2.slice/cri-containerd-x.scope"),
            ("memory-a.slice::_x", "_memory.slice/memory-a.slice/__x.scope"),
            ("cgroup.slice::pids", "_cgroup.slice/_pids.scope"),
            ("_a.slice::misc", "__a.slice/misc.scope"),
            ("bpf-a.slice:bpf:x", "bpf.slice/bpf-a.slice/bpf-x.scope"),
            ("bpf-foreign.slice:p:x", "bpf.slice/_bpf-foreign.slice/p-x.scope"),
        ] {
            assert_eq!(scope(path, false).unwrap().path, Path::new(wanted), "{path}");
        }
        let of_user = scope("", true).unwrap();
        assert_eq!(of_user.path, Path::new("user.slice/user-1.slice/user@1.service/user.slice/runc-web.scope"));
        assert!(of_user.unit.user);
    }

    #[test]
    fn other_paths_are_refused() {
        let format =
            "linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups";
        for (path, wanted) in [
            ("/a/b", &*format!("{format}, got \"/a/b\" instead")),
            ("a:b", &*format!("{format}, got \"a:b\" instead")),
            ("a:b:c:d", &*format!("{format}, got \"a:b:c:d\" instead")),
            ("a:b:c", "linux.cgroupsPath: invalid slice name: a"),
            (".slice:b:c", "linux.cgroupsPath: invalid slice name: .slice"),
            ("a--b.slice:b:c", "linux.cgroupsPath: invalid slice name: a--b.slice"),
            ("../a.slice:b:c", "linux.cgroupsPath: invalid slice name: ../a.slice"),
            ("a.slice:b:../c", "linux.cgroupsPath: \"b-../c.scope\" is not a valid unit name"),
            ("a.slice:b:", "linux.cgroupsPath: \"b-.scope\" is not a valid unit name"),
            (
                "a.slice:b:c.slice",
                "linux.cgroupsPath: unit \"c.slice\" is a slice, which takes no processes of its own",
            ),
        ] {
            assert_eq!(scope(path, false).unwrap_err(), wanted, "{path}");
        }
    }

    #[test]
    fn annotations_are_properties() {
        let property = |name: &str, text: &str| {
            annotated(name, text, &Field::of("it")).map(|it| it.to_string()).map_err(|error| error.to_string())
        };
        for (name, text, wanted) in [
            ("KillSignal", "15", "property KillSignal = 15"),
            ("TimeoutStopUSec", "uint64 10000000", "property TimeoutStopUSec = uint64 10000000"),
            ("TimeoutStopSec", "10", "property TimeoutStopUSec = uint64 10000000"),
            ("TimeoutStopSec", "0.5", "property TimeoutStopUSec = uint64 500000"),
            ("After", "['crio.service']", "property After = ['crio.service']"),
            // Not a time: the letter before `Sec` is a capital.
            ("CPUSec", "true", "property CPUSec = true"),
        ] {
            assert_eq!(property(name, text).unwrap(), wanted);
        }
        for (name, text, wanted) in [
            ("ab", "1", "it: property name \"ab\" is too short"),
            ("a.b", "1", "it: property name \"a.b\" contains a non-alphabetic character"),
            ("TimeoutStopSec", "'x'", "it: \"'x'\": not a number of seconds"),
            ("TimeoutStopSec", "1e300", "it: \"1e300\": not a number of seconds"),
            ("Foo", "x", "it: \"x\": value parse error: \"x\" is not a value"),
        ] {
            assert_eq!(property(name, text).unwrap_err(), wanted);
        }
    }
}
