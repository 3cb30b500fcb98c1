//! What is to be done to give a container its cgroup; pure.

use std::path::{Path, PathBuf};

use anyhow::Result;
use oci_spec::runtime::LinuxResources;

use super::device_program::DeviceProgram;
use super::resources::{self, Wanted};
use super::{devices, targets};
use crate::cgroup::device_rule::DeviceRule;
use crate::cgroup::layout::{Layout, Mode};
use crate::cgroup::systemd::{self, Scope};
use crate::cgroup::writes::{Target, Write, Writes};
use crate::spec::annotation::DELEGATE_CGROUP_FIELD;
use crate::spec::{Extras, Field, refuse};

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

impl Request<'_> {
    /// Whether the path is relative to the caller's own cgroup.
    pub fn needs_own(&self) -> bool {
        self.systemd.is_none() && !self.cgroups_path.is_some_and(Path::is_absolute)
    }
}

/// Everything that has to be done for a container's cgroup.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(in crate::cgroup) writes: Writes,
    pub(in crate::cgroup) rules: Vec<(DeviceRule, Field)>,
    /// v2 only; `None` when every device is allowed or v1 has the devices controller.
    pub(in crate::cgroup) program: Option<DeviceProgram>,
    pub(in crate::cgroup) rootless: bool,
    pub(in crate::cgroup) in_user_namespace: bool,
    /// Whether the container is to have no cgroup.
    pub(in crate::cgroup) disabled: bool,
    /// Whether config.json names a path.
    pub(in crate::cgroup) has_path: bool,
    pub(in crate::cgroup) delegate_to: Option<(u32, u32)>,
    pub(in crate::cgroup) inside: Option<PathBuf>,
    /// The unit that the cgroup belongs to.
    pub(in crate::cgroup) scope: Option<Scope>,
}

impl Plan {
    /// Decides what has to be done for `request` on a host with this `layout`.
    ///
    /// Fails, naming the field, for values out of range, that contradict each other, or that no
    /// hierarchy of this host can carry out.
    pub fn new(layout: &Layout, request: &Request) -> Result<Plan> {
        let scope = request.systemd.map(|asked| scope(layout, request, &asked)).transpose()?;
        let targets = match &scope {
            Some(scope) => targets::at(layout, &scope.container()),
            None => targets::of(layout, request.id, request.cgroups_path)?,
        };
        let mut plan = Plan {
            writes: Writes::new(layout.mode(), targets),
            rules: Vec::new(),
            program: None,
            rootless: request.rootless,
            in_user_namespace: request.in_user_namespace,
            disabled: request.disabled,
            has_path: request.cgroups_path.is_some_and(|path| !path.as_os_str().is_empty()),
            delegate_to: request.delegate_to,
            inside: request.inside.map(PathBuf::from),
            scope,
        };
        if plan.inside.is_some() && layout.mode() != Mode::Unified {
            refuse!(DELEGATE_CGROUP_FIELD, "only a cgroup v2 can be handed over");
        }
        if let Some(resources) = request.resources {
            resources::plan(&mut plan.writes, layout, Wanted { resources, extras: request.extras })?;
        }
        plan.add_devices(request.resources)?;
        plan.tell_systemd();
        if request.disabled { plan.without_cgroup(request) } else { Ok(plan) }
    }

    /// What systemd is to know of limits and devices.
    fn tell_systemd(&mut self) {
        if let Some(scope) = &mut self.scope {
            scope.properties.extend(systemd::devices(&self.rules));
            scope.properties.extend(systemd::limits(&self.writes.all));
        }
    }

    /// What is left of a plan when there must be no cgroup. Limits that nobody would hold are an
    /// error. A path and device rules, which every config has, are told of: such a container may use
    /// whatever devices it can open.
    fn without_cgroup(self, request: &Request) -> Result<Plan> {
        if let Some(write) = self.writes.all.iter().find(|write| !write.is_device_rule()) {
            refuse!(&write.field, "cannot be set without a cgroup (--cgroup-manager=disabled)");
        }
        let mut notes = Vec::new();
        let devices = request.resources.and_then(|resources| resources.devices().as_deref()).unwrap_or_default();
        if !devices.is_empty() {
            notes.push("linux.resources.devices: not in force without a cgroup".to_owned());
        }
        if self.has_path {
            notes.push("linux.cgroupsPath: there is no cgroup (--cgroup-manager=disabled)".to_owned());
        }
        let writes = Writes { notes, ..Writes::new(Mode::None, Vec::new()) };
        Ok(Plan { writes, rules: Vec::new(), program: None, ..self })
    }

    /// Refuses a host without cgroups for a container that is to have one: its limits, its device rules and its path
    /// would come to nothing.
    pub fn needs_hierarchy(&self) -> Result<()> {
        if self.writes.mode == Mode::None && !self.rootless && !self.disabled {
            refuse!("linux.cgroupsPath", "no cgroup mount found in mountinfo; --cgroup-manager=disabled does without");
        }
        Ok(())
    }

    /// The directories of the container's cgroup.
    pub fn targets(&self) -> &[Target] {
        &self.writes.targets
    }

    /// The values to be written, in the order the kernel accepts. The rules of the v1 devices
    /// controller are among them.
    pub fn writes(&self) -> &[Write] {
        &self.writes.all
    }

    /// What is accepted and has no effect on this host, and why; one sentence each.
    pub fn notes(&self) -> &[String] {
        &self.writes.notes
    }

    /// Rules go to the v1 controller where there is one, else into a program on the v2 cgroup.
    pub fn add_devices(&mut self, resources: Option<&LinuxResources>) -> Result<()> {
        let configured = resources.and_then(|resources| resources.devices().as_deref());
        self.rules = devices::rules(configured.unwrap_or_default())?;
        if let Some(target) = self.writes.target_of("devices") {
            devices::v1(&mut self.writes, &self.rules, target)?;
        } else if self.writes.v2_target().is_some() {
            self.program = DeviceProgram::new(self.rules.iter().map(|(rule, _)| rule));
            // A jump of eBPF reaches this far.
            if self.program.as_ref().is_some_and(|program| program.len() > i16::MAX as usize) {
                refuse!("linux.resources.devices", "too many rules for one device program");
            }
        } else if !self.rootless && self.writes.mode != Mode::None {
            refuse!("linux.resources.devices", "cgroup controller \"devices\" is not available");
        }
        Ok(())
    }

    /// Whether systemd makes the cgroup, together with its first process.
    pub fn is_scope(&self) -> bool {
        self.scope.is_some()
    }

    /// Whether device rules may be impossible: in a user namespace nobody can set them, and nobody can make a device.
    pub(in crate::cgroup) fn may_lack_devices(&self) -> bool {
        self.rootless || self.in_user_namespace
    }
}

/// The unit. On v1 it is in systemd's own hierarchy and in those that it has controllers in.
fn scope(layout: &Layout, request: &Request, asked: &systemd::Asked) -> Result<Scope> {
    if layout.mode() == Mode::None {
        refuse!("linux.cgroupsPath", "the systemd cgroup driver needs cgroups, and no hierarchy is mounted");
    }
    if asked.manager.user && layout.mode() != Mode::Unified {
        refuse!("linux.cgroupsPath", "a user's service manager has no cgroups to give on cgroup v1");
    }
    asked.scope(request.id, request.cgroups_path, layout.mode() == Mode::Unified)
}
