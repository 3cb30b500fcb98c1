//! A whole `config.json`, and the questions about it.

use std::collections::HashMap;
use std::path::Path;

use oci_spec::runtime::{
    Hooks, Linux, LinuxDevice, LinuxIdMapping, LinuxIntelRdt, LinuxMemoryPolicy, LinuxNamespace,
    LinuxNamespaceType as Kind, LinuxNetDevice, LinuxPersonality, LinuxResources, LinuxSeccomp, LinuxTimeOffset, Mount,
    Spec,
};

use super::extras::Extras;
use super::ids::Ids;
use super::mapping::{host_id, is_unmapped};
use super::process::{ProcessConfig, given};

/// A config: the values that the types of `oci-spec` can hold, and separately those that they cannot.
///
/// An absent section and an empty one mean the same, unless the question returns an `Option`.
#[derive(Clone, Debug)]
pub struct Config {
    /// All but `process`, which has a field of its own.
    spec: Spec,
    process: ProcessConfig,
    extras: Extras,
}

impl Config {
    pub(super) fn new(spec: Spec, process: ProcessConfig, extras: Extras) -> Config {
        Config { spec, process, extras }
    }

    pub(super) fn spec(&self) -> &Spec {
        &self.spec
    }

    fn linux(&self) -> Option<&Linux> {
        self.spec.linux().as_ref()
    }

    /// A list of the section `linux`; empty if it is absent.
    fn list<'a, T>(&'a self, get: impl FnOnce(&'a Linux) -> &'a Option<Vec<T>>) -> &'a [T] {
        self.linux().and_then(|linux| get(linux).as_deref()).unwrap_or_default()
    }

    /// `process`
    pub fn process(&self) -> &ProcessConfig {
        &self.process
    }

    /// `root.path`
    pub fn root(&self) -> &Path {
        self.spec.root().as_ref().map_or(Path::new(""), |root| root.path())
    }

    /// `root.readonly`
    pub fn has_read_only_root(&self) -> bool {
        self.spec.root().as_ref().and_then(|root| root.readonly()) == Some(true)
    }

    /// `hostname`, unless it is empty.
    pub fn hostname(&self) -> Option<&str> {
        given(self.spec.hostname())
    }

    /// `domainname`, unless it is empty.
    pub fn domainname(&self) -> Option<&str> {
        given(self.spec.domainname())
    }

    /// `mounts`
    pub fn mounts(&self) -> &[Mount] {
        self.spec.mounts().as_deref().unwrap_or_default()
    }

    /// The same config with another list of mounts.
    pub fn with_mounts(mut self, mounts: Vec<Mount>) -> Config {
        self.spec.set_mounts(Some(mounts));
        self
    }

    /// `hooks`
    pub fn hooks(&self) -> Option<&Hooks> {
        self.spec.hooks().as_ref()
    }

    /// `annotations`
    pub fn annotations(&self) -> Option<&HashMap<String, String>> {
        self.spec.annotations().as_ref()
    }

    /// The value of the annotation with this name.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations()?.get(name).map(String::as_str)
    }

    /// `linux.namespaces`
    pub fn namespaces(&self) -> &[LinuxNamespace] {
        self.list(Linux::namespaces)
    }

    /// Whether the config has a namespace of this kind, new or joined.
    pub fn has(&self, kind: Kind) -> bool {
        self.namespaces().iter().any(|namespace| namespace.typ() == kind)
    }

    /// Whether the config has a new namespace of this kind.
    pub fn makes(&self, kind: Kind) -> bool {
        self.has(kind) && self.joins(kind).is_none()
    }

    /// The path of the joined namespace of this kind.
    pub fn joins(&self, kind: Kind) -> Option<&Path> {
        path_of(self.namespaces().iter().find(|namespace| namespace.typ() == kind)?)
    }

    /// `linux.uidMappings`
    pub fn uid_mappings(&self) -> &[LinuxIdMapping] {
        self.list(Linux::uid_mappings)
    }

    /// `linux.gidMappings`
    pub fn gid_mappings(&self) -> &[LinuxIdMapping] {
        self.list(Linux::gid_mappings)
    }

    /// The host's ids of the container's root, if the config maps them.
    pub fn mapped_root(&self) -> Option<Ids> {
        Some(Ids::new(host_id(self.uid_mappings(), 0)?, host_id(self.gid_mappings(), 0)?))
    }

    /// The owner, in the user namespace, of files that the runtime creates: root or, if root is not mapped, the
    /// container's user. crun does the same.
    pub fn root_inside(&self) -> Ids {
        let lacks_root = is_unmapped(self.uid_mappings(), 0) || is_unmapped(self.gid_mappings(), 0);
        let user = self.process.user();
        if lacks_root { Ids::new(user.uid(), user.gid()) } else { Ids::ROOT }
    }

    /// `linux.devices`
    pub fn devices(&self) -> &[LinuxDevice] {
        self.list(Linux::devices)
    }

    /// `linux.maskedPaths`
    pub fn masked_paths(&self) -> &[String] {
        self.list(Linux::masked_paths)
    }

    /// `linux.readonlyPaths`
    pub fn readonly_paths(&self) -> &[String] {
        self.list(Linux::readonly_paths)
    }

    /// `linux.sysctl`
    pub fn sysctl(&self) -> Option<&HashMap<String, String>> {
        self.linux()?.sysctl().as_ref()
    }

    /// `linux.timeOffsets`
    pub fn time_offsets(&self) -> Option<&HashMap<String, LinuxTimeOffset>> {
        self.linux()?.time_offsets().as_ref()
    }

    /// `linux.netDevices`
    pub fn net_devices(&self) -> Option<&HashMap<String, LinuxNetDevice>> {
        self.linux()?.net_devices().as_ref()
    }

    /// `linux.cgroupsPath`
    pub fn cgroups_path(&self) -> Option<&Path> {
        self.linux()?.cgroups_path().as_deref()
    }

    /// `linux.resources`
    pub fn resources(&self) -> Option<&LinuxResources> {
        self.linux()?.resources().as_ref()
    }

    /// The limits of `linux.resources` that the type of `oci-spec` cannot hold.
    pub fn extras(&self) -> &Extras {
        &self.extras
    }

    /// `linux.seccomp`
    pub fn seccomp(&self) -> Option<&LinuxSeccomp> {
        self.linux()?.seccomp().as_ref()
    }

    /// `linux.intelRdt`
    pub fn intel_rdt(&self) -> Option<&LinuxIntelRdt> {
        self.linux()?.intel_rdt().as_ref()
    }

    /// `linux.personality`
    pub fn personality(&self) -> Option<&LinuxPersonality> {
        self.linux()?.personality().as_ref()
    }

    /// `linux.memoryPolicy`
    pub fn memory_policy(&self) -> Option<&LinuxMemoryPolicy> {
        self.linux()?.memory_policy().as_ref()
    }

    /// `linux.mountLabel`, unless it is empty.
    pub fn mount_label(&self) -> Option<&str> {
        self.linux().and_then(|linux| given(linux.mount_label()))
    }

    /// `linux.rootfsPropagation`; empty if it is absent.
    pub fn rootfs_propagation(&self) -> &str {
        self.linux().and_then(|linux| linux.rootfs_propagation().as_deref()).unwrap_or_default()
    }
}

/// The path of a joined namespace; `None` for a new one.
pub fn path_of(namespace: &LinuxNamespace) -> Option<&Path> {
    namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty())
}
