//! Layers as the root of a container: the annotations `dev.tare.*`, and `--layer` and `--upper`. Only tare has them.

use crate::harness::*;
use anyhow::{Context, ensure};
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

tests![
    union_behaves_as_the_kernels_overlay,
    union_by_mount_behaves_the_same,
    union_of_an_ordinary_user,
    union_of_an_ordinary_user_with_subordinate_ids,
    union_in_a_user_namespace_with_mapped_ids,
    union_by_mount_with_mapped_ids,
    many_layers,
    many_layers_by_mount,
    too_many_layers,
    layers_on_the_command_line,
    root_has_owner_and_mode_of_the_highest_layer,
    read_only_union,
    two_unions_of_one_bundle,
    writable_layer_is_kept,
    writable_layer_in_use,
    writable_layer_on_an_overlay,
    writable_layer_on_an_overlay_by_fuse,
    layers_that_are_none,
    union_is_not_seen_on_the_host,
    exec_sees_the_union,
    other_commands_on_a_union,
    checkpoint_of_a_union_is_refused,
    plan_prints_each_layer,
    killed_create_of_a_union_can_be_deleted,
    failed_create_of_a_union_leaves_nothing,
    union_without_a_pivot,
];

const USER: u32 = 64_331;

/// Changes of all kinds: a copy-up, new files, deleted files and directories, a directory made again, renames.
const CHANGES: [&str; 61] = [
    "append",
    "/low",
    "+",
    ",",
    "cat",
    "/low",
    ",",
    "append",
    "/high",
    "+",
    ",",
    "cat",
    "/high",
    ",",
    "write",
    "/new",
    "n",
    ",",
    "rm",
    "/gone",
    ",",
    "ls",
    "/",
    ",",
    "cat",
    "/hidden",
    ",",
    "ls",
    "/opaque",
    ",",
    "rm",
    "/dir/inner",
    ",",
    "rmdir",
    "/dir",
    ",",
    "mkdir",
    "/dir",
    ",",
    "ls",
    "/dir",
    ",",
    "rename",
    "/low",
    "/moved",
    ",",
    "ls",
    "/",
    ",",
    "mkdir",
    "/own",
    ",",
    "rename",
    "/own",
    "/renamed",
    ",",
    "rename",
    "/opaque",
    "/else",
    ",",
    "ls",
];

/// A container that has its payload in the lowest of three layers; the layers have files that hide and delete others.
struct Layered {
    container: Container,
}

impl Layered {
    /// `attributes` is the prefix of overlayfs's extended attributes, and `owner` owns all files.
    fn of(bundle: Bundle, attributes: &str, owner: u32) -> Result<Layered> {
        if !runtime::is("tare") {
            return skip("only tare makes unions of layers");
        }
        let container = bundle.build()?;
        let layers = container.bundle().join("layers");
        fs::create_dir(&layers)?;
        fs::rename(container.rootfs(), layers.join("0"))?;
        for (path, text) in [
            ("0/low", "low"),
            ("0/high", "hidden"),
            ("0/gone", "gone"),
            ("0/hidden", "hidden"),
            ("0/dir/inner", "inner"),
            ("0/opaque/below", "below"),
            ("1/high", "high"),
            ("1/opaque/above", "above"),
            ("2/top", "top"),
        ] {
            let path = layers.join(path);
            fs::create_dir_all(path.parent().context("a parent")?)?;
            fs::write(path, text)?;
        }
        for name in ["0/proc", "0/dev"] {
            fs::create_dir(layers.join(name))?;
        }
        fs::create_dir(container.rootfs())?;
        whiteout(&layers.join("2/hidden"))?;
        set_xattr(&layers.join("1/opaque"), &format!("{attributes}.overlay.opaque"), b"y")?;
        give_tree(&layers, owner)?;
        chown(container.rootfs(), Some(owner), Some(owner))?;
        let it = Layered { container };
        it.annotate("layers", &json!(it.layers()).to_string())?;
        Ok(it)
    }

    fn new<const N: usize>(words: [&str; N]) -> Result<Layered> {
        Layered::of(Bundle::new(words), "trusted", 0)
    }

    fn layer(&self, number: usize) -> PathBuf {
        self.container.bundle().join("layers").join(number.to_string())
    }

    fn layers(&self) -> [PathBuf; 3] {
        [0, 1, 2].map(|number| self.layer(number))
    }

    fn annotate(&self, name: &str, value: &str) -> Result {
        self.container.edit_config(|config| config["annotations"][format!("dev.tare.{name}")] = json!(value))
    }

    /// The directory that tare makes for the writable layer.
    fn writable(&self) -> PathBuf {
        self.container.bundle().join(format!("writable-{}", self.container.id))
    }

    /// Nothing of the container or its writable layer is left.
    fn nothing_left(&self) -> Result {
        self.container.nothing_left()?;
        ensure!(!self.writable().exists(), "left behind: {}", self.writable().display());
        Ok(())
    }
}

fn whiteout(path: &Path) -> Result {
    use nix::sys::stat::{Mode, SFlag, mknod};
    Ok(mknod(path, SFlag::S_IFCHR, Mode::empty(), 0)?)
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) -> Result {
    let (path, name) = (CString::new(path.as_os_str().as_bytes())?, CString::new(name)?);
    // SAFETY: two C strings and a slice with its own length.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Ok(Errno::result(set).map(drop)?)
}

fn is_opaque(path: &Path, attributes: &str) -> bool {
    let name = CString::new(format!("{attributes}.overlay.opaque")).unwrap_or_default();
    let path = CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    let mut value = [0u8; 4];
    // SAFETY: two C strings and a buffer with its own length.
    let got = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    got == 1 && value[0] == b'y'
}

fn give_tree(path: &Path, owner: u32) -> Result {
    std::os::unix::fs::lchown(path, Some(owner), Some(owner))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give_tree(&entry?.path(), owner)?;
        }
    }
    Ok(())
}

/// Each entry of a writable layer with its kind, content, mode, owner and opacity.
fn contents(upper: &Path, attributes: &str) -> Result<BTreeMap<PathBuf, String>> {
    let (mut found, mut left) = (BTreeMap::new(), vec![upper.to_owned()]);
    while let Some(path) = left.pop() {
        let stat = fs::symlink_metadata(&path)?;
        let kind = if stat.file_type().is_char_device() {
            format!("device {}", stat.rdev())
        } else if stat.is_dir() {
            left.extend(fs::read_dir(&path)?.flatten().map(|entry| entry.path()));
            format!("directory, opaque: {}", is_opaque(&path, attributes))
        } else if stat.is_symlink() {
            format!("link to {:?}", fs::read_link(&path)?)
        } else {
            format!("file {:?}", fs::read_to_string(&path)?)
        };
        let about = format!("{kind} {:o} {}:{}", stat.mode(), stat.uid(), stat.gid());
        found.insert(path.strip_prefix(upper)?.to_owned(), about);
    }
    Ok(found)
}

/// Makes the same changes in an overlay that mount(8) mounts in a mount namespace of its own. Returns the output and the
/// writable layer.
fn by_the_kernel(it: &Layered, options: &str) -> Result<(String, PathBuf)> {
    let own = it.container.aside("kernels");
    for name in ["upper", "work", "root"] {
        fs::create_dir_all(own.join(name))?;
    }
    fs::set_permissions(own.join("upper"), fs::Permissions::from_mode(0o755))?;
    let layers: Vec<String> = it.layers().iter().rev().map(|layer| layer.display().to_string()).collect();
    let here = own.display();
    let options = format!("lowerdir={},upperdir={here}/upper,workdir={here}/work{options}", layers.join(":"));
    let script = format!(
        "umask 022 && mount -t overlay overlay -o '{options}' {here}/root && exec chroot {here}/root /payload \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]);
    let output = command.args(CHANGES).arg("/").output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok((String::from_utf8(output.stdout)?, own.join("upper")))
}

/// The changes in a container and in the kernel's overlay give the same output and the same writable layer.
fn compared(it: &Layered, call: Call, kernels: &str, attributes: &str) -> Result {
    it.annotate("keep", "true")?;
    it.container.edit_config(|config| {
        let words: Vec<&str> = ["/payload"].into_iter().chain(CHANGES).chain(["/"]).collect();
        config["process"]["args"] = json!(words);
        // The kernel's overlay has no other mounts.
        config["mounts"] = json!([]);
    })?;
    let output = call.output()?;
    output.success()?;
    let (wanted, upper) = by_the_kernel(it, kernels)?;
    // Device nodes and links are made in a root without a mount at /dev.
    let without_dev = |mut tree: BTreeMap<PathBuf, String>| {
        tree.retain(|path, _| !path.starts_with("dev"));
        tree
    };
    equal("output", &output.stdout, &wanted)?;
    let upper = without_dev(contents(&upper, "trusted")?);
    equal("writable layer", without_dev(contents(&it.writable().join("upper"), attributes)?), upper)?;
    it.container.nothing_left()
}

/// Copy-up, whiteouts, opaque directories and renames are those of the kernel.
fn union_behaves_as_the_kernels_overlay() -> Result {
    let it = Layered::of(all_rights(), "trusted", 0)?;
    compared(&it, it.container.launch(["run"]), "", "trusted")
}

fn all_rights() -> Bundle {
    Bundle::new([]).capabilities(&["CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_FOWNER"])
}

/// The same where the kernel has no fsopen(2): the union is mounted with mount(2).
fn union_by_mount_behaves_the_same() -> Result {
    let it = Layered::of(all_rights(), "trusted", 0)?;
    let call = it.container.launch(["run"]).denying(libc::SYS_fsopen, None, Errno::ENOSYS);
    compared(&it, call, "", "trusted")
}

/// An ordinary user without subordinate ids: `init` mounts the union in the user namespace.
fn union_of_an_ordinary_user() -> Result {
    let words = ["append", "/low", "+", ",", "cat", "/low", ",", "rm", "/gone", ",", "ls", "/", ",", "ls", "/opaque"];
    let it = Layered::of(Bundle::new(words).user(USER).user_namespace(USER, 1), "user", USER)?;
    let output = it.container.run()?;
    output.success()?.has_line("low+")?;
    output.has_line("ls /opaque: above")?;
    for missing in ["gone", "hidden", "below"] {
        ensure!(!output.stdout.lines().any(|line| line.split(' ').any(|name| name == missing)), "{missing} is there");
    }
    it.nothing_left()
}

/// A call of an ordinary user with subordinate ids.
fn with_subordinate_ids(it: &Layered, words: &[&str]) -> Result<Call> {
    let call = Call::new(["--root"]).arg(it.container.state_root()).args(words);
    let ranges = format!("layered:{}:1000\n", USER + 1000);
    Ok(with_accounts(call, ("layered", USER), &ranges, |file| it.container.aside(file))?.no_env())
}

/// Files of subordinate ids in the writable layer, also in directories that are closed to others, are removed.
fn union_of_an_ordinary_user_with_subordinate_ids() -> Result {
    if Command::new("newuidmap").output().is_err() {
        return skip("newuidmap is not installed");
    }
    let words = ["append", "/low", "+", ",", "mkdir", "/mine", ",", "write", "/mine/file", "x", ",", "cat", "/low"];
    let bundle = Bundle::new(words).user(USER).user_namespace(USER, 1);
    let it = Layered::of(bundle, "user", USER)?;
    let maps = json!([
        { "containerID": 0, "hostID": USER, "size": 1 }, { "containerID": 1, "hostID": USER + 1000, "size": 1000 }
    ]);
    chown(it.layer(0).join("low"), Some(USER + 1004), Some(USER + 1004))?;
    chown(it.layer(2), Some(USER + 1004), Some(USER + 1004))?;
    it.container.edit_config(|config| {
        config["linux"]["uidMappings"] = maps.clone();
        config["linux"]["gidMappings"] = maps;
        config["process"]["user"] = json!({ "uid": 5, "gid": 5, "umask": 0o77 });
    })?;
    let bundle = it.container.bundle().display().to_string();
    let id = it.container.id.clone();
    let created = with_subordinate_ids(&it, &["create", "--bundle", &bundle, &id])?;
    created.output_to(it.container.aside("out"), it.container.aside("err")).output()?.success()?;
    let upper = it.writable().join("upper");
    let stat = fs::metadata(&upper)?;
    equal("owner of the root", (stat.uid(), stat.gid()), (USER + 1004, USER + 1004))?;
    with_subordinate_ids(&it, &["start", &id])?.output()?.success()?;
    it.container.wait_status("stopped")?;
    equal("owner", fs::metadata(upper.join("mine/file"))?.uid(), USER + 1004)?;
    contains("output", &it.container.output()?, "low+")?;
    with_subordinate_ids(&it, &["delete", &id])?.output()?.success()?;
    it.nothing_left()?;
    // `run` removes it itself, beside the threads that copy the output.
    let output = with_subordinate_ids(&it, &["run", "--bundle", &bundle, &id])?.output()?;
    output.success()?.has_line("write /mine/file: ok")?;
    it.nothing_left()
}

fn mapped() -> Result<Layered> {
    let it = Layered::of(all_rights().namespace("user"), "trusted", 0)?;
    let map = json!([{ "containerID": 0, "hostID": 200_000, "size": 1000 }]);
    it.container.edit_config(|config| {
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    })?;
    it.annotate("idmap", "true")?;
    Ok(it)
}

/// With mapped ids the container's root owns the files of root, and its new files belong to root on the host.
fn union_in_a_user_namespace_with_mapped_ids() -> Result {
    let it = mapped()?;
    compared(&it, it.container.launch(["run"]), "", "trusted")
}

/// The same with mount(2).
fn union_by_mount_with_mapped_ids() -> Result {
    let it = mapped()?;
    let call = it.container.launch(["run"]).denying(libc::SYS_fsopen, None, Errno::ENOSYS);
    compared(&it, call, "", "trusted")
}

/// So many layers, each with a file of its own.
fn layers(count: usize) -> Result<Layered> {
    let last = format!("/file-{}", count - 1);
    let it = Layered::new(["cat", "/file-3", ",", "cat", &last, ",", "write", "/new", "x"])?;
    let many = it.container.bundle().join(format!("many-{}", "x".repeat(200)));
    let mut paths = vec![it.layer(0)];
    for number in 1..count {
        let layer = many.join(number.to_string());
        fs::create_dir_all(&layer)?;
        fs::write(layer.join(format!("file-{number}")), format!("of layer {number}"))?;
        paths.push(layer);
    }
    it.annotate("layers", &json!(paths).to_string())?;
    Ok(it)
}

fn shows_layers(it: &Layered, output: &Output, count: usize) -> Result {
    output.success()?.has_line("of layer 3")?.has_line(&format!("of layer {}", count - 1))?;
    output.has_line("write /new: ok")?;
    it.nothing_left()
}

/// 128 layers and 500, the most that overlayfs takes. Their paths together are longer than a page.
fn many_layers() -> Result {
    for count in [128, 500] {
        let it = layers(count)?;
        shows_layers(&it, &it.container.run()?, count)?;
    }
    Ok(())
}

/// The same with mount(2), which takes one page of options.
fn many_layers_by_mount() -> Result {
    let it = layers(500)?;
    let call = it.container.launch(["run"]).denying(libc::SYS_fsopen, None, Errno::ENOSYS);
    shows_layers(&it, &call.output()?, 500)
}

/// One layer more is refused before anything is made.
fn too_many_layers() -> Result {
    let it = layers(501)?;
    let output = it.container.create()?;
    names_field(&output, "annotations.dev.tare.layers")?;
    output.fails_with("at most 500")?;
    it.nothing_left()
}

/// `--layer` and `--upper` do what the annotations do, relative to the working directory.
fn layers_on_the_command_line() -> Result {
    let it = Layered::new(["cat", "/high", ",", "write", "/new", "x"])?;
    it.container.edit_config(|config| config["annotations"] = json!({}))?;
    let words = ["run", "--layer", "layers/0", "--layer", "layers/1", "--upper", "mine"];
    let call = it.container.launch(words).current_dir(&it.container.bundle());
    call.output()?.success()?.has_line("high")?.has_line("write /new: ok")?;
    for name in ["mine", "mine.work"] {
        ensure!(!it.container.bundle().join(name).exists(), "{name} was made for the container, and stays");
    }
    let kept = it.container.bundle().join("mine");
    fs::create_dir(&kept)?;
    it.container.launch(words).current_dir(&it.container.bundle()).output()?.success()?;
    equal("writable layer", fs::read_to_string(kept.join("new"))?, "x")?;
    it.nothing_left()
}

/// overlayfs shows the writable layer as the root; it gets owner and mode of the layer below.
fn root_has_owner_and_mode_of_the_highest_layer() -> Result {
    let it = Layered::new(["stat", "/"])?;
    chown(it.layer(2), Some(7), Some(8))?;
    fs::set_permissions(it.layer(2), fs::Permissions::from_mode(0o1751))?;
    let created = it.container.create()?;
    created.success()?;
    let stat = fs::metadata(it.writable().join("upper"))?;
    equal("root", (stat.uid(), stat.gid(), stat.mode() & 0o7777), (7, 8, 0o1751))?;
    it.container.command(["delete", "--force"])?.success()?;
    it.nothing_left()
}

/// With `root.readonly` no directory is made on the host. Missing mount points are no failure, even with one layer.
fn read_only_union() -> Result {
    let it = Layered::new(["write", "/new", "x", ",", "ls", "/"])?;
    it.annotate("layers", &json!([it.layer(0)]).to_string())?;
    for name in ["proc", "dev"] {
        fs::remove_dir(it.layer(0).join(name))?;
    }
    it.container.edit_config(|config| config["root"]["readonly"] = json!(true))?;
    let created = it.container.create()?;
    created.success()?;
    ensure!(!it.writable().exists(), "a writable layer was made");
    it.container.command(["delete", "--force"])?.success()?;
    let output = it.container.run()?;
    output.success()?;
    output.has_line("write /new: EROFS")?;
    ensure!(!it.layer(0).join("proc").exists(), "the layer was changed");
    it.nothing_left()
}

/// Two containers share the layers of one bundle, and nothing else.
fn two_unions_of_one_bundle() -> Result {
    let it = Layered::new(["write", "/new", "x", ",", "pause"])?;
    it.container.create()?.success()?;
    it.container.start()?;
    it.container.wait_output("write /new: ok")?;
    let bundle = it.container.bundle().display().to_string();
    it.container.edit_config(|config| {
        config["process"]["args"] = json!(["/payload", "cat", "/new", ",", "cat", "/low"]);
        config["linux"]["cgroupsPath"] = json!(format!("{}-2", config["linux"]["cgroupsPath"].as_str().unwrap_or("")));
    })?;
    let other = format!("{}-2", it.container.id);
    let output = it.container.call(["run", "--bundle", &bundle, &other]).output()?;
    output.success()?.has_line("low")?;
    output.has_line("cat /new: ENOENT")?;
    ensure!(it.writable().join("upper/new").exists(), "the first container has lost its file");
    it.container.command(["delete", "--force"])?.success()?;
    it.nothing_left()
}

/// The writable layer outlives the end of the container, and with `keep` the container itself.
fn writable_layer_is_kept() -> Result {
    let it = Layered::new(["append", "/low", "+", ",", "cat", "/low"])?;
    it.container.create()?.success()?;
    it.container.start()?;
    it.container.wait_status("stopped")?;
    equal("file of a stopped container", fs::read_to_string(it.writable().join("upper/low"))?, "low+")?;
    it.container.command(["delete"])?.success()?;
    it.nothing_left()?;
    it.annotate("keep", "true")?;
    it.container.run()?.success()?.has_line("low+")?;
    it.container.nothing_left()?;
    ensure!(!it.writable().join("work").exists(), "the work directory stays");
    // It was there before, so it stays whatever the config says.
    it.annotate("keep", "false")?;
    it.container.run()?.success()?.has_line("low++")?;
    equal("kept file", fs::read_to_string(it.writable().join("upper/low"))?, "low++")
}

/// A second container cannot take a writable layer that another one has.
fn writable_layer_in_use() -> Result {
    let it = Layered::new(["pause"])?;
    it.annotate("upper", "mine")?;
    it.container.create()?.success()?;
    let bundle = it.container.bundle().display().to_string();
    let other = format!("{}-2", it.container.id);
    let output = it.container.call(["create", "--bundle", &bundle, &other]).output()?;
    names_field(&output, "annotations.dev.tare.upper")?;
    it.container.command(["delete", "--force"])?.success()?;
    ensure!(!it.container.bundle().join("mine").exists(), "the writable layer stays");
    it.nothing_left()
}

/// A container whose writable layer is to be on an overlay. `act` gets its `create`.
fn on_an_overlay(words: [&str; 6], act: impl FnOnce(&Layered) -> Result) -> Result {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    let it = Layered::new(words)?;
    let above = it.container.aside("overlay");
    for name in ["u", "w", "m"] {
        fs::create_dir_all(above.join(name))?;
    }
    let (here, mounted) = (above.display(), above.join("m"));
    let options = format!("lowerdir={},upperdir={here}/u,workdir={here}/w", it.layer(2).display());
    mount(Some("overlay"), &mounted, Some("overlay"), MsFlags::empty(), Some(&*options))?;
    it.annotate("upper", &mounted.join("upper").display().to_string())?;
    let outcome = act(&it);
    umount2(&mounted, MntFlags::MNT_DETACH)?;
    outcome.and_then(|()| it.nothing_left())
}

/// The kernel takes no writable layer on an overlay; the message says so, and the remedy.
fn writable_layer_on_an_overlay() -> Result {
    on_an_overlay(["true"; 6], |it| {
        let output = it.container.launch(["create"]).env("PATH", "/nowhere").output()?;
        names_field(&output, "annotations.dev.tare.upper")?;
        output.fails_with("another file system").map(drop)
    })
}

/// fuse-overlayfs(1) takes it. Its daemon ends with the container, and nobody else sees its mount.
fn writable_layer_on_an_overlay_by_fuse() -> Result {
    if !Path::new("/usr/bin/fuse-overlayfs").exists() || !Path::new("/dev/fuse").exists() {
        return skip("fuse-overlayfs or /dev/fuse is missing");
    }
    on_an_overlay(["append", "/high", "+", ",", "cat", "/high"], |it| {
        it.annotate("keep", "true")?;
        it.container.edit_config(|config| {
            let words = ["append", "/high", "+", ",", "cat", "/high", ",", "ls", "/", ",", "pause"];
            config["process"]["args"] = json!(["/payload"].into_iter().chain(words).collect::<Vec<_>>());
        })?;
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{path}:/usr/bin");
        it.container.launch(["create"]).env("PATH", path).output()?.success()?;
        it.container.start()?;
        check::eventually("the list of the root", || Ok(it.container.output()?.contains("ls /: ")))?;
        contains("output", &it.container.output()?, "high+")?;
        ensure!(!it.container.output()?.contains("hidden"), "a deleted file is there");
        let upper = it.container.aside("overlay").join("m/upper");
        equal("changed file", fs::read_to_string(upper.join("high"))?, "high+")?;
        let daemons = || daemons_of(&it.container.bundle());
        equal("daemons", daemons().len(), 1)?;
        let table = fs::read_to_string("/proc/thread-self/mountinfo")?;
        ensure!(!table.contains(&it.container.rootfs().display().to_string()), "the host sees it: {table}");
        it.container.command(["delete", "--force"])?.success()?;
        check::eventually("the end of the daemon", || Ok(daemons().is_empty()))
    })
}

/// The processes of fuse-overlayfs that have a path below this directory on their command line.
fn daemons_of(directory: &Path) -> Vec<i32> {
    let wanted = directory.display().to_string();
    let is_one = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains("fuse-overlayfs") && line.contains(&wanted)
    };
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_one).collect()
}

/// A layer that is missing or is a file is refused by its number.
fn layers_that_are_none() -> Result {
    let it = Layered::new(["true"])?;
    let with = |second: PathBuf| it.annotate("layers", &json!([it.layer(0), second]).to_string());
    for (path, reason) in
        [(it.layer(9), "no such file"), (it.container.bundle().join("config.json"), "not a directory")]
    {
        with(path)?;
        let output = it.container.create()?;
        names_field(&output, "annotations.dev.tare.layers[1]")?;
        output.fails_with(reason)?;
        it.nothing_left()?;
    }
    Ok(())
}

/// The mount table of the host does not have the union, before, while or after the container runs.
fn union_is_not_seen_on_the_host() -> Result {
    let it = Layered::new(["pause"])?;
    it.container.create()?.success()?;
    let table = fs::read_to_string("/proc/thread-self/mountinfo")?;
    ensure!(!table.contains(&it.container.bundle().display().to_string()), "the host sees it: {table}");
    let inside = fs::read_to_string(format!("/proc/{}/mountinfo", it.container.pid()?))?;
    let root = inside.lines().find(|line| line.split(' ').nth(4) == Some("/")).context("a root")?;
    contains("root", root, "- overlay overlay ")?;
    it.container.command(["delete", "--force"])?.success()?;
    it.nothing_left()
}

/// `exec` and `state` work as with any root.
fn exec_sees_the_union() -> Result {
    let it = Layered::new(["pause"])?;
    it.container.create()?.success()?;
    it.container.start()?;
    it.container.exec([], ["cat", "/high"])?.success()?.has_line("high")?;
    equal("status", it.container.status()?, "running")?;
    it.container.command(["delete", "--force"])?.success()?;
    it.nothing_left()
}

/// A checkpoint is refused, also if the layers are known from the command line only.
fn checkpoint_of_a_union_is_refused() -> Result {
    let it = Layered::new(["pause"])?;
    it.container.edit_config(|config| config["annotations"] = json!({}))?;
    let layer = it.layer(0).display().to_string();
    it.container.launch(["create", "--layer", &layer]).output()?.success()?;
    it.container.start()?;
    let output = it.container.command(["checkpoint"])?;
    names_field(&output, "annotations.dev.tare.layers")?;
    equal("status", it.container.status()?, "running")?;
    it.container.command(["delete", "--force"])?.success()?;
    it.nothing_left()
}

/// `plan` prints each layer, the highest first, and makes nothing.
fn plan_prints_each_layer() -> Result {
    let it = Layered::new(["true"])?;
    let bundle = it.container.bundle().display().to_string();
    let output = it.container.call(["plan", &bundle, "--upper", "/elsewhere/upper"]).output()?;
    output.success()?;
    let lines: Vec<&str> = output.stdout.lines().filter(|line| line.contains("dev.tare.layers[")).collect();
    equal("layers", lines.len(), 3)?;
    for (line, layer) in lines.iter().zip([2, 1, 0]) {
        contains("layer", line, &format!("layer {:?}", it.layer(layer)))?;
    }
    contains("plan", &output.stdout, "writable layer \"/elsewhere/upper\", made, and removed by delete")?;
    it.nothing_left()
}

/// `run --keep` keeps the container with its writable layer until it is deleted; the other commands work on it.
fn other_commands_on_a_union() -> Result {
    let it = Layered::new(["write", "/new", "x"])?;
    it.container.launch(["run", "--keep"]).output()?.success()?;
    equal("status", it.container.status()?, "stopped")?;
    equal("file", fs::read_to_string(it.writable().join("upper/new"))?, "x")?;
    contains("list", &it.container.call(["list", "-q"]).output()?.success()?.stdout, &it.container.id)?;
    it.container.command(["delete"])?.success()?;
    it.nothing_left()?;
    it.container.edit_config(|config| config["process"]["args"] = json!(["/payload", "pause"]))?;
    it.container.create()?.success()?;
    it.container.start()?;
    let (shared, file) = (it.container.aside("shared"), it.container.aside("mounts.json"));
    fs::create_dir(&shared)?;
    fs::write(shared.join("inside"), "of the host")?;
    let mounts = json!([{ "destination": "/added", "source": shared, "type": "bind", "options": ["bind"] }]);
    fs::write(&file, mounts.to_string())?;
    it.container.call(["mounts", "add", &it.container.id]).arg(&file).output()?.success()?;
    it.container.exec([], ["cat", "/added/inside"])?.success()?.has_line("of the host")?;
    it.container.command(["delete", "--force"])?.success()?;
    it.nothing_left()
}

/// A create that is killed before any of its system calls leaves only what a forced delete removes.
fn killed_create_of_a_union_can_be_deleted() -> Result {
    let it = Layered::new(["pause"])?;
    let calls = it.container.launch(["create"]).count_calls()?;
    it.container.command(["delete", "--force"])?.success()?;
    let step = if std::env::var("INTERLEAVED").as_deref() == Ok("all") { 1 } else { calls.div_ceil(30) };
    for number in (std::process::id() as usize % step..calls).step_by(step) {
        it.container.launch(["create"]).with_fault(number, Fault::Killed)?;
        it.container.command(["delete", "--force"])?.success()?;
        it.nothing_left().with_context(|| format!("killed before call {number} of {calls}"))?;
    }
    Ok(())
}

/// A create that fails late removes the writable layer again.
fn failed_create_of_a_union_leaves_nothing() -> Result {
    let it = Layered::new(["pause"])?;
    it.container.edit_config(|config| config["process"]["args"] = json!(["/no-such-program"]))?;
    it.container.create()?.failure()?;
    it.nothing_left()
}

/// The union is moved over the old root, as a bound root is.
fn union_without_a_pivot() -> Result {
    let it = Layered::new(["cat", "/high", ",", "write", "/new", "x"])?;
    let output = it.container.launch(["run", "--no-pivot"]).output()?;
    output.success()?.has_line("high")?.has_line("write /new: ok")?;
    it.nothing_left()
}
