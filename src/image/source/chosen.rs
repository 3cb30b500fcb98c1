//! The image that was chosen.

use anyhow::{Result, bail};
use oci_spec::image::ImageConfiguration;

use super::blob::Blob;
use crate::image::digest::Digest;
use crate::image::platform::Platform;

/// The maximum number of layers. overlayfs has a limit of 500.
const MAX_LAYERS: usize = 500;

/// The chosen image.
#[derive(Debug)]
pub struct Image {
    /// The digest of the manifest; of the config, if the image has no manifest.
    pub digest: Digest,
    /// The config.
    pub config: ImageConfiguration,
    /// The config as it was read.
    pub config_bytes: Vec<u8>,
    /// The layers, the base first.
    pub layers: Vec<LayerBlob>,
}

/// A layer of an image.
#[derive(Clone, Debug)]
pub struct LayerBlob {
    /// The digest of the blob. Old archives of docker do not name it.
    pub digest: Option<Digest>,
    /// The size of the blob.
    pub size: u64,
    /// The digest of the layer without compression.
    pub diff_id: Digest,
    pub(super) blob: Blob,
}

/// The digests of the layers without compression.
///
/// # Errors
/// Another number of digests than of layers; a wrong digest; too many layers.
pub fn diff_ids(config: &ImageConfiguration, layers: usize, digest: &Digest) -> Result<Vec<Digest>> {
    let ids = config.rootfs().diff_ids();
    if ids.len() != layers {
        bail!("image {digest}: it has {layers} layers, and its config has {} diff_ids", ids.len());
    }
    if layers > MAX_LAYERS {
        bail!("image {digest}: it has {layers} layers, more than {MAX_LAYERS}");
    }
    ids.iter().map(|id| Digest::parse(id)).collect()
}

/// The platform that a config names.
pub fn platform(config: &ImageConfiguration) -> Platform {
    let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
    Platform::new(&os, &architecture, config.variant().as_deref())
}

/// Refuses a config for another platform.
///
/// # Errors
/// It is for another platform.
pub fn check_platform(config: &ImageConfiguration, wanted: &Platform, digest: &Digest) -> Result<()> {
    let own = platform(config);
    if wanted.distance(&own).is_none() {
        bail!("no image is for {wanted}: the only one, {digest}, is for {own}");
    }
    Ok(())
}
