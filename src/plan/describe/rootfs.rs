//! Operations on the root file system.

use super::super::program::Program;
use super::flags::{attributes_text, propagation};
use crate::init::op::{Rootfs, Text};

pub fn describe(op: &Rootfs, program: &Program) -> String {
    let text = |it: Text| program.show(it);
    match *op {
        Rootfs::Propagation { flags } => format!("make / r{}", propagation(flags)),
        Rootfs::PrivateParent { path } => format!("make the mount that holds {:?} private", text(path)),
        Rootfs::Bind { path } => format!("bind {:?} as the root", text(path)),
        Rootfs::Open { path, follow: _ } => format!("open {:?} as the root", text(path)),
        Rootfs::Attributes { attributes } => format!("set on the root:{}", attributes_text(&attributes)),
        Rootfs::Pivot { shared: false } => "pivot_root".to_owned(),
        Rootfs::Pivot { shared: true } => "pivot_root, letting the shared old root go quietly".to_owned(),
        Rootfs::Bury { path } => format!("detach or cover {:?}", text(path)),
        Rootfs::Move => "move the root over / and chroot".to_owned(),
        Rootfs::Chroot => "chroot".to_owned(),
    }
}
