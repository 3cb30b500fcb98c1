//! The compression of layers.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::blob::Blob;
use crate::image::digest::{Digest, Verified};

/// The size of the buffer before a decoder.
const BUFFER: usize = 256 << 10;
/// The maximum memory for the window of zstd. It is the limit of `zstd -d`: more needs `--long`.
const MAX_WINDOW: u64 = 128 << 20;

/// A compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// None.
    Plain,
    /// gzip, with one member or more.
    Gzip,
    /// Zstandard, with one frame or more.
    Zstd,
}

impl Compression {
    /// Finds the compression by the first bytes of a file.
    ///
    /// # Errors
    /// A compression that tare does not support.
    pub fn of(start: &[u8]) -> io::Result<Compression> {
        let unsupported = [
            (&b"BZh"[..], "bzip2"),
            (b"\xfd7zXZ\0", "xz"),
            (b"\x04\x22\x4d\x18", "lz4"),
            (b"LZIP", "lzip"),
            (b"\x5d\0\0", "lzma"),
            (b"\x1f\x9d", "compress"),
        ];
        match start {
            [0x1f, 0x8b, ..] => Ok(Compression::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Compression::Zstd),
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
            _ => match unsupported.iter().find(|(magic, _)| start.starts_with(magic)) {
                Some((_, name)) => Err(invalid(format!("the compression {name} is not supported"))),
                None => Ok(Compression::Plain),
            },
        }
    }
}

fn invalid(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

/// The content of a layer's blob. Its end verifies the blob and the content.
///
/// # Errors
/// The error of reading the first bytes; an unsupported compression.
pub fn layer<R: Read + Send + 'static>(
    blob: Blob,
    watch: impl FnOnce(Blob) -> R,
    digest: Option<&Digest>,
    size: u64,
    diff_id: &Digest,
) -> io::Result<Box<dyn Read + Send>> {
    let mut first = [0; 8];
    let mut length = 0;
    let mut start = blob.clone();
    while length < first.len() {
        match start.read(&mut first[length..])? {
            0 => break,
            read => length += read,
        }
    }
    let compression = Compression::of(&first[..length]);
    let name = format!("layer {}", digest.unwrap_or(diff_id));
    let compression = compression.map_err(|error| invalid(format!("{name}: {error}")))?;
    let blob = watch(blob);
    let content = |reader| Verified::new(reader, "layer with diff_id", diff_id.clone(), None);
    Ok(match (compression, digest) {
        // The same bytes have the same digest: once is enough.
        (Compression::Plain, Some(digest)) if digest == diff_id => {
            Box::new(Verified::new(blob, "layer", digest.clone(), Some(size)))
        }
        (compression, Some(digest)) => {
            let blob = Verified::new(blob, "blob", digest.clone(), Some(size));
            Box::new(content(decoder(blob, compression, &name)))
        }
        (compression, None) => Box::new(content(decoder(blob, compression, &name))),
    })
}

/// The decoder of a compression. At the end it has read all of its input. `name` is the input's, for messages.
pub fn decoder(input: impl Read + Send + 'static, compression: Compression, name: &str) -> Box<dyn Read + Send> {
    let name = name.to_owned();
    let input = BufReader::with_capacity(BUFFER, input);
    match compression {
        Compression::Plain => Box::new(input),
        Compression::Gzip => Box::new(Gzip { member: Some(GzDecoder::new(input)), name }),
        Compression::Zstd => Box::new(Zstd::new(input, name)),
    }
}

/// A reader of all members of a gzip file. Zeros may follow the last member, as after a tape's end; no other bytes.
struct Gzip<R> {
    /// `None` after the end.
    member: Option<GzDecoder<R>>,
    name: String,
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let length = member.read(buffer).map_err(|error| failed(&self.name, error))?;
            if length > 0 {
                return Ok(length);
            }
            let Some(mut input) = self.member.take().map(GzDecoder::into_inner) else { break };
            if input.fill_buf()?.first() == Some(&0x1f) {
                self.member = Some(GzDecoder::new(input));
                continue;
            }
            loop {
                let rest = input.fill_buf()?;
                if rest.is_empty() {
                    break;
                }
                if rest.iter().any(|byte| *byte != 0) {
                    return Err(invalid(format!("{}: gzip: bytes after the end that are not gzip", self.name)));
                }
                let length = rest.len();
                input.consume(length);
            }
        }
        Ok(0)
    }
}

/// An error of a decoder or of the reader below it, whose text is complete.
fn failed(name: &str, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => invalid(format!("{name}: gzip: the data end too early")),
        io::ErrorKind::InvalidInput => invalid(format!("{name}: gzip: {error}")),
        _ => error,
    }
}

/// A reader of all frames of a Zstandard file; it skips skippable frames, in which zstd:chunked has its table.
struct Zstd<R> {
    input: R,
    decoder: FrameDecoder,
    /// Whether a frame is open.
    open: bool,
    name: String,
}

impl<R: BufRead> Zstd<R> {
    fn new(input: R, name: String) -> Zstd<R> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Zstd { input, decoder, open: false, name }
    }

    fn wrong(&self, text: impl std::fmt::Display) -> io::Error {
        invalid(format!("{}: zstd: {text}", self.name))
    }

    /// Opens the next frame that has content, and returns whether there is one.
    fn next(&mut self) -> io::Result<bool> {
        use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
        loop {
            if self.input.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.input).take(length), &mut io::sink())? != length {
                        return Err(self.wrong("the data end too early"));
                    }
                }
                Err(error) => return Err(self.wrong(error)),
            }
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.open {
                self.open = self.next()?;
                if !self.open {
                    return Ok(0);
                }
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if self.decoder.is_finished() {
                let stored = self.decoder.get_checksum_from_data();
                if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
                    return Err(self.wrong("the checksum of a frame is wrong"));
                }
                self.open = false;
                continue;
            }
            let blocks = BlockDecodingStrategy::UptoBytes(BUFFER);
            if let Err(error) = self.decoder.decode_blocks(&mut self.input, blocks) {
                return Err(self.wrong(error));
            }
        }
    }
}
