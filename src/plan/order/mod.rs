//! The order of all steps: a file for each kind of process, and `tail.rs` for the last steps of all.

mod container;
mod join;
mod restore;
mod tail;

pub use container::{RuntimePart, container};
pub use restore::{CriuProgram, mount_points};
