//! The tar file of `docker save`, whose list of images is `manifest.json`.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::choice::{is_name, list};
use super::chosen::{Image, LayerBlob, check_platform, diff_ids};
use super::document;
use super::storage::{MAX_CONFIG, MAX_MANIFEST, Storage, verified};
use crate::image::digest::Digest;
use crate::image::name::Reference;
use crate::image::platform::Platform;

const LIST: &str = "manifest.json";

/// An image in the list. oci-spec has no type for it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedImage {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// Chooses an image of the list.
///
/// # Errors
/// There is no such image, or several; a document is wrong; a layer is missing.
pub fn choose(storage: &Storage, reference: &Reference, platform: &Platform) -> Result<Image> {
    let Some(bytes) = storage.document(LIST, MAX_MANIFEST)? else { bail!("{LIST}: missing") };
    let images: Vec<ListedImage> = serde_json::from_slice(&bytes).context(LIST)?;
    let listed = by_reference(storage, &images, reference)?;
    let (digest, config_bytes) = config(storage, &listed.config)?;
    let config = document::config(&config_bytes, &listed.config)?;
    check_platform(&config, platform, &digest)?;
    let paths = listed.layers.as_deref().unwrap_or_default();
    let mut layers = Vec::new();
    for (path, diff_id) in paths.iter().zip(diff_ids(&config, paths.len(), &digest)?) {
        let Some(blob) = storage.file(path)? else { bail!("layer {path:?}: not in the image") };
        layers.push(LayerBlob { digest: named_digest(path), size: blob.size(), diff_id, blob });
    }
    Ok(Image { digest, config, config_bytes, layers })
}

fn by_reference<'a>(storage: &Storage, images: &'a [ListedImage], reference: &Reference) -> Result<&'a ListedImage> {
    let tags = |listed: &ListedImage| listed.repo_tags.clone().unwrap_or_default();
    let names = || images.iter().flat_map(tags).collect::<BTreeSet<String>>();
    let chosen: Vec<&ListedImage> = match reference {
        Reference::Only => images.iter().collect(),
        Reference::Tag(tag) => {
            let named = |wanted: &dyn Fn(&str) -> bool| -> Vec<&ListedImage> {
                images.iter().filter(|image| tags(image).iter().any(|name| wanted(name))).collect()
            };
            let full = named(&|name| is_name(name, tag));
            if full.is_empty() { named(&|name| name.rsplit_once(':').is_some_and(|(_, own)| own == tag)) } else { full }
        }
        Reference::Digest(digest) => {
            let mut found = Vec::new();
            for image in images {
                if config(storage, &image.config)?.0 == *digest {
                    found.push(image);
                }
            }
            found
        }
    };
    match (&chosen[..], reference) {
        ([image], _) => Ok(image),
        ([], Reference::Only) => bail!("{LIST}: it has no image"),
        ([], Reference::Tag(tag)) => bail!("there is no tag {tag:?}: {}", list(&names())),
        ([], Reference::Digest(digest)) => bail!("there is no image {digest}"),
        _ => bail!("there are several images, and one has to be chosen by its name: {}", list(&names())),
    }
}

/// The config and its digest. The path has the digest, and a wrong one is refused.
fn config(storage: &Storage, path: &str) -> Result<(Digest, Vec<u8>)> {
    let Some(blob) = storage.file(path)? else { bail!("config {path:?}: not in the image") };
    let hex = path.strip_suffix(".json").unwrap_or(path);
    match named_digest(path).or_else(|| Digest::parse(&format!("sha256:{hex}")).ok()) {
        Some(digest) => Ok((digest.clone(), verified(blob, &digest, None, MAX_CONFIG)?)),
        None => bail!("config {path:?}: its name is not a digest"),
    }
}

/// The digest in a path of an image layout, as new versions of docker write it.
fn named_digest(path: &str) -> Option<Digest> {
    let (name, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
    Digest::parse(&format!("{name}:{hex}")).ok()
}
