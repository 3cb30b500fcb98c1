//! Operations that make files in the root.

use super::super::program::{Descriptor, Program};
use super::flags::{of_slot, rules_text};
use crate::init::op::{Entry, Slot, Text};
use crate::spec::Ids;

pub fn describe(op: &Entry, program: &Program) -> String {
    let text = |it: Text| program.show(it);
    match *op {
        Entry::MakeDirectory { path } => format!("mkdir -p {:?}", text(path)),
        Entry::Hold { path, rules, keep: _ } => format!("open {:?}{}", text(path), rules_text(rules)),
        Entry::Directory { base, path, rules } => {
            format!("in {:?}{}{}", text(path), of_slot(program, base), rules_text(rules))
        }
        Entry::Node { name, mode, device, uid, gid, host } => {
            let node = node(text(name), mode, device, mode & 0o7777, Ids::new(uid, gid));
            let instead = if text(host).is_empty() { String::new() } else { format!(", or bind {:?}", text(host)) };
            format!("  mknod {node}{instead}")
        }
        Entry::BindNode { name, source, mode, device } => {
            format!("  bind {:?} as {}, if it is {}", text(source), text(name), kind_and_number(mode, device))
        }
        Entry::AttachNode { name, tree: Slot(slot) } => match program.slots().get(slot as usize) {
            Some(Descriptor::Node(it)) => format!("  attach {}, {}", text(name), kind_and_number(it.mode, it.device)),
            _ => "?".to_owned(),
        },
        Entry::Link { name, target } => format!("  symlink {} -> {}", text(name), text(target)),
        Entry::LinkIf { name, target, host } => {
            format!("  symlink {} -> {} if {:?} exists", text(name), text(target), text(host))
        }
        Entry::Relink { name, target } => format!("  replace by symlink {} -> {}", text(name), text(target)),
    }
}

fn kind_and_number(mode: u32, device: u64) -> String {
    let kind = match mode & 0o170000 {
        0o060000 => 'b',
        0o010000 => 'p',
        _ => 'c',
    };
    format!("{kind} {}:{}", libc::major(device), libc::minor(device))
}

pub fn node(name: &str, kind: u32, device: u64, mode: u32, owner: Ids) -> String {
    format!("{name} {} mode {mode:o} owner {owner}", kind_and_number(kind, device))
}
