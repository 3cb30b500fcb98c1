//! `linux.intelRdt`: the container's class of service. [`plan`] decides it, [`groups`] makes it, and [`stats`] reads
//! its counters.

mod groups;
mod plan;
mod stats;

pub use groups::{Groups, RESCTRL};
pub use plan::Rdt;
pub use stats::RdtStats;
