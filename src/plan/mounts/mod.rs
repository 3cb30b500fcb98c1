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
mod standing;

pub use list::{NOTIFY, plan, plan_living};
pub use standing::Standing;
