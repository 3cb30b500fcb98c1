//! The order of all steps: a file for each kind of process, and one for the steps that all of them end with.

mod container;
mod join;
mod restore;
mod tail;

pub use container::{RuntimePart, container};
pub use restore::{CriuProgram, mount_points};
