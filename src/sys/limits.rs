//! The runtime's own limits: low ones are raised for its work. Child programs get the caller's limits back.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A soft limit of the caller that is too low to work with: resource, soft and hard limit.
pub type Low = (Resource, u64, u64);

static LOW: OnceLock<Vec<Low>> = OnceLock::new();

/// The minimum for the runtime: number of descriptors, and size of a file in bytes.
const NEEDED: [(Resource, u64); 2] = [(Resource::RLIMIT_NOFILE, 1024), (Resource::RLIMIT_FSIZE, 64 << 20)];

/// Raises low soft limits, up to their hard limits. This needs no privilege.
pub fn make_room() {
    let low = |(resource, needed): (Resource, u64)| {
        let (soft, hard) = getrlimit(resource).ok()?;
        let room = hard.min(needed);
        // If a limit cannot be raised, the call that needs more fails with an error of its own.
        (soft < room && setrlimit(resource, room, hard).is_ok()).then_some((resource, soft, hard))
    };
    LOW.get_or_init(|| NEEDED.into_iter().filter_map(low).collect());
}

/// Does work that may need as many descriptors as an image has layers, several times over: raises the soft limit to the
/// hard one meanwhile.
#[cfg(feature = "image")]
pub fn with_descriptors<T>(work: impl FnOnce() -> T) -> T {
    let old = getrlimit(Resource::RLIMIT_NOFILE);
    if let Ok((_, hard)) = old {
        // If it stays low, the call that needs more fails with an error of its own.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let result = work();
    if let Ok((soft, hard)) = old {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
    result
}

/// The caller's limits that [`make_room`] has raised, with their old values.
pub fn raised() -> &'static [Low] {
    LOW.get().map_or(&[], Vec::as_slice)
}

/// Restores the caller's limits. Called between fork(2) and execve(2).
///
/// # Errors
/// The error of `setrlimit(2)`.
pub fn restore() -> nix::Result<()> {
    raised().iter().try_for_each(|(resource, soft, hard)| setrlimit(*resource, *soft, *hard))
}
