use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::image::digest::Digest;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image layout in a directory.
struct Made {
    top: tempfile::TempDir,
}

impl Made {
    fn new() -> Made {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        fs::create_dir_all(top.path().join("blobs/sha256")).unwrap();
        Made { top }
    }

    fn path(&self) -> &Path {
        self.top.path()
    }

    /// Writes a blob, and returns its descriptor.
    fn blob(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        fs::write(self.path().join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        json!({"mediaType": kind, "digest": digest.to_string(), "size": bytes.len()})
    }

    fn document(&self, kind: &str, value: &Value) -> Value {
        self.blob(kind, value.to_string().as_bytes())
    }

    /// Writes an image with these layers, each with its content, and returns its manifest's descriptor.
    fn image(&self, os: &str, architecture: &str, layers: &[(&str, &[u8], &[u8])]) -> Value {
        let ids: Vec<String> = layers.iter().map(|(_, _, content)| Digest::of(content).to_string()).collect();
        let config = json!({
            "os": os, "architecture": architecture, "config": {"Cmd": ["x"]},
            "rootfs": {"type": "layers", "diff_ids": ids},
        });
        let layers: Vec<Value> = layers.iter().map(|(kind, blob, _)| self.blob(kind, blob)).collect();
        let config = self.document(CONFIG, &config);
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        self.document(MANIFEST, &manifest)
    }

    fn index(&self, manifests: Value) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.path().join("index.json"), index.to_string()).unwrap();
    }

    fn open(&self, rest: &str) -> Result<ImageSource> {
        let name = ImageName::parse(&format!("{}{rest}", self.path().display()))?;
        ImageSource::open(&name)
    }

    fn image_at(&self, rest: &str, platform: &str) -> Result<Image> {
        self.open(rest)?.image(&Platform::parse(platform)?)
    }

    fn error(&self, rest: &str) -> String {
        format!("{:#}", self.image_at(rest, "linux/amd64").unwrap_err())
    }
}

fn with(mut descriptor: Value, members: Value) -> Value {
    let members = members.as_object().unwrap().clone();
    descriptor.as_object_mut().unwrap().extend(members);
    descriptor
}

fn tagged(descriptor: Value, tag: &str) -> Value {
    with(descriptor, json!({"annotations": {"org.opencontainers.image.ref.name": tag}}))
}

fn digest(descriptor: &Value) -> &str {
    descriptor["digest"].as_str().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn read(source: &ImageSource, layer: &LayerBlob) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.layer(layer)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn layers_of_all_compressions() {
    let made = Made::new();
    let content = b"content of a layer ".repeat(50_000);
    let half = content.len() / 2;
    let members = [gzip(&content[..half]), gzip(&content[half..]), vec![0; 100]].concat();
    let skipped = [&[0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
    let frames = [&skipped[..], &zstd(&content[..half]), &zstd(&content[half..]), &skipped].concat();
    let (gz, zst) = (format!("{LAYER}+gzip"), format!("{LAYER}+zstd"));
    // The media type of the fourth is wrong, and does not matter.
    let layers: [(&str, &[u8], &[u8]); 4] = [
        (LAYER, b"plain", b"plain"),
        (&gz, &members, &content),
        (&zst, &frames, &content),
        (LAYER, &members, &content),
    ];
    made.index(json!([made.image("linux", "amd64", &layers)]));
    let source = made.open("").unwrap();
    let image = source.image(&Platform::parse("linux/amd64").unwrap()).unwrap();
    assert_eq!(image.layers.len(), 4);
    assert_eq!(image.config.config().as_ref().unwrap().cmd().as_ref().unwrap()[..], ["x"]);
    for (layer, (_, blob, content)) in image.layers.iter().zip(layers) {
        assert_eq!((layer.digest.clone(), layer.size), (Some(Digest::of(blob)), blob.len() as u64));
        assert_eq!(read(&source, layer).unwrap(), content);
    }
}

#[test]
fn wrong_layers_are_refused_when_they_are_read() {
    let content = b"content ".repeat(1000);
    let packed = gzip(&content);
    let mut broken = packed.clone();
    broken[40] ^= 1;
    for (blob, content, part) in [
        (&packed[..], &b"other"[..], "layer with diff_id"),
        (&packed[..packed.len() - 9], &content, "the data end too early"),
        (&[&packed[..], b"x"].concat(), &content, "bytes after the end"),
        (&zstd(&content)[..20], &content, "zstd: "),
        (b"BZh91AY", &content, "the compression bzip2 is not supported"),
        (b"plain", &content, "its content has the digest"),
    ] {
        let made = Made::new();
        made.index(json!([made.image("linux", "amd64", &[(LAYER, blob, content)])]));
        let source = made.open("").unwrap();
        let image = source.image(&Platform::parse("linux/amd64").unwrap()).unwrap();
        let message = read(&source, &image.layers[0]).unwrap_err().to_string();
        assert!(message.contains(part), "{part}: {message}");
    }
    let made = Made::new();
    made.index(json!([made.image("linux", "amd64", &[(LAYER, &packed, &content)])]));
    let source = made.open("").unwrap();
    let image = source.image(&Platform::parse("linux/amd64").unwrap()).unwrap();
    fs::write(made.path().join("blobs/sha256").join(Digest::of(&packed).hex()), &broken).unwrap();
    let message = read(&source, &image.layers[0]).unwrap_err().to_string();
    assert!(message.contains(&Digest::of(&packed).to_string()), "{message}");
}

#[test]
fn images_are_chosen_by_tag_and_digest() {
    let made = Made::new();
    let one = made.image("linux", "amd64", &[(LAYER, b"1", b"1")]);
    let two = made.image("linux", "amd64", &[(LAYER, b"2", b"2")]);
    let containerd = json!({"annotations": {
        "io.containerd.image.name": "docker.io/library/app:1.0", "org.opencontainers.image.ref.name": "1.0",
    }});
    let three = made.image("linux", "amd64", &[(LAYER, b"3", b"3")]);
    let hidden = made.image("linux", "amd64", &[(LAYER, b"4", b"4")]);
    made.index(json!([tagged(one.clone(), "one"), tagged(two.clone(), "b/c:two"), with(three.clone(), containerd)]));
    let chosen = |rest: &str| made.image_at(rest, "linux/amd64").unwrap().digest.to_string();
    for (rest, image) in [
        (":one", &one),
        (":b/c:two", &two),
        (":1.0", &three),
        (":app:1.0", &three),
        (":library/app:1.0", &three),
        (":docker.io/library/app:1.0", &three),
        (&format!("@{}", digest(&two)), &two),
        (&format!("@{}", digest(&hidden)), &hidden),
    ] {
        assert_eq!(chosen(rest), digest(image), "{rest}");
    }
    let tags = "the tags are 1.0, b/c:two, docker.io/library/app:1.0, one";
    let path = made.path().display();
    assert_eq!(made.error(":three"), format!("{path}: there is no tag \"three\": {tags}"));
    assert!(made.error("").contains(&format!("one has to be chosen by its tag: {tags}")), "{}", made.error(""));
    let nothing = Digest::of(b"nothing");
    assert_eq!(made.error(&format!("@{nothing}")), format!("{path}: there is no image {nothing}"));
}

#[test]
fn the_platform_of_an_index_is_chosen() {
    let made = Made::new();
    let at = |architecture: &str, variant: &str| {
        let image =
            made.image("linux", architecture, &[(LAYER, b"1", b"1"), (LAYER, variant.as_bytes(), variant.as_bytes())]);
        with(image, json!({"platform": {"os": "linux", "architecture": architecture, "variant": variant}}))
    };
    let (amd64, v6, v7) = (at("amd64", ""), at("arm", "v6"), at("arm", "v7"));
    let unknown = json!({"platform": {"os": "unknown", "architecture": "unknown"}});
    let attestation = with(made.image("unknown", "unknown", &[]), unknown);
    let about = with(at("amd64", "x"), json!({"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}));
    let inner = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [attestation, about, v6, v7, amd64]});
    made.index(json!([tagged(made.document(INDEX, &inner), "x")]));
    let chosen = |platform: &str| made.image_at(":x", platform).map(|image| image.digest.to_string());
    for (platform, image) in
        [("linux/amd64", &amd64), ("linux/arm/v7", &v7), ("linux/arm/v6", &v6), ("linux/arm/v8", &v7)]
    {
        assert_eq!(chosen(platform).unwrap(), digest(image), "{platform}");
    }
    let message = format!("{:#}", chosen("linux/riscv64").unwrap_err());
    assert!(
        message.ends_with("no image is for linux/riscv64: the platforms are linux/amd64, linux/arm/v6, linux/arm/v7"),
        "{message}"
    );
}

#[test]
fn an_image_for_another_machine_is_refused() {
    let made = Made::new();
    made.index(json!([made.image("linux", "arm64", &[])]));
    assert!(made.error("").ends_with("no image is for linux/amd64: the platforms are linux/arm64"));
    assert!(made.image_at("", "linux/arm64").is_ok());
    made.index(json!([made.image("windows", "amd64", &[])]));
    assert!(made.error("").ends_with("no image is for linux/amd64: the platforms are windows/amd64"));
    let lies = json!({"platform": {"os": "linux", "architecture": "amd64"}});
    made.index(json!([with(made.image("windows", "amd64", &[]), lies)]));
    assert!(made.error("").contains("windows"), "{}", made.error(""));
}

#[test]
fn wrong_documents_are_refused() {
    let made = Made::new();
    let image = made.image("linux", "amd64", &[(LAYER, b"1", b"1")]);
    let refused = |descriptor: &Value, part: &str| {
        made.index(json!([descriptor]));
        assert!(made.error("").contains(part), "{part}: {}", made.error(""));
    };
    refused(&with(image.clone(), json!({"size": 5})), "it has more bytes than its size, 5");
    refused(&with(image.clone(), json!({"size": 5_000_000})), "more than the 4194304 of such a document");
    refused(&with(image.clone(), json!({"digest": "sha256:../../x"})), "Invalid encoded value");
    let missing = Digest::of(b"missing").to_string();
    refused(&with(image.clone(), json!({"digest": missing})), "not in the image");
    let manifest = |change: &dyn Fn(&mut Value)| {
        let path = made.path().join("blobs/sha256").join(&digest(&image)[7..]);
        let mut manifest: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        change(&mut manifest);
        made.document(MANIFEST, &manifest)
    };
    refused(&manifest(&|it| it["schemaVersion"] = json!(1)), "schema 1 is not supported");
    refused(&manifest(&|it| it["schemaVersion"] = json!(3)), "schemaVersion: it is 3, not 2");
    refused(&manifest(&|it| it["mediaType"] = json!("a/b")), "\"a/b\" is neither an index nor a manifest");
    refused(&manifest(&|it| it["manifests"] = json!([])), "of an index and of a manifest");
    refused(&manifest(&|it| it["config"]["mediaType"] = json!("a/b")), "an artifact with a config");
    refused(&manifest(&|it| it["layers"] = json!([])), "it has 0 layers, and its config has 1 diff_ids");
    refused(&manifest(&|it| it["layers"][0]["mediaType"] = json!(format!("{LAYER}+encrypted"))), "encrypted layers");
    refused(&manifest(&|it| it["layers"][0]["mediaType"] = json!(format!("{LAYER}+xz"))), "+xz\" is not supported");
    refused(&manifest(&|it| it["layers"][0]["digest"] = json!(missing)), "not in the image");
    refused(&manifest(&|it| it["layers"][0]["size"] = json!(7)), "its size is 1, not 7");
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let change = |it: &mut Value| {
        it["layers"][0]["digest"] = json!(missing);
        it["layers"][0]["mediaType"] = json!(foreign);
    };
    refused(&manifest(&change), "only its author may distribute it");
    refused(&made.blob(MANIFEST, b"{"), "EOF while parsing");
    for text in ["[]", "7", "\"x\"", "null"] {
        refused(&made.blob(MANIFEST, text.as_bytes()), "not an object");
    }
    let mut deep = image;
    for _ in 0..5 {
        deep = made.document(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [deep]}));
    }
    refused(&deep, "nested more than 4 deep");
    let other = made.image("linux", "arm64", &[]);
    made.index(Value::Array(vec![other; 100]));
    assert!(made.error("").contains("none of the first 64 images is for linux/amd64"), "{}", made.error(""));
}
