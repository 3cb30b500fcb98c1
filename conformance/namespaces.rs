//! `linux.namespaces`: new, joined, inherited; user mappings, time offsets, hostnames, sysctls.

use crate::harness::bundle::scratch;
use crate::harness::container::namespace_of;
use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;
use std::process::{Child, Command, Stdio};

tests![
    new_ones_are_new,
    absent_ones_are_the_callers,
    join_network,
    join_ipc,
    join_uts,
    join_pid,
    join_cgroup,
    join_time,
    join_pid_from_a_new_user_namespace,
    join_user,
    join_user_and_all_that_it_owns,
    join_user_with_its_own_mappings,
    join_user_with_its_own_mappings_without_a_word,
    join_user_with_other_mappings,
    join_user_with_other_mappings_at_a_terminal,
    join_the_namespaces_of_a_container,
    join_path_that_is_missing,
    join_path_of_another_kind,
    join_path_that_is_no_namespace,
    listed_twice,
    unknown_kind,
    pid_namespace_starts_with_one,
    host_pid_namespace,
    cgroup_namespace_hides_the_path,
    network_namespace_has_its_loopback_up,
    network_namespace_of_another_list,
    hostname,
    hostname_without_namespace,
    domainname,
    domainname_without_namespace,
    user_mapping_makes_root_of_a_user,
    user_mapping_of_several_ranges,
    user_mapping_owns_what_is_made,
    user_mapping_without_namespace,
    user_namespace_without_mapping,
    user_namespace_devices_are_bound,
    user_namespace_keeps_capabilities_inside,
    user_namespace_for_another_user,
    time_offsets,
    time_where_there_is_none,
    time_offsets_without_namespace,
    time_offsets_when_joining,
    sysctl_of_the_network_namespace,
    sysctl_with_slashes,
    sysctl_of_the_ipc_namespace,
    sysctl_without_its_namespace,
    sysctl_of_the_whole_kernel,
    sysctl_that_is_the_hostname,
    sysctl_of_the_callers_own_namespace,
    names_of_the_callers_own_namespace,
    sysctl_and_domainname,
    sysctl_where_proc_sys_is_restricted,
    sysctl_past_what_is_mounted_in_the_joined_namespace,
    loopback_without_internet_sockets,
    join_user_and_raise_limits,
    join_path_that_is_a_fifo,
    mount_namespace_is_needed_for_masks,
    user_namespace_without_root,
    ids_that_are_not_mapped,
    mappings_that_do_not_fit,
];

const KINDS: [(&str, &str); 8] = [
    ("cgroup", "cgroup"),
    ("ipc", "ipc"),
    ("mount", "mnt"),
    ("network", "net"),
    ("pid", "pid"),
    ("time", "time"),
    ("user", "user"),
    ("uts", "uts"),
];

fn own(kind: &str) -> Result<String> {
    namespace_of(std::process::id() as i32, kind)
}

/// A namespace type without a path MUST be new.
fn new_ones_are_new() -> Result {
    let mut bundle = Bundle::new(["ns"]).namespace("network").namespace("cgroup");
    if has_namespace("time") {
        bundle = bundle.namespace("time");
    }
    let output = bundle.user_namespace(100_000, 1000).run()?;
    for (_, kind) in KINDS.iter().filter(|(_, kind)| has_namespace(kind)) {
        ensure!(!output.success()?.stdout.contains(&own(kind)?), "{kind} is the caller's: {output}");
        contains("namespaces", &output.stdout, &format!("{kind}:["))?;
    }
    Ok(())
}

/// A namespace type that is not listed MUST be inherited from the runtime.
fn absent_ones_are_the_callers() -> Result {
    let output = Bundle::new(["ns"]).without_namespace("ipc").without_namespace("uts").run()?;
    for kind in ["cgroup", "ipc", "net", "time", "user", "uts"].into_iter().filter(|kind| has_namespace(kind)) {
        output.success()?.has_line(&own(kind)?)?;
    }
    Ok(())
}

/// A process that sleeps in new namespaces. Dropping this kills it.
struct Sleeper(Child);

impl Sleeper {
    fn new(options: &[&str]) -> Result<Self> {
        Self::after(options, "true")
    }

    /// A process that first carries out `words` in its namespaces.
    fn after(options: &[&str], words: &str) -> Result<Self> {
        let mut command = Command::new("unshare");
        let script = format!("{words} && echo up && exec sleep 60");
        command.args(options).args(["sh", "-c", &script]).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().context("unshare(1)")?;
        let mut word = [0; 3];
        let mut stdout = child.stdout.take().context("a pipe")?;
        let read = std::io::Read::read_exact(&mut stdout, &mut word);
        let sleeper = Self(child);
        read.context("no sleeper")?;
        Ok(sleeper)
    }

    /// The pid of the process in the namespaces: the child of unshare(1), if that forks.
    fn pid(&self) -> i32 {
        let id = self.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        children.split_whitespace().next().and_then(|child| child.parse().ok()).unwrap_or(id as i32)
    }

    fn path(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.pid())
    }

    fn namespace(&self, kind: &str) -> Result<String> {
        namespace_of(self.pid(), kind)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        // Kill the child first: `unshare --fork` waits for it.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), nix::sys::signal::Signal::SIGKILL);
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn joins(option: &str, kind: &str, link: &str) -> Result {
    let sleeper = Sleeper::new(&[option])?;
    let output = Bundle::new(["ns"]).join(kind, sleeper.path(link)).run()?;
    output.success()?.has_line(&sleeper.namespace(link)?).map(drop)
}

/// A namespace with a path MUST be the one at that path.
fn join_network() -> Result {
    joins("--net", "network", "net")
}

fn join_ipc() -> Result {
    joins("--ipc", "ipc", "ipc")
}

fn join_uts() -> Result {
    joins("--uts", "uts", "uts")
}

fn join_cgroup() -> Result {
    joins("--cgroup", "cgroup", "cgroup")
}

/// In a joined pid namespace the program is not pid 1.
fn join_pid() -> Result {
    let sleeper = Sleeper::new(&["--pid", "--fork"])?;
    let output = Bundle::new(["ns", ",", "pids"]).join("pid", sleeper.path("pid")).run()?;
    output.success()?.has_line(&sleeper.namespace("pid")?)?;
    ensure!(output.value("pid")? != "1", "{output}");
    Ok(())
}

fn join_time() -> Result {
    needs_time()?;
    let sleeper = Sleeper::new(&["--time", "--fork", "--boottime", "100000"])?;
    let output = Bundle::new(["ns", ",", "uptime"]).join("time", sleeper.path("time")).run()?;
    output.success()?.has_line(&sleeper.namespace("time")?)?;
    ensure!(output.value("boottime")?.parse::<i64>()? > 100_000, "{output}");
    Ok(())
}

/// A pid namespace and, if the kernel has one, a time namespace are joined, and the user namespace is new: bind mounts
/// can be made all the same.
fn join_pid_from_a_new_user_namespace() -> Result {
    let source = scratch()?;
    fs::write(source.path().join("file"), "from the host")?;
    let bind = json!({ "destination": "/mnt", "source": source.path(), "options": ["rbind"] });
    let dev = json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs" });
    // Root of the new user namespace may not mount a procfs of a pid namespace that another user namespace owns.
    let proc = json!({ "destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"] });
    let bundle = || {
        let bundle = Bundle::new(["pids", ",", "cat", "/mnt/file"]).set("/mounts", json!([proc, dev, bind]));
        bundle.user_namespace(100_000, 65_536)
    };
    let sleeper = Sleeper::new(&["--pid", "--fork"])?;
    let output = bundle().join("pid", sleeper.path("pid")).run()?;
    output.success()?.has_line("from the host")?;
    ensure!(output.value("pid")? != "1", "{output}");
    needs_time()?;
    let sleeper = Sleeper::new(&["--time", "--fork", "--boottime", "100000"])?;
    for bundle in [bundle().join("time", sleeper.path("time")), bundle().namespace("time")] {
        bundle.run()?.success()?.has_line("from the host")?;
    }
    Ok(())
}

/// Hard limits above the caller's cannot be set from inside a user namespace. A privileged runtime sets them from
/// outside, for a joined user namespace as for a new one.
fn join_user_and_raise_limits() -> Result {
    use nix::sys::resource::Resource;
    const CAP_SYS_RESOURCE: libc::c_long = 24;
    // SAFETY: prctl(2) takes integers only here.
    if unsafe { libc::prctl(libc::PR_CAPBSET_READ, CAP_SYS_RESOURCE, 0, 0, 0) } != 1 {
        return skip("root lacks CAP_SYS_RESOURCE here");
    }
    let sleeper = Sleeper::new(&["--user", "--map-root-user"])?;
    let limits = json!([
        { "type": "RLIMIT_NOFILE", "soft": 700, "hard": 900 },
        { "type": "RLIMIT_SIGPENDING", "soft": 2000, "hard": 2000 }
    ]);
    let words = ["rlimit", "RLIMIT_NOFILE", ",", "rlimit", "RLIMIT_SIGPENDING"];
    let container = Bundle::new(words).join("user", sleeper.path("user")).set("/process/rlimits", limits).build()?;
    let call = container.launch(["run"]).limiting(Resource::RLIMIT_NOFILE, 600, 600);
    let output = call.limiting(Resource::RLIMIT_SIGPENDING, 1000, 1000).output()?;
    output.success()?.says("RLIMIT_NOFILE", "700 900")?.says("RLIMIT_SIGPENDING", "2000 2000").map(drop)
}

/// A fifo is no namespace. The runtime does not wait for a process at its other end.
fn join_path_that_is_a_fifo() -> Result {
    let dir = scratch()?;
    let path = dir.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU)?;
    Bundle::new(["true"]).join("network", &path).refused("linux.namespaces").map(drop)
}

/// A user namespace can be joined. Its mappings hold; config.json has none.
fn join_user() -> Result {
    let sleeper = Sleeper::new(&["--user", "--map-root-user"])?;
    let output = Bundle::new(["ns", ",", "ids"]).join("user", sleeper.path("user")).run()?;
    output.success()?.has_line(&sleeper.namespace("user")?)?.says("uid", "0").map(drop)
}

fn joins_user_with(host: u32) -> Result<(Sleeper, Bundle)> {
    let sleeper = Sleeper::new(&["--user", "--map-root-user"])?;
    let map = json!([{ "containerID": 0, "hostID": host, "size": 1 }]);
    let bundle = Bundle::new(["ns"]).join("user", sleeper.path("user"));
    let bundle = bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    Ok((sleeper, bundle))
}

/// containerd and CRI-O pass the mappings of a joined user namespace as well: they are accepted if they are the
/// namespace's own.
fn join_user_with_its_own_mappings() -> Result {
    let (sleeper, bundle) = joins_user_with(0)?;
    bundle.run()?.success()?.has_line(&sleeper.namespace("user")?).map(drop)
}

/// No warning is printed for them: it would be the first line in the log of every container of a pod.
fn join_user_with_its_own_mappings_without_a_word() -> Result {
    let (_sleeper, bundle) = joins_user_with(0)?;
    equal("standard error", bundle.run()?.success()?.stderr.as_str(), "")
}

/// Other mappings than those of the joined user namespace are an error.
fn join_user_with_other_mappings() -> Result {
    let (_sleeper, bundle) = joins_user_with(1)?;
    let output = bundle.refused("linux.uidMappings")?;
    contains("message", &output.stderr, "both namespace path and non-matching mapping specified")
}

/// The same with a terminal: a runtime may receive the terminal before it checks the mappings.
fn join_user_with_other_mappings_at_a_terminal() -> Result {
    let (_sleeper, bundle) = joins_user_with(1)?;
    let bundle = bundle.set("/process/terminal", true);
    let devpts = json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
        "options": ["newinstance", "ptmxmode=0666"] });
    let container = bundle.mount(devpts).build()?;
    let receiver = Receiver::bind(container.aside("console"))?;
    let output = container.launch(["create"]).console(&receiver).output()?;
    output.fails_with("both namespace path and non-matching mapping specified").map(drop)
}

/// A user namespace and namespaces that it owns are joined in an order in which the runtime may enter all of them.
fn join_user_and_all_that_it_owns() -> Result {
    let sleeper = Sleeper::new(&["--user", "--map-root-user", "--net", "--ipc", "--uts"])?;
    let output = Bundle::new(["ns"])
        .join("user", sleeper.path("user"))
        .join("network", sleeper.path("net"))
        .join("ipc", sleeper.path("ipc"))
        .join("uts", sleeper.path("uts"))
        .run()?;
    for kind in ["user", "net", "ipc", "uts"] {
        output.success()?.has_line(&sleeper.namespace(kind)?)?;
    }
    Ok(())
}

/// A container can join the namespaces of another one, as in a pod.
fn join_the_namespaces_of_a_container() -> Result {
    let pod = Bundle::new(["pause"]).namespace("network").set("/hostname", "pod").start()?;
    let path = |kind: &str| -> Result<String> { Ok(format!("/proc/{}/ns/{kind}", pod.pid()?)) };
    let output = Bundle::new(["ns", ",", "uts"])
        .join("network", path("net")?)
        .join("ipc", path("ipc")?)
        .join("uts", path("uts")?)
        .join("pid", path("pid")?)
        .run()?;
    for kind in ["net", "ipc", "uts", "pid"] {
        output.success()?.has_line(&pod.namespace(kind)?)?;
    }
    output.says("hostname", "pod").map(drop)
}

/// A path that does not exist MUST be an error.
fn join_path_that_is_missing() -> Result {
    Bundle::new(["true"]).join("network", "/nosuch/net").refused("linux.namespaces[4]").map(drop)
}

/// A path to a namespace of another type MUST be an error.
fn join_path_of_another_kind() -> Result {
    Bundle::new(["true"]).join("network", "/proc/self/ns/ipc").refused("linux.namespaces[4]").map(drop)
}

/// A path to a file that is no namespace MUST be an error.
fn join_path_that_is_no_namespace() -> Result {
    Bundle::new(["true"]).join("network", "/etc/passwd").refused("linux.namespaces[4]").map(drop)
}

/// A type that is listed twice MUST be an error.
fn listed_twice() -> Result {
    Bundle::new(["true"]).namespace("uts").refused("linux.namespaces").map(drop)
}

/// An unknown type is an error.
fn unknown_kind() -> Result {
    Bundle::new(["true"]).namespace("nosuch").refused("linux.namespaces").map(drop)
}

/// In a new pid namespace the program is pid 1, and so it is in the container's proc.
fn pid_namespace_starts_with_one() -> Result {
    Bundle::new(["pids", ",", "readlink", "/proc/self"]).run()?.success()?.says("pid", "1")?.has_line("1").map(drop)
}

/// In the host's pid namespace the program has the pid of the state.
fn host_pid_namespace() -> Result {
    let container = Bundle::new(["pids", ",", "pause"]).without_namespace("pid").start()?;
    container.wait_output(&format!("pid: {}", container.pid()?))
}

/// In a cgroup namespace the container's cgroup is shown as the root.
fn cgroup_namespace_hides_the_path() -> Result {
    let output = Bundle::new(["cat", "/proc/self/cgroup"]).namespace("cgroup").run()?;
    let inside = output.success()?.stdout.lines().find(|line| line.contains("pids:") || line.starts_with("0::"));
    ensure!(inside.is_some_and(|line| line.ends_with(":/")), "{output}");
    Ok(())
}

/// In a new network namespace `lo` is up.
fn network_namespace_has_its_loopback_up() -> Result {
    Bundle::new(["loopback"]).namespace("network").run()?.success()?.says("loopback up", "true").map(drop)
}

/// A list of namespaces elsewhere in the config does not count: the network namespace is the caller's, or belongs to
/// the container's user namespace.
fn network_namespace_of_another_list() -> Result {
    let run = |bundle: Bundle| {
        let container = bundle.build()?;
        container.edit_config(|config| {
            let mut whole = json!({ "aside": { "namespaces": [{ "type": "network" }] } });
            if let (Some(whole), Some(members)) = (whole.as_object_mut(), config.as_object_mut()) {
                whole.append(members);
            }
            *config = whole;
        })?;
        container.run()
    };
    run(Bundle::new(["ns"]))?.success()?.has_line(&own("net")?)?;
    let owned = Bundle::new(["loopback"]).namespace("network").user_namespace(100_000, 1000);
    run(owned)?.success()?.says("loopback up", "true").map(drop)
}

/// `hostname` MUST be the container's.
fn hostname() -> Result {
    let before = nix::unistd::gethostname()?;
    Bundle::new(["uts"]).set("/hostname", "my-host.example").run()?.success()?.says("hostname", "my-host.example")?;
    equal("host's name", nix::unistd::gethostname()?, before)
}

/// `hostname` without a UTS namespace would change the host's: refused.
fn hostname_without_namespace() -> Result {
    let before = nix::unistd::gethostname()?;
    Bundle::new(["true"]).without_namespace("uts").set("/hostname", "my-host").refused("hostname")?;
    equal("host's name", nix::unistd::gethostname()?, before)
}

/// `domainname` is set in the container.
fn domainname() -> Result {
    Bundle::new(["uts"]).set("/domainname", "example.org").run()?.success()?.says("domainname", "example.org").map(drop)
}

/// `domainname` without a UTS namespace is refused.
fn domainname_without_namespace() -> Result {
    Bundle::new(["true"]).without_namespace("uts").set("/domainname", "example.org").refused("domainname").map(drop)
}

/// uid 0 in the container is another uid on the host.
fn user_mapping_makes_root_of_a_user() -> Result {
    let container =
        Bundle::new(["ids", ",", "cat", "/proc/self/uid_map", ",", "cat", "/proc/self/gid_map", ",", "pause"])
            .user_namespace(100_000, 1000)
            .start()?;
    container.wait_output("uid: 0")?;
    let map = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    eventually("two maps", || Ok(container.output()?.matches("100000").count() == 2))?;
    let output = container.output()?;
    let line = output.lines().find(|line| line.contains("100000")).context("a map")?;
    equal("map", map(line), ["0", "100000", "1000"])?;
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid()?))?;
    contains("uid outside", &status, "Uid:\t100000\t100000\t100000\t100000")?;
    contains("gid outside", &status, "Gid:\t100000\t100000\t100000\t100000")
}

/// Mappings MUST be written as they are listed.
fn user_mapping_of_several_ranges() -> Result {
    let map = json!([
        { "containerID": 0, "hostID": 100000, "size": 10 },
        { "containerID": 10, "hostID": 200000, "size": 5 },
        { "containerID": 1000, "hostID": 300000, "size": 1 },
    ]);
    let output = Bundle::new(["cat", "/proc/self/uid_map", ",", "cat", "/proc/self/gid_map"])
        .user_namespace(100_000, 10)
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .run()?;
    let lines = output.success()?.stdout.lines();
    let words: Vec<String> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let wanted = ["0 100000 10", "10 200000 5", "1000 300000 1"];
    equal("maps", words, [wanted, wanted].concat())
}

/// Files that the container makes belong to the mapped user on the host.
fn user_mapping_owns_what_is_made() -> Result {
    let container = Bundle::new(["write", "/new", "x", ",", "stat", "/new"]).user_namespace(100_000, 1000).build()?;
    let output = container.run()?;
    contains("stat", &output.success()?.stdout, "uid=0 gid=0")?;
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(container.rootfs().join("new"))?);
    equal("owner outside", owner, 100_000)
}

/// Mappings without a user namespace are a contradiction: refused.
fn user_mapping_without_namespace() -> Result {
    let map = json!([{ "containerID": 0, "hostID": 100000, "size": 10 }]);
    let bundle = Bundle::new(["true"]).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    bundle.refused("linux.uidMappings").map(drop)
}

/// A new user namespace without mappings could run no program: refused.
fn user_namespace_without_mapping() -> Result {
    Bundle::new(["true"]).namespace("user").refused("linux.uidMappings").map(drop)
}

/// In a user namespace device nodes cannot be made, so they are bound from the host.
fn user_namespace_devices_are_bound() -> Result {
    let output =
        Bundle::new(["stat", "/dev/null", ",", "write", "/dev/null", "x"]).user_namespace(100_000, 1000).run()?;
    contains("stat", &output.success()?.stdout, "char mode=0666")?;
    contains("stat", &output.stdout, "rdev=1:3")?;
    output.has_line("write /dev/null: ok").map(drop)
}

/// Capabilities apply to the user namespace: they give no rights on the host's files.
fn user_namespace_keeps_capabilities_inside() -> Result {
    let container = Bundle::new(["caps", ",", "cat", "/foreign"])
        .capabilities(&["CAP_DAC_OVERRIDE"])
        .user_namespace(100_000, 1000)
        .build()?;
    let file = container.rootfs().join("foreign");
    fs::write(&file, "of the host's root")?;
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let output = container.run()?;
    output.success()?.says("effective", "2")?.has_line("cat /foreign: EACCES").map(drop)
}

/// The program's uid and gid are ids of the user namespace.
fn user_namespace_for_another_user() -> Result {
    let container = Bundle::new(["ids", ",", "pause"])
        .user_namespace(100_000, 1000)
        .set("/process/user", json!({ "uid": 33, "gid": 44, "additionalGids": [55] }))
        .start()?;
    container.wait_output("uid: 33")?;
    container.wait_output("groups: 55")?;
    let status = fs::read_to_string(format!("/proc/{}/status", container.pid()?))?;
    contains("uid outside", &status, "Uid:\t100033\t")?;
    contains("gid outside", &status, "Gid:\t100044\t")
}

fn clock(output: &Output, name: &str) -> Result<i64> {
    Ok(output.success()?.value(name)?.parse()?)
}

/// `linux.timeOffsets` shifts the clocks of the container.
fn time_offsets() -> Result {
    needs_time()?;
    let offsets = json!({ "monotonic": { "secs": 1_000_000, "nanosecs": 5 }, "boottime": { "secs": 2_000_000 } });
    let host = Bundle::new(["uptime"]).run()?;
    let inside = Bundle::new(["uptime"]).namespace("time").set("/linux/timeOffsets", offsets).run()?;
    let shift = |name: &str| -> Result<i64> { Ok(clock(&inside, name)? - clock(&host, name)?) };
    ensure!((1_000_000..1_000_030).contains(&shift("monotonic")?), "{host} {inside}");
    ensure!((2_000_000..2_000_030).contains(&shift("boottime")?), "{host} {inside}");
    Ok(())
}

fn needs_time() -> Result {
    if has_namespace("time") { Ok(()) } else { skip("the kernel has no time namespaces") }
}

/// A namespace type that the kernel lacks MUST be an error.
fn time_where_there_is_none() -> Result {
    if has_namespace("time") {
        return skip("the kernel has time namespaces");
    }
    Bundle::new(["true"]).namespace("time").refused("linux.namespaces").map(drop)
}

/// `linux.timeOffsets` without a time namespace is refused.
fn time_offsets_without_namespace() -> Result {
    let offsets = json!({ "boottime": { "secs": 1000 } });
    Bundle::new(["true"]).set("/linux/timeOffsets", offsets).refused("linux.timeOffsets").map(drop)
}

/// `linux.timeOffsets` with a joined time namespace is refused: its clocks cannot be set.
fn time_offsets_when_joining() -> Result {
    let offsets = json!({ "boottime": { "secs": 1000 } });
    let bundle = Bundle::new(["true"]).join("time", "/proc/self/ns/time").set("/linux/timeOffsets", offsets);
    bundle.refused("linux.timeOffsets").map(drop)
}

/// `linux.sysctl` MUST be set in the container's namespaces. The host's values stay.
fn sysctl_of_the_network_namespace() -> Result {
    let path = "/proc/sys/net/ipv4/ip_default_ttl";
    let before = fs::read_to_string(path)?;
    let sysctl = json!({ "net.ipv4.ip_default_ttl": "77" });
    let output = Bundle::new(["cat", path]).namespace("network").set("/linux/sysctl", sysctl).run()?;
    output.success()?.has_line("77")?;
    equal("host's value", fs::read_to_string(path)?, before)
}

/// A sysctl may be written with slashes: names of interfaces may have dots.
fn sysctl_with_slashes() -> Result {
    let sysctl = json!({ "net/ipv4/conf/lo/forwarding": "1" });
    let output = Bundle::new(["cat", "/proc/sys/net/ipv4/conf/lo/forwarding"])
        .namespace("network")
        .set("/linux/sysctl", sysctl)
        .run()?;
    output.success()?.has_line("1").map(drop)
}

/// The same for the ipc namespace.
fn sysctl_of_the_ipc_namespace() -> Result {
    let sysctl = json!({ "kernel.msgmax": "4096", "fs.mqueue.msg_max": "33" });
    let output = Bundle::new(["cat", "/proc/sys/kernel/msgmax", ",", "cat", "/proc/sys/fs/mqueue/msg_max"])
        .set("/linux/sysctl", sysctl)
        .run()?;
    output.success()?.has_line("4096")?.has_line("33").map(drop)
}

/// A sysctl without its namespace would change the host's value: refused.
fn sysctl_without_its_namespace() -> Result {
    let path = "/proc/sys/net/ipv4/ip_default_ttl";
    let before = fs::read_to_string(path)?;
    Bundle::new(["true"]).set("/linux/sysctl", json!({ "net.ipv4.ip_default_ttl": "77" })).refused("linux.sysctl")?;
    equal("host's value", fs::read_to_string(path)?, before)?;
    let bundle =
        Bundle::new(["true"]).without_namespace("ipc").set("/linux/sysctl", json!({ "kernel.msgmax": "4096" }));
    bundle.refused("linux.sysctl").map(drop)
}

/// A sysctl that is in no namespace is refused.
fn sysctl_of_the_whole_kernel() -> Result {
    let path = "/proc/sys/vm/swappiness";
    let before = fs::read_to_string(path)?;
    Bundle::new(["true"]).set("/linux/sysctl", json!({ "vm.swappiness": "33" })).refused("linux.sysctl")?;
    equal("host's value", fs::read_to_string(path)?, before)
}

/// kernel.hostname is refused: the hostname has a field of its own.
fn sysctl_that_is_the_hostname() -> Result {
    let bundle = Bundle::new(["true"]).set("/hostname", "a").set("/linux/sysctl", json!({ "kernel.hostname": "b" }));
    bundle.refused("linux.sysctl").map(drop)
}

/// Masked paths without a mount namespace would hide the host's files: refused.
fn mount_namespace_is_needed_for_masks() -> Result {
    let bundle = Bundle::new(["true"]).without_namespace("mount").set("/mounts", json!([]));
    let bundle = bundle.set("/linux/maskedPaths", json!(["/proc/kcore"]));
    bundle.refused("linux.maskedPaths").map(drop)
}

/// A path may lead to a namespace that is the caller's own, which is the host's: docker's `--network=host`. Sysctls are
/// refused then, whatever the path is.
fn sysctl_of_the_callers_own_namespace() -> Result {
    let dir = scratch()?;
    for (kind, file, name) in [("network", "net", "net.ipv4.ip_default_ttl"), ("ipc", "ipc", "kernel.msgmni")] {
        let own = format!("/proc/self/ns/{file}");
        let link = dir.path().join(file);
        std::os::unix::fs::symlink(format!("/proc/{}/ns/{file}", std::process::id()), &link)?;
        let before = fs::read_to_string(sysctl_file(name))?;
        let other = (before.trim().parse::<u32>()? - 1).to_string();
        for path in [std::path::Path::new(&own), &link] {
            let bundle = Bundle::new(["true"]).join(kind, path).set("/linux/sysctl", json!({ name: other }));
            let refused = bundle.refused(&format!("linux.sysctl.{name}"));
            let after = fs::read_to_string(sysctl_file(name))?;
            if after != before {
                fs::write(sysctl_file(name), &before)?;
            }
            equal("the host's own value", after, &*before)?;
            refused?;
        }
        // Without a sysctl such a namespace is joined.
        Bundle::new(["ns"])
            .join(kind, &link)
            .run()?
            .success()?
            .has_line(&namespace_of(std::process::id() as i32, file)?)?;
    }
    Ok(())
}

fn sysctl_file(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

/// The same for hostname and domain name.
fn names_of_the_callers_own_namespace() -> Result {
    let names = nix::sys::utsname::uname()?;
    // These are the names that the machine has already: if the runtime does not refuse them, nothing changes.
    let host = names.nodename().to_string_lossy().into_owned();
    let domain = names.domainname().to_string_lossy().into_owned();
    let bundle = || Bundle::new(["true"]).join("uts", "/proc/self/ns/uts");
    bundle().set("/hostname", host).refused("hostname")?;
    bundle().set("/domainname", domain.clone()).refused("domainname")?;
    bundle().set("/linux/sysctl", json!({ "kernel.domainname": domain })).refused("linux.sysctl").map(drop)
}

/// The domain name comes from its field, from the sysctl, or from both with the same value.
fn sysctl_and_domainname() -> Result {
    let bundle = |sysctl: &str| {
        Bundle::new(["uts"]).set("/domainname", "here").set("/linux/sysctl", json!({ "kernel.domainname": sysctl }))
    };
    bundle("here").run()?.success()?.says("domainname", "here")?;
    bundle("there").refused("linux.sysctl.kernel.domainname").map(drop)
}

/// A sysctl of a namespace is set even if the runtime's /proc/sys is read-only, covered or missing, as it is in
/// containers and hardened systemd units.
fn sysctl_where_proc_sys_is_restricted() -> Result {
    use nix::mount::{MsFlags, mount};
    const NONE: Option<&str> = None;
    let ways: [fn() -> nix::Result<()>; 4] = [
        || {
            mount(Some("/proc/sys"), "/proc/sys", NONE, MsFlags::MS_BIND, NONE)?;
            mount(NONE, "/proc/sys", NONE, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, NONE)
        },
        || mount(NONE, "/proc/sys", Some("tmpfs"), MsFlags::empty(), NONE),
        || mount(Some("/dev/null"), "/proc/sys/net/ipv4/ip_default_ttl", NONE, MsFlags::MS_BIND, NONE),
        || mount(NONE, "/proc", Some("proc"), MsFlags::empty(), Some("subset=pid")),
    ];
    for way in ways {
        let bundle = Bundle::new(["cat", "/proc/sys/net/ipv4/ip_default_ttl"]).namespace("network");
        let container = bundle.set("/linux/sysctl", json!({ "net.ipv4.ip_default_ttl": "77" })).build()?;
        let call = container.launch(["run"]).after(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
            Ok(way()?)
        });
        call.output()?.success()?.has_line("77")?;
    }
    Ok(())
}

/// A joined mount namespace belongs to another process, which may have mounted files over /proc: a sysctl is not
/// written to them (CVE-2025-52881).
fn sysctl_past_what_is_mounted_in_the_joined_namespace() -> Result {
    let astray = "mount --bind /proc/sys/kernel/hostname /proc/sys/kernel/domainname";
    let sleeper = Sleeper::after(&["--mount", "--propagation", "private"], astray)?;
    let bundle = Bundle::new(["uts"])
        .join("mount", sleeper.path("mnt"))
        .set("/root/path", "/")
        .set("/mounts", json!([]))
        .set("/process/args", json!([payload::path(), "uts"]))
        .set("/hostname", "mine")
        .set("/linux/sysctl", json!({ "kernel.domainname": "there" }));
    bundle.run()?.success()?.says("hostname", "mine")?.says("domainname", "there").map(drop)
}

/// A systemd unit may be restricted to sockets of unix(7) and netlink(7) (`RestrictAddressFamilies`): `lo` is brought
/// up all the same.
fn loopback_without_internet_sockets() -> Result {
    let container = Bundle::new(["loopback"]).namespace("network").build()?;
    let call = container.launch(["run"]);
    let output =
        call.denying(libc::SYS_socket, Some(libc::AF_INET as u32), nix::errno::Errno::EAFNOSUPPORT).output()?;
    contains("the container's own socket", &output.success()?.stdout, "EAFNOSUPPORT")?;
    // The container inherits the filter, so the result is checked from outside.
    let container = Bundle::new(["pause"]).namespace("network").build()?;
    let call = container.launch(["create"]);
    call.denying(libc::SYS_socket, Some(libc::AF_INET as u32), nix::errno::Errno::EAFNOSUPPORT).output()?.success()?;
    let pid = container.pid()?.to_string();
    let words = ["-n", "-t", &pid, "cat", "/proc/self/net/dev_snmp6/lo", "/proc/self/net/if_inet6"];
    let output = Call::of(std::path::Path::new("nsenter"), words).output()?;
    // An interface has its addresses once it is up.
    contains("addresses", &output.stdout, "00000000000000000000000000000001")
}

/// In a user namespace that does not map root, the files that the runtime makes in the root file system belong to the
/// container's user.
fn user_namespace_without_root() -> Result {
    if runtime::is("runc") {
        return skip("runc needs a mapping for root");
    }
    let map = json!([{ "containerID": 5, "hostID": 100_000, "size": 1 }]);
    let words = [
        "ids", ",", "write", "/new", "x", ",", "stat", "/new", ",", "stat", "/made", ",", "stat", "/dev", ",", "pause",
    ];
    let bundle = Bundle::new(words).user_namespace(100_000, 1).set("/linux/uidMappings", map.clone());
    let bundle = bundle.set("/linux/gidMappings", map).set("/process/user", json!({ "uid": 5, "gid": 5 }));
    let volume = json!({ "destination": "/made", "type": "tmpfs", "source": "tmpfs" });
    let container = bundle.mount(volume).start()?;
    container.wait_output("uid: 5")?;
    check::eventually("the last word", || Ok(container.output()?.contains("stat /dev:")))?;
    let output = container.output()?;
    for part in ["write /new: ok", "/new: file mode=0644 uid=5 gid=5", "/made: dir mode=1777 uid=5 gid=5"] {
        contains("output", &output, part)?;
    }
    contains("output", &output, "/dev: dir mode=0755 uid=5 gid=5")?;
    container.exec([], ["ids"])?.success()?.says("uid", "5").map(drop)
}

/// Ids without a mapping are named before anything is made.
fn ids_that_are_not_mapped() -> Result {
    let bundle = || Bundle::new(["true"]).user_namespace(100_000, 10);
    for (key, value, field) in [
        ("uid", json!(20), "process.user.uid"),
        ("gid", json!(20), "process.user.gid"),
        ("additionalGids", json!([5, 20]), "process.user.additionalGids[1]"),
    ] {
        bundle().set(&format!("/process/user/{key}"), value).refused(field)?;
    }
    for option in ["uid=20", "gid=10"] {
        let entry = json!({ "destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": [option] });
        bundle().mount(entry).refused("mounts[2].options")?;
    }
    Ok(())
}

/// Mappings that exceed the largest id are refused by name, too.
fn mappings_that_do_not_fit() -> Result {
    for (key, value) in [("containerID", u32::MAX), ("hostID", u32::MAX - 5)] {
        let mut map = json!({ "containerID": 0, "hostID": 100_000, "size": 10 });
        map[key] = json!(value);
        let bundle = Bundle::new(["true"]).user_namespace(100_000, 10).set("/linux/gidMappings", json!([map]));
        bundle.refused("linux.gidMappings[0].size")?;
    }
    Ok(())
}
