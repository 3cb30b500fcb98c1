//! A tar file of an image that is compressed as a whole.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::blob::Blob;
use super::decoder::{Compression, decoder};
use crate::sys::Call;

/// The maximum size of the decompressed file.
const MAX_SIZE: u64 = 64 << 30;

/// The file itself, or a temporary file without a name that has its decompressed content.
///
/// # Errors
/// An unsupported compression; the error of reading or writing.
pub fn plain(blob: Blob, open: impl FnOnce() -> io::Result<File>) -> Result<File> {
    let mut start = Vec::new();
    blob.clone().take(8).read_to_end(&mut start).named("read")?;
    match Compression::of(&start)? {
        Compression::Plain => open().named("open"),
        compression => decompressed(decoder(blob, compression, "the file"), MAX_SIZE),
    }
}

fn decompressed(content: impl Read, limit: u64) -> Result<File> {
    let directory = directory();
    let shown = directory.display();
    let mut file = File::options()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_TMPFILE)
        .open(&directory)
        .named(format_args!("open a temporary file in {shown}"))?;
    let mut content = content.take(limit);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => file
                .write_all(&buffer[..length])
                .named(format_args!("write a temporary file in {shown}, which TMPDIR can change"))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("decompress"),
        }
    }
    if content.limit() == 0 {
        bail!("it has more than {limit} bytes after decompression");
    }
    Ok(file)
}

/// The directory for large temporary files.
fn directory() -> PathBuf {
    std::env::var_os("TMPDIR").filter(|name| !name.is_empty()).map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_decompressed_bytes() {
        let zeros = || io::repeat(0).take(1000);
        assert_eq!(decompressed(zeros(), 1001).unwrap().metadata().unwrap().len(), 1000);
        let message = decompressed(zeros(), 1000).unwrap_err().to_string();
        assert_eq!(message, "it has more than 1000 bytes after decompression");
    }
}
