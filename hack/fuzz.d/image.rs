//! For any documents, layers and tar files of an image, the reader of images does not panic, and a refusal is one line.
//!
//! The first byte chooses the part of an image that the other bytes are. The other parts are right, with digests that fit.
#![no_main]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use tare::image::accounts::Accounts;
use tare::image::config::{ImageFiles, from_image};
use tare::image::digest::Digest;
use tare::image::name::{ImageName, Reference};
use tare::image::platform::Platform;
use tare::image::source::ImageSource;

const CONFIG: &[u8] =
    br#"{"os":"linux","architecture":"amd64","config":{"Cmd":["x"]},"rootfs":{"type":"layers","diff_ids":[]}}"#;

fn member(tar: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

fn blob(tar: &mut Vec<u8>, kind: &str, content: &[u8]) -> serde_json::Value {
    let digest = Digest::of(content);
    member(tar, &format!("blobs/sha256/{}", digest.hex()), content);
    let kind = format!("application/vnd.oci.image.{kind}");
    json!({"mediaType": kind, "digest": digest.to_string(), "size": content.len()})
}

/// An image layout in which the data are one part.
fn layout(part: u8, data: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    member(&mut tar, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    let layer = blob(&mut tar, "layer.v1.tar", if part == 3 { data } else { b"" });
    let with_layer = || String::from_utf8_lossy(CONFIG).replace("[]", &format!("[{}]", layer["digest"])).into_bytes();
    let config = match part {
        0 => data.to_vec(),
        3 => with_layer(),
        _ => CONFIG.to_vec(),
    };
    let config = blob(&mut tar, "config.v1+json", &config);
    let layers = if part == 3 { json!([layer]) } else { json!([]) };
    let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers}).to_string().into_bytes();
    let manifest = blob(&mut tar, "manifest.v1+json", if part == 1 { data } else { &manifest });
    let index = json!({"schemaVersion": 2, "manifests": [manifest]}).to_string().into_bytes();
    member(&mut tar, "index.json", if part == 2 { data } else { &index });
    tar
}

fn check(result: Result<(), String>) {
    if let Err(text) = result {
        assert!(!text.contains('\n'), "not one line: {text}");
    }
}

fn read(tar: &[u8]) -> Result<(), String> {
    let text = |error| format!("{error:#}");
    // SAFETY: the name ends with a NUL, and the new descriptor has no other owner.
    let mut file = unsafe { File::from_raw_fd(libc::memfd_create(c"image".as_ptr(), libc::MFD_CLOEXEC)) };
    file.write_all(tar).map_err(|error| error.to_string())?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
    let source = ImageSource::open(&ImageName { kind: None, path, reference: Reference::Only }).map_err(text)?;
    let image = source.image(&Platform::new("linux", "amd64", None)).map_err(text)?;
    for layer in &image.layers {
        let content = source.layer(layer).map_err(|error| error.to_string())?;
        std::io::copy(&mut content.take(1 << 20), &mut std::io::sink()).map_err(|error| error.to_string())?;
    }
    let template = json!({"process": {"user": {}, "env": ["A=B"]}, "root": {}, "mounts": [{"destination": "/proc"}]});
    let accounts = Accounts { passwd: Some(b"root:x:0:0::/root:\na:x:1:2::/:\n"), group: Some(b"b:x:3:a\n") };
    let files = ImageFiles { accounts, owner: &|_| Some((1, 2)) };
    let made = from_image(template, &image.config, &files).map_err(text)?;
    assert!(made.warnings.iter().all(|warning| !warning.contains('\n')));
    let annotations = made.config["annotations"].as_object().expect("annotations");
    assert!(annotations.keys().all(|name| !name.starts_with("dev.tare.") && !name.starts_with("run.oci.")));
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let Some((part, data)) = data.split_first() else { return };
    check(match part % 5 {
        4 => read(data),
        part => read(&layout(part, data)),
    });
});
