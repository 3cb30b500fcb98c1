//! Facts: everything that a plan depends on besides its config and the command line.

use std::path::PathBuf;

use oci_spec::runtime::{LinuxNamespaceType as Kind, Mount};

use super::options::Options;
use crate::cgroup::Layout;
use crate::cgroup::systemd::Manager;
use crate::spec::{Config, ProcessConfig, given};
use crate::tables::mount_option::{Effect, effect};

/// The process that calls the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Effective user.
    pub euid: u32,
    /// Effective group.
    pub egid: u32,
    /// It is in a user namespace that is not the initial one.
    pub in_user_namespace: bool,
}

impl Caller {
    /// Whether it may mount, join and map as it likes: root of the initial user namespace.
    pub fn is_privileged(&self) -> bool {
        self.euid == 0 && !self.in_user_namespace
    }
}

/// The host as a plan sees it. A fact that [`Questions`] do not ask for may have any value.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The caller.
    pub caller: Caller,
    /// The cgroup hierarchies.
    pub cgroups: Layout,
    /// The service manager that makes units for the caller.
    pub manager: Option<Manager>,
    /// SELinux is enabled.
    pub selinux: bool,
    /// AppArmor is enabled.
    pub apparmor: bool,
    /// The resctrl file system is mounted.
    pub resctrl: bool,
    /// `open_tree(2)` with `OPEN_TREE_CLONE` works: the caller is root and owns its mount namespace, as in rootless podman.
    pub opens_trees: bool,
    /// A process can be born into a cgroup of v2: there is `clone3(2)`.
    pub clones_into_cgroups: bool,
    /// The caller's user namespace denies `setgroups(2)`. Then all that are made in it do.
    pub denies_setgroups: bool,
    /// Mount points of whole proc and sysfs file systems, in the order of the mounts.
    pub proc_and_sysfs: Vec<PathBuf>,
}

impl Facts {
    /// A host that exists nowhere: root, no LSM. Plans for it are the same everywhere: tests compare
    /// them, and the fuzzer makes them.
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
        }
    }
}

/// The facts that a config needs. What it does not need is not looked up: that takes system calls, and some a round trip
/// to systemd.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// [`Facts::manager`]
    pub manager: bool,
    /// The caller's own cgroup, which [`Facts::cgroups`] holds where it is asked for.
    pub own_cgroup: bool,
    /// [`Facts::selinux`]
    pub selinux: bool,
    /// [`Facts::apparmor`]
    pub apparmor: bool,
    /// [`Facts::resctrl`]
    pub resctrl: bool,
    /// [`Facts::opens_trees`]
    pub opens_trees: bool,
    /// [`Facts::clones_into_cgroups`]
    pub clones_into_cgroups: bool,
    /// [`Facts::denies_setgroups`]
    pub denies_setgroups: bool,
    /// [`Facts::proc_and_sysfs`]
    pub proc_and_sysfs: bool,
}

impl Questions {
    /// For a process that joins a container with this config.
    pub fn of_joining(config: &Config, process: &ProcessConfig, options: &Options) -> Questions {
        Questions {
            manager: options.systemd_cgroup,
            // An absolute path is below the mount, and a scope below that of its manager.
            own_cgroup: !options.systemd_cgroup && !config.cgroups_path().is_some_and(|path| path.is_absolute()),
            selinux: given(process.selinux_label()).is_some(),
            apparmor: given(process.apparmor_profile()).is_some(),
            denies_setgroups: true,
            ..Questions::default()
        }
    }

    /// For a new container.
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
            ..joining
        }
    }
}

/// Whether a mount is a bind mount, by its type or by an option.
pub fn binds(mount: &Mount) -> bool {
    let word = |option: &String| matches!(effect(option), Some(Effect::Bind(_)));
    mount.typ().as_deref() == Some("bind") || mount.options().iter().flatten().any(word)
}
