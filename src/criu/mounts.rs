//! Mounts from outside the container, by their names in CRIU's images. The name of a mount is its mount point in the
//! container. Each restore maps the name to a source again, since another host may keep the files elsewhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use crate::mountinfo;
use crate::plan::restore::Mounts;
use crate::sys::Call;

/// Names and sources, for `--external mnt[NAME]:SOURCE`.
pub type External = BTreeMap<PathBuf, PathBuf>;

/// The external mounts for a dump; each name is its own source.
///
/// `root` is the container's current root, `table` its mountinfo.
pub fn to_leave_out(mounts: &Mounts, root: &ContainerRoot, table: &[u8]) -> External {
    let points: Vec<PathBuf> = points(table).map(|(_, point)| point).collect();
    let mut names = External::new();
    let own: Vec<PathBuf> = mounts.inside.iter().filter_map(|target| root.resolved(target)).collect();
    for outside in &mounts.outside {
        let Some(name) = root.resolved(&outside.target) else { continue };
        if outside.recursive {
            let below = |point: &&PathBuf| point.starts_with(&name) && **point != name;
            let not_own = |point: &&PathBuf| !own.iter().any(|own| own.starts_with(&name) && point.starts_with(own));
            names.extend(points.iter().filter(below).filter(not_own).map(|point| (point.clone(), point.clone())));
        }
        names.insert(name.clone(), name);
    }
    names
}

/// The external mounts for a restore: their names, and their sources on this host.
///
/// `root` is the container's root with all mounts made, `table` the mountinfo of this host.
pub fn to_put_in(mounts: &Mounts, root: &ContainerRoot, table: &[u8]) -> External {
    // runc's images use this name for masked files.
    let mut names = External::from([("/dev/null".into(), "/dev/null".into())]);
    for outside in &mounts.outside {
        let Some(name) = root.resolved(&outside.target) else { continue };
        let source = outside.source.canonicalize().unwrap_or_else(|_| outside.source.clone());
        if outside.recursive {
            for (_, point) in points(table) {
                if let Ok(rest) = point.strip_prefix(&source)
                    && !rest.as_os_str().is_empty()
                {
                    names.insert(name.join(rest), point.clone());
                }
            }
        }
        names.insert(name, source);
    }
    names
}

/// The values for CRIU's option `--external`.
pub fn options(names: &External) -> impl Iterator<Item = String> + '_ {
    names.iter().map(|(name, source)| format!("mnt[{}]:{}", name.display(), source.display()))
}

/// The id and the mount point of each mount.
pub fn points(table: &[u8]) -> impl Iterator<Item = (u64, PathBuf)> + '_ {
    mountinfo::lines(table).map(|line| (line.id, line.point()))
}

/// A root in which paths are looked up.
pub struct ContainerRoot {
    directory: File,
    /// The prefix of paths below this root in mountinfo.
    prefix: PathBuf,
}

impl ContainerRoot {
    /// Opens a root. The path may lead through the root of another process.
    pub fn open(path: &Path) -> Result<ContainerRoot> {
        let directory = File::open(path).named(format_args!("open {}", path.display()))?;
        let prefix = shown(&directory).named(format_args!("readlink {}", path.display()))?;
        Ok(ContainerRoot { directory, prefix })
    }

    /// Resolves a path of the container with its symbolic links; `None` if the file does not exist.
    pub fn resolved(&self, path: &Path) -> Option<PathBuf> {
        let inside = path.strip_prefix("/").unwrap_or(path);
        let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
        let how =
            OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let found = openat2(self.directory.as_fd(), inside, how).ok()?;
        let found = shown(&found).ok()?;
        Some(Path::new("/").join(found.strip_prefix(&self.prefix).ok()?))
    }
}

fn shown(file: &impl AsRawFd) -> std::io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Program;
    use crate::plan::restore::ExternalMount;

    const TABLE: &[u8] = b"\
64 42 254:0 / / rw - ext4 /dev/vda rw
65 64 0:40 / /usr rw - tmpfs tmpfs rw
66 65 0:41 / /usr/with\\040blank rw - tmpfs tmpfs rw
67 65 0:42 / /usr/bin rw - tmpfs tmpfs rw
68 67 0:43 / /usr/bin/below rw - tmpfs tmpfs rw
69 64 0:44 / /usrx rw - tmpfs tmpfs rw
";

    fn mounts() -> Mounts {
        let outside = vec![ExternalMount { target: "/usr".into(), source: "/usr".into(), recursive: true }];
        Mounts { program: Program::new(), rootfs: "/".into(), outside, inside: vec!["/usr/bin".into()] }
    }

    fn pairs(names: &External) -> Vec<String> {
        options(names).collect()
    }

    #[test]
    fn what_comes_along_with_a_recursive_bind_is_from_outside_too() {
        let names = to_leave_out(&mounts(), &ContainerRoot::open(Path::new("/")).unwrap(), TABLE);
        assert_eq!(pairs(&names), ["mnt[/usr]:/usr", "mnt[/usr/with blank]:/usr/with blank"]);
    }

    #[test]
    fn at_a_restore_it_is_what_the_host_has_there() {
        let names = to_put_in(&mounts(), &ContainerRoot::open(Path::new("/")).unwrap(), TABLE);
        assert!(pairs(&names).contains(&"mnt[/usr/with blank]:/usr/with blank".to_owned()));
        assert!(!pairs(&names).iter().any(|name| name.contains("usrx")));
    }
}
