//! The names of the files in a container's directory, and messages that more than one of them needs.

/// The format of `state.json` that this program writes; 0 is that of the versions that did not number it.
pub(super) const FORMAT: u32 = 1;

pub(super) const RECORD: &str = "state.json";
pub(super) const NEW_RECORD: &str = ".state.json";
/// Where the socket for the service manager is.
pub(super) const NOTIFY: &str = "notify";
/// Where `restore` mounts the root.
pub(super) const CRIU_ROOT: &str = "criu-root";

pub(super) const TAKEN: &str = "container with given ID already exists";
pub(super) const REMOVED: &str = "the container was removed while it was created";

/// The fifo's name in the container's directory; the name is runc's.
pub(super) const FIFO: &str = "exec.fifo";

/// Engines tell by these words that there is nothing to be done.
pub const MISSING: &str = "container does not exist";
