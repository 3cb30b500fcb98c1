//! `linux.intelRdt`: the class of service of a container, decided ([`plan`]), made ([`groups`]) and counted ([`stats`]).

mod groups;
mod plan;
mod stats;

pub use groups::{Groups, RESCTRL};
pub use plan::Rdt;
pub use stats::RdtStats;
