//! The files of an image: in a directory, or in a tar file.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::blob::Blob;
use super::tar_index::TarIndex;
use crate::image::digest::{Digest, Verified};
use crate::sys::Call;

/// The maximum size of an index or a manifest. Registries have the same limit.
pub const MAX_MANIFEST: u64 = 4 << 20;
/// The maximum size of an image's config, whose history may be long.
pub const MAX_CONFIG: u64 = 8 << 20;

/// The files of an image.
#[derive(Debug)]
pub enum Storage {
    /// In a directory with blobs below `blobs/`.
    Directory(PathBuf),
    /// In a directory with blobs beside `manifest.json`.
    Flat(PathBuf),
    /// In a tar file.
    Archive(TarIndex),
}

impl Storage {
    /// A file by its path. In a directory, the path must be one of tare's own or have a checked digest.
    ///
    /// # Errors
    /// It is not a regular file; the error of a system call.
    pub fn file(&self, path: &str) -> Result<Option<Blob>> {
        match self {
            Storage::Directory(directory) | Storage::Flat(directory) => Blob::open(&directory.join(path)),
            Storage::Archive(index) => index.file(path),
        }
    }

    /// A blob. `None` if there is no such blob.
    ///
    /// # Errors
    /// It is not a regular file; the error of a system call.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Blob>> {
        if let Storage::Flat(_) = self {
            // The second name is that of a manifest which an index refers to.
            return match self.file(digest.hex())? {
                None => self.file(&format!("{}.manifest.json", digest.hex())),
                found => Ok(found),
            };
        }
        self.file(&format!("blobs/{}/{}", digest.algorithm().name(), digest.hex()))
    }

    /// The content of a file with a limit. `None` if there is no such file.
    ///
    /// # Errors
    /// The file is larger than the limit; the error of reading it.
    pub fn document(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(blob) = self.file(path)? else { return Ok(None) };
        if blob.size() > limit {
            bail!("{path}: its size is {}, more than {limit}", blob.size());
        }
        let mut bytes = Vec::new();
        blob.take(limit).read_to_end(&mut bytes).named(format_args!("read {path}"))?;
        Ok(Some(bytes))
    }
}

/// Reads a blob that is a document, and verifies it.
///
/// # Errors
/// Its size is above the limit or wrong; its digest is wrong; the error of reading it.
pub fn verified(blob: Blob, digest: &Digest, size: Option<u64>, limit: u64) -> Result<Vec<u8>> {
    let size = size.unwrap_or(blob.size());
    if size > limit {
        bail!("blob {digest}: its size is {size}, more than the {limit} of such a document");
    }
    let mut bytes = Vec::new();
    let mut reader = Verified::new(blob, "blob", digest.clone(), Some(size));
    reader.read_to_end(&mut bytes).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(bytes)
}
