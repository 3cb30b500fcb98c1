//! Flags and rules of mounts.

use super::super::program::{Descriptor, Program};
use crate::init::op::{Attributes, Rules, Slot};
use crate::tables::mount_option as option;

/// The mount that a descriptor of `init` belongs to.
pub fn of_slot(program: &Program, slot: Slot) -> String {
    match program.slots().get(slot.0 as usize) {
        Some(Descriptor::Kept(usize::MAX)) => " of the image's /dev".to_owned(),
        Some(Descriptor::Kept(index)) => format!(" of mounts[{index}]"),
        _ => String::new(),
    }
}

pub fn propagation(flags: u64) -> &'static str {
    match flags {
        option::SHARED => "shared",
        option::SLAVE => "slave",
        option::PRIVATE => "private",
        option::UNBINDABLE => "unbindable",
        _ => "?",
    }
}

pub fn attributes_text(it: &Attributes) -> String {
    let mut text = String::new();
    for (prefix, set, clear) in [("", it.set, it.clear), ("r", it.tree_set, it.tree_clear)] {
        for (bit, on, off) in option::flags() {
            if set & bit != 0 {
                text += &format!(" {prefix}{on}");
            } else if clear & bit & !option::ATIME != 0 {
                text += &format!(" {prefix}{off}");
            }
        }
        if clear & option::ATIME != 0 && set & option::ATIME == 0 {
            text += &format!(" {prefix}relatime");
        }
    }
    for (kind, recursive) in it.propagation.changes() {
        text += &format!(" {}{}", if recursive { "r" } else { "" }, propagation(kind));
    }
    text
}

pub fn rules_text(rules: Rules) -> String {
    let mut text = String::new();
    for (rule, what) in [
        (Rules::PLAIN, "a plain directory only"),
        (Rules::KEEP_MODE, "with the mode of what it covers"),
        (Rules::COPY_UP, "filled with what it covers"),
        (Rules::PROC_ONLY, "a procfs only"),
        (Rules::EXACT, "with no other flags"),
        (Rules::SLAVE, "a slave of the host's"),
        (Rules::NO_FOLLOW, "over a link itself"),
        (Rules::SOURCE_NO_FOLLOW, "not following a link"),
        (Rules::COPY_LINK, "or as a link of the same text"),
        (Rules::LIVING, "in a living container"),
        (Rules::LABEL_ROOT, "with the label on its root"),
        (Rules::I_VERSION, "by mount(2) with MS_I_VERSION"),
    ] {
        if rules.has(rule) {
            text += &format!(", {what}");
        }
    }
    text
}
