//! Operations on mounts.

use super::super::program::{Descriptor, Program};
use super::flags::{attributes_text, of_slot, rules_text};
use crate::init::op::{List, Mount, Slot, Text};

pub fn describe(op: &Mount, program: &Program) -> String {
    let text = |it: Text| program.show(it);
    match *op {
        Mount::Label { label } => format!("label the directories that mask others {}", text(label)),
        Mount::FileSystem { target, kind, source, instead, options, attributes, rules, keep: _ } => {
            let (options, attributes) = (options_text(program, options), attributes_text(&attributes));
            let instead = if instead == Text::NONE { String::new() } else { format!(", or bind {:?}", text(instead)) };
            let (kind, source, target, rules) = (text(kind), text(source), text(target), rules_text(rules));
            format!("mount {kind} {source:?} on {target:?}{options}{attributes}{rules}{instead}")
        }
        Mount::Bind { target, source, instead, recursive, attributes, rules, keep: _ } => {
            let call = if recursive { "rbind" } else { "bind" };
            let (attributes, rules) = (attributes_text(&attributes), rules_text(rules));
            let instead = if instead == Text::NONE { String::new() } else { format!(", or {:?} ro", text(instead)) };
            format!("{call} {:?} on {:?}{attributes}{rules}{instead}", text(source), text(target))
        }
        Mount::Attach { target, tree: Slot(slot), attributes, rules, keep: _ } => {
            let source = match program.slots().get(slot as usize) {
                Some(Descriptor::Tree(tree)) => format!("{:?}", tree.source),
                _ => "?".to_owned(),
            };
            format!("attach {source} on {:?}{}{}", text(target), attributes_text(&attributes), rules_text(rules))
        }
        Mount::Unmount { target, mount } => format!("unmount mount {mount} at {:?}", text(target)),
        Mount::Reattribute { mount, attributes } => {
            format!("set{}:{}", of_slot(program, mount), attributes_text(&attributes))
        }
        Mount::Remount { target, attributes, rules } => {
            format!("remount {:?}{}{}", text(target), attributes_text(&attributes), rules_text(rules))
        }
        Mount::ReadOnly { path, mount, .. } => format!("make {:?} read-only{}", text(path), of_slot(program, mount)),
        Mount::Mask { path, mount, .. } => format!("hide {:?}{}", text(path), of_slot(program, mount)),
    }
}

/// The options for the file system; `ro` is shown with the flags of the mount.
pub(super) fn options_text(program: &Program, options: List) -> String {
    let mut line = String::new();
    for pair in program.show_texts(options).chunks_exact(2) {
        match (program.show(pair[0]), pair[1]) {
            ("ro", Text::NONE) => {}
            (key, Text::NONE) => line += &format!(" {key}"),
            (key, value) => line += &format!(" {key}={}", program.show(value)),
        }
    }
    line
}
