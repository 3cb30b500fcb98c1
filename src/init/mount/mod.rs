//! Operations on mounts, nodes and links.

mod attributes;
mod hidden;
mod mounts;
mod nodes;
mod parent;
mod root;
mod union;

pub use mounts::RootMounts;

use super::files::{self, Fd};
use super::machine::Init;
use super::op::{Entry, Mount, Rootfs, Slot, Text};
use super::sys::{self, Try};
use hidden::Hidden;
use mounts::{Attachment, NewMount};
use nodes::NewNode;
use union::NewUnion;

impl Init {
    pub fn rootfs(&mut self, op: &Rootfs) -> Try<()> {
        let text = |text| self.program.text(text);
        let mounts = &mut self.mounts;
        match *op {
            Rootfs::Propagation { flags } => mounts.propagation(flags),
            Rootfs::PrivateParent { path } => mounts.private_parent(text(path)),
            Rootfs::Bind { path } => mounts.bind_root(text(path)),
            Rootfs::Union { path, layers, upper, work, options, data, adopt } => {
                let (layers, options) = (self.program.texts(layers), self.program.texts(options));
                let upper = (upper != Text::NONE).then(|| (text(upper), text(work)));
                mounts.union(&NewUnion { path: text(path), layers, upper, options, data: text(data), adopt })
            }
            Rootfs::Attach { path, tree } => mounts.attach_root(text(path), self.program.slot(tree.0)),
            Rootfs::Open { path, follow } => mounts.take_root(text(path), follow),
            Rootfs::Attributes { ref attributes } => mounts.root_attributes(attributes),
            Rootfs::Pivot { shared } => mounts.pivot(shared),
            Rootfs::Bury { path } => root::bury(text(path)),
            Rootfs::Move => mounts.move_root(),
            Rootfs::Chroot => mounts.chroot(),
        }
    }

    pub fn mount(&mut self, op: &Mount) -> Try<()> {
        let text = |text| self.program.text(text);
        let given = |it| (it != Text::NONE).then(|| text(it));
        let hidden = |path, mount, inside| {
            let inside = given(inside).unwrap_or(c"");
            Hidden { path: text(path), mount: self.program.kept(mount), inside }
        };
        let mounts = &mut self.mounts;
        mounts.index = self.index;
        match *op {
            Mount::Label { label } => {
                mounts.label = text(label);
                Ok(())
            }
            Mount::FileSystem { target, kind, source, instead, options, ref attributes, rules, keep } => {
                let (target, kind, source, instead) = (text(target), text(kind), text(source), given(instead));
                let options = self.program.texts(options);
                let it = NewMount { target, kind, source, instead, options, attributes, rules };
                mounts.mount(&it, keep)
            }
            Mount::Bind { target, source, instead, recursive, ref attributes, rules, keep } => {
                let graft = Attachment { target: text(target), attributes, rules, keep };
                mounts.bind(text(source), given(instead), recursive, &graft)
            }
            Mount::Attach { target, tree, ref attributes, rules, keep } => {
                let graft = Attachment { target: text(target), attributes, rules, keep };
                mounts.attach(Fd(self.program.slot(tree.0)), &graft)
            }
            Mount::Unmount { target, mount } => mounts.unmount(text(target), mount),
            Mount::Reattribute { mount, ref attributes } => mounts.reattribute(mount, attributes),
            Mount::Remount { target, ref attributes, rules } => mounts.remount(text(target), attributes, rules),
            Mount::ReadOnly { path, mount, inside } => mounts.read_only(&hidden(path, mount, inside)),
            Mount::Mask { path, mount, inside } => mounts.mask(&hidden(path, mount, inside)),
        }
    }

    pub fn entry(&mut self, op: &Entry) -> Try<()> {
        let text = |text| self.program.text(text);
        let mounts = &mut self.mounts;
        match *op {
            Entry::MakeDirectory { path } => files::ensure_directory(mounts.root, text(path)),
            Entry::Hold { path, rules, keep } => mounts.hold(text(path), rules, keep),
            Entry::Directory { base, path, rules } => mounts.directory(base, text(path), rules),
            Entry::Node { name, mode, device, uid, gid, host } => {
                mounts.node(text(name), &NewNode { mode, device, uid, gid, host: text(host) })
            }
            Entry::BindNode { name, source, mode, device } => mounts.bind_node(text(name), text(source), mode, device),
            Entry::AttachNode { name, tree: Slot(tree) } => {
                mounts.attach_node(text(name), Fd(self.program.slot(tree)).0)
            }
            Entry::Link { name, target } => mounts.link(text(name), text(target)),
            Entry::LinkIf { name, target, host } => match sys::lstatat(sys::AT_FDCWD, text(host)) {
                Ok(_) => mounts.link(text(name), text(target)),
                Err(_) => Ok(()),
            },
            Entry::Relink { name, target } => mounts.relink(text(name), text(target)),
        }
    }
}
