//! What is kept of a container between two commands: a directory with `state.json`.
//!
//! Several commands may be at one container at once. What each of them may rely on:
//!
//! - The *directory's lock* (flock(2)) is held by `create` until the container is there, and by whoever removes the
//!   directory. Nobody removes it without that lock and without having seen, with the lock held, that the name still
//!   leads to it; so the name cannot become another container's meanwhile.
//! - The *record's lock* is held by whoever changes or removes a container that is there: `update`, `delete`, the end of
//!   `run` and of `checkpoint`. It is taken before the directory's. Exactly one of them removes it.
//! - The *gate's lock* is held by the one `start` that may let the program run, and by a `delete` that wants none.
//! - Whoever only looks or sends signals takes no lock: a hook that hangs keeps nobody from ending the container.
//!
//! All locks go with their holder. Files are reached through the open directory, never by its name.

mod directory;
mod gate;
mod life;
mod names;
mod observe;
mod origin;
mod record;
mod root;
mod status;
mod time;

pub use directory::{Directory, Locked};
pub use gate::Gate;
pub use names::MISSING;
pub use record::{Added, Namespaces, Record};
pub use root::{Place, Root};
pub use status::{NotRunning, Status};
pub use time::{Precision, now, rfc3339};
