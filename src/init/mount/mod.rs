//! Operations on mounts, nodes and links.

mod attributes;
mod hidden;
mod mounts;
mod nodes;
mod root;

pub use mounts::RootMounts;

use super::files::{self, Fd};
use super::machine::Init;
use super::op::{self, Slot, Text};
use super::sys::{self, Try};
use hidden::Hidden;
use mounts::{Attachment, NewMount};
use nodes::NewNode;

impl Init {
    pub fn mount(&mut self, op: &op::Mount) -> Try<()> {
        use op::Mount as Do;
        let text = |text| self.program.text(text);
        let given = |it| (it != Text::NONE).then(|| text(it));
        let slot = |tree: Slot| Fd(self.program.slot(tree.0));
        let mounts = &mut self.mounts;
        mounts.index = self.index;
        match *op {
            Do::Propagation { flags } => mounts.propagation(flags),
            Do::PrivateParent { path } => mounts.private_parent(text(path)),
            Do::Root { path } => mounts.bind_root(text(path)),
            Do::RootDirectory { path, follow } => mounts.take_root(text(path), follow),
            Do::FileSystem { target, kind, source, instead, options, ref attributes, rules, keep } => {
                let (target, kind, source, instead) = (text(target), text(kind), text(source), given(instead));
                let options = self.program.texts(options);
                let it = NewMount { target, kind, source, instead, options, attributes, rules };
                mounts.mount(&it, keep)
            }
            Do::Bind { target, source, instead, recursive, ref attributes, rules, keep } => {
                let graft = Attachment { target: text(target), attributes, rules, keep };
                mounts.bind(text(source), given(instead), recursive, &graft)
            }
            Do::Attach { target, tree, ref attributes, rules, keep } => {
                mounts.attach(slot(tree), &Attachment { target: text(target), attributes, rules, keep })
            }
            Do::Unmount { target, mount } => mounts.unmount(text(target), mount),
            Do::Reattribute { mount, ref attributes } => mounts.reattribute(mount, attributes),
            Do::Remount { target, ref attributes, rules } => mounts.remount(text(target), attributes, rules),
            Do::Hold { path, rules, keep } => mounts.hold(text(path), rules, keep),
            Do::Directory { base, path, rules } => mounts.directory(base, text(path), rules),
            Do::Node { name, mode, device, uid, gid, host } => {
                mounts.node(text(name), &NewNode { mode, device, uid, gid, host: text(host) })
            }
            Do::BindNode { name, source, mode, device } => mounts.bind_node(text(name), text(source), mode, device),
            Do::AttachNode { name, tree } => mounts.attach_node(text(name), slot(tree).0),
            Do::Link { name, target } => mounts.link(text(name), text(target)),
            Do::LinkIf { name, target, host } => match sys::lstatat(sys::AT_FDCWD, text(host)) {
                Ok(_) => mounts.link(text(name), text(target)),
                Err(_) => Ok(()),
            },
            Do::Relink { name, target } => mounts.relink(text(name), text(target)),
            Do::Pivot { shared } => mounts.pivot(shared),
            Do::Bury { path } => root::bury(text(path)),
            Do::MoveRoot => mounts.move_root(),
            Do::Chroot => mounts.chroot(),
            Do::ReadOnly { path, mount, inside } => {
                mounts.read_only(&Hidden { path: text(path), mount: self.program.kept(mount), inside: text(inside) })
            }
            Do::Mask { path, mount, inside } => {
                mounts.mask(&Hidden { path: text(path), mount: self.program.kept(mount), inside: text(inside) })
            }
            Do::RootAttributes { ref attributes } => mounts.root_attributes(attributes),
            Do::MakeDirectory { path } => files::ensure_directory(mounts.root, text(path)),
        }
    }
}
