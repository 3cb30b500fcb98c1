//! Facts about this host, read once and only when they are needed.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cgroup::Layout;
use crate::cgroup::systemd::Manager;
use crate::mountinfo;
use crate::sys::mount::{Depth, Follow};
use crate::sys::{self, Call, namespace};

/// What a plan depends on besides `config.json`.
#[derive(Debug)]
pub struct Host {
    /// Effective user and group of the caller.
    pub euid: u32,
    /// Effective group of the caller.
    pub egid: u32,
    /// The caller lives in a user namespace that is not the first one.
    pub in_user_namespace: bool,
    features: OnceCell<Features>,
    cgroups: OnceCell<Layout>,
    cgroups_with_own: OnceCell<Layout>,
    manager: OnceCell<Manager>,
    opens_trees: OnceCell<bool>,
    denies_setgroups: OnceCell<bool>,
    clones_into_cgroups: OnceCell<bool>,
}

/// What few configs ask for: looked at when one does.
#[derive(Debug)]
struct Features {
    selinux: bool,
    apparmor: bool,
    resctrl: bool,
}

impl Host {
    /// Look at this host.
    pub fn read() -> Host {
        Host {
            euid: nix::unistd::geteuid().as_raw(),
            egid: nix::unistd::getegid().as_raw(),
            in_user_namespace: namespace::in_user_namespace(),
            features: OnceCell::new(),
            cgroups: OnceCell::new(),
            cgroups_with_own: OnceCell::new(),
            manager: OnceCell::new(),
            opens_trees: OnceCell::new(),
            denies_setgroups: OnceCell::new(),
            clones_into_cgroups: OnceCell::new(),
        }
    }

    /// A host that exists nowhere: root, cgroup v2, no LSM. Plans made for it are the same
    /// everywhere, so they can be compared.
    pub fn reference(cgroups: Layout, manager: Manager) -> Host {
        Host {
            euid: 0,
            egid: 0,
            in_user_namespace: false,
            features: OnceCell::from(Features { selinux: false, apparmor: false, resctrl: false }),
            cgroups: OnceCell::from(cgroups.clone()),
            cgroups_with_own: OnceCell::from(cgroups),
            manager: OnceCell::from(manager),
            opens_trees: OnceCell::from(true),
            denies_setgroups: OnceCell::from(false),
            clones_into_cgroups: OnceCell::from(true),
        }
    }

    fn features(&self) -> &Features {
        self.features.get_or_init(|| Features {
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            apparmor: std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y")),
            resctrl: Path::new("/sys/fs/resctrl/schemata").exists(),
        })
    }

    /// SELinux is enabled.
    pub fn selinux(&self) -> bool {
        self.features().selinux
    }

    /// AppArmor is enabled.
    pub fn apparmor(&self) -> bool {
        self.features().apparmor
    }

    /// The resctrl file system is mounted.
    pub fn resctrl(&self) -> bool {
        self.features().resctrl
    }

    /// The cgroup hierarchies.
    pub fn cgroups(&self) -> Result<&Layout> {
        if self.cgroups.get().is_none() {
            let _ = self.cgroups.set(Layout::read()?);
        }
        self.cgroups.get().ok_or_else(|| anyhow::anyhow!("cgroups: cannot be read"))
    }

    /// The cgroup hierarchies with the caller's own cgroup in them.
    pub fn cgroups_with_own(&self) -> Result<&Layout> {
        if self.cgroups_with_own.get().is_none() {
            let _ = self.cgroups_with_own.set(self.cgroups()?.with_own()?);
        }
        self.cgroups_with_own.get().ok_or_else(|| anyhow::anyhow!("cgroups: cannot be read"))
    }

    /// The service manager that makes units for the caller.
    ///
    /// # Errors
    /// Where systemd does not run or cannot be asked.
    pub fn service_manager(&self) -> Result<&Manager> {
        if self.manager.get().is_none() {
            let user = self.euid != 0 || self.in_user_namespace && !namespace::first_process_is_here();
            let _ = self.manager.set(Manager::find(user)?);
        }
        self.manager.get().ok_or_else(|| anyhow::anyhow!("systemd: cannot be asked"))
    }

    /// May hand trees of its own mount namespace on (`open_tree(2)` with `OPEN_TREE_CLONE`): root that owns the mount
    /// namespace it is in, as podman's is for ordinary users.
    pub fn opens_trees(&self) -> bool {
        // All of it, for what others have mounted may not be uncovered. That copies every mount of a host, so it is
        // tried once for all bind mounts of a container.
        let tried = || sys::mount::open_tree(Path::new("/"), Depth::Tree, Follow::Links).is_ok();
        self.privileged() || self.euid == 0 && *self.opens_trees.get_or_init(tried)
    }

    /// May a process be born into a cgroup of v2?
    pub fn clones_into_cgroups(&self) -> bool {
        *self.clones_into_cgroups.get_or_init(sys::clone::has_clone3)
    }

    /// Does the caller's user namespace deny `setgroups(2)`? Then all that are made in it do. It can be so only where an
    /// ordinary user has made it.
    pub fn denies_setgroups(&self) -> bool {
        let denies = || std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny"));
        self.in_user_namespace && *self.denies_setgroups.get_or_init(denies)
    }

    /// Where a whole proc or sysfs is mounted, in the order of the mounts.
    pub fn proc_and_sysfs(&self) -> Result<Vec<PathBuf>> {
        let table = std::fs::read("/proc/self/mountinfo").named("mountinfo")?;
        Ok(whole_proc_and_sysfs(&table))
    }

    /// May mount, join and map as it likes: root of the first user namespace.
    pub fn privileged(&self) -> bool {
        self.euid == 0 && !self.in_user_namespace
    }
}

/// The same in a mountinfo.
fn whole_proc_and_sysfs(table: &[u8]) -> Vec<PathBuf> {
    let all = mountinfo::lines(table).filter(|line| line.is_whole() && matches!(line.kind, b"proc" | b"sysfs"));
    all.map(|line| line.point()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_proc_and_other_file_systems_are_left_out() {
        let table = "22 1 0:20 / /proc rw shared:5 - proc proc rw\n23 1 0:21 / /with\\040blank rw - sysfs sysfs ro\n\
                     24 1 0:20 /sys /proc/sys ro - proc proc rw\n25 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(whole_proc_and_sysfs(table.as_bytes()), [Path::new("/proc"), Path::new("/with blank")]);
    }
}
