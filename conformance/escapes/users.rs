//! Attacks for more rights: ids and capabilities that nobody has granted.

use super::attacks;
use super::verdict::{OrBroken, ensure_held};
use crate::harness::bundle::scratch;
use crate::harness::*;
use std::fs;

attacks! {
    numeric_user_is_not_a_name:
        "a user of the image whose name is a number takes the place of that uid",
        ["CVE-2016-3697", "runc", "before 0.1.0"];
    user_without_a_group_is_not_root:
        "`exec --user 1` without a group runs as root",
        ["CVE-2026-30892", "crun", "before 1.27"];
    largest_id_is_not_root:
        "uid 4294967295, which setresuid(2) takes as \"keep the id\", runs as root";
    exec_capability_is_not_inheritable:
        "`exec --cap` adds the capability to the inheritable or the ambient set",
        ["CVE-2022-29162", "runc", "before 1.1.2"],
        ["CVE-2022-27650", "crun", "before 1.4.4"],
        ["CVE-2025-27612", "youki", "before 0.5.3"];
    exec_has_no_inheritable_capabilities:
        "a process of `exec` has capabilities in the inheritable set that the container's process has not",
        ["CVE-2022-27650", "crun", "before 1.4.4"],
        ["CVE-2025-27612", "youki", "before 0.5.3"];
    default_configuration_has_no_inheritable_capabilities:
        "the configuration that `spec` writes has inheritable capabilities",
        ["CVE-2022-24769", "runc", "before 1.1.2"],
        ["CVE-2022-27650", "crun", "before 1.4.4"];
    user_has_no_ambient_capabilities:
        "an ordinary user keeps capabilities over execve(2) though the configuration has no ambient ones",
        ["CVE-2016-8867", "runc", "of Docker 1.12.2"];
    start_container_hook_has_no_more_rights:
        "a startContainer hook, which may be a program of the image, has more rights than the container's process";
}

/// The process runs as this user, or the runtime has refused.
fn runs_as(output: &Output, keys: &[&str], id: &str) -> Result {
    if !output.status.success() {
        return output.failure().map(drop);
    }
    keys.iter().try_for_each(|key| ensure_held(output.value(key)? == id, output))
}

fn numeric_user_is_not_a_name() -> Result {
    let evil = |bundle: Bundle| {
        let bundle = bundle.file("etc/passwd", "1000:x:0:0:evil:/:/bin/sh\n");
        bundle.file("etc/group", "1000:x:0:\n").set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
    };
    runs_as(evil(Bundle::new(["ids"])).run()?.success()?, &["uid", "gid"], "1000")?;
    let container = evil(Bundle::new(["pause"])).start()?;
    runs_as(&container.exec(["--user", "1000:1000"], ["ids"])?, &["uid", "gid"], "1000")
}

fn user_without_a_group_is_not_root() -> Result {
    let container = Bundle::new(["pause"]).start()?;
    runs_as(&container.exec(["--user", "1"], ["ids"])?, &["uid", "euid"], "1")
}

fn largest_id_is_not_root() -> Result {
    const LARGEST: &str = "4294967295";
    let bundle = Bundle::new(["ids"]).set("/process/user", json!({ "uid": u32::MAX, "gid": u32::MAX }));
    runs_as(&bundle.run()?, &["uid", "gid"], LARGEST)?;
    let container = Bundle::new(["pause"]).start()?;
    runs_as(&container.exec(["--user", &format!("{LARGEST}:{LARGEST}")], ["ids"])?, &["uid", "gid"], LARGEST)
}

/// The inheritable and the ambient set are empty.
fn nothing_to_inherit(output: &Output) -> Result {
    output.success()?.says("inheritable", "0").and_then(|output| output.says("ambient", "0")).or_broken().map(drop)
}

fn exec_capability_is_not_inheritable() -> Result {
    let container =
        Bundle::new(["pause"]).set("/process/capabilities", json!({ "bounding": ["CAP_CHOWN"] })).start()?;
    nothing_to_inherit(&container.exec(["--cap", "CAP_KILL"], ["caps"])?)
}

fn exec_has_no_inheritable_capabilities() -> Result {
    let names = ["CAP_CHOWN", "CAP_KILL"];
    let sets = json!({ "bounding": names, "effective": names, "permitted": names });
    let container = Bundle::new(["pause"]).set("/process/capabilities", sets).start()?;
    nothing_to_inherit(&container.exec([], ["caps"])?)
}

fn default_configuration_has_no_inheritable_capabilities() -> Result {
    let dir = scratch()?;
    Call::new(["spec"]).current_dir(dir.path()).output()?.success()?;
    let config: Value = serde_json::from_str(&fs::read_to_string(dir.path().join("config.json"))?)?;
    let sets = &config["process"]["capabilities"];
    let some = sets["inheritable"].as_array().is_some_and(|names| !names.is_empty());
    ensure_held(!some, format_args!("inheritable: {}", sets["inheritable"]))
}

fn user_has_no_ambient_capabilities() -> Result {
    let names = ["CAP_CHOWN", "CAP_KILL"];
    let sets = json!({ "bounding": names, "effective": names, "permitted": names });
    let bundle = Bundle::new(["caps"]).set("/process/capabilities", sets);
    let output = bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 })).run()?;
    for set in ["ambient", "effective", "permitted", "inheritable"] {
        output.success()?.says(set, "0").or_broken()?;
    }
    Ok(())
}

fn start_container_hook_has_no_more_rights() -> Result {
    let hook = json!([{ "path": "/payload", "args": ["payload", "hook", "/seen", "hook", "x"] }]);
    let container = Bundle::new(["pause"])
        .set("/process/user", json!({ "uid": 1000, "gid": 1000 }))
        .dir("open")
        .set("/hooks/startContainer", hook)
        .build()?;
    // Only root, or a process with root's capabilities, can write this file into the root directory.
    container.create()?.success()?;
    let _ = container.command(["start"])?;
    let written = container.rootfs().join("seen").exists();
    ensure_held(!written, "the hook wrote to a directory that the container's user cannot write to")
}
