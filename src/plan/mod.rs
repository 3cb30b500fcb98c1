//! Compiles a config and the facts about the host into a [`Plan`]. Pure: this code makes no system call and needs no
//! privileges, and a plan holds no descriptors and no pids.

mod compile;
mod context;
mod describe;
mod devices;
mod exec;
mod facts;
#[cfg(test)]
mod golden;
mod hooks;
mod id_map;
mod layers;
mod maps;
mod mounts;
mod namespaces;
mod net_devices;
mod options;
mod order;
mod print;
mod process;
mod program;
pub(crate) mod restore;
mod rlimit;
mod rootfs;
mod seccomp;
mod standing;
mod sysctl;
mod union;

pub use compile::{Plan, compile};
pub(crate) use describe::describe;
pub(crate) use exec::{Exec, HookEntry, HookRights, ProcessPlan};
pub use facts::{Caller, Facts};
pub(crate) use facts::{Questions, binds};
pub(crate) use hooks::{Hook, Hooks};
pub(crate) use id_map::{IdMap, Owners};
pub(crate) use layers::{RootUnion, Writable, escaped};
pub(crate) use maps::Maps;
pub(crate) use namespaces::Birth;
pub use options::Options;
pub use print::print;
pub(crate) use program::{Descriptor, Node, Program, Tree};
pub(crate) use rlimit::Limit;
pub(crate) use seccomp::Agent;
pub(crate) use union::candidates;
