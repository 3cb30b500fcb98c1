//! Operations that make files in the container's root.

use super::rules::Rules;
use super::{Slot, Text};

/// Operations that make directory entries in the root: directories, device nodes, symbolic links.
#[repr(C, u32)]
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields carry the names of the arguments of the call")]
pub enum Entry {
    /// Create a directory in the root, with its missing parents.
    MakeDirectory { path: Text },
    /// Open a directory and keep it open in `keep`. Create it if it is missing.
    Hold { path: Text, rules: Rules, keep: Slot },
    /// Use a directory for the following nodes and links. Create it if it is missing. The path starts at a directory
    /// that is kept open or, without one, at the root.
    Directory { base: Slot, path: Text, rules: Rules },
    /// `mknod(2)` in the directory. The same node may exist already. If the kernel refuses mknod, bind the node at this
    /// path of the host.
    Node { name: Text, mode: u32, device: u64, uid: u32, gid: u32, host: Text },
    /// Bind a device of the host into the directory, because mknod fails in a user namespace. The host's file must be
    /// the device with this type and number.
    BindNode { name: Text, source: Text, mode: u32, device: u64 },
    /// Attach a node that the runtime made, in the directory.
    AttachNode { name: Text, tree: Slot },
    /// `symlink(2)` in the directory; an existing name is kept.
    Link { name: Text, target: Text },
    /// `symlink(2)` in the directory if a path exists on the host.
    LinkIf { name: Text, target: Text, host: Text },
    /// `symlink(2)` in the directory; an existing name is replaced.
    Relink { name: Text, target: Text },
}
