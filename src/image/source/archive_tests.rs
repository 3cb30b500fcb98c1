use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::image::digest::Digest;

/// A tar file that is being made.
struct Packed {
    builder: tar::Builder<Vec<u8>>,
}

impl Packed {
    fn new() -> Packed {
        Packed { builder: tar::Builder::new(Vec::new()) }
    }

    fn file(&mut self, path: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        self.builder.append_data(&mut header, path, content).unwrap();
    }

    fn link(&mut self, kind: tar::EntryType, path: &str, target: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        self.builder.append_link(&mut header, path, target).unwrap();
    }

    fn done(self) -> Vec<u8> {
        self.builder.into_inner().unwrap()
    }
}

fn config(layers: &[&[u8]]) -> Vec<u8> {
    let ids: Vec<String> = layers.iter().map(|content| Digest::of(content).to_string()).collect();
    let config = json!({
        "os": "linux", "architecture": "amd64", "config": {"Cmd": ["x"]},
        "rootfs": {"type": "layers", "diff_ids": ids}, "created": "2026-01-02 03:04:05.6 +0100 CET",
    });
    config.to_string().into_bytes()
}

fn written(bytes: &[u8]) -> TempDir {
    let top = tempfile::tempdir().unwrap();
    fs::write(top.path().join("x.tar"), bytes).unwrap();
    top
}

/// The digest and the layers' content of an image in a file.
fn image(prefix: &str, top: &Path, rest: &str) -> Result<(String, Vec<Vec<u8>>)> {
    let source = ImageSource::open(&ImageName::parse(&format!("{prefix}{}/x.tar{rest}", top.display()))?)?;
    let image = source.image(&Platform::parse("linux/amd64")?)?;
    let mut contents = Vec::new();
    for layer in &image.layers {
        let mut content = Vec::new();
        source.layer(layer)?.read_to_end(&mut content)?;
        contents.push(content);
    }
    Ok((image.digest.to_string(), contents))
}

fn error(prefix: &str, bytes: &[u8], rest: &str) -> String {
    let top = written(bytes);
    let message = format!("{:#}", image(prefix, top.path(), rest).unwrap_err());
    message.replace(&format!("{}/", top.path().display()), "")
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// An archive of the old form, in which layers that are the same are links.
fn old_docker() -> (Vec<u8>, String) {
    let mut packed = Packed::new();
    let config = config(&[b"one", b"two", b"one", b"two"]);
    let digest = Digest::of(&config);
    packed.file("a/layer.tar", b"one");
    packed.file("./b/layer.tar", &gzip(b"two"));
    packed.link(tar::EntryType::Symlink, "c/layer.tar", "../a/layer.tar");
    packed.link(tar::EntryType::Link, "d/layer.tar", "b/layer.tar");
    packed.file(&format!("{}.json", digest.hex()), &config);
    let layers = ["a/layer.tar", "b/layer.tar", "c/layer.tar", "d/layer.tar"];
    let listed = json!([
        {"Config": format!("{}.json", digest.hex()), "RepoTags": ["app:1.0", "host:5000/app:2"], "Layers": layers},
    ]);
    packed.file("manifest.json", listed.to_string().as_bytes());
    (packed.done(), digest.to_string())
}

#[test]
fn the_old_form_of_docker() {
    let (bytes, digest) = old_docker();
    let wanted = (digest.clone(), [b"one", b"two", b"one", b"two"].map(|it| it.to_vec()).to_vec());
    let zstd = ruzstd::encoding::compress_to_vec(&bytes[..], ruzstd::encoding::CompressionLevel::Fastest);
    for form in [bytes.clone(), gzip(&bytes), zstd] {
        let top = written(&form);
        let references = ["", ":app:1.0", ":docker.io/library/app:1.0", ":1.0", ":host:5000/app:2", ":2"];
        for rest in references.map(str::to_owned).into_iter().chain([format!("@{digest}")]) {
            assert_eq!(image("", top.path(), &rest).unwrap(), wanted, "{rest}");
        }
        assert_eq!(image("docker-archive:", top.path(), "").unwrap(), wanted);
    }
    assert_eq!(error("", &bytes, ":app"), "x.tar: there is no tag \"app\": the tags are app:1.0, host:5000/app:2");
    assert_eq!(
        error("oci-archive:", &bytes, ""),
        "x.tar: it is not an image of the kind that the prefix names: it is a tar file of docker"
    );
}

#[test]
fn the_new_form_of_docker() {
    let mut packed = Packed::new();
    let config = config(&[b"one"]);
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": kind, "digest": Digest::of(bytes).to_string(), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": descriptor("application/vnd.docker.container.image.v1+json", &config),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar", b"one")],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut listed = descriptor("application/vnd.docker.distribution.manifest.v2+json", &manifest);
    listed["annotations"] =
        json!({"io.containerd.image.name": "docker.io/library/app:1.0", "org.opencontainers.image.ref.name": "1.0"});
    packed.file("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#);
    packed.file("index.json", json!({"schemaVersion": 2, "manifests": [listed]}).to_string().as_bytes());
    let docker = json!([{"Config": blob(&config), "RepoTags": ["app:1.0"], "Layers": [blob(b"one")]}]);
    packed.file("manifest.json", docker.to_string().as_bytes());
    for bytes in [&config[..], &manifest, b"one"] {
        packed.file(&blob(bytes), bytes);
    }
    let bytes = packed.done();
    let top = written(&bytes);
    let layers = vec![b"one".to_vec()];
    let by = |prefix: &str| image(prefix, top.path(), ":app:1.0").unwrap();
    assert_eq!(by(""), (Digest::of(&manifest).to_string(), layers.clone()));
    assert_eq!(by("oci-archive:"), (Digest::of(&manifest).to_string(), layers.clone()));
    assert_eq!(by("docker-archive:"), (Digest::of(&config).to_string(), layers));
    let wrong = String::from_utf8_lossy(&bytes).replace("1.0.0", "2.0.0").into_bytes();
    assert!(error("", &wrong, "").contains("oci-layout: "), "{}", error("", &wrong, ""));
}

#[test]
fn wrong_archives_are_refused() {
    let good = config(&[b"one"]);
    let digest = Digest::of(&good);
    let made = |name: &str, config: &[u8], listed: Value| {
        let mut packed = Packed::new();
        packed.file("a/layer.tar", b"one");
        packed.link(tar::EntryType::Symlink, "loop", "loop");
        packed.link(tar::EntryType::Symlink, "out", "../../etc/passwd");
        packed.file(name, config);
        packed.file("manifest.json", listed.to_string().as_bytes());
        error("", &packed.done(), "")
    };
    let name = format!("{}.json", digest.hex());
    let listed = |layers: Value| json!([{"Config": name, "RepoTags": null, "Layers": layers}]);
    for (message, wanted) in [
        (made(&name, b"{}", listed(json!([]))), format!("x.tar: blob {digest}: its content has the digest")),
        (made("x", &good, listed(json!([]))), format!("x.tar: config \"{name}\": not in the image")),
        (made("x", &good, json!([{"Config": "x"}])), "x.tar: config \"x\": its name is not a digest".to_owned()),
        (
            made(&name, &good, listed(json!([]))),
            format!("x.tar: image {digest}: it has 0 layers, and its config has 1"),
        ),
        (made(&name, &good, listed(json!(["../x"]))), "x.tar: layer \"../x\": not in the image".to_owned()),
        (made(&name, &good, listed(json!(["out"]))), "x.tar: layer \"out\": not in the image".to_owned()),
        (made(&name, &good, listed(json!(["loop"]))), "x.tar: loop: too many links in the tar file".to_owned()),
        (made(&name, &good, json!([])), "x.tar: manifest.json: it has no image".to_owned()),
        (made(&name, &good, json!({})), "x.tar: manifest.json: invalid type: map".to_owned()),
    ] {
        assert!(message.starts_with(&wanted), "{wanted}: {message}");
    }
    let (bytes, _) = old_docker();
    let mut broken = bytes.clone();
    broken[512 * 2] ^= 1;
    let bomb = {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(5 << 20);
        header.set_cksum();
        [&header.as_bytes()[..], &vec![b'a'; 5 << 20]].concat()
    };
    for (bytes, wanted) in [
        (&broken[..], "x.tar: not a tar file: the checksum of a header is wrong"),
        (&bytes[..512 + 2], "x.tar: the tar file ends within a member"),
        (b"", "x.tar: not an image: it has neither"),
        (&[1; 2000], "x.tar: not a tar file"),
        (b"BZh91AY&SY", "x.tar: the compression bzip2 is not supported"),
        (&gzip(&bytes)[..100], "x.tar: decompress: the file: gzip: the data end too early"),
        (&bomb, "x.tar: a header of the tar file is longer than 1048576 bytes"),
    ] {
        let message = error("", bytes, "");
        assert!(message.starts_with(wanted), "{wanted}: {message}");
    }
}

#[test]
fn a_directory_with_blobs_beside_the_manifest() {
    let top = tempfile::tempdir().unwrap();
    let directory = top.path().join("x.tar");
    fs::create_dir(&directory).unwrap();
    let config = config(&[b"one"]);
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        fs::write(directory.join(digest.hex()), bytes).unwrap();
        json!({"mediaType": kind, "digest": digest.to_string(), "size": bytes.len()})
    };
    let manifest = json!({
        "schemaVersion": 2, "config": blob("application/vnd.oci.image.config.v1+json", &config),
        "layers": [blob("application/vnd.oci.image.layer.v1.tar+gzip", &gzip(b"one"))],
    });
    let mut manifest = manifest.to_string().into_bytes();
    let mut digest = Digest::of(&manifest).to_string();
    // As the only image, and as one of an index.
    for index in [false, true] {
        if index {
            let name = format!("{}.manifest.json", &digest[7..]);
            fs::write(directory.join(name), &manifest).unwrap();
            let kind = "application/vnd.oci.image.manifest.v1+json";
            let listed = json!({"mediaType": kind, "digest": digest, "size": manifest.len()});
            manifest = json!({"schemaVersion": 2, "manifests": [listed]}).to_string().into_bytes();
        }
        fs::write(directory.join("manifest.json"), &manifest).unwrap();
        for rest in ["".to_owned(), format!("@{digest}")] {
            for prefix in ["", "dir:"] {
                let wanted = (digest.clone(), vec![b"one".to_vec()]);
                assert_eq!(image(prefix, top.path(), &rest).unwrap(), wanted, "{prefix} {rest}");
            }
        }
        let message = format!("{:#}", image("", top.path(), ":x").unwrap_err());
        assert!(message.ends_with("there is no tag \"x\": no image has a tag"), "{message}");
        digest = Digest::parse(&digest).unwrap().to_string();
    }
}
