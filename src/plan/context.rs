//! The input of the planner, and the state that its parts share.

use std::cell::OnceCell;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::facts::{Facts, binds};
use super::layers::RootUnion;
use super::maps::Maps;
use super::options::Options;
use super::standing::Standing;
use crate::cgroup;
use crate::spec::mapping::{self, host_id, is_unmapped};
use crate::spec::{Config, Field, Ids, ProcessConfig, annotation, clean, cleaned, is_path, refuse};

/// A config, and what the planner knows beside it.
pub struct Context<'a> {
    pub config: &'a Config,
    pub facts: &'a Facts,
    pub options: &'a Options,
    /// The absolute path of the root file system.
    pub rootfs: PathBuf,
    pub cgroup: cgroup::CgroupPlan,
    /// The program joins a running container, in which the host's paths lead elsewhere.
    pub joining: bool,
    /// The root is a union of layers.
    pub union: Option<RootUnion>,
    pub warnings: Vec<String>,
    standing: OnceCell<Standing<'a>>,
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
        let (warnings, standing) = (Vec::new(), OnceCell::new());
        Ok(Context { config, facts, options, rootfs, cgroup, joining: false, union: None, warnings, standing })
    }

    /// The destinations of the mounts.
    pub fn standing(&self) -> &Standing<'a> {
        self.standing.get_or_init(|| Standing::new(self.config.mounts()))
    }

    /// Warns about the capabilities that are left out of the sets.
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

    /// Whether the config has a namespace of this kind, new or joined.
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

    /// Refuses an id without a mapping in the container's user namespace. `name` is `uid` or `gid`.
    pub fn check_mapped(&self, id: u32, name: &str, field: impl Fn() -> Field) -> Result<()> {
        let maps = if name == "uid" { self.config.uid_mappings() } else { self.config.gid_mappings() };
        if self.in_user_namespace() && is_unmapped(maps, id) {
            refuse!(field(), "{name} {id} is not mapped in linux.{name}Mappings");
        }
        Ok(())
    }

    /// Whether mknod(2) fails: in a user namespace device nodes can only be bound.
    pub fn binds_devices(&self) -> bool {
        self.in_user_namespace() || self.facts.caller.in_user_namespace
    }

    /// Whether the runtime opens the sources of bind mounts: in its user namespace `init` may not be able to read them.
    pub fn sources_by_parent(&self) -> bool {
        self.joining || self.in_user_namespace() && self.own(Kind::Mount) && self.facts.opens_trees
    }

    /// Whether the runtime moves `init` into a cgroup after the clone: systemd moves the process of a scope, and
    /// without clone3(2) no process starts in a v2 cgroup.
    pub fn attaches_late(&self) -> bool {
        let starts_there = |target: &cgroup::Target| !target.is_v2() || self.facts.clones_into_cgroups;
        self.cgroup.is_scope() || !self.cgroup.targets().iter().all(starts_there)
    }

    pub fn cgroup_targets(&self) -> Vec<cgroup::Target> {
        self.cgroup.targets().to_vec()
    }

    /// Whether a directory of the host is bound at `/dev`.
    pub fn dev_is_bound(&self) -> bool {
        self.config.mounts().iter().any(|mount| is_path(&cleaned(mount.destination()), "/dev") && binds(mount))
    }

    /// Whether setgroups(2) works in the user namespace. An unprivileged user may map its own gid only after it has
    /// denied setgroups(2).
    pub fn may_set_groups(&self) -> bool {
        let gid = self.config.gid_mappings();
        self.facts.caller.euid == 0 || !gid.is_empty() && !Maps::single(&mapping::lines(gid), self.facts.caller.egid)
    }
}

/// The owner of a cgroup that the container manages itself. That needs a new cgroup namespace and a writable
/// `/sys/fs/cgroup`, or the annotation for a cgroup below the container's.
fn delegate_to(config: &Config) -> Option<Ids> {
    let writable = || {
        config.mounts().iter().any(|mount| {
            is_path(&cleaned(mount.destination()), "/sys/fs/cgroup")
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
