//! Images: from an image to layers in a store, to a bundle, and back.
//!
//! Nothing here is on the path of create, start, exec and delete. The feature `image` of the package, on by default,
//! leaves all of it out of the file.

#[allow(dead_code, reason = "for the commands on images")]
pub mod accounts;
#[allow(dead_code, reason = "diff will use it")]
mod changes;
#[allow(dead_code, reason = "for the commands on images")]
pub mod config;
#[allow(dead_code, reason = "for the commands on images")]
pub mod digest;
#[allow(dead_code, reason = "pack will use it")]
mod header;
#[allow(dead_code, reason = "unpack will use it")]
mod layer;
#[allow(dead_code, reason = "for the commands on images")]
pub mod name;
#[allow(dead_code, reason = "for the commands on images")]
pub mod platform;
#[allow(dead_code, reason = "unpack will use it")]
mod read_ahead;
#[cfg(test)]
mod scratch_tests;
#[allow(dead_code, reason = "pack will use it")]
mod shift;
#[allow(dead_code, reason = "for the commands on images")]
pub mod source;
#[allow(dead_code, reason = "diff will use it")]
mod tree;
#[allow(dead_code, reason = "for the other steps of images")]
mod union;
#[allow(dead_code, reason = "pack will use it")]
mod write;
