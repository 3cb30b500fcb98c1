//! Copies of the host's mounts, and device nodes, that `init` attaches.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context, Result};
use nix::fcntl::{OFlag, open as open_directory};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, SFlag, fstat, mknod};
use nix::unistd::{chown, chroot, fchdir};

use super::aside::{THERE, aside, own_tmpfs};
use super::{id_map, union};
use crate::plan::{Descriptor, Node, Tree};
use crate::sys::ahead::NewAndOwn;
use crate::sys::mount::{Depth, Follow};
use crate::sys::{self, Call, CallError, Errno};

/// Opens the trees, mounts the unions and makes the devices among a program's descriptors, in their order. The runtime
/// must do this before it joins namespaces for the clone: a process whose children go to another pid namespace or,
/// before Linux 6.2, another time namespace cannot make threads. `ahead` has the mount namespace for locked trees if it
/// was made beforehand.
pub fn open(slots: &[Descriptor], ahead: impl FnOnce() -> Option<NewAndOwn>) -> Result<Vec<OwnedFd>> {
    let trees = slots.iter().filter_map(|slot| if let Descriptor::Tree(tree) = slot { Some(tree) } else { None });
    let trees: Vec<&Tree> = trees.collect();
    let mut opened = Vec::with_capacity(trees.len());
    let mut ahead = if trees.iter().any(|tree| tree.locked) { ahead() } else { None };
    for alike in trees.chunk_by(|one, next| one.locked == next.locked) {
        opened.extend(if alike[0].locked { locked(alike, ahead.take())? } else { copies(alike)? });
    }
    for (tree, copy) in trees.iter().zip(&opened) {
        if let Some(map) = &tree.id_map {
            id_map::map_tree(copy, map)
                .with_context(|| format!("{}: map the owners of {:?}", tree.field, tree.source))?;
        }
    }
    let unions =
        slots.iter().filter_map(|slot| if let Descriptor::Union(it) = slot { Some(union::mount(it)) } else { None });
    let unions = unions.collect::<Result<Vec<OwnedFd>>>()?;
    let listed = slots.iter().filter_map(|slot| if let Descriptor::Node(node) = slot { Some(node) } else { None });
    let listed: Vec<&Node> = listed.collect();
    if listed.is_empty() && unions.is_empty() {
        return Ok(opened);
    }
    let made = if listed.is_empty() { Vec::new() } else { nodes(&listed)? };
    let (mut opened, mut made, mut unions) = (opened.into_iter(), made.into_iter(), unions.into_iter());
    let in_order = slots.iter().filter_map(|slot| match slot {
        Descriptor::Tree(_) => opened.next(),
        Descriptor::Node(_) => made.next(),
        Descriptor::Union(_) => unions.next(),
        _ => None,
    });
    Ok(in_order.collect())
}

/// Makes devices on a tmpfs of the initial user namespace: devices on a tmpfs of the container's user namespace cannot
/// be opened. Only a mount in the caller's mount namespace can be copied, so a temporary mount namespace has the tmpfs.
fn nodes(listed: &[&Node]) -> Result<Vec<OwnedFd>> {
    let field = &listed[0].field;
    let inside = || {
        own_tmpfs(field)?;
        listed.iter().enumerate().map(|(index, node)| make(node, &format!("{THERE}/{index}"))).collect()
    };
    aside(field, inside)
}

fn make(node: &Node, path: &str) -> Result<OwnedFd> {
    let Node { mode, device, owner, field, .. } = node;
    let refused = || CallError::new(format_args!("{field}: mknod"), Errno::EPERM);
    let open = |path: &Path| sys::mount::open_tree(path, Depth::Mount, Follow::Links);
    match mknod(path, SFlag::from_bits_truncate(*mode), Mode::from_bits_truncate(*mode), *device) {
        // The caller may not make this device: use the host's file, if it is the same device.
        Err(Errno::EPERM) => {
            let tree = open(&node.path).map_err(|_| refused())?;
            let stat = fstat(&tree).named(format_args!("{field}: fstat"))?;
            let same = stat.st_mode & libc::S_IFMT == *mode & libc::S_IFMT && stat.st_rdev == *device;
            return if same { Ok(tree) } else { Err(refused().into()) };
        }
        other => other.named(format_args!("{field}: mknod"))?,
    }
    chown(path, Some(owner.uid), Some(owner.gid)).named(format_args!("{field}: chown"))?;
    open(Path::new(path)).named(format_args!("{field}: open_tree"))
}

fn copies(trees: &[&Tree]) -> Result<Vec<OwnedFd>> {
    let copy = |tree: &&Tree| {
        sys::mount::open_tree(&tree.source, Depth::of(tree.recursive), Follow::of(tree.follow))
            .named(format_args!("{}: open {:?}", tree.field, tree.source))
    };
    trees.iter().map(copy).collect()
}

/// Copies mounts as a process in a new user namespace sees them: the flags are locked, a mount cannot be uncovered, and
/// nothing propagates to the host. They are opened in that mount namespace with the rights of the caller: a directory
/// on the path may be closed to the root of the new user namespace. This process goes there if it can return; otherwise
/// a thread does.
fn locked(trees: &[&Tree], ahead: Option<NewAndOwn>) -> Result<Vec<OwnedFd>> {
    if let Some(opened) = ahead.and_then(|namespaces| visit(&namespaces, || copies(trees)).transpose()) {
        return opened;
    }
    let mounts = id_map::held(libc::CLONE_NEWNS, |pid| File::open(format!("/proc/{pid}/ns/mnt")).map_err(sys::io));
    let mounts = mounts.with_context(|| trees[0].field.to_string())?;
    let inside = || {
        let entered = unshare(CloneFlags::CLONE_FS).and_then(|()| setns(&mounts, CloneFlags::CLONE_NEWNS));
        entered.named(format_args!("{}: setns", trees[0].field))?;
        copies(trees)
    };
    aside(&trees[0].field, inside)
}

/// Runs a closure in another mount namespace. `None` if this process cannot enter it: a thread shares its root and
/// working directory.
///
/// # Errors
/// That of the closure. This process cannot return; it must not go on.
fn visit<T>(namespaces: &NewAndOwn, inside: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
    let directory = |path| open_directory(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
    let (Ok(root), Ok(here)) = (directory("/"), directory(".")) else { return Ok(None) };
    // This chroot(2) changes nothing, and shows whether the way back is open.
    if chroot("/").is_err() || setns(&namespaces.new, CloneFlags::CLONE_NEWNS).is_err() {
        return Ok(None);
    }
    let result = inside();
    // setns(2) goes to the root of the namespace, which need not be the root of this process.
    let back = setns(&namespaces.own, CloneFlags::CLONE_NEWNS)
        .and_then(|()| fchdir(&root))
        .and_then(|()| chroot("."))
        .and_then(|()| fchdir(&here));
    back.named("return to the mount namespace")?;
    result.map(Some)
}
