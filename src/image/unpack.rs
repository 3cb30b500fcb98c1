//! From an image to layers in the store.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use anyhow::{Context, Result};
use nix::sys::stat::{Mode, umask};

use super::digest::Digest;
use super::layer::{self, Budget, ImageLimits, MappedIds, Notes};
use super::progress::Progress;
use super::read_ahead::ReadAhead;
use super::source::{Image, ImageSource, LayerBlob};
use super::store::{Family, LayerFacts, Store};
use crate::sys::Call;

/// An unpacked image.
#[derive(Debug)]
pub struct Unpacked {
    /// The directories of the layers, the base first.
    pub layers: Vec<PathBuf>,
    /// The members that could not be unpacked as they are.
    pub notes: Notes,
}

/// Unpacks the layers that are not in the store.
///
/// # Errors
/// A layer that cannot be read or unpacked. The layers before it stay in the store.
pub fn unpack(
    store: &Store,
    source: &ImageSource,
    image: &Image,
    limits: ImageLimits,
    progress: &Progress,
) -> Result<Unpacked> {
    let ids = MappedIds::here()?;
    let family = if ids.is_single() { Family::Squashed } else { Family::Layers };
    let mut budget = Budget::new(limits);
    let mut unpacked = Unpacked { layers: Vec::new(), notes: Notes::default() };
    let mut chain: Option<Digest> = None;
    // The modes of files are the image's.
    let mask = umask(Mode::empty());
    let all = (|| {
        for blob in &image.layers {
            let id = chain_id(chain.as_ref(), &blob.diff_id);
            let mut new = false;
            let path = store.layer_or(family, &id, |root| {
                new = true;
                let below = open_all(&unpacked.layers)?;
                let before = budget.left_bytes();
                let notes = one(source, blob, root, &below, &ids, &mut budget, progress)
                    .with_context(|| format!("layer {}", blob.diff_id))?;
                unpacked.notes.join(notes);
                Ok(LayerFacts { diff_id: blob.diff_id.to_string(), size: before - budget.left_bytes() })
            })?;
            if !new {
                progress.skip(blob);
            }
            unpacked.layers.push(path);
            chain = Some(id);
        }
        Ok(())
    })();
    umask(mask);
    all.map(|()| unpacked)
}

fn one(
    source: &ImageSource,
    blob: &LayerBlob,
    root: OwnedFd,
    below: &[OwnedFd],
    ids: &MappedIds,
    budget: &mut Budget,
    progress: &Progress,
) -> Result<Notes> {
    let stream = source.layer_through(blob, |blob| progress.watch(blob))?;
    let stream = ReadAhead::new(stream).named("a thread")?;
    layer::unpack(stream, root, below, ids, budget)
}

/// Opens the directories of layers.
///
/// # Errors
/// The error of open(2).
pub fn open_all(layers: &[PathBuf]) -> Result<Vec<OwnedFd>> {
    layers.iter().map(|path| Ok(File::open(path).named(format_args!("open {}", path.display()))?.into())).collect()
}

/// The identity of a layer on top of those below it (image specification, config.md, "Layer ChainID").
fn chain_id(below: Option<&Digest>, diff_id: &Digest) -> Digest {
    match below {
        None => diff_id.clone(),
        Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
    }
}
