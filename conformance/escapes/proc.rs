//! Attacks through /proc and /sys: what covers them takes labels, sysctls and masks that belong to the kernel.

use super::attacks;
use super::host::{Sentinel, climb, race};
use super::verdict::{OrBroken, ensure_held, refused, rounds};
use crate::harness::bundle::scratch;
use crate::harness::*;
use std::fs;
use std::os::unix::fs::symlink;

attacks! {
    volume_over_proc:
        "a volume covers /proc, and takes the labels that are written there",
        ["CVE-2019-16884", "runc", "before 1.0.0-rc9"],
        ["CVE-2019-16884", "crun", "before 0.10"];
    volume_over_proc_through_dots:
        "a source that only begins with /proc is taken for a procfs",
        ["CVE-2019-16884", "runc", "before 1.0.0-rc9"];
    symlinked_proc_and_sys:
        "a link of the image at /proc or /sys takes the mount elsewhere",
        ["CVE-2019-19921", "runc", "before 1.0.0-rc10"],
        ["CVE-2023-27561", "runc", "1.0.0-rc95 to 1.1.4"],
        ["CVE-2023-28642", "runc", "before 1.1.5"],
        ["CVE-2025-54867", "youki", "before 0.5.5"];
    proc_exchanged_with_a_link:
        "/proc of a root file system that two containers share becomes a link during the mount",
        ["CVE-2019-19921", "runc", "before 1.0.0-rc10"];
    volume_below_proc:
        "a volume covers a part of /proc",
        ["CVE-2025-52881", "runc", "before 1.2.8"],
        ["CVE-2025-62596", "youki", "before 0.5.7"],
        ["CVE-2015-3631", "libcontainer of Docker", "before 1.6.1"];
    volume_below_proc_by_a_race:
        "a volume covers a part of /proc because a component of its target becomes a link meanwhile",
        ["CVE-2025-52881", "runc", "before 1.2.8"],
        ["CVE-2025-62596", "youki", "before 0.5.7"];
    sysctl_is_written_to_the_kernel:
        "a sysctl is written to a file of the image or of the host",
        ["CVE-2025-52881", "runc", "before 1.2.8"];
}

fn volume_over_proc() -> Result {
    let dir = scratch()?;
    let volumes = [
        json!({ "destination": "/proc", "type": "tmpfs", "source": "tmpfs" }),
        json!({ "destination": "/proc", "type": "bind", "source": dir.path(), "options": ["bind"] }),
        json!({ "destination": "/x/../proc/.", "type": "bind", "source": dir.path(), "options": ["rbind"] }),
    ];
    for volume in volumes {
        let output = refused(Bundle::new(["true"]).mount(volume), "mounts[2]")?;
        if runtime::is("tare") {
            output.fails_with("not of type proc")?;
        }
    }
    Ok(())
}

/// The sources lead out of /proc again by `..` and by a link of the kernel.
fn volume_over_proc_through_dots() -> Result {
    let dir = scratch()?;
    for source in [format!("/proc/..{}", dir.path().display()), format!("/proc/self/root{}", dir.path().display())] {
        let volume = json!({ "destination": "/proc", "type": "bind", "source": source, "options": ["bind"] });
        refused(Bundle::new(["true"]).mount(volume), "mounts[2]")?;
    }
    Ok(())
}

/// A link is refused, wherever it leads.
fn symlinked_proc_and_sys() -> Result {
    let sys = json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"] });
    for target in ["elsewhere", "/elsewhere", "../../elsewhere", "/proc/self/fd", "."] {
        let bundle = || Bundle::new(["true"]).dir("elsewhere");
        refused(bundle().symlink("proc", target), "mounts[0]")?;
        refused(bundle().symlink("sys", target).mount(sys.clone()), "mounts[2]")?;
    }
    refused(Bundle::new(["true"]).file("proc", "a file"), "mounts[0]").map(drop)
}

/// The mounts that a container reports: their points, and the types of their file systems.
fn mounts_of(output: &Output) -> Vec<(&str, &str)> {
    let lines = output.stdout.lines().filter_map(|line| line.split_once(" - "));
    lines.filter_map(|(left, right)| Some((left.split(' ').nth(4)?, right.split(' ').next()?))).collect()
}

/// The container has no mount below /proc.
fn nothing_below_proc(output: &Output) -> Result {
    let covered = mounts_of(output).into_iter().find(|(point, _)| point.starts_with("/proc/"));
    ensure_held(covered.is_none(), format_args!("mounted below /proc: {covered:?}"))
}

fn proc_exchanged_with_a_link() -> Result {
    let container = Bundle::new(["mountinfo"]).dir("proc").dir("elsewhere").symlink("link", "elsewhere").build()?;
    race(&container.rootfs(), ["proc", "link"], rounds(40), || {
        fs::write(container.aside("out"), "")?;
        let output = container.run()?;
        let output = Output { stdout: container.output()?, ..output };
        // A mount at /link is that of /proc: the neighbour has renamed the directory together with the mount.
        let elsewhere = mounts_of(&output).contains(&("/elsewhere", "proc"));
        ensure_held(!elsewhere, "a procfs at the link's target")
    })
}

/// By its own path, and through a link of the image.
fn volume_below_proc() -> Result {
    let dir = scratch()?;
    let places = ["/proc/self", "/proc/self/attr", "/proc/sys", "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger"];
    for place in places {
        for source in [json!({ "type": "tmpfs", "source": "tmpfs" }), json!({ "type": "bind", "source": dir.path() })] {
            let mut volume = source;
            volume["destination"] = json!(place);
            volume["options"] = if volume["type"] == "bind" { json!(["bind"]) } else { json!([]) };
            let output = Bundle::new(["mountinfo"]).mount(volume.clone()).run()?;
            nothing_below_proc(&output)?;
            if runtime::is("tare") {
                names_field(&output, "mounts[2]")?;
            }
            volume["destination"] = json!(place.replace("/proc", "/link"));
            nothing_below_proc(&Bundle::new(["mountinfo"]).symlink("link", "proc").mount(volume).run()?)?;
        }
    }
    Ok(())
}

/// The second container's volume has a directory, which its neighbour exchanges with a link to /proc/sys.
fn volume_below_proc_by_a_race() -> Result {
    let volume = scratch()?;
    fs::create_dir_all(volume.path().join("a/kernel"))?;
    symlink("/proc/sys", volume.path().join("b"))?;
    let container = Bundle::new(["mountinfo"])
        .mount(json!({ "destination": "/vol", "source": volume.path(), "options": ["rbind"] }))
        .mount(json!({ "destination": "/vol/a/kernel", "type": "tmpfs", "source": "tmpfs" }))
        .build()?;
    race(volume.path(), ["a", "b"], rounds(60), || {
        fs::write(container.aside("out"), "")?;
        let output = container.run()?;
        let output = Output { stdout: container.output()?, ..output };
        nothing_below_proc(&output)
    })
}

fn sysctl_is_written_to_the_kernel() -> Result {
    let sentinel = Sentinel::new("file")?;
    let name = "proc/sys/net/ipv4/ip_forward";
    let sysctl =
        |bundle: Bundle| bundle.namespace("network").set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }));
    let output = sysctl(Bundle::new(["cat", &format!("/{name}")]).file(name, "of the image")).run()?;
    equal("sysctl", output.success()?.stdout.trim_end(), "1").or_broken()?;
    for target in [sentinel.path().join("file").display().to_string(), climb(&sentinel.path().join("file"))] {
        let bundle = Bundle::new(["true"]).set("/mounts", json!([])).symlink(name, &target);
        let container = sysctl(bundle).build()?;
        container.run()?;
        sentinel.untouched("file")?;
    }
    // Here the link is inside the container, and its target is a file of the image.
    let bundle = Bundle::new(["cat", "/prey"]).set("/mounts", json!([])).symlink(name, "/prey").file("prey", "0");
    let output = sysctl(bundle).run()?;
    ensure_held(!output.status.success() || output.stdout.trim() == "0", &output)
}
