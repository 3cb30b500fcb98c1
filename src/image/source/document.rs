//! The JSON documents of an image.

use anyhow::{Context, Result, bail};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::image::digest::Digest;

/// docker's name of an index.
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// docker's name of a manifest.
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// A document that a descriptor of an index refers to.
pub enum Document {
    /// Further descriptors.
    Index(Vec<Descriptor>),
    /// An image.
    Manifest(Box<ImageManifest>),
}

impl Document {
    /// Reads an index or a manifest. `name` is for messages.
    ///
    /// # Errors
    /// Not JSON; a wrong type; a schema other than 2.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Document> {
        let value: Value = serde_json::from_slice(bytes).with_context(|| name.to_owned())?;
        if !value.is_object() {
            bail!("{name}: not an object");
        }
        let kind = value["mediaType"].as_str().unwrap_or_default();
        let both = !value["manifests"].is_null() && (!value["layers"].is_null() || !value["config"].is_null());
        if value["schemaVersion"] == 1 || kind.contains("manifest.v1+") && kind.contains(".docker.") {
            bail!(
                "{name}: a manifest of docker's schema 1 is not supported: skopeo copies such an image to the OCI format"
            );
        }
        // A document with the members of both would be another image for another reader.
        if both {
            bail!("{name}: it has the members of an index and of a manifest");
        }
        let is_index = match kind.into() {
            MediaType::ImageIndex => true,
            MediaType::ImageManifest => false,
            MediaType::Other(kind) if kind == DOCKER_LIST => true,
            MediaType::Other(kind) if kind == DOCKER_MANIFEST => false,
            MediaType::Other(kind) if kind.is_empty() => value["config"].is_null(),
            kind => bail!("{name}: the media type {:?} is neither an index nor a manifest", kind.as_ref()),
        };
        match is_index {
            true => Ok(Document::Index(typed::<ImageIndex>(value, name, "manifests")?.manifests().clone())),
            false => Ok(Document::Manifest(Box::new(typed(value, name, "layers")?))),
        }
    }
}

/// The value as a type of oci-spec. umoci writes `null` for an empty list, which that type refuses.
fn typed<T: DeserializeOwned>(mut value: Value, name: &str, list: &str) -> Result<T> {
    if let Some(list) = value.get_mut(list).filter(|list| list.is_null()) {
        *list = Value::Array(Vec::new());
    }
    for descriptor in value.get_mut("manifests").and_then(Value::as_array_mut).into_iter().flatten() {
        // An artifact may have a platform without members.
        if let Some(platform) = descriptor.get_mut("platform").and_then(Value::as_object_mut) {
            platform.entry("os").or_insert_with(|| "".into());
            platform.entry("architecture").or_insert_with(|| "".into());
        }
    }
    if value["schemaVersion"] != 2 {
        bail!("{name}: schemaVersion: it is {}, not 2", value["schemaVersion"]);
    }
    serde_json::from_value(value).with_context(|| name.to_owned())
}

/// Reads an image's config.
///
/// # Errors
/// Not JSON; a wrong type; no list of layers.
pub fn config(bytes: &[u8], name: &str) -> Result<ImageConfiguration> {
    let mut value: Value = serde_json::from_slice(bytes).with_context(|| name.to_owned())?;
    let Some(members) = value.as_object_mut() else { bail!("{name}: not an object") };
    // oci-spec demands members that old images lack, and lists where Go writes null.
    for member in ["os", "architecture"] {
        members.entry(member).or_insert_with(|| "".into());
    }
    if members.get("history").is_some_and(Value::is_null) {
        members.remove("history");
    }
    let Some(rootfs) = members.get_mut("rootfs").and_then(Value::as_object_mut) else {
        bail!("{name}: rootfs: missing");
    };
    rootfs.entry("type").or_insert_with(|| "layers".into());
    if rootfs["type"] != "layers" {
        bail!("{name}: rootfs.type: it is {}, not \"layers\"", rootfs["type"]);
    }
    let ids = rootfs.entry("diff_ids").or_insert(Value::Null);
    if ids.is_null() {
        *ids = Value::Array(Vec::new());
    }
    for member in ["ExposedPorts", "Volumes"] {
        // The values of these maps have no members; old versions of docker write null.
        let map = value.get_mut("config").and_then(|config| config.get_mut(member)).and_then(Value::as_object_mut);
        map.into_iter().flat_map(|map| map.values_mut()).for_each(|value| *value = Value::Object(Default::default()));
    }
    serde_json::from_value(value).with_context(|| name.to_owned())
}

/// The digest of a descriptor. oci-spec accepts more algorithms and letters than tare.
///
/// # Errors
/// It is not one of tare's digests.
pub fn digest(descriptor: &Descriptor) -> Result<Digest> {
    Digest::parse(descriptor.digest().as_ref())
}

/// Checks that a manifest has the config of an image.
///
/// # Errors
/// The manifest is of an artifact.
pub fn check_config_type(descriptor: &Descriptor, name: &str) -> Result<()> {
    match descriptor.media_type() {
        MediaType::ImageConfig => Ok(()),
        MediaType::Other(kind) if kind == DOCKER_CONFIG => Ok(()),
        kind => bail!("{name}: an artifact with a config of the media type {:?}, not an image", kind.as_ref()),
    }
}

/// Checks the media type of a layer. Its compression is found by its first bytes, not by this type.
///
/// # Errors
/// An encrypted layer, or another unknown type.
pub fn check_layer_type(descriptor: &Descriptor) -> Result<()> {
    let kind = descriptor.media_type().as_ref();
    let digest = descriptor.digest();
    if kind.ends_with("+encrypted") {
        bail!("layer {digest}: encrypted layers ({kind:?}) are not supported");
    }
    let stem = ["application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar"]
        .into_iter()
        .chain(["application/vnd.docker.image.rootfs.diff.tar", "application/vnd.docker.image.rootfs.foreign.diff.tar"])
        .find_map(|stem| kind.strip_prefix(stem));
    match stem {
        Some("" | "+gzip" | "+zstd" | ".gzip" | ".zstd") => Ok(()),
        _ => bail!("layer {digest}: the media type {kind:?} is not supported"),
    }
}

/// Whether a layer may be missing from an image, because only its author may hand it out.
pub fn is_foreign(descriptor: &Descriptor) -> bool {
    let kind = descriptor.media_type().as_ref();
    kind.contains(".nondistributable.") || kind.contains(".foreign.")
}
