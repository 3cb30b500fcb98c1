//! A directory with an OCI image layout, to write into.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};

use super::digest::{Algorithm, Digest, Hasher};
use crate::sys::{Call, Errno, lock};

/// The annotation of a manifest in `index.json` that has its tag.
const TAG: &str = "org.opencontainers.image.ref.name";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The longest `index.json` that is read.
const LONGEST_INDEX: u64 = 64 << 20;
/// The beginning of the names of files that are not complete.
const TEMPORARY: &str = ".tare-";

/// An image layout. All files in it are complete from the moment that they have their names.
#[derive(Debug)]
pub struct ImageLayout {
    path: PathBuf,
}

impl ImageLayout {
    /// Opens a layout, or makes one in a new or an empty directory.
    ///
    /// # Errors
    /// A directory that has something else; a layout of another version; the error of a call.
    pub fn open(path: &Path) -> Result<ImageLayout> {
        fs::create_dir_all(path).named(format_args!("mkdir {}", path.display()))?;
        let layout = ImageLayout { path: path.to_owned() };
        // Two commands may make the layout at the same time.
        let _locked = layout.locked()?;
        layout.clear()?;
        match fs::read(path.join("oci-layout")) {
            Ok(text) => {
                let version = serde_json::from_slice::<Value>(&text).ok();
                let version = version.as_ref().and_then(|it| it["imageLayoutVersion"].as_str());
                if version != Some("1.0.0") {
                    bail!("{}/oci-layout: the version of the layout is not 1.0.0", path.display());
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut entries = fs::read_dir(path).named(path.display())?;
                if entries.next().is_some() {
                    bail!("{}: the directory is neither empty nor an OCI image layout", path.display());
                }
                layout.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
            }
            Err(error) => return Err(error).named(format_args!("{}/oci-layout", path.display())),
        }
        Ok(layout)
    }

    /// The path of a blob.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Whether the layout has a blob of this size.
    pub fn has(&self, digest: &Digest, size: u64) -> bool {
        fs::symlink_metadata(self.blob_path(digest)).is_ok_and(|facts| facts.is_file() && facts.len() == size)
    }

    /// Begins a blob. If it is dropped before [`BlobWriter::finish`], nothing is left of it.
    ///
    /// # Errors
    /// The error of open(2).
    pub fn blob(&self, algorithm: Algorithm) -> Result<BlobWriter<'_>> {
        let (file, path) = self.temporary()?;
        let file = io::BufWriter::with_capacity(1 << 17, file);
        Ok(BlobWriter { layout: self, file: Some(file), path, hasher: Hasher::new(algorithm), size: 0 })
    }

    /// Adds a document as a blob, and returns its descriptor.
    ///
    /// # Errors
    /// The error of writing.
    pub fn document(&self, media_type: &str, document: &Value) -> Result<Value> {
        let mut blob = self.blob(Algorithm::Sha256)?;
        blob.write_all(&serde_json::to_vec(document)?).named("write a blob")?;
        let (digest, size) = blob.finish(None)?;
        Ok(json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size }))
    }

    /// Adds a manifest to `index.json`. Another one with this tag loses it, all else stays.
    ///
    /// # Errors
    /// An `index.json` that is not an index; the error of reading or writing.
    pub fn tag(&self, mut descriptor: Value, tag: &str) -> Result<()> {
        let name = self.path.join("index.json");
        let _locked = self.locked()?;
        let mut index = match File::open(&name) {
            Ok(file) => {
                let mut text = Vec::new();
                file.take(LONGEST_INDEX).read_to_end(&mut text).named(name.display())?;
                serde_json::from_slice(&text).with_context(|| name.display().to_string())?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [] })
            }
            Err(error) => return Err(error).named(name.display()),
        };
        let Some(manifests) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
            bail!("{}: it has no list of manifests", name.display());
        };
        manifests.retain(|manifest| manifest["annotations"][TAG] != tag);
        descriptor["annotations"] = json!({ TAG: tag });
        manifests.push(descriptor);
        self.file("index.json", &serde_json::to_vec(&index)?)
    }

    /// Holds the lock of the layout, a flock(2) of its directory, until the result is dropped.
    fn locked(&self) -> Result<Flock<File>> {
        let directory = File::open(&self.path).named(self.path.display())?;
        let mut pending = directory;
        loop {
            match Flock::lock(pending, FlockArg::LockExclusive) {
                Ok(locked) => return Ok(locked),
                Err((file, Errno::EINTR)) => pending = file,
                Err((_, errno)) => return Err(errno).named(format_args!("{}: lock", self.path.display())),
            }
        }
    }

    /// Replaces a file as a whole.
    fn file(&self, name: &str, text: &[u8]) -> Result<()> {
        let (mut file, temporary) = self.temporary()?;
        let written = file.write_all(text).and_then(|()| file.sync_all());
        let written = written.and_then(|()| fs::rename(&temporary, self.path.join(name)));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written.named(format_args!("write {}", self.path.join(name).display()))
    }

    /// Opens a new file with a temporary name, and locks it.
    fn temporary(&self) -> Result<(File, PathBuf)> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = self.path.join(format!("{TEMPORARY}{}-{number}", std::process::id()));
            let file = File::options().write(true).create_new(true).mode(0o644).open(&path);
            let file = file.named(format_args!("open {}", path.display()))?;
            let locked = lock::try_exclusive(&file, &path.to_string_lossy())?;
            // Another command may have taken it for a file that is left over.
            if locked && file.metadata().named(path.display())?.nlink() > 0 {
                return Ok((file, path));
            }
        }
    }

    /// Removes the files that commands have left that were killed.
    fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.path).named(self.path.display())? {
            let path = entry.named(self.path.display())?.path();
            let is_temporary = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY));
            if !is_temporary {
                continue;
            }
            // Its writer, if it lives, has locked it.
            let Ok(file) = File::options().write(true).custom_flags(libc::O_NOFOLLOW).open(&path) else { continue };
            if lock::try_exclusive(&file, &path.to_string_lossy())? {
                match fs::remove_file(&path) {
                    // The writer has given the file its name, and let it go, after it was opened here.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    removed => removed.named(format_args!("unlink {}", path.display()))?,
                }
            }
        }
        Ok(())
    }
}

/// A blob while it is written.
pub struct BlobWriter<'a> {
    layout: &'a ImageLayout,
    /// `None` in the end.
    file: Option<io::BufWriter<File>>,
    path: PathBuf,
    hasher: Hasher,
    size: u64,
}

impl BlobWriter<'_> {
    /// Gives the blob its name, and returns its digest and size.
    ///
    /// # Errors
    /// Its digest is not the expected one; the error of writing.
    pub fn finish(mut self, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        let digest = self.hasher.clone().finish();
        if let Some(expected) = expected.filter(|expected| **expected != digest) {
            bail!("blob {expected}: its content has the digest {digest}");
        }
        let Some(file) = self.file.take() else { bail!("blob {digest}: written twice") };
        let target = self.layout.blob_path(&digest);
        let file = file.into_inner().map_err(io::IntoInnerError::into_error).named("write a blob")?;
        file.sync_all().named("fsync of a blob")?;
        let directory = target.parent().unwrap_or(&self.layout.path);
        fs::create_dir_all(directory).named(format_args!("mkdir {}", directory.display()))?;
        fs::rename(&self.path, &target).named(format_args!("rename {}", target.display()))?;
        Ok((digest, self.size))
    }
}

impl Write for BlobWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else { return Ok(0) };
        let count = file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for BlobWriter<'_> {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
