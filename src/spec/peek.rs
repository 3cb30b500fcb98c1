//! The pre-pass: reads the values that the types of `oci-spec` refuse or lose.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::extras::Extras;
use super::limits;
use super::process::{ExecAffinity, ProcessExtras};
use crate::tables::capability;

/// The properties for which `oci-spec` is stricter than the specification.
#[derive(Deserialize)]
pub struct Peek<'a> {
    #[serde(borrow)]
    process: Option<PeekProcess<'a>>,
    #[serde(borrow)]
    linux: Option<PeekLinux<'a>>,
}

/// Lists of capabilities, by the name of the set.
type Sets<'a> = HashMap<Cow<'a, str>, Option<Vec<Cow<'a, str>>>>;

#[derive(Deserialize)]
pub struct PeekProcess<'a> {
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
    /// `pids` has no `limit`, which the type of `oci-spec` requires.
    pids_without_limit: bool,
    hugepage_limits: Option<Vec<PeekHugepage>>,
    devices: Option<Vec<PeekDevice<'a>>>,
}

impl<'a, 'de: 'a> Deserialize<'de> for PeekResources<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(ResourcesVisitor)
    }
}

/// A key of `linux.resources`, not copied.
enum ResourceKey {
    HugepageLimits,
    Devices,
    /// A section with scalars that `limits` reads.
    Section(&'static str),
    Other,
}

impl<'de> Deserialize<'de> for ResourceKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_identifier(ResourceKeyVisitor)
    }
}

struct ResourceKeyVisitor;

impl Visitor<'_> for ResourceKeyVisitor {
    type Value = ResourceKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> std::result::Result<ResourceKey, E> {
        Ok(match key {
            "hugepageLimits" => ResourceKey::HugepageLimits,
            "devices" => ResourceKey::Devices,
            key => limits::section(key).map_or(ResourceKey::Other, ResourceKey::Section),
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
                ResourceKey::HugepageLimits => peek.hugepage_limits = map.next_value()?,
                ResourceKey::Devices => peek.devices = map.next_value()?,
                ResourceKey::Section(name) => {
                    let before = peek.limits.len();
                    map.next_value_seed(limits::Section { name, limits: &mut peek.limits })?;
                    peek.pids_without_limit |= name == "pids" && peek.limits.len() == before;
                }
                ResourceKey::Other => drop(map.next_value::<IgnoredAny>()?),
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

/// The result of the pre-pass.
#[derive(Default)]
pub struct Seen<T> {
    /// The values that the type of `oci-spec` cannot hold.
    pub extras: T,
    /// Whether the type refuses or loses a value of the document.
    pub unusual: bool,
}

impl PeekProcess<'_> {
    /// The result for a `process`.
    pub fn seen(self) -> Seen<ProcessExtras> {
        let mut extras = ProcessExtras::default();
        for name in self.capabilities.into_iter().flatten().filter_map(|(_, set)| set).flatten() {
            if capability::number(&name).is_none() && !extras.unknown_capabilities.iter().any(|known| *known == name) {
                extras.unknown_capabilities.push(name.into_owned());
            }
        }
        extras.scheduler_flags = self.scheduler.and_then(|scheduler| scheduler.flags).unwrap_or_default();
        let unusual = !extras.unknown_capabilities.is_empty()
            || !extras.scheduler_flags.is_empty()
            || self.user.is_none_or(|user| user.uid.is_none() || user.gid.is_none())
            || self.exec_cpu_affinity.is_some();
        if let Some(affinity) = self.exec_cpu_affinity {
            let set = |list: Option<String>| list.filter(|list| !list.is_empty());
            extras.exec_cpu_affinity = ExecAffinity { initial: set(affinity.initial), last: set(affinity.last) };
        }
        Seen { extras, unusual }
    }
}

impl PeekResources<'_> {
    fn seen(self) -> Seen<Extras> {
        let limits = self.hugepage_limits.unwrap_or_default();
        let unusual = self.pids_without_limit
            || limits.iter().any(|limit| i64::try_from(limit.limit).is_err())
            || self.devices.into_iter().flatten().any(|rule| rule.kind.is_some_and(|kind| kind.is_empty()));
        let extras = Extras {
            limits: self.limits,
            hugepage_limits: limits.into_iter().map(|limit| (limit.page_size, limit.limit)).collect(),
        };
        Seen { extras, unusual }
    }
}

impl Peek<'_> {
    /// The results for `process` and `linux.resources`.
    pub fn seen(self) -> (Seen<ProcessExtras>, Seen<Extras>) {
        let resources = self.linux.and_then(|linux| linux.resources);
        let process = self.process.map(PeekProcess::seen).unwrap_or_default();
        (process, resources.map(PeekResources::seen).unwrap_or_default())
    }
}
