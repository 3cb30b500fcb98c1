//! Images of the tests' own making: tar files by hand, in an OCI image layout.

use super::{Result, Value, json, payload};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A member of a tar file. The header may say anything.
#[derive(Clone)]
pub struct Entry {
    kind: u8,
    path: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    device: (u32, u32),
    data: Vec<u8>,
    size: Option<u64>,
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// A member of the type that this letter stands for in a header.
    pub fn new(kind: u8, path: impl AsRef<[u8]>) -> Entry {
        let mode = if kind == b'5' { 0o755 } else { 0o644 };
        let path = path.as_ref().to_vec();
        let (link, data, records) = (Vec::new(), Vec::new(), Vec::new());
        // All times are set, so that trees can be compared.
        let it = Entry { kind, path, link, mode, owner: (0, 0), device: (0, 0), data, size: None, records };
        it.record("mtime", "1000000000")
    }

    pub fn file(path: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Entry {
        Entry { data: data.as_ref().to_vec(), ..Entry::new(b'0', path) }
    }

    pub fn dir(path: impl AsRef<[u8]>) -> Entry {
        Entry::new(b'5', path)
    }

    pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
        Entry { link: target.as_ref().to_vec(), ..Entry::new(b'2', path) }
    }

    pub fn hard_link(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
        Entry { link: target.as_ref().to_vec(), ..Entry::new(b'1', path) }
    }

    /// A character (`3`) or block (`4`) device.
    pub fn device(kind: u8, path: &str, major: u32, minor: u32) -> Entry {
        Entry { device: (major, minor), ..Entry::new(kind, path) }
    }

    pub fn mode(self, mode: u32) -> Entry {
        Entry { mode, ..self }
    }

    pub fn owner(self, uid: u32, gid: u32) -> Entry {
        Entry { owner: (uid, gid), ..self }
    }

    /// The size that the header claims.
    pub fn claiming(self, size: u64) -> Entry {
        Entry { size: Some(size), ..self }
    }

    pub fn time(self, time: &str) -> Entry {
        self.record("mtime", time)
    }

    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Entry {
        self.record(&format!("SCHILY.xattr.{name}"), value)
    }

    /// A record of the pax header. It replaces an earlier one.
    pub fn record(mut self, key: &str, value: impl AsRef<[u8]>) -> Entry {
        self.records.retain(|(other, _)| other != key.as_bytes());
        self.records.push((key.into(), value.as_ref().to_vec()));
        self
    }

    fn write(&self, tar: &mut Vec<u8>) {
        let mut records = self.records.clone();
        for (key, value) in [("path", &self.path), ("linkpath", &self.link)] {
            if value.len() > 100 {
                records.push((key.into(), value.clone()));
            }
        }
        let mut pax = Vec::new();
        for (key, value) in records {
            let rest = [b" ", &key[..], b"=", &value[..], b"\n"].concat();
            // The length counts its own digits.
            let mut length = rest.len() + 1;
            while length != rest.len() + length.to_string().len() {
                length = rest.len() + length.to_string().len();
            }
            pax.extend(length.to_string().into_bytes());
            pax.extend(rest);
        }
        header(tar, &Entry { path: b"pax".to_vec(), link: Vec::new(), size: None, ..self.clone() }, b'x', pax.len());
        padded(tar, &pax);
        header(tar, self, self.kind, self.data.len());
        padded(tar, &self.data);
    }
}

fn padded(tar: &mut Vec<u8>, data: &[u8]) {
    tar.extend_from_slice(data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn header(tar: &mut Vec<u8>, entry: &Entry, kind: u8, size: usize) {
    let mut block = [0u8; 512];
    let mut put = |at: usize, most: usize, bytes: &[u8]| {
        let bytes = &bytes[..bytes.len().min(most)];
        block[at..at + bytes.len()].copy_from_slice(bytes);
    };
    put(0, 100, &entry.path);
    put(100, 8, format!("{:07o}", entry.mode).as_bytes());
    let id = |id: u32| if id < 1 << 21 { format!("{id:07o}").into_bytes() } else { binary(id) };
    put(108, 8, &id(entry.owner.0));
    put(116, 8, &id(entry.owner.1));
    put(124, 12, format!("{:011o}", entry.size.unwrap_or(size as u64)).as_bytes());
    put(136, 12, b"00000000000");
    put(148, 8, b"        ");
    put(156, 1, &[kind]);
    put(157, 100, &entry.link);
    put(257, 8, b"ustar\x0000");
    put(329, 8, format!("{:07o}", entry.device.0).as_bytes());
    put(337, 8, format!("{:07o}", entry.device.1).as_bytes());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    tar.extend_from_slice(&block);
}

/// A number of 8 bytes in GNU's binary form.
fn binary(number: u32) -> Vec<u8> {
    let mut bytes = u64::from(number).to_be_bytes();
    bytes[0] = 0x80;
    bytes.to_vec()
}

/// A tar file of these members.
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut tar = Vec::new();
    entries.iter().for_each(|entry| entry.write(&mut tar));
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// A file of a layout, with what a descriptor says about it.
#[derive(Clone)]
pub struct Blob {
    pub bytes: Vec<u8>,
    pub media_type: &'static str,
    pub diff_id: String,
}

pub const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
pub const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

pub fn digest(bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes);
    sum.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

/// Compresses with gzip.
pub fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Compresses with the program zstd.
pub fn zstd(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(bytes)?;
    let output = Command::new("zstd").args(["-q", "-c"]).arg(file.path()).stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "zstd fails");
    Ok(output.stdout)
}

/// An image.
#[derive(Clone)]
pub struct Image {
    pub layers: Vec<Blob>,
    pub config: Value,
    pub manifest: Value,
}

impl Image {
    /// An image without layers that runs the payload with these words.
    pub fn new<const N: usize>(words: [&str; N]) -> Image {
        let args: Vec<&str> = ["/payload"].into_iter().chain(words).collect();
        let config = json!({
            "os": "linux", "architecture": architecture(),
            "config": { "Entrypoint": args, "Env": ["PATH=/"], "WorkingDir": "/" },
            "rootfs": { "type": "layers", "diff_ids": [] }
        });
        Image { layers: Vec::new(), config, manifest: json!({ "schemaVersion": 2 }) }
    }

    /// Adds a layer with the payload.
    pub fn with_payload(self) -> Result<Image> {
        let payload = Entry::file("payload", fs::read(payload::path())?).mode(0o755);
        Ok(self.layer(&[Entry::dir("./"), payload, Entry::dir("proc"), Entry::dir("dev"), Entry::dir("sys")]))
    }

    /// Adds a layer that is not compressed.
    pub fn layer(self, entries: &[Entry]) -> Image {
        let bytes = tar(entries);
        self.blob(bytes.clone(), PLAIN, &bytes)
    }

    /// Adds a layer that is compressed with gzip.
    pub fn gzip_layer(self, entries: &[Entry]) -> Result<Image> {
        let bytes = tar(entries);
        Ok(self.blob(gzip(&bytes)?, GZIP, &bytes))
    }

    /// Adds a layer by its file, and the content that the file unpacks to.
    pub fn blob(mut self, bytes: Vec<u8>, media_type: &'static str, content: &[u8]) -> Image {
        self.layers.push(Blob { bytes, media_type, diff_id: digest(content) });
        self
    }

    /// Sets a member of the config's `config`.
    pub fn set(mut self, key: &str, value: Value) -> Image {
        self.config["config"][key] = value;
        self
    }

    /// Writes an OCI image layout. The tag is `t`.
    pub fn write(&self, layout: &Path) -> Result {
        fs::create_dir_all(layout.join("blobs/sha256"))?;
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let mut config = self.config.clone();
        let ids: Vec<&String> = self.layers.iter().map(|layer| &layer.diff_id).collect();
        config["rootfs"]["diff_ids"] = json!(ids);
        let mut manifest = self.manifest.clone();
        manifest["mediaType"] = json!("application/vnd.oci.image.manifest.v1+json");
        manifest["config"] = store(layout, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes())?;
        let layers = self.layers.iter().map(|layer| store(layout, layer.media_type, &layer.bytes));
        manifest["layers"] = json!(layers.collect::<Result<Vec<_>>>()?);
        let mut found = store(layout, "application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes())?;
        found["annotations"] = json!({ "org.opencontainers.image.ref.name": "t" });
        let index = json!({ "schemaVersion": 2, "manifests": [found] });
        Ok(fs::write(layout.join("index.json"), index.to_string())?)
    }
}

/// Puts a blob into a layout, and returns its descriptor.
pub fn store(layout: &Path, media_type: &str, bytes: &[u8]) -> Result<Value> {
    let digest = digest(bytes);
    fs::write(blob_path(layout, &digest), bytes)?;
    Ok(json!({ "mediaType": media_type, "digest": digest, "size": bytes.len() }))
}

pub fn blob_path(layout: &Path, digest: &str) -> std::path::PathBuf {
    layout.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
}

/// The name that images have for this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
