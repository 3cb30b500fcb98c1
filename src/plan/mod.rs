//! From a config and the facts about the host to a [`Plan`]. Pure: no descriptors, no pids, no privileges, nothing
//! touched.

mod compile;
mod context;
mod describe;
mod devices;
mod exec;
mod facts;
#[cfg(test)]
mod golden;
mod hooks;
mod maps;
mod mounts;
mod namespaces;
mod net_devices;
mod options;
mod order;
mod print;
mod process;
mod program;
pub mod restore;
mod rlimit;
mod rootfs;
mod seccomp;
mod sysctl;

pub use compile::{Plan, compile};
pub(crate) use describe::describe;
pub(crate) use exec::{Exec, HookEntry, HookRights, ProcessPlan};
pub use facts::{Caller, Facts, Questions};
pub(crate) use hooks::{Hook, Hooks};
pub(crate) use maps::Maps;
pub use options::Options;
pub use print::print;
pub(crate) use program::{Descriptor, IdMap, Node, Owners, Program, Tree};
pub(crate) use rlimit::Limit;
pub(crate) use seccomp::Agent;
