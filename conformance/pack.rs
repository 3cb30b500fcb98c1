//! `diff` and `pack`: the changes of a writable layer, and the image that has them. Only tare has these commands, so
//! other runtimes skip these tests.

use crate::harness::bundle::scratch;
use crate::harness::*;
use anyhow::{Context, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, mknod};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

tests![
    diff_is_dockers,
    diff_of_a_forged_name,
    diff_of_no_layers,
    of_a_running_container,
    pack_is_the_same_twice,
    pack_of_the_epoch,
    pack_is_what_umoci_unpacks,
    pack_is_what_skopeo_and_podman_read,
    pack_of_no_changes,
    pack_keeps_the_layers_of_the_image,
    pack_without_the_image,
    pack_replaces_a_tag,
    packs_at_the_same_time,
    pack_has_the_owners_that_the_container_sees,
    pack_by_a_user,
    pack_of_what_no_layer_can_hold,
    pack_to_no_layout,
    pack_of_a_damaged_image,
    pack_that_is_killed,
];

/// A bundle with two layers and a writable one.
struct Layered {
    dir: TempDir,
}

impl Layered {
    fn new() -> Result<Layered> {
        if !runtime::is("tare") {
            return skip("only tare has these commands");
        }
        let layered = Layered { dir: scratch()? };
        let container = Bundle::new(["true"]).build()?;
        fs::create_dir(layered.at("b"))?;
        for layer in ["base", "next", "upper"] {
            fs::create_dir(layered.path(layer))?;
            fs::set_permissions(layered.path(layer), PermissionsExt::from_mode(0o755))?;
        }
        let mut config: Value = serde_json::from_slice(&fs::read(container.bundle().join("config.json"))?)?;
        config["annotations"] = json!({
            "dev.tare.layers": "[\"base\", \"next\"]",
            "dev.tare.upper": "upper",
        });
        fs::write(layered.path("config.json"), config.to_string())?;
        for path in ["base/etc/deep/kept", "base/etc/gone", "base/opaque/old", "base/opaque/both", "base/replaced/x"] {
            layered.file(path, path)?;
        }
        layered.file("next/etc/next", "next")?;
        Ok(layered)
    }

    /// [`Layered::new`] with changes of all kinds.
    fn changed() -> Result<Layered> {
        let layered = Layered::new()?;
        layered.file("upper/etc/deep/new", "new")?;
        layered.file("upper/etc/next", "changed")?;
        layered.whiteout("upper/etc/gone")?;
        layered.file("upper/opaque/both", "new")?;
        set_attribute(&layered.path("upper/opaque"), "trusted.overlay.opaque", b"y")?;
        layered.file("upper/replaced", "a file")?;
        layered.file(&format!("upper/{}/{}", "d".repeat(120), "f".repeat(200)), "long")?;
        fs::hard_link(layered.path("upper/etc/deep/new"), layered.path("upper/link"))?;
        symlink("/etc/./deep/../next", layered.path("upper/symlink"))?;
        mknod(&layered.path("upper/null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), libc::makedev(1, 3))?;
        nix::unistd::mkfifo(&layered.path("upper/fifo"), Mode::from_bits_truncate(0o640))?;
        chown(layered.path("upper/etc/next"), Some(3_000_000), Some(70_000))?;
        lchown(layered.path("upper/symlink"), Some(1000), Some(1001))?;
        fs::set_permissions(layered.path("upper/etc/next"), PermissionsExt::from_mode(0o6751))?;
        set_attribute(&layered.path("upper/etc/next"), "user.note", b"a line\nand\0another=")?;
        Ok(layered)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// A path in the bundle.
    fn path(&self, path: &str) -> PathBuf {
        self.at("b").join(path)
    }

    fn file(&self, path: &str, text: &str) -> Result {
        let path = self.path(path);
        fs::create_dir_all(path.parent().context("a parent")?)?;
        Ok(fs::write(path, text)?)
    }

    fn whiteout(&self, path: &str) -> Result {
        Ok(mknod(&self.path(path), SFlag::S_IFCHR, Mode::empty(), 0)?)
    }

    fn annotate(&self, name: &str, value: &str) -> Result {
        let mut config: Value = serde_json::from_slice(&fs::read(self.path("config.json"))?)?;
        config["annotations"][name] = value.into();
        Ok(fs::write(self.path("config.json"), config.to_string())?)
    }

    fn diff(&self) -> Result<Output> {
        Call::new(["diff"]).arg(self.at("b")).output()
    }

    fn pack_call(&self, image: &str) -> Call {
        Call::new(["pack"]).arg(self.at("b")).arg(self.at(image))
    }

    /// Packs, and returns the digest that the command prints.
    fn pack(&self, image: &str) -> Result<String> {
        let output = self.pack_call(image).output()?;
        let digest = output.success()?.stdout.trim().to_owned();
        ensure!(digest.starts_with("sha256:") && digest.len() == 71, "no digest: {output}");
        Ok(digest)
    }

    fn document(&self, layout: &str, digest: &str) -> Result<Value> {
        let path = self.at(layout).join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// The manifest with this digest, and its config.
    fn image(&self, layout: &str, digest: &str) -> Result<(Value, Value)> {
        let manifest = self.document(layout, digest)?;
        let config = manifest["config"]["digest"].as_str().context("a digest")?.to_owned();
        Ok((manifest, self.document(layout, &config)?))
    }

    fn index(&self, layout: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&fs::read(self.at(layout).join("index.json"))?)?)
    }
}

fn set_attribute(path: &Path, name: &str, value: &[u8]) -> Result {
    let (path, name) = (CString::new(path.as_os_str().as_bytes())?, CString::new(name)?);
    // SAFETY: two C strings and a slice with its own length, which outlive the call.
    let set = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    ensure!(set == 0, "lsetxattr {path:?}: {}", std::io::Error::last_os_error());
    Ok(())
}

/// The attribute `user.note`.
fn note(path: &Path) -> Result<Vec<u8>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut value = vec![0u8; 100];
    let name = c"user.note".as_ptr();
    // SAFETY: two C strings and a buffer with its own length, which outlive the call.
    let count = unsafe { libc::lgetxattr(path.as_ptr(), name, value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(count).unwrap_or_default());
    Ok(value)
}

/// The program, or a skip if this machine does not have it.
fn program(name: &str) -> Result<PathBuf> {
    let places = ["/usr/bin", "/usr/sbin", "/bin"].map(|place| Path::new(place).join(name));
    match places.into_iter().find(|place| place.exists()) {
        Some(place) => Ok(place),
        None => skip(format!("{name} is not installed")),
    }
}

fn call(program: &Path, words: &[&str]) -> Result<String> {
    outcome(Command::new(program).args(words))
}

/// The output of a command that must succeed.
fn outcome(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    Ok(text(&output.stdout))
}

/// All entries of a tree, each with its properties.
fn tree(root: &Path) -> Result<BTreeMap<PathBuf, String>> {
    let mut found = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(directory) = ahead.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            let facts = fs::symlink_metadata(&path)?;
            let relative = path.strip_prefix(root)?.to_owned();
            let content = match facts.file_type() {
                kind if kind.is_dir() => {
                    ahead.push(path.clone());
                    String::new()
                }
                kind if kind.is_symlink() => format!("{:?}", fs::read_link(&path)?),
                kind if kind.is_file() => {
                    format!("{:?}", fs::read(&path)?.iter().map(|byte| u64::from(*byte)).sum::<u64>())
                }
                _ => String::new(),
            };
            if facts.nlink() > 1 && !facts.is_dir() {
                names.entry(facts.ino()).or_insert_with(Vec::new).push(relative.clone());
            }
            let line = format!(
                "{:o} {}:{} {} {}.{:09} {:?} {content}",
                facts.mode(),
                facts.uid(),
                facts.gid(),
                facts.rdev(),
                facts.mtime(),
                facts.mtime_nsec(),
                note(&path)?
            );
            found.insert(relative, line);
        }
    }
    for mut group in names.into_values() {
        group.sort();
        found.insert(PathBuf::from(format!("links {group:?}")), String::new());
    }
    Ok(found)
}

/// `diff` prints the lines of `docker diff`, for a bundle and in the order of docker.
fn diff_is_dockers() -> Result {
    let layered = Layered::changed()?;
    let long = "d".repeat(120);
    let wanted = [
        &format!("A /{long}"),
        &format!("A /{long}/{}", "f".repeat(200)),
        "C /etc",
        "C /etc/deep",
        "A /etc/deep/new",
        "D /etc/gone",
        "C /etc/next",
        "A /fifo",
        "A /link",
        "A /null",
        "C /opaque",
        "C /opaque/both",
        "D /opaque/old",
        "C /replaced",
        "A /symlink",
    ];
    let output = layered.diff()?;
    equal("lines", output.success()?.stdout.lines().collect::<Vec<_>>(), wanted)
}

/// A name with a line break makes no line of its own, and a terminal's control sequences are not printed.
fn diff_of_a_forged_name() -> Result {
    let layered = Layered::new()?;
    fs::write(layered.path("upper").join("x\nD etc\x1b[2J"), "")?;
    equal("lines", layered.diff()?.success()?.stdout.as_str(), "A /x\\nD etc\\033[2J\n")
}

/// Places without layers are refused with a reason.
fn diff_of_no_layers() -> Result {
    let layered = Layered::new()?;
    let container = Bundle::new(["true"]).create()?;
    container.call(["diff"]).arg(&container.id).output()?.fails_with("this container has no layers")?;
    Call::new(["diff"]).arg(container.bundle()).output()?.fails_with("dev.tare.layers")?;
    container.call(["diff", "nobody"]).output()?.fails_with("neither a container nor a bundle")?;
    Call::new(["diff", "/no/where"]).output()?.fails_with("no such file or directory")?;
    fs::remove_dir(layered.path("upper"))?;
    layered.diff()?.fails_with("upper: no such file or directory").map(drop)
}

/// The id of a running container is the name of its layers, those of `--layer`, too.
fn of_a_running_container() -> Result {
    if !runtime::is("tare") {
        return skip("only tare has these commands");
    }
    let container = Bundle::new(["write", "/etc/new", "x", ",", "pause"]).file("/etc/old", "").build()?;
    let layer = container.bundle().join("layer");
    fs::rename(container.rootfs(), &layer)?;
    fs::create_dir(container.rootfs())?;
    container.launch(["create", "--layer", "layer"]).current_dir(&container.bundle()).output()?.success()?;
    container.start()?;
    container.wait_output("write /etc/new: ok")?;
    let diff = container.call(["diff"]).arg(&container.id).output()?;
    diff.success()?.has_line("C /etc")?.has_line("A /etc/new")?;
    ensure!(!diff.stdout.contains("/etc/old"), "a file of the layer is changed: {diff}");
    let image = container.bundle().join("image:v1");
    container.call(["pack"]).arg(&container.id).arg(image).output()?.success()?;
    ensure!(container.bundle().join("image/index.json").exists(), "no image");
    container.stop()
}

/// The same input gives the same digest: in another layout, and from a copy of the layers.
fn pack_is_the_same_twice() -> Result {
    let layered = Layered::changed()?;
    let first = layered.pack("one:v1")?;
    equal("digest in another layout", &layered.pack("two:v2")?, &first)?;
    call(
        Path::new("/bin/cp"),
        &["-a", &layered.at("b").display().to_string(), &layered.at("c").display().to_string()],
    )?;
    fs::rename(layered.at("b"), layered.at("d"))?;
    fs::rename(layered.at("c"), layered.at("b"))?;
    equal("digest of a copy", &layered.pack("three:v1")?, &first)?;
    layered.file("upper/etc/next", "other")?;
    ensure!(layered.pack("one:v1")? != first, "another file has the same digest");
    Ok(())
}

/// `SOURCE_DATE_EPOCH` is the time of creation; without it that is the newest file's.
fn pack_of_the_epoch() -> Result {
    let layered = Layered::changed()?;
    let output = layered.pack_call("one:v1").env("SOURCE_DATE_EPOCH", "86400").output()?;
    let (_, config) = layered.image("one", output.success()?.stdout.trim())?;
    equal("created", &config["created"], &json!("1970-01-02T00:00:00Z"))?;
    equal("history", &config["history"][2], &json!({ "created": "1970-01-02T00:00:00Z", "created_by": "tare pack" }))?;
    let wrong = layered.pack_call("one:v1").env("SOURCE_DATE_EPOCH", "soon").output()?;
    wrong.fails_with("SOURCE_DATE_EPOCH: \"soon\"").map(drop)
}

/// umoci unpacks the image to the tree that overlayfs shows of the layers.
fn pack_is_what_umoci_unpacks() -> Result {
    let umoci = program("umoci")?;
    let layered = Layered::changed()?;
    layered.pack("image:v1")?;
    let merged = layered.at("merged");
    fs::create_dir(&merged)?;
    let layers = ["upper", "next", "base"].map(|layer| layered.path(layer).display().to_string()).join(":");
    mount(Some("overlay"), &merged, Some("overlay"), MsFlags::MS_RDONLY, Some(format!("lowerdir={layers}").as_str()))?;
    let wanted = tree(&merged);
    umount2(&merged, MntFlags::MNT_DETACH)?;
    let (image, bundle) = (layered.at("image:v1").display().to_string(), layered.at("u").display().to_string());
    call(&umoci, &["unpack", "--image", &image, &bundle])?;
    let (seen, wanted) = (tree(&layered.at("u/rootfs"))?, wanted?);
    ensure!(wanted.len() > 12, "the merged tree is small: {wanted:?}");
    let differing = |one: &BTreeMap<PathBuf, String>, other: &BTreeMap<PathBuf, String>| -> Vec<String> {
        one.iter().filter(|(path, line)| other.get(*path) != Some(line)).map(|it| format!("{it:?}")).collect()
    };
    equal("entries of the merged tree alone", differing(&wanted, &seen), Vec::<String>::new())?;
    equal("entries of umoci's tree alone", differing(&seen, &wanted), Vec::<String>::new())
}

/// skopeo describes the image, and podman has its files.
fn pack_is_what_skopeo_and_podman_read() -> Result {
    let (skopeo, podman) = (program("skopeo")?, program("podman")?);
    let layered = Layered::changed()?;
    let digest = layered.pack("image:v1")?;
    let name = format!("oci:{}", layered.at("image:v1").display());
    let seen: Value = serde_json::from_str(&call(&skopeo, &["inspect", &name])?)?;
    equal("digest", &seen["Digest"], &json!(digest))?;
    equal("layers", seen["Layers"].as_array().map(Vec::len), Some(3))?;
    equal("environment", &seen["Env"], &json!(["PATH=/"]))?;
    let archive = format!("docker-archive:{}:x/y:1", layered.at("docker.tar").display());
    call(&skopeo, &["copy", "--quiet", "--insecure-policy", &name, &archive])?;
    // podman makes a name of the path, and names have small letters only.
    let with = |words: &[&str]| {
        let mut command = Command::new(&podman);
        command.args([
            "--root",
            "podman",
            "--runroot",
            "run",
            "--storage-driver",
            "vfs",
            "--cgroup-manager",
            "cgroupfs",
        ]);
        outcome(command.args(words).current_dir(layered.dir.path()))
    };
    let id = with(&["pull", "--quiet", "oci:image:v1"])?;
    let tree = with(&["image", "mount", id.trim()])?;
    let seen = fs::read_to_string(Path::new(tree.trim()).join("etc/next"))?;
    let gone = Path::new(tree.trim()).join("etc/gone").exists();
    with(&["image", "umount", id.trim()])?;
    let removed = with(&["rmi", "--force", id.trim()]);
    equal("a changed file", seen.as_str(), "changed")?;
    ensure!(!gone, "a deleted file is there");
    removed.map(drop)
}

/// Without changes the image has an empty layer on top, which the readers accept.
fn pack_of_no_changes() -> Result {
    let layered = Layered::new()?;
    equal("diff", layered.diff()?.success()?.stdout.as_str(), "")?;
    let digest = layered.pack("image:v1")?;
    let (manifest, config) = layered.image("image", &digest)?;
    equal("layers", manifest["layers"].as_array().map(Vec::len), Some(3))?;
    // The digest of two empty blocks, by which docker knows an empty layer.
    let empty = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    equal("the diff id of the new layer", &config["rootfs"]["diff_ids"][2], &json!(empty))?;
    let umoci = program("umoci")?;
    let (image, bundle) = (layered.at("image:v1").display().to_string(), layered.at("u").display().to_string());
    call(&umoci, &["unpack", "--image", &image, &bundle])?;
    equal("a file", fs::read_to_string(layered.at("u/rootfs/etc/next"))?.as_str(), "next")
}

/// A bundle whose layers come from an image: the two layers, packed with changes, and new changes on top.
fn from_an_image() -> Result<(Layered, Value)> {
    let layered = Layered::changed()?;
    let digest = layered.pack("image:v1")?;
    let (manifest, _) = layered.image("image", &digest)?;
    layered.annotate("dev.tare.image", &format!("{}@{digest}", layered.at("image").display()))?;
    layered.annotate("dev.tare.layers", "[\"base\", \"next\", \"upper\"]")?;
    layered.annotate("dev.tare.upper", "more")?;
    layered.file("more/etc/more", "more")?;
    Ok((layered, manifest))
}

/// The layers of the image that a bundle was made of are taken as they are, into its own layout or another one.
fn pack_keeps_the_layers_of_the_image() -> Result {
    let (layered, before) = from_an_image()?;
    let digest = layered.pack("image:v2")?;
    equal("digest in another layout", &layered.pack("other:v2")?, &digest)?;
    for layout in ["image", "other"] {
        let (manifest, config) = layered.image(layout, &digest)?;
        let layers = manifest["layers"].as_array().context("layers")?;
        equal("layers", layers.len(), 4)?;
        equal("the layers of the image", &layers[..3], before["layers"].as_array().context("layers")?.as_slice())?;
        equal("history", config["history"].as_array().map(Vec::len), Some(4))?;
        for layer in layers {
            let hex = layer["digest"].as_str().context("a digest")?.trim_start_matches("sha256:");
            let size = fs::metadata(layered.at(layout).join("blobs/sha256").join(hex))?.len();
            equal("size", Some(size), layer["size"].as_u64())?;
        }
    }
    Ok(())
}

/// If the image is gone, a warning says so, and the layers are written from their directories.
fn pack_without_the_image() -> Result {
    let (layered, _) = from_an_image()?;
    fs::rename(layered.at("image"), layered.at("gone"))?;
    let output = layered.pack_call("new:v1").output()?;
    contains("warning", &output.success()?.stderr, "all layers are written anew")?;
    let (manifest, config) = layered.image("new", output.stdout.trim())?;
    equal("layers", manifest["layers"].as_array().map(Vec::len), Some(4))?;
    equal("program", &config["config"]["Cmd"], &json!(["/payload", "true"]))
}

/// A tag names the newest image; other tags stay.
fn pack_replaces_a_tag() -> Result {
    let layered = Layered::changed()?;
    let old = layered.pack("image:a")?;
    layered.pack("image:b")?;
    layered.file("upper/etc/next", "newer")?;
    let new = layered.pack("image:a")?;
    let index = layered.index("image")?;
    let name = |it: &Value| (it["annotations"]["org.opencontainers.image.ref.name"].clone(), it["digest"].clone());
    let names: Vec<_> = index["manifests"].as_array().context("manifests")?.iter().map(name).collect();
    equal("tags", names, vec![(json!("b"), json!(old)), (json!("a"), json!(new))])
}

/// Packs into one layout at the same time all keep their tags.
fn packs_at_the_same_time() -> Result {
    let layered = Layered::changed()?;
    let tags: Vec<String> = (0..8).map(|number| format!("image:t{number}")).collect();
    let running = tags.iter().map(|tag| layered.pack_call(tag).spawn()).collect::<Result<Vec<_>>>()?;
    for running in running {
        running.wait()?.success()?;
    }
    equal("manifests", layered.index("image")?["manifests"].as_array().map(Vec::len), Some(tags.len()))?;
    equal("entries of the layout", fs::read_dir(layered.at("image"))?.count(), 3)
}

/// Owners in the image are those that a container in a user namespace sees. An id that the namespace does not have stays.
fn pack_has_the_owners_that_the_container_sees() -> Result {
    let umoci = program("umoci")?;
    let layered = Layered::new()?;
    let mut config: Value = serde_json::from_slice(&fs::read(layered.path("config.json"))?)?;
    for kind in ["uidMappings", "gidMappings"] {
        config["linux"][kind] = json!([{ "containerID": 0, "hostID": 100_000, "size": 1000 }]);
    }
    config["linux"]["namespaces"].as_array_mut().context("namespaces")?.push(json!({ "type": "user" }));
    fs::write(layered.path("config.json"), config.to_string())?;
    for (name, owner) in [("mapped", 100_005), ("other", 7)] {
        layered.file(&format!("upper/{name}"), "")?;
        chown(layered.path(&format!("upper/{name}")), Some(owner), Some(owner))?;
    }
    let seen = |layered: &Layered, image: &str, bundle: &str| -> Result<[u32; 2]> {
        layered.pack(image)?;
        let (image, root) = (layered.at(image).display().to_string(), layered.at(bundle));
        call(&umoci, &["unpack", "--image", &image, &root.display().to_string()])?;
        let owner = |name: &str| fs::metadata(root.join("rootfs").join(name)).map(|facts| facts.uid());
        Ok([owner("mapped")?, owner("other")?])
    };
    equal("owners", seen(&layered, "one:1", "u1")?, [5, 7])?;
    // On id-mapped layers the files have the container's owners.
    layered.annotate("dev.tare.idmap", "true")?;
    equal("owners", seen(&layered, "two:1", "u2")?, [100_005, 7])
}

/// A user packs files that only root of the container's user namespace may read.
fn pack_by_a_user() -> Result {
    const USER: u32 = 1000;
    let layered = Layered::new()?;
    let mut config: Value = serde_json::from_slice(&fs::read(layered.path("config.json"))?)?;
    for kind in ["uidMappings", "gidMappings"] {
        config["linux"][kind] = json!([{ "containerID": 0, "hostID": USER, "size": 1 }]);
    }
    config["linux"]["namespaces"].as_array_mut().context("namespaces")?.push(json!({ "type": "user" }));
    fs::write(layered.path("config.json"), config.to_string())?;
    layered.file("upper/etc/secret", "secret")?;
    layered.whiteout("upper/etc/gone")?;
    set_attribute(&layered.path("upper/etc"), "user.overlay.opaque", b"y")?;
    fs::set_permissions(layered.path("upper/etc/secret"), PermissionsExt::from_mode(0o0))?;
    call(Path::new("/bin/chown"), &["-hR", "1000:1000", &layered.dir.path().display().to_string()])?;
    let output = layered.pack_call("image:v1").user(USER).output()?;
    let (manifest, config) = layered.image("image", output.success()?.stdout.trim())?;
    equal("layers", manifest["layers"].as_array().map(Vec::len), Some(3))?;
    equal("program", &config["config"]["Cmd"], &json!(["/payload", "true"]))?;
    equal("owner of the image", fs::metadata(layered.at("image/index.json"))?.uid(), USER)?;
    let lines = Call::new(["diff"]).arg(layered.at("b")).user(USER).output()?;
    let wanted = ["C /etc", "D /etc/deep", "D /etc/gone", "D /etc/next", "A /etc/secret"];
    equal("lines", lines.success()?.stdout.lines().collect::<Vec<_>>(), wanted)?;
    let top = manifest["layers"][2]["digest"].as_str().context("a digest")?.trim_start_matches("sha256:").to_owned();
    let layer = layered.at("image/blobs/sha256").join(top).display().to_string();
    let listed = call(Path::new("/bin/tar"), &["--numeric-owner", "-tvzf", &layer])?;
    let owners: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    equal("owners", owners, ["0/0"; 4])
}

/// A name that a layer cannot hold is refused by its path, and no image is left.
fn pack_of_what_no_layer_can_hold() -> Result {
    let layered = Layered::changed()?;
    layered.file("upper/etc/.wh.x", "")?;
    layered.pack_call("image:v1").output()?.fails_with("/etc/.wh.x: a layer cannot have a file")?;
    ensure!(!layered.at("image/index.json").exists(), "there is an image");
    equal("entries of the layout", fs::read_dir(layered.at("image"))?.count(), 2)?;
    fs::remove_file(layered.path("upper/etc/.wh.x"))?;
    set_attribute(&layered.path("upper/etc"), "trusted.overlay.redirect", b"/other")?;
    layered.pack_call("image:v1").output()?.fails_with("/etc/: trusted.overlay.redirect")?;
    ensure!(!layered.at("image/index.json").exists(), "there is an image");
    Ok(())
}

/// Only a layout, a new directory or an empty one is written to.
fn pack_to_no_layout() -> Result {
    let layered = Layered::new()?;
    fs::create_dir(layered.at("empty"))?;
    layered.pack("empty:v1")?;
    fs::create_dir(layered.at("full"))?;
    fs::write(layered.at("full/letter"), "")?;
    layered.pack_call("full:v1").output()?.fails_with("neither empty nor an OCI image layout")?;
    equal("entries", fs::read_dir(layered.at("full"))?.count(), 1)?;
    fs::write(layered.at("file"), "")?;
    layered.pack_call("file:v1").output()?.fails_with("file")?;
    for (image, part) in [("image", "the tag is missing"), ("image:a b", "is not a tag"), ("image:", "is not a tag")] {
        layered.pack_call(image).output()?.fails_with(part)?;
    }
    let other = Call::new(["pack"]).arg(layered.at("b")).arg("docker-archive:x.tar:1").output()?;
    other.fails_with("not docker-archive:")?;
    ensure!(!layered.at("image").exists(), "a directory is left");
    Ok(())
}

/// A layer of the image whose content is not that of its digest is not copied.
fn pack_of_a_damaged_image() -> Result {
    let (layered, manifest) = from_an_image()?;
    let digest = manifest["layers"][1]["digest"].as_str().context("a digest")?.to_owned();
    let path = layered.at("image/blobs/sha256").join(digest.trim_start_matches("sha256:"));
    let mut bytes = fs::read(&path)?;
    let last = bytes.last_mut().context("a byte")?;
    *last ^= 1;
    fs::write(&path, bytes)?;
    layered.pack_call("other:v1").output()?.fails_with(&format!("blob {digest}: its content has the digest"))?;
    ensure!(!layered.at("other/index.json").exists(), "there is an image");
    let blob = layered.at("other/blobs/sha256").join(digest.trim_start_matches("sha256:"));
    ensure!(!blob.exists(), "the damaged layer is there");
    Ok(())
}

/// A pack that is killed leaves no part of a blob under a digest, and the next one removes its files.
fn pack_that_is_killed() -> Result {
    let layered = Layered::changed()?;
    // The end of this file never comes within the test.
    fs::File::create(layered.path("upper/large"))?.set_len(1 << 42)?;
    let running = layered.pack_call("image:v1").spawn()?;
    let count = |path: &str| fs::read_dir(layered.at(path)).into_iter().flatten().count();
    // The layers below are complete, and the layout has its version and the file of the new layer.
    let at_work = || count("image/blobs/sha256") == 2 && count("image") == 3;
    check::eventually("a part of a layer", || Ok(at_work()))?;
    running.signal(nix::sys::signal::Signal::SIGKILL)?;
    drop(running);
    ensure!(at_work() && !layered.at("image/index.json").exists(), "the pack came to an end");
    fs::remove_file(layered.path("upper/large"))?;
    layered.pack("image:v1")?;
    equal("entries of the layout", fs::read_dir(layered.at("image"))?.count(), 3)?;
    for blob in fs::read_dir(layered.at("image/blobs/sha256"))? {
        let blob = blob?.path();
        let sum = call(Path::new("/usr/bin/sha256sum"), &[&blob.display().to_string()])?;
        let name = blob.file_name().context("a name")?.to_string_lossy().into_owned();
        ensure!(sum.starts_with(&name), "{sum}");
    }
    Ok(())
}
