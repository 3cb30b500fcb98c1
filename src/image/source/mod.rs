//! An image that is read.

use std::fs::File;
use std::io::{self, Read};

use anyhow::{Context, Result, bail};

use self::blob::Blob;
pub use self::chosen::{Image, LayerBlob};
pub use self::decoder::Compression;
use self::manifests::Chooser;
use self::storage::{MAX_MANIFEST, Storage};
use self::tar_index::TarIndex;
use super::name::{ImageKind, ImageName};
use super::platform::Platform;
use crate::sys::Call;

#[cfg(test)]
mod archive_tests;
mod blob;
mod choice;
mod chosen;
mod decoder;
mod docker;
mod document;
mod manifests;
mod storage;
mod tar_index;
#[cfg(test)]
mod tests;
mod whole;

/// A file or directory with images.
#[derive(Debug)]
pub struct ImageSource {
    name: ImageName,
    storage: Storage,
    kind: ImageKind,
}

impl ImageSource {
    /// Opens the file or directory.
    ///
    /// # Errors
    /// It has no image of a known kind, or of another kind than the name demands; the error of a system call.
    pub fn open(name: &ImageName) -> Result<ImageSource> {
        opened(name).with_context(|| name.path.display().to_string())
    }

    /// Chooses an image by the name's tag or digest, and by the platform.
    ///
    /// # Errors
    /// There is no such image, or several; a document is wrong.
    pub fn image(&self, platform: &Platform) -> Result<Image> {
        let chooser = Chooser { storage: &self.storage, platform };
        let image = match self.kind {
            ImageKind::Layout | ImageKind::LayoutArchive => chooser.choose("index.json", &self.name.reference),
            ImageKind::Directory => chooser.choose("manifest.json", &self.name.reference),
            ImageKind::DockerArchive => docker::choose(&self.storage, &self.name.reference, platform),
        };
        image.with_context(|| self.name.path.display().to_string())
    }

    /// The content of a layer, a tar stream. At its end the reader verifies the digests and the size.
    ///
    /// # Errors
    /// An unknown compression; the error of reading.
    pub fn layer(&self, layer: &LayerBlob) -> io::Result<Box<dyn Read + Send>> {
        self.layer_through(layer, |blob| blob)
    }

    /// [`ImageSource::layer`], with a reader around the blob, which sees the bytes before they are decompressed.
    ///
    /// # Errors
    /// As for [`ImageSource::layer`].
    pub fn layer_through<R: Read + Send + 'static>(
        &self,
        layer: &LayerBlob,
        watch: impl FnOnce(Blob) -> R,
    ) -> io::Result<Box<dyn Read + Send>> {
        decoder::layer(layer.blob.clone(), watch, layer.digest.as_ref(), layer.size, &layer.diff_id)
    }

    /// The blob of a layer as it is stored. The reader verifies nothing.
    pub fn blob(&self, layer: &LayerBlob) -> Blob {
        layer.blob.clone()
    }
}

fn opened(name: &ImageName) -> Result<ImageSource> {
    let path = &name.path;
    let is_directory = std::fs::metadata(path).named("stat")?.is_dir();
    let storage = match is_directory {
        true => Storage::Directory(path.clone()),
        false => {
            let Some(blob) = Blob::open(path)? else { bail!("no such file or directory") };
            Storage::Archive(TarIndex::new(whole::plain(blob, || File::open(path))?)?)
        }
    };
    let kind = kind(&storage, name.kind, is_directory)?;
    let storage = match (storage, kind) {
        (Storage::Directory(path), ImageKind::Directory) => Storage::Flat(path),
        (storage, _) => storage,
    };
    if matches!(kind, ImageKind::Layout | ImageKind::LayoutArchive) {
        check_version(&storage)?;
    }
    Ok(ImageSource { name: name.clone(), storage, kind })
}

/// The kind of an image by its files. New versions of docker write an archive of two kinds, and a prefix chooses one.
fn kind(storage: &Storage, wanted: Option<ImageKind>, is_directory: bool) -> Result<ImageKind> {
    let kinds = match is_directory {
        true => [("oci-layout", ImageKind::Layout), ("manifest.json", ImageKind::Directory)],
        false => [("oci-layout", ImageKind::LayoutArchive), ("manifest.json", ImageKind::DockerArchive)],
    };
    let mut found = Vec::new();
    for (file, kind) in kinds {
        if storage.file(file)?.is_some() {
            found.push(kind);
        }
    }
    let chosen = match wanted {
        None => found.first(),
        Some(wanted) => found.iter().find(|kind| **kind == wanted),
    };
    match (chosen, &found[..]) {
        (Some(kind), _) => Ok(*kind),
        (None, []) => bail!("not an image: it has neither a file oci-layout nor a file manifest.json"),
        (None, [kind, ..]) => bail!("it is not an image of the kind that the prefix names: it is {}", kind.text()),
    }
}

fn check_version(storage: &Storage) -> Result<()> {
    let Some(bytes) = storage.document("oci-layout", MAX_MANIFEST)? else { bail!("oci-layout: missing") };
    let layout: oci_spec::image::OciLayout = serde_json::from_slice(&bytes).context("oci-layout")?;
    let version = layout.image_layout_version();
    if !version.starts_with("1.") {
        bail!("oci-layout: the version {version} of the image layout is not supported");
    }
    Ok(())
}
