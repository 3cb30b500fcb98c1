//! Digests of content, and a reader that verifies one.

use std::fmt;
use std::io::{self, Read};

use anyhow::{Result, bail};
use sha2::digest::Digest as _;
use sha2::{Sha256, Sha512};

/// A digest: `sha256:` and 64 hexadecimal digits, or `sha512:` and 128. The digits are small letters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    text: String,
}

/// An algorithm of digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name in a digest.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    fn digits(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }
}

impl Digest {
    /// Reads a digest.
    ///
    /// # Errors
    /// Another algorithm; a wrong number of digits; another letter than `0` to `9` and `a` to `f`.
    pub fn parse(text: &str) -> Result<Digest> {
        let Some((name, hex)) = text.split_once(':') else { bail!("{text:?} is not a digest: it has no colon") };
        let Some(algorithm) = [Algorithm::Sha256, Algorithm::Sha512].into_iter().find(|it| it.name() == name) else {
            bail!("digest {text:?}: the algorithm is neither sha256 nor sha512");
        };
        if hex.len() != algorithm.digits() {
            bail!("digest {text:?}: {} digits are needed", algorithm.digits());
        }
        if !hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            bail!("digest {text:?}: a letter is not one of 0123456789abcdef");
        }
        Ok(Digest { text: text.to_owned() })
    }

    /// The SHA-256 digest of bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::with(Algorithm::Sha256, bytes)
    }

    /// The digest of bytes.
    pub fn with(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        if self.text.starts_with("sha256:") { Algorithm::Sha256 } else { Algorithm::Sha512 }
    }

    /// The hexadecimal digits.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm().name().len() + 1..]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Computes a digest.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-512.
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of all bytes that were added.
    pub fn finish(self) -> Digest {
        let (name, bytes) = match self {
            Hasher::Sha256(hasher) => ("sha256", hasher.finalize().to_vec()),
            Hasher::Sha512(hasher) => ("sha512", hasher.finalize().to_vec()),
        };
        let mut text = format!("{name}:");
        for byte in bytes {
            text.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
        }
        Digest { text }
    }
}

/// A reader that computes the digest of the bytes that pass, and fails at their end if the digest or the number of bytes
/// is not the expected one.
pub struct Verified<R> {
    inner: R,
    /// The words before the digest in a message: `blob`.
    name: &'static str,
    expected: Digest,
    size: Option<u64>,
    /// `None` after the end.
    hasher: Option<Hasher>,
    read: u64,
}

impl<R: Read> Verified<R> {
    /// `name` says in a message what the content is, such as `blob`. Without `size`, any number of bytes is right.
    pub fn new(inner: R, name: &'static str, expected: Digest, size: Option<u64>) -> Verified<R> {
        let hasher = Some(Hasher::new(expected.algorithm()));
        Verified { inner, name, expected, size, hasher, read: 0 }
    }

    /// The reader below.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    fn wrong(&self, what: fmt::Arguments) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("{} {}: {what}", self.name, self.expected))
    }

    fn check(&mut self) -> io::Result<()> {
        let Some(hasher) = self.hasher.take() else { return Ok(()) };
        if let Some(size) = self.size.filter(|size| *size != self.read) {
            return Err(self.wrong(format_args!("its size is {}, not {size}", self.read)));
        }
        let found = hasher.finish();
        match found == self.expected {
            true => Ok(()),
            false => Err(self.wrong(format_args!("its content has the digest {found}"))),
        }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let length = self.inner.read(buffer)?;
        if length == 0 {
            self.check()?;
            return Ok(0);
        }
        self.read += length as u64;
        if let Some(size) = self.size.filter(|size| self.read > *size) {
            return Err(self.wrong(format_args!("it has more bytes than its size, {size}")));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..length]);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digests_are_parsed_strictly() {
        let digest = Digest::parse(EMPTY).unwrap();
        assert_eq!((digest.to_string().as_str(), digest.hex()), (EMPTY, &EMPTY[7..]));
        assert_eq!(digest, Digest::of(b""));
        let long = format!("sha512:{}", "0123456789abcdef".repeat(8));
        assert_eq!(Digest::parse(&long).unwrap().algorithm(), Algorithm::Sha512);
        for (text, part) in [
            ("", "no colon"),
            ("abc", "no colon"),
            ("md5:d41d8cd98f00b204e9800998ecf8427e", "neither sha256 nor sha512"),
            ("SHA256:e3b0", "neither sha256 nor sha512"),
            ("sha256:e3b0", "64 digits are needed"),
            (&EMPTY.replace("sha256", "sha512"), "128 digits are needed"),
            (&EMPTY.replace('e', "E"), "is not one of"),
            (&EMPTY.replace("sha256:e3b", "sha256:../"), "is not one of"),
        ] {
            let message = Digest::parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn both_algorithms() {
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"a");
        hasher.update(b"bc");
        assert_eq!(
            hasher.finish().hex(),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
        assert_eq!(Digest::of(b"abc").hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn wrong_content_is_refused_at_its_end() {
        let read = |bytes: &'static [u8], expected: &[u8], size| {
            let mut text = String::new();
            let mut reader = Verified::new(bytes, "blob", Digest::of(expected), size);
            reader.read_to_string(&mut text).map(|_| text).map_err(|error| error.to_string())
        };
        let digest = Digest::of(b"abc");
        assert_eq!(read(b"abc", b"abc", Some(3)).unwrap(), "abc");
        assert_eq!(read(b"abc", b"abc", None).unwrap(), "abc");
        assert_eq!(read(b"abc", b"abc", Some(4)).unwrap_err(), format!("blob {digest}: its size is 3, not 4"));
        assert_eq!(
            read(b"abc", b"abc", Some(2)).unwrap_err(),
            format!("blob {digest}: it has more bytes than its size, 2")
        );
        assert_eq!(
            read(b"abd", b"abc", Some(3)).unwrap_err(),
            format!("blob {digest}: its content has the digest {}", Digest::of(b"abd"))
        );
    }
}
