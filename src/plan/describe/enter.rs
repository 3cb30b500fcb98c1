//! Operations that enter namespaces.

use super::super::program::{Descriptor, Program};
use crate::init::op::{Enter, List, Slot, Text};
use crate::tables::namespace;

pub fn describe(op: &Enter, program: &Program) -> String {
    let text = |it: Text| program.show(it);
    match *op {
        Enter::Signals => "reset signals".to_owned(),
        Enter::Cgroup { tasks: Slot(slot) } => match program.slots().get(slot as usize) {
            Some(Descriptor::Tasks(controllers)) => format!("enter the cgroup of {controllers}"),
            _ => "?".to_owned(),
        },
        Enter::Undumpable => "undumpable".to_owned(),
        Enter::Dumpable => "dumpable".to_owned(),
        Enter::Join { list } => join(program, list),
        Enter::Fork { flags } => format!("fork {}", namespace::names(flags).join(" ")).trim_end().to_owned(),
        Enter::Unshare { flags } => format!("unshare {}", namespace::names(flags).join(" ")),
        Enter::TimeOffsets { lines } => format!("write timens_offsets {}", text(lines).trim_end().replace('\n', ", ")),
        Enter::BecomeRoot { uid, gid, keep_groups } => {
            let who = if (uid, gid) == (0, 0) { "root".to_owned() } else { format!("uid {uid} gid {gid}") };
            let groups = if keep_groups { ", in the caller's groups" } else { "" };
            format!("become {who} of the user namespace{groups}")
        }
        Enter::Session => "setsid".to_owned(),
        Enter::Keyring { name } => format!("join session keyring {}", text(name)),
        Enter::Affinity { mask } => affinity(program, mask),
        Enter::Hostname { name } => format!("sethostname {:?}", text(name)),
        Enter::Domainname { name } => format!("setdomainname {:?}", text(name)),
        Enter::Loopback => "bring lo up".to_owned(),
    }
}

fn join(program: &Program, list: List) -> String {
    let numbers = program.show_numbers(List { len: list.len * 2, ..list });
    let mut parts = Vec::new();
    for pair in numbers.chunks_exact(2) {
        let names = namespace::names(u64::from(pair[1])).join(" ");
        match program.slots().get(pair[0] as usize) {
            Some(Descriptor::Namespace { path, .. }) => parts.push(format!("{names} of {path:?}")),
            _ => parts.push(format!("{names} of the container")),
        }
    }
    format!("join {}", parts.join(", "))
}

fn affinity(program: &Program, mask: List) -> String {
    let words = program.show_words(mask);
    match words.iter().all(|word| *word == u64::MAX) {
        true => "run on every CPU that the cpuset allows".to_owned(),
        false => format!("run on CPUs {}", cpu_list(&words)),
    }
}

/// A mask in the form of config.json: `0-3,8`.
fn cpu_list(words: &[u64]) -> String {
    let is_set = |cpu: usize| words.get(cpu / 64).is_some_and(|word| word >> (cpu % 64) & 1 == 1);
    let starts = (0..words.len() * 64).filter(|cpu| is_set(*cpu) && (*cpu == 0 || !is_set(cpu - 1)));
    let ranges = starts.map(|first| match (first..).take_while(|cpu| is_set(*cpu)).last() {
        Some(last) if last > first => format!("{first}-{last}"),
        _ => first.to_string(),
    });
    ranges.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    #[test]
    fn masks_are_lists_of_processors() {
        for (words, wanted) in
            [(&[0b1][..], "0"), (&[0b1_0000_1110], "1-3,8"), (&[1 << 63, 0b11], "63-65"), (&[0, 1 << 63], "127")]
        {
            assert_eq!(super::cpu_list(words), wanted);
        }
    }
}
