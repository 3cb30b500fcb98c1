//! The names of the files in a container's directory, and messages that several files use.

/// The format of `state.json` that this version writes. A record without a number has format 0.
pub(super) const FORMAT: u32 = 1;

pub(super) const RECORD: &str = "state.json";
pub(super) const NEW_RECORD: &str = ".state.json";
/// The directory of the socket for the service manager.
pub(super) const NOTIFY: &str = "notify";
/// The mount point of the root for `restore`.
pub(super) const CRIU_ROOT: &str = "criu-root";

pub(super) const TAKEN: &str = "container with given ID already exists";
pub(super) const REMOVED: &str = "the container was removed while it was created";

/// The name of the gate's fifo; runc uses the same name.
pub(super) const FIFO: &str = "exec.fifo";

/// Engines match on this message.
pub const MISSING: &str = "container does not exist";
