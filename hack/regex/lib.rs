//! The crate `regex` for the dependencies of tare: `Cargo.toml` beside this file says why.

pub use regex_lite::*;
