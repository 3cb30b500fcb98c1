//! The runtime's steps on the host before, beside and after `init`, and how they are undone.

mod agent;
mod ahead;
mod aside;
mod channel;
mod converse;
pub(crate) mod create;
mod destroy;
mod exec;
mod expected;
pub(crate) mod hooks;
mod id_map;
pub(crate) mod launch;
mod notify;
mod receivers;
mod relay;
mod report;
mod traced;
pub(crate) mod tree;
mod union;
mod visit;
mod wait;

pub use ahead::Ahead;
pub use create::{Connections, Created, Order, create};
pub use destroy::{Survivors, destroy, destroy_locked, discard, end_locked, kill_survivors};
pub use exec::{Joining, attaches_late, exec};
pub use hooks::{HookOwner, poststart, start_container};
#[cfg(feature = "image")]
pub use id_map::enter_user_namespace;
pub use notify::Notify;
pub use receivers::Receivers;
pub use relay::{Pipes, Relay, Terminal};
pub use wait::{Orphans, forward_until_exit, prepare_to_wait};
