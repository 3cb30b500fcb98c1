//! State that the parts of the planner share while they work.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::facts::{Facts, binds};
use super::maps::Maps;
use super::options::Options;
use crate::cgroup;
use crate::spec::mapping::{self, host_id, is_unmapped};
use crate::spec::{Config, Field, Ids, ProcessConfig, annotation, clean, refuse};

/// One config on its way to a plan.
pub struct Context<'a> {
    pub config: &'a Config,
    pub facts: &'a Facts,
    pub options: &'a Options,
    /// The root file system, absolute.
    pub rootfs: PathBuf,
    pub cgroup: cgroup::CgroupPlan,
    /// The program joins a container, in which the host's paths lead elsewhere.
    pub joining: bool,
    pub warnings: Vec<String>,
}

impl<'a> Context<'a> {
    pub fn new(config: &'a Config, facts: &'a Facts, options: &'a Options) -> Result<Context<'a>> {
        let systemd = match options.systemd_cgroup {
            true => Some(cgroup::systemd::Asked {
                manager: facts.manager.as_ref().context("systemd was not asked")?,
                program: &options.program,
                annotations: config.annotations(),
            }),
            false => None,
        };
        let request = cgroup::Request {
            id: &options.id,
            cgroups_path: config.cgroups_path(),
            resources: config.resources(),
            extras: config.extras(),
            systemd,
            disabled: options.no_cgroup,
            rootless: options.rootless_cgroups,
            in_user_namespace: facts.caller.in_user_namespace,
            delegate_to: delegate_to(config),
            inside: annotation::delegated_cgroup(config)?,
        };
        let cgroup = cgroup::CgroupPlan::new(&facts.cgroups, &request)?;
        let rootfs = clean(&options.bundle.join(config.root()));
        Ok(Context { config, facts, options, rootfs, cgroup, joining: false, warnings: Vec::new() })
    }

    /// Warn of the capabilities that are left out of the sets.
    pub fn warn_of_capabilities(&mut self, process: &ProcessConfig) {
        let unknown = &process.extras.unknown_capabilities;
        if !unknown.is_empty() {
            let names = unknown.join(" ");
            self.warn(format!("process.capabilities: ignoring unknown or unavailable capabilities: [{names}]"));
        }
    }

    pub fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    /// Is there a namespace of this kind in the config, new or joined?
    pub fn own(&self, kind: Kind) -> bool {
        self.config.has(kind)
    }

    pub fn own_network(&self) -> bool {
        self.own(Kind::Network)
    }

    pub fn own_cgroup(&self) -> bool {
        self.own(Kind::Cgroup)
    }

    pub fn in_user_namespace(&self) -> bool {
        self.own(Kind::User)
    }

    /// Refuse an id that the container's user namespace does not have: `name` is uid or gid.
    pub fn check_mapped(&self, id: u32, name: &str, field: impl Fn() -> Field) -> Result<()> {
        let maps = if name == "uid" { self.config.uid_mappings() } else { self.config.gid_mappings() };
        if self.in_user_namespace() && is_unmapped(maps, id) {
            refuse!(field(), "{name} {id} is not mapped in linux.{name}Mappings");
        }
        Ok(())
    }

    /// Devices cannot be made, only bound.
    pub fn binds_devices(&self) -> bool {
        self.in_user_namespace() || self.facts.caller.in_user_namespace
    }

    /// Bind sources may be unreadable once inside the user namespace: the parent opens them.
    pub fn sources_by_parent(&self) -> bool {
        self.joining || self.in_user_namespace() && self.own(Kind::Mount) && self.facts.opens_trees
    }

    /// The process cannot be born into its cgroups, so it waits until it was moved there.
    pub fn attaches_late(&self) -> bool {
        let born_there = |target: &cgroup::Target| target.is_v2() && self.facts.clones_into_cgroups;
        self.cgroup.is_scope() || !self.cgroup.targets().iter().all(born_there)
    }

    pub fn cgroup_targets(&self) -> Vec<cgroup::Target> {
        self.cgroup.targets().to_vec()
    }

    /// Does the host's `/dev` appear at `/dev`?
    pub fn dev_is_bound(&self) -> bool {
        self.config.mounts().iter().any(|mount| binds(mount) && clean(mount.destination()) == Path::new("/dev"))
    }

    /// An ordinary user's own map leaves `setgroups(2)` denied.
    pub fn may_set_groups(&self) -> bool {
        let gid = self.config.gid_mappings();
        self.facts.caller.euid == 0 || !gid.is_empty() && !Maps::single(&mapping::lines(gid), self.facts.caller.egid)
    }
}

/// The owner of the cgroup when the container may manage it itself: a private cgroup namespace and
/// a writable `/sys/fs/cgroup`, or one of its own inside.
fn delegate_to(config: &Config) -> Option<Ids> {
    let writable = || {
        config.mounts().iter().any(|mount| {
            clean(mount.destination()) == Path::new("/sys/fs/cgroup")
                && !mount.options().iter().flatten().any(|option| option == "ro")
        })
    };
    let asked = annotation::delegated_cgroup(config).ok().flatten().is_some();
    if !(asked || config.makes(Kind::Cgroup) && writable()) {
        return None;
    }
    let user = config.process().user();
    let host = |maps, id| host_id(maps, id).unwrap_or(id);
    Some(Ids::new(host(config.uid_mappings(), user.uid()), host(config.gid_mappings(), user.gid())))
}
