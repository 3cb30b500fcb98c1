//! The systemd driver: the container's cgroup is a scope of the service manager, which makes it, keeps its limits over
//! a reload, and takes it away.
//!
//! A scope comes into being with its first process, so that one is born outside and waits until it has been moved.
//! What systemd has no property for is written to the kernel's files afterwards, with everything else: where it
//! rounds, the exact value counts. On v1 it has no words for exceptions from device rules either, so a reload of its
//! configuration forgets them; on v2 the container's own device program stays.

#[cfg(feature = "systemd")]
mod bus;
mod gvariant;
#[cfg(feature = "systemd")]
mod private;
mod properties;
mod unit;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::plan::{Line, Write};
use crate::spec::Field;
use crate::spec::annotation::SYSTEMD_SUBGROUP;

pub use gvariant::Value;
pub(super) use properties::{devices, limits};
pub use unit::{Asked, Manager};

/// A unit that exists, so that it can be kept in `state.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// Its name: `tare-web.scope`.
    pub name: String,
    /// Whether it is one of the caller's own service manager (`systemctl --user`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub user: bool,
    /// The container's cgroup below the unit's, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subgroup: Option<PathBuf>,
}

/// A property of a unit, as org.freedesktop.systemd1(5) names and types it.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
    /// The place in config.json that asked for it.
    pub field: Field,
    /// The first systemd to know it, where not every one does and the kernel can be told without.
    pub since: Option<u32>,
}

impl Property {
    fn new(name: impl Into<String>, value: Value, field: &Field) -> Property {
        Property { name: name.into(), value, field: field.clone(), since: None }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "property {} = {}", self.name, self.value)
    }
}

/// The scope that a container gets.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The unit.
    pub unit: Unit,
    /// The slice that it is in.
    pub slice: String,
    /// What it is made with, the first process aside.
    pub properties: Vec<Property>,
    /// Where it will be, relative to the root of the hierarchy.
    pub(super) path: PathBuf,
}

impl Scope {
    /// Where the container will be, relative to the root of the hierarchy.
    pub(super) fn container(&self) -> PathBuf {
        self.path.iter().chain(self.unit.subgroup.iter().flatten()).collect()
    }

    /// What is done with it, as a person reads it.
    pub(super) fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        let user = if self.unit.user { " of the user's manager" } else { "" };
        let operation = format!("start unit {} in {}{user}", self.unit.name, self.slice);
        let started = Line { field: Field::of("linux.cgroupsPath"), operation };
        let set = self
            .properties
            .iter()
            .map(|property| Line { field: property.field.clone(), operation: property.to_string() });
        let moved = self.unit.subgroup.iter().map(|subgroup| Line {
            field: Field::of("annotations").member(SYSTEMD_SUBGROUP),
            operation: format!("move init to {} inside", subgroup.display()),
        });
        std::iter::once(started).chain(set).chain(moved)
    }

    /// Starts it with `pid` as its first process. When this returns the process is in it.
    ///
    /// Fails, leaving nothing behind, when a unit of this name is there already or systemd refuses a property.
    pub fn start(&self, pid: Pid) -> Result<()> {
        #[cfg(feature = "systemd")]
        return bus::start(self, pid);
        #[cfg(not(feature = "systemd"))]
        return absent(&(self, pid));
    }
}

impl Unit {
    /// Stops it, which ends what is left in it, and makes systemd forget a failure. One that is gone is as good.
    pub fn stop(&self) -> Result<()> {
        #[cfg(feature = "systemd")]
        return bus::stop(self);
        #[cfg(not(feature = "systemd"))]
        return absent(self);
    }

    /// Sets properties until the next boot.
    pub fn set(&self, writes: &[Write]) -> Result<()> {
        let mut properties = limits(writes);
        // What happens when the kernel kills is said at the start or never.
        properties.retain(|property| property.name != "OOMPolicy");
        if properties.is_empty() {
            return Ok(());
        }
        #[cfg(feature = "systemd")]
        return bus::set(self, &properties);
        #[cfg(not(feature = "systemd"))]
        return absent(self);
    }

    /// Moves the process `pid` into `below`, relative to the container's cgroup.
    pub fn attach(&self, below: &Path, pid: Pid) -> Result<()> {
        let path: PathBuf = Path::new("/").iter().chain(self.subgroup.iter().flatten()).chain(below).collect();
        #[cfg(feature = "systemd")]
        return bus::attach(self, &path.to_string_lossy(), pid);
        #[cfg(not(feature = "systemd"))]
        return absent(&(self, path, pid));
    }
}

#[cfg(not(feature = "systemd"))]
fn absent(_: &impl fmt::Debug) -> Result<()> {
    anyhow::bail!("this program was built without the systemd cgroup driver")
}
