//! `process`: one file for each group of its fields.

mod affinity;
mod attributes;
mod capabilities;
mod identity;
mod launch;
mod limits;
mod scheduler;
mod terminal;

pub use affinity::{affinity, all_cpus};
pub use attributes::{attributes, label_keys, write_oom_score};
pub use capabilities::{Needs, shed};
pub use identity::become_user;
pub use launch::{Launch, environment};
pub use limits::limits;
pub use scheduler::{scheduler, scheduler_outlives_fork};
pub use terminal::terminal;
