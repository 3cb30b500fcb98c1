//! The state of a container between two commands: a directory with `state.json`.
//!
//! Several commands may work on one container at the same time. They may rely on these rules:
//!
//! - The *directory's lock* (flock(2)) is held by `create` until the container exists, and by a command that removes
//!   the directory. A command removes the directory only with this lock, and only after it has checked, with the lock
//!   held, that the name still leads to the directory. So the name cannot move to another container in the meantime.
//! - The *record's lock* is held by a command that changes or removes an existing container: `update`, `delete`, the
//!   end of `run` and of `checkpoint`. It is taken before the directory's lock. Exactly one of several such commands
//!   removes the container.
//! - The *gate's lock* is held by the one `start` that may let the user's program run, or by a `delete` that prevents a
//!   start.
//! - A command that only reads, or sends a signal, takes no lock: a hanging hook does not prevent a user from ending
//!   the container.
//!
//! The kernel releases all locks when their holder exits. Files are opened relative to the open directory, never by its
//! name.

mod directory;
mod gate;
mod glance;
mod life;
mod names;
mod observe;
mod origin;
mod record;
mod root;
mod status;
mod text;
mod time;

pub use directory::{Directory, Locked};
pub use gate::Gate;
pub use glance::{Listing, Scratch};
pub use names::MISSING;
pub use record::{Added, Layered, Namespaces, Printed, Record};
pub use root::{Place, Root};
pub use status::{NotRunning, Status};
#[cfg(any(test, fuzzing))]
pub use text::{read, write};
pub use time::{Precision, rfc3339};
