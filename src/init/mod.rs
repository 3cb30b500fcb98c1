//! The sealed program that enters the namespaces: its image, and the operations it knows.
//!
//! Its own code (`main.rs` and what that names) is compiled by `build.rs` as a program of its own.

pub mod op;

/// The static ELF image of `init`.
pub const IMAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/init"));
