//! Names of the files in a container's directory, and messages used in several files.

/// The format of `state.json` that this version writes; 0 is that of versions without a number.
pub(super) const FORMAT: u32 = 1;

pub(super) const RECORD: &str = "state.json";
pub(super) const NEW_RECORD: &str = ".state.json";
/// Directory of the socket for the service manager.
pub(super) const NOTIFY: &str = "notify";
/// Mount point of the root for `restore`.
pub(super) const CRIU_ROOT: &str = "criu-root";

pub(super) const TAKEN: &str = "container with given ID already exists";
pub(super) const REMOVED: &str = "the container was removed while it was created";

/// Name of the gate's fifo; runc uses the same.
pub(super) const FIFO: &str = "exec.fifo";

/// Engines match on this message.
pub const MISSING: &str = "container does not exist";
