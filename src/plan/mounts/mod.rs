//! `mounts`

mod bind;
mod cgroup;
mod entry;
mod file_system;
mod list;
mod options;
mod owners;
mod place;
mod remount;

pub use list::{NOTIFY, plan, plan_living};
