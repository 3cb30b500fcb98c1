//! The choice of an image by indexes and manifests.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest};

use super::choice;
use super::chosen::{Image, LayerBlob, check_platform, diff_ids, platform};
use super::document::{self, Document};
use super::storage::{MAX_CONFIG, MAX_MANIFEST, Storage, verified};
use crate::image::digest::Digest;
use crate::image::name::Reference;
use crate::image::platform::Platform;

/// The maximum depth of indexes in indexes.
const MAX_DEPTH: usize = 4;
/// The maximum number of manifests that are read to find one for the platform. An index should name the platforms.
const MAX_LOOKS: usize = 64;

/// Chooses images of a storage.
pub struct Chooser<'a> {
    /// The files.
    pub storage: &'a Storage,
    /// The wanted platform.
    pub platform: &'a Platform,
}

impl Chooser<'_> {
    /// Chooses an image by the document `name`, an index or a manifest.
    ///
    /// # Errors
    /// There is no such image, or several; a document is wrong.
    pub fn choose(&self, name: &str, reference: &Reference) -> Result<Image> {
        let Some(bytes) = self.storage.document(name, MAX_MANIFEST)? else { bail!("{name}: missing") };
        let index = match Document::parse(&bytes, name)? {
            Document::Index(index) => index,
            Document::Manifest(manifest) => return self.only(&manifest, &bytes, reference),
        };
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
            bail!("{name}: it has no image");
        }
        self.resolve(&found, 1)
    }

    /// The image of the only manifest.
    fn only(&self, manifest: &ImageManifest, bytes: &[u8], reference: &Reference) -> Result<Image> {
        let digest = Digest::of(bytes);
        match reference {
            Reference::Tag(tag) => bail!("there is no tag {tag:?}: no image has a tag"),
            // A digest may be of the other algorithm.
            Reference::Digest(wanted) if *wanted != Digest::with(wanted.algorithm(), bytes) => {
                bail!("there is no image {wanted}: the only one is {digest}")
            }
            _ => {}
        }
        let (config, config_bytes) = self.config(manifest, &digest)?;
        check_platform(&config, self.platform, &digest)?;
        self.manifest(manifest, digest, config, config_bytes)
    }

    /// A descriptor of a blob that no index has to name.
    fn by_digest(&self, digest: &Digest) -> Result<Descriptor> {
        let Some(blob) = self.storage.blob(digest)? else { bail!("there is no image {digest}") };
        let size = blob.size();
        let kind = match Document::parse(&verified(blob, digest, None, MAX_MANIFEST)?, &digest.to_string())? {
            Document::Index(_) => oci_spec::image::MediaType::ImageIndex,
            Document::Manifest(_) => oci_spec::image::MediaType::ImageManifest,
        };
        let name: oci_spec::image::Digest = digest.to_string().parse()?;
        Ok(Descriptor::new(kind, size, name))
    }

    /// The image of the best descriptor.
    fn resolve(&self, descriptors: &[&Descriptor], depth: usize) -> Result<Image> {
        if depth > MAX_DEPTH {
            bail!("indexes are nested more than {MAX_DEPTH} deep");
        }
        let fitting = choice::by_platform(descriptors, self.platform)?;
        let mut others = BTreeSet::new();
        for (looks, descriptor) in fitting.iter().enumerate() {
            if looks == MAX_LOOKS {
                bail!(
                    "none of the first {MAX_LOOKS} images is for {}, and the index names no platforms",
                    self.platform
                );
            }
            let digest = document::digest(descriptor)?;
            let bytes = self.read(&digest, descriptor.size(), MAX_MANIFEST)?;
            let named = choice::platform(descriptor).is_some();
            match Document::parse(&bytes, &digest.to_string())? {
                Document::Index(index) => {
                    let inner: Vec<&Descriptor> = choice::images(&index).collect();
                    return self.resolve(&inner, depth + 1);
                }
                Document::Manifest(manifest) => {
                    let (config, config_bytes) = self.config(&manifest, &digest)?;
                    let own = platform(&config);
                    if !named && self.platform.distance(&own).is_none() {
                        others.insert(own.to_string());
                        continue;
                    }
                    if named && !matches!(config.os().to_string().as_str(), "linux" | "") {
                        bail!("image {digest}: its config says that it is for {own}, not for {}", self.platform);
                    }
                    return self.manifest(&manifest, digest, config, config_bytes);
                }
            }
        }
        let others: Vec<String> = others.into_iter().collect();
        bail!("no image is for {}: the platforms are {}", self.platform, others.join(", "))
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
            let Some(blob) = self.storage.blob(&digest)? else {
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
        let Some(blob) = self.storage.blob(digest)? else { bail!("blob {digest}: not in the image") };
        verified(blob, digest, Some(size), limit)
    }
}
