//! Facts about this host, looked up only if a config needs them.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::cgroup::systemd::Manager;
use crate::cgroup::{Layout, Mode};
use crate::mountinfo;
use crate::plan::{Caller, Facts, Options, Questions, candidates};
use crate::spec::{Config, ProcessConfig};
use crate::sys::mount::{Depth, Follow};
use crate::sys::{self, Call, namespace};

/// The host, as the runtime sees it.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// The ids that the runtime runs with.
    pub caller: Caller,
}

impl Host {
    /// Reads the ids of this process.
    pub fn read() -> Host {
        Host {
            caller: Caller {
                euid: nix::unistd::geteuid().as_raw(),
                egid: nix::unistd::getegid().as_raw(),
                in_user_namespace: namespace::in_user_namespace(),
            },
        }
    }

    /// The facts for the plan of a container.
    ///
    /// # Errors
    /// The systemd driver is asked for and systemd does not run or answer; the cgroup hierarchies cannot be read.
    pub fn facts(&self, config: &Config, options: &Options) -> Result<Facts> {
        let questions = Questions::of_container(config, options);
        let mut facts = self.answer(questions)?;
        if questions.present {
            facts.fuse_overlayfs = self.fuse_overlayfs(config, options);
            facts.present = candidates(config, options).into_iter().filter(|path| path.exists()).collect();
        }
        Ok(facts)
    }

    /// The facts for the plan of a process that joins a container.
    ///
    /// # Errors
    /// As [`Host::facts`].
    pub fn facts_to_join(&self, config: &Config, process: &ProcessConfig, options: &Options) -> Result<Facts> {
        self.answer(Questions::of_joining(config, process, options))
    }

    fn answer(&self, questions: Questions) -> Result<Facts> {
        let caller = self.caller;
        let manager = if questions.manager { Some(self.service_manager()?) } else { None };
        let cgroups = Layout::read()?;
        let cgroups = if questions.own_cgroup { cgroups.with_own()? } else { cgroups };
        let has_v2 = matches!(cgroups.mode(), Mode::Unified | Mode::Hybrid);
        Ok(Facts {
            caller,
            cgroups,
            manager,
            selinux: questions.selinux && has_selinux(),
            apparmor: questions.apparmor && has_apparmor(),
            resctrl: questions.resctrl && Path::new("/sys/fs/resctrl/schemata").exists(),
            opens_trees: questions.opens_trees && self.opens_trees(),
            clones_into_cgroups: questions.clones_into_cgroups && has_v2 && sys::clone::has_clone3(),
            denies_setgroups: questions.denies_setgroups && caller.in_user_namespace && denies_setgroups(),
            proc_and_sysfs: if questions.proc_and_sysfs { proc_and_sysfs()? } else { Vec::new() },
            fuse_overlayfs: None,
            present: Vec::new(),
        })
    }

    /// The path of fuse-overlayfs(1), if the kernel refuses the overlay. Its daemon serves the mounts of root only: one in
    /// a user namespace would need the namespace that `init` makes later.
    fn fuse_overlayfs(&self, config: &Config, options: &Options) -> Option<PathBuf> {
        let upper = candidates(config, options).into_iter().nth(1);
        let refused = !sys::mount::has_overlay() || upper.is_some_and(|upper| sys::mount::is_on_overlay(&upper));
        if !refused || !self.caller.is_privileged() {
            return None;
        }
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|place| place.join("fuse-overlayfs")).find(|program| program.is_file())
    }

    fn service_manager(&self) -> Result<Manager> {
        let Caller { euid, in_user_namespace, .. } = self.caller;
        Manager::find(euid != 0 || in_user_namespace && !namespace::first_process_is_here())
    }

    /// Whether `OPEN_TREE_CLONE` works. For root of the host it does; for any other root this tries it. It tries a copy
    /// of the whole tree, because the kernel refuses a copy of a mount without the mounts below it if another user
    /// namespace owns one of those: the copy would uncover what that mount hides.
    fn opens_trees(&self) -> bool {
        let tried = || sys::mount::open_tree(Path::new("/"), Depth::Tree, Follow::Links).is_ok();
        self.caller.is_privileged() || self.caller.euid == 0 && tried()
    }
}

/// Whether SELinux is enabled and has a policy. Without one it takes any text as a label and does nothing with it; then
/// the label of every process is `kernel`.
fn has_selinux() -> bool {
    let own = || std::fs::read("/proc/thread-self/attr/current");
    Path::new("/sys/fs/selinux/enforce").exists()
        && own().is_ok_and(|label| label.split(|it| *it == 0).next() != Some(b"kernel"))
}

fn has_apparmor() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
}

/// Whether setgroups(2) is forbidden. This is possible only if an unprivileged process has created the user namespace.
fn denies_setgroups() -> bool {
    std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny"))
}

fn proc_and_sysfs() -> Result<Vec<PathBuf>> {
    let table = std::fs::read("/proc/self/mountinfo").named("mountinfo")?;
    Ok(whole_proc_and_sysfs(&table))
}

/// The mount points of proc and sysfs file systems that are mounted from their root, in a mountinfo table.
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
