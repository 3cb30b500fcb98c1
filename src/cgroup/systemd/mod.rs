//! The systemd driver: the container's cgroup is a scope. The service manager makes it, keeps its limits over a reload,
//! and removes it.
//!
//! systemd creates a scope together with its first process. So that process starts outside and waits until systemd has
//! moved it. Then the runtime writes all values to the kernel's files: the exact ones where systemd rounds, and those
//! without a property. On v1 systemd cannot express exceptions from device rules, so a reload of its configuration
//! loses them. On v2 the container's own device program stays attached.

mod answer;
mod bus;
mod client;
mod connect;
mod connection;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod gvariant;
mod marshal;
mod message;
mod naming;
mod properties;
mod scope;

pub use gvariant::GVariant;
pub use naming::{Asked, Manager};
pub(super) use properties::{devices, limits};
pub use scope::{Scope, ScopeProperty, Unit};
