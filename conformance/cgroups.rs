//! `linux.cgroupsPath` and `linux.resources`, read back from the kernel.

use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;
use std::path::Path;

tests![
    path_is_the_configured_one,
    path_in_every_hierarchy,
    path_cannot_leave_with_dots,
    path_relative_is_below_the_runtimes_own,
    path_absent_is_named_after_the_container,
    path_in_the_unified_view,
    directories_are_removed_with_what_is_below,
    occupied_cgroup_is_refused,
    program_starts_inside,
    memory_limit,
    memory_limit_unlimited,
    memory_reservation,
    memory_swap,
    memory_swappiness,
    memory_oom_killer_disabled,
    memory_limit_ends_who_exceeds_it,
    cpu_shares,
    cpu_quota_and_period,
    cpu_quota_alone,
    cpu_burst,
    cpu_idle,
    cpuset,
    cpuset_that_does_not_exist,
    pids_limit,
    pids_limit_holds,
    pids_limit_of_zero_means_one,
    pids_limit_unlimited,
    devices_none_by_default_but_the_standard_ones,
    devices_allowed_one,
    devices_allowed_to_read_only,
    devices_denied_in_the_unified_view,
    devices_allowed_in_the_unified_view,
    blkio_throttle,
    hugetlb_limit_in_the_unified_view,
    unified_in_the_unified_view,
    unified_on_v1_is_refused,
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

/// Where a limit is read back on v1 and on v2.
struct Place {
    controller: &'static str,
    v1: (&'static str, &'static str),
    v2: (&'static str, &'static str),
}

/// The value at `pointer` MUST be in the kernel's file once the container is created.
fn limit(pointer: &str, value: impl Into<Value>, place: &Place) -> Result {
    limits(&[(pointer, value.into())], place)
}

fn limits(values: &[(&str, Value)], place: &Place) -> Result {
    let bundle = values.iter().fold(Bundle::new(["pause"]), |bundle, (at, value)| {
        bundle.set(&format!("/linux/resources/{at}"), value.clone())
    });
    let container = bundle.build()?;
    let (file, wanted) = if container.is_v2() { place.v2 } else { place.v1 };
    if file.is_empty() {
        return skip(format!("no such limit with these cgroups ({})", machine::get().layout));
    }
    controller_is_there(&container, place.controller, file)?;
    container.create()?.success()?;
    equal(file, container.cgroup_file(place.controller, file)?.as_str(), wanted)
}

/// Skips unless the kernel has this file in a cgroup of the controller.
pub fn controller_is_there(container: &Container, controller: &str, file: &str) -> Result {
    let cgroup = container.cgroup(controller)?;
    let parent = cgroup.parent().and_then(Path::parent).context("a hierarchy")?;
    if container.is_v2() {
        let controllers = fs::read_to_string(parent.join("cgroup.controllers"))?;
        if !controllers.split_whitespace().any(|name| name == controller) {
            return skip(format!("the v2 hierarchy has no {controller} controller"));
        }
    } else {
        let probe = parent.join(format!("tare-conformance-probe-{}", container.id));
        fs::create_dir(&probe)?;
        let there = probe.join(file).exists();
        fs::remove_dir(&probe)?;
        if !there {
            return skip(format!("this kernel has no {file}"));
        }
    }
    Ok(())
}

/// `cgroupsPath` MUST be taken when it is given, and the state's pid be in it.
fn path_is_the_configured_one() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let path = format!("{}/{}", machine::cgroup_parent(), container.id);
    let memberships = fs::read_to_string(format!("/proc/{}/cgroup", container.pid()?))?;
    let wanted = if container.is_v2() { "0::" } else { ":pids:" };
    let line = memberships.lines().find(|line| line.contains(wanted)).context("a membership")?;
    ensure!(line.ends_with(&path), "{line} is not {path}");
    Ok(())
}

/// On v1 the process is in a cgroup of the container in each hierarchy that the runtime can use.
fn path_in_every_hierarchy() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let pid = container.pid()?.to_string();
    for controller in ["cpu", "cpuset", "memory", "devices", "freezer", "pids", "blkio"] {
        if container.is_v2() {
            return skip("one hierarchy alone");
        }
        let members = container.cgroup_file(controller, "cgroup.procs")?;
        ensure!(members.lines().any(|line| line == pid), "{controller}: {members:?}");
    }
    Ok(())
}

/// Dots in the path are taken away before it is used: they lead nowhere above the hierarchy.
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

/// A path that is not absolute is one that the runtime MAY interpret relative to a place of its own: runc takes the
/// cgroup that it is in.
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

/// Without a path the runtime MAY choose; runc takes the id.
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

/// Fails when one of these memberships' directories with this name is still there, after removing it.
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

/// On v2 there is one directory, and the process is in it.
fn path_in_the_unified_view() -> Result {
    let container = Bundle::new(["pause"]).view(View::Unified).start()?;
    equal("members", container.cgroup_file("", "cgroup.procs")?, container.pid()?.to_string())?;
    contains("events", &container.cgroup_file("", "cgroup.events")?, "populated 1")?;
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// Delete removes the container's cgroups with those that were made below.
fn directories_are_removed_with_what_is_below() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    for cgroup in container.cgroups().into_iter().filter(|path| path.exists()) {
        fs::create_dir_all(cgroup.join("below/deeper"))?;
    }
    container.command(["delete", "--force"])?.success()?;
    container.nothing_left()
}

/// A cgroup with processes of somebody else's is not the container's to limit and kill.
fn occupied_cgroup_is_refused() -> Result {
    let first = Bundle::new(["pause"]).start()?;
    let path = format!("{}/{}", machine::cgroup_parent(), first.id);
    let second = Bundle::new(["true"]).set("/linux/cgroupsPath", path).build()?;
    names_field(&second.create()?, "linux.cgroupsPath")?;
    equal("status of the first", first.status()?, "running")?;
    second.nothing_left()
}

/// The program is in its cgroups before it runs its first instruction.
fn program_starts_inside() -> Result {
    let container = Bundle::new(["cat", "/proc/self/cgroup"]).build()?;
    let output = container.run()?;
    contains("memberships", &output.success()?.stdout, &container.id)
}

/// `memory.limit`.
fn memory_limit() -> Result {
    let v1 = ("memory.limit_in_bytes", "52428800");
    limit("memory/limit", 52_428_800, &Place { controller: "memory", v1, v2: ("memory.max", "52428800") })
}

/// -1 is no limit.
fn memory_limit_unlimited() -> Result {
    let v1 = ("memory.limit_in_bytes", "9223372036854771712");
    limit("memory/limit", -1, &Place { controller: "memory", v1, v2: ("memory.max", "max") })
}

/// `memory.reservation`.
fn memory_reservation() -> Result {
    let v1 = ("memory.soft_limit_in_bytes", "20971520");
    limit("memory/reservation", 20_971_520, &Place { controller: "memory", v1, v2: ("memory.low", "20971520") })
}

/// `memory.swap` is memory and swap together; v2 counts swap alone.
fn memory_swap() -> Result {
    let v1 = ("memory.memsw.limit_in_bytes", "83886080");
    let place = Place { controller: "memory", v1, v2: ("memory.swap.max", "31457280") };
    limits(&[("memory/limit", json!(52_428_800)), ("memory/swap", json!(83_886_080))], &place)
}

/// `memory.swappiness` is v1's alone.
fn memory_swappiness() -> Result {
    limit("memory/swappiness", 33, &Place { controller: "memory", v1: ("memory.swappiness", "33"), v2: ("", "") })
}

/// `memory.disableOOMKiller` is v1's alone.
fn memory_oom_killer_disabled() -> Result {
    let bundle = Bundle::new(["pause"]).set("/linux/resources/memory/disableOOMKiller", true);
    if machine::get().layout == machine::Layout::Unified {
        return skip("no such switch on v2");
    }
    let container = bundle.create()?;
    contains("memory.oom_control", &container.cgroup_file("memory", "memory.oom_control")?, "oom_kill_disable 1")
}

/// The limit works: a program that needs more is killed.
fn memory_limit_ends_who_exceeds_it() -> Result {
    let bundle = Bundle::new(["echo", "up", ",", "alloc", "200"]);
    let container =
        bundle.set("/linux/resources/memory", json!({ "limit": 33_554_432, "swap": 33_554_432 })).build()?;
    let file = if container.is_v2() { "memory.max" } else { "memory.limit_in_bytes" };
    controller_is_there(&container, "memory", file)?;
    let output = container.run()?;
    equal("exit code", output.code()?, 137)?;
    equal("output", &*output.stdout, "up\n")
}

/// `cpu.shares`; v2 has weights.
fn cpu_shares() -> Result {
    limit("cpu/shares", 1024, &Place { controller: "cpu", v1: ("cpu.shares", "1024"), v2: ("cpu.weight", "100") })?;
    limit("cpu/shares", 2, &Place { controller: "cpu", v1: ("cpu.shares", "2"), v2: ("cpu.weight", "1") })
}

/// `cpu.quota` and `cpu.period`.
fn cpu_quota_and_period() -> Result {
    let values = [("cpu/quota", json!(40_000)), ("cpu/period", json!(80_000))];
    let v2 = ("cpu.max", "40000 80000");
    limits(&values, &Place { controller: "cpu", v1: ("cpu.cfs_quota_us", "40000"), v2 })?;
    limits(&values, &Place { controller: "cpu", v1: ("cpu.cfs_period_us", "80000"), v2 })
}

/// A quota alone keeps the default period.
fn cpu_quota_alone() -> Result {
    let v1 = ("cpu.cfs_quota_us", "25000");
    limit("cpu/quota", 25_000, &Place { controller: "cpu", v1, v2: ("cpu.max", "25000 100000") })
}

/// `cpu.burst` needs the quota set first.
fn cpu_burst() -> Result {
    let values = [("cpu/quota", json!(50_000)), ("cpu/burst", json!(10_000))];
    let place = Place { controller: "cpu", v1: ("cpu.cfs_burst_us", "10000"), v2: ("cpu.max.burst", "10000") };
    limits(&values, &place)
}

/// `cpu.idle`.
fn cpu_idle() -> Result {
    limit("cpu/idle", 1, &Place { controller: "cpu", v1: ("cpu.idle", "1"), v2: ("cpu.idle", "1") })
}

/// `cpu.cpus` and `cpu.mems`.
fn cpuset() -> Result {
    let values = [("cpu/cpus", json!("0")), ("cpu/mems", json!("0"))];
    limits(&values, &Place { controller: "cpuset", v1: ("cpuset.cpus", "0"), v2: ("cpuset.cpus", "0") })?;
    limits(&values, &Place { controller: "cpuset", v1: ("cpuset.mems", "0"), v2: ("cpuset.mems", "0") })
}

/// A CPU that is not there cannot be given.
fn cpuset_that_does_not_exist() -> Result {
    Bundle::new(["true"]).set("/linux/resources/cpu/cpus", "4000").refused("linux.resources.cpu").map(drop)
}

/// `pids.limit`.
fn pids_limit() -> Result {
    limit("pids/limit", 77, &Place { controller: "pids", v1: ("pids.max", "77"), v2: ("pids.max", "77") })
}

/// It holds: the fourth process cannot be made.
fn pids_limit_holds() -> Result {
    let bundle = Bundle::new(["fork", "8", ",", "pause"]).set("/linux/resources/pids/limit", 4);
    let container = bundle.build()?;
    controller_is_there(&container, "pids", "pids.max")?;
    container.create()?.success()?;
    container.start()?;
    container.wait_output("forked: 3 then EAGAIN")
}

/// 0 is no number of processes that could run anything: it means 1 (runc 1.4).
fn pids_limit_of_zero_means_one() -> Result {
    limit("pids/limit", 0, &Place { controller: "pids", v1: ("pids.max", "1"), v2: ("pids.max", "1") })
}

/// -1 is no limit.
fn pids_limit_unlimited() -> Result {
    limit("pids/limit", -1, &Place { controller: "pids", v1: ("pids.max", "max"), v2: ("pids.max", "max") })
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

/// What the rules deny cannot be opened; nodes may be made, and the standard devices open whatever the rules say.
fn devices_none_by_default_but_the_standard_ones() -> Result {
    let deny = json!([{ "allow": false, "access": "rwm" }]);
    let output = devices(deny.clone(), View::Machine).run()?;
    output.success()?.has_line("mknod /dev/zero2: ok")?.has_line("open /dev/zero2: ok")?;
    output.has_line("mknod /dev/mem2: ok")?;
    open_kmsg(deny, View::Machine, "open")?.success()?.has_line("open /dev/kmsg2: EPERM").map(drop)
}

/// Rules are applied in their order: one that allows after one that denies all.
fn devices_allowed_one() -> Result {
    let rules = json!([{ "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "rw" }]);
    open_kmsg(rules, View::Machine, "open")?.success()?.has_line("open /dev/kmsg2: ok").map(drop)
}

/// Access is by letter.
fn devices_allowed_to_read_only() -> Result {
    let rules = json!([{ "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" }]);
    open_kmsg(rules.clone(), View::Machine, "open")?.success()?.has_line("open /dev/kmsg2: ok")?;
    open_kmsg(rules, View::Machine, "openw")?.success()?.has_line("openw /dev/kmsg2: EPERM").map(drop)
}

/// On v2 a program in the kernel does the same.
fn devices_denied_in_the_unified_view() -> Result {
    let deny = json!([{ "allow": false, "access": "rwm" }]);
    devices(deny.clone(), View::Unified).run()?.success()?.has_line("open /dev/zero2: ok")?;
    open_kmsg(deny, View::Unified, "open")?.success()?.has_line("open /dev/kmsg2: EPERM").map(drop)
}

/// With the same order and the same letters.
fn devices_allowed_in_the_unified_view() -> Result {
    let rules = json!([{ "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "r" }]);
    open_kmsg(rules.clone(), View::Unified, "open")?.success()?.has_line("open /dev/kmsg2: ok")?;
    open_kmsg(rules, View::Unified, "openw")?.success()?.has_line("openw /dev/kmsg2: EPERM").map(drop)
}

/// `blockIO.throttleReadBpsDevice` of the disk below this very directory.
fn blkio_throttle() -> Result {
    let device = std::os::unix::fs::MetadataExt::dev(&fs::metadata("/")?);
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    if major == 0 {
        return skip("the root file system is on no disk");
    }
    let rate = json!([{ "major": major, "minor": minor, "rate": 10_485_760 }]);
    let container = Bundle::new(["pause"]).set("/linux/resources/blockIO/throttleReadBpsDevice", rate).build()?;
    let (controller, file, wanted) = match container.is_v2() {
        true => ("io", "io.max", format!("{major}:{minor} rbps=10485760 wbps=max riops=max wiops=max")),
        false => ("blkio", "blkio.throttle.read_bps_device", format!("{major}:{minor} 10485760")),
    };
    controller_is_there(&container, controller, file)?;
    container.create()?.success()?;
    equal(file, container.cgroup_file(controller, file)?, wanted)
}

fn huge_page_limit() -> Result<Container> {
    let container = Bundle::new(["pause"])
        .view(View::Unified)
        .set("/linux/resources/hugepageLimits", json!([{ "pageSize": "2MB", "limit": 4_194_304 }]))
        .build()?;
    controller_is_there(&container, "hugetlb", "hugetlb.2MB.max")?;
    container.create()?.success()?;
    Ok(container)
}

/// `hugepageLimits`: the controller is enabled on the way down and the limit set, the reserved one too.
fn hugetlb_limit_in_the_unified_view() -> Result {
    let container = huge_page_limit()?;
    equal("hugetlb.2MB.max", container.cgroup_file("hugetlb", "hugetlb.2MB.max")?, "4194304")?;
    equal("hugetlb.2MB.rsvd.max", container.cgroup_file("hugetlb", "hugetlb.2MB.rsvd.max")?, "4194304")
}

/// `unified` writes files of v2 by their names.
fn unified_in_the_unified_view() -> Result {
    let container = Bundle::new(["pause"])
        .view(View::Unified)
        .set("/linux/resources/unified", json!({ "hugetlb.2MB.max": "6291456" }))
        .build()?;
    controller_is_there(&container, "hugetlb", "hugetlb.2MB.max")?;
    container.create()?.success()?;
    equal("hugetlb.2MB.max", container.cgroup_file("hugetlb", "hugetlb.2MB.max")?, "6291456")
}

/// On v1 there are no such files: an error.
fn unified_on_v1_is_refused() -> Result {
    if machine::get().layout == machine::Layout::Unified {
        return skip("the machine has v2");
    }
    let bundle = Bundle::new(["true"]).set("/linux/resources/unified", json!({ "pids.max": "10" }));
    bundle.refused("linux.resources.unified").map(drop)
}

/// A value that the kernel refuses is an error that names the field, and everything is undone.
fn unknown_controller_value() -> Result {
    Bundle::new(["true"]).set("/linux/resources/cpu/quota", 5).refused("linux.resources.cpu").map(drop)
}

/// On v2 a process of exec is in the container's cgroup.
fn exec_in_the_unified_view() -> Result {
    let container = Bundle::new(["pause"]).view(View::Unified).start()?;
    let output = container.exec([], ["cat", "/proc/self/cgroup"])?;
    contains("membership", &output.success()?.stdout, &container.id)
}

/// `exec --cgroup` picks a cgroup below the container's.
fn exec_in_a_sub_cgroup() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    for cgroup in container.cgroups().into_iter().filter(|path| path.exists()) {
        fs::create_dir(cgroup.join("below"))?;
    }
    let argument = if container.is_v2() { "below" } else { "pids:below" };
    let output = container.exec(["--cgroup", argument], ["cat", "/proc/self/cgroup"])?;
    contains("membership", &output.success()?.stdout, &format!("{}/below", container.id))
}

/// And no other.
fn exec_in_a_sub_cgroup_that_escapes() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    let prefix = if container.is_v2() { "" } else { "pids:" };
    for path in ["..", "../..", "nosuch"] {
        let output = container.exec(["--cgroup", &format!("{prefix}{path}")], ["true"])?;
        output.failure().with_context(|| path)?;
    }
    Ok(())
}

/// A cgroup whose name only begins like the container's is not below it (runc#5351).
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
    output.fails_with("sub cgroup path").map(drop)
}

/// On v2 there is one path, with or without a slash before it; `/` is the container's own.
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

/// On v1 each controller may have its own; the others are where the container is.
fn exec_in_sub_cgroups_by_controller() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    if container.is_v2() {
        return skip("the machine has v2");
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

/// What is no path of the container's is refused in these words, before anything is started.
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

/// A cgroup below has to be made by whoever wants it.
fn exec_in_a_cgroup_that_is_not_there() -> Result {
    for view in [View::Machine, View::Unified] {
        let container = Bundle::new(["pause"]).view(view).start()?;
        let output = container.exec(["--cgroup", "nosuch"], ["true"])?;
        equal("exit code", output.code()?, 255)?;
        output.fails_with("to cgroups: ")?;
        output.fails_with("nosuch/cgroup.procs: no such file or directory").or_else(|error| {
            if container.is_v2() { output.fails_with("nosuch: no such file or directory") } else { Err(error) }
        })?;
    }
    Ok(())
}

/// A v2 cgroup that hands controllers down takes no processes: exec goes where the first process is, unless it is told
/// where to go.
fn exec_joins_the_first_process_where_there_is_no_room() -> Result {
    let container = Bundle::new(["pause"]).view(View::Unified).start()?;
    let cgroup = container.cgroup("")?;
    let controllers = fs::read_to_string(cgroup.join("cgroup.controllers"))?;
    let Some(controller) =
        controllers.split_whitespace().find(|name| !["cpu", "cpuset", "perf_event", "pids"].contains(name))
    else {
        return skip("the v2 hierarchy has no controller for processes only");
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

/// So it does when somebody has moved the first process and removed the container's cgroup.
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
