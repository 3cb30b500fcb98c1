//! An image that is read.

use std::collections::BTreeSet;
use std::io::{self, Read};

use anyhow::{Context, Result, bail};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};

use self::blob::Blob;
use self::document::Document;
use self::storage::{MAX_CONFIG, MAX_MANIFEST, Storage, verified};
use super::digest::Digest;
use super::name::{ImageName, Reference};
use super::platform::Platform;

mod blob;
mod choice;
mod decoder;
mod document;
mod storage;
#[cfg(test)]
mod tests;

/// The maximum depth of indexes in indexes.
const MAX_DEPTH: usize = 4;
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
    blob: Blob,
}

/// A file or directory with images.
#[derive(Debug)]
pub struct ImageSource {
    name: ImageName,
    storage: Storage,
}

impl ImageSource {
    /// Opens the file or directory.
    ///
    /// # Errors
    /// It has no image of a known kind.
    pub fn open(name: &ImageName) -> Result<ImageSource> {
        let path = name.path.display();
        let storage = Storage::Directory(name.path.clone());
        let Some(_) = storage.document("oci-layout", MAX_MANIFEST)? else { bail!("{path}: no file oci-layout") };
        Ok(ImageSource { name: name.clone(), storage })
    }

    /// Chooses an image by the name's tag or digest, and by the platform.
    ///
    /// # Errors
    /// There is no such image, or several; a document is wrong.
    pub fn image(&self, platform: &Platform) -> Result<Image> {
        self.choose(platform).with_context(|| self.name.path.display().to_string())
    }

    /// The content of a layer, a tar stream. At its end the reader verifies the digests and the size.
    ///
    /// # Errors
    /// An unknown compression; the error of reading.
    pub fn layer(&self, layer: &LayerBlob) -> io::Result<Box<dyn Read + Send>> {
        decoder::layer(layer.blob.clone(), layer.digest.as_ref(), layer.size, &layer.diff_id)
    }

    fn choose(&self, platform: &Platform) -> Result<Image> {
        let Some(bytes) = self.storage.document("index.json", MAX_MANIFEST)? else { bail!("index.json: missing") };
        let Document::Index(index) = Document::parse(&bytes, "index.json")? else {
            bail!("index.json: it is not an index");
        };
        let reference = &self.name.reference;
        let mut found = choice::by_reference(&index, reference)?;
        let inner;
        if let Reference::Digest(digest) = reference
            && found.is_empty()
        {
            // The digest may be in an index that this index refers to, or be of a manifest that no index names.
            inner = self.by_digest(digest)?;
            found = vec![&inner];
        }
        if found.is_empty() {
            bail!("index.json: it has no image");
        }
        self.resolve(&found, platform, 1)
    }

    /// A descriptor of a blob that no index has to name.
    fn by_digest(&self, digest: &Digest) -> Result<Descriptor> {
        let Some(blob) = self.blob(digest)? else { bail!("there is no image {digest}") };
        let size = blob.size();
        let kind = match Document::parse(&verified(blob, digest, None, MAX_MANIFEST)?, &digest.to_string())? {
            Document::Index(_) => oci_spec::image::MediaType::ImageIndex,
            Document::Manifest(_) => oci_spec::image::MediaType::ImageManifest,
        };
        let name: oci_spec::image::Digest = digest.to_string().parse()?;
        Ok(Descriptor::new(kind, size, name))
    }

    /// The image of the best descriptor.
    fn resolve(&self, descriptors: &[&Descriptor], platform: &Platform, depth: usize) -> Result<Image> {
        if depth > MAX_DEPTH {
            bail!("indexes are nested more than {MAX_DEPTH} deep");
        }
        let fitting = choice::by_platform(descriptors, platform)?;
        let mut others = BTreeSet::new();
        for descriptor in &fitting {
            let digest = document::digest(descriptor)?;
            let bytes = self.read(&digest, descriptor.size(), MAX_MANIFEST)?;
            let named = choice::platform(descriptor).is_some();
            match Document::parse(&bytes, &digest.to_string())? {
                Document::Index(index) => {
                    let inner: Vec<&Descriptor> = choice::images(&index).collect();
                    return self.resolve(&inner, platform, depth + 1);
                }
                Document::Manifest(manifest) => {
                    let (config, config_bytes) = self.config(&manifest, &digest)?;
                    let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
                    let own = Platform::new(&os, &architecture, config.variant().as_deref());
                    if !named && platform.distance(&own).is_none() {
                        others.insert(own.to_string());
                        continue;
                    }
                    if named && !matches!(config.os().to_string().as_str(), "linux" | "") {
                        bail!("image {digest}: its config says that it is for {own}, not for {platform}");
                    }
                    return self.manifest(&manifest, digest, config, config_bytes);
                }
            }
        }
        let others: Vec<String> = others.into_iter().collect();
        bail!("no image is for {platform}: the platforms are {}", others.join(", "))
    }

    fn config(&self, manifest: &ImageManifest, digest: &Digest) -> Result<(ImageConfiguration, Vec<u8>)> {
        let descriptor = manifest.config();
        document::check_config_type(descriptor, &digest.to_string())?;
        let digest = document::digest(descriptor)?;
        let bytes = self.read(&digest, descriptor.size(), MAX_CONFIG)?;
        Ok((document::config(&bytes, &format!("config {digest}"))?, bytes))
    }

    fn manifest(
        &self,
        manifest: &ImageManifest,
        digest: Digest,
        config: ImageConfiguration,
        config_bytes: Vec<u8>,
    ) -> Result<Image> {
        let ids = diff_ids(&config, manifest.layers().len(), &digest)?;
        let mut layers = Vec::new();
        for (descriptor, diff_id) in manifest.layers().iter().zip(ids) {
            document::check_layer_type(descriptor)?;
            let digest = document::digest(descriptor)?;
            let size = descriptor.size();
            let Some(blob) = self.blob(&digest)? else {
                match document::is_foreign(descriptor) {
                    true => bail!("layer {digest}: not in the image, because only its author may distribute it"),
                    false => bail!("layer {digest}: not in the image"),
                }
            };
            if blob.size() != size {
                bail!("layer {digest}: its size is {}, not {size}", blob.size());
            }
            layers.push(LayerBlob { digest: Some(digest), size, diff_id, blob });
        }
        Ok(Image { digest, config, config_bytes, layers })
    }

    fn read(&self, digest: &Digest, size: u64, limit: u64) -> Result<Vec<u8>> {
        let Some(blob) = self.blob(digest)? else { bail!("blob {digest}: not in the image") };
        verified(blob, digest, Some(size), limit)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Blob>> {
        self.storage.file(&format!("blobs/{}/{}", digest.algorithm().name(), digest.hex()))
    }
}

/// The digests of the layers without compression.
fn diff_ids(config: &ImageConfiguration, layers: usize, digest: &Digest) -> Result<Vec<Digest>> {
    let ids = config.rootfs().diff_ids();
    if ids.len() != layers {
        bail!("image {digest}: it has {layers} layers, and its config has {} diff_ids", ids.len());
    }
    if layers > MAX_LAYERS {
        bail!("image {digest}: it has {layers} layers, more than {MAX_LAYERS}");
    }
    ids.iter().map(|id| Digest::parse(id)).collect()
}
