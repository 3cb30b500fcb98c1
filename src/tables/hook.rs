//! The lists of `hooks`.

/// The deprecated form of [`CREATE_RUNTIME`].
pub const PRESTART: &str = "prestart";
/// Hooks that run during create, in the runtime's namespaces.
pub const CREATE_RUNTIME: &str = "createRuntime";
/// Hooks that run during create, in the container's namespaces, before the root is exchanged.
pub const CREATE_CONTAINER: &str = "createContainer";
/// Hooks that run during start, in the container.
pub const START_CONTAINER: &str = "startContainer";
/// Hooks that run after the user's program has started.
pub const POSTSTART: &str = "poststart";
/// Hooks that run after the container was deleted.
pub const POSTSTOP: &str = "poststop";

/// All lists, in the order in which they run.
pub const HOOKS: [&str; 6] = [PRESTART, CREATE_RUNTIME, CREATE_CONTAINER, START_CONTAINER, POSTSTART, POSTSTOP];
