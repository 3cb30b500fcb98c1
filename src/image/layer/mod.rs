//! The content of a layer: from a tar stream to a directory in the form of overlayfs.

mod apply;
mod archive;
mod attributes;
mod limits;
mod member;
mod names;
mod notes;
mod owners;
mod pax;
mod sparse;
mod target;

use std::io::BufRead;
use std::os::fd::OwnedFd;

use anyhow::Result;

pub use limits::{Budget, ImageLimits};
pub use names::WHITEOUT;
pub use notes::Notes;
pub use owners::MappedIds;
pub use pax::{Records, number};

use archive::Archive;
use target::LayerTarget;

/// Unpacks a layer from a tar stream to an empty directory, on top of the layers below it, of which the base is the
/// first. Reads the stream to its end, so that a stream that checks digests finds a wrong one.
///
/// The umask of this process must be 0.
///
/// # Errors
/// A member that cannot be unpacked, with its name; a limit; an error of the stream.
pub fn unpack<R: BufRead>(
    stream: R,
    root: OwnedFd,
    below: &[OwnedFd],
    ids: &MappedIds,
    budget: &mut Budget,
) -> Result<Notes> {
    let mut target = LayerTarget::new(root, below, ids.clone())?;
    let mut archive = Archive::new(stream);
    apply::apply_all(&mut archive, &mut target, budget)?;
    archive.finish()?;
    target.finish()
}

#[cfg(test)]
mod tests;
