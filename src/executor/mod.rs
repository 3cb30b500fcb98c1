//! The host's side: what the parent does before, beside and after `init`, and how it is undone.

mod agent;
mod channel;
mod create;
#[cfg(feature = "criu")]
pub mod criu;
mod destroy;
mod exec;
mod hooks;
mod id_map;
mod intel_rdt;
mod launch;
mod net_device;
mod netlink;
mod notify;
mod rdt_stats;
mod receivers;
mod relay;
mod report;
mod tree;
mod wait;

pub use create::{Connections, Created, Order, create};
pub use destroy::{Survivors, destroy, destroy_locked, discard, end_locked, kill_survivors};
pub use exec::{Joined, Joining, attaches_late, exec};
pub use hooks::{Owner, poststart, poststop, start_container};
pub use intel_rdt::Groups;
pub use launch::Stdio;
pub use notify::Notify;
pub use rdt_stats::RdtStats;
pub use receivers::Receivers;
pub use relay::{Pipes, Relay, Terminal};
pub use wait::{forward_until_exit, prepare_to_wait};
