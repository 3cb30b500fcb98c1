//! Images: from an image to layers in a store, to a bundle, and back.
//!
//! Nothing here is on the path of create, start, exec and delete. The feature `image` of the package, on by default,
//! leaves all of it out of the file.

pub mod accounts;
pub mod bundle;
pub mod changes;
pub mod claim;
pub mod config;
mod config_of;
mod destination;
pub mod digest;
mod header;
#[cfg(not(fuzzing))]
mod layer;
#[cfg(fuzzing)]
pub mod layer;
mod layout;
pub mod name;
mod pack;
pub mod platform;
mod progress;
pub mod prune;
mod read_ahead;
#[cfg(test)]
mod scratch_tests;
mod shift;
pub mod source;
mod stack;
pub mod store;
mod tree;
mod union;
mod unpack;
pub mod user;
mod write;

pub use destination::PackTarget;
pub use layer::ImageLimits;
pub use pack::pack;
pub use stack::Stack;
