//! The systemd driver: the container's cgroup is a scope of the service manager, which makes it, keeps its limits over
//! a reload, and takes it away.
//!
//! A scope comes into being with its first process, so that one is born outside and waits until it has been moved.
//! What systemd has no property for is written to the kernel's files afterwards, with everything else: where it
//! rounds, the exact value counts. On v1 it has no words for exceptions from device rules either, so a reload of its
//! configuration forgets them; on v2 the container's own device program stays.

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

pub use gvariant::Value;
pub use naming::{Asked, Manager};
pub(super) use properties::{devices, limits};
pub use scope::{Property, Scope, Unit};
