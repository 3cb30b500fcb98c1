//! Operations on the root file system.

use super::super::program::Program;
use super::flags::{attributes_text, propagation};
use super::mount::options_text;
use crate::init::op::{Rootfs, Text};

pub fn describe(op: &Rootfs, program: &Program) -> String {
    let text = |it: Text| program.show(it);
    match *op {
        Rootfs::Propagation { flags } => format!("make / r{}", propagation(flags)),
        Rootfs::PrivateParent { path } => format!("make the mount that holds {:?} private", text(path)),
        Rootfs::Bind { path } => format!("bind {:?} as the root", text(path)),
        Rootfs::Union { path, layers, upper, options, .. } => {
            let (count, options) = (count(layers.len as usize), options_text(program, options));
            let upper = if upper == Text::NONE { ", with a tmpfs for mount points" } else { "" };
            format!("mount an overlay of {count} at {:?} as the root{upper}{options}", text(path))
        }
        Rootfs::Attach { path, .. } => format!("attach the overlay at {:?} as the root", text(path)),
        Rootfs::Open { path, follow: _ } => format!("open {:?} as the root", text(path)),
        Rootfs::Attributes { attributes } => format!("set on the root:{}", attributes_text(&attributes)),
        Rootfs::Pivot { shared: false } => "pivot_root".to_owned(),
        Rootfs::Pivot { shared: true } => "pivot_root, letting the shared old root go quietly".to_owned(),
        Rootfs::Bury { path } => format!("detach or cover {:?}", text(path)),
        Rootfs::Move => "move the root over / and chroot".to_owned(),
        Rootfs::Chroot => "chroot".to_owned(),
    }
}

fn count(layers: usize) -> String {
    if layers == 1 { "one layer".to_owned() } else { format!("{layers} layers") }
}
