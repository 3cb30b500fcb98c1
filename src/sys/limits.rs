//! Room for the runtime's own work, where its caller has little of it. What it starts has the caller's limits again.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// A soft limit of the caller that is too low to work with: resource, soft and hard limit.
pub type Low = (Resource, u64, u64);

static LOW: OnceLock<Vec<Low>> = OnceLock::new();

/// What is needed of each: descriptors, and bytes of a file.
const NEEDED: [(Resource, u64); 2] = [(Resource::RLIMIT_NOFILE, 1024), (Resource::RLIMIT_FSIZE, 64 << 20)];

/// Raise soft limits that are too low as far as the hard ones go, which everybody may.
pub fn make_room() {
    let low = |(resource, needed): (Resource, u64)| {
        let (soft, hard) = getrlimit(resource).ok()?;
        let room = hard.min(needed);
        // Where it cannot be raised, what does not fit fails by itself.
        (soft < room && setrlimit(resource, room, hard).is_ok()).then_some((resource, soft, hard))
    };
    LOW.get_or_init(|| NEEDED.into_iter().filter_map(low).collect());
}

/// The limits of the caller that were raised here.
pub fn raised() -> &'static [Low] {
    LOW.get().map_or(&[], Vec::as_slice)
}

/// Give this process the caller's limits again; for the time between fork(2) and execve(2).
///
/// # Errors
/// What `setrlimit(2)` answers.
pub fn restore() -> nix::Result<()> {
    raised().iter().try_for_each(|(resource, soft, hard)| setrlimit(*resource, *soft, *hard))
}
