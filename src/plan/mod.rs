//! From a [`Spec`] and the facts about the host to a [`Plan`]. Pure: no descriptors, no pids, no
//! privileges, nothing touched.

mod cgroup_mount;
mod describe;
mod devices;
mod exec;
#[cfg(test)]
mod golden;
mod hooks;
mod mounts;
mod namespaces;
mod order;
mod print;
mod process;
mod program;
pub mod restore;
mod seccomp;
mod sysctl;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use oci_spec::runtime::{Linux, LinuxNamespaceType as Kind, Spec};

use crate::cgroup;
use crate::host::Host;
use crate::rdt::Rdt;
use crate::spec::{Extras, Field, annotation};
use crate::tables::mount_option;

pub use describe::describe;
pub use exec::{Exec, HookEntry, HookRights, ProcessPlan, inherit};
pub use hooks::{Hook, Hooks};
pub use mounts::clean;
pub use namespaces::{Birth, Joined, Maps};
pub use print::print;
pub use process::Limit;
pub use program::{Descriptor, IdMap, Node, Owners, Program, Tree};
pub use seccomp::Agent;

/// What the command line adds to `config.json`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The container's id.
    pub id: String,
    /// The bundle, absolute and without links.
    pub bundle: PathBuf,
    /// The config, where it is not `config.json` of the bundle (`--config`).
    pub config_file: Option<PathBuf>,
    /// The name that the program was called by.
    pub program: String,
    /// Have the cgroup made by systemd (`--systemd-cgroup`).
    pub systemd_cgroup: bool,
    /// Make no cgroup at all (`--cgroup-manager=disabled`).
    pub no_cgroup: bool,
    /// Move the root instead of pivoting (`--no-pivot`).
    pub no_pivot: bool,
    /// Keep the caller's session keyring (`--no-new-keyring`).
    pub no_new_keyring: bool,
    /// Descriptors from 3 on that the container keeps (`--preserve-fds`).
    pub preserve_fds: u32,
    /// Limits of the caller that the runtime has raised for its own work, and the container has as they were.
    pub callers_limits: Vec<Limit>,
    /// How many of them are sockets of the service manager (`LISTEN_FDS`).
    pub listen_fds: u32,
    /// The directory that will hold a socket for the service manager (`NOTIFY_SOCKET`).
    pub notify: Option<PathBuf>,
    /// Wait for `start` on `exec.fifo`.
    pub gate: bool,
    /// Go without a cgroup where there is no permission and nothing was asked (`--rootless`).
    pub rootless_cgroups: bool,
}

/// Everything that is going to happen.
#[derive(Debug)]
pub struct Plan {
    /// What `init` does.
    pub program: Program,
    /// How `init` comes into being.
    pub birth: Birth,
    /// Control groups.
    pub cgroup: cgroup::Plan,
    /// `process.oomScoreAdj`, where `init` may not set it itself.
    pub oom_score_adj: Option<i32>,
    /// Limits that the parent sets from outside, where `init` may not.
    pub limits: Vec<Limit>,
    /// Hooks of all kinds.
    pub hooks: Hooks,
    /// Network devices to move in: name outside, name inside.
    pub net_devices: Vec<(String, String)>,
    /// `linux.intelRdt`.
    pub rdt: Option<Rdt>,
    /// Who gets the listener of the seccomp filter.
    pub agent: Option<Agent>,
    /// The root file system, absolute.
    pub rootfs: PathBuf,
    /// What is not as asked, and need not be an error.
    pub warnings: Vec<String>,
}

/// Compile a config into a plan.
pub fn compile(spec: &Spec, extras: &Extras, host: &Host, options: &Options) -> Result<Plan> {
    let mut context = Context::new(spec, extras, host, options)?;
    let mut program = Program::new();
    refuse_what_is_not_there(&context)?;
    context.cgroup.needs_hierarchy()?;
    annotation::check(spec)?;
    let net_devices = net_devices(spec, host)?;
    let rdt = Rdt::of(spec, &options.id, || host.resctrl())?;
    let order::Outside { birth, limits, score, agent } = order::container(&mut program, &mut context, &net_devices)?;
    let (cgroup, rootfs) = (context.cgroup, context.rootfs);
    let mut warnings = context.warnings;
    warnings.extend(cgroup.notes().iter().cloned());
    Ok(Plan {
        program,
        birth,
        cgroup,
        oom_score_adj: score,
        limits,
        hooks: Hooks::of(spec)?,
        net_devices,
        rdt,
        agent,
        rootfs,
        warnings,
    })
}

/// Parts of the specification that this version does not carry out: refused, not ignored.
fn refuse_what_is_not_there(context: &Context<'_>) -> Result<()> {
    let Some(linux) = context.linux() else { return Ok(()) };
    if linux.mount_label().as_ref().is_some_and(|label| !label.is_empty()) && !context.host.selinux() {
        bail!("linux.mountLabel: selinux label is specified in config, but selinux is disabled or not supported");
    }
    Ok(())
}

/// `linux.netDevices` as pairs of names.
fn net_devices(spec: &Spec, host: &Host) -> Result<Vec<(String, String)>> {
    let devices = spec.linux().as_ref().and_then(|linux| linux.net_devices().as_ref());
    if host.euid != 0 && devices.is_some_and(|devices| !devices.is_empty()) {
        bail!("linux.netDevices: network devices are not supported for rootless containers");
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, device) in devices.into_iter().flatten() {
        let inside = device.name().clone().filter(|inside| !inside.is_empty()).unwrap_or_else(|| name.clone());
        for (text, field) in
            [(name, Field::of("linux.netDevices")), (&inside, Field::of("linux.netDevices").member(name))]
        {
            let valid = !text.is_empty() && text.len() < 16 && !matches!(text.as_str(), "." | "..");
            if !valid || text.chars().any(|c| c == '/' || c == ':' || c.is_whitespace()) {
                bail!("{field}: invalid network device name \"{text}\"");
            }
        }
        // A name with %d is a template: the kernel numbers it.
        if !inside.contains("%d") && pairs.iter().any(|(_, known)| *known == inside) {
            bail!("linux.netDevices.{name}: another device gets the name \"{inside}\" too");
        }
        pairs.push((name.clone(), inside));
    }
    pairs.sort();
    Ok(pairs)
}

/// What the parts of the planner share while they work.
pub struct Context<'a> {
    spec: &'a Spec,
    extras: &'a Extras,
    host: &'a Host,
    options: &'a Options,
    bundle: &'a Path,
    rootfs: PathBuf,
    cgroup: cgroup::Plan,
    /// The program joins a container, and the host's paths mean nothing in there.
    joining: bool,
    warnings: Vec<String>,
}

impl<'a> Context<'a> {
    fn new(spec: &'a Spec, extras: &'a Extras, host: &'a Host, options: &'a Options) -> Result<Context<'a>> {
        let root = spec.root().as_ref().map_or(Path::new(""), |root| root.path());
        let rootfs = mounts::clean(&options.bundle.join(root));
        let linux = spec.linux().as_ref();
        let systemd = match options.systemd_cgroup {
            true => Some(cgroup::systemd::Asked {
                manager: host.service_manager()?,
                program: &options.program,
                annotations: spec.annotations().as_ref(),
            }),
            false => None,
        };
        let request = cgroup::Request {
            id: &options.id,
            cgroups_path: linux.and_then(|linux| linux.cgroups_path().as_deref()),
            resources: linux.and_then(|linux| linux.resources().as_ref()),
            extras,
            systemd,
            disabled: options.no_cgroup,
            rootless: options.rootless_cgroups,
            in_user_namespace: host.in_user_namespace,
            delegate_to: delegate_to(spec),
            inside: annotation::delegated_cgroup(spec)?,
        };
        let cgroup = cgroup::Plan::new(host.cgroups()?, &request)?;
        let mut warnings = Vec::new();
        if !extras.unknown_capabilities.is_empty() {
            let names = extras.unknown_capabilities.join(" ");
            warnings.push(format!("process.capabilities: ignoring unknown or unavailable capabilities: [{names}]"));
        }
        Ok(Context { spec, extras, host, options, bundle: &options.bundle, rootfs, cgroup, joining: false, warnings })
    }

    fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    fn linux(&self) -> Option<&'a Linux> {
        self.spec.linux().as_ref()
    }

    /// Is there a namespace of this kind in the config, new or joined?
    fn own(&self, kind: Kind) -> bool {
        has_namespace(self.spec, kind)
    }

    fn own_network(&self) -> bool {
        self.own(Kind::Network)
    }

    fn own_cgroup(&self) -> bool {
        self.own(Kind::Cgroup)
    }

    fn in_user_namespace(&self) -> bool {
        self.own(Kind::User)
    }

    /// Refuse an id of the container that is nobody there: `name` is uid or gid.
    fn check_mapped(&self, id: u32, name: &str, field: impl Fn() -> Field) -> Result<()> {
        let Some(linux) = self.linux().filter(|_| self.in_user_namespace()) else { return Ok(()) };
        let maps = if name == "uid" { linux.uid_mappings() } else { linux.gid_mappings() };
        if is_unmapped(maps, id) {
            bail!("{}: {name} {id} is not mapped in linux.{name}Mappings", field());
        }
        Ok(())
    }

    /// Devices cannot be made, only bound.
    fn binds_devices(&self) -> bool {
        self.in_user_namespace() || self.host.in_user_namespace
    }

    /// Bind sources may be unreadable once inside the user namespace: the parent opens them.
    fn sources_by_parent(&self) -> bool {
        self.joining || self.in_user_namespace() && self.own(Kind::Mount) && self.host.opens_trees()
    }

    /// The process cannot be born into its cgroups, so it waits until it was moved there.
    fn attaches_late(&self) -> bool {
        let born_there = |target: &cgroup::Target| target.is_v2() && self.host.clones_into_cgroups();
        self.cgroup.is_scope() || !self.cgroup.targets().iter().all(born_there)
    }

    fn cgroup_targets(&self) -> Vec<cgroup::Target> {
        self.cgroup.targets().to_vec()
    }

    /// Does the host's `/dev` appear at `/dev`?
    fn dev_is_bound(&self) -> bool {
        self.spec.mounts().iter().flatten().any(|mount| {
            let bound = mount.typ().as_deref() == Some("bind")
                || mount
                    .options()
                    .iter()
                    .flatten()
                    .any(|option| matches!(mount_option::effect(option), Some(mount_option::Effect::Bind(_))));
            bound && mounts::clean(mount.destination()) == Path::new("/dev")
        })
    }

    /// An ordinary user's own map leaves `setgroups(2)` denied.
    fn may_set_groups(&self) -> bool {
        let linux = self.linux();
        let gid = linux.and_then(|linux| linux.gid_mappings().as_ref());
        self.host.euid == 0 || gid.is_some_and(|maps| !Maps::single(&namespaces::map_lines(maps), self.host.egid))
    }
}

/// Is there a namespace of this kind, new or joined?
pub fn has_namespace(spec: &Spec, kind: Kind) -> bool {
    let list = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    list.into_iter().flatten().any(|namespace| namespace.typ() == kind)
}

/// Is there a new namespace of this kind?
pub fn makes_namespace(spec: &Spec, kind: Kind) -> bool {
    has_namespace(spec, kind) && joined_namespace(spec, kind).is_none()
}

/// The namespace of this kind that is joined.
fn joined_namespace(spec: &Spec, kind: Kind) -> Option<&Path> {
    let mut list = spec.linux().as_ref()?.namespaces().iter().flatten();
    let path = list.find(|namespace| namespace.typ() == kind)?.path().as_deref()?;
    (!path.as_os_str().is_empty()).then_some(path)
}

/// The owner of the cgroup when the container may manage it itself: a private cgroup namespace and
/// a writable `/sys/fs/cgroup`, or one of its own inside.
fn delegate_to(spec: &Spec) -> Option<(u32, u32)> {
    let list = spec.linux().as_ref()?.namespaces().as_ref()?;
    let private = list.iter().any(|it| it.typ() == Kind::Cgroup && it.path().is_none());
    let writable = spec.mounts().iter().flatten().any(|mount| {
        mounts::clean(mount.destination()) == Path::new("/sys/fs/cgroup")
            && !mount.options().iter().flatten().any(|option| option == "ro")
    });
    let asked = annotation::delegated_cgroup(spec).ok().flatten().is_some();
    if !asked && (!private || !writable) {
        return None;
    }
    let user = spec.process().as_ref().map(|process| (process.user().uid(), process.user().gid()))?;
    let linux = spec.linux().as_ref()?;
    let host = |maps: &Mappings, id| host_id(maps, id).unwrap_or(id);
    Some((host(linux.uid_mappings(), user.0), host(linux.gid_mappings(), user.1)))
}

type Mappings = Option<Vec<oci_spec::runtime::LinuxIdMapping>>;

/// The host's name for an id of the container.
fn host_id(maps: &Mappings, id: u32) -> Option<u32> {
    let mut maps = maps.as_deref().unwrap_or_default().iter();
    let within = |map: &&oci_spec::runtime::LinuxIdMapping| {
        (map.container_id()..map.container_id().saturating_add(map.size())).contains(&id)
    };
    maps.find(within).and_then(|map| map.host_id().checked_add(id - map.container_id()))
}

/// Whom what the runtime makes belongs to in a user namespace: root or, where that is not mapped, the container's user,
/// as with crun.
fn root_inside(spec: &Spec) -> (u32, u32) {
    let linux = spec.linux().as_ref();
    let lacks_root = |maps: Option<&Mappings>| maps.is_some_and(|maps| is_unmapped(maps, 0));
    let none =
        lacks_root(linux.map(|linux| linux.uid_mappings())) || lacks_root(linux.map(|linux| linux.gid_mappings()));
    let user = spec.process().as_ref().map(|process| process.user()).filter(|_| none);
    user.map_or((0, 0), |user| (user.uid(), user.gid()))
}

/// An id that is nobody in the user namespace with these mappings. Without mappings nothing is known of it.
fn is_unmapped(maps: &Mappings, id: u32) -> bool {
    maps.as_ref().is_some_and(|list| !list.is_empty()) && host_id(maps, id).is_none()
}

/// The host's ids of the container's root, where `config.json` maps it to somebody.
pub fn mapped_root(spec: &Spec) -> Option<(u32, u32)> {
    let linux = spec.linux().as_ref()?;
    Some((host_id(linux.uid_mappings(), 0)?, host_id(linux.gid_mappings(), 0)?))
}
