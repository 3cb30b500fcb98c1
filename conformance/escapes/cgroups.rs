//! Attacks through cgroups: devices, the files of the hierarchies, properties of systemd's units.

use super::attacks;
use super::verdict::{OrBroken, ensure_held};
use crate::harness::*;

const USER: u32 = 64_322;

attacks! {
    devices_are_denied_by_default:
        "a list of device rules without a leading \"deny all\" allows devices that it does not name",
        ["GHSA-g54h-m393-cpwq", "runc", "before 1.0.0-rc91"];
    devices_are_denied_by_default_in_the_unified_view:
        "the same on v2, where the rules are a BPF program",
        ["GHSA-g54h-m393-cpwq", "runc", "before 1.0.0-rc91"];
    rootless_cgroups_are_not_writable:
        "without a cgroup namespace, the container of an ordinary user writes below /sys/fs/cgroup",
        ["CVE-2023-25809", "runc", "before 1.1.5"];
    properties_of_systemd_are_told_as_unsafe:
        "engines cannot know that an annotation sets properties of systemd's unit, and hand on an image's annotations",
        ["CVE-2024-3154", "CRI-O", "through runc before 1.1.13"],
        ["GHSA-c5pj-mqfh-rvc3", "runc", "before 1.1.13"];
}

/// The other device is one that any process may open, and that has no driver: if the rules allow it, the answer is ENXIO.
fn denied_by_default(view: View) -> Result {
    let words = ["mknod", "/null2", "c:1:3", ",", "open", "/null2", ",", "mknod", "/other", "c:1:10", ",", "open"];
    let output = Bundle::new([])
        .set("/process/args", {
            let mut args = vec!["/payload"];
            args.extend(words);
            args.push("/other");
            json!(args)
        })
        .capabilities(&["CAP_MKNOD"])
        .set(
            "/linux/resources/devices",
            json!([{ "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw" }]),
        )
        .view(view)
        .run()?;
    output.success()?.has_line("open /null2: ok")?.has_line("open /other: EPERM").or_broken().map(drop)
}

fn devices_are_denied_by_default() -> Result {
    denied_by_default(View::Machine)
}

fn devices_are_denied_by_default_in_the_unified_view() -> Result {
    denied_by_default(View::Unified)
}

fn rootless_cgroups_are_not_writable() -> Result {
    let sys = json!({ "destination": "/sys", "type": "none", "source": "/sys",
        "options": ["rbind", "nosuid", "noexec", "nodev", "ro"] });
    let cgroup = json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
        "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] });
    let bundle = Bundle::new(["mkdir", "/sys/fs/cgroup/x", ",", "mkdir", "/sys/x"]);
    let output = bundle.user(USER).user_namespace(USER, 1).mount(sys).mount(cgroup).run()?;
    for line in ["mkdir /sys/fs/cgroup/x: EROFS", "mkdir /sys/x: EROFS"] {
        output.success()?.has_line(line).or_broken()?;
    }
    Ok(())
}

fn properties_of_systemd_are_told_as_unsafe() -> Result {
    let output = Call::new(["features"]).output()?;
    if !output.status.success() {
        return skip("this version has no command `features`");
    }
    let features: Value = serde_json::from_str(&output.stdout)?;
    let unsafe_ones = &features["potentiallyUnsafeConfigAnnotations"];
    let named = unsafe_ones.as_array().is_some_and(|names| names.contains(&json!("org.systemd.property.")));
    ensure_held(named, format_args!("potentiallyUnsafeConfigAnnotations: {unsafe_ones}"))
}
