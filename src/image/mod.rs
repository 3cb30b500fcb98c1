//! Images: from an image to layers in a store, to a bundle, and back.
//!
//! Nothing here is on the path of create, start, exec and delete. The feature `image` of the package, on by default,
//! leaves all of it out of the file.

#[allow(dead_code, reason = "for the commands on images")]
pub mod accounts;
pub mod changes;
#[allow(dead_code, reason = "for the commands on images")]
pub mod config;
mod config_of;
mod destination;
#[allow(dead_code, reason = "for the commands on images")]
pub mod digest;
mod header;
#[allow(dead_code, reason = "unpack will use it")]
mod layer;
mod layout;
#[allow(dead_code, reason = "for the commands on images")]
pub mod name;
mod pack;
#[allow(dead_code, reason = "for the commands on images")]
pub mod platform;
#[allow(dead_code, reason = "unpack will use it")]
mod read_ahead;
#[cfg(test)]
mod scratch_tests;
mod shift;
#[allow(dead_code, reason = "for the commands on images")]
pub mod source;
mod stack;
mod tree;
#[allow(dead_code, reason = "for the other steps of images")]
mod union;
mod write;

pub use destination::PackTarget;
pub use pack::pack;
pub use stack::Stack;
