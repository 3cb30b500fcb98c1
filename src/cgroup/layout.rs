//! The cgroup hierarchies of a host, and the cgroup of this process in them; pure.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use super::path::below_mount;
use crate::mountinfo;
use crate::spec::refusal;

/// The v1 hierarchy in which systemd keeps its units.
pub(super) const SYSTEMD: &str = "name=systemd";

/// The place where distributions, engines and the spec expect the hierarchies.
pub(super) const MOUNT: &str = "/sys/fs/cgroup";

/// The kinds of hosts, with systemd's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One v2 hierarchy at `/sys/fs/cgroup`.
    Unified,
    /// v1 hierarchies and a v2 hierarchy beside them, usually at `/sys/fs/cgroup/unified`.
    Hybrid,
    /// v1 hierarchies only.
    Legacy,
    /// No hierarchy is mounted, or the container has none: its caller is rootless without permission.
    #[default]
    None,
}

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// The v1 controllers in the form of /proc/self/cgroup (`cpu,cpuacct`, `name=systemd`); empty for v2.
    pub controllers: String,
    /// The mount point.
    pub mount: PathBuf,
    /// The calling process's own cgroup, relative to `mount`.
    pub own: PathBuf,
}

impl Hierarchy {
    /// Whether `controller` belongs to this v1 hierarchy.
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.split(',').any(|name| name == controller)
    }
}

/// The container's directory in one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDir {
    /// The v1 controllers in the form of /proc/self/cgroup; empty for v2.
    pub controllers: String,
    /// The hierarchy's mount point on the host.
    pub mount: PathBuf,
    /// The container's directory, absolute, below `mount`.
    pub dir: PathBuf,
}

/// The hierarchies of this host, and the caller's own cgroups in them.
#[derive(Clone, Debug)]
pub struct Layout {
    mode: Mode,
    v1: Vec<Hierarchy>,
    v2: Option<V2>,
}

#[derive(Clone, Debug)]
struct V2 {
    mount: PathBuf,
    /// The calling process's own cgroup, relative to `mount`, if it was read.
    own: Option<PathBuf>,
}

impl Layout {
    /// A host with cgroup v2 alone. Only a relative `cgroupsPath` and a `cgroup` mount need `own`.
    pub(super) fn unified(own: Option<PathBuf>) -> Layout {
        Layout { mode: Mode::Unified, v1: Vec::new(), v2: Some(V2 { mount: MOUNT.into(), own }) }
    }

    /// The layout that `mountinfo` and `cgroup` describe, the texts of these files in /proc/self.
    ///
    /// If a hierarchy is mounted several times, the first mount is used; mounts below /sys/fs/cgroup come first.
    pub fn parse(mountinfo: &(impl AsRef<[u8]> + ?Sized), cgroup: &str) -> Layout {
        Layout::of_mounts(mountinfo, cgroup, |_| true)
    }

    /// The layout with only the mounts that `reached` accepts.
    pub(super) fn of_mounts(
        mountinfo: &(impl AsRef<[u8]> + ?Sized),
        cgroup: &str,
        reached: impl Fn(&HierarchyMount) -> bool,
    ) -> Layout {
        let mut mounts: Vec<HierarchyMount> = mountinfo::lines(mountinfo).filter_map(HierarchyMount::of).collect();
        mounts.sort_by_key(|mount| !mount.point.starts_with(MOUNT));
        let mut v1 = Vec::new();
        let mut v2 = None;
        for line in cgroup.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(own)) = (parts.next(), parts.next()) else {
                continue;
            };
            let Some(mount) = mounts.iter().find(|mount| mount.shows(controllers) && reached(mount)) else {
                continue;
            };
            let own = below_mount(&mount.root, Path::new(own));
            let point = mount.point.clone();
            if controllers.is_empty() {
                v2 = Some(V2 { mount: point, own: Some(own) });
            } else {
                v1.push(Hierarchy { controllers: controllers.to_owned(), mount: point, own });
            }
        }
        let mode = match (v1.is_empty(), &v2) {
            (true, None) => Mode::None,
            (true, Some(_)) => Mode::Unified,
            (false, None) => Mode::Legacy,
            (false, Some(_)) => Mode::Hybrid,
        };
        Layout { mode, v1, v2 }
    }

    /// A layout of the hierarchies in which an existing container has a directory.
    pub(super) fn of(mode: Mode, dirs: &[HostDir]) -> Layout {
        let (v2, v1): (Vec<_>, Vec<_>) = dirs.iter().partition(|dir| dir.controllers.is_empty());
        let hierarchy = |dir: &HostDir| Hierarchy {
            controllers: dir.controllers.clone(),
            mount: dir.mount.clone(),
            own: PathBuf::new(),
        };
        let v2 = v2.first().map(|dir| V2 { mount: dir.mount.clone(), own: Some(PathBuf::new()) });
        Layout { mode, v1: v1.into_iter().map(hierarchy).collect(), v2 }
    }

    /// The kind of host.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The v1 hierarchies, in the order of /proc/self/cgroup.
    pub fn v1(&self) -> &[Hierarchy] {
        &self.v1
    }

    /// The v1 hierarchy that `controller` belongs to.
    pub fn v1_of(&self, controller: &str) -> Option<(usize, &Hierarchy)> {
        self.v1.iter().enumerate().find(|(_, hierarchy)| hierarchy.has(controller))
    }

    /// The mount point of the v2 hierarchy.
    pub fn v2_mount(&self) -> Option<&Path> {
        self.v2.as_ref().map(|v2| v2.mount.as_path())
    }

    /// The layout as if it had been read without the caller's own cgroup.
    #[cfg(test)]
    pub fn without_own(self) -> Layout {
        if self.mode == Mode::Unified { Layout::unified(None) } else { self }
    }

    /// Whether the caller's own v2 cgroup was read, if there is a v2 hierarchy.
    pub(super) fn knows_own(&self) -> bool {
        self.v2.as_ref().is_none_or(|v2| v2.own.is_some())
    }

    /// The caller's own v2 cgroup relative to the mount.
    ///
    /// Fails if there is no v2 hierarchy or the own cgroup was not read.
    pub fn v2_own(&self) -> Result<&Path> {
        let v2 = self.v2.as_ref().ok_or_else(|| anyhow!("cgroup v2 is not mounted"))?;
        let own = v2.own.as_deref();
        Ok(own.ok_or_else(|| refusal!("linux.cgroupsPath", "the caller's own cgroup is unknown"))?)
    }
}

/// A mount of a hierarchy.
pub(super) struct HierarchyMount {
    root: PathBuf,
    pub(super) point: PathBuf,
    /// The options of the superblock, which include the controllers; `None` for v2.
    pub(super) options: Option<String>,
}

impl HierarchyMount {
    fn of(line: mountinfo::MountinfoLine<'_>) -> Option<HierarchyMount> {
        let options = match line.kind {
            b"cgroup" => Some(String::from_utf8_lossy(line.options).into_owned()),
            b"cgroup2" => None,
            _ => return None,
        };
        Some(HierarchyMount { root: line.root(), point: line.point(), options })
    }

    /// Whether this is a mount of the hierarchy with these controllers. A line of /proc/self/cgroup lists all of them,
    /// so it is enough to compare the first one.
    fn shows(&self, controllers: &str) -> bool {
        match &self.options {
            None => controllers.is_empty(),
            Some(options) => {
                controllers.split(',').next().is_some_and(|first| options.split(',').any(|option| option == first))
            }
        }
    }
}

/// Layouts with directories below `/c`, which do not exist, for tests of decisions.
#[cfg(test)]
pub(super) fn example(controllers: &[&str]) -> Vec<HostDir> {
    let dir = |controllers: &&str| {
        let mount = Path::new("/c").join(controllers);
        HostDir { controllers: (*controllers).to_owned(), dir: mount.join("box"), mount }
    };
    controllers.iter().map(dir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    fn hierarchy(controllers: &str, mount: &str, own: &str) -> Hierarchy {
        let controllers = controllers.to_owned();
        Hierarchy { controllers, mount: mount.into(), own: own.into() }
    }

    #[test]
    fn hybrid_with_joint_and_named_hierarchies() {
        let cgroup = "9:name=systemd:/s\n4:memory:/a/b\n2:cpu,cpuacct:/\n1:freezer:/x\n0::/\n";
        let layout = Layout::parse(HYBRID, cgroup);
        assert_eq!(layout.mode(), Mode::Hybrid);
        assert_eq!(
            layout.v1(),
            [
                hierarchy("name=systemd", "/sys/fs/cgroup/systemd", "s"),
                hierarchy("memory", "/sys/fs/cgroup/memory", "a/b"),
                hierarchy("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct", ""),
            ]
        );
        assert_eq!(layout.v1_of("cpuacct").unwrap().0, 2);
        assert_eq!(layout.v2_mount(), Some(Path::new("/sys/fs/cgroup/unified")));
        assert_eq!(layout.v2_own().unwrap(), Path::new(""));
    }

    #[test]
    fn other_modes() {
        let legacy = HYBRID.replace("cgroup2", "tmpfs");
        assert_eq!(Layout::parse(&legacy, "4:memory:/\n0::/\n").mode(), Mode::Legacy);
        assert_eq!(Layout::parse("", "4:memory:/\n0::/\n").mode(), Mode::None);
        let v2 = "24 23 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(Layout::parse(v2, "0::/\n").mode(), Mode::Unified);
    }

    #[test]
    fn a_mount_of_the_own_cgroup_only() {
        let mountinfo = "\
50 31 0:31 / /elsewhere/memory rw - cgroup cgroup rw,memory
51 31 0:31 /docker/x /sys/fs/cgroup/mem\\040ory ro - cgroup cgroup rw,memory
";
        let layout = Layout::parse(mountinfo, "4:memory:/docker/x/y\n");
        assert_eq!(layout.v1(), [hierarchy("memory", "/sys/fs/cgroup/mem ory", "y")]);
    }
}
