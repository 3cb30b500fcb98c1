//! The facts about the host that a plan depends on.

use std::path::PathBuf;

use oci_spec::runtime::{LinuxNamespaceType as Kind, Mount};

use super::options::Options;
use crate::cgroup::Layout;
use crate::cgroup::systemd::Manager;
use crate::spec::{Config, ProcessConfig, annotation, given};
use crate::tables::mount_option::{Effect, effect};

/// The process that calls the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Effective uid.
    pub euid: u32,
    /// Effective gid.
    pub egid: u32,
    /// The caller is in a user namespace other than the initial one.
    pub in_user_namespace: bool,
}

impl Caller {
    /// Whether the caller is root of the initial user namespace, and so may make all mounts, id maps and `setns(2)`
    /// calls.
    pub fn is_privileged(&self) -> bool {
        self.euid == 0 && !self.in_user_namespace
    }
}

/// The facts. A fact that [`Questions`] does not ask for may have any value.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The user that calls the runtime.
    pub caller: Caller,
    /// The cgroup hierarchies.
    pub cgroups: Layout,
    /// The systemd instance that makes units for the caller.
    pub manager: Option<Manager>,
    /// SELinux is enabled.
    pub selinux: bool,
    /// AppArmor is enabled.
    pub apparmor: bool,
    /// The resctrl file system is mounted.
    pub resctrl: bool,
    /// `open_tree(2)` with `OPEN_TREE_CLONE` works: the caller is root of the user namespace that owns its mount
    /// namespace, as in rootless podman.
    pub opens_trees: bool,
    /// clone3(2) works and can start a process in a v2 cgroup.
    pub clones_into_cgroups: bool,
    /// The caller's user namespace denies setgroups(2), and so do the user namespaces that are made in it.
    pub denies_setgroups: bool,
    /// The mount points of proc and sysfs, in the order of the mounts. A mount of a part of such a file system does not
    /// count.
    pub proc_and_sysfs: Vec<PathBuf>,
    /// fuse-overlayfs(1), if it is installed and the kernel refuses the overlay: it has no overlayfs, or the writable
    /// layer is on an overlay.
    pub fuse_overlayfs: Option<PathBuf>,
    /// The existing ones of the directories that a writable layer needs.
    pub present: Vec<PathBuf>,
}

impl Facts {
    /// Facts of an imaginary host: the caller is root, and there is no LSM. Plans for it are the same on every machine,
    /// so tests can compare them and the fuzzer can make them.
    pub fn reference(cgroups: Layout) -> Facts {
        Facts {
            caller: Caller { euid: 0, egid: 0, in_user_namespace: false },
            cgroups,
            manager: Some(Manager::default()),
            selinux: false,
            apparmor: false,
            resctrl: false,
            opens_trees: true,
            clones_into_cgroups: true,
            denies_setgroups: false,
            proc_and_sysfs: Vec::new(),
            fuse_overlayfs: None,
            present: Vec::new(),
        }
    }
}

/// The facts that the plan of a config depends on. The others are not looked up: each takes system calls, and one takes
/// a round trip to systemd. The fields are those of [`Facts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    pub manager: bool,
    /// The caller's own cgroup, in [`Facts::cgroups`].
    pub own_cgroup: bool,
    pub selinux: bool,
    pub apparmor: bool,
    pub resctrl: bool,
    pub opens_trees: bool,
    pub clones_into_cgroups: bool,
    pub denies_setgroups: bool,
    pub proc_and_sysfs: bool,
    /// With [`Facts::fuse_overlayfs`]: those of the directories of [`candidates`](super::candidates).
    pub present: bool,
}

impl Questions {
    /// The facts for a process that joins a container.
    pub fn of_joining(config: &Config, process: &ProcessConfig, options: &Options) -> Questions {
        Questions {
            manager: options.systemd_cgroup,
            // An absolute cgroupsPath is relative to the mount of the hierarchy, and a scope to the cgroup of systemd:
            // only a relative cgroupsPath is relative to the caller's cgroup.
            own_cgroup: !options.systemd_cgroup && !config.cgroups_path().is_some_and(|path| path.is_absolute()),
            selinux: given(process.selinux_label()).is_some(),
            apparmor: given(process.apparmor_profile()).is_some(),
            denies_setgroups: true,
            ..Questions::default()
        }
    }

    /// The facts for a new container.
    pub fn of_container(config: &Config, options: &Options) -> Questions {
        let joining = Questions::of_joining(config, config.process(), options);
        Questions {
            selinux: joining.selinux || config.mount_label().is_some(),
            resctrl: config.intel_rdt().is_some(),
            opens_trees: config.has(Kind::User)
                && config.has(Kind::Mount)
                && (options.notify.is_some() || config.mounts().iter().any(binds)),
            clones_into_cgroups: !options.systemd_cgroup && !options.no_cgroup,
            proc_and_sysfs: options.no_pivot && config.has(Kind::Mount),
            present: !options.layers.is_empty() || config.annotation(annotation::LAYERS).is_some(),
            ..joining
        }
    }
}

/// Whether a mount is a bind mount, by its type or by an option.
pub fn binds(mount: &Mount) -> bool {
    let word = |option: &String| matches!(effect(option), Some(Effect::Bind(_)));
    mount.typ().as_deref() == Some("bind") || mount.options().iter().flatten().any(word)
}
