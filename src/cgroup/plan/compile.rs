//! The plan of a container's cgroup; pure.

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
use crate::spec::{Extras, Field, Ids, refuse};

/// The parts of the config and of the command line that matter for the cgroup.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The container's id: the name of the cgroup if there is no path.
    pub id: &'a str,
    /// `linux.cgroupsPath`.
    pub cgroups_path: Option<&'a Path>,
    /// `linux.resources`.
    pub resources: Option<&'a LinuxResources>,
    /// The fields of it that the types of `oci-spec` cannot hold.
    pub extras: &'a Extras,
    /// The inputs for systemd, if systemd makes the cgroup.
    pub systemd: Option<systemd::Asked<'a>>,
    /// Whether the container gets no cgroup (`--cgroup-manager=disabled`). Limits are refused then.
    pub disabled: bool,
    /// Whether the container may go without a cgroup, if permission is missing and the config asks for none.
    pub rootless: bool,
    /// Whether the caller is in a user namespace other than the initial one, where device rules cannot be set.
    pub in_user_namespace: bool,
    /// The user and group that get the cgroup (v2 only).
    pub delegate_to: Option<Ids>,
    /// A cgroup below the container's own, for its processes. If it is set, it is delegated instead of the container's
    /// own: the processes can make child cgroups but cannot change the limits.
    pub inside: Option<&'a str>,
}

/// The plan of a container's cgroup.
#[derive(Clone, Debug)]
pub struct CgroupPlan {
    pub(in crate::cgroup) writes: Writes,
    pub(in crate::cgroup) rules: Vec<(DeviceRule, Field)>,
    /// v2 only. `None` if every device is allowed or v1 has the devices controller.
    pub(in crate::cgroup) program: Option<DeviceProgram>,
    pub(in crate::cgroup) rootless: bool,
    pub(in crate::cgroup) in_user_namespace: bool,
    pub(in crate::cgroup) disabled: bool,
    pub(in crate::cgroup) has_path: bool,
    pub(in crate::cgroup) delegate_to: Option<Ids>,
    pub(in crate::cgroup) inside: Option<PathBuf>,
    /// The unit that the cgroup belongs to.
    pub(in crate::cgroup) scope: Option<Scope>,
}

impl CgroupPlan {
    /// Makes the plan for `request` on a host with this `layout`.
    ///
    /// Fails, with the name of the field, for a value that is out of range, that contradicts another one, or that this
    /// host cannot carry out.
    pub fn new(layout: &Layout, request: &Request) -> Result<CgroupPlan> {
        let scope = request.systemd.map(|asked| scope(layout, request, &asked)).transpose()?;
        let targets = match &scope {
            Some(scope) => targets::at(layout, &scope.container()),
            None => targets::of(layout, request.id, request.cgroups_path)?,
        };
        let mut plan = CgroupPlan {
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
            refuse!(DELEGATE_CGROUP_FIELD, "only a cgroup of v2 can be delegated");
        }
        if let Some(resources) = request.resources {
            resources::plan(&mut plan.writes, layout, Wanted { resources, extras: request.extras })?;
        }
        plan.add_devices(request.resources)?;
        plan.tell_systemd();
        if request.disabled { plan.without_cgroup(request) } else { Ok(plan) }
    }

    /// Adds limits and devices as properties of the unit.
    fn tell_systemd(&mut self) {
        if let Some(scope) = &mut self.scope {
            scope.properties.extend(systemd::devices(&self.rules));
            scope.properties.extend(systemd::limits(&self.writes.all));
        }
    }

    /// The plan of a container without a cgroup. Limits are an error, because nothing would enforce them. A path, and
    /// device rules, which every config has, cause a note: the container can use every device that it can open.
    fn without_cgroup(self, request: &Request) -> Result<CgroupPlan> {
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
        Ok(CgroupPlan { writes, rules: Vec::new(), program: None, ..self })
    }

    /// Fails on a host without cgroups, unless the container may go without one: its limits, device rules and path
    /// would have no effect.
    pub fn needs_hierarchy(&self) -> Result<()> {
        if self.writes.mode == Mode::None && !self.rootless && !self.disabled {
            refuse!("linux.cgroupsPath", "no cgroup mount found in mountinfo; --cgroup-manager=disabled needs none");
        }
        Ok(())
    }

    /// The directories of the container's cgroup.
    pub fn targets(&self) -> &[Target] {
        &self.writes.targets
    }

    /// The writes, in the order in which the kernel accepts them, with the rules of the v1 devices controller.
    pub fn writes(&self) -> &[Write] {
        &self.writes.all
    }

    /// One sentence for each accepted field without effect on this host, with the reason.
    pub fn notes(&self) -> &[String] {
        &self.writes.notes
    }

    /// Plans device rules: writes for the v1 controller, or a program for the v2 cgroup.
    pub fn add_devices(&mut self, resources: Option<&LinuxResources>) -> Result<()> {
        let configured = resources.and_then(|resources| resources.devices().as_deref());
        self.rules = devices::rules(configured.unwrap_or_default())?;
        if let Some(target) = self.writes.target_of("devices") {
            devices::v1(&mut self.writes, &self.rules, target)?;
        } else if self.writes.v2_target().is_some() {
            self.program = DeviceProgram::new(self.rules.iter().map(|(rule, _)| rule));
            // The range of an eBPF jump.
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

    /// Whether device rules may be impossible: in a user namespace the kernel refuses to set them, and also to make
    /// device nodes.
    pub(in crate::cgroup) fn may_lack_devices(&self) -> bool {
        self.rootless || self.in_user_namespace
    }
}

/// The unit. On v1 its cgroup is in systemd's own hierarchy and in those whose controllers systemd manages.
fn scope(layout: &Layout, request: &Request, asked: &systemd::Asked) -> Result<Scope> {
    if layout.mode() == Mode::None {
        refuse!("linux.cgroupsPath", "the systemd cgroup driver needs cgroups, and no hierarchy is mounted");
    }
    if asked.manager.user && layout.mode() != Mode::Unified {
        refuse!("linux.cgroupsPath", "on cgroup v1 a user's service manager cannot delegate cgroups");
    }
    asked.scope(request.id, request.cgroups_path, layout.mode() == Mode::Unified)
}
