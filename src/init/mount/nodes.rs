//! Nodes and links of `/dev`.

use core::ffi::CStr;

use super::super::files::Fd;
use super::super::op::why;
use super::super::sys::{self, Fault, Try};
use super::mounts::RootMounts;

/// A node of `/dev`.
pub struct NewNode<'a> {
    pub mode: u32,
    pub device: u64,
    pub uid: u32,
    pub gid: u32,
    /// The path of the host's node, which is bound if mknod(2) is refused.
    pub host: &'a CStr,
}

impl RootMounts {
    pub fn node(&self, name: &CStr, it: &NewNode<'_>) -> Try<()> {
        match sys::mknodat(self.here(), name, it.mode, it.device) {
            Ok(()) if it.uid == 0 && it.gid == 0 => Ok(()),
            Ok(()) => sys::fchownat(self.here(), name, it.uid, it.gid),
            Err(fault) if fault.errno == sys::EEXIST => self.is_node(name, it),
            // The process lacks CAP_MKNOD, or its device rules forbid the node.
            Err(fault) if fault.errno == sys::EPERM && !it.host.is_empty() => {
                self.bind_node(name, it.host, it.mode, it.device).map_err(|_| fault)
            }
            Err(fault) => Err(fault),
        }
    }

    /// An existing node must be the requested device.
    #[inline(never)]
    fn is_node(&self, name: &CStr, it: &NewNode<'_>) -> Try<()> {
        let there = Fd(sys::openat2(self.here(), name, sys::O_PATH | sys::O_NOFOLLOW | sys::O_CLOEXEC, 0, 0)?);
        match sys::fstat(there.0)?.is_node(it.mode, it.device) {
            true => Ok(()),
            false => Err(Fault::because(why::NOT_DEVICE, sys::EEXIST)),
        }
    }

    pub fn bind_node(&self, name: &CStr, source: &CStr, mode: u32, device: u64) -> Try<()> {
        let tree = Fd(sys::open_tree(sys::AT_FDCWD, source, sys::OPEN_TREE_CLONE)?);
        if !sys::fstat(tree.0)?.is_node(mode, device) {
            return Err(Fault::because(why::OTHER_DEVICE, sys::EINVAL));
        }
        self.attach_node(name, tree.0)
    }

    pub fn attach_node(&self, name: &CStr, tree: i32) -> Try<()> {
        let create = sys::O_CREAT | sys::O_NOFOLLOW | sys::O_CLOEXEC | sys::O_NONBLOCK;
        let resolve = sys::RESOLVE_NO_SYMLINKS;
        match sys::openat2(self.here(), name, create | sys::O_EXCL, 0o666, resolve) {
            Ok(fd) => sys::close(fd),
            Err(fault) if fault.errno == sys::EEXIST => {}
            Err(fault) => return Err(fault),
        }
        let place = Fd(sys::openat2(self.here(), name, sys::O_PATH | sys::O_NOFOLLOW | sys::O_CLOEXEC, 0, resolve)?);
        sys::move_mount(tree, place.0, c"")
    }

    pub fn link(&self, name: &CStr, target: &CStr) -> Try<()> {
        match sys::symlinkat(target, self.here(), name) {
            Err(fault) if fault.errno == sys::EEXIST => Ok(()),
            other => other,
        }
    }

    pub fn relink(&self, name: &CStr, target: &CStr) -> Try<()> {
        match sys::unlinkat(self.here(), name) {
            Err(fault) if fault.errno != sys::ENOENT => return Err(fault),
            _ => {}
        }
        sys::symlinkat(target, self.here(), name)
    }
}
