//! What is to be done to give a container its cgroup; pure.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use oci_spec::runtime::LinuxResources;

use super::device_program::DeviceProgram;
use super::devices::DeviceRule;
use super::layout::{Layout, Mode};
use super::path::clean;
use super::scalar::Wanted;
use super::systemd::{self, Scope};
use super::{check, devices, unified, v1, v2};
use crate::spec::{Extras, Field};

/// What a container asks of its cgroup.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The container's id: the name of the cgroup where no path is given.
    pub id: &'a str,
    /// `linux.cgroupsPath`.
    pub cgroups_path: Option<&'a Path>,
    /// `linux.resources`.
    pub resources: Option<&'a LinuxResources>,
    /// What the types of `oci-spec` cannot hold of it.
    pub extras: &'a Extras,
    /// What is asked of systemd, which makes the cgroup then.
    pub systemd: Option<systemd::Asked<'a>>,
    /// No cgroup at all: limits are refused.
    pub disabled: bool,
    /// Whether missing permission for cgroups is tolerated when nothing was asked for.
    pub rootless: bool,
    /// Whether the caller is in a user namespace that is not the first one, where nobody may set device rules.
    pub in_user_namespace: bool,
    /// The user and group that the cgroup is handed over to (v2 only).
    pub delegate_to: Option<(u32, u32)>,
    /// The cgroup below the container's own that is handed over in its place, and that its processes
    /// are in: they can have sub-cgroups, and the limits stay out of their reach.
    pub inside: Option<&'a str>,
}

/// Who asks for a cgroup inside the container's own.
pub(super) const DELEGATE_CGROUP: &str = "annotations.run.oci.delegate-cgroup";

/// The hierarchy of v1 in which systemd keeps its units.
pub(super) const SYSTEMD: &str = "name=systemd";

/// A directory to be made, the container's own in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The v1 controllers of the hierarchy; empty for v2.
    pub controllers: String,
    /// Where the hierarchy is mounted on the host.
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

/// What to do when the kernel refuses a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fallback {
    /// It is an error.
    #[default]
    Fail,
    /// No such file: write that value into that file of the same directory instead.
    Instead(&'static str, String),
    /// `EINVAL`: the value contradicts one that a later write changes; once more after the others.
    Later,
    /// No such file, or the kernel knows the file and no longer supports it: nothing to limit.
    Skip,
}

/// One value for one file of the cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Which of the plan's targets the file is in.
    pub target: usize,
    /// The file's name.
    pub file: Cow<'static, str>,
    /// What is written, in one `write`.
    pub value: String,
    /// The place in config.json that asked for it.
    pub field: Field,
    /// What to do when it is refused.
    pub fallback: Fallback,
}

impl Write {
    /// Whether this is a rule of the v1 devices controller, not a limit.
    pub fn is_device_rule(&self) -> bool {
        self.file.starts_with("devices.")
    }
}

/// The usage that `checkBeforeUpdate` compares with, in bytes; 0 or less is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UsageCheck {
    pub target: usize,
    pub limit: i64,
    pub swap: i64,
}

impl UsageCheck {
    /// The check that `resources` ask for, of the memory controller at `target`.
    pub fn of(resources: &LinuxResources, target: usize) -> Option<UsageCheck> {
        let memory = resources.memory().filter(|memory| memory.check_before_update() == Some(true))?;
        let (limit, swap) = (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0));
        (limit > 0 || swap > 0).then_some(UsageCheck { target, limit, swap })
    }
}

/// Everything that has to be done for a container's cgroup.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) mode: Mode,
    pub(super) targets: Vec<Target>,
    pub(super) writes: Vec<Write>,
    pub(super) rules: Vec<(DeviceRule, Field)>,
    /// v2 only; `None` when every device is allowed or v1 has the devices controller.
    pub(super) program: Option<DeviceProgram>,
    pub(super) usage: Option<UsageCheck>,
    pub(super) rootless: bool,
    pub(super) in_user_namespace: bool,
    /// Whether the container is to have no cgroup.
    pub(super) disabled: bool,
    /// Whether config.json names a path.
    pub(super) has_path: bool,
    pub(super) delegate_to: Option<(u32, u32)>,
    pub(super) inside: Option<PathBuf>,
    /// The unit that the cgroup belongs to.
    pub(super) scope: Option<Scope>,
    pub(super) notes: Vec<String>,
}

/// One operation of a plan as a person reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The place in config.json that asked for it.
    pub field: Field,
    /// What is done: `write memory.max = 536870912`.
    pub operation: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.field, self.operation)
    }
}

impl Plan {
    /// Decides what has to be done for `request` on a host with this `layout`.
    ///
    /// Fails, naming the field, for values out of range, that contradict each other, or that no
    /// hierarchy of this host can carry out. Pure, but for [`Layout::v2_own`].
    pub fn new(layout: &Layout, request: &Request) -> Result<Plan> {
        let scope = request.systemd.map(|asked| scope(layout, request, &asked)).transpose()?;
        let mut plan = Plan {
            mode: layout.mode(),
            targets: match &scope {
                Some(scope) => targets_at(layout, &scope.container()),
                None => targets(layout, request)?,
            },
            writes: Vec::new(),
            rules: Vec::new(),
            program: None,
            usage: None,
            rootless: request.rootless,
            in_user_namespace: request.in_user_namespace,
            disabled: request.disabled,
            has_path: request.cgroups_path.is_some_and(|path| !path.as_os_str().is_empty()),
            delegate_to: request.delegate_to,
            inside: request.inside.map(PathBuf::from),
            scope,
            notes: Vec::new(),
        };
        if plan.inside.is_some() && plan.mode != Mode::Unified {
            bail!("{DELEGATE_CGROUP}: only a cgroup v2 can be handed over");
        }
        if let Some(resources) = request.resources {
            plan.add_resources(layout, resources, request.extras)?;
        }
        plan.add_devices(request.resources)?;
        plan.tell_systemd();
        if request.disabled { plan.without_cgroup(request) } else { Ok(plan) }
    }

    /// What systemd is to know of limits and devices.
    fn tell_systemd(&mut self) {
        if let Some(scope) = &mut self.scope {
            scope.properties.extend(systemd::devices(&self.rules));
            scope.properties.extend(systemd::limits(&self.writes));
        }
    }

    /// What is left of a plan when there must be no cgroup. Limits that nobody would hold are an
    /// error. A path and device rules, which every config has, are told of: such a container may use
    /// whatever devices it can open.
    fn without_cgroup(self, request: &Request) -> Result<Plan> {
        if let Some(write) = self.writes.iter().find(|write| !write.is_device_rule()) {
            bail!("{}: cannot be set without a cgroup (--cgroup-manager=disabled)", write.field);
        }
        let mut notes = Vec::new();
        let devices = request.resources.and_then(|resources| resources.devices().as_deref()).unwrap_or_default();
        if !devices.is_empty() {
            notes.push("linux.resources.devices: not in force without a cgroup".to_owned());
        }
        if self.has_path {
            notes.push("linux.cgroupsPath: there is no cgroup (--cgroup-manager=disabled)".to_owned());
        }
        Ok(Plan {
            mode: Mode::None,
            targets: Vec::new(),
            writes: Vec::new(),
            rules: Vec::new(),
            program: None,
            usage: None,
            notes,
            ..self
        })
    }

    /// Refuses a host without cgroups for a container that is to have one: its limits, its device rules and its path
    /// would come to nothing.
    pub fn needs_hierarchy(&self) -> Result<()> {
        if self.mode == Mode::None && !self.rootless && !self.disabled {
            bail!("linux.cgroupsPath: no cgroup mount found in mountinfo; --cgroup-manager=disabled does without");
        }
        Ok(())
    }

    /// The directories of the container's cgroup.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The values to be written, in the order the kernel accepts. The rules of the v1 devices
    /// controller are among them.
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// What is accepted and has no effect on this host, and why; one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The operations in the order in which [`Plan::create`] carries them out.
    pub fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        let by_systemd = |target: &&Target| self.scope.is_some() && (target.is_v2() || target.controllers == SYSTEMD);
        let made = self.targets.iter().filter(move |target| !by_systemd(target)).map(|target| Line {
            field: Field::of("linux.cgroupsPath"),
            operation: format!("mkdir {}", target.dir().display()),
        });
        let started = self.scope.iter().flat_map(Scope::lines);
        let written = self.writes.iter().map(|write| Line {
            field: write.field.clone(),
            operation: format!("write {} = {}", write.file, write.value),
        });
        let ruled = self.program.iter().flat_map(|program| {
            let rules = self
                .rules
                .iter()
                .map(|(rule, field)| Line { field: field.clone(), operation: format!("device {rule}") });
            rules.chain(std::iter::once(Line {
                field: Field::of("linux.resources.devices"),
                operation: format!("attach device program of {} instructions", program.len()),
            }))
        });
        let handed_over = self.delegate_to.filter(|_| self.v2_target().is_some()).map(|(uid, gid)| Line {
            field: Field::of(if self.inside.is_some() { DELEGATE_CGROUP } else { "linux.cgroupsPath" }),
            operation: match &self.inside {
                Some(inside) => format!("mkdir {} inside, for {uid}:{gid}", inside.display()),
                None => format!("hand it over to {uid}:{gid}"),
            },
        });
        started.chain(made).chain(written).chain(ruled).chain(handed_over)
    }

    fn add_resources(&mut self, layout: &Layout, resources: &LinuxResources, extras: &Extras) -> Result<()> {
        let wanted = Wanted { resources, extras };
        check::resources(wanted)?;
        if self.mode == Mode::Unified {
            v2::plan(self, 0, wanted)?;
        } else {
            v1::plan(self, layout, wanted)?;
        }
        unified::plan(self, layout, resources)
    }

    /// Rules go to the v1 controller where there is one, else into a program on the v2 cgroup.
    pub(super) fn add_devices(&mut self, resources: Option<&LinuxResources>) -> Result<()> {
        let configured = resources.and_then(|resources| resources.devices().as_deref());
        self.rules = devices::rules(configured.unwrap_or_default())?;
        if let Some(target) = self.target_of("devices") {
            self.writes.extend(devices::v1_writes(&self.rules, target)?);
        } else if self.v2_target().is_some() {
            self.program = DeviceProgram::new(self.rules.iter().map(|(rule, _)| rule));
            // A jump of eBPF reaches this far.
            if self.program.as_ref().is_some_and(|program| program.len() > i16::MAX as usize) {
                bail!("linux.resources.devices: too many rules for one device program");
            }
        } else if !self.rootless && self.mode != Mode::None {
            bail!("linux.resources.devices: cgroup controller \"devices\" is not available");
        }
        Ok(())
    }

    /// The target of the v1 hierarchy that has `controller`.
    pub(super) fn target_of(&self, controller: &str) -> Option<usize> {
        self.targets.iter().position(|t| t.controllers.split(',').any(|name| name == controller))
    }

    /// The target in the v2 hierarchy.
    pub(super) fn v2_target(&self) -> Option<usize> {
        self.targets.iter().position(Target::is_v2)
    }

    /// Appends a write that is an error when refused.
    pub(super) fn write(
        &mut self,
        target: usize,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
        field: Field,
    ) {
        self.write_or(target, file, value, field, Fallback::Fail);
    }

    /// Appends a write with a fallback.
    pub(super) fn write_or(
        &mut self,
        target: usize,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
        field: Field,
        fallback: Fallback,
    ) {
        let (file, value) = (file.into(), value.to_string());
        self.writes.push(Write { target, file, value, field, fallback });
    }
}

/// The unit. On v1 it is in systemd's own hierarchy and in those that it has controllers in.
fn scope(layout: &Layout, request: &Request, asked: &systemd::Asked) -> Result<Scope> {
    if layout.mode() == Mode::None {
        bail!("linux.cgroupsPath: the systemd cgroup driver needs cgroups, and no hierarchy is mounted");
    }
    if asked.manager.user && layout.mode() != Mode::Unified {
        bail!("linux.cgroupsPath: a user's service manager has no cgroups to give on cgroup v1");
    }
    asked.scope(request.id, request.cgroups_path, layout.mode() == Mode::Unified)
}

/// The same directory in each hierarchy.
fn targets_at(layout: &Layout, path: &Path) -> Vec<Target> {
    let target = |controllers: &str, mount: &Path| Target {
        controllers: controllers.to_owned(),
        mount: mount.to_owned(),
        path: path.to_owned(),
    };
    let v1 = layout.v1().iter().map(|hierarchy| target(&hierarchy.controllers, &hierarchy.mount));
    v1.chain(layout.v2_mount().map(|mount| target("", mount))).collect()
}

/// The container's directory in each hierarchy.
///
/// An absolute path is below the mount. A relative one, and the id where there is none, is below
/// the caller's own cgroup on v1. On v2 it is *beside* it, because a cgroup with processes of its
/// own cannot hand controllers down; hybrid hosts follow v1.
fn targets(layout: &Layout, request: &Request) -> Result<Vec<Target>> {
    let asked = request.cgroups_path.unwrap_or(Path::new(""));
    let absolute = asked.is_absolute();
    let mut inner = clean(asked);
    if asked.as_os_str().is_empty() {
        inner = clean(Path::new(request.id));
    }
    let below = |own: &Path| {
        if absolute { inner.clone() } else { own.join(&inner) }
    };
    let mut targets: Vec<Target> = layout
        .v1()
        .iter()
        .map(|hierarchy| Target {
            controllers: hierarchy.controllers.clone(),
            mount: hierarchy.mount.clone(),
            path: below(&hierarchy.own),
        })
        .collect();
    if let Some(mount) = layout.v2_mount() {
        let path = match (absolute, layout.mode()) {
            (true, _) => inner.clone(),
            (false, Mode::Unified) => below(layout.v2_own()?.parent().unwrap_or(Path::new(""))),
            (false, _) => below(layout.v2_own()?),
        };
        targets.push(Target { controllers: String::new(), mount: mount.to_owned(), path });
    }
    if inner.as_os_str().is_empty() {
        bail!("linux.cgroupsPath: {asked:?} is the root of the hierarchy, not a cgroup of its own");
    }
    Ok(targets)
}
