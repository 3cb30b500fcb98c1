//! `unpack`: from an image to a bundle. Only tare unpacks images; umoci's results are compared with.

use crate::harness::image::{self, Entry, GZIP, Image, PLAIN, ZSTD};
use crate::harness::tree::{Overlay, Tree};
use crate::harness::*;
use anyhow::{Context, ensure};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

tests![
    tricks_of_tar_are_unpacked_as_umoci_does,
    image_of_buildah_is_unpacked_as_umoci_does,
    image_of_an_ordinary_user,
    image_of_an_ordinary_user_with_subordinate_ids,
    killed_unpack_leaves_complete_layers,
    two_unpacks_at_once,
    second_bundle_shares_the_layers,
    bad_arguments,
    bad_images,
    store_without_space,
    store_that_is_read_only,
];

const USER: u32 = 64_341;

/// Whether a program is installed.
fn has(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

/// Runs a program that must succeed.
fn succeeds(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Unpacks with umoci to `name`, and returns the bundle.
fn by_umoci(stage: &Stage, layout: &Path) -> Result<PathBuf> {
    let bundle = stage.path("umoci.by-test");
    let image = format!("{}:t", layout.display());
    succeeds(Command::new("umoci").args(["unpack", "--image", &image]).arg(&bundle))?;
    Ok(bundle)
}

/// The tree that a container sees at its start.
fn union_tree(stage: &Stage) -> Result<Tree> {
    let root = stage.path("union.by-test");
    let mounted = Overlay::mount(&stage.layers()?, &root)?;
    let tree = Tree::read(&root);
    drop(mounted);
    tree
}

/// Sparse files as GNU tar writes them.
fn sparse_tar(stage: &Stage, name: &str, format: &str) -> Result<Vec<u8>> {
    let (dir, tar) = (stage.path("sparse.by-test"), stage.path("tar.by-test"));
    fs::create_dir_all(&dir)?;
    let file = fs::File::create(dir.join(name))?;
    for (offset, text) in [(0, "begin"), (1 << 20, "middle"), (3 << 20, "late")] {
        std::os::unix::fs::FileExt::write_all_at(&file, text.as_bytes(), offset)?;
    }
    file.set_len(5 << 20)?;
    let mut command = Command::new("tar");
    command.args(["--sparse", &format!("--format={format}"), "--mtime=@1000000000", "--owner=5", "--group=6", "-cf"]);
    succeeds(command.arg(&tar).arg("-C").arg(&dir).arg(name))?;
    Ok(fs::read(tar)?)
}

/// The layers of the image of tricks. A layer refers to those below in each way that a builder may.
fn tricks() -> [Vec<Entry>; 5] {
    let long = "n".repeat(255);
    let deep = format!("deep/{}", "directory-of-a-long-path/".repeat(20));
    let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let base = vec![
        Entry::dir("etc").mode(0o750).owner(3, 4).time("900000000.25"),
        Entry::file("etc/passwd", "root:x:0:0::/:/\n"),
        Entry::file("etc/deleted", "deleted by a later layer"),
        Entry::file("etc/again", "deleted, and made again"),
        Entry::dir("opaque"),
        Entry::file("opaque/below", "hidden"),
        Entry::dir("opaque/dir-below"),
        Entry::file("opaque/dir-below/file", "hidden"),
        Entry::dir("usr"),
        Entry::dir("usr/lib").mode(0o2755).owner(0, 50),
        Entry::symlink("lib", "usr/lib"),
        Entry::file("linked", "of two names").mode(0o640).owner(7, 8),
        Entry::hard_link("linked-too", "linked"),
        Entry::file("to-be-linked", "linked by a later layer").owner(9, 9),
        Entry::dir("becomes-file"),
        Entry::file("becomes-file/inner", "gone"),
        Entry::file("becomes-dir", "gone"),
        Entry::dir("removed"),
        Entry::file("removed/inner", "gone"),
        Entry::dir("parent").mode(0o1777).owner(11, 12),
        Entry::dir("parent/of").mode(0o700).owner(13, 14).xattr("user.parent", "kept"),
    ];
    let files = vec![
        Entry::file("setuid", "x").mode(0o4755).owner(5, 6),
        Entry::file("setgid", "x").mode(0o2711).owner(5, 6),
        Entry::dir("sticky").mode(0o1777),
        Entry::file("capable", "x").mode(0o755).owner(20, 20).xattr("security.capability", capability),
        Entry::file("attributes", "x").xattr("user.text", "a\nb").xattr("user.bytes", [0, 255, b'=', b'\n']),
        Entry::device(b'3', "null", 1, 3).mode(0o666),
        Entry::device(b'4', "disk", 7, 300).mode(0o660).owner(0, 6),
        Entry::new(b'6', "fifo").mode(0o4620).owner(1, 2),
        Entry::file("nanoseconds", "x").time("1234567890.123456789"),
        Entry::file("negative", "x").time("-1000.5"),
        Entry::symlink("dangling", "/nowhere/at all").owner(30, 31).time("1111111111.5"),
        Entry::file(&long, "a name of 255 bytes"),
        Entry::file(format!("{deep}file"), "x").time("999999999"),
        Entry::file(b"bytes-\xff\xfe-\xe4", "not UTF-8"),
        Entry::file("odd\nname \\ \"quoted\"", "x"),
        Entry::file("owners", "x").owner(2_000_000_000, 3_999_999_999),
        Entry::file("empty", ""),
    ];
    let changes = vec![
        // The parents are missing in this layer; one is a link below.
        Entry::file("parent/of/file", "x"),
        Entry::file("lib/library", "through the link").owner(0, 50),
        Entry::new(b'0', "etc/.wh.deleted"),
        // A whiteout is for the layers below, before and after the entry of this layer.
        Entry::new(b'0', "etc/.wh.again"),
        Entry::file("etc/again", "new"),
        Entry::hard_link("link-across", "to-be-linked"),
        Entry::file("becomes-file", "a file now"),
        Entry::dir("becomes-dir"),
        Entry::file("becomes-dir/inner", "new"),
        Entry::new(b'0', ".wh.removed"),
    ];
    let opaque = vec![
        Entry::dir("opaque"),
        Entry::new(b'0', "opaque/.wh..wh..opq"),
        Entry::file("opaque/above", "seen"),
        Entry::dir("removed"),
        Entry::file("removed/new", "made again"),
        Entry::hard_link("link-across-two", "link-across"),
        Entry::dir("etc").mode(0o755).owner(0, 0).time("950000000.75"),
    ];
    let last = vec![
        Entry::file("opaque/more", "beside"),
        Entry::file("linked", "no longer the same file"),
        Entry::new(b'0', ".wh.lib"),
        Entry::file("usr/lib/last", "x"),
        Entry::new(b'0', ".wh.no-such-file"),
    ];
    [base, files, changes, opaque, last]
}

/// The image of tricks. umoci 0.4 knows neither zstd nor GNU's own form of sparse files, so its image has neither.
fn image_of_tricks(stage: &Stage, with_zstd: bool, old_sparse: &str) -> Result<Image> {
    let [base, files, changes, opaque, last] = tricks();
    let words = ["cat", "/etc/again", ",", "cat", "/opaque/more", ",", "ls", "/opaque", ",", "ls", "/removed"];
    let mut it = Image::new(words).with_payload()?.gzip_layer(&base)?.layer(&files);
    let content = image::tar(&changes);
    it = if with_zstd {
        it.blob(image::zstd(&content)?, ZSTD, &content)
    } else {
        it.blob(image::gzip(&content)?, GZIP, &content)
    };
    it = it.gzip_layer(&opaque)?.layer(&last);
    for (name, format) in [("sparse-gnu", old_sparse), ("sparse-posix", "posix")] {
        let content = sparse_tar(stage, name, format)?;
        it = it.blob(content.clone(), PLAIN, &content);
    }
    Ok(it)
}

/// Every kind of member, in seven layers of three compressions, with the tricks of builders: missing parents, parents
/// that are links below, whiteouts before and after entries, opaque directories, hard links to files below. The container
/// sees the tree that umoci makes, and a program gives the same output in both.
fn tricks_of_tar_are_unpacked_as_umoci_does() -> Result {
    let stage = Stage::new()?;
    let with_zstd = has("zstd");
    if !with_zstd {
        println!("images: zstd is not installed: no layer is compressed with it");
    }
    image_of_tricks(&stage, with_zstd, "gnu")?.write(&stage.image())?;
    stage.unpack()?.success()?;
    let tree = union_tree(&stage)?;
    expected_of_tricks(&tree)?;
    if !has("umoci") {
        return skip("umoci is not installed: the tree was not compared with its own");
    }
    let layout = stage.path("layout.by-test");
    image_of_tricks(&stage, false, "posix")?.write(&layout)?;
    compare(&stage, &layout, tree)
}

/// The parts that umoci does otherwise, or that a comparison would not show if both were wrong.
fn expected_of_tricks(tree: &Tree) -> Result {
    let fact = |path: &str, key: &str| -> Result<&str> {
        let facts = tree.0.get(Path::new(path)).with_context(|| format!("{path} is missing"))?;
        facts.get(key).map(String::as_str).with_context(|| format!("{path} has no {key}"))
    };
    for gone in ["etc/deleted", "opaque/below", "opaque/dir-below", "removed/inner", "lib", "becomes-file/inner"] {
        ensure!(!tree.0.contains_key(Path::new(gone)), "{gone} is there");
    }
    for (path, key, wanted) in [
        ("setuid", "mode", "104755"),
        ("fifo", "mode", "14620"),
        ("disk", "device", "7:300"),
        ("negative", "mtime", "-1001.500000000"),
        ("nanoseconds", "mtime", "1234567890.123456789"),
        ("dangling", "mtime", "1111111111.500000000"),
        ("dangling", "owner", "30:31"),
        ("owners", "owner", "2000000000:3999999999"),
        ("attributes", "xattrs", "user.bytes=00ff3d0a user.text=610a62"),
        ("capable", "xattrs", "security.capability=0100000200200000000000000000000000000000"),
        ("parent", "mode", "41777"),
        ("parent/of", "owner", "13:14"),
        ("parent/of", "xattrs", "user.parent=6b657074"),
        ("etc", "mtime", "950000000.750000000"),
        ("link-across", "links", "[\"link-across\", \"link-across-two\"]"),
        ("usr/lib", "mode", "42755"),
    ] {
        equal(path, fact(path, key)?, wanted)?;
    }
    equal("sparse files", fact("sparse-gnu", "content")?, fact("sparse-posix", "content")?)
}

/// Compares the tree with umoci's, and runs both bundles.
fn compare(stage: &Stage, layout: &Path, mut tree: Tree) -> Result {
    let other = by_umoci(stage, layout)?;
    let mut theirs = Tree::read(&other.join("rootfs"))?;
    for it in [&mut tree, &mut theirs] {
        // No layer describes these directories. umoci gives them the time at which it runs, and tare gives them 1970.
        let implied: Vec<PathBuf> =
            it.0.keys().filter(|path| path.starts_with("deep") && !path.ends_with("file")).cloned().collect();
        for path in implied {
            it.without(path, "mtime");
        }
        // The later layers change the root of umoci's tree, and its time.
        it.without("", "mtime");
        // As overlayfs itself does, tare copies a file of a layer below for a new name, and the old name keeps the old
        // file. umoci has one tree for all layers.
        for name in ["to-be-linked", "link-across", "link-across-two"] {
            it.without(name, "links");
        }
    }
    tree.same(&theirs)?;
    let ours = stage.run(&stage.bundle())?;
    ours.success()?;
    let output = stage.run(&other)?;
    equal("output", &output.success()?.stdout, &ours.stdout)
}

/// An image that buildah makes, layer by layer: from nothing, with copies, and without a network.
fn image_of_buildah_is_unpacked_as_umoci_does() -> Result {
    let stage = Stage::new()?;
    for program in ["buildah", "umoci"] {
        if !has(program) {
            return skip(format!("{program} is not installed"));
        }
    }
    let storage = stage.path("storage.by-test");
    let buildah = |words: &[&str]| -> Result<String> {
        let mut command = Command::new("buildah");
        let (root, run) = (storage.join("root"), storage.join("run"));
        command.args(["--storage-driver", "vfs", "--root"]).arg(root).arg("--runroot").arg(run).args(words);
        // Some machines refuse the namespaces of its default isolation.
        succeeds(command.env("BUILDAH_ISOLATION", "chroot").env("XDG_RUNTIME_DIR", &storage))
    };
    let files = stage.path("files.by-test");
    fs::create_dir_all(files.join("data/sub"))?;
    let name = |path: &str| files.join(path).display().to_string();
    fs::copy(payload::path(), files.join("payload"))?;
    fs::write(files.join("data/one"), "one")?;
    fs::write(files.join("data/sub/two"), "two")?;
    chown(files.join("data/sub"), Some(5), Some(6))?;
    fs::hard_link(files.join("data/one"), files.join("data/one-too"))?;
    let mut from = match buildah(&["from", "scratch"]) {
        Ok(name) => name.trim().to_owned(),
        Err(error) => return skip(format!("buildah does not run here: {error:#}")),
    };
    let steps: [&[&str]; 5] = [
        &["copy", &from.clone(), &name("payload"), "/payload"],
        &["copy", &from.clone(), &name("data"), "/data"],
        &["copy", "--chown", "7:8", "--chmod", "4711", &from.clone(), &name("data/one"), "/data/setuid"],
        &[
            "run",
            &from.clone(),
            "/payload",
            "rm",
            "/data/one",
            ",",
            "mkdir",
            "/data/new",
            ",",
            "write",
            "/data/new/x",
            "y",
        ],
        &["run", &from.clone(), "/payload", "rename", "/data/sub/two", "/data/three", ",", "rmdir", "/data/sub"],
    ];
    for (number, step) in steps.into_iter().enumerate() {
        // Each step begins with the image of the one before, so that the last image has a layer of each.
        let before = from.clone();
        let step: Vec<&str> = step.iter().map(|word| if *word == before { from.as_str() } else { *word }).collect();
        match buildah(&step) {
            Err(error) if step[0] == "run" => return skip(format!("buildah run does not work here: {error:#}")),
            done => done?,
        };
        buildah(&["config", "--entrypoint", r#"["/payload","ls","/data",",","cat","/data/new/x"]"#, &from])?;
        let to = format!("localhost/step{number}");
        buildah(&["commit", "--squash=false", &from, &to])?;
        if number == steps.len() - 1 {
            let layout = format!("oci:{}:t", stage.image().display());
            buildah(&["push", &to, &layout])?;
        } else {
            from = buildah(&["from", "--pull-never", &to])?.trim().to_owned();
        }
    }
    stage.unpack()?.success()?;
    ensure!(stage.layers()?.len() >= 5, "buildah made {} layers", stage.layers()?.len());
    compare(&stage, &stage.image(), union_tree(&stage)?)
}

/// An image with owners of all kinds, which a container's program looks at.
fn owners() -> Result<Image> {
    let words = ["ids", ",", "stat", "/five", ",", "stat", "/far", ",", "ls", "/opaque", ",", "write", "/new", "x"];
    let base = [
        Entry::file("five", "x").owner(5, 6),
        Entry::file("far", "x").owner(70_000, 70_000).mode(0o4755),
        Entry::dir("closed").mode(0o500).owner(5, 6),
        Entry::file("closed/file", "x").mode(0o400),
        Entry::dir("opaque"),
        Entry::file("opaque/below", "x"),
        Entry::file("deleted", "x"),
        Entry::device(b'3', "device", 1, 3),
    ];
    let above = [
        Entry::new(b'0', "opaque/.wh..wh..opq"),
        Entry::file("opaque/above", "x"),
        Entry::new(b'0', ".wh.deleted"),
        Entry::file("closed/more", "x"),
    ];
    Image::new(words).with_payload()?.layer(&base).gzip_layer(&above)
}

/// A call of an ordinary user with these lines in `/etc/subuid` and `/etc/subgid`.
fn as_user(stage: &Stage, call: Call, subordinate: &str) -> Result<Call> {
    let call = with_accounts(call, ("images", USER), subordinate, |file| stage.path(&format!("{file}.by-test")))?;
    Ok(call.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"))
}

/// Unpacks and runs as an ordinary user. Returns both outputs.
fn by_user(stage: &Stage, subordinate: &str) -> Result<(Output, Output)> {
    chown(stage.path(""), Some(USER), Some(USER))?;
    let unpacked = as_user(stage, stage.call(&[]), subordinate)?.output()?;
    unpacked.success()?;
    let path = stage.bundle().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    config["process"]["terminal"] = false.into();
    fs::write(&path, config.to_string())?;
    let id = format!("image-of-user-{}", std::process::id());
    let call = Call::new(["--root"]).arg(stage.path("state.by-test")).args(["run", "--bundle"]);
    let call = call.arg(stage.bundle()).arg(format!("{id}-{}", subordinate.len()));
    Ok((unpacked, as_user(stage, call, subordinate)?.output()?))
}

/// Without subordinate ids all files belong to the user, who is root of the container. A warning says so.
fn image_of_an_ordinary_user() -> Result {
    let stage = Stage::with(&owners()?)?;
    let (unpacked, ran) = by_user(&stage, "")?;
    contains("warning", &unpacked.stderr, "have no ids for this user")?;
    contains("warning", &unpacked.stderr, "may not make devices")?;
    let layer = &stage.layers()?[1];
    ensure!(layer.starts_with(stage.store().join("squashed")), "{}", layer.display());
    for name in ["five", "far", "closed/file"] {
        let stat = fs::symlink_metadata(layer.join(name))?;
        equal(name, (stat.uid(), stat.gid()), (USER, USER))?;
    }
    ran.success()?.says("uid", "0")?.has_line("ls /opaque: above")?.has_line("write /new: ok")?;
    Ok(())
}

/// With subordinate ids the files have the owners of the image in the container. What is not mapped belongs to root, and
/// loses the right to run as its owner.
fn image_of_an_ordinary_user_with_subordinate_ids() -> Result {
    if Command::new("newuidmap").output().is_err() {
        return skip("newuidmap is not installed");
    }
    let stage = Stage::with(&owners()?)?;
    let (unpacked, ran) = by_user(&stage, &format!("images:{}:1000\n", USER + 1000))?;
    contains("warning", &unpacked.stderr, "\"far\" belongs to root")?;
    let layer = &stage.layers()?[1];
    let stat = |name: &str| fs::symlink_metadata(layer.join(name));
    equal("five", (stat("five")?.uid(), stat("five")?.gid()), (USER + 1004, USER + 1005))?;
    equal("far", (stat("far")?.uid(), stat("far")?.mode() & 0o7777), (USER, 0o755))?;
    ran.success()?.says("uid", "0")?.has_line("ls /opaque: above")?.has_line("write /new: ok")?;
    contains("stat", &ran.stdout, "uid=5 gid=6")
}

/// An image of several layers with files and directories of all kinds.
fn image_to_kill() -> Result<Image> {
    let [base, files, changes, opaque, last] = tricks();
    let mut it = Image::new(["true"]).gzip_layer(&base)?.layer(&files).gzip_layer(&changes)?;
    it = it.layer(&opaque).gzip_layer(&last)?;
    for layer in 0..3 {
        let many: Vec<Entry> =
            (0..150).map(|n| Entry::file(format!("many/{}/{layer}-{n}", n % 7), vec![n as u8; 700])).collect();
        it = it.gzip_layer(&many)?;
    }
    Ok(it)
}

/// The layers of a store by their names.
fn stored(store: &Path) -> Result<Vec<String>> {
    let Ok(list) = fs::read_dir(store.join("layers")) else { return Ok(Vec::new()) };
    list.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// Each layer of the store is that of an undisturbed store.
fn complete(store: &Path, wanted: &[(String, Tree)]) -> Result {
    for name in stored(store)? {
        let (_, tree) = wanted.iter().find(|(other, _)| *other == name).context("a layer that is none")?;
        tree.same(&tree_of(&store.join("layers").join(&name))?).with_context(|| name.clone())?;
    }
    Ok(())
}

/// The tree of a layer's directory in the store, as far as it is the same each time. layer.json and its directory have
/// the time at which they were made.
fn tree_of(layer: &Path) -> Result<Tree> {
    let mut tree = Tree::read(layer)?;
    tree.without("", "mtime").without("layer.json", "mtime");
    // The time of a whiteout is never seen.
    for facts in tree.0.values_mut().filter(|facts| facts.get("device").is_some_and(|device| device == "0:0")) {
        facts.remove("mtime");
    }
    Ok(tree)
}

/// `unpack` is killed at random moments. The store has complete layers only; the next `unpack` succeeds, and clears away
/// what is unfinished.
fn killed_unpack_leaves_complete_layers() -> Result {
    let stage = Stage::with(&image_to_kill()?)?;
    let began = Instant::now();
    stage.unpack()?.success()?;
    let usual = began.elapsed();
    let layers = stored(&stage.store())?;
    let trees = layers.iter().map(|name| tree_of(&stage.store().join("layers").join(name)));
    let wanted: Vec<_> = layers.iter().cloned().zip(trees.collect::<Result<Vec<_>>>()?).collect();
    equal("layers", wanted.len(), 8)?;
    let times = if std::env::var("INTERLEAVED").as_deref() == Ok("all") { 100 } else { 30 };
    let mut killed = 0;
    for number in 0..times {
        fs::remove_dir_all(stage.store())?;
        fs::remove_dir_all(stage.bundle())?;
        let mut running = stage.call(&[]).spawn()?;
        // The moments are spread over the time that `unpack` takes. No result depends on them.
        std::thread::sleep(usual * (number * 7 % times) / times);
        if !running.has_ended()? {
            running.signal(Signal::SIGKILL)?;
            killed += 1;
        }
        drop(running.wait());
        complete(&stage.store(), &wanted).with_context(|| format!("killed {number} of {times}"))?;
        ensure!(!stage.bundle().join("config.json").exists() || stored(&stage.store())?.len() == 8, "an early bundle");
        if stage.bundle().exists() {
            fs::remove_dir_all(stage.bundle())?;
        }
        stage.unpack()?.success()?;
        stage.is_clean()?;
        complete(&stage.store(), &wanted)?;
        equal("layers", stored(&stage.store())?.len(), 8)?;
    }
    ensure!(killed > times / 4, "only {killed} of {times} were killed in time");
    Ok(())
}

/// Two unpack one image to one store at the same time.
fn two_unpacks_at_once() -> Result {
    let stage = Stage::with(&image_to_kill()?)?;
    for _ in 0..5 {
        let other = stage.path("other.by-test");
        let second = Call::new(["unpack", "--store"]).arg(stage.store());
        let second = second.arg(format!("{}:t", stage.image().display())).arg(&other).spawn()?;
        let first = stage.call(&[]).spawn()?;
        first.wait()?.success()?;
        second.wait()?.success()?;
        stage.is_clean()?;
        equal("layers", stored(&stage.store())?.len(), 8)?;
        for path in [stage.store(), stage.bundle(), other] {
            fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// A second bundle of an image takes the layers that are there.
fn second_bundle_shares_the_layers() -> Result {
    let stage = Stage::with(&image_to_kill()?)?;
    stage.unpack()?.success()?;
    let layers = stage.layers()?;
    let before = fs::metadata(&layers[7])?.ctime_nsec();
    fs::remove_dir_all(stage.bundle())?;
    stage.unpack()?.success()?;
    equal("layers", stage.layers()?, layers.clone())?;
    equal("time of change", fs::metadata(&layers[7])?.ctime_nsec(), before)
}

/// Arguments that are missing or wrong, and a bundle that is there.
fn bad_arguments() -> Result {
    let stage = Stage::with(&Image::new(["true"]).layer(&[Entry::file("f", "x")]))?;
    let image = format!("{}:t", stage.image().display());
    let missing = stage.path("nothing.by-test").display().to_string();
    let (image, bundle) = (image.as_str(), stage.bundle().display().to_string());
    for (words, part) in [
        (&["unpack"][..], "requires exactly 2"),
        (&["unpack", image], "requires exactly 2"),
        (&["unpack", image, &bundle, "more"], "requires exactly 2"),
        (&["unpack", "", &bundle], "image"),
        (&["unpack", ":t", &bundle], "t"),
        (&["unpack", &missing, &bundle], missing.as_str()),
        (&["unpack", "--max-size", "lots", image, &bundle], "--max-size"),
        (&["unpack", "--max-size", "-1", image, &bundle], "--max-size"),
        (&["unpack", "--max-files", "many", image, &bundle], "max-files"),
        (&["unpack", "--platform", "plan9/vax", image, &bundle], "plan9/vax"),
        (&["unpack", "--platform", "linux", image, &bundle], "linux"),
        (&["unpack", "--store", "/proc/nothing", image, &bundle], "/proc/nothing"),
    ] {
        let output = Call::new(words).env("HOME", stage.path("store")).output()?;
        output.fails_with(part).with_context(|| format!("{words:?}"))?;
        ensure!(!stage.bundle().exists(), "{words:?} leaves a bundle");
    }
    fs::create_dir(stage.bundle())?;
    fs::write(stage.bundle().join("config.json"), "mine")?;
    stage.unpack()?.fails_with("config.json exists")?;
    equal("config", fs::read_to_string(stage.bundle().join("config.json"))?, "mine")?;
    fs::remove_file(stage.bundle().join("config.json"))?;
    // An empty directory is fine; a file is not.
    stage.unpack()?.success()?;
    fs::remove_dir_all(stage.bundle())?;
    fs::write(stage.bundle(), "a file")?;
    stage.unpack()?.fails_with("bundle")?;
    equal("file", fs::read_to_string(stage.bundle())?, "a file")
}

/// A directory that is no layout, files that cannot be read, and a layout without images.
fn bad_images() -> Result {
    let stage = Stage::new()?;
    fs::create_dir(stage.image())?;
    stage.refused(&stage.unpack()?, &[&stage.image().display().to_string()])?;
    fs::write(stage.image().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    stage.refused(&stage.unpack()?, &["index.json"])?;
    fs::write(stage.image().join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#)?;
    stage.refused(&stage.unpack()?, &[])?;
    fs::write(stage.image().join("oci-layout"), r#"{"imageLayoutVersion":"9.0.0"}"#)?;
    stage.refused(&stage.unpack()?, &["9.0.0"])?;
    fs::remove_dir_all(stage.image())?;
    for text in ["", "no tar file", &"x".repeat(5000)] {
        fs::write(stage.image(), text)?;
        stage.refused(&stage.unpack()?, &["image"])?;
    }
    fs::remove_file(stage.image())?;
    nix::unistd::mkfifo(&stage.image(), nix::sys::stat::Mode::S_IRWXU)?;
    stage.refused(&stage.unpack()?, &["image"])?;
    fs::remove_file(stage.image())?;
    Image::new(["true"]).layer(&[Entry::file("f", "x")]).write(&stage.image())?;
    fs::set_permissions(stage.image().join("index.json"), fs::Permissions::from_mode(0o600))?;
    fs::remove_dir_all(stage.store())?;
    chown(stage.path(""), Some(USER), Some(USER))?;
    let output = stage.call(&[]).user(USER).output()?;
    stage.refused(&output, &["index.json", "permission denied"])
}

/// A store on a small file system. The message names the call that fails; with space, the next unpack succeeds.
fn store_without_space() -> Result {
    let stage = Stage::with(&Image::new(["true"]).layer(&[Entry::file("large", vec![7u8; 3 << 20])]))?;
    fs::create_dir(stage.store())?;
    use nix::mount::{MsFlags, mount};
    mount(Some("tmpfs"), &stage.store(), Some("tmpfs"), MsFlags::empty(), Some("size=1m"))?;
    let guard = Mounted(stage.store());
    stage.refused(&stage.unpack()?, &["layer sha256:", "\"large\"", "no space left on device"])?;
    equal("layers", stored(&stage.store())?.len(), 0)?;
    mount(None::<&str>, &stage.store(), None::<&str>, MsFlags::MS_REMOUNT, Some("size=8m"))?;
    stage.unpack()?.success()?;
    drop(guard);
    Ok(())
}

/// A store that cannot be written.
fn store_that_is_read_only() -> Result {
    let stage = Stage::with(&Image::new(["true"]).layer(&[Entry::file("f", "x")]))?;
    fs::create_dir(stage.store())?;
    use nix::mount::{MsFlags, mount};
    mount(Some("tmpfs"), &stage.store(), Some("tmpfs"), MsFlags::MS_RDONLY, None::<&str>)?;
    let _guard = Mounted(stage.store());
    stage.refused(&stage.unpack()?, &[&stage.store().display().to_string(), "read-only file system"])
}

/// A mount that goes with this value.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH) {
            eprintln!("conformance: umount {}: {error}", self.0.display());
        }
    }
}
