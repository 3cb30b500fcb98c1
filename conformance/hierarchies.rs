//! The place of a cgroup, its owner and its initial values: the rules of v1 and v2 hierarchies, and of ordinary users.

use crate::harness::*;
use anyhow::{Context, bail, ensure};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

tests![
    controllers_are_handed_down,
    controllers_cannot_pass_processes,
    threaded_parent_makes_a_threaded_cgroup,
    threaded_levels_are_made_threaded,
    threaded_parent_has_no_domain_controllers,
    frozen_cgroup_is_refused,
    processes_enter_their_cgroups,
    relative_path_is_beside_the_callers,
    owner_is_the_containers_root,
    owner_is_the_hosts_unless_it_can_be_managed,
    cpuset_is_inherited,
    cpuset_is_cloned_by_the_kernel,
    mount_shows_every_hierarchy,
    no_device_program_when_all_is_allowed,
    device_program_is_replaced,
    user_without_permission_has_no_cgroup,
    user_who_asks_for_a_path_is_refused,
    user_with_a_subtree_has_limits,
];

/// Makes a cgroup for one test in the v2 hierarchy, which exists alone or beside v1.
fn of_v2(name: &str) -> Result<PathBuf> {
    let Some(mount) = &machine::get().v2 else { return skip("there is no v2 hierarchy") };
    let dir = mount.join(machine::cgroup_parent().trim_start_matches('/')).join(name);
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// The path of a cgroup in its hierarchy.
fn path_of(dir: &Path) -> Result<String> {
    let below = dir.strip_prefix(machine::get().v2.as_ref().context("a v2 hierarchy")?)?;
    Ok(format!("/{}", below.display()))
}

/// A container that sees v2 alone, with its cgroup below this directory.
fn below(bundle: Bundle, dir: &Path) -> Result<(Container, PathBuf)> {
    let container = bundle.view(View::Unified).build()?;
    let dir = dir.join(&container.id);
    let path = path_of(&dir)?;
    container.edit_config(|config| config["linux"]["cgroupsPath"] = json!(path))?;
    Ok((container, dir))
}

fn read(dir: &Path, file: &str) -> Result<String> {
    let path = dir.join(file);
    Ok(fs::read_to_string(&path).with_context(|| path.display().to_string())?.trim_end().to_owned())
}

/// Every level enables all controllers of the hierarchy for its children. The container's own cgroup, which has
/// processes, enables none.
fn controllers_are_handed_down() -> Result {
    let top = of_v2("handed")?;
    let (container, dir) = below(Bundle::new(["pause"]), &top.join("a/b"))?;
    container.create()?.success()?;
    let all = read(top.ancestors().nth(2).context("a hierarchy")?, "cgroup.controllers")?;
    for level in [&*top, &top.join("a"), &top.join("a/b")] {
        equal("handed down", read(level, "cgroup.subtree_control")?, all.clone())?;
    }
    equal("the container's", read(&dir, "cgroup.controllers")?, all)?;
    equal("what it hands down", read(&dir, "cgroup.subtree_control")?.as_str(), "")
}

/// A process gets into its cgroups without the runtime, which is stopped after the clone. If the runtime moved it, the
/// kernel would wait for a grace period of RCU: ten milliseconds on an idle machine.
fn processes_enter_their_cgroups() -> Result {
    if !runtime::is("tare") {
        return skip("crun and runc move their processes in v1 hierarchies");
    }
    let views = if machine::get().v2.is_some() { &[View::Machine, View::Unified][..] } else { &[View::Machine] };
    for view in views {
        let container = Bundle::new(["pause"]).view(*view).build()?;
        let exec = container.call(["exec"]).args([&container.id, "/payload", "true"]);
        entered_cgroups(container.launch(["create"]), &container, 1)?;
        container.call(["start"]).arg(&container.id).output()?.success()?;
        entered_cgroups(exec, &container, 2)?;
    }
    Ok(())
}

/// Stops the runtime after its clone. Then each cgroup of the container gets this number of processes, or more if the
/// new one forks.
fn entered_cgroups(call: Call, container: &Container, count: usize) -> Result {
    // If there is a v2 hierarchy, the runtime makes a first clone3(2) only to learn whether the kernel has the call.
    let (mut clones, last) = (0, if machine::get().v2.is_some() { 2 } else { 1 });
    let after_clone = |number| {
        let cloned = clones == last;
        clones += usize::from(number == libc::SYS_clone3);
        cloned
    };
    let Reached::Held(held) = call.hold_where(after_clone)? else { bail!("no process was seen after a clone") };
    let entered = container.cgroups().into_iter().try_for_each(|dir| {
        eventually("the process", || Ok(read(&dir, "cgroup.procs")?.lines().count() >= count))
            .context(dir.display().to_string())
    });
    held.go_on()?.wait()?.success()?;
    entered
}

/// A level that has processes cannot enable controllers for its children (no internal processes). That is an error only
/// if a limit needs one; the message then names the limit.
fn controllers_cannot_pass_processes() -> Result {
    let busy = of_v2("busy")?;
    let mut other = Command::new("sleep").arg("100").spawn()?;
    fs::write(busy.join("cgroup.procs"), other.id().to_string())?;
    let tried = || -> Result {
        let (container, _) = below(Bundle::new(["true"]), &busy)?;
        container.run()?.success()?;
        for (file, field) in [("memory.high", "unified.memory.high"), ("hugetlb.2MB.max", "unified.hugetlb.2MB.max")] {
            let bundle = Bundle::new(["true"]).set("/linux/resources/unified", json!({ file: "8388608" }));
            let (container, dir) = below(bundle, &busy)?;
            names_field(&container.create()?, &format!("linux.resources.{field}"))?;
            ensure!(!dir.exists(), "left behind: {}", dir.display());
        }
        Ok(())
    };
    let tried = tried();
    other.kill()?;
    other.wait()?;
    tried
}

/// A cgroup of type `threaded`. The one above it has become a threaded domain.
fn threaded(name: &str) -> Result<PathBuf> {
    let dir = of_v2(name)?.join("threads");
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("cgroup.type"), "threaded")?;
    Ok(dir)
}

/// A new cgroup below a threaded one is `domain invalid` and takes no processes until it is made threaded, as runc
/// does.
fn threaded_parent_makes_a_threaded_cgroup() -> Result {
    let (container, dir) = below(Bundle::new(["cat", "/proc/self/cgroup", ",", "pause"]), &threaded("threaded")?)?;
    container.create()?.success()?;
    equal("type", read(&dir, "cgroup.type")?.as_str(), "threaded")?;
    container.start()?;
    container.wait_output(&format!("0::{}", path_of(&dir)?))?;
    container.exec([], ["cat", "/proc/self/cgroup"])?.success()?.has_line(&format!("0::{}", path_of(&dir)?))?;
    container.command(["delete", "--force"])?.success()?;
    ensure!(!dir.exists(), "left behind: {}", dir.display());
    Ok(())
}

/// The levels between them are made threaded, too.
fn threaded_levels_are_made_threaded() -> Result {
    let between = threaded("levels")?.join("a/b");
    let (container, dir) = below(Bundle::new(["pause"]), &between)?;
    container.create()?.success()?;
    for level in [&between, &dir] {
        equal("type", read(level, "cgroup.type")?.as_str(), "threaded")?;
    }
    Ok(())
}

/// Memory is a domain controller, which threaded cgroups cannot have: a limit is refused, and the message gives the
/// reason.
fn threaded_parent_has_no_domain_controllers() -> Result {
    for dir in [threaded("refused")?, of_v2("refused")?] {
        let bundle = Bundle::new(["true"]).set("/linux/resources/memory", json!({ "limit": 67_108_864 }));
        let (container, dir) = below(bundle, &dir)?;
        let output = container.create()?;
        names_field(&output, "linux.resources.memory.limit")?;
        output.fails_with("with domain controllers -- it is in ")?;
        ensure!(!dir.exists(), "left behind: {}", dir.display());
    }
    Ok(())
}

/// An existing cgroup that is frozen is refused: it would freeze each process that is put into it.
fn frozen_cgroup_is_refused() -> Result {
    for view in [View::Machine, View::Unified] {
        let container = Bundle::new(["true"]).view(view).build()?;
        let (dir, file, frozen, thawed) = match container.is_v2() {
            true => (container.cgroup("")?, "cgroup.freeze", "1", "0"),
            false => (container.cgroup("freezer")?, "freezer.state", "FROZEN", "THAWED"),
        };
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(file), frozen)?;
        let output = container.create();
        fs::write(dir.join(file), thawed)?;
        output?.fails_with("container's cgroup unexpectedly frozen")?;
        ensure!(dir.exists(), "another program's cgroup is gone");
    }
    Ok(())
}

/// On v2 a relative path starts at the parent of the caller's cgroup: the caller's cgroup has processes and can enable
/// no controllers.
fn relative_path_is_beside_the_callers() -> Result {
    let container = Bundle::new(["pause"]).view(View::Unified).build()?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::")).context("a v2 membership")?;
    let name = format!("tare-conformance-rel-{}", container.id);
    container.edit_config(|config| config["linux"]["cgroupsPath"] = json!(name))?;
    container.create()?.success()?;
    let wanted = Path::new(own).parent().unwrap_or(Path::new("/")).join(&name);
    let memberships = fs::read_to_string(format!("/proc/{}/cgroup", container.pid()?))?;
    let line = format!("0::{}", wanted.display());
    ensure!(memberships.lines().any(|seen| seen == line), "wanted {line}, saw {memberships}");
    container.command(["delete", "--force"])?.success()?;
    let dir = machine::get().v2.as_ref().context("a hierarchy")?.join(wanted.strip_prefix("/")?);
    ensure!(!dir.exists(), "left behind: {}", dir.display());
    Ok(())
}

const CGROUP_MOUNT: [&str; 4] = ["nosuid", "noexec", "nodev", "relatime"];

fn in_user_namespace(options: &[&str]) -> Bundle {
    let mount = json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options });
    Bundle::new(["mkdir", "/sys/fs/cgroup/sub", ",", "pause"])
        .view(View::Unified)
        .user_namespace(100_000, 65_536)
        .mount(mount)
}

/// If the container can manage its cgroup, the container's root owns the directory and the files that the kernel lists
/// for delegation (`/sys/kernel/cgroup/delegate`). It does not own the files of limits.
fn owner_is_the_containers_root() -> Result {
    let bundle = || in_user_namespace(&CGROUP_MOUNT).namespace("cgroup");
    let (container, dir) = below(bundle(), &of_v2("owned")?)?;
    container.create()?.success()?;
    is_handed_over(&container, &dir)?;
    if scope::on_v2().is_ok() {
        let container = scope::created(bundle())?;
        is_handed_over(&container, &scope::directory(&container))?;
    }
    Ok(())
}

fn is_handed_over(container: &Container, dir: &Path) -> Result {
    container.start()?;
    container.wait_output("mkdir /sys/fs/cgroup/sub: ok")?;
    let owner = |file: &str| fs::metadata(dir.join(file)).map(|meta| (meta.uid(), meta.gid()));
    let delegated = fs::read_to_string("/sys/kernel/cgroup/delegate")?;
    ensure!(delegated.contains("cgroup.procs"), "{delegated}");
    equal("the directory", owner("")?, (100_000, 100_000))?;
    for entry in fs::read_dir(dir)?.flatten().filter(|entry| entry.path().is_file()) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let wanted = if delegated.lines().any(|line| line == name) { 100_000 } else { 0 };
        equal(&name, owner(&name)?, (wanted, wanted))?;
    }
    container.command(["delete", "--force"])?.success()?;
    ensure!(!dir.exists(), "left behind: {}", dir.display());
    Ok(())
}

/// Otherwise the host's root owns the cgroup: if the mount is read-only, or if there is no cgroup namespace.
fn owner_is_the_hosts_unless_it_can_be_managed() -> Result {
    let read_only = [&CGROUP_MOUNT[..], &["ro"]].concat();
    for bundle in [in_user_namespace(&read_only).namespace("cgroup"), in_user_namespace(&read_only)] {
        let (container, dir) = below(bundle, &of_v2("kept")?)?;
        container.create()?.success()?;
        for file in ["", "cgroup.procs", "cgroup.subtree_control"] {
            equal(file, fs::metadata(dir.join(file))?.uid(), 0)?;
        }
    }
    Ok(())
}

/// Makes a cgroup in the v1 hierarchy of cpusets. A new one has neither CPUs nor memory nodes.
fn cpuset(name: &str) -> Result<PathBuf> {
    let has = |hierarchy: &&machine::Hierarchy| hierarchy.controllers.iter().any(|name| name == "cpuset");
    let Some(hierarchy) = machine::get().v1.iter().find(has) else { return skip("v1 has no cpuset controller here") };
    let dir = hierarchy.mount.join(machine::cgroup_parent().trim_start_matches('/')).join(name);
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// A v1 cpuset without CPUs takes no processes: each level that has none gets those of the level above.
fn cpuset_is_inherited() -> Result {
    let parent = cpuset("inherits")?;
    equal("before", read(&parent, "cpuset.cpus")?.as_str(), "")?;
    let container = Bundle::new(["pause"]).build()?;
    let path = format!("{}/inherits/new/{}", machine::cgroup_parent(), container.id);
    container.edit_config(|config| config["linux"]["cgroupsPath"] = json!(path))?;
    container.create()?.success()?;
    let hierarchy = parent.ancestors().nth(2).context("a hierarchy")?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let all = read(hierarchy, file)?;
        for level in [&parent, &parent.join("new"), &parent.join("new").join(&container.id)] {
            equal(file, read(level, file)?, all.clone())?;
        }
    }
    Ok(())
}

/// With `cgroup.clone_children` the kernel has copied the values already, and they stay.
fn cpuset_is_cloned_by_the_kernel() -> Result {
    let parent = cpuset("clones")?;
    // The kernel copies values only if the levels above have some.
    let above = parent.parent().context("a parent")?;
    let hierarchy = above.parent().context("a hierarchy")?;
    for dir in [above, &*parent] {
        fs::write(dir.join("cpuset.mems"), read(hierarchy, "cpuset.mems")?)?;
    }
    fs::write(above.join("cpuset.cpus"), read(hierarchy, "cpuset.cpus")?)?;
    fs::write(parent.join("cpuset.cpus"), "0")?;
    fs::write(parent.join("cgroup.clone_children"), "1")?;
    let container = Bundle::new(["pause"]).build()?;
    let path = format!("{}/clones/{}", machine::cgroup_parent(), container.id);
    container.edit_config(|config| config["linux"]["cgroupsPath"] = json!(path))?;
    container.create()?.success()?;
    equal("cpuset.cpus", read(&parent.join(&container.id), "cpuset.cpus")?.as_str(), "0")
}

/// On v1 a mount of type cgroup has a directory for each hierarchy, named as on the host. It shows the container's own
/// cgroup in that hierarchy. Controllers that share a hierarchy have a link each.
fn mount_shows_every_hierarchy() -> Result {
    let machine = machine::get();
    if machine.v1.is_empty() {
        return skip("this machine has no v1 hierarchy");
    }
    let mount = json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"] });
    let container = Bundle::new(["ls", "/sys/fs/cgroup", ",", "pause"]).mount(mount).start()?;
    eventually("a list", || Ok(container.output()?.contains("ls ")))?;
    let output = container.output()?;
    let names: Vec<&str> = output.split_whitespace().skip(2).collect();
    let memberships = fs::read_to_string("/proc/self/cgroup")?;
    let lists: Vec<&str> = memberships.lines().filter_map(|line| line.split(':').nth(1)).collect();
    for hierarchy in &machine.v1 {
        let name = hierarchy.mount.file_name().context("a name")?.to_string_lossy().into_owned();
        ensure!(names.contains(&&*name), "no {name} in {names:?}");
        let procs = format!("/sys/fs/cgroup/{name}/cgroup.procs");
        container.exec([], ["cat", &procs])?.success()?.has_line("1")?;
    }
    for name in lists.iter().filter(|list| list.contains(',')).flat_map(|list| list.split(',')) {
        ensure!(names.contains(&name), "no {name} in {names:?}");
    }
    Ok(())
}

/// The number of device programs that are attached to a v2 cgroup.
fn device_programs(dir: &Path) -> Result<u32> {
    const BPF_PROG_QUERY: libc::c_long = 16;
    const BPF_CGROUP_DEVICE: u32 = 6;
    let dir = fs::File::open(dir)?;
    // union bpf_attr: target_fd, attach_type, query_flags, attach_flags, prog_ids (two words), prog_cnt.
    let mut attr = [0u32; 128];
    (attr[0], attr[1]) = (dir.as_raw_fd() as u32, BPF_CGROUP_DEVICE);
    // SAFETY: the kernel reads and writes as many bytes of this array as it is told, or a few words more.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, attr.as_mut_ptr(), 64) };
    ensure!(result == 0, "BPF_PROG_QUERY: {}", std::io::Error::last_os_error());
    Ok(attr[6])
}

/// If the rules allow all devices, no program is attached.
fn no_device_program_when_all_is_allowed() -> Result {
    let deny = json!({ "allow": false, "access": "rwm" });
    let all = json!({ "allow": true, "access": "rwm" });
    for (rules, wanted) in [(json!([deny.clone()]), 1), (json!([deny, all.clone()]), 0), (json!([all]), 0)] {
        let bundle = Bundle::new(["pause"]).set("/linux/resources/devices", rules.clone());
        let (container, dir) = below(bundle, &of_v2("devices")?)?;
        container.create()?.success()?;
        equal(&rules.to_string(), device_programs(&dir)?, wanted)?;
    }
    Ok(())
}

/// If a container takes over a cgroup with a device program, its own program replaces that one.
fn device_program_is_replaced() -> Result {
    let rules = |allowed: u32| json!([{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 1, "minor": allowed, "access": "r" }]);
    let (first, dir) = below(Bundle::new(["true"]).set("/linux/resources/devices", rules(1)), &of_v2("replaced")?)?;
    first.create()?.success()?;
    equal("programs", device_programs(&dir)?, 1)?;
    first.start()?;
    first.wait_status("stopped")?;
    // The first container's state is removed, its cgroup stays.
    fs::remove_dir_all(first.state_dir())?;
    for (minor, wanted) in [(11, "ok"), (1, "EPERM")] {
        let words = ["mknod", "/dev/kmsg2", "c:1:11", ",", "open", "/dev/kmsg2"];
        let bundle = Bundle::new(words).capabilities(&["CAP_MKNOD", "CAP_SYSLOG", "CAP_DAC_OVERRIDE"]);
        let second = bundle.set("/linux/resources/devices", rules(minor)).view(View::Unified).build()?;
        let path = path_of(&dir)?;
        second.edit_config(|config| config["linux"]["cgroupsPath"] = json!(path))?;
        second.create()?.success()?;
        equal("programs", device_programs(&dir)?, 1)?;
        second.start()?;
        second.wait_output(&format!("open /dev/kmsg2: {wanted}"))?;
        second.wait_status("stopped")?;
        fs::remove_dir_all(second.state_dir())?;
    }
    Ok(fs::remove_dir(dir)?)
}

const USER: u32 = 64_321;

fn of_user<const N: usize>(words: [&str; N]) -> Bundle {
    Bundle::new(words).user(USER).user_namespace(USER, 1)
}

/// An ordinary user who may not make cgroups and asks for no path gets a container in the caller's cgroup.
fn user_without_permission_has_no_cgroup() -> Result {
    for view in [View::Machine, View::Unified] {
        let container = of_user(["pause"]).view(view).create()?;
        let path = format!("/proc/{}/cgroup", container.pid()?);
        equal("memberships", fs::read_to_string(path)?, fs::read_to_string("/proc/self/cgroup")?)?;
    }
    Ok(())
}

/// An ordinary user who asks for a path and cannot have it is refused.
fn user_who_asks_for_a_path_is_refused() -> Result {
    for view in [View::Machine, View::Unified] {
        let container = of_user(["true"]).view(view).set("/linux/cgroupsPath", "/tare-conformance-user/x").build()?;
        let output = container.create()?;
        names_field(&output, "linux.cgroupsPath")?;
        output.fails_with("permission denied")?;
        container.nothing_left()?;
    }
    Ok(())
}

/// An ordinary user to whom a v2 subtree is delegated can set limits there, like root.
fn user_with_a_subtree_has_limits() -> Result {
    let subtree = of_v2("subtree")?;
    let all = read(subtree.ancestors().nth(2).context("a hierarchy")?, "cgroup.controllers")?;
    let Some((controller, file)) = [("pids", "pids.max"), ("hugetlb", "hugetlb.2MB.max")]
        .into_iter()
        .find(|(name, _)| all.split_whitespace().any(|has| has == *name))
    else {
        return skip("the v2 hierarchy has no controllers");
    };
    let above = subtree.parent().context("a parent")?;
    for dir in [above.parent().context("a hierarchy")?, above] {
        fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"))?;
    }
    for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
        chown(subtree.join(file), Some(USER), Some(USER))?;
    }
    let callers = subtree.join("callers");
    fs::create_dir_all(&callers)?;
    chown(callers.join("cgroup.procs"), Some(USER), Some(USER))?;
    let bundle = of_user(["pause"]).set("/linux/resources/unified", json!({ file: "4194304" }));
    let (container, dir) = below(bundle, &subtree)?;
    container.launch(["create"]).in_cgroup(&callers)?.output()?.success()?;
    equal(file, read(&dir, file)?.as_str(), "4194304")?;
    let call = |words: [&str; 2]| container.call(words).in_cgroup(&callers);
    call(["start", &container.id])?.output()?.success()?;
    let output = container.exec_call([], ["cat", "/proc/self/cgroup"]).in_cgroup(&callers)?.output()?;
    output.success()?.has_line(&format!("0::{}", path_of(&dir)?))?;
    let update = container.call(["update", "--resources", "-", &container.id]).in_cgroup(&callers)?;
    let document = json!({ "unified": { file: "2097152" } }).to_string();
    update.stdin(&document)?.output()?.success()?;
    equal(file, read(&dir, file)?.as_str(), "2097152")?;
    container.call(["delete", "--force", &container.id]).in_cgroup(&callers)?.output()?.success()?;
    ensure!(!dir.exists(), "left behind: {}", dir.display());
    Ok(())
}
