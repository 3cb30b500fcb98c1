//! The files of a cgroup and their values, as the planner decides them. The live half writes them and tells systemd.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use oci_spec::runtime::LinuxResources;

use super::layout::Mode;
use crate::spec::Field;

/// The v1 file of the OOM killer. A write takes one number, but a read returns several lines.
pub(super) const OOM_CONTROL: &str = "memory.oom_control";

/// The container's directory in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The v1 controllers of the hierarchy; empty for v2.
    pub controllers: String,
    /// The hierarchy's mount point on the host.
    pub mount: PathBuf,
    /// The container's directory, relative to `mount`; never empty.
    pub path: PathBuf,
}

impl Target {
    /// Whether this is the v2 hierarchy.
    pub fn is_v2(&self) -> bool {
        self.controllers.is_empty()
    }

    /// The absolute path of the directory.
    pub fn dir(&self) -> PathBuf {
        self.mount.join(&self.path)
    }
}

/// The reaction if the kernel refuses a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// Fail with the kernel's error.
    #[default]
    Fail,
    /// If the file does not exist, write this value to this file of the same directory.
    Instead(&'static str, String),
    /// After `EINVAL`, repeat the write after all others: the value contradicts one that a later write changes.
    Later,
    /// If the file does not exist or the kernel no longer supports it, do nothing: there is nothing to limit.
    Skip,
}

/// A value for one file of the cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The index of the target with the file.
    pub target: usize,
    /// The name of the file.
    pub file: Cow<'static, str>,
    /// The text, which is written by one write(2).
    pub value: String,
    /// The place in config.json that asks for it.
    pub field: Field,
    /// The reaction if the kernel refuses the write.
    pub fallback: Fallback,
}

impl Write {
    /// Whether this is a rule of the v1 devices controller, not a limit.
    pub fn is_device_rule(&self) -> bool {
        self.file.starts_with("devices.")
    }
}

/// The limits that `checkBeforeUpdate` compares with the usage, in bytes. 0 and negative numbers are not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UsageCheck {
    pub target: usize,
    pub limit: i64,
    pub swap: i64,
}

impl UsageCheck {
    /// The check that `resources` ask for. `target` has the memory controller.
    pub fn of(resources: &LinuxResources, target: usize) -> Option<UsageCheck> {
        let memory = resources.memory().filter(|memory| memory.check_before_update() == Some(true))?;
        let (limit, swap) = (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0));
        (limit > 0 || swap > 0).then_some(UsageCheck { target, limit, swap })
    }
}

/// The writes of a plan, in the order in which the kernel accepts them.
#[derive(Clone, Debug)]
pub struct Writes {
    /// The kind of host.
    pub(super) mode: Mode,
    pub(super) targets: Vec<Target>,
    pub(super) all: Vec<Write>,
    pub(super) usage: Option<UsageCheck>,
    /// One sentence for each accepted field that has no effect on this host, with the reason.
    pub(super) notes: Vec<String>,
}

impl Writes {
    /// Starts without writes.
    pub(super) fn new(mode: Mode, targets: Vec<Target>) -> Writes {
        Writes { mode, targets, all: Vec::new(), usage: None, notes: Vec::new() }
    }

    /// The target of the v1 hierarchy that has `controller`.
    pub(super) fn target_of(&self, controller: &str) -> Option<usize> {
        self.targets.iter().position(|t| t.controllers.split(',').any(|name| name == controller))
    }

    /// The target in the v2 hierarchy.
    pub(super) fn v2_target(&self) -> Option<usize> {
        self.targets.iter().position(Target::is_v2)
    }

    /// Appends a write that must succeed.
    pub(super) fn add(
        &mut self,
        target: usize,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
        field: Field,
    ) {
        self.add_or(target, file, value, field, Fallback::Fail);
    }

    /// Appends a write with a fallback.
    pub(super) fn add_or(
        &mut self,
        target: usize,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
        field: Field,
        fallback: Fallback,
    ) {
        let (file, value) = (file.into(), value.to_string());
        self.all.push(Write { target, file, value, field, fallback });
    }
}

/// An operation of a plan, for `tare plan`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanLine {
    /// The place in config.json that asks for it.
    pub field: Field,
    /// The operation in words: `write memory.max = 536870912`.
    pub operation: String,
}

impl fmt::Display for PlanLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.field, self.operation)
    }
}
