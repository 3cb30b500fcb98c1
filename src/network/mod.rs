//! Moves network devices of the host into a container.

mod device;
mod netlink;

pub use device::{Moved, move_in};
