//! The lists of `hooks`.

/// Deprecated form of [`CREATE_RUNTIME`].
pub const PRESTART: &str = "prestart";
/// During create, in the runtime's namespaces.
pub const CREATE_RUNTIME: &str = "createRuntime";
/// During create, in the container's namespaces, before the root is exchanged.
pub const CREATE_CONTAINER: &str = "createContainer";
/// During start, in the container.
pub const START_CONTAINER: &str = "startContainer";
/// After the process has started.
pub const POSTSTART: &str = "poststart";
/// After the container was deleted.
pub const POSTSTOP: &str = "poststop";

/// All lists, in the order in which they run.
pub const HOOKS: [&str; 6] = [PRESTART, CREATE_RUNTIME, CREATE_CONTAINER, START_CONTAINER, POSTSTART, POSTSTOP];
