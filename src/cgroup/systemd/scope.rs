//! A scope and its properties, as data.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::gvariant::GVariant;
use crate::cgroup::writes::PlanLine;
use crate::spec::Field;
use crate::spec::annotation::SYSTEMD_SUBGROUP;

/// An existing unit, as the record keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The name, such as `tare-web.scope`.
    pub name: String,
    /// Whether it belongs to the user's own service manager (`systemctl --user`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub user: bool,
    /// The container's cgroup relative to the unit's; `None` if it is the unit's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subgroup: Option<PathBuf>,
}

/// A property of a unit, with the names and types of org.freedesktop.systemd1(5).
#[derive(Clone, Debug, PartialEq)]
pub struct ScopeProperty {
    /// The name in org.freedesktop.systemd1(5).
    pub name: String,
    /// The value, with its D-Bus type.
    pub value: GVariant,
    /// The place in config.json that asks for it.
    pub field: Field,
    /// The systemd version that brought the property. An older systemd does not get it: the kernel's files have the
    /// value anyway. `None` if every supported version must know it.
    pub since: Option<u32>,
}

impl ScopeProperty {
    pub(super) fn new(name: impl Into<String>, value: GVariant, field: &Field) -> ScopeProperty {
        ScopeProperty { name: name.into(), value, field: field.clone(), since: None }
    }
}

impl fmt::Display for ScopeProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "property {} = {}", self.name, self.value)
    }
}

/// The scope of a container.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The name and the manager of the scope.
    pub unit: Unit,
    /// The slice that contains it.
    pub slice: String,
    /// All properties except the first process.
    pub properties: Vec<ScopeProperty>,
    /// The cgroup of the unit, relative to the root of the hierarchy.
    pub(in crate::cgroup) path: PathBuf,
}

impl Scope {
    /// The container's cgroup, relative to the root of the hierarchy.
    pub(in crate::cgroup) fn container(&self) -> PathBuf {
        self.path.iter().chain(self.unit.subgroup.iter().flatten()).collect()
    }

    /// The operations for `tare plan`.
    pub(in crate::cgroup) fn lines(&self) -> impl Iterator<Item = PlanLine> + '_ {
        let user = if self.unit.user { " of the user's manager" } else { "" };
        let operation = format!("start unit {} in {}{user}", self.unit.name, self.slice);
        let started = PlanLine { field: Field::of("linux.cgroupsPath"), operation };
        let set = self
            .properties
            .iter()
            .map(|property| PlanLine { field: property.field.clone(), operation: property.to_string() });
        let moved = self.unit.subgroup.iter().map(|subgroup| PlanLine {
            field: Field::of("annotations").member(SYSTEMD_SUBGROUP),
            operation: format!("move init to {} inside", subgroup.display()),
        });
        std::iter::once(started).chain(set).chain(moved)
    }
}
