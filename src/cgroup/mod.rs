//! Cgroups: v1, hybrid and v2, made by the runtime in the file system or, with [`systemd`], by the service manager.
//!
//! The module has two halves. [`plan`] decides: from `linux.cgroupsPath`, `linux.resources` and the [`Layout`] of the
//! host it makes a [`CgroupPlan`] of directories, of writes in the order that the kernel accepts, and of device rules.
//! It is pure. [`live`] does: it makes a [`Cgroup`] from the plan, and later freezes, updates, counts, kills and
//! removes it. [`systemd`] and [`stats`] stand beside them. All of them share [`layout`], [`writes`] and
//! [`device_rule`].
//!
//! tare uses `cgroups-rs` to detect the mode, for the v1 freezer and for some v1 statistics. It does not use the
//! managers and typed writers of `cgroups-rs`: they open by path with `O_CREAT` (a missing file then causes "permission
//! denied"), lose wildcard devices, idle, burst, rdma and unified, and cannot name the field that asked.

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
pub use live::{Before, Busy, Cgroup, Entrance, ExecPlace, Mark, Oom, Owner, is_frozen};
pub use plan::{CgroupPlan, DeviceProgram, Existing, Request, merge};
pub use stats::Stats;
pub use writes::{Fallback, PlanLine, Target, Write};
