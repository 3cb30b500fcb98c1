//! The deciding half: makes a [`CgroupPlan`] from `linux.cgroupsPath`, `linux.resources` and the layout of the host,
//! without a system call.

mod check;
mod compile;
mod device_program;
mod devices;
mod lines;
mod merge;
mod resources;
mod scalar;
mod targets;
mod unified;
mod update;
mod v1;
mod v2;
mod wanted;

#[cfg(test)]
pub mod tests;

pub use compile::{CgroupPlan, Request};
pub use device_program::DeviceProgram;
pub use merge::merge;
pub use update::Existing;
