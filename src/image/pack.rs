//! From the layers of a container to an image.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use flate2::GzBuilder;
use nix::sys::stat::{FileStat, fstat};
use serde_json::{Value, json};

use super::config_of::config_of;
use super::destination::PackTarget;
use super::digest::{Algorithm, Digest, Hasher};
use super::layout::ImageLayout;
use super::name::ImageName;
use super::platform::Platform;
use super::shift::Shift;
use super::source::{Compression, Image, ImageSource};
use super::stack::{Stack, directory};
use super::write::{Written, write};
use crate::spec::annotation::IMAGE;
use crate::state::{Precision, rfc3339};
use crate::sys::Call;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The level of gzip. The digest of a layer depends on it.
const LEVEL: u32 = 6;
/// The words of the history.
const CREATED_BY: &str = "tare pack";
/// The last second of the year 9999, the last one with a timestamp.
const LAST_SECOND: u64 = 253_402_300_799;

/// An image that was written.
pub struct Packed {
    /// The digest of its manifest.
    pub manifest: Digest,
    pub warnings: Vec<String>,
}

/// An image while it is made.
struct ImageDraft {
    config: Value,
    layers: Vec<Value>,
}

/// Writes the layers of a container as an image with the writable layer on top. `epoch` is `SOURCE_DATE_EPOCH`, the time
/// of creation; without it, that is the newest time of the writable layer's files. Without changes the new layer is empty.
///
/// # Errors
/// A file that a layer cannot have; the error of reading or writing. The layout may have new blobs then, but no new image.
pub fn pack(stack: &Stack, shift: &Shift, destination: &PackTarget, epoch: Option<&str>) -> Result<Packed> {
    let epoch = epoch.map(|text| text.parse::<u64>().with_context(|| format!("SOURCE_DATE_EPOCH: {text:?}")));
    let epoch = epoch.transpose()?;
    let (upper, below) = (stack.upper()?, stack.below()?);
    let layout = ImageLayout::open(&destination.path)?;
    let mut warnings = Vec::new();
    let mut draft = match source(stack, &mut warnings)? {
        Some((source, image)) => of_image(&source, &image, &layout)?,
        None => of_directories(stack, shift, &layout, epoch)?,
    };
    let root = below.lookup(b"")?.map(|root| root.stat);
    let own = fstat(&upper).named("fstat")?;
    let with_root = root.is_none_or(|root| facts(&root, shift) != facts(&own, shift));
    let (layer, diff_id, written) = layer(&layout, upper.as_fd(), with_root, shift)?;
    let created = match (epoch, written.members) {
        (None, 0) => draft.config["created"].as_str().map_or_else(|| time(0), str::to_owned),
        (None, _) => time(u64::try_from(written.newest).unwrap_or_default()),
        (Some(epoch), _) => time(epoch),
    };
    draft.add(layer, &diff_id, &created)?;
    draft.config["created"] = Value::String(created);
    let config = layout.document(CONFIG, &draft.config)?;
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": draft.layers });
    let mut manifest = layout.document(MANIFEST, &manifest)?;
    let digest = Digest::parse(manifest["digest"].as_str().unwrap_or_default())?;
    manifest["platform"] = json!({ "architecture": draft.config["architecture"], "os": draft.config["os"] });
    if let Some(variant) = draft.config.get("variant") {
        manifest["platform"]["variant"] = variant.clone();
    }
    layout.tag(manifest, &destination.tag)?;
    Ok(Packed { manifest: digest, warnings })
}

impl ImageDraft {
    /// Adds a layer and its line of the history.
    fn add(&mut self, layer: Value, diff_id: &Digest, created: &str) -> Result<()> {
        let Some(ids) = self.config["rootfs"]["diff_ids"].as_array_mut() else {
            bail!("the config of the image has no rootfs.diff_ids");
        };
        ids.push(Value::String(diff_id.to_string()));
        let before = ids.len() - 1;
        if self.config["history"].is_null() {
            self.config["history"] = json!([]);
        }
        let Some(history) = self.config["history"].as_array_mut() else {
            bail!("the history in the config of the image is not a list");
        };
        // Readers match the lines with the layers, and some images have no lines.
        let lines = history.iter().filter(|line| line["empty_layer"] != true).count();
        history.extend((lines..before).map(|_| json!({ "created": created })));
        history.push(json!({ "created": created, "created_by": CREATED_BY }));
        self.layers.push(layer);
        Ok(())
    }
}

/// The image that the layers come from, if it is still there.
fn source(stack: &Stack, warnings: &mut Vec<String>) -> Result<Option<(ImageSource, Image)>> {
    let Some(name) = stack.config.annotation(IMAGE) else { return Ok(None) };
    let opened = ImageName::parse(name).and_then(|name| ImageSource::open(&name));
    let found = opened.and_then(|source| source.image(&Platform::host()).map(|image| (source, image)));
    match found {
        Ok((source, image)) if image.layers.len() == stack.layers.len() => Ok(Some((source, image))),
        Ok((_, image)) => {
            let (own, others) = (stack.layers.len(), image.layers.len());
            warnings.push(format!(
                "annotations.{IMAGE}: the image has {others} layers and the bundle {own}: all layers are written anew"
            ));
            Ok(None)
        }
        Err(error) => {
            warnings.push(format!("annotations.{IMAGE}: {error:#}: all layers are written anew"));
            Ok(None)
        }
    }
}

/// The layers of the image are taken as they are.
fn of_image(source: &ImageSource, image: &Image, layout: &ImageLayout) -> Result<ImageDraft> {
    let mut layers = Vec::new();
    for layer in &image.layers {
        let (digest, size) = match &layer.digest {
            Some(digest) if layout.has(digest, layer.size) => (digest.clone(), layer.size),
            Some(digest) => copy(&mut source.blob(layer), digest, layout)?,
            // An archive of docker names the layer without compression only.
            None => copy(&mut source.layer(layer)?, &layer.diff_id, layout)?,
        };
        let media_type = media_type(layout, &digest)?;
        layers.push(json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size }));
    }
    Ok(ImageDraft { config: serde_json::from_slice(&image.config_bytes)?, layers })
}

/// Copies a blob, and verifies its digest.
fn copy(from: &mut dyn Read, digest: &Digest, layout: &ImageLayout) -> Result<(Digest, u64)> {
    let mut blob = layout.blob(digest.algorithm())?;
    io::copy(from, &mut blob).named(format_args!("blob {digest}"))?;
    blob.finish(Some(digest))
}

/// The media type of a layer, by its first bytes.
fn media_type(layout: &ImageLayout, digest: &Digest) -> Result<String> {
    let path = layout.blob_path(digest);
    let mut start = Vec::new();
    let file = std::fs::File::open(&path).named(path.display())?;
    file.take(8).read_to_end(&mut start).named(path.display())?;
    Ok(match Compression::of(&start).named(path.display())? {
        Compression::Gzip => format!("{LAYER}+gzip"),
        Compression::Zstd => format!("{LAYER}+zstd"),
        Compression::Plain => LAYER.to_owned(),
    })
}

/// The directories of the layers are written as layers of a new image.
fn of_directories(stack: &Stack, shift: &Shift, layout: &ImageLayout, epoch: Option<u64>) -> Result<ImageDraft> {
    let mut draft = ImageDraft { config: config_of(&stack.config)?, layers: Vec::new() };
    for path in &stack.layers {
        let (layer, diff_id, written) = layer(layout, directory(path)?.as_fd(), true, shift)?;
        let created = time(epoch.unwrap_or(u64::try_from(written.newest).unwrap_or_default()));
        draft.add(layer, &diff_id, &created)?;
    }
    Ok(draft)
}

/// Writes a directory as a layer. Returns its descriptor, its digest without compression, and facts about it.
fn layer(
    layout: &ImageLayout,
    root: BorrowedFd<'_>,
    with_root: bool,
    shift: &Shift,
) -> Result<(Value, Digest, Written)> {
    let blob = layout.blob(Algorithm::Sha256)?;
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(blob, flate2::Compression::new(LEVEL));
    let mut tar = Hashed { inner: gzip, hasher: Hasher::new(Algorithm::Sha256) };
    let written = write(root, with_root, shift, &mut tar)?;
    let (digest, size) = tar.inner.finish().named("write a layer")?.finish(None)?;
    let descriptor = json!({ "mediaType": format!("{LAYER}+gzip"), "digest": digest.to_string(), "size": size });
    Ok((descriptor, tar.hasher.finish(), written))
}

/// A writer that computes the digest of the bytes that pass.
struct Hashed<W> {
    inner: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The properties of a root directory that an image keeps.
fn facts(stat: &FileStat, shift: &Shift) -> (u32, u32, u32) {
    (stat.st_mode, shift.uid(stat.st_uid), shift.gid(stat.st_gid))
}

fn time(seconds: u64) -> String {
    rfc3339(Duration::from_secs(seconds.min(LAST_SECOND)), Precision::Seconds)
}
