//! AppArmor profiles and SELinux labels, on kernels that have them. `hack/labels` boots such kernels and loads what
//! these tests need: profiles or a policy with a label `confined`, which may not make the directory `/forbidden`, and a
//! label `other`, which may.

use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;
use std::path::Path;

tests![
    program_has_the_label,
    label_is_enforced,
    label_of_an_ordinary_user,
    label_with_no_new_privileges,
    label_in_a_user_namespace,
    label_with_a_filter,
    exec_has_the_containers_label,
    exec_with_a_label_of_its_own,
    exec_with_no_new_privileges,
    process_file_with_a_label,
    start_container_hook_is_confined,
    program_keeps_the_callers_label,
    unconfined,
    unknown_label,
    unknown_label_of_exec,
    label_of_the_other_module,
    proc_that_is_covered,
    keyring_has_the_label,
    mounts_have_the_mount_label,
    mount_label_of_a_message_queue,
    mount_label_of_masked_directories,
    mount_label_by_mount,
    mount_label_of_a_union,
    mount_label_of_an_added_mount,
    mount_with_a_label_of_its_own,
    mount_with_two_labels,
    unknown_mount_label,
    label_without_a_policy,
];

const MOUNT_LABEL: &str = "u:object_r:mount_t:s0:c1,c2";

/// A security module of the kernel.
struct Module {
    /// The field of the config, as a JSON pointer.
    field: &'static str,
    /// The option of `exec`.
    option: &'static str,
    /// The file that shows the label of a process, below `/proc/PID`.
    file: &'static str,
    confined: &'static str,
    other: &'static str,
    /// The text behind the label in that file.
    behind: &'static str,
}

const APPARMOR: Module = Module {
    field: "/process/apparmorProfile",
    option: "--apparmor",
    file: "attr/apparmor/current",
    confined: "tare-confined",
    other: "tare-other",
    behind: " (enforce)",
};

const SELINUX: Module = Module {
    field: "/process/selinuxLabel",
    option: "--process-label",
    file: "attr/current",
    confined: "u:r:confined_t:s0:c1,c2",
    other: "u:r:other_t:s0:c1,c2",
    behind: "",
};

impl Module {
    /// The module of this kernel, if it has the labels of these tests.
    fn of_this_machine() -> Result<Module> {
        let profiles = fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap_or_default();
        if profiles.lines().any(|line| line.starts_with(APPARMOR.confined)) {
            return Ok(APPARMOR);
        }
        if fs::write("/sys/fs/selinux/context", SELINUX.confined).is_ok() && has_a_policy() {
            return Ok(SELINUX);
        }
        skip("no security module with the labels that hack/labels loads")
    }

    fn is_selinux(&self) -> bool {
        self.field == SELINUX.field
    }

    /// `process.apparmorProfile` or `process.selinuxLabel`
    fn name(&self) -> String {
        self.field[1..].replace('/', ".")
    }

    /// A bundle whose program has this label.
    fn bundle<const N: usize>(&self, label: &str, words: [&str; N]) -> Bundle {
        Bundle::new(words).set(self.field, label)
    }

    /// The label of a process of the host, as the kernel shows it.
    fn of_process(&self, pid: &str) -> Result<String> {
        let text = fs::read_to_string(format!("/proc/{pid}/{}", self.file))?;
        Ok(text.trim_end_matches(['\0', '\n']).to_owned())
    }

    /// The container's program has this label, at once or soon: execve(2) closes the descriptors, by which the runtime sees
    /// that the program runs, before it sets the label.
    fn is_on(&self, container: &Container, label: &str) -> Result {
        let wanted = format!("{label}{}", self.behind);
        let pid = container.pid()?.to_string();
        eventually("the label", || Ok(self.of_process(&pid)? == wanted))
            .or_else(|_| equal("label", self.of_process(&pid)?, wanted.clone()))
    }

    /// A program that prints its label has printed this one.
    fn is_told(&self, output: &Output, label: &str) -> Result {
        let told = output.success()?.stdout.trim_end().trim_end_matches('\0');
        equal("label", told, format!("{label}{}", self.behind))
    }

    /// The words of a program that prints its label.
    fn tell(&self) -> [String; 2] {
        ["cat".to_owned(), format!("/proc/self/{}", self.file)]
    }
}

fn has_a_policy() -> bool {
    fs::read("/proc/self/attr/current").is_ok_and(|label| !label.starts_with(b"kernel"))
}

fn selinux() -> Result<Module> {
    match Module::of_this_machine()? {
        it if it.is_selinux() => Ok(it),
        _ => skip("SELinux is not active on this machine"),
    }
}

/// The label is on the program, and on it alone: the init that waits for `start` has the runtime's.
fn program_has_the_label() -> Result {
    let module = Module::of_this_machine()?;
    let container = module.bundle(module.confined, ["pause"]).create()?;
    let own = module.of_process("self")?;
    equal("label before start", module.of_process(&container.pid()?.to_string())?, own)?;
    container.start()?;
    module.is_on(&container, module.confined)
}

/// The kernel enforces the label.
fn label_is_enforced() -> Result {
    let module = Module::of_this_machine()?;
    let make = |label| module.bundle(label, ["mkdir", "/forbidden"]).run();
    make(module.confined)?.success()?.has_line("mkdir /forbidden: EACCES")?;
    make(module.other)?.success()?.has_line("mkdir /forbidden: ok")?;
    Bundle::new(["mkdir", "/forbidden"]).run()?.success()?.has_line("mkdir /forbidden: ok").map(drop)
}

fn label_of_an_ordinary_user() -> Result {
    let module = Module::of_this_machine()?;
    let [cat, file] = module.tell();
    let bundle =
        module.bundle(module.confined, [&cat, &file]).set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    module.is_told(&bundle.run()?, module.confined)
}

fn label_with_no_new_privileges() -> Result {
    let module = Module::of_this_machine()?;
    let words = ["mkdir", "/forbidden", ",", "nonewprivs"];
    let output = module.bundle(module.confined, words).set("/process/noNewPrivileges", true).run()?;
    output.success()?.has_line("mkdir /forbidden: EACCES")?.has_line("nonewprivs: 1").map(drop)
}

fn label_in_a_user_namespace() -> Result {
    let module = Module::of_this_machine()?;
    let [cat, file] = module.tell();
    let container = module.bundle(module.confined, [&cat, &file]).user_namespace(100_000, 65_536).run()?;
    module.is_told(&container, module.confined)
}

/// A filter that forbids write(2) of the label's file cannot come before the label.
fn label_with_a_filter() -> Result {
    let module = Module::of_this_machine()?;
    let filter = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["openat2", "fsopen", "fsmount"], "action": "SCMP_ACT_ERRNO" }]
    });
    let [cat, file] = module.tell();
    let bundle = module.bundle(module.confined, [&cat, &file]).set("/linux/seccomp", filter);
    module.is_told(&bundle.run()?, module.confined)
}

/// `exec` without a label of its own has the container's.
fn exec_has_the_containers_label() -> Result {
    let module = Module::of_this_machine()?;
    let container = module.bundle(module.confined, ["pause"]).start()?;
    let [cat, file] = module.tell();
    module.is_told(&container.exec([], [&*cat, &file])?, module.confined)?;
    container.exec([], ["mkdir", "/forbidden"])?.success()?.has_line("mkdir /forbidden: EACCES").map(drop)
}

fn exec_with_a_label_of_its_own() -> Result {
    let module = Module::of_this_machine()?;
    let container = module.bundle(module.confined, ["pause"]).start()?;
    let [cat, file] = module.tell();
    module.is_told(&container.exec([module.option, module.other], [&*cat, &file])?, module.other)?;
    let output = container.exec([module.option, module.other], ["mkdir", "/forbidden"])?;
    output.success()?.has_line("mkdir /forbidden: ok").map(drop)
}

fn exec_with_no_new_privileges() -> Result {
    let module = Module::of_this_machine()?;
    let container = Bundle::new(["pause"]).start()?;
    let options = ["--no-new-privs", module.option, module.confined];
    let output = container.exec(options, ["mkdir", "/forbidden", ",", "nonewprivs"])?;
    output.success()?.has_line("mkdir /forbidden: EACCES")?.has_line("nonewprivs: 1").map(drop)
}

/// The label in the file of `exec --process`. A file without one has the container's label.
fn process_file_with_a_label() -> Result {
    let module = Module::of_this_machine()?;
    let container = module.bundle(module.confined, ["pause"]).start()?;
    let path = container.aside("process.json");
    let [cat, file] = module.tell();
    for (label, wanted) in [(Some(module.other), module.other), (None, module.confined)] {
        let mut process = json!({
            "args": ["/payload", cat, file], "cwd": "/", "env": ["PATH=/"], "user": { "uid": 0, "gid": 0 }
        });
        if let Some(label) = label {
            process[module.field.trim_start_matches("/process/")] = json!(label);
        }
        fs::write(&path, process.to_string())?;
        let output = container.call(["exec", "--process"]).arg(&path).arg(&container.id).output()?;
        module.is_told(&output, wanted)?;
    }
    Ok(())
}

/// A startContainer hook, which runs files of the container, has the label. A createContainer hook runs files of the
/// host, and has the runtime's.
fn start_container_hook_is_confined() -> Result {
    let module = Module::of_this_machine()?;
    let hook = json!([{ "path": "/payload", "args": ["payload", "mkdir", "/forbidden"] }]);
    let container = module.bundle(module.confined, ["true"]).set("/hooks/startContainer", hook).build()?;
    container.run()?.success()?;
    ensure!(!container.rootfs().join("forbidden").exists(), "the hook has made /forbidden");
    let container = module.bundle(module.confined, ["true"]).build()?;
    let path = container.rootfs().join("payload");
    let made = container.aside("made");
    container.edit_config(|config| {
        config["hooks"]["createContainer"] = json!([{ "path": path, "args": ["payload", "mkdir", made] }]);
    })?;
    container.run()?.success()?;
    ensure!(made.is_dir(), "the hook has made no directory");
    Ok(())
}

/// Without a label the program has the runtime's.
fn program_keeps_the_callers_label() -> Result {
    let module = Module::of_this_machine()?;
    let [cat, file] = module.tell();
    let output = Bundle::new([&*cat, &file]).run()?;
    let told = output.success()?.stdout.trim_end().trim_end_matches('\0');
    equal("label", told, module.of_process("self")?)
}

/// `unconfined` is the name of the state without a profile.
fn unconfined() -> Result {
    let module = Module::of_this_machine()?;
    if module.is_selinux() {
        return skip("only AppArmor has this name");
    }
    let output = module.bundle("unconfined", ["cat", "/proc/self/attr/apparmor/current"]).run()?;
    equal("profile", output.success()?.stdout.trim_end(), "unconfined")?;
    let container = module.bundle(module.confined, ["pause"]).start()?;
    let output = container.exec([module.option, "unconfined"], ["mkdir", "/forbidden"])?;
    output.success()?.has_line("mkdir /forbidden: ok").map(drop)
}

const UNKNOWN: &str = "u:r:unknown_t:s0";

/// A label that the kernel does not know is an error of create, which names the field and the label.
fn unknown_label() -> Result {
    let module = Module::of_this_machine()?;
    let output = module.bundle(UNKNOWN, ["true"]).refused(&module.name())?;
    if runtime::is("tare") {
        contains("the error", &output.stderr, UNKNOWN)?;
        equal("lines", output.stderr.lines().count(), 1)?;
    }
    Ok(())
}

/// So it is of exec, and the container lives on.
fn unknown_label_of_exec() -> Result {
    let module = Module::of_this_machine()?;
    let container = module.bundle(module.confined, ["pause"]).start()?;
    let output = container.exec([module.option, UNKNOWN], ["mkdir", "/made"])?;
    names_field(&output, &module.name())?;
    ensure!(!container.rootfs().join("made").exists(), "the program has run");
    equal("status", container.status()?, "running")
}

/// A label for a module that is not active is an error.
fn label_of_the_other_module() -> Result {
    let module = Module::of_this_machine()?;
    let other = if module.is_selinux() { APPARMOR } else { SELINUX };
    Bundle::new(["true"]).set(other.field, other.confined).refused(&other.name())?;
    if other.is_selinux() {
        Bundle::new(["true"]).set("/linux/mountLabel", MOUNT_LABEL).refused("linux.mountLabel")?;
    }
    Ok(())
}

/// Mounts over the files of procfs that take the label, in the container or by the caller, do not lead the label
/// elsewhere (CVE-2019-16884, CVE-2025-52881): it is on the program, or the command fails.
fn proc_that_is_covered() -> Result {
    let module = Module::of_this_machine()?;
    let tmpfs = |path: &str| json!({ "destination": path, "type": "tmpfs", "source": "tmpfs" });
    let fake = bundle::scratch()?;
    let attributes = fake.path().join("self/attr/apparmor");
    fs::create_dir_all(&attributes)?;
    for file in [attributes.join("exec"), attributes.join("../exec")] {
        fs::write(file, "")?;
    }
    let bind = json!({ "destination": "/proc", "type": "bind", "source": fake.path(), "options": ["rbind"] });
    let mut volumes = vec![bind];
    volumes.extend(["/proc", "/proc/self", "/proc/self/attr", "/proc/thread-self/attr", "/proc/1/attr"].map(tmpfs));
    for volume in volumes {
        let seen = volume.to_string();
        let container = module.bundle(module.confined, ["pause"]).mount(volume).build()?;
        if container.launch(["run", "--detach"]).output()?.code()? == 0 {
            module.is_on(&container, module.confined).with_context(|| seen)?;
        }
    }
    covered_by_the_caller(&module)
}

/// The same where the caller's own procfs is covered.
fn covered_by_the_caller(module: &Module) -> Result {
    for covered in ["/proc/thread-self/attr", "/proc/self/attr"] {
        let container = module.bundle(module.confined, ["pause"]).build()?;
        let own = covered.to_owned();
        let call = container.launch(["run", "--detach"]).in_child(move || {
            let none: Option<&str> = None;
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
            let private = nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE;
            nix::mount::mount(none, "/", none, private, none)?;
            nix::mount::mount(Some("tmpfs"), &*own, Some("tmpfs"), nix::mount::MsFlags::empty(), none)?;
            Ok(())
        });
        if call.output()?.code()? == 0 {
            module.is_on(&container, module.confined).with_context(|| covered)?;
        }
    }
    Ok(())
}

/// The container's session keyring has the program's label: another label could not use it.
fn keyring_has_the_label() -> Result {
    let module = selinux()?;
    let wanted = format!("keyring label: {}", module.confined);
    let words = ["keyring-label"];
    module.bundle(module.confined, words).run()?.success()?.has_line(&wanted)?;
    let container = module.bundle(module.confined, ["pause"]).start()?;
    container.exec([], words)?.success()?.has_line(&wanted)?;
    // Without a label the keyring has the runtime's.
    Bundle::new(words).run()?.success()?.has_line(&format!("keyring label: {}", module.of_process("self")?)).map(drop)
}

/// The mounts of a config that has `linux.mountLabel`.
fn labelled<const N: usize>(words: [&str; N]) -> Bundle {
    Bundle::new(words)
        .set("/linux/mountLabel", MOUNT_LABEL)
        .mount(json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance"] }))
        .mount(json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"] }))
        .mount(json!({ "destination": "/copied", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"] }))
        .file("/copied/file", "")
}

/// `linux.mountLabel` is the label of all files of a new file system. proc and sysfs have labels of their own, and a
/// bind mount keeps the labels of its files.
fn mounts_have_the_mount_label() -> Result {
    selinux()?;
    let files = ["/dev", "/dev/null", "/dev/pts", "/dev/pts/ptmx", "/copied", "/copied/file"];
    let source = bundle::scratch()?;
    let bind = json!({ "destination": "/bound", "type": "bind", "source": source.path(), "options": ["rbind"] });
    let mut words = vec!["/payload"];
    for file in files.into_iter().chain(["/proc", "/sys", "/bound"]) {
        words.extend(["label", file, ","]);
    }
    let output = labelled([]).mount(bind).set("/process/args", words).run()?;
    output.success()?;
    for file in files {
        output.has_line(&format!("label {file}: {MOUNT_LABEL}"))?;
    }
    for file in ["/proc", "/sys", "/bound"] {
        output.has_line(&format!("label {file}: u:object_r:file_t:s0"))?;
    }
    Ok(())
}

/// mqueue takes no label as an option on older kernels, so the label is set on its root.
fn mount_label_of_a_message_queue() -> Result {
    selinux()?;
    let queue = json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid"] });
    let output = labelled(["label", "/dev/mqueue"]).mount(queue).run()?;
    output.success()?.has_line(&format!("label /dev/mqueue: {MOUNT_LABEL}")).map(drop)
}

/// The empty directory in the place of a masked one has the label.
fn mount_label_of_masked_directories() -> Result {
    selinux()?;
    let output = labelled(["label", "/masked"]).dir("/masked").set("/linux/maskedPaths", json!(["/masked"])).run()?;
    output.success()?.has_line(&format!("label /masked: {MOUNT_LABEL}")).map(drop)
}

/// The label has a comma, which mount(2) takes as the end of an option. tare calls mount(2) where a filter forbids
/// fsopen(2).
fn mount_label_by_mount() -> Result {
    selinux()?;
    let masked = json!(["/masked"]);
    let words = ["label", "/dev", ",", "label", "/masked"];
    let container = labelled(words).dir("/masked").set("/linux/maskedPaths", masked).build()?;
    let output = container.launch(["run"]).denying(libc::SYS_fsopen, None, nix::errno::Errno::ENOSYS).output()?;
    output.success()?.has_line(&format!("label /dev: {MOUNT_LABEL}"))?;
    output.has_line(&format!("label /masked: {MOUNT_LABEL}")).map(drop)
}

/// The files of a union have the label, by fsopen(2) and by mount(2).
fn mount_label_of_a_union() -> Result {
    selinux()?;
    if !runtime::is("tare") {
        return skip("only tare has layers");
    }
    for denied in [false, true] {
        let container =
            labelled(["label", "/payload", ",", "label", "/"]).option("--layer").option("rootfs").build()?;
        let root = container.bundle().join("merged");
        fs::create_dir(&root)?;
        container.edit_config(|config| config["root"]["path"] = json!("merged"))?;
        let call = container.launch(["run"]).current_dir(&container.bundle());
        let call = if denied { call.denying(libc::SYS_fsopen, None, nix::errno::Errno::ENOSYS) } else { call };
        let output = call.output()?;
        output.success()?.has_line(&format!("label /: {MOUNT_LABEL}"))?;
        output.has_line(&format!("label /payload: {MOUNT_LABEL}"))?;
    }
    Ok(())
}

/// A mount that is added to a running container has the label of the others.
fn mount_label_of_an_added_mount() -> Result {
    selinux()?;
    if runtime::is("runc") {
        return skip("runc has no such command");
    }
    let container = labelled(["pause"]).dir("/added").start()?;
    let file = container.aside("mounts.json");
    fs::write(&file, json!([{ "destination": "/added", "type": "tmpfs", "source": "tmpfs" }]).to_string())?;
    container.call(["mounts", "add", &container.id]).arg(&file).output()?.success()?;
    let output = container.exec([], ["label", "/added"])?;
    output.success()?.has_line(&format!("label /added: {MOUNT_LABEL}")).map(drop)
}

/// The option `context` of a mount, in quotes as for mount(8), without `linux.mountLabel`.
fn mount_with_a_label_of_its_own() -> Result {
    selinux()?;
    let options = json!([format!("context=\"{MOUNT_LABEL}\"")]);
    let mount = json!({ "destination": "/own", "type": "tmpfs", "source": "tmpfs", "options": options });
    let output = Bundle::new(["label", "/own"]).mount(mount).run()?;
    output.success()?.has_line(&format!("label /own: {MOUNT_LABEL}")).map(drop)
}

/// A mount with a label of its own beside `linux.mountLabel` is a contradiction.
fn mount_with_two_labels() -> Result {
    selinux()?;
    let options = json!(["context=u:object_r:file_t:s0"]);
    let mount = json!({ "destination": "/own", "type": "tmpfs", "source": "tmpfs", "options": options });
    labelled(["true"]).mount(mount).refused("mounts[5].options").map(drop)
}

/// A mount label that the kernel does not know is an error.
fn unknown_mount_label() -> Result {
    selinux()?;
    Bundle::new(["true"]).set("/linux/mountLabel", UNKNOWN).refused("mounts[1]").map(drop)
}

/// SELinux without a policy takes any label, and does nothing with it: a label is an error there.
fn label_without_a_policy() -> Result {
    if !Path::new("/sys/fs/selinux/enforce").exists() || has_a_policy() {
        return skip("SELinux has a policy, or is not active");
    }
    Bundle::new(["true"]).set(SELINUX.field, SELINUX.confined).refused(&SELINUX.name())?;
    Bundle::new(["true"]).set("/linux/mountLabel", MOUNT_LABEL).refused("linux.mountLabel").map(drop)
}
