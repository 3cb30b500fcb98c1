//! Operations on the process.

use super::super::program::Program;
use crate::init::op::{Process, Text};
use crate::tables::rlimit;

pub fn describe(op: &Process, program: &Program) -> String {
    let text = |it: Text| program.show(it);
    match *op {
        Process::Write { path, value, must } => {
            format!("write {} = {:?}{}", text(path), text(value), if must { "" } else { ", if that is allowed" })
        }
        Process::OwnStdio { uid } => format!("give the standard descriptors to uid {uid}"),
        Process::Chdir { path, later: true } => format!("chdir {:?} if the old identity may", text(path)),
        Process::Chdir { path, .. } => format!("chdir {:?}", text(path)),
        Process::Umask { mask } => format!("umask {mask:04o}"),
        Process::Limit { resource, soft, hard } => {
            let value = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() };
            let name = rlimit::NAMES.get(resource as usize).copied().unwrap_or("?");
            format!("setrlimit {name} soft {} hard {}", value(soft), value(hard))
        }
        Process::Scheduler { policy, nice, priority, flags, runtime, deadline, period } => format!(
            "sched_setattr policy {policy} nice {nice} priority {priority} flags {flags:#x} runtime {runtime} deadline {deadline} period {period}"
        ),
        Process::IoPriority { value } => format!("ioprio_set class {} level {}", value >> 13, value & 7),
        Process::Personality { domain } => format!("personality {domain:#x}"),
        Process::MemoryPolicy { mode, nodes } => {
            format!("set_mempolicy {mode:#x} nodes {:x?}", program.show_words(nodes))
        }
        Process::Home { uid, .. } => format!("HOME of uid {uid} from /etc/passwd, else /"),
        Process::Find { candidates } => {
            let candidates: Vec<_> = program.show_texts(candidates).into_iter().map(text).collect();
            format!("find the program: {candidates:?}")
        }
        Process::CloseOnExec { from } => format!("close descriptors from {from} on at execve"),
        Process::Close { from } => format!("close descriptors from {from} on"),
        // The environment may hold secrets: only its names are shown.
        Process::Exec { argv, envp } => {
            let names = program.show_addresses(envp);
            let names: Vec<_> = names.iter().map(|entry| entry.split('=').next().unwrap_or_default()).collect();
            format!("execve {:?} with {}", program.show_addresses(argv), names.join(" "))
        }
    }
}
