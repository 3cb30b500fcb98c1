//! Network devices of the host that move into a container.

mod device;
mod netlink;

pub use device::{Moved, move_in};
