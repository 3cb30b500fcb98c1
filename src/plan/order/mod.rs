//! The order of all steps: a page for each kind of process, and one for the steps that all of them end with.

mod container;
mod join;
mod restore;
mod tail;

pub use container::{Outside, container};
pub use restore::{Worker, mount_points};
