//! `mounts`: types, options, order, and destinations that try to leave the root file system.

use crate::harness::bundle::scratch;
use crate::harness::*;
use anyhow::{Context, ensure};
use nix::mount::{MsFlags, mount};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

tests![
    dev_remounted_read_only,
    are_made_in_order,
    destination_is_made,
    destination_file_is_made_for_a_file,
    destination_is_reached_through_symlinks_inside_the_root,
    destination_past_dangling_symlinks,
    destination_past_symlinks_in_a_circle,
    destination_does_not_leave_through_symlinks,
    destination_does_not_leave_through_dots,
    tmpfs_size_and_mode,
    tmpfs_options_are_flags,
    tmpfs_read_only,
    tmpfs_keeps_the_mode_of_the_directory,
    tmpfs_copies_up,
    access_time_options,
    options_that_undo_each_other,
    bind_directory,
    bind_file,
    bind_of_one_kind_on_another,
    binds_side_by_side,
    bind_after_a_mount_over_its_directory,
    bind_does_not_leave_through_symlinks,
    bind_writes_reach_the_source,
    bind_read_only,
    bind_options_are_flags,
    bind_is_not_recursive,
    rbind_is_recursive,
    bind_recursively_read_only,
    bind_source_relative_to_the_bundle,
    bind_source_that_is_missing,
    bind_type_without_the_option,
    bind_leaves_the_source_as_it_is,
    bind_keeps_locked_flags_in_a_user_namespace,
    bind_drops_flags_that_are_never_locked,
    bind_does_not_lead_back_to_the_host,
    bind_that_is_idmapped,
    idmap_of_a_joined_user_namespace,
    idmap_by_root_of_a_user_namespace,
    idmap_needs_mappings_on_both_sides,
    propagation_of_a_mount,
    proc_is_that_of_the_pid_namespace,
    proc_on_a_symlink,
    below_proc_is_refused,
    below_proc_lxcfs_files_are_allowed,
    sysfs_read_only,
    mqueue,
    devpts,
    overlay,
    cgroup,
    cgroup_read_only,
    cgroup2_in_the_unified_view,
    cgroup2_of_the_host_keeps_its_options,
    unknown_type,
    unknown_option_is_data_the_file_system_refuses,
    relative_destination,
    over_the_root_is_refused,
    without_mounts,
    data_of_the_file_system,
    empty_options_say_nothing,
    set_user_id_ignored_on_nosuid,
    no_exec_keeps_programs_from_running,
    no_dev_keeps_devices_from_opening,
    tmpfs_copies_up_all_kinds_of_files,
    tmpfs_copies_up_what_is_nested_deeply,
    read_only_at_the_end_is_of_its_own_mount,
    cgroup_read_only_below_a_later_mount,
    idmap_of_a_file_system_that_has_none,
    cgroup_of_a_caller_who_may_make_none,
    without_mount_setattr,
    without_fsopen,
];

/// The options of a mount point in the container, of the mount and of the superblock: `rw,nosuid … rw,size=…`.
fn options_of(output: &Output, point: &str) -> Result<String> {
    let line = line_of(output, point)?;
    let (left, right) = line.split_once(" - ").context("a separator")?;
    let mount = left.split(' ').nth(5).unwrap_or_default();
    let block = right.split(' ').nth(2).unwrap_or_default();
    Ok(format!("{mount} {block}"))
}

fn line_of<'a>(output: &'a Output, point: &str) -> Result<&'a str> {
    let mut lines = output.success()?.stdout.lines();
    let found = lines.rfind(|line| line.split(' ').nth(4) == Some(point));
    found.with_context(|| format!("no mount at {point} in {output}"))
}

fn has_options(output: &Output, point: &str, wanted: &[&str]) -> Result {
    let options = options_of(output, point)?;
    let all: Vec<&str> = options.split([',', ' ']).collect();
    for option in wanted {
        match option.strip_prefix('!') {
            Some(absent) => ensure!(!all.contains(&absent), "{point} has {absent}: {options}"),
            None => ensure!(all.contains(option), "{point} lacks {option}: {options}"),
        }
    }
    Ok(())
}

fn bind(source: &Path, options: &[&str]) -> Value {
    json!({ "destination": "/mnt", "type": "bind", "source": source, "options": options })
}

fn tmpfs(destination: &str, options: &[&str]) -> Value {
    json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options })
}

/// The runtime MUST mount the entries in the listed order: a later one may be inside an earlier one, or over it.
fn are_made_in_order() -> Result {
    let source = scratch()?;
    fs::write(source.path().join("file"), "bound")?;
    let output = Bundle::new(["cat", "/a/b/file", ",", "ls", "/a"])
        .mount(tmpfs("/a", &[]))
        .mount(json!({ "destination": "/a/b", "source": source.path(), "options": ["bind"] }))
        .run()?;
    output.success()?.has_line("bound")?.says("ls /a", "b").map(drop)
}

/// A destination that does not exist MUST be made.
fn destination_is_made() -> Result {
    let output = Bundle::new(["stat", "/new/deep/dir"]).mount(tmpfs("/new/deep/dir", &["mode=0700"])).run()?;
    contains("stat", &output.success()?.stdout, "dir mode=0700")
}

/// The destination of a file is made as a file.
fn destination_file_is_made_for_a_file() -> Result {
    let dir = scratch()?;
    fs::write(dir.path().join("file"), "content")?;
    let entry = json!({ "destination": "/new/file", "source": dir.path().join("file"), "options": ["bind"] });
    Bundle::new(["cat", "/new/file"]).mount(entry).run()?.success()?.has_line("content").map(drop)
}

/// A symbolic link in the destination is followed as in the container: an absolute one starts at the container's root.
fn destination_is_reached_through_symlinks_inside_the_root() -> Result {
    let output = Bundle::new(["statfs", "/real/x"])
        .dir("real")
        .symlink("link", "/real")
        .mount(tmpfs("/link/x", &["size=1m"]))
        .run()?;
    contains("statfs", &output.success()?.stdout, "type=1021994 size=1048576")
}

/// A dangling symbolic link is followed, too: images have some below /var/run. Its target is made.
fn destination_past_dangling_symlinks() -> Result {
    for (link, text, destination, made) in [
        ("/link", "/data", "/link/deep", "/data/deep"),
        ("/a/link", "../b/c", "/a/link/deep", "/b/c/deep"),
        ("/link", "/../../data", "/link", "/data"),
    ] {
        let output = Bundle::new(["mountinfo"]).symlink(link, text).mount(tmpfs(destination, &[])).run()?;
        line_of(output.success()?, made).with_context(|| format!("{link} -> {text}"))?;
    }
    let dir = scratch()?;
    fs::write(dir.path().join("file"), "bound")?;
    let mut entry = bind(&dir.path().join("file"), &["bind"]);
    entry["destination"] = json!("/link");
    let output = Bundle::new(["cat", "/data/file"]).symlink("/link", "data/file").mount(entry).run()?;
    output.success()?.has_line("bound").map(drop)
}

/// Links that lead to each other are an error, and no endless loop.
fn destination_past_symlinks_in_a_circle() -> Result {
    let bundle = Bundle::new(["true"]).symlink("/a", "b").symlink("/b", "a");
    bundle.mount(tmpfs("/a/deep", &[])).refused("mounts[2]").map(drop)
}

/// The destination is made below the container's root, or the mount is refused: both are safe.
fn inside_or_refused(output: &Output) -> Result {
    if output.status.success() {
        return contains("statfs", &output.stdout, "type=1021994");
    }
    output.failure().map(drop)
}

/// A symbolic link that points out of the root leads back into it: nothing is made or mounted on the host.
fn destination_does_not_leave_through_symlinks() -> Result {
    let outside = scratch()?;
    let target = outside.path().display().to_string();
    let up = format!("../../../../../../../..{target}");
    for target in [target.as_str(), up.as_str()] {
        let bundle = Bundle::new(["statfs", "/out/escaped"]).symlink("out", target).mount(tmpfs("/out/escaped", &[]));
        inside_or_refused(&bundle.run()?)?;
    }
    equal("entries outside", fs::read_dir(outside.path())?.count(), 0)
}

/// `..` at the start of a destination does not leave the root.
fn destination_does_not_leave_through_dots() -> Result {
    let outside = scratch()?;
    let destination = format!("/../../../../../../..{}/escaped", outside.path().display());
    inside_or_refused(&Bundle::new(["statfs", &destination]).mount(tmpfs(&destination, &[])).run()?)?;
    equal("entries outside", fs::read_dir(outside.path())?.count(), 0)
}

/// Options that are no flags are passed to the file system.
fn tmpfs_size_and_mode() -> Result {
    let output = Bundle::new(["statfs", "/t", ",", "stat", "/t"])
        .mount(tmpfs("/t", &["size=2m", "mode=1770", "uid=5", "gid=6"]))
        .run()?;
    contains("statfs", &output.success()?.stdout, "type=1021994 size=2097152")?;
    contains("stat", &output.stdout, "dir mode=1770 uid=5 gid=6")
}

/// nosuid, nodev, noexec and noatime are set, each on its mount, and no other flag is.
fn tmpfs_options_are_flags() -> Result {
    let output = Bundle::new(["mountinfo"])
        .mount(tmpfs("/a", &["nosuid", "nodev"]))
        .mount(tmpfs("/b", &["noexec", "noatime", "nodiratime"]))
        .mount(tmpfs("/c", &["sync", "dirsync"]))
        .run()?;
    has_options(&output, "/a", &["rw", "nosuid", "nodev", "!noexec"])?;
    has_options(&output, "/b", &["noexec", "noatime", "!nosuid", "!nodev"])?;
    has_options(&output, "/c", &["sync", "dirsync"])
}

/// `ro` makes a tmpfs read-only.
fn tmpfs_read_only() -> Result {
    let output = Bundle::new(["mountinfo", ",", "write", "/a/file", "x"]).mount(tmpfs("/a", &["ro"])).run()?;
    has_options(&output, "/a", &["ro"])?;
    output.has_line("write /a/file: EROFS").map(drop)
}

/// Without `mode=` a tmpfs gets the mode of the directory that it covers, with the sticky bit.
fn tmpfs_keeps_the_mode_of_the_directory() -> Result {
    let container = Bundle::new(["stat", "/covered"]).dir("covered").mount(tmpfs("/covered", &[])).build()?;
    fs::set_permissions(container.rootfs().join("covered"), fs::Permissions::from_mode(0o1755))?;
    contains("stat", &container.run()?.success()?.stdout, "dir mode=1755")
}

/// `tmpcopyup` copies the covered files into the tmpfs.
fn tmpfs_copies_up() -> Result {
    let output = Bundle::new(["cat", "/covered/sub/file", ",", "write", "/covered/sub/file", "new"])
        .file("covered/sub/file", "old")
        .mount(tmpfs("/covered", &["tmpcopyup"]))
        .build()?;
    let seen = output.run()?;
    seen.success()?.has_line("old")?.has_line("write /covered/sub/file: ok")?;
    equal("the file below", output.read("covered/sub/file")?, "old")
}

/// A mount has one of the three access time options.
fn access_time_options() -> Result {
    let output = Bundle::new(["mountinfo"])
        .mount(tmpfs("/relative", &["relatime"]))
        .mount(tmpfs("/strict", &["strictatime"]))
        .mount(tmpfs("/none", &["noatime"]))
        .run()?;
    has_options(&output, "/relative", &["relatime"])?;
    has_options(&output, "/strict", &["!relatime", "!noatime"])?;
    has_options(&output, "/none", &["noatime"])
}

/// Of two options that undo each other the last one counts.
fn options_that_undo_each_other() -> Result {
    let output = Bundle::new(["mountinfo"])
        .mount(tmpfs("/a", &["ro", "rw", "nosuid", "suid"]))
        .mount(tmpfs("/b", &["rw", "ro", "exec", "noexec"]))
        .run()?;
    has_options(&output, "/a", &["rw", "!ro", "!nosuid"])?;
    has_options(&output, "/b", &["noexec"])
}

/// A bind mount shows the source directory.
fn bind_directory() -> Result {
    let source = scratch()?;
    fs::write(source.path().join("file"), "of the host")?;
    let output = Bundle::new(["cat", "/mnt/file"]).mount(bind(source.path(), &["bind"])).run()?;
    output.success()?.has_line("of the host").map(drop)
}

/// A file can be bound over another file.
fn bind_file() -> Result {
    let source = scratch()?;
    fs::write(source.path().join("file"), "of the host")?;
    let entry =
        json!({ "destination": "/etc/conf", "source": source.path().join("file"), "options": ["rbind", "rprivate"] });
    let container = Bundle::new(["cat", "/etc/conf"]).file("etc/conf", "of the image").mount(entry).build()?;
    container.run()?.success()?.has_line("of the host")?;
    equal("the file below", container.read("etc/conf")?, "of the image")
}

/// Directories with a file `name` each, which holds the name of the directory.
fn named_sources(names: &[&str]) -> Result<(TempDir, impl Fn(&str, &str) -> Value + use<>)> {
    let dir = scratch()?;
    for name in names {
        fs::create_dir(dir.path().join(name))?;
        fs::write(dir.path().join(name).join("name"), name)?;
    }
    let path = dir.path().to_path_buf();
    let entry = move |source: &str, destination: &str| json!({ "destination": destination, "source": path.join(source), "options": ["rbind", "rprivate"] });
    Ok((dir, entry))
}

/// Binds whose destinations are in the same directory: one that exists, one that is missing, a symbolic link, a file,
/// and one that is covered again.
fn binds_side_by_side() -> Result {
    let (_sources, entry) = named_sources(&["a", "b", "c", "d"])?;
    let words = ["cat", "/d/one/name", ",", "cat", "/d/new/name", ",", "cat", "/real/name", ",", "cat", "/d/file"];
    let container = Bundle::new(words)
        .dir("d/one")
        .dir("real")
        .symlink("d/link", "/real")
        .file("d/file", "of the image")
        .mount(entry("a", "/d/one"))
        .mount(entry("b", "/d/new"))
        .mount(entry("c", "/d/link"))
        .mount(entry("a/name", "/d/file"))
        .mount(entry("d", "/d/one"))
        .build()?;
    let output = container.run()?;
    equal("the names", output.success()?.stdout.trim_end(), "d\nb\nc\na")?;
    let made = fs::symlink_metadata(container.rootfs().join("d/new"))?.permissions();
    equal("the permissions of the directory", made.mode() & 0o777, 0o755)
}

/// A mount over the directory of earlier destinations hides them, and later ones are in it.
fn bind_after_a_mount_over_its_directory() -> Result {
    let (_sources, entry) = named_sources(&["a", "b"])?;
    for over in ["/d", "/link"] {
        let output = Bundle::new(["ls", "/d", ",", "cat", "/d/two/name"])
            .dir("d/one")
            .dir("d/two")
            .symlink("link", "d")
            .mount(entry("a", "/d/one"))
            .mount(tmpfs(over, &[]))
            .mount(entry("b", "/d/two"))
            .run()?;
        output.success()?.says("ls /d", "two")?.has_line("b").with_context(|| over)?;
    }
    Ok(())
}

/// A symbolic link that points out of the root leads back into it, at the end of a destination and before.
fn bind_does_not_leave_through_symlinks() -> Result {
    let (_sources, entry) = named_sources(&["a"])?;
    let outside = scratch()?;
    let target = outside.path().display().to_string();
    let up = format!("../../../../../../../..{target}");
    for target in [target.as_str(), up.as_str()] {
        for destination in ["/out", "/out/below"] {
            let path = format!("{destination}/name");
            let bundle = Bundle::new(["cat", &path]).symlink("out", target).mount(entry("a", destination));
            let output = bundle.run()?;
            match output.status.success() {
                true => output.has_line("a").map(drop)?,
                false => output.failure().map(drop)?,
            }
        }
    }
    equal("entries outside", fs::read_dir(outside.path())?.count(), 0)
}

/// Writes to a bind mount go to the source.
fn bind_writes_reach_the_source() -> Result {
    let source = scratch()?;
    let output = Bundle::new(["write", "/mnt/new", "text"]).mount(bind(source.path(), &["bind", "rw"])).run()?;
    output.success()?.has_line("write /mnt/new: ok")?;
    equal("file", fs::read_to_string(source.path().join("new"))?, "text")
}

/// With `ro` a bind mount cannot be written to.
fn bind_read_only() -> Result {
    let source = scratch()?;
    let output = Bundle::new(["write", "/mnt/new", "text"]).mount(bind(source.path(), &["bind", "ro"])).run()?;
    output.success()?.has_line("write /mnt/new: EROFS")?;
    equal("entries", fs::read_dir(source.path())?.count(), 0)
}

/// The flags of a bind mount are those of its options.
fn bind_options_are_flags() -> Result {
    let source = scratch()?;
    let output = Bundle::new(["mountinfo"])
        .mount(bind(source.path(), &["bind", "nosuid", "nodev", "noexec", "noatime"]))
        .run()?;
    has_options(&output, "/mnt", &["rw", "nosuid", "nodev", "noexec", "noatime"])
}

/// A directory with a tmpfs mounted at `sub`, in the suite's mount namespace.
fn source_with_submount() -> Result<Submount> {
    let dir = scratch()?;
    let sub = dir.path().join("sub");
    fs::create_dir(&sub)?;
    mount(Some("tmpfs"), &sub, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    fs::write(sub.join("file"), "below")?;
    Ok(Submount(dir))
}

struct Submount(tempfile::TempDir);

impl Drop for Submount {
    fn drop(&mut self) {
        // The mount namespace ends with the suite, so a failure does not matter.
        let _ = nix::mount::umount2(&self.0.path().join("sub"), nix::mount::MntFlags::MNT_DETACH);
    }
}

/// With options on flags, a bind mount does not keep other flags of its source. In a new user namespace it does: the
/// flags are locked there, and the runtime must not clear them on behalf of the owner.
fn bind_keeps_locked_flags_in_a_user_namespace() -> Result {
    let source = source_with_submount()?;
    let (sub, remount) = (source.0.path().join("sub"), MsFlags::MS_REMOUNT | MsFlags::MS_BIND);
    mount(None::<&str>, &sub, None::<&str>, remount | MsFlags::MS_RDONLY | MsFlags::MS_NOEXEC, None::<&str>)?;
    let bundle = |options: &[&str]| Bundle::new(["mountinfo"]).mount(bind(&sub, options));
    has_options(&bundle(&["bind", "nosuid"]).run()?, "/mnt", &["rw", "nosuid"])?;
    let inside = bundle(&["bind", "nosuid"]).user_namespace(100_000, 65_536).run()?;
    has_options(&inside, "/mnt", &["ro", "nosuid", "noexec"])?;
    let locked = |bundle: Bundle| bundle.user_namespace(100_000, 65_536).refused("mounts[").map(drop);
    locked(bundle(&["bind", "rw"]))?;
    locked(bundle(&["bind"]).mount(bind(&sub, &["bind", "remount", "rw"])))?;
    // The flags of the mounts below are locked, too, and a bind without those mounts would uncover what they cover:
    // both are refused.
    let above = |options: &[&str]| Bundle::new(["true"]).mount(bind(source.0.path(), options));
    locked(above(&["rbind", "rrw"]))?;
    locked(above(&["bind"]))
}

/// `nosymfollow` is cleared if it is not asked for, even if other flags are locked.
fn bind_drops_flags_that_are_never_locked() -> Result {
    let source = source_with_submount()?;
    let no_symlinks = MsFlags::from_bits_retain(libc::MS_NOSYMFOLLOW);
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_NODEV | no_symlinks;
    let sub = source.0.path().join("sub");
    mount(None::<&str>, &sub, None::<&str>, flags, None::<&str>)?;
    let bundle = |options: &[&str]| Bundle::new(["mountinfo"]).mount(bind(&sub, options));
    for options in [&["bind", "ro", "symfollow"], &["bind", "ro"]] as [&[&str]; 2] {
        has_options(&bundle(options).run()?, "/mnt", &["ro", "!nodev", "!nosymfollow"])?;
        let inside = bundle(options).user_namespace(100_000, 65_536).run()?;
        has_options(&inside, "/mnt", &["ro", "nodev", "!nosymfollow"])?;
    }
    Ok(())
}

/// A mount that the container makes on a bind mount stays in the container even if the source is shared. The same holds
/// in a user namespace.
fn bind_does_not_lead_back_to_the_host() -> Result {
    let source = source_with_submount()?;
    let sub = source.0.path().join("sub");
    mount(None::<&str>, &sub, None::<&str>, MsFlags::MS_SHARED, None::<&str>)?;
    fs::create_dir(sub.join("inner"))?;
    let bundle = || Bundle::new(["true"]).mount(bind(&sub, &["rbind"])).mount(tmpfs("/mnt/inner", &[]));
    let inside = || bundle().user_namespace(100_000, 65_536);
    for bundle in [bundle(), inside(), inside().set("/linux/rootfsPropagation", "shared")] {
        let container = bundle.create()?;
        let below = container::mounts_below(&sub.join("inner"));
        container.command(["delete", "--force"])?.success()?;
        ensure!(below.is_empty(), "{below:?}");
    }
    Ok(())
}

/// `bind` binds one mount, without those below it.
fn bind_is_not_recursive() -> Result {
    let source = source_with_submount()?;
    let output = Bundle::new(["ls", "/mnt/sub"]).mount(bind(source.0.path(), &["bind"])).run()?;
    output.success()?.says("ls /mnt/sub", "").map(drop)
}

/// `rbind` binds the mounts below, too. Its `ro` applies to the top one alone.
fn rbind_is_recursive() -> Result {
    let source = source_with_submount()?;
    let words = ["cat", "/mnt/sub/file", ",", "write", "/mnt/sub/new", "x", ",", "write", "/mnt/new", "x"];
    let output = Bundle::new(words).mount(bind(source.0.path(), &["rbind", "ro"])).run()?;
    output.success()?.has_line("below")?.has_line("write /mnt/sub/new: ok")?.has_line("write /mnt/new: EROFS").map(drop)
}

/// `rro` makes all of them read-only.
fn bind_recursively_read_only() -> Result {
    let source = source_with_submount()?;
    let words = ["cat", "/mnt/sub/file", ",", "write", "/mnt/sub/new", "x", ",", "write", "/mnt/new", "x"];
    let output = Bundle::new(words).mount(bind(source.0.path(), &["rbind", "rro"])).run()?;
    output
        .success()?
        .has_line("below")?
        .has_line("write /mnt/sub/new: EROFS")?
        .has_line("write /mnt/new: EROFS")
        .map(drop)
}

/// A relative source of a bind mount starts at the bundle.
fn bind_source_relative_to_the_bundle() -> Result {
    let container = Bundle::new(["cat", "/mnt/file"]).mount(bind(Path::new("data"), &["bind"])).build()?;
    fs::create_dir(container.bundle().join("data"))?;
    fs::write(container.bundle().join("data/file"), "of the bundle")?;
    container.run()?.success()?.has_line("of the bundle").map(drop)
}

/// A missing source is an error that names it.
fn bind_source_that_is_missing() -> Result {
    let output = Bundle::new(["true"]).mount(bind(Path::new("/nosuch/source"), &["bind"])).refused("mounts[2]")?;
    contains("message", &output.stderr, "/nosuch/source")
}

/// `bind` or `rbind` among the options makes a bind mount, whatever `type` is (`none`, or missing).
fn bind_type_without_the_option() -> Result {
    let source = scratch()?;
    fs::write(source.path().join("file"), "bound")?;
    let entry = json!({ "destination": "/mnt", "type": "none", "source": source.path(), "options": ["rbind"] });
    Bundle::new(["cat", "/mnt/file"]).mount(entry).run()?.success()?.has_line("bound").map(drop)
}

/// The flags of a bind mount do not change the mount of its source.
fn bind_leaves_the_source_as_it_is() -> Result {
    let source = source_with_submount()?;
    let sub = source.0.path().join("sub");
    let output = Bundle::new(["write", "/mnt/new", "x"]).mount(bind(&sub, &["bind", "ro", "noexec"])).run()?;
    output.success()?.has_line("write /mnt/new: EROFS")?;
    fs::write(sub.join("still"), "writable").context("the host's mount has changed")
}

/// `uidMappings` and `gidMappings` map the owners that the container sees.
fn bind_that_is_idmapped() -> Result {
    let source = scratch()?;
    fs::write(source.path().join("file"), "x")?;
    std::os::unix::fs::chown(source.path().join("file"), Some(1000), Some(1001))?;
    let map = json!([{ "containerID": 1000, "hostID": 5000, "size": 10 }]);
    let mut entry = bind(source.path(), &["bind"]);
    entry["uidMappings"] = map.clone();
    entry["gidMappings"] = map;
    let output = Bundle::new(["stat", "/mnt/file"]).mount(entry).run()?;
    contains("stat", &output.success()?.stdout, "uid=5000 gid=5001")
}

/// `idmap` without mappings takes those of the container's user namespace. For a joined one the config has none.
fn idmap_of_a_joined_user_namespace() -> Result {
    let source = scratch()?;
    fs::write(source.path().join("file"), "x")?;
    std::os::unix::fs::chown(source.path().join("file"), Some(1000), Some(1001))?;
    let first = Bundle::new(["pause"]).user_namespace(100_000, 65_536).start()?;
    let bundle = Bundle::new(["stat", "/mnt/file"]).user_namespace(100_000, 65_536).without_namespace("user");
    let bundle = bundle.join("user", format!("/proc/{}/ns/user", first.pid()?));
    let bundle = bundle.remove("/linux/uidMappings").remove("/linux/gidMappings");
    let output = bundle.mount(bind(source.path(), &["bind", "idmap"])).run()?;
    contains("stat", &output.success()?.stdout, "uid=1000 gid=1001")
}

/// Root of a user namespace can id-map what it has mounted itself. The kernel decides that: the runtime does not refuse
/// a caller because it is not the host's root.
fn idmap_by_root_of_a_user_namespace() -> Result {
    let source = scratch()?;
    let mut entry = bind(source.path(), &["bind"]);
    let map = json!([{ "containerID": 0, "hostID": 0, "size": 1 }]);
    entry["uidMappings"] = map.clone();
    entry["gidMappings"] = map;
    let container = Bundle::new(["mountinfo"]).remove("/linux/resources").user_namespace(0, 1).mount(entry).build()?;
    container.edit_config(|config| drop(config["linux"].as_object_mut().map(|linux| linux.remove("cgroupsPath"))))?;
    let output = container.launch(["run"]).by_root_elsewhere().covering(source.path())?.output()?;
    contains("mount", line_of(&output, "/mnt")?, "idmapped")
}

/// `uidMappings` without `gidMappings`, or the reverse, is an error.
fn idmap_needs_mappings_on_both_sides() -> Result {
    let source = scratch()?;
    let mut entry = bind(source.path(), &["bind"]);
    entry["uidMappings"] = json!([{ "containerID": 0, "hostID": 5000, "size": 10 }]);
    Bundle::new(["true"]).mount(entry).refused("mounts[2]").map(drop)
}

/// shared, slave and private set the propagation of the mount.
fn propagation_of_a_mount() -> Result {
    let output = Bundle::new(["mountinfo"])
        .mount(tmpfs("/shared", &["rshared"]))
        .mount(tmpfs("/private", &["private"]))
        .run()?;
    contains("shared", line_of(&output, "/shared")?, "shared:")?;
    ensure!(!line_of(&output, "/private")?.contains("shared:"), "{output}");
    Ok(())
}

/// A new proc shows the processes of the container's pid namespace.
fn proc_is_that_of_the_pid_namespace() -> Result {
    let output = Bundle::new(["readlink", "/proc/self", ",", "cat", "/proc/1/cmdline"]).run()?;
    output.success()?.has_line("1")?;
    contains("pid 1", &output.stdout, "/payload")
}

/// A symbolic link as the destination of proc is refused: proc could cover any directory.
fn proc_on_a_symlink() -> Result {
    let bundle = Bundle::new(["true"]).dir("elsewhere").symlink("proc", "elsewhere");
    bundle.refused("mounts[0]").map(drop)
}

/// Mounts below /proc are refused: they could replace the files that describe the process (CVE-2019-16884).
fn below_proc_is_refused() -> Result {
    let source = scratch()?;
    for target in ["/proc/self/attr", "/proc/sys", "/proc/self"] {
        let entry = json!({ "destination": target, "source": source.path(), "options": ["bind"] });
        Bundle::new(["true"]).mount(entry).refused("mounts[2]").with_context(|| target)?;
    }
    Ok(())
}

/// The files that lxcfs provides may be mounted below /proc.
fn below_proc_lxcfs_files_are_allowed() -> Result {
    let source = scratch()?;
    let file = source.path().join("uptime");
    fs::write(&file, "1.00 2.00")?;
    let entry = json!({ "destination": "/proc/uptime", "source": file, "options": ["bind"] });
    Bundle::new(["cat", "/proc/uptime"]).mount(entry).run()?.success()?.has_line("1.00 2.00").map(drop)
}

/// sysfs can be mounted read-only.
fn sysfs_read_only() -> Result {
    let options = json!(["nosuid", "noexec", "nodev", "ro"]);
    let entry = json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": options });
    let output = Bundle::new(["mountinfo", ",", "mkdir", "/sys/x"]).namespace("network").mount(entry).run()?;
    has_options(&output, "/sys", &["ro", "nosuid", "noexec", "nodev"])?;
    contains("type", line_of(&output, "/sys")?, "- sysfs")
}

/// mqueue can be mounted.
fn mqueue() -> Result {
    let entry = json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid"] });
    let output = Bundle::new(["mountinfo"]).mount(entry).run()?;
    contains("type", line_of(&output, "/dev/mqueue")?, "- mqueue")
}

/// A directory over a file and a file over a directory are errors. docker matches their words.
fn bind_of_one_kind_on_another() -> Result {
    let source = scratch()?;
    fs::write(source.path().join("file"), "")?;
    for (from, to) in [("", "/etc/conf"), ("file", "/etc")] {
        let entry = json!({ "destination": to, "source": source.path().join(from), "options": ["bind"] });
        let container = Bundle::new(["true"]).file("etc/conf", "").mount(entry).build()?;
        container.run()?.fails_with("not a directory")?;
        container.nothing_left()?;
    }
    Ok(())
}

/// Empty options are ignored: podman passes some.
fn empty_options_say_nothing() -> Result {
    let options = json!(["", "nosuid", "", "size=64k", ""]);
    let entry = json!({ "destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": options });
    let output = Bundle::new(["mountinfo"]).mount(entry).run()?;
    equal("stderr", output.stderr.as_str(), "")?;
    has_options(&output, "/mnt", &["nosuid", "size=64k"])
}

/// devpts takes the options that engines pass, and /dev/ptmx leads to it.
fn devpts() -> Result {
    let options = json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]);
    let entry = json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": options });
    let output =
        Bundle::new(["mountinfo", ",", "readlink", "/dev/ptmx", ",", "open", "/dev/ptmx", ",", "ls", "/dev/pts"])
            .mount(entry)
            .run()?;
    has_options(&output, "/dev/pts", &["nosuid", "noexec", "gid=5", "mode=620", "ptmxmode=666"])?;
    output.has_line("pts/ptmx")?.has_line("open /dev/ptmx: ok")?.says("ls /dev/pts", "ptmx").map(drop)
}

/// Any other type is passed to the kernel: here an overlay.
fn overlay() -> Result {
    let dir = source_with_submount()?;
    let at = |name: &str| dir.0.path().join("sub").join(name);
    ["lower", "upper", "work"].iter().try_for_each(|name| fs::create_dir(at(name)))?;
    fs::write(at("lower").join("file"), "lower")?;
    let options = [
        format!("lowerdir={}", at("lower").display()),
        format!("upperdir={}", at("upper").display()),
        format!("workdir={}", at("work").display()),
    ];
    let entry = json!({ "destination": "/mnt", "type": "overlay", "source": "overlay", "options": options });
    let output = Bundle::new(["cat", "/mnt/file", ",", "write", "/mnt/new", "x"]).mount(entry).run()?;
    output.success()?.has_line("lower")?.has_line("write /mnt/new: ok")?;
    equal("upper file", fs::read_to_string(at("upper").join("new"))?, "x")
}

fn cgroup_mount(options: &[&str]) -> Value {
    json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options })
}

/// A mount of type cgroup shows the container's cgroups: on v1 it has a directory for each controller.
fn cgroup() -> Result {
    let bundle = Bundle::new(["cat", "/sys/fs/cgroup/pids/cgroup.procs", ",", "cat", "/sys/fs/cgroup/cgroup.procs"]);
    let bundle = bundle.mount(cgroup_mount(&["nosuid", "noexec", "nodev", "relatime", "ro"]));
    // Without a cgroup namespace v2 shows the whole hierarchy.
    let unified = machine::get().layout == machine::Layout::Unified;
    let output = if unified { bundle.namespace("cgroup") } else { bundle }.run()?;
    // One of the two layouts has the file, and it contains pid 1.
    output.success()?.has_line("1").map(drop)
}

/// With `ro` the container cannot change its limits.
fn cgroup_read_only() -> Result {
    let unified = machine::get().layout == machine::Layout::Unified;
    let path = if unified { "/sys/fs/cgroup/sub" } else { "/sys/fs/cgroup/pids/sub" };
    let output = Bundle::new(["mkdir", path]).mount(cgroup_mount(&["ro"])).run()?;
    output.success()?.has_line(&format!("mkdir {path}: EROFS")).map(drop)
}

/// On v2 a mount of type cgroup is the cgroup file system. With a cgroup namespace its root is the container's own
/// cgroup.
fn cgroup2_in_the_unified_view() -> Result {
    let output = Bundle::new(["cat", "/sys/fs/cgroup/cgroup.procs", ",", "statfs", "/sys/fs/cgroup"])
        .view(View::Unified)
        .namespace("cgroup")
        .mount(cgroup_mount(&["nosuid", "noexec", "nodev", "relatime", "ro"]))
        .run()?;
    output.success()?.has_line("1")?;
    contains("type", &output.stdout, "type=63677270")
}

/// A mount of the hierarchy in the host's cgroup namespace sets the hierarchy's options for the whole host, so tare
/// binds the host's mount (runc#5258).
fn cgroup2_of_the_host_keeps_its_options() -> Result {
    if !runtime::is("tare") {
        return skip("runc and crun take the options away from this machine");
    }
    let Some(mount) = &machine::get().v2 else { return skip("there is no v2 hierarchy") };
    // The options of the hierarchy are the last word of each of its lines.
    let options = |table: &str, point: &str| {
        let line = table.lines().find(|line| line.split(' ').nth(4) == Some(point));
        line.and_then(|line| line.split(' ').next_back()).map(str::to_owned).context("a mount of the hierarchy")
    };
    let host = || options(&fs::read_to_string("/proc/self/mountinfo")?, &mount.display().to_string());
    let before = host()?;
    let output = Bundle::new(["cat", "/proc/self/mountinfo", ",", "mkdir", "/sys/fs/cgroup/sub"])
        .view(View::Unified)
        .mount(cgroup_mount(&["nosuid", "noexec", "nodev", "relatime", "ro"]))
        .run()?;
    output.success()?.has_line("mkdir /sys/fs/cgroup/sub: EROFS")?;
    contains("flags", &output.stdout, " / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime")?;
    equal("options in the container", options(&output.stdout, "/sys/fs/cgroup")?, before.clone())?;
    equal("options of the host", host()?, before)
}

/// A type that the kernel does not know is an error that names the entry.
fn unknown_type() -> Result {
    let entry = json!({ "destination": "/mnt", "type": "nosuchfs", "source": "none" });
    Bundle::new(["true"]).mount(entry).refused("mounts[2]").map(drop)
}

/// An option that is neither a flag nor the file system's own is an error.
fn unknown_option_is_data_the_file_system_refuses() -> Result {
    Bundle::new(["true"]).mount(tmpfs("/mnt", &["nosuchoption"])).refused("mounts[2]").map(drop)
}

/// A destination MUST be absolute. runc warns and takes a relative one from `/`.
fn relative_destination() -> Result {
    let output = Bundle::new(["statfs", "/mnt"]).mount(tmpfs("mnt", &[])).run()?;
    contains("statfs", &output.success()?.stdout, "type=1021994")
}

/// A mount over `/` is refused: it would be hidden, or hide all (runc#5070).
fn over_the_root_is_refused() -> Result {
    for destination in ["/", "/.", "/proc/.."] {
        Bundle::new(["true"]).mount(tmpfs(destination, &[])).refused("mounts[2]").with_context(|| destination)?;
    }
    Ok(())
}

/// `mounts` is optional.
fn without_mounts() -> Result {
    let output =
        Bundle::new(["ls", "/proc", ",", "echo", "works"]).remove("/mounts").remove("/process/capabilities").run()?;
    output.success()?.has_line("works").map(drop)
}

/// An option of the file system has its effect: nr_inodes of tmpfs.
fn data_of_the_file_system() -> Result {
    let bundle = Bundle::new(["write", "/mnt/1", "x", ",", "write", "/mnt/2", "x"]);
    let output = bundle.mount(tmpfs("/mnt", &["nr_inodes=2"])).run()?;
    output.success()?.has_line("write /mnt/1: ok")?.has_line("write /mnt/2: ENOSPC").map(drop)
}

/// The set-uid bit of a program on a nosuid mount is ignored.
fn set_user_id_ignored_on_nosuid() -> Result {
    let source = scratch()?;
    fs::copy(payload::path(), source.path().join("program"))?;
    fs::set_permissions(source.path().join("program"), fs::Permissions::from_mode(0o4755))?;
    let run = |options: &[&str]| -> Result<Output> {
        let bundle = Bundle::new(["run", "/mnt/program", "ids"]).set("/process/user/uid", 1000);
        bundle.mount(bind(source.path(), options)).run()
    };
    run(&["bind"])?.success()?.says("euid", "0")?;
    run(&["bind", "nosuid"])?.success()?.says("euid", "1000").map(drop)
}

/// A program on a noexec mount cannot be executed.
fn no_exec_keeps_programs_from_running() -> Result {
    let source = scratch()?;
    fs::copy(payload::path(), source.path().join("program"))?;
    let bundle = Bundle::new(["run", "/mnt/program", "true"]);
    let output = bundle.mount(bind(source.path(), &["bind", "noexec"])).run()?;
    output.success()?.has_line("run /mnt/program: EACCES").map(drop)
}

/// A device on a nodev mount cannot be opened.
fn no_dev_keeps_devices_from_opening() -> Result {
    let bundle = Bundle::new(["mknod", "/mnt/null", "c:1:3", ",", "open", "/mnt/null"]).capabilities(&["CAP_MKNOD"]);
    let output = bundle.mount(tmpfs("/mnt", &["nodev"])).run()?;
    output.success()?.has_line("mknod /mnt/null: ok")?.has_line("open /mnt/null: EACCES").map(drop)
}

/// A copied file keeps its type, owner, mode, times and extended attributes.
fn tmpfs_copies_up_all_kinds_of_files() -> Result {
    use std::os::unix::fs::MetadataExt;
    let bundle = Bundle::new(["pause"]).file_with_mode("covered/sub/file", "old", 0o4750);
    let container = bundle.symlink("covered/link", "/nosuch").mount(tmpfs("/covered", &["tmpcopyup"])).build()?;
    let image = container.rootfs().join("covered");
    nix::unistd::mkfifo(&image.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o621))?;
    drop(std::os::unix::net::UnixListener::bind(image.join("socket"))?);
    let node = nix::sys::stat::SFlag::S_IFCHR;
    nix::sys::stat::mknod(&image.join("node"), node, nix::sys::stat::Mode::S_IRUSR, nix::sys::stat::makedev(1, 5))?;
    for name in ["sub", "sub/file", "link", "fifo", "socket", "node"] {
        let path = image.join(name);
        std::os::unix::fs::lchown(&path, Some(7), Some(8))?;
        if name == "sub/file" {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o4750))?;
        }
    }
    let attribute = |path: &Path| -> Option<Vec<u8>> {
        let path = std::ffi::CString::new(path.to_str()?).ok()?;
        let mut value = vec![0; 64];
        // SAFETY: getxattr(2) gets two C strings and a buffer with its size.
        let length = unsafe { libc::getxattr(path.as_ptr(), c"user.mine".as_ptr(), value.as_mut_ptr().cast(), 64) };
        value.truncate(usize::try_from(length).ok()?);
        Some(value)
    };
    for name in ["sub/file", "sub"] {
        let path = std::ffi::CString::new(image.join(name).to_str().context("a path")?)?;
        // SAFETY: setxattr(2) gets C strings and a buffer with its size. It may fail: some file systems lack such
        // attributes.
        let _ = unsafe { libc::setxattr(path.as_ptr(), c"user.mine".as_ptr(), c"value".as_ptr().cast(), 5, 0) };
    }
    let mut touch = std::process::Command::new("touch");
    let all = ["sub/file", "sub", "link", "fifo", "socket", "node"];
    touch.args(["-h", "-d", "2001-02-03 04:05:06"]).args(all.map(|name| image.join(name)));
    ensure!(touch.status()?.success(), "touch failed");
    let output = container.create()?;
    if runtime::is("runc") {
        // runc 1.3 fails at a FIFO.
        return output.failure().map(drop);
    }
    output.success()?;
    let seen = PathBuf::from(format!("/proc/{}/root/covered", container.pid()?));
    for name in all {
        let facts = |dir: &Path| -> Result<_> {
            let it = dir.join(name).symlink_metadata()?;
            let value = if it.is_file() || it.is_dir() { attribute(&dir.join(name)) } else { None };
            Ok((it.mode(), it.uid(), it.gid(), it.rdev(), it.mtime(), value))
        };
        equal(name, facts(&seen)?, facts(&image)?)?;
    }
    equal("file", fs::read_to_string(seen.join("sub/file"))?.as_str(), "old")?;
    equal("link", fs::read_link(seen.join("link"))?, PathBuf::from("/nosuch"))
}

/// A deeply nested directory is copied, or refused by name.
fn tmpfs_copies_up_what_is_nested_deeply() -> Result {
    for depth in [200, 1500] {
        let container = Bundle::new(["pause"]).mount(tmpfs("/covered", &["tmpcopyup"])).build()?;
        let inner: PathBuf = std::iter::repeat_n("d", depth).collect();
        fs::create_dir_all(container.rootfs().join("covered").join(&inner))?;
        let output = container.create()?;
        if depth > 200 && !output.status.success() {
            names_field(&output, "mounts[2]")?;
            return contains("message", &output.stderr, "nested too deeply");
        }
        output.success()?;
        let seen = PathBuf::from(format!("/proc/{}/root/covered", container.pid()?)).join(inner);
        ensure!(seen.is_dir(), "{depth} levels are not there");
    }
    Ok(())
}

/// `ro` of a tmpfs is set at the end, since the runtime still makes files in it. By then another mount may be at the
/// destination, and must not become read-only.
fn read_only_at_the_end_is_of_its_own_mount() -> Result {
    let words = ["mountinfo", ",", "write", "/a/file", "x", ",", "write", "/b/file", "x"];
    let bundle = Bundle::new(words).mount(tmpfs("/a", &["ro"])).mount(tmpfs("/b", &["ro"]));
    let output = bundle.mount(tmpfs("/a", &[])).mount(tmpfs("/b/deep", &[])).run()?;
    output.success()?.has_line("write /a/file: ok")?.has_line("write /b/file: EROFS")?;
    let flags = |line: &&str| line.split(' ').nth(5).unwrap_or_default().to_owned();
    let lines = output.stdout.lines().filter(|line| line.split(' ').nth(4) == Some("/a"));
    let lines: Vec<String> = lines.collect::<Vec<_>>().iter().map(flags).collect();
    equal("mounts at /a", lines, ["ro,relatime", "rw,relatime"])
}

/// The same for the cgroup mount, which `docker run -v /sys:/sys` covers.
fn cgroup_read_only_below_a_later_mount() -> Result {
    if machine::get().layout == machine::Layout::Unified {
        return skip("on v2 it is one mount, and read-only from the start");
    }
    for option in ["rbind", "bind"] {
        let bundle = Bundle::new(["mountinfo"]).mount(cgroup_mount(&["ro", "nosuid"]));
        let sys = json!({ "destination": "/sys", "type": "bind", "source": "/sys", "options": [option] });
        let output = bundle.mount(sys).run()?;
        let lines = output.success()?.stdout.lines().filter(|line| line.split(' ').nth(4) == Some("/sys/fs/cgroup"));
        let flags: Vec<_> = lines.filter_map(|line| line.split(' ').nth(5)).collect();
        ensure!(flags[0].starts_with("ro,"), "{output}");
        let wanted = if option == "rbind" { "rw" } else { "ro" };
        ensure!(flags.last().is_some_and(|flags| flags.starts_with(wanted)), "{output}");
    }
    Ok(())
}

/// A file system without id-mapped mounts is named in the error: EINVAL alone does not tell the reason.
fn idmap_of_a_file_system_that_has_none() -> Result {
    let mut entry = bind(Path::new("/proc/self"), &["bind", "idmap"]);
    let map = json!([{ "containerID": 0, "hostID": 1000, "size": 10 }]);
    (entry["uidMappings"], entry["gidMappings"]) = (map.clone(), map);
    let output = Bundle::new(["true"]).mount(entry).refused("mounts[2]")?;
    contains("message", &output.stderr, "support")
}

/// A caller that may make no cgroup sees its own in the container, read-only: programs look for their limits there.
fn cgroup_of_a_caller_who_may_make_none() -> Result {
    if machine::get().layout == machine::Layout::Unified {
        return skip("on v2 the host's view would be writable, so it is hidden");
    }
    const USER: u32 = 64_321;
    let words = ["ls", "/sys/fs/cgroup", ",", "cat", "/sys/fs/cgroup/pids/cgroup.procs", ",", "mountinfo"];
    let bundle = Bundle::new(words).user(USER).user_namespace(USER, 1).mount(cgroup_mount(&["nosuid", "ro"]));
    let output = bundle.run()?;
    let listed: Vec<&str> = output.success()?.value("ls /sys/fs/cgroup")?.split(' ').collect();
    ensure!(listed.contains(&"pids") && !output.stdout.contains("cgroup.procs:"), "{output}");
    has_options(&output, "/sys/fs/cgroup/pids", &["ro", "nosuid"])
}

/// A container under a kernel before 5.12, or in a sandbox that does not know mount_setattr(2): the system call
/// `denied` fails with ENOSYS.
fn old_kernel(denied: libc::c_long) -> Result {
    let source = scratch()?;
    fs::write(source.path().join("file"), "bound")?;
    let file = json!({ "destination": "/etc/file", "source": source.path().join("file"), "options": ["bind", "ro"] });
    let words = [
        "mountinfo",
        ",",
        "write",
        "/etc/file",
        "x",
        ",",
        "write",
        "/new",
        "x",
        ",",
        "cat",
        "/up/file",
        ",",
        "stat",
        "/t",
    ];
    let bundle = Bundle::new(words).file("up/file", "copied").dir("t").set("/root/readonly", true);
    let bundle = bundle.set("/linux/rootfsPropagation", "private").set("/linux/readonlyPaths", json!(["/proc/sys"]));
    let bundle = bundle.set("/linux/maskedPaths", json!(["/proc/irq", "/proc/version"]));
    let bundle = bundle.mount(bind(source.path(), &["rbind", "nosuid", "rprivate", "shared"])).mount(file);
    let bundle = bundle.mount(tmpfs("/t", &["ro", "noexec"])).mount(tmpfs("/up", &["tmpcopyup", "noatime"]));
    let output = bundle.build()?.launch(["run"]).denying(denied, None, nix::errno::Errno::ENOSYS).output()?;
    has_options(&output, "/mnt", &["rw", "nosuid", "!ro"])?;
    contains("propagation", line_of(&output, "/mnt")?, " shared:")?;
    has_options(&output, "/t", &["ro", "noexec"])?;
    has_options(&output, "/up", &["rw", "noatime"])?;
    has_options(&output, "/proc/sys", &["ro"])?;
    line_of(&output, "/proc/irq")?;
    line_of(&output, "/proc/version")?;
    output.has_line("write /etc/file: EROFS")?.has_line("write /new: EROFS")?.has_line("copied")?;
    contains("mode", &output.stdout, "stat /t: dir mode=0755")
}

fn without_mount_setattr() -> Result {
    old_kernel(libc::SYS_mount_setattr)
}

fn without_fsopen() -> Result {
    old_kernel(libc::SYS_fsopen)
}

/// Device nodes are made after all mounts, also if one of these makes /dev read-only. In the end it is read-only.
fn dev_remounted_read_only() -> Result {
    let entry = json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["remount", "ro"] });
    let output = Bundle::new(["stat", "/dev/null", ",", "mkdir", "/dev/new"]).mount(entry).run()?;
    contains("the null device", &output.success()?.stdout, "char")?;
    output.says("mkdir /dev/new", "EROFS").map(drop)
}
