//! The scalars of `linux.resources`: one row a field, with all that tare knows of it.
//!
//! A limit that is no scalar, or that needs another field, has code in `cgroup`: swap, `cpu.max`, the weights of BFQ,
//! limits per device, hugetlb, rdma, network priorities, devices.

mod forms;
mod rows;

use std::fmt;

use oci_spec::runtime::LinuxResources;

pub use forms::weight;
pub use rows::{OTHER_PROPERTIES, SCALARS};

/// A scalar of `linux.resources`.
#[derive(Debug)]
pub struct Scalar {
    /// Its place in `config.json`: `linux.resources.SECTION.NAME`.
    pub field: &'static str,
    /// How its value is read.
    pub getter: Getter,
    /// Whether 0 asks for nothing, at create and in an update. An empty text never asks for anything.
    pub zero_is_unset: bool,
    /// Refuses values that no kernel takes, with the reason.
    pub check: fn(&Setting) -> Result<(), String>,
    /// The controller, by its v1 name.
    pub controller: &'static str,
    /// Its file on cgroup v1.
    pub v1: Knob,
    /// Its file on cgroup v2.
    pub v2: Knob,
    /// Its option of `update`.
    pub option: Option<UpdateOption>,
}

/// The source of a scalar's value.
#[derive(Clone, Copy, Debug)]
pub enum Getter {
    /// In a type of `oci-spec`.
    Typed(fn(&LinuxResources) -> Option<Setting<'_>>),
    /// `oci-spec` has no type for it, or a wrong one: `spec` reads this number from the JSON.
    Json,
}

/// The value of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting<'a> {
    /// Any integer of 64 bits.
    Number(i128),
    /// A boolean.
    Switch(bool),
    /// A list of CPUs or memory nodes.
    Text(&'a str),
}

/// The two versions of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each group of controllers.
    V1,
    /// One hierarchy for all.
    V2,
}

/// A scalar's outcome on one version of cgroup.
#[derive(Clone, Copy, Debug)]
pub struct Knob {
    /// The interface file; empty if the scalar has none.
    pub file: &'static str,
    /// The text for the file, or another outcome.
    pub form: fn(&Setting) -> Form,
    /// The answer to a refused write.
    pub refused: OnRefusal,
    /// Whether the file is written before the others of its controller.
    pub first: bool,
    /// The property of a systemd unit with the same meaning.
    pub property: Option<UnitProperty>,
}

/// A value in the form that a version of cgroup takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Write this text.
    Write(String),
    /// Write this text, and warn that it may have no effect.
    Noted(String, &'static str),
    /// Nothing to write; warn.
    Note(&'static str),
    /// Nothing to write.
    Nothing,
    /// The value cannot be carried out.
    Refuse(&'static str),
}

/// The answer to a refused write.
#[derive(Clone, Copy, Debug)]
pub enum OnRefusal {
    /// Fail.
    Fail,
    /// The file does not exist: write the same text into this file.
    Instead(&'static str),
    /// `EINVAL`: the value contradicts one that a later write changes. Repeat the write after all others.
    Later,
    /// The file does not exist, or the kernel supports it no longer: there is nothing to limit.
    Skip,
}

/// A property of a systemd unit.
#[derive(Clone, Copy, Debug)]
pub struct UnitProperty {
    /// Its name in org.freedesktop.systemd1(5).
    pub name: &'static str,
    /// How its value is made from the text of the file.
    pub kind: PropertyKind,
    /// The systemd that brought it, if that is younger than 247, which was current when Linux 5.10 came out.
    pub since: Option<u32>,
}

/// How a property is made from the text of an interface file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyKind {
    /// A number; `max` on v2 and -1 on v1 are infinity.
    Number,
    /// 0 or 1.
    Switch,
    /// A list of CPUs or nodes as a bit mask.
    Bits,
    /// 1: the OOM killer kills all processes of the group.
    OomPolicy,
    /// `cgroup::systemd` has code for it.
    Code,
}

/// An option of `update`.
#[derive(Clone, Copy, Debug)]
pub struct UpdateOption {
    /// Its place in the help text.
    pub order: u8,
    /// Its name, without dashes.
    pub name: &'static str,
    /// How its value is parsed.
    pub kind: OptionKind,
    /// The name of its value in the help text.
    pub value: &'static str,
    /// Its line of help.
    pub help: &'static str,
}

/// How the value of an option is parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// A number without a sign.
    Unsigned,
    /// A number.
    Signed,
    /// A number of bytes with a unit, or -1.
    Size,
    /// Any text.
    Text,
    /// Kernel memory, which runc ignores with a warning. The help text leaves it out.
    Ignored,
}

impl Scalar {
    /// The member of `linux.resources` that the field is in.
    pub fn section(&self) -> &'static str {
        section(self.field)
    }

    /// The name of the field in its section.
    pub fn name(&self) -> &'static str {
        self.field.rsplit('.').next().unwrap_or_default()
    }

    /// The file on this version of cgroup.
    pub fn knob(&self, version: Version) -> &Knob {
        match version {
            Version::V1 => &self.v1,
            Version::V2 => &self.v2,
        }
    }

    /// Whether `setting` asks for anything.
    pub fn asks(&self, setting: &Setting) -> bool {
        match setting {
            Setting::Number(0) => !self.zero_is_unset,
            Setting::Text(text) => !text.is_empty(),
            _ => true,
        }
    }
}

impl fmt::Display for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Number(number) => number.fmt(f),
            Setting::Switch(on) => u8::from(*on).fmt(f),
            Setting::Text(text) => text.fmt(f),
        }
    }
}

/// The `SECTION` of `linux.resources.SECTION.NAME`.
pub fn section(field: &'static str) -> &'static str {
    field.split('.').nth(2).unwrap_or_default()
}

/// The scalars with an option of `update`, in the order of the help text.
pub fn options() -> Vec<(&'static Scalar, &'static UpdateOption)> {
    let mut all: Vec<_> = SCALARS.iter().filter_map(|scalar| Some((scalar, scalar.option.as_ref()?))).collect();
    all.sort_by_key(|(_, option)| option.order);
    all
}

/// All interface files with a property of a unit, limits of single devices aside.
pub fn properties() -> impl Iterator<Item = (&'static str, &'static UnitProperty)> {
    let knobs = SCALARS.iter().flat_map(|scalar| [&scalar.v1, &scalar.v2]);
    let of_knobs = knobs.filter_map(|knob| Some((knob.file, knob.property.as_ref()?)));
    of_knobs.chain(OTHER_PROPERTIES.iter().map(|(file, property)| (*file, property)))
}

/// The period of a `cpu.max` without one, in microseconds (kernel/sched/core.c).
pub const DEFAULT_PERIOD: u64 = 100_000;

/// A weight of BFQ, 10 to 1000, in the range 1 to 10000 of `io.weight`.
pub fn io_weight(bfq: u64) -> u64 {
    1 + bfq.saturating_sub(10) * 9999 / 990
}
