//! The scalars of `linux.resources`. A row holds all that tare knows of one field.
//!
//! Code in `cgroup` handles a limit that is not a scalar or that depends on another field: swap, `cpu.max`, the weights
//! of BFQ, limits per device, hugetlb, rdma, network priorities, devices.

mod forms;
mod rows;

use std::fmt;

use oci_spec::runtime::LinuxResources;

pub use forms::weight;
pub use rows::{OTHER_PROPERTIES, SCALARS};

/// A scalar of `linux.resources`.
#[derive(Debug)]
pub struct Scalar {
    /// The path in `config.json`: `linux.resources.SECTION.NAME`.
    pub field: &'static str,
    pub getter: Getter,
    /// Whether 0 means unset, at create and in an update. An empty text always means unset.
    pub zero_is_unset: bool,
    /// Refuses values that no kernel accepts, and returns the reason.
    pub check: fn(&Setting) -> Result<(), String>,
    /// The controller's name on v1.
    pub controller: &'static str,
    /// The outcome on cgroup v1.
    pub v1: Knob,
    /// The outcome on cgroup v2.
    pub v2: Knob,
    pub option: Option<UpdateOption>,
}

/// The source of a scalar's value.
#[derive(Clone, Copy, Debug)]
pub enum Getter {
    /// A getter on the types of `oci-spec`.
    Typed(fn(&LinuxResources) -> Option<Setting<'_>>),
    /// The JSON document, read by `spec`: `oci-spec` has no type for the field, or a wrong one.
    Json,
}

/// The value of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting<'a> {
    /// Any integer of 64 bits, signed or unsigned.
    Number(i128),
    Switch(bool),
    /// A list of CPUs or memory nodes.
    Text(&'a str),
}

/// The two versions of cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Several hierarchies, each with its own controllers.
    V1,
    /// One hierarchy with all controllers.
    V2,
}

/// The outcome of a scalar on one version of cgroup.
#[derive(Clone, Copy, Debug)]
pub struct Knob {
    /// The interface file; empty if the scalar has no file.
    pub file: &'static str,
    /// The text for the file, or another outcome.
    pub form: fn(&Setting) -> Form,
    /// The reaction if the kernel refuses the write.
    pub refused: OnRefusal,
    /// Whether to write the file before the others of its controller.
    pub first: bool,
    /// The property of a systemd unit with the same meaning.
    pub property: Option<UnitProperty>,
}

/// A value in the form that one version of cgroup takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Write this text.
    Write(String),
    /// Write this text, and warn that it may have no effect.
    Noted(String, &'static str),
    /// Write nothing, and warn.
    Note(&'static str),
    Nothing,
    /// The value cannot be carried out.
    Refuse(&'static str),
}

/// The reaction if the kernel refuses a write.
#[derive(Clone, Copy, Debug)]
pub enum OnRefusal {
    /// Fail with the kernel's error.
    Fail,
    /// If the file does not exist, write the same text into this file.
    Instead(&'static str),
    /// After `EINVAL`, repeat the write after all others: the value contradicts one that a later write changes.
    Later,
    /// If the file does not exist or the kernel no longer supports it, do nothing: there is nothing to limit.
    Skip,
}

#[derive(Clone, Copy, Debug)]
pub struct UnitProperty {
    /// The name in org.freedesktop.systemd1(5).
    pub name: &'static str,
    /// The way to make the value from the text of the file.
    pub kind: PropertyKind,
    /// The version of systemd that brought the property; `None` for 247, the systemd at the time of Linux 5.10, and
    /// older.
    pub since: Option<u32>,
}

/// The way to make a property from the text of an interface file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyKind {
    /// A number. `max` on v2 and -1 on v1 become infinity.
    Number,
    /// 0 or 1, as a boolean.
    Switch,
    /// A list of CPUs or memory nodes, as a bit mask.
    Bits,
    /// 1 means that the OOM killer kills all processes of the group.
    OomPolicy,
    /// Code in `cgroup::systemd` makes the value.
    Code,
}

#[derive(Clone, Copy, Debug)]
pub struct UpdateOption {
    /// The position in the help text.
    pub order: u8,
    /// The name, without dashes.
    pub name: &'static str,
    /// The syntax of the value.
    pub kind: OptionKind,
    /// The name of the value in the help text.
    pub value: &'static str,
    /// The description in the help text.
    pub help: &'static str,
}

/// The syntax of the value of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// A number without a sign.
    Unsigned,
    Signed,
    /// A number of bytes with a unit, or -1.
    Size,
    Text,
    /// Kernel memory. As with runc, the option is ignored with a warning, and the help text leaves it out.
    Ignored,
}

impl Scalar {
    /// The member of `linux.resources` that contains the field.
    pub fn section(&self) -> &'static str {
        section(self.field)
    }

    /// The name of the field in its section.
    pub fn name(&self) -> &'static str {
        self.field.rsplit('.').next().unwrap_or_default()
    }

    /// The outcome on this version of cgroup.
    pub fn knob(&self, version: Version) -> &Knob {
        match version {
            Version::V1 => &self.v1,
            Version::V2 => &self.v2,
        }
    }

    /// Whether the setting asks for a limit at all.
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

/// All interface files that have a property of a unit, except those for limits of single devices.
pub fn properties() -> impl Iterator<Item = (&'static str, &'static UnitProperty)> {
    let knobs = SCALARS.iter().flat_map(|scalar| [&scalar.v1, &scalar.v2]);
    let of_knobs = knobs.filter_map(|knob| Some((knob.file, knob.property.as_ref()?)));
    of_knobs.chain(OTHER_PROPERTIES.iter().map(|(file, property)| (*file, property)))
}

/// The period of `cpu.max` if none is given, in microseconds (kernel/sched/core.c).
pub const DEFAULT_PERIOD: u64 = 100_000;

/// Maps a weight of BFQ, 10 to 1000, to the range of `io.weight`, 1 to 10000.
pub fn io_weight(bfq: u64) -> u64 {
    1 + bfq.saturating_sub(10) * 9999 / 990
}
