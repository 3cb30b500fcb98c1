//! Copies of the host's mounts that `init` attaches.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::panic::resume_unwind;
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns, unshare};

use super::id_map;
use crate::plan::{Descriptor, Tree};
use crate::sys::{self, reason};

/// Open those that are among a program's descriptors, in their order. Whoever is to visit namespaces does it before: the
/// kernel makes no threads of a process whose children will be in another pid namespace, nor, before Linux 6.2, in another
/// time namespace.
pub fn open(slots: &[Descriptor]) -> Result<Vec<OwnedFd>> {
    let trees = slots.iter().filter_map(|slot| if let Descriptor::Tree(tree) = slot { Some(tree) } else { None });
    let trees: Vec<&Tree> = trees.collect();
    let mut opened = Vec::with_capacity(trees.len());
    for alike in trees.chunk_by(|one, next| one.locked == next.locked) {
        opened.extend(if alike[0].locked { locked(alike)? } else { copies(alike)? });
    }
    for (tree, copy) in trees.iter().zip(&opened) {
        if let Some(map) = &tree.id_map {
            id_map::map_tree(copy, map)
                .with_context(|| format!("{}: map the owners of {:?}", tree.field, tree.source))?;
        }
    }
    Ok(opened)
}

fn copies(trees: &[&Tree]) -> Result<Vec<OwnedFd>> {
    let copy = |tree: &&Tree| {
        sys::mount::open_tree(&tree.source, tree.recursive, tree.follow)
            .map_err(|errno| anyhow!("{}: open {:?}: {}", tree.field, tree.source, reason(errno)))
    };
    trees.iter().map(copy).collect()
}

/// As a process in a new user namespace finds the host's mounts: their flags, and what covers what, are locked, and nothing
/// goes back to the host. Only a thread can go there and come back, and with the rights of the caller, who may have to
/// pass directories that are closed to the new namespace's root.
fn locked(trees: &[&Tree]) -> Result<Vec<OwnedFd>> {
    let mounts = id_map::held(libc::CLONE_NEWNS, |pid| File::open(format!("/proc/{pid}/ns/mnt")).map_err(sys::io));
    let mounts = mounts.with_context(|| trees[0].field.to_string())?;
    let inside = || {
        let entered = unshare(CloneFlags::CLONE_FS).and_then(|()| setns(&mounts, CloneFlags::CLONE_NEWNS));
        entered.map_err(|errno| anyhow!("{}: setns: {}", trees[0].field, reason(errno)))?;
        copies(trees)
    };
    thread::scope(|scope| match thread::Builder::new().spawn_scoped(scope, inside) {
        Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
        Err(error) => Err(anyhow!("{}: a thread: {}", trees[0].field, sys::io(error))),
    })
}
