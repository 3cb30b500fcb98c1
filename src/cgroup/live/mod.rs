//! The doing half: makes a [`Cgroup`] from a plan, moves processes into it, and later freezes, updates, counts, kills
//! and removes it.

mod apply;
mod before;
mod cgroup;
mod controllers;
mod cpuset;
mod create;
pub mod dir;
mod directories;
mod entrance;
mod freeze;
mod host;
mod inside;
mod install;
mod kill;
mod make;
mod oom;
mod owner;
mod place;
mod remove;
mod scope;
mod threaded;
mod tree;
mod update;

#[cfg(test)]
mod tests;

pub use before::Before;
pub use cgroup::Cgroup;
pub use entrance::Entrance;
pub use freeze::is_frozen;
pub use oom::Oom;
pub use owner::{Mark, Owner};
pub use place::ExecPlace;
pub use remove::Busy;
