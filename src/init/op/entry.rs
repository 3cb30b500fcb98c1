//! Operations that make files in the container's root.

use super::rules::Rules;
use super::{Slot, Text};

/// Operations that make directory entries in the root: directories, device nodes, symbolic links.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Entry {
    /// Make a directory, and those above it, in the root.
    MakeDirectory { path: Text },
    /// Open a directory, made when it is missing, and keep it in `keep`.
    Hold { path: Text, rules: Rules, keep: Slot },
    /// Take a directory, made when it is missing, as the place of the following nodes and links. The
    /// path starts at a directory that was kept open or, without one, at the root.
    Directory { base: Slot, path: Text, rules: Rules },
    /// `mknod(2)` in the directory. The same node may be there already. Where the caller may not make
    /// nodes, the one at this path of the host is bound.
    Node { name: Text, mode: u32, device: u64, uid: u32, gid: u32, host: Text },
    /// Bind a device of the host into the directory, for there is no mknod in a user namespace. It
    /// must be the device with this type and number.
    BindNode { name: Text, source: Text, mode: u32, device: u64 },
    /// Attach a node that the parent made in the directory.
    AttachNode { name: Text, tree: Slot },
    /// `symlink(2)` in the directory; an existing name is kept.
    Link { name: Text, target: Text },
    /// `symlink(2)` in the directory when a path exists on the host.
    LinkIf { name: Text, target: Text, host: Text },
    /// `symlink(2)` in the directory; an existing name is replaced.
    Relink { name: Text, target: Text },
}
