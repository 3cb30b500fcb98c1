//! Images that try to leave the store, to exhaust it, or to deceive `unpack`. Only tare unpacks images.

use crate::harness::image::{self, Entry, GZIP, Image, PLAIN, blob_path};
use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

tests![
    names_out_of_the_root,
    absolute_names_are_of_the_root,
    links_lead_nowhere_else,
    a_link_between_layers_leads_nowhere_else,
    hard_links_to_files_of_the_host,
    whiteouts_of_no_file,
    whiteouts_through_links,
    device_with_the_numbers_of_a_whiteout,
    a_file_below_a_device,
    attributes_of_overlayfs,
    bombs,
    broken_tar_files,
    broken_compression,
    paths_of_a_great_depth,
    digests_that_lie,
    sizes_that_lie,
    documents_that_lie,
    labels_that_act,
    settings_of_the_image,
];

fn image() -> Image {
    Image::new(["true"])
}

/// Unpacking is refused with one line that has these words, and nothing is left.
fn refused(name: &str, image: &Image, options: &[&str], words: &[&str]) -> Result {
    let stage = Stage::with(image)?;
    let output = stage.call(options).output()?;
    stage.refused(&output, words).with_context(|| format!("{name}: {output}"))
}

/// Unpacking succeeds, and touches the store and the bundle only.
fn contained(image: &Image, stage: &Stage) -> Result<Output> {
    image.write(&stage.image())?;
    let output = stage.unpack()?;
    output.success()?;
    stage.is_clean()?;
    Ok(output)
}

/// A name that leads out of the root is refused.
fn names_out_of_the_root() -> Result {
    for name in ["../x", "/../x", "a/../../x", "a/b/../../../x"] {
        refused(name, &image().layer(&[Entry::file(name, "x")]), &[], &[name, "out of the root"])?;
    }
    for name in ["..", "a/../.."] {
        refused(name, &image().layer(&[Entry::dir(name)]), &[], &[name, "out of the root"])?;
    }
    // A hard link's target is such a name, too.
    let link = Entry::hard_link("link", "../../etc/passwd");
    refused("target", &image().layer(&[link]), &[], &["\"link\"", "../../etc/passwd", "out of the root"])
}

/// An absolute name is one in the image's root.
fn absolute_names_are_of_the_root() -> Result {
    let stage = Stage::new()?;
    let name = stage.canary().join("new").display().to_string();
    contained(&image().layer(&[Entry::file(&name, "mine"), Entry::file("a/../b", "b")]), &stage)?;
    let layer = &stage.layers()?[0];
    equal("file", fs::read_to_string(layer.join(name.trim_start_matches('/')))?, "mine")?;
    equal("file", fs::read_to_string(layer.join("b"))?, "b")
}

/// Links to the host's directories, absolute and relative, through each other: what is written through them is inside.
fn links_lead_nowhere_else() -> Result {
    let stage = Stage::new()?;
    let outside = stage.canary().display().to_string();
    let up = format!("{}{}", "../".repeat(30), outside.trim_start_matches('/'));
    for (number, target) in [outside.as_str(), &up, "/proc/self/root", "/proc/self/cwd", "."].iter().enumerate() {
        let stage = Stage::new()?;
        let entries = [
            Entry::symlink("one", target),
            Entry::symlink("two", "one"),
            Entry::file("two/through", "x"),
            Entry::file("one/secret", "overwritten"),
            Entry::dir("two/directory").mode(0o700),
            Entry::symlink("two/link", "/etc"),
            Entry::file("two/link/tare-test-of-links", "x"),
            Entry::hard_link("hard", "two/through"),
        ];
        contained(&image().layer(&entries), &stage).with_context(|| format!("link {number} to {target}"))?;
        ensure!(!Path::new("/etc/tare-test-of-links").exists(), "a link to /etc was followed");
        let layer = &stage.layers()?[0];
        equal("content", fs::read_to_string(layer.join("hard"))?, "x")?;
        ensure!(fs::symlink_metadata(layer.join("one"))?.is_symlink(), "the link is gone");
    }
    // A second unpack of the same image finds the links.
    for (target, words) in [("loop", "loop"), ("/missing/../../x", "")] {
        let entries = [Entry::symlink("loop", target), Entry::file("loop/file", "x")];
        let stage = Stage::with(&image().layer(&entries))?;
        let output = stage.unpack()?;
        if output.status.success() {
            stage.is_clean()?;
        } else {
            stage.refused(&output, &[words])?;
        }
    }
    stage.is_clean()
}

/// A layer makes a link, and the next one writes through it.
fn a_link_between_layers_leads_nowhere_else() -> Result {
    let stage = Stage::new()?;
    let outside = stage.canary().display().to_string();
    let below = [Entry::symlink("out", &outside), Entry::symlink("far", "/../../../..")];
    let above = [
        Entry::file("out/new", "x"),
        Entry::file("out/secret", "overwritten"),
        Entry::new(b'0', "out/.wh.secret"),
        Entry::new(b'0', "out/.wh..wh..opq"),
        Entry::file("far/root-file", "x"),
    ];
    contained(&image().layer(&below).layer(&above), &stage)?;
    let layer = &stage.layers()?[1];
    equal("content", fs::read_to_string(layer.join(outside.trim_start_matches('/')).join("new"))?, "x")?;
    equal("content", fs::read_to_string(layer.join("root-file"))?, "x")
}

/// A hard link names a file of the image, never one of the host.
fn hard_links_to_files_of_the_host() -> Result {
    let stage = Stage::new()?;
    let secret = stage.canary().join("secret").display().to_string();
    let through = [Entry::symlink("out", stage.canary().display().to_string()), Entry::hard_link("l", "out/secret")];
    let last = [Entry::symlink("s", &secret), Entry::hard_link("l", "s")];
    refused("absolute", &image().layer(&[Entry::hard_link("l", &secret)]), &[], &["hard link", &secret, "missing"])?;
    refused("through a link", &image().layer(&through), &[], &["hard link", "out/secret", "missing"])?;
    refused("to a directory", &image().layer(&[Entry::dir("d"), Entry::hard_link("l", "d")]), &[], &["directory"])?;
    refused("to the root", &image().layer(&[Entry::hard_link("l", "/")]), &[], &["hard link"])?;
    refused("to itself", &image().layer(&[Entry::hard_link("l", "l")]), &[], &["hard link"])?;
    // A link to a link is another name of the link.
    contained(&image().layer(&last), &stage)?;
    let link = stage.layers()?[0].join("l");
    ensure!(fs::symlink_metadata(link)?.is_symlink(), "the hard link follows a link");
    equal("links of the file outside", fs::metadata(secret)?.nlink(), 1)
}

/// `.wh.` names a file that is deleted; without a name, or with one of a directory's own names, it is refused.
fn whiteouts_of_no_file() -> Result {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh...", "a/.wh.."] {
        let layer = [Entry::dir("a"), Entry::new(b'0', name)];
        refused(name, &image().layer(&[Entry::dir("a")]).layer(&layer), &[], &[name, "whiteout of no file"])?;
    }
    Ok(())
}

/// A whiteout behind links deletes a file of the image.
fn whiteouts_through_links() -> Result {
    let stage = Stage::new()?;
    let canary = stage.canary().display().to_string();
    let below = [Entry::file(format!("{canary}/secret"), "of the image"), Entry::symlink("out", &canary)];
    contained(&image().layer(&below).layer(&[Entry::new(b'0', "out/.wh.secret")]), &stage)?;
    let layers = stage.layers()?;
    let root = tree::Overlay::mount(&layers, &stage.path("root.by-test"))?;
    ensure!(!stage.path("root.by-test").join(canary.trim_start_matches('/')).join("secret").exists(), "still there");
    drop(root);
    Ok(())
}

/// A device 0/0 would delete a file without a whiteout. It is left out, with a warning.
fn device_with_the_numbers_of_a_whiteout() -> Result {
    let stage = Stage::new()?;
    let output =
        contained(&image().layer(&[Entry::file("file", "x")]).layer(&[Entry::device(b'3', "file", 0, 0)]), &stage)?;
    contains("warning", &output.stderr, "\"file\" is left out")?;
    equal("entries", fs::read_dir(&stage.layers()?[1])?.count(), 0)?;
    // The kernel would drop the high bits, so that 0/0 remains.
    for (major, minor) in [(4096, 0), (0, 1 << 20)] {
        let large = Entry::device(b'3', "null", major, minor);
        refused("numbers", &image().layer(&[large]), &[], &["\"null\"", "does not exist on Linux"])?;
    }
    Ok(())
}

/// A device or a FIFO in a path is no directory. Nobody opens it.
fn a_file_below_a_device() -> Result {
    for kind in [b'3', b'4', b'6'] {
        let entries = [Entry::device(kind, "node", 1, 3), Entry::file("node/file", "x")];
        refused("same layer", &image().layer(&entries), &[], &["node", "ot a directory"])?;
        let [node, file] = entries;
        refused("next layer", &image().layer(&[node]).layer(&[file]), &[], &["node", "ot a directory"])?;
    }
    // A file replaces a device; it is not written to the device.
    let stage = Stage::new()?;
    contained(&image().layer(&[Entry::device(b'3', "full", 1, 7), Entry::file("full", "x")]), &stage)?;
    equal("content", fs::read_to_string(stage.layers()?[0].join("full"))?, "x")
}

/// Attributes that overlayfs acts upon, such as a redirection to another directory, are left out.
fn attributes_of_overlayfs() -> Result {
    let stage = Stage::new()?;
    let entry = Entry::dir("a").xattr("trusted.overlay.redirect", "/b").xattr("trusted.overlay.opaque", "y");
    let entry = entry.xattr("user.overlay.metacopy", "").xattr("user.kept", "1");
    let output = contained(&image().layer(&[entry]), &stage)?;
    contains("warning", &output.stderr, "attribute of overlayfs")?;
    equal("attributes", tree::xattrs(&stage.layers()?[0].join("a"))?, ["user.kept=31"])
}

/// The limits hold for all layers together, and for what a small file unpacks to.
fn bombs() -> Result {
    let zeros = vec![0u8; 3 << 20];
    let half = [Entry::file("half", &zeros)];
    let more = ["more than 4194304 bytes", "--max-size"];
    let large = ["--max-size", "4M"];
    refused("gzip", &image().gzip_layer(&[Entry::file("zeros", vec![0u8; 5 << 20])])?, &large, &more)?;
    refused("two layers", &image().layer(&half).layer(&[Entry::file("b", &zeros)]), &large, &more)?;
    // A copy of a file below, for a hard link, counts.
    refused("copy", &image().layer(&half).layer(&[Entry::hard_link("l", "half")]), &large, &more)?;
    let bomb: Vec<Entry> = (0..20).map(|number| Entry::file(format!("f{number}"), "")).collect();
    refused("files", &image().layer(&bomb), &["--max-files", "19"], &["more than 19 files", "--max-files"])?;
    Stage::with(&image().layer(&bomb))?.call(&["--max-files", "20"]).output()?.success()?;
    let pax = Entry::file("f", "").xattr("user.large", vec![b'x'; 2 << 20]);
    refused("pax", &image().layer(&[pax]), &[], &["headers", "longer than"])
}

/// Layers that are no tar files, or end too early.
fn broken_tar_files() -> Result {
    let whole = image::tar(&[Entry::file("file", vec![b'x'; 4000])]);
    for (name, content, words) in [
        ("no tar", vec![b'x'; 2000], "not a tar file"),
        ("short", vec![b'x'; 100], "ends within a header"),
        ("cut data", whole[..2500].to_vec(), "ends within a file"),
        ("cut header", whole[..1300].to_vec(), "ends within a header"),
        ("only an extension", whole[..1024].to_vec(), "ends after a header"),
        ("unknown type", image::tar(&[Entry::new(b'Z', "odd")]), "unknown type"),
        ("size", image::tar(&[Entry::file("file", "x").claiming(1 << 32)]), "ends within a file"),
        ("owner", image::tar(&[Entry::file("file", "").record("uid", "4294967296")]), "no user or group"),
        ("time", image::tar(&[Entry::file("file", "").time("yesterday")]), "bad mtime"),
        ("pax", image::tar(&[Entry::file("file", "").record("size", "-1")]), "bad size"),
        ("nul", image::tar(&[Entry::file("file", "").record("path", b"a\0b")]), "NUL"),
    ] {
        refused(name, &image().blob(content.clone(), PLAIN, &content), &[], &["layer sha256:", words])?;
    }
    // Bytes behind the end of the tar file are part of the digest, and are not unpacked.
    let stage = Stage::new()?;
    let trailing = [whole, vec![b'x'; 3000]].concat();
    contained(&image().blob(trailing.clone(), PLAIN, &trailing), &stage)?;
    equal("entries", fs::read_dir(&stage.layers()?[0])?.count(), 1)
}

/// Layers that cannot be decompressed, and bytes behind their end.
fn broken_compression() -> Result {
    let content = image::tar(&[Entry::file("file", (0..60_000u32).map(|n| (n * n) as u8).collect::<Vec<_>>())]);
    let packed = image::gzip(&content)?;
    let mut wrong = packed.clone();
    let end = wrong.len() - 6;
    wrong[end] ^= 1;
    for (name, bytes) in [
        ("cut", packed[..packed.len() / 2].to_vec()),
        ("cut checksum", packed[..packed.len() - 4].to_vec()),
        ("wrong checksum", wrong),
        ("garbage", [&packed[..], b"garbage after the end"].concat()),
    ] {
        refused(name, &image().blob(bytes, GZIP, &content), &[], &["layer sha256:"])?;
    }
    // Two gzip files after one another are one (RFC 1952), so the content counts.
    let two = [image::gzip(&content[..1000])?, image::gzip(&content[1000..])?].concat();
    contained(&image().blob(two, GZIP, &content), &Stage::new()?).map(drop)
}

/// A path longer than the kernel's limit is refused. One that the links of an image make long is none of it.
fn paths_of_a_great_depth() -> Result {
    let deep = "d/".repeat(10_000);
    refused("depth", &image().layer(&[Entry::file(format!("{deep}f"), "x")]), &[], &["longer than 4095 bytes"])?;
    // Each member is a link into the one before, so that the whole depth is 10,000.
    let mut entries = vec![Entry::dir("l0")];
    for number in 1..=10u32 {
        let below = format!("l{}/{}", number - 1, "d/".repeat(1000));
        entries.push(Entry::dir(&below));
        entries.push(Entry::symlink(format!("l{number}"), below));
    }
    entries.push(Entry::file("l10/end", "x"));
    let stage = Stage::with(&image().layer(&entries))?;
    let output = stage.unpack()?;
    if output.status.success() { stage.is_clean() } else { stage.refused(&output, &["layer sha256:", "l"]) }
}

/// A file of the layout that is not what its digest says.
fn digests_that_lie() -> Result {
    let image = image().gzip_layer(&[Entry::file("file", "x")])?;
    let manifest = |stage: &Stage| -> Result<Value> {
        let index: Value = serde_json::from_slice(&fs::read(stage.image().join("index.json"))?)?;
        let digest = index["manifests"][0]["digest"].as_str().context("a digest")?.to_owned();
        Ok(json!({ "digest": digest, "document": serde_json::from_slice::<Value>(
            &fs::read(blob_path(&stage.image(), &digest))?)? }))
    };
    for place in ["/digest", "/document/config/digest", "/document/layers/0/digest"] {
        for missing in [false, true] {
            let stage = Stage::with(&image)?;
            let manifest = manifest(&stage)?;
            let digest = manifest.pointer(place).and_then(Value::as_str).context("a digest")?;
            let path = blob_path(&stage.image(), digest);
            let mut bytes = fs::read(&path)?;
            // A blank more or another one, so that JSON is still JSON and the size is the same.
            let last = bytes.len() - 1;
            bytes[last] ^= 0x20;
            fs::remove_file(&path)?;
            if !missing {
                fs::write(&path, bytes)?;
            }
            stage.refused(&stage.unpack()?, &[digest]).with_context(|| format!("{place}, missing: {missing}"))?;
        }
    }
    // The content of a layer is not what the config says.
    let mut liar = image.clone();
    liar.layers[0].diff_id = image::digest(b"other");
    refused("diff_id", &liar, &[], &[&image::digest(b"other")])
}

/// A size in a descriptor that is not the file's.
fn sizes_that_lie() -> Result {
    let bytes = image::tar(&[Entry::file("file", "x")]);
    for change in [-1i64, 1, 1 << 40] {
        let stage = Stage::with(&image().blob(bytes.clone(), PLAIN, &bytes))?;
        let index_path = stage.image().join("index.json");
        let mut index: Value = serde_json::from_slice(&fs::read(&index_path)?)?;
        let digest = index["manifests"][0]["digest"].as_str().context("a digest")?.to_owned();
        let mut manifest: Value = serde_json::from_slice(&fs::read(blob_path(&stage.image(), &digest))?)?;
        let layer = manifest["layers"][0]["digest"].as_str().context("a digest")?.to_owned();
        manifest["layers"][0]["size"] = json!(bytes.len() as i64 + change);
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let mut found = image::store(&stage.image(), media_type, manifest.to_string().as_bytes())?;
        found["annotations"] = index["manifests"][0]["annotations"].take();
        index["manifests"][0] = found;
        fs::write(&index_path, index.to_string())?;
        stage.refused(&stage.unpack()?, &[&layer, "size"]).with_context(|| format!("{change}"))?;
    }
    Ok(())
}

/// An index, manifest or config that cannot be.
fn documents_that_lie() -> Result {
    let good = image().layer(&[Entry::file("file", "x")]);
    // An index in an index that has the same digest cannot be made; one that is as deep as a test likes can.
    let stage = Stage::with(&good)?;
    let index_path = stage.image().join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&index_path)?)?;
    for _ in 0..50 {
        let nested = "application/vnd.oci.image.index.v1+json";
        let mut found = image::store(&stage.image(), nested, index.to_string().as_bytes())?;
        found["annotations"] = json!({ "org.opencontainers.image.ref.name": "t" });
        index = json!({ "schemaVersion": 2, "mediaType": nested, "manifests": [found] });
    }
    fs::write(&index_path, index.to_string())?;
    stage.refused(&stage.unpack()?, &["index"])?;
    for (text, word) in
        [("", "index.json"), ("{", "index.json"), ("[]", "index.json"), ("{\"manifests\":7}", "index.json")]
    {
        fs::write(&index_path, text)?;
        stage.refused(&stage.unpack()?, &[word]).with_context(|| format!("index {text:?}"))?;
    }
    let mut more = good.clone();
    more.config["rootfs"]["diff_ids"] = json!([]);
    let stage = Stage::with(&good)?;
    let missing = Call::new(["unpack", "--store"]).arg(stage.store());
    let output = missing.arg(format!("{}:missing", stage.image().display())).arg(stage.bundle()).output()?;
    stage.refused(&output, &["missing"])?;
    let output = stage.call(&["--platform", "linux/s390x"]).output()?;
    stage.refused(&output, &["linux/s390x"])?;
    // A tag that would be a path.
    let output = Call::new(["unpack", "--store"]).arg(stage.store());
    let output = output.arg(format!("{}@sha256:../../../canary/secret", stage.image().display())).arg(stage.bundle());
    stage.refused(&output.output()?, &["sha256:"])
}

/// Labels that a runtime acts upon are left out, with a warning. Others become annotations.
fn labels_that_act() -> Result {
    let stage = Stage::new()?;
    let names = ["dev.tare.layers", "dev.tare.upper", "dev.tare.keep", "run.oci.hooks.stderr", "run.oci.handler"];
    let names = names.into_iter().chain(["org.systemd.property.ExecStart", "org.criu.config", "harmless"]);
    let labels: serde_json::Map<String, Value> = names.clone().map(|name| (name.to_owned(), json!("/"))).collect();
    let output = contained(&image().layer(&[Entry::file("f", "")]).set("Labels", json!(labels)), &stage)?;
    let config: Value = serde_json::from_slice(&fs::read(stage.bundle().join("config.json"))?)?;
    for name in names.filter(|name| *name != "harmless") {
        contains("warning", &output.stderr, name)?;
        ensure!(config["annotations"][name] != "/", "{name} is set by the image");
    }
    equal("annotation", &config["annotations"]["harmless"], "/")
}

/// Settings of the image that cannot be carried out are refused by their names.
fn settings_of_the_image() -> Result {
    for (key, value, words) in [
        ("User", json!("nobody-knows"), &["nobody-knows"][..]),
        ("User", json!("0:nobody-knows"), &["nobody-knows"]),
        ("User", json!("4294967295"), &["4294967295"]),
        ("Volumes", json!({ "/": {} }), &["Volumes", "\"/\""]),
        ("Volumes", json!({ "/proc": {} }), &["Volumes", "/proc"]),
        ("Volumes", json!({ "/dev/../proc/x": {} }), &["Volumes", "/dev/../proc/x"]),
        ("Volumes", json!({ "relative": {} }), &["Volumes", "relative"]),
        ("WorkingDir", json!("relative"), &["WorkingDir", "relative"]),
        ("Env", json!(["NOTHING"]), &["Env", "NOTHING"]),
        ("Entrypoint", json!([]), &["Entrypoint"]),
        ("StopSignal", json!("SIGNOTHING"), &["StopSignal", "SIGNOTHING"]),
        ("ExposedPorts", json!({ "99999/tcp": {} }), &["ExposedPorts", "99999/tcp"]),
    ] {
        let image = image().layer(&[Entry::file("f", "")]).set(key, value.clone());
        refused(&format!("{key}: {value}"), &image, &[], words)?;
    }
    // The account files are read in the image, whatever links they are.
    let passwd = Entry::symlink("etc/passwd", "/../../../../proc/self/root/etc/passwd");
    refused("passwd", &image().layer(&[passwd]).set("User", json!("root-of-host")), &[], &["root-of-host"])
}
