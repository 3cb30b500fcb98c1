//! `linux.cgroupsPath`, the devices of `linux.resources`, and `exec --cgroup`.

use crate::harness::*;
use anyhow::{Context, ensure};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::resource::Resource;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Pid, UnlinkatFlags, unlinkat};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

tests![
    path_is_the_configured_one,
    path_in_every_hierarchy,
    path_cannot_leave_with_dots,
    path_relative_is_below_the_runtimes_own,
    path_absent_is_named_after_the_container,
    path_in_the_unified_view,
    hierarchies_are_found_beside_a_mount_of_any_name,
    controllers_that_somebody_takes_away,
    controllers_that_others_hand_down,
    directories_are_removed_with_what_is_below,
    sub_cgroups_deeper_than_a_path,
    sub_cgroups_deeper_than_there_are_descriptors,
    no_hierarchy,
    no_hierarchy_for_the_rootless,
    hierarchies_that_are_covered,
    file_in_place_of_a_cgroup,
    occupied_cgroup_is_refused,
    program_starts_inside,
    cpuset_that_does_not_exist,
    devices_none_by_default_but_the_standard_ones,
    devices_allowed_one,
    devices_allowed_to_read_only,
    devices_denied_in_the_unified_view,
    devices_allowed_in_the_unified_view,
    unknown_controller_value,
    exec_in_the_unified_view,
    exec_in_a_sub_cgroup,
    exec_in_a_sub_cgroup_that_escapes,
    exec_in_a_neighbours_cgroup,
    exec_in_a_sub_cgroup_in_the_unified_view,
    exec_in_sub_cgroups_by_controller,
    exec_in_a_cgroup_said_wrongly,
    exec_in_a_cgroup_that_is_not_there,
    exec_joins_the_first_process_where_there_is_no_room,
    exec_joins_the_first_process_where_the_cgroup_is_gone,
];

/// Nested cgroups, and a process in the innermost.
struct Deep {
    levels: Vec<OwnedFd>,
    name: String,
    process: Pid,
}

impl Deep {
    /// Makes them in the cgroup of a container that has a second process.
    fn make(container: &Container, name: String, depth: usize) -> Result<Self> {
        let first = container.pid()?;
        let process = pids(container)?.into_iter().find(|pid| *pid != first).context("a second process")?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut levels = vec![open(&container.cgroup("devices")?, flags, Mode::empty())?];
        for depth in 0..depth {
            mkdirat(&levels[depth], name.as_str(), Mode::S_IRWXU)?;
            levels.push(openat(&levels[depth], name.as_str(), flags, Mode::empty())?);
        }
        let deep = Self { levels, name, process: Pid::from_raw(process) };
        let procs = openat(deep.levels.last().context("a level")?, "cgroup.procs", OFlag::O_WRONLY, Mode::empty())?;
        nix::unistd::write(procs, process.to_string().as_bytes())?;
        Ok(deep)
    }
}

impl Drop for Deep {
    fn drop(&mut self) {
        // Best effort: the test has checked already what the runtime did.
        let _ = kill(self.process, Signal::SIGKILL);
        for above in self.levels.iter().rev().skip(1) {
            let removed = || match unlinkat(above, self.name.as_str(), UnlinkatFlags::RemoveDir) {
                Err(Errno::EBUSY) => Ok(false),
                _ => Ok(true),
            };
            let _ = eventually("an empty cgroup", removed);
        }
    }
}

fn pids(container: &Container) -> Result<Vec<i32>> {
    let output = container.command(["ps", "--format", "json"])?;
    serde_json::from_str(&output.success()?.stdout).with_context(|| output.to_string())
}

/// A container that may make sub-cgroups nests them so deep that the path of the innermost is longer than PATH_MAX.
fn sub_cgroups_deeper_than_a_path() -> Result {
    for (view, own_pids) in
        [(View::Machine, false), (View::Machine, true), (View::Unified, false), (View::Unified, true)]
    {
        let mut bundle = Bundle::new(["fork", "1", ",", "pause"]).view(view);
        if !own_pids {
            bundle = bundle.without_namespace("pid");
        }
        let container = bundle.start()?;
        container.wait_output("forked: 1")?;
        let deep = Deep::make(&container, "d".repeat(200), 22)?;
        equal("processes", pids(&container)?.len(), 2)?;
        container.stop()?;
        let process = format!("/proc/{}", deep.process);
        eventually("the end of the process below", || Ok(!Path::new(&process).exists()))?;
        container.command(["delete"])?.success()?;
        container.nothing_left()?;
    }
    Ok(())
}

/// The same with more levels than the runtime may have open descriptors.
fn sub_cgroups_deeper_than_there_are_descriptors() -> Result {
    for view in [View::Machine, View::Unified] {
        let container = Bundle::new(["fork", "1", ",", "pause"]).without_namespace("pid").view(view).start()?;
        container.wait_output("forked: 1")?;
        let deep = Deep::make(&container, "d".to_owned(), 50)?;
        let call = |words: &[&str]| container.call([]).args(words).limiting(Resource::RLIMIT_NOFILE, 40, 40).output();
        call(&["ps", "--format", "json", &container.id])?.success()?;
        call(&["kill", &container.id, "KILL"])?.success()?;
        let process = format!("/proc/{}", deep.process);
        eventually("the end of the process below", || Ok(!Path::new(&process).exists()))?;
        call(&["delete", "--force", &container.id])?.success()?;
        container.nothing_left()?;
    }
    Ok(())
}

/// Without cgroup hierarchies neither limits nor device rules would be in force, so create fails.
fn no_hierarchy() -> Result {
    let container = Bundle::new(["echo", "ran"]).build()?;
    let output = container.launch(["run"]).covering(Path::new("/sys"))?.output()?;
    output.failure()?;
    if runtime::is("tare") {
        output.fails_with("linux.cgroupsPath: no cgroup mount found")?;
    }
    ensure!(!output.stdout.contains("ran"), "{output}");
    container.nothing_left()
}

/// An ordinary user could set no limits anyway, so create succeeds.
fn no_hierarchy_for_the_rootless() -> Result {
    let container = Bundle::new(["echo", "ran"]).remove("/linux/cgroupsPath").build()?;
    let call = container.call(["--rootless=true", "run", "--bundle"]).arg(container.bundle()).arg(&container.id);
    call.covering(Path::new("/sys"))?.output()?.success()?.has_line("ran").map(drop)
}

/// A file system that covers the hierarchies is no cgroup hierarchy, and tare makes nothing in it.
fn hierarchies_that_are_covered() -> Result {
    let container = Bundle::new(["echo", "ran"]).build()?;
    let output = container.launch(["run"]).covering(Path::new("/sys/fs/cgroup"))?.output()?;
    output.failure()?;
    if runtime::is("tare") {
        output.fails_with("linux.cgroupsPath: no cgroup mount found")?;
    }
    container.nothing_left()
}

/// A `cgroupsPath` that leads to a file is refused. The message has the path and the reason once.
fn file_in_place_of_a_cgroup() -> Result {
    for view in [View::Machine, View::Unified] {
        let container = Bundle::new(["true"]).view(view).build()?;
        let path = format!("{}/cgroup.procs", machine::cgroup_parent());
        container.edit_config(|config| config["linux"]["cgroupsPath"] = json!(path))?;
        let output = container.create()?;
        names_field(&output, "linux.cgroupsPath")?;
        if runtime::is("tare") {
            output.fails_with("not a directory")?;
            ensure!(output.stderr.to_lowercase().matches("not a directory").count() == 1, "{output}");
        }
        container.nothing_left()?;
    }
    Ok(())
}

/// The name of a mount point may have any bytes: a USB stick has names in Latin-1, a user's FUSE mount has any name.
/// The cgroup hierarchies are found all the same.
fn hierarchies_are_found_beside_a_mount_of_any_name() -> Result {
    let container = Bundle::new(["true"]).build()?;
    let directory = container.aside("").join(std::ffi::OsStr::from_bytes(b"caf\xe9 \\ \n"));
    fs::create_dir(&directory)?;
    container.launch(["run"]).covering(&directory)?.output()?.success()?;
    container.launch(["run", "--no-pivot"]).covering(&directory)?.output()?.success()?;
    Ok(())
}

/// systemd disables a controller in the upper levels if none of its units needs it, also while a container is being
/// created.
fn controllers_that_somebody_takes_away() -> Result {
    let Some((mount, name, file)) = v2_limit()? else { return skip("no v2 controller with a limit") };
    let path = format!("{}/taken", machine::cgroup_parent());
    let level = mount.join(path.trim_start_matches('/'));
    fs::create_dir_all(&level)?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // The kernel refuses this while the level below has the controller enabled.
                let _ = fs::write(level.join("cgroup.subtree_control"), format!("-{name}"));
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let run = |number: u32| -> Result {
            with_limit(file, &format!("{path}/{number}/leaf")).run()?.success()?;
            fs::remove_dir(level.join(number.to_string())).context("remove the level below")
        };
        let result = (0..30).try_for_each(run);
        done.store(true, Ordering::Relaxed);
        result
    })
}

/// If another process enables a controller at that moment, such as the create of the next container, the kernel lists
/// it in `cgroup.controllers` before all of its files exist.
fn controllers_that_others_hand_down() -> Result {
    let Some((mount, _, file)) = v2_limit()? else { return skip("no v2 controller with a limit") };
    for round in 0..10 {
        let path = format!("{}/together-{round}", machine::cgroup_parent());
        let containers = (0..6).map(|number| with_limit(file, &format!("{path}/{number}")).build());
        let containers = containers.collect::<Result<Vec<_>>>()?;
        let calls = containers.iter().map(|container| container.launch(["run"]).spawn());
        let calls = calls.collect::<Result<Vec<_>>>()?;
        for call in calls {
            call.wait()?.success()?;
        }
        fs::remove_dir(mount.join(path.trim_start_matches('/'))).context("remove the level above")?;
    }
    Ok(())
}

/// A controller of the v2 hierarchy and a limit that it has, if there is one.
fn v2_limit() -> Result<Option<(PathBuf, &'static str, &'static str)>> {
    let Some(mount) = machine::get().v2.clone() else { return Ok(None) };
    let controllers = fs::read_to_string(mount.join("cgroup.controllers"))?;
    let known = [("memory", "memory.max"), ("pids", "pids.max"), ("hugetlb", "hugetlb.2MB.max")];
    let has = |name: &str| controllers.split_whitespace().any(|has| has == name);
    Ok(known.into_iter().find(|(name, _)| has(name)).map(|(name, file)| (mount, name, file)))
}

fn with_limit(file: &str, path: &str) -> Bundle {
    let bundle = Bundle::new(["true"]).view(View::Unified).remove("/linux/resources");
    bundle.set("/linux/resources/unified", json!({ file: "max" })).set("/linux/cgroupsPath", path)
}

/// The runtime MUST use `cgroupsPath` if it is given, and the process with the state's pid is in it.
fn path_is_the_configured_one() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let path = format!("{}/{}", machine::cgroup_parent(), container.id);
    let memberships = fs::read_to_string(format!("/proc/{}/cgroup", container.pid()?))?;
    let wanted = if container.is_v2() { "0::" } else { ":pids:" };
    let line = memberships.lines().find(|line| line.contains(wanted)).context("a membership")?;
    ensure!(line.ends_with(&path), "{line} is not {path}");
    Ok(())
}

/// On v1 the process is in the container's cgroup of each hierarchy, also of those without a controller
/// (`name=systemd`).
fn path_in_every_hierarchy() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    if container.is_v2() {
        return skip("this machine has one hierarchy");
    }
    let pid = container.pid()?.to_string();
    for cgroup in container.cgroups() {
        let members = fs::read_to_string(cgroup.join("cgroup.procs")).with_context(|| cgroup.display().to_string())?;
        ensure!(members.lines().any(|line| line == pid), "{}: {members:?}", cgroup.display());
    }
    Ok(())
}

/// `..` in the path is resolved before the path is used, so it leads nowhere above the hierarchy.
fn path_cannot_leave_with_dots() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let path = format!("/../../..{}/x/../{}", machine::cgroup_parent(), container.id);
    container.edit_config(|config| config["linux"]["cgroupsPath"] = json!(path))?;
    container.create()?.success()?;
    let pid = container.pid()?.to_string();
    let members = container.cgroup_file("pids", "cgroup.procs")?;
    ensure!(members.lines().any(|line| line == pid), "{members:?}");
    Ok(())
}

/// The runtime MAY interpret a path that is not absolute relative to a location of its own. runc takes its own cgroup.
fn path_relative_is_below_the_runtimes_own() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    let name = format!("tare-conformance-rel-{}", container.id);
    container.edit_config(|config| config["linux"]["cgroupsPath"] = json!(name))?;
    container.create()?.success()?;
    let memberships = fs::read_to_string(format!("/proc/{}/cgroup", container.pid()?))?;
    ensure!(memberships.lines().any(|line| line.ends_with(&name)), "{memberships}");
    container.command(["delete", "--force"])?.success()?;
    no_cgroup_of(&memberships, &name)
}

/// Without a path the runtime MAY choose one. runc takes the id.
fn path_absent_is_named_after_the_container() -> Result {
    let container = Bundle::new(["pause"]).build()?;
    container.edit_config(|config| {
        config["linux"].as_object_mut().map(|linux| linux.remove("cgroupsPath"));
    })?;
    container.create()?.success()?;
    let memberships = fs::read_to_string(format!("/proc/{}/cgroup", container.pid()?))?;
    contains("memberships", &memberships, &container.id)?;
    container.command(["delete", "--force"])?.success()?;
    no_cgroup_of(&memberships, &container.id)
}

/// Removes the directories of this name in these memberships, and fails if there was one.
fn no_cgroup_of(memberships: &str, name: &str) -> Result {
    let machine = machine::get();
    let paths = memberships.lines().filter_map(|line| line.splitn(3, ':').nth(2)).filter(|path| path.contains(name));
    let mounts = || machine.v1.iter().map(|hierarchy| &hierarchy.mount).chain(&machine.v2);
    let all = paths.flat_map(|path| mounts().map(move |mount| mount.join(path.trim_start_matches('/'))));
    let left: Vec<_> = all.filter(|path| path.exists()).collect();
    left.iter().for_each(|path| machine::remove_cgroup(path));
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

/// On v2 there is one directory with the configured path, and the process is in it.
fn path_in_the_unified_view() -> Result {
    let container = Bundle::new(["pause"]).view(View::Unified).start()?;
    equal("members", container.cgroup_file("", "cgroup.procs")?, container.pid()?.to_string())?;
    contains("events", &container.cgroup_file("", "cgroup.events")?, "populated 1")?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// Delete removes the container's cgroups and the cgroups below them.
fn directories_are_removed_with_what_is_below() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    for cgroup in container.cgroups().into_iter().filter(|path| path.exists()) {
        fs::create_dir_all(cgroup.join("below/deeper"))?;
    }
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// A cgroup that has processes already is refused: the container must not limit and kill them.
fn occupied_cgroup_is_refused() -> Result {
    let first = Bundle::new(["pause"]).start()?;
    let path = format!("{}/{}", machine::cgroup_parent(), first.id);
    let second = Bundle::new(["true"]).set("/linux/cgroupsPath", path).build()?;
    names_field(&second.create()?, "linux.cgroupsPath")?;
    equal("status of the first", first.status()?, "running")?;
    second.nothing_left()
}

/// The program is in its cgroups before its first instruction.
fn program_starts_inside() -> Result {
    let container = Bundle::new(["cat", "/proc/self/cgroup"]).build()?;
    let output = container.run()?;
    contains("memberships", &output.success()?.stdout, &container.id)
}

/// A cpuset that names a CPU which does not exist is refused.
fn cpuset_that_does_not_exist() -> Result {
    Bundle::new(["true"]).set("/linux/resources/cpu/cpus", "4000").refused("linux.resources.cpu").map(drop)
}

fn devices(rules: Value, view: View) -> Bundle {
    let words = ["mknod", "/dev/zero2", "c:1:5", ",", "open", "/dev/zero2", ",", "mknod", "/dev/mem2", "c:1:1"];
    let bundle = Bundle::new(words).capabilities(&["CAP_MKNOD", "CAP_SYS_RAWIO", "CAP_DAC_OVERRIDE"]);
    bundle.set("/linux/resources/devices", rules).view(view)
}

fn open_kmsg(rules: Value, view: View, verb: &str) -> Result<Output> {
    let words = ["mknod", "/dev/kmsg2", "c:1:11", ",", verb, "/dev/kmsg2"];
    let bundle = Bundle::new(words).capabilities(&["CAP_MKNOD", "CAP_SYSLOG", "CAP_DAC_OVERRIDE"]);
    bundle.set("/linux/resources/devices", rules).view(view).run()
}

/// Devices that no rule allows cannot be opened. Nodes can be made, and the standard devices can be opened whatever the
/// rules say.
fn devices_none_by_default_but_the_standard_ones() -> Result {
    let deny = json!([{ "allow": false, "access": "rwm" }]);
    let output = devices(deny.clone(), View::Machine).run()?;
    output.success()?.has_line("mknod /dev/zero2: ok")?.has_line("open /dev/zero2: ok")?;
    output.has_line("mknod /dev/mem2: ok")?;
    open_kmsg(deny, View::Machine, "open")?.success()?.has_line("open /dev/kmsg2: EPERM").map(drop)
}

/// Rules apply in their order: here one that allows a device, after one that denies all.
fn devices_allowed_one() -> Result {
    let rules = json!([{ "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "rw" }]);
    open_kmsg(rules, View::Machine, "open")?.success()?.has_line("open /dev/kmsg2: ok").map(drop)
}

/// The letters of `access` are applied one by one: here only reading is allowed.
fn devices_allowed_to_read_only() -> Result {
    let rules = json!([{ "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" }]);
    open_kmsg(rules.clone(), View::Machine, "open")?.success()?.has_line("open /dev/kmsg2: ok")?;
    open_kmsg(rules, View::Machine, "openw")?.success()?.has_line("openw /dev/kmsg2: EPERM").map(drop)
}

/// On v2, where a BPF program decides, devices without a rule cannot be opened either.
fn devices_denied_in_the_unified_view() -> Result {
    let deny = json!([{ "allow": false, "access": "rwm" }]);
    devices(deny.clone(), View::Unified).run()?.success()?.has_line("open /dev/zero2: ok")?;
    open_kmsg(deny, View::Unified, "open")?.success()?.has_line("open /dev/kmsg2: EPERM").map(drop)
}

/// On v2 the order and the letters mean the same.
fn devices_allowed_in_the_unified_view() -> Result {
    let rules = json!([{ "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" }]);
    open_kmsg(rules.clone(), View::Unified, "open")?.success()?.has_line("open /dev/kmsg2: ok")?;
    open_kmsg(rules, View::Unified, "openw")?.success()?.has_line("openw /dev/kmsg2: EPERM").map(drop)
}

/// If the kernel refuses a value, the error names the field, and everything is undone.
fn unknown_controller_value() -> Result {
    Bundle::new(["true"]).set("/linux/resources/cpu/quota", 5).refused("linux.resources.cpu").map(drop)
}

/// On v2 exec puts its process into the container's cgroup.
fn exec_in_the_unified_view() -> Result {
    let container = Bundle::new(["pause"]).view(View::Unified).start()?;
    let output = container.exec([], ["cat", "/proc/self/cgroup"])?;
    contains("membership", &output.success()?.stdout, &container.id)
}

/// `exec --cgroup` selects a cgroup below the container's.
fn exec_in_a_sub_cgroup() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    for cgroup in container.cgroups().into_iter().filter(|path| path.exists()) {
        fs::create_dir(cgroup.join("below"))?;
    }
    let argument = if container.is_v2() { "below" } else { "pids:below" };
    let output = container.exec(["--cgroup", argument], ["cat", "/proc/self/cgroup"])?;
    contains("membership", &output.success()?.stdout, &format!("{}/below", container.id))
}

/// `exec --cgroup` refuses a path that leads out of the container's cgroup.
fn exec_in_a_sub_cgroup_that_escapes() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let prefix = if container.is_v2() { "" } else { "pids:" };
    for path in ["..", "../..", "nosuch"] {
        let output = container.exec(["--cgroup", &format!("{prefix}{path}")], ["true"])?;
        output.failure().with_context(|| path)?;
    }
    Ok(())
}

/// A cgroup whose name only starts with the container's name is not below it (runc#5351).
fn exec_in_a_neighbours_cgroup() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let neighbour = format!("{}-neighbour", container.id);
    let cgroups: Vec<_> = container.cgroups().into_iter().filter(|path| path.exists()).collect();
    let neighbours = cgroups.iter().filter_map(|path| Some(path.parent()?.join(&neighbour)));
    let neighbours: Vec<_> = neighbours.collect();
    neighbours.iter().try_for_each(fs::create_dir)?;
    let prefix = if container.is_v2() { "" } else { "pids:" };
    let output = container.exec(["--cgroup", &format!("{prefix}../{neighbour}")], ["true"]);
    neighbours.iter().for_each(|path| machine::remove_cgroup(path));
    let output = output?;
    equal("exit code", output.code()?, 255)?;
    output.fails_with(" is not a sub cgroup path").map(drop)
}

/// On v2 there is one path, with or without a leading slash. `/` is the container's own cgroup.
fn exec_in_a_sub_cgroup_in_the_unified_view() -> Result {
    let container = Bundle::new(["pause"]).view(View::Unified).start()?;
    fs::create_dir_all(container.cgroup("")?.join("below/deeper"))?;
    for (argument, wanted) in [("below", "/below"), ("/below/deeper", "/below/deeper"), ("below/..", ""), ("/", "")] {
        let output = container.exec(["--cgroup", argument], ["cat", "/proc/self/cgroup"])?;
        let line = output.success()?.stdout.lines().find(|line| line.contains("0::")).context("a v2 membership")?;
        ensure!(line.ends_with(&format!("{}{wanted}", container.id)), "{argument}: {line}");
    }
    container.exec(["--cgroup", "hugetlb:below"], ["true"])?.fails_with("unknown controller hugetlb").map(drop)
}

/// On v1 each controller may have a path of its own. The other controllers keep the container's cgroup.
fn exec_in_sub_cgroups_by_controller() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    if container.is_v2() {
        return skip("this machine has v2 only");
    }
    for (controller, name) in [("pids", "a"), ("memory", "a"), ("freezer", "b")] {
        fs::create_dir(container.cgroup(controller)?.join(name))?;
    }
    let options = ["--cgroup", "pids,memory:a", "--cgroup", "freezer:b"];
    let output = container.exec(options, ["cat", "/proc/self/cgroup"])?;
    let memberships = &output.success()?.stdout;
    for (controller, wanted) in [("pids", "/a"), ("memory", "/a"), ("freezer", "/b"), ("devices", "")] {
        let line = memberships.lines().find(|line| line.contains(&format!(":{controller}:"))).context(controller)?;
        ensure!(line.ends_with(&format!("{}{wanted}", container.id)), "{controller}: {line}");
    }
    Ok(())
}

/// A path that is not below the container's cgroup is refused with runc's words, before a process is started.
fn exec_in_a_cgroup_said_wrongly() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    for (options, wanted) in [
        (&[":x"][..], "invalid --cgroup argument: :x (empty <controller> prefix)"),
        (&["a", "b"], "invalid --cgroup argument: a (missing <controller>: prefix)"),
        (&["pids,pids:a"], "invalid --cgroup argument(s): controller pids specified multiple times"),
        (&["pids:a", "pids:b"], "invalid --cgroup argument(s): controller pids specified multiple times"),
        (&["nosuch:a"], "unknown controller nosuch in SubCgroupPaths"),
    ] {
        let options = options.iter().flat_map(|word| ["--cgroup", word]);
        let call = container.call(["exec"]).args(options).args([&container.id, "/payload", "true"]);
        let output = call.output()?;
        equal("exit code", output.code()?, 255)?;
        output.fails_with(wanted)?;
    }
    Ok(())
}

/// `exec --cgroup` does not create a cgroup: the caller has to.
fn exec_in_a_cgroup_that_is_not_there() -> Result {
    for view in [View::Machine, View::Unified] {
        let container = Bundle::new(["pause"]).view(view).start()?;
        let output = container.exec(["--cgroup", "nosuch"], ["true"])?;
        equal("exit code", output.code()?, 255)?;
        output.fails_with("to cgroups: ")?;
        // runc and crun name a file in the directory.
        output.fails_with("/nosuch")?;
        output.fails_with(": no such file or directory")?;
    }
    Ok(())
}

/// A v2 cgroup that has enabled controllers for its children takes no processes (EBUSY). Without `--cgroup` exec then
/// uses the cgroup of the first process.
fn exec_joins_the_first_process_where_there_is_no_room() -> Result {
    let container = Bundle::new(["pause"]).view(View::Unified).start()?;
    let cgroup = container.cgroup("")?;
    let controllers = fs::read_to_string(cgroup.join("cgroup.controllers"))?;
    let Some(controller) =
        controllers.split_whitespace().find(|name| !["cpu", "cpuset", "perf_event", "pids"].contains(name))
    else {
        return skip("the v2 hierarchy has no domain controller");
    };
    fs::create_dir(cgroup.join("inner"))?;
    fs::write(cgroup.join("inner/cgroup.procs"), container.pid()?.to_string())?;
    fs::write(cgroup.join("cgroup.subtree_control"), format!("+{controller}"))?;
    let wanted = format!("{}/inner", container.id);
    for options in [&[][..], &["--cgroup", "inner"]] {
        let call = container.call(["exec"]).args(options).args([&container.id, "/payload", "cat", "/proc/self/cgroup"]);
        contains("membership", &call.output()?.success()?.stdout, &wanted)?;
    }
    let output = container.exec(["--cgroup", "/"], ["true"])?;
    equal("exit code", output.code()?, 255)?;
    output.fails_with("device or resource busy").map(drop)
}

/// The same if the first process was moved and the container's cgroup was removed.
fn exec_joins_the_first_process_where_the_cgroup_is_gone() -> Result {
    let container = Bundle::new(["pause"]).view(View::Unified).start()?;
    let cgroup = container.cgroup("")?;
    let other = cgroup.with_file_name(format!("{}-other", container.id));
    fs::create_dir(&other)?;
    fs::write(other.join("cgroup.procs"), container.pid()?.to_string())?;
    fs::remove_dir(&cgroup)?;
    let outside = container.exec(["--cgroup", "/"], ["true"]);
    let output = container.exec([], ["cat", "/proc/self/cgroup"]);
    container.stop()?;
    eventually("an empty cgroup", || Ok(fs::remove_dir(&other).is_ok()))?;
    outside?.failure()?;
    contains("membership", &output?.success()?.stdout, &format!("{}-other", container.id))
}
