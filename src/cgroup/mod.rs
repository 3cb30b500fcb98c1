//! Control groups, carried out through the file system: v1, hybrid and v2; or through systemd, which makes the
//! directory then ([`systemd`]).
//!
//! The module has two halves. [`plan`] decides: from `linux.cgroupsPath`, `linux.resources` and the [`Layout`] of the
//! host it makes a [`Plan`] of directories, writes in the order the kernel accepts, and device rules. It is pure. [`live`]
//! does: it makes a [`Cgroup`] of the plan, and later freezes, counts, kills and removes what is in it. [`systemd`] and
//! [`stats`] stand beside them. What all share is in [`layout`], [`writes`] and [`device_rule`].
//!
//! `cgroups-rs` gives the detection of the mode and the v1 freezer. Its managers and typed writers
//! are not used: they open by path with `O_CREAT` (a missing file reads "permission denied"), lose
//! wildcard devices, idle, burst, rdma and unified, and cannot name the field that asked.

mod device_rule;
mod layout;
mod live;
mod path;
mod plan;
mod stats;
pub mod systemd;
mod writes;

pub use device_rule::{Access, DeviceKind, DeviceRule};
pub use layout::{Hierarchy, HostDir, Layout, Mode};
pub use live::{Before, Busy, Cgroup, Mark, Oom, Owner, Place};
pub use plan::{DeviceProgram, Existing, Plan, Request, merge};
pub use stats::Stats;
pub use writes::{Fallback, Line, Target, Write};
