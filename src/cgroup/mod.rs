//! Control groups, carried out through the file system: v1, hybrid and v2; or through systemd, which makes the
//! directory then ([`systemd`]).
//!
//! The module has two halves. The pure one turns `linux.cgroupsPath` and `linux.resources` into a
//! [`Plan`]: directories, writes in the order the kernel accepts, device rules. It needs only the
//! [`Layout`] of the host. The other half makes a living [`Cgroup`] of the plan, and later freezes,
//! counts, kills and removes what is in it.
//!
//! `cgroups-rs` gives the detection of the mode and the v1 freezer. Its managers and typed writers
//! are not used: they open by path with `O_CREAT` (a missing file reads "permission denied"), lose
//! wildcard devices, idle, burst, rdma and unified, and cannot name the field that asked.

mod apply;
mod check;
mod create;
mod device_program;
mod devices;
mod dir;
mod freeze;
mod install;
mod kill;
mod layout;
mod living;
mod merge;
mod oom;
mod owner;
mod path;
mod place;
mod plan;
mod remove;
mod scalar;
mod stats;
pub mod systemd;
mod threaded;
mod tree;
mod unified;
mod update;
mod v1;
mod v2;

#[cfg(test)]
mod living_tests;
#[cfg(test)]
mod tests;

pub use device_program::DeviceProgram;
pub use devices::{Access, DeviceKind, DeviceRule};
pub use freeze::Refused;
pub use layout::{Hierarchy, Layout, Mode};
pub use living::{Cgroup, HostDir};
pub use merge::merge;
pub use oom::Oom;
pub use owner::{Mark, Owner};
pub use place::Place;
pub use plan::{Fallback, Line, Plan, Request, Target, Write};
pub use remove::Busy;
pub use stats::Stats;
pub use update::Before;
