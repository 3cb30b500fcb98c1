//! The root file system: read-only, masked and read-only paths, devices, propagation, and no way out.

use crate::harness::bundle::scratch;
use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;
use std::os::unix::fs::symlink;

tests![
    writable_by_default,
    read_only,
    read_only_without_a_mount_namespace,
    read_only_leaves_mounts_writable,
    absolute_path,
    path_through_a_symlink_is_refused,
    path_that_is_missing,
    path_that_is_a_file,
    nothing_above_the_root,
    no_mount_of_the_host_is_seen,
    hosts_mounts_are_unchanged,
    masked_file_reads_as_empty,
    masked_directory_is_empty_and_read_only,
    masked_path_that_is_missing_is_skipped,
    masked_path_with_a_symlink_stays_inside,
    read_only_path,
    read_only_directory,
    read_only_path_that_is_missing_is_skipped,
    read_only_proc_sys,
    default_devices,
    default_devices_can_be_used,
    default_links,
    device_of_the_configuration,
    ptmx_among_the_devices,
    device_in_a_new_directory,
    fifo_of_the_configuration,
    device_without_numbers,
    device_of_unknown_type,
    no_devices_where_dev_is_bound,
    propagation_private,
    propagation_slave,
    propagation_shared,
    propagation_of_all_that_is_in_it,
    propagation_unknown,
    core_link_and_no_console,
    read_only_path_that_is_the_root,
    read_only_path_that_climbs_to_the_root,
    masked_path_that_is_the_root,
    hidden_paths_that_are_relative_or_links,
    hidden_paths_stay_with_a_mount_that_is_moved,
    hidden_paths_on_a_mount_that_is_covered_through_a_link,
    device_where_another_file_is,
    device_that_is_there_already,
    default_device_where_a_file_is,
    device_numbers_that_do_not_fit,
    device_that_may_not_be_made,
    device_of_a_user_namespace_is_its_own,
    device_owner_that_is_not_mapped,
    device_of_an_ordinary_user_is_the_hosts,
    devices_below_a_link_to_a_volume,
    devices_where_a_volume_covers_dev_through_a_link,
    null_device_of_the_host_is_not_handed_on,
    path_that_becomes_a_link,
];

/// The root is writable without `readonly`. Writes go to the bundle.
fn writable_by_default() -> Result {
    let container = Bundle::new(["write", "/file", "text"]).build()?;
    container.run()?.success()?.has_line("write /file: ok")?;
    equal("file", container.read("file")?, "text")
}

/// `root.readonly` MUST make the root read-only in the container.
fn read_only() -> Result {
    let container =
        Bundle::new(["write", "/file", "text", ",", "mkdir", "/dir"]).set("/root/readonly", true).build()?;
    container.run()?.success()?.has_line("write /file: EROFS")?.has_line("mkdir /dir: EROFS")?;
    fs::write(container.rootfs().join("file"), "host").context("the host's own view stays writable")
}

/// `root.readonly` without a mount namespace would make the host's directory read-only: refused, and not ignored.
fn read_only_without_a_mount_namespace() -> Result {
    let bundle = Bundle::new(["true"]).without_namespace("mount").remove("/mounts").set("/root/readonly", true);
    bundle.refused_by_tare("root.readonly")
}

/// `root.readonly` does not apply to the mounts in the root.
fn read_only_leaves_mounts_writable() -> Result {
    let entry = json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" });
    let output = Bundle::new(["write", "/tmp/file", "x"]).set("/root/readonly", true).mount(entry).run()?;
    output.success()?.has_line("write /tmp/file: ok").map(drop)
}

/// `root.path` may be absolute.
fn absolute_path() -> Result {
    let container = Bundle::new(["ls", "/"]).build()?;
    let rootfs = container.rootfs();
    container.edit_config(|config| config["root"]["path"] = json!(rootfs))?;
    container.run()?.success()?.says("ls /", "dev payload proc").map(drop)
}

/// A root path with a symbolic link could change during create: refused.
fn path_through_a_symlink_is_refused() -> Result {
    let container = Bundle::new(["true"]).set("/root/path", "link").build()?;
    symlink("rootfs", container.bundle().join("link"))?;
    names_field(&container.create()?, "root.path")?;
    container.nothing_left()
}

/// The root MUST exist.
fn path_that_is_missing() -> Result {
    Bundle::new(["true"]).set("/root/path", "nosuch").refused("root.path").map(drop)
}

/// The root must be a directory.
fn path_that_is_a_file() -> Result {
    Bundle::new(["true"]).set("/root/path", "config.json").refused("root.path").map(drop)
}

/// `/..` is `/`.
fn nothing_above_the_root() -> Result {
    let output = Bundle::new(["rootns", ",", "ls", "/../../../.."]).run()?;
    output.success()?.says("parent of root", "true")?.says("ls /../../../..", "dev payload proc").map(drop)
}

/// The container's mount table has the container's mounts only.
fn no_mount_of_the_host_is_seen() -> Result {
    let output = Bundle::new(["mountinfo"]).run()?;
    let mut points: Vec<&str> = output.success()?.stdout.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    points.sort_unstable();
    points.dedup();
    equal("mount points", points, ["/", "/dev", "/proc"])
}

/// The caller sees none of the container's mounts.
fn hosts_mounts_are_unchanged() -> Result {
    let entry = json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" });
    let container = Bundle::new(["pause"]).mount(entry).start()?;
    let table = fs::read_to_string("/proc/thread-self/mountinfo")?;
    ensure!(!table.contains(&*container.aside("").to_string_lossy()), "the suite sees a container's mount");
    Ok(())
}

/// A masked file is empty.
fn masked_file_reads_as_empty() -> Result {
    let container = Bundle::new(["cat", "/secret", ",", "stat", "/secret"])
        .file("secret", "hidden")
        .set("/linux/maskedPaths", json!(["/secret", "/proc/kcore"]))
        .build()?;
    let output = container.run()?;
    ensure!(!output.success()?.stdout.contains("hidden"), "{output}");
    contains("stat", &output.stdout, "rdev=1:3")?;
    equal("the file itself", container.read("secret")?, "hidden")
}

/// A masked directory is empty and read-only.
fn masked_directory_is_empty_and_read_only() -> Result {
    let output = Bundle::new(["ls", "/secrets", ",", "write", "/secrets/new", "x", ",", "cat", "/secrets/file"])
        .file("secrets/file", "hidden")
        .set("/linux/maskedPaths", json!(["/secrets"]))
        .run()?;
    output.success()?.says("ls /secrets", "")?.has_line("write /secrets/new: EROFS")?;
    output.has_line("cat /secrets/file: ENOENT").map(drop)
}

/// A masked path that does not exist is skipped.
fn masked_path_that_is_missing_is_skipped() -> Result {
    let paths = json!(["/nosuch", "/proc/nosuch", "/nosuch/deeper"]);
    let bundle = Bundle::new(["echo", "works"]).set("/linux/maskedPaths", paths);
    bundle.run()?.success()?.has_line("works").map(drop)
}

/// Masked paths are resolved in the container: a symbolic link does not lead to a file of the host.
fn masked_path_with_a_symlink_stays_inside() -> Result {
    let outside = scratch()?;
    fs::write(outside.path().join("file"), "of the host")?;
    let target = outside.path().join("file").display().to_string();
    let bundle = Bundle::new(["echo", "works"]).symlink("link", &target).set("/linux/maskedPaths", json!(["/link"]));
    bundle.run()?.success()?.has_line("works")?;
    equal("file of the host", fs::read_to_string(target)?, "of the host")
}

/// A read-only path can be read and not written to.
fn read_only_path() -> Result {
    let output = Bundle::new(["cat", "/conf", ",", "write", "/conf", "new", ",", "write", "/other", "x"])
        .file("conf", "old")
        .set("/linux/readonlyPaths", json!(["/conf"]))
        .run()?;
    output.success()?.has_line("old")?.has_line("write /conf: EROFS")?.has_line("write /other: ok").map(drop)
}

/// All files in a read-only directory are read-only.
fn read_only_directory() -> Result {
    let output = Bundle::new(["cat", "/dir/sub/file", ",", "write", "/dir/sub/file", "new", ",", "mkdir", "/dir/new"])
        .file("dir/sub/file", "old")
        .set("/linux/readonlyPaths", json!(["/dir"]))
        .run()?;
    output
        .success()?
        .has_line("old")?
        .has_line("write /dir/sub/file: EROFS")?
        .has_line("mkdir /dir/new: EROFS")
        .map(drop)
}

/// A read-only path that does not exist is skipped.
fn read_only_path_that_is_missing_is_skipped() -> Result {
    let bundle = Bundle::new(["echo", "works"]).set("/linux/readonlyPaths", json!(["/nosuch", "/proc/nosuch"]));
    bundle.run()?.success()?.has_line("works").map(drop)
}

/// Engines make /proc/sys read-only: root with capabilities cannot write to it.
fn read_only_proc_sys() -> Result {
    let output = Bundle::new(["openw", "/proc/sys/kernel/hostname", ",", "cat", "/proc/sys/kernel/ostype"])
        .capabilities(&["CAP_SYS_ADMIN"])
        .set("/linux/readonlyPaths", json!(["/proc/sys"]))
        .run()?;
    output.success()?.has_line("openw /proc/sys/kernel/hostname: EROFS")?.has_line("Linux").map(drop)
}

const DEVICES: [(&str, &str); 6] =
    [("null", "1:3"), ("zero", "1:5"), ("full", "1:7"), ("random", "1:8"), ("urandom", "1:9"), ("tty", "5:0")];

/// The runtime MUST supply null, zero, full, random, urandom and tty.
fn default_devices() -> Result {
    for (name, numbers) in DEVICES {
        let path = format!("/dev/{name}");
        let output = Bundle::new(["stat", &path]).run()?;
        contains("stat", &output.success()?.stdout, "char mode=0666 uid=0 gid=0")?;
        contains("stat", &output.stdout, &format!("rdev={numbers} "))?;
    }
    Ok(())
}

/// The default devices work under the device rules.
fn default_devices_can_be_used() -> Result {
    let words = [
        "write",
        "/dev/null",
        "x",
        ",",
        "open",
        "/dev/zero",
        ",",
        "write",
        "/dev/full",
        "x",
        ",",
        "open",
        "/dev/urandom",
    ];
    let bundle = Bundle::new(words).set("/linux/resources/devices", json!([{ "allow": false, "access": "rwm" }]));
    let output = bundle.run()?;
    output.success()?.has_line("write /dev/null: ok")?.has_line("open /dev/zero: ok")?;
    output.has_line("write /dev/full: ENOSPC")?.has_line("open /dev/urandom: ok").map(drop)
}

/// /dev/fd, stdin, stdout and stderr are links, and /dev/ptmx leads to /dev/pts/ptmx.
fn default_links() -> Result {
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/ptmx", "pts/ptmx"),
    ] {
        Bundle::new(["readlink", link]).run()?.success()?.has_line(target).with_context(|| link)?;
    }
    Ok(())
}

/// `linux.devices` MUST be available, with their numbers, mode and owner.
fn device_of_the_configuration() -> Result {
    let device =
        json!({ "path": "/dev/mine", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 7, "gid": 8 });
    let block = json!({ "path": "/dev/block", "type": "b", "major": 7, "minor": 77, "fileMode": 0o600 });
    let output = Bundle::new(["stat", "/dev/mine", ",", "stat", "/dev/block", ",", "open", "/dev/mine"])
        .capabilities(&["CAP_DAC_OVERRIDE"])
        .set("/linux/devices", json!([device, block]))
        .run()?;
    contains("stat", &output.success()?.stdout, "/dev/mine: char mode=0640 uid=7 gid=8 rdev=1:5")?;
    contains("stat", &output.stdout, "/dev/block: block mode=0600 uid=0 gid=0 rdev=7:77")?;
    output.has_line("open /dev/mine: ok").map(drop)
}

/// Engines list /dev/ptmx with all devices of the host for a privileged container: it stays the container's own.
fn ptmx_among_the_devices() -> Result {
    let device = json!({ "path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2, "fileMode": 0o666 });
    Bundle::new(["readlink", "/dev/ptmx"])
        .set("/linux/devices", json!([device]))
        .run()?
        .success()?
        .has_line("pts/ptmx")
        .map(drop)
}

/// A device may be outside /dev. Its directory is made.
fn device_in_a_new_directory() -> Result {
    let device = json!({ "path": "/a/b/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666 });
    let output = Bundle::new(["stat", "/a/b/zero"]).set("/linux/devices", json!([device])).run()?;
    contains("stat", &output.success()?.stdout, "char mode=0666 uid=0 gid=0 rdev=1:5")
}

/// A device of type `p` is a FIFO, and has no numbers.
fn fifo_of_the_configuration() -> Result {
    let device = json!({ "path": "/dev/pipe", "type": "p", "fileMode": 0o622 });
    let output = Bundle::new(["stat", "/dev/pipe"]).set("/linux/devices", json!([device])).run()?;
    contains("stat", &output.success()?.stdout, "fifo mode=0622")
}

/// Major and minor are required unless the type is `p`.
fn device_without_numbers() -> Result {
    let device = json!({ "path": "/dev/mine", "type": "c" });
    Bundle::new(["true"]).set("/linux/devices", json!([device])).refused("linux.devices[0]").map(drop)
}

/// Types are c, b, u and p.
fn device_of_unknown_type() -> Result {
    let device = json!({ "path": "/dev/mine", "type": "x", "major": 1, "minor": 3 });
    Bundle::new(["true"]).set("/linux/devices", json!([device])).refused("linux.devices[0]").map(drop)
}

/// If /dev is a bind mount, no devices are made in it: its content is the caller's.
fn no_devices_where_dev_is_bound() -> Result {
    let dev = scratch()?;
    fs::write(dev.path().join("marker"), "")?;
    fs::write(dev.path().join("null"), "")?;
    let entry = json!([{ "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/dev", "type": "bind", "source": dev.path(), "options": ["rbind"] }]);
    let output = Bundle::new(["ls", "/dev"]).set("/mounts", entry).run()?;
    output.success()?.says("ls /dev", "marker null").map(drop)
}

fn propagation(kind: &str) -> Result<String> {
    let output = Bundle::new(["mountinfo"]).set("/linux/rootfsPropagation", kind).run()?;
    let line = output.success()?.stdout.lines().find(|line| line.split(' ').nth(4) == Some("/"));
    Ok(line.context("a root mount")?.to_owned())
}

/// `rootfsPropagation` private: no mounts propagate.
fn propagation_private() -> Result {
    let line = propagation("private")?;
    ensure!(!line.contains("shared:") && !line.contains("master:"), "{line}");
    Ok(())
}

/// slave: mounts of the host appear in the container, and not the reverse.
fn propagation_slave() -> Result {
    let line = propagation("rslave")?;
    ensure!(!line.contains("shared:"), "{line}");
    Ok(())
}

/// shared: mounts propagate in both directions.
fn propagation_shared() -> Result {
    let line = propagation("shared")?;
    ensure!(line.contains("shared:"), "{line}");
    Ok(())
}

/// Words with an `r`, which Kubernetes uses for volumes with bidirectional propagation, apply to all mounts of the
/// container, whatever their propagation. Words without it apply to the root alone.
fn propagation_of_all_that_is_in_it() -> Result {
    let source = scratch()?;
    let entry = json!({ "destination": "/mnt", "source": source.path(), "options": ["rbind", "rprivate"] });
    for (kind, whole) in [("shared", false), ("rshared", true), ("unbindable", false), ("runbindable", true)] {
        let output = Bundle::new(["mountinfo"]).mount(entry.clone()).set("/linux/rootfsPropagation", kind).run()?;
        for point in ["/", "/mnt", "/proc"] {
            let line = output.success()?.stdout.lines().rfind(|line| line.split(' ').nth(4) == Some(point));
            let is = line.context("a mount")?.contains(&format!(" {}", kind.trim_start_matches('r')));
            ensure!(is == (whole || point == "/"), "{kind} {point}: {output}");
        }
    }
    Ok(())
}

/// An unknown word is an error.
fn propagation_unknown() -> Result {
    Bundle::new(["true"]).set("/linux/rootfsPropagation", "nosuch").refused("linux.rootfsPropagation").map(drop)
}

/// /dev/console exists only with a terminal. /dev/core leads to /proc/kcore if the kernel has that.
fn core_link_and_no_console() -> Result {
    let output = Bundle::new(["ls", "/dev"]).run()?;
    let names: Vec<&str> = output.success()?.value("ls /dev")?.split(' ').collect();
    ensure!(!names.contains(&"console"), "{output}");
    equal("/dev/core", names.contains(&"core"), std::path::Path::new("/proc/kcore").exists())
}

/// As with runc, only the root becomes read-only, not the mounts in it.
fn read_only_root(path: &str) -> Result {
    let tmpfs = json!({ "destination": "/tmp", "type": "tmpfs", "source": "tmpfs" });
    let bundle = Bundle::new(["write", "/file", "x", ",", "mkdir", "/etc/new", ",", "write", "/tmp/file", "x"]);
    let bundle = bundle.dir("etc").symlink("link", "/").mount(tmpfs).set("/linux/readonlyPaths", json!([path]));
    let output = bundle.run()?;
    output.success()?.has_line("write /file: EROFS")?.has_line("mkdir /etc/new: EROFS")?;
    output.has_line("write /tmp/file: ok").map(drop)
}

/// `/` in `readonlyPaths` means `root.readonly`.
fn read_only_path_that_is_the_root() -> Result {
    ["/", "."].into_iter().try_for_each(|path| read_only_root(path).context(path))
}

/// The same for a path that leads to the root.
fn read_only_path_that_climbs_to_the_root() -> Result {
    ["..", "/tmp/..", "/etc/../..", "/link", "/link/"]
        .into_iter()
        .try_for_each(|path| read_only_root(path).context(path))
}

/// `/` in `maskedPaths` is refused: it would hide the whole container. runc and crun ignore it.
fn masked_path_that_is_the_root() -> Result {
    for path in ["/", ".", "..", "/tmp/..", "/link"] {
        let bundle = Bundle::new(["true"]).dir("tmp").symlink("link", "/").set("/linux/maskedPaths", json!([path]));
        bundle.refused_by_tare("linux.maskedPaths[0]").context(path)?;
    }
    Ok(())
}

/// A relative path starts at the root, symbolic links are followed, and a path that does not exist is skipped.
fn hidden_paths_that_are_relative_or_links() -> Result {
    for path in ["etc/secret", "./etc/secret", "/link/secret", "/etc/../etc/secret", "//etc//secret", "/abs"] {
        let bundle = |key: &str| {
            let words = ["cat", "/etc/secret", ",", "openw", "/etc/secret"];
            let bundle = Bundle::new(words).file("etc/secret", "hidden").symlink("link", "etc");
            bundle.symlink("abs", "/etc/secret").set(key, json!(["", path, "nosuch"]))
        };
        let output = bundle("/linux/maskedPaths").run()?;
        ensure!(!output.success()?.stdout.contains("hidden"), "{path}: {output}");
        let output = bundle("/linux/readonlyPaths").run()?;
        output.success()?.has_line("hidden")?.has_line("openw /etc/secret: EROFS").context(path)?;
    }
    Ok(())
}

/// Another container with the same root file system can rename a directory under a mount of this one. Paths on that
/// mount are hidden all the same; they must not seem missing.
fn hidden_paths_stay_with_a_mount_that_is_moved() -> Result {
    let words = ["stat", "/moved/version", ",", "openw", "/moved/sys/kernel/hostname", ",", "ls", "/moved/irq"];
    let bundle = Bundle::new(words).set("/linux/readonlyPaths", json!(["/proc/sys"]));
    let container = bundle.set("/linux/maskedPaths", json!(["/proc/version", "/proc/irq"])).build()?;
    let (from, to) = (container.rootfs().join("proc"), container.rootfs().join("moved"));
    let hook = json!({ "path": "/bin/mv", "args": ["mv", from, to] });
    container.edit_config(|config| config["hooks"] = json!({ "createRuntime": [hook] }))?;
    let output = container.run()?;
    if !output.status.success() && !runtime::is("tare") {
        return Ok(());
    }
    contains("masked", &output.success()?.stdout, "stat /moved/version: char mode=0666 uid=0 gid=0 rdev=1:3")?;
    output.has_line("openw /moved/sys/kernel/hostname: EROFS")?.says("ls /moved/irq", "").map(drop)
}

/// If a mount whose destination is a link covers a path, the path is hidden on the mount that is visible.
fn hidden_paths_on_a_mount_that_is_covered_through_a_link() -> Result {
    let source = scratch()?;
    fs::write(source.path().join("secret"), "hidden")?;
    let below = scratch()?;
    fs::write(below.path().join("secret"), "below")?;
    let bind = |source: &std::path::Path, at: &str| json!({ "destination": at, "source": source, "options": ["bind"] });
    let bundle = Bundle::new(["cat", "/data/secret", ",", "echo", "works"]).symlink("link", "data");
    let bundle = bundle.mount(bind(below.path(), "/data")).mount(bind(source.path(), "/link"));
    let output = bundle.set("/linux/maskedPaths", json!(["/data/secret"])).run()?;
    output.success()?.has_line("works")?;
    ensure!(!output.stdout.contains("hidden") && !output.stdout.contains("below"), "{output}");
    Ok(())
}

fn one_device(path: &str) -> Value {
    json!({ "path": path, "type": "c", "major": 1, "minor": 5, "fileMode": 0o666, "uid": 0, "gid": 0 })
}

fn make_node(path: &std::path::Path, minor: u64) -> Result {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    Ok(mknod(path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), makedev(1, minor))?)
}

/// If a file already exists at path that does not match the requested device, the runtime MUST generate an error.
fn device_where_another_file_is() -> Result {
    type Make = fn(&std::path::Path) -> Result;
    let kinds: [(&str, Make); 5] = [
        ("file", |path| Ok(fs::write(path, "text")?)),
        ("directory", |path| Ok(fs::create_dir(path)?)),
        ("link", |path| Ok(symlink("/payload", path)?)),
        ("other device", |path| make_node(path, 3)),
        ("fifo", |path| Ok(nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU)?)),
    ];
    for (kind, make) in kinds {
        let container = Bundle::new(["true"]).set("/linux/devices", json!([one_device("/mine")])).build()?;
        make(&container.rootfs().join("mine"))?;
        names_field(&container.create()?, "linux.devices[0]").context(kind)?;
        container.nothing_left()?;
    }
    Ok(())
}

/// The requested device may exist already.
fn device_that_is_there_already() -> Result {
    let container = Bundle::new(["stat", "/mine"]).set("/linux/devices", json!([one_device("/mine")])).build()?;
    make_node(&container.rootfs().join("mine"), 5)?;
    contains("stat", &container.run()?.success()?.stdout, "char")
}

/// The same error for default devices: a regular file of the image is no null device.
fn default_device_where_a_file_is() -> Result {
    let proc = json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]);
    Bundle::new(["true"]).set("/mounts", proc).file("dev/zero", "text").refused("linux.devices").map(drop)
}

/// Numbers, modes and ids that the kernel's types cannot hold are refused, and not truncated.
fn device_numbers_that_do_not_fit() -> Result {
    for (key, value, field) in [
        ("major", json!(4096), "major"),
        ("minor", json!(1 << 20), "minor"),
        ("major", json!(4_294_967_297_u64), "major"),
        ("minor", json!(-1), "minor"),
        ("fileMode", json!(0o10_020_644), "fileMode"),
        ("fileMode", json!(0o060_644), "fileMode"),
        ("uid", json!(u32::MAX), "uid"),
        ("gid", json!(u32::MAX), "gid"),
    ] {
        let mut device = one_device("/mine");
        device[key] = value.clone();
        let bundle = Bundle::new(["stat", "/mine"]).set("/linux/devices", json!([device]));
        bundle.refused_by_tare(&format!("linux.devices[0].{field}")).with_context(|| format!("{key} {value}"))?;
    }
    Ok(())
}

/// A caller without the right to make nodes (systemd services with `PrivateDevices`, other containers) gets the host's
/// nodes bound.
fn device_that_may_not_be_made() -> Result {
    let bundle = Bundle::new(["stat", "/dev/null", ",", "write", "/dev/null", "x", ",", "stat", "/dev/zero"]);
    let container = bundle.set("/linux/devices", json!([one_device("/dev/zero")])).build()?;
    let output = container.launch(["run"]).without_mknod().output()?;
    contains("stat", &output.success()?.stdout, "stat /dev/null: char mode=0666 uid=0 gid=0 rdev=1:3")?;
    output.has_line("write /dev/null: ok")?;
    // The host lacks this path, or has another device there.
    for path in ["/dev/nosuch", "/dev/full"] {
        let container = Bundle::new(["true"]).set("/linux/devices", json!([one_device(path)])).build()?;
        let output = container.launch(["run"]).without_mknod().output()?;
        if runtime::is("tare") {
            names_field(&output, "linux.devices[0]").context(path)?;
        }
    }
    Ok(())
}

/// In a user namespace the device has the numbers of the config, whatever the host has at this path.
fn device_of_a_user_namespace_is_its_own() -> Result {
    let mut devices = [one_device("/dev/mine"), one_device("/dev/full")];
    (devices[0]["uid"], devices[0]["fileMode"]) = (json!(7), json!(0o640));
    let words = ["stat", "/dev/mine", ",", "stat", "/dev/full", ",", "open", "/dev/full", ",", "mountinfo"];
    let output = Bundle::new(words).user_namespace(100_000, 65_536).set("/linux/devices", json!(devices)).run()?;
    contains("stat", &output.success()?.stdout, "stat /dev/mine: char mode=0640 uid=7 gid=0 rdev=1:5")?;
    contains("stat", &output.stdout, "stat /dev/full: char mode=0666 uid=0 gid=0 rdev=1:5")?;
    output.has_line("open /dev/full: ok")?;
    let line = output.stdout.lines().find(|line| line.contains(" /dev/mine ")).context("a mount of its own")?;
    ensure!(line.contains("nosuid") && line.contains("noexec"), "{line}");
    Ok(())
}

/// An owner that is not mapped in the user namespace is named before anything is made.
fn device_owner_that_is_not_mapped() -> Result {
    let mut device = one_device("/dev/mine");
    device["gid"] = json!(10);
    let bundle = Bundle::new(["true"]).user_namespace(100_000, 10).set("/linux/devices", json!([device]));
    bundle.refused_by_tare("linux.devices[0].gid")
}

/// An ordinary user gets the host's device bound, if it is the requested one.
fn device_of_an_ordinary_user_is_the_hosts() -> Result {
    const USER: u32 = 64_321;
    let bundle = |path: &str| {
        let bundle = Bundle::new(["stat", path]).user(USER).user_namespace(USER, 1);
        bundle.set("/linux/devices", json!([one_device(path)]))
    };
    contains("stat", &bundle("/dev/zero").run()?.success()?.stdout, "rdev=1:5")?;
    bundle("/dev/full").refused_by_tare("linux.devices[0]")
}

/// A directory of the host, and a check that it has not changed.
fn host_directory() -> Result<(tempfile::TempDir, impl Fn(&tempfile::TempDir) -> Result)> {
    let dir = scratch()?;
    fs::write(dir.path().join("ptmx"), "precious")?;
    let unchanged = |dir: &tempfile::TempDir| {
        equal("entries", fs::read_dir(dir.path())?.count(), 1)?;
        equal("file", fs::read_to_string(dir.path().join("ptmx"))?, "precious")
    };
    Ok((dir, unchanged))
}

/// If the image's /dev leads to a volume, no nodes are made and no files replaced in the host's directory.
fn devices_below_a_link_to_a_volume() -> Result {
    let (dir, unchanged) = host_directory()?;
    let volume = json!({ "destination": "/host/dev", "source": dir.path(), "options": ["rbind", "rw"] });
    let proc = json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]);
    let mine = json!([one_device("/way/mine")]);
    for bundle in [
        Bundle::new(["true"]),
        Bundle::new(["true"]).set("/mounts", proc),
        Bundle::new(["true"]).set("/linux/devices", mine).symlink("way", "/host/dev").dir("dev"),
    ] {
        let container = bundle.mount(volume.clone()).dir("host/dev").build()?;
        if !container.rootfs().join("dev").exists() {
            symlink("/host/dev", container.rootfs().join("dev"))?;
        }
        let output = container.run()?;
        unchanged(&dir)?;
        if runtime::is("tare") {
            output.failure()?;
        }
    }
    Ok(())
}

/// The same if a volume covers /dev through a link.
fn devices_where_a_volume_covers_dev_through_a_link() -> Result {
    let (dir, unchanged) = host_directory()?;
    let volume = json!({ "destination": "/way", "source": dir.path(), "options": ["rbind", "rw"] });
    let proc = json!([{ "destination": "/proc", "type": "proc", "source": "proc" }]);
    for bundle in [Bundle::new(["true"]), Bundle::new(["true"]).set("/mounts", proc)] {
        bundle.symlink("way", "dev").dir("dev").mount(volume.clone()).run()?;
        unchanged(&dir)?;
    }
    Ok(())
}

/// Through a descriptor of the host's null device its mode could be changed. A container without a null device gets one
/// that is on no file system of the host.
fn null_device_of_the_host_is_not_handed_on() -> Result {
    use std::os::unix::fs::MetadataExt;
    let dev = scratch()?;
    fs::write(dev.path().join("null"), "")?;
    let bound = json!([{ "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/dev", "type": "bind", "source": dev.path(), "options": ["rbind"] }]);
    for bundle in [Bundle::new(["pause"]), Bundle::new(["pause"]).set("/mounts", bound)] {
        let container = bundle.build()?;
        container.launch(["create"]).stdin_from(fs::File::open("/dev/null")?).output()?.success()?;
        container.start()?;
        let (theirs, hosts) = (fs::metadata(format!("/proc/{}/fd/0", container.pid()?))?, fs::metadata("/dev/null")?);
        equal("number", theirs.rdev(), hosts.rdev())?;
        ensure!((theirs.dev(), theirs.ino()) != (hosts.dev(), hosts.ino()), "standard input is the host's null device");
    }
    Ok(())
}

/// Another process that may write to a directory of the root's path exchanges a component for a link during create: the
/// link is never followed.
fn path_that_becomes_a_link() -> Result {
    use std::sync::atomic::{AtomicBool, Ordering};
    const ROUNDS: usize = 120;
    let container = Bundle::new(["cat", "/mark"]).file("mark", "of the image").build()?;
    let (theirs, hosts) = (container.aside("volume"), container.aside("host"));
    fs::create_dir(&theirs)?;
    for dir in [theirs.join("x"), hosts.clone()] {
        fs::create_dir(&dir)?;
        fs::copy(payload::path(), dir.join("payload"))?;
    }
    fs::write(theirs.join("x/mark"), "of the image")?;
    fs::write(hosts.join("mark"), "of the host")?;
    symlink(&hosts, theirs.join("y"))?;
    container.edit_config(|config| config["root"]["path"] = json!(theirs.join("x")))?;
    let done = AtomicBool::new(false);
    let exchange = Exchange::new(&theirs.join("x"), &theirs.join("y"))?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // The names are there all the time.
                let _ = exchange.once();
            }
        });
        let rounds = (0..ROUNDS).try_for_each(|_| {
            let output = container.run()?;
            ensure!(!output.stdout.contains("of the host"), "{output}");
            Ok(())
        });
        done.store(true, Ordering::Relaxed);
        rounds
    })
}
