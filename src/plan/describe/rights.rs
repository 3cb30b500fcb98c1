//! Operations on the rights of the process.

use super::super::program::Program;
use crate::init::op::{Rights, Text};
use crate::tables::capability;

pub fn describe(op: &Rights, program: &Program) -> String {
    match *op {
        Rights::NoNewPrivileges => "no_new_privs".to_owned(),
        Rights::Bounding { keep } => format!("bounding set: {}", set(keep)),
        Rights::Shed { keep } => format!("keep no other capabilities than: {}", set(keep)),
        Rights::User { uid, gid, groups, set_groups, keep: _ } => {
            let groups = match set_groups {
                true => format!("groups {:?}", program.show_numbers(groups)),
                false => "groups kept".to_owned(),
            };
            format!("become uid {uid} gid {gid} {groups}")
        }
        Rights::Capabilities { effective, permitted, inheritable, ambient } => format!(
            "capset effective: {}; permitted: {}; inheritable: {}; ambient: {}",
            set(effective),
            set(permitted),
            set(inheritable),
            set(ambient)
        ),
        Rights::Seccomp { filter, flags, agent: Text::NONE } => {
            format!("load seccomp filter of {} instructions, flags {flags:#x}", filter.len)
        }
        Rights::Seccomp { filter, flags, agent } => {
            let agent = program.show(agent);
            format!("load seccomp filter of {} instructions, flags {flags:#x}, its listener for {agent:?}", filter.len)
        }
    }
}

fn set(mask: u64) -> String {
    if mask == 0 || mask == u64::MAX {
        return if mask == 0 { "none" } else { "what there is" }.to_owned();
    }
    let names = capability::names(mask);
    names.iter().map(|name| name.trim_start_matches("CAP_")).collect::<Vec<_>>().join(" ")
}
