//! One operation as text: the call and its arguments.

mod enter;
mod entry;
mod flags;
mod mount;
mod process;
mod rights;
mod rootfs;

pub use entry::node;

use super::program::Program;
use crate::init::op::{Ask, Op, Talk};

/// One operation as text.
pub fn describe(op: &Op, program: &Program) -> String {
    match op {
        Op::Enter(op) => enter::describe(op, program),
        Op::Rootfs(op) => rootfs::describe(op, program),
        Op::Mount(op) => mount::describe(op, program),
        Op::Entry(op) => entry::describe(op, program),
        Op::Process(op) => process::describe(op, program),
        Op::Rights(op) => rights::describe(op, program),
        Op::Talk(op) => talk(op),
    }
}

fn talk(op: &Talk) -> String {
    match *op {
        Talk::Wait => "wait for the runtime".to_owned(),
        Talk::Ask { what: Ask::Hooks } => "ask the runtime for hooks".to_owned(),
        Talk::Ask { what: Ask::NetDevices } => "ask the runtime for network devices".to_owned(),
        Talk::Ask { what: Ask::Ready } => "created: let the runtime save the state".to_owned(),
        Talk::Terminal { rows, columns, console } => {
            let size = if (rows, columns) == (0, 0) { String::new() } else { format!(" of {columns} by {rows}") };
            format!("open a terminal{size}{}", if console { ", also at /dev/console" } else { "" })
        }
        Talk::Gate { from, .. } => format!("close descriptors from {from} on but the gate, and wait for start"),
    }
}
