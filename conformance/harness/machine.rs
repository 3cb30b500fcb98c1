//! The machine: the layout of its cgroup hierarchies, and mount namespaces that confine the suite's mounts.

use super::Result;
use anyhow::{Context, ensure};
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use std::fmt::{self, Display};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const CGROUPS: &str = "/sys/fs/cgroup";

/// The layout of the machine's cgroup hierarchies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    Legacy,
    Hybrid,
    Unified,
}

impl Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Legacy => "v1",
            Self::Hybrid => "v1 with a v2 hierarchy beside",
            Self::Unified => "v2",
        })
    }
}

/// The `/sys/fs/cgroup` that a runtime sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// The machine's own.
    Machine,
    /// The v2 hierarchy alone; on a hybrid machine it has few controllers.
    Unified,
}

/// A mounted hierarchy. The v2 hierarchy has no list of controllers.
pub struct Hierarchy {
    pub controllers: Vec<String>,
    pub mount: PathBuf,
}

pub struct Machine {
    pub layout: Layout,
    pub v1: Vec<Hierarchy>,
    pub v2: Option<PathBuf>,
    /// On a hybrid machine: a mount namespace in which `/sys/fs/cgroup` is the v2 hierarchy.
    pub unified: Option<OwnedFd>,
}

static MACHINE: OnceLock<Machine> = OnceLock::new();

/// The machine.
///
/// # Panics
/// If `enter` has not been called; `main` calls it first.
pub fn get() -> &'static Machine {
    MACHINE.get().expect("main enters its mount namespace before any test")
}

/// Whether the kernel has namespaces of this kind; the name is that in /proc/PID/ns.
pub fn has_namespace(kind: &str) -> bool {
    Path::new("/proc/self/ns").join(kind).exists()
}

/// The parent of every cgroup that the suite makes.
pub fn cgroup_parent() -> String {
    format!("/tare-conformance-{}", std::process::id())
}

/// Moves the process into a new mount namespace. The process must have one thread.
pub fn enter() -> Result {
    ensure!(nix::unistd::geteuid().is_root(), "the suite needs root");
    unshare(CloneFlags::CLONE_NEWNS).context("a private mount namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    let (v1, v2) = hierarchies()?;
    let layout = match &v2 {
        Some(path) if path == Path::new(CGROUPS) => Layout::Unified,
        Some(_) => Layout::Hybrid,
        None => Layout::Legacy,
    };
    let unified = if layout == Layout::Hybrid { Some(unified_view()?) } else { None };
    MACHINE.get_or_init(|| Machine { layout, v1, v2, unified });
    Ok(())
}

/// Removes the parent cgroups that the suite's containers shared.
pub fn leave() {
    let machine = get();
    for mount in machine.v1.iter().map(|h| &h.mount).chain(&machine.v2) {
        remove_cgroup(&mount.join(cgroup_parent().trim_start_matches('/')));
    }
}

/// Removes a cgroup and the cgroups below it, as far as they are empty.
pub fn remove_cgroup(path: &Path) {
    let below = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_cgroup(&entry.path());
    }
    // Failures are ignored: each test checks what its container has left.
    let _ = fs::remove_dir(path);
}

fn hierarchies() -> Result<(Vec<Hierarchy>, Option<PathBuf>)> {
    let (mut v1, mut v2) = (Vec::new(), None);
    for line in fs::read_to_string("/proc/mounts")?.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, mount, kind, options, ..] = words[..] else {
            continue;
        };
        match kind {
            "cgroup2" => v2 = Some(PathBuf::from(mount)),
            "cgroup" => v1.push(Hierarchy {
                controllers: options.split(',').map(str::to_owned).collect(),
                mount: PathBuf::from(mount),
            }),
            _ => {}
        }
    }
    Ok((v1, v2))
}

fn current_namespace() -> Result<OwnedFd> {
    Ok(open("/proc/self/ns/mnt", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?)
}

fn unified_view() -> Result<OwnedFd> {
    let home = current_namespace()?;
    unshare(CloneFlags::CLONE_NEWNS)?;
    umount2(CGROUPS, MntFlags::MNT_DETACH)?;
    mount(Some("cgroup2"), CGROUPS, Some("cgroup2"), MsFlags::empty(), None::<&str>)?;
    ensure!(statfs(CGROUPS)?.filesystem_type() == CGROUP2_SUPER_MAGIC, "the unified view has no cgroup v2");
    let view = current_namespace()?;
    setns(home, CloneFlags::CLONE_NEWNS)?;
    Ok(view)
}
