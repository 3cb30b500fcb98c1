//! The systemd driver: the container's cgroup is a scope. The service manager makes it, keeps its limits over a reload,
//! and removes it.
//!
//! A scope is created with its first process, so that process starts outside and waits until it has been moved. Then
//! the kernel's files get all values: the exact ones where systemd rounds, and those without a property. On v1 systemd
//! has no exceptions from device rules either, so a reload of its configuration loses them. On v2 the container's own
//! device program stays.

#[cfg(feature = "systemd")]
mod answer;
#[cfg(feature = "systemd")]
mod bus;
mod client;
#[cfg(feature = "systemd")]
mod connect;
mod gvariant;
mod naming;
#[cfg(feature = "systemd")]
mod private;
mod properties;
mod scope;
#[cfg(feature = "systemd")]
mod variant;

pub use gvariant::GVariant;
pub use naming::{Asked, Manager};
pub(super) use properties::{devices, limits};
pub use scope::{Scope, ScopeProperty, Unit};
