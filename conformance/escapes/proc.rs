//! Attacks through /proc and /sys: what covers them takes labels, sysctls and masks that belong to the kernel.

use super::attacks;
use super::host::{Sentinel, climb, race};
use super::verdict::{OrBroken, ensure_held, refused, rounds};
use crate::harness::bundle::scratch;
use crate::harness::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

attacks! {
    volume_over_proc:
        "a volume over /proc takes what the runtime writes to the kernel: a sysctl here, a label where there are some",
        ["CVE-2019-16884", "runc", "before 1.0.0-rc9"],
        ["CVE-2019-16884", "crun", "before 0.10"];
    volume_over_proc_through_dots:
        "the same, of a source that begins with /proc and is no procfs",
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
        "a volume over a part of /proc takes what the runtime writes to the kernel",
        ["CVE-2025-52881", "runc", "before 1.2.8"],
        ["CVE-2025-62596", "youki", "before 0.5.7"],
        ["CVE-2015-3631", "libcontainer of Docker", "before 1.6.1"];
    volume_below_proc_by_a_race:
        "the same, of a volume that gets there because a component of its target becomes a link meanwhile",
        ["CVE-2025-52881", "runc", "before 1.2.8"],
        ["CVE-2025-62596", "youki", "before 0.5.7"];
    sysctl_is_written_to_the_kernel:
        "a sysctl is written to a file of the image or of the host",
        ["CVE-2025-52881", "runc", "before 1.2.8"];
}

/// A directory that looks like /proc/sys/net, to be a volume: a runtime that takes it for the kernel's writes here.
struct FalseNet(tempfile::TempDir);

impl FalseNet {
    fn new() -> Result<Self> {
        let dir = scratch()?;
        for place in ["sys/net/ipv4", "self", "ipv4"] {
            fs::create_dir_all(dir.path().join(place))?;
        }
        let it = Self(dir);
        it.files().iter().try_for_each(|file| fs::write(file, "0"))?;
        Ok(it)
    }

    fn files(&self) -> [PathBuf; 2] {
        ["sys/net/ipv4/ip_forward", "ipv4/ip_forward"].map(|file| self.0.path().join(file))
    }

    /// The attack has succeeded if the sysctl was written to the volume.
    fn untouched(&self) -> Result {
        for file in self.files() {
            let text = fs::read_to_string(&file)?;
            ensure_held(text == "0", format_args!("the sysctl was written to the volume: {text:?}"))?;
        }
        Ok(())
    }
}

/// A configuration with a sysctl.
fn with_sysctl(bundle: Bundle) -> Bundle {
    bundle.namespace("network").set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" }))
}

/// Creates a container with this volume. tare refuses it. Another runtime may create it, and must not write to it.
fn with_volume(bundle: Bundle, volume: Value, net: &FalseNet, reason: &str) -> Result {
    let bundle = with_sysctl(bundle.mount(volume));
    if runtime::is("tare") {
        refused(bundle, "mounts[2]")?.fails_with(reason)?;
    } else {
        bundle.build()?.create()?;
    }
    net.untouched()
}

fn volume_over_proc() -> Result {
    let net = FalseNet::new()?;
    let volumes = [
        json!({ "destination": "/proc", "type": "tmpfs", "source": "tmpfs" }),
        json!({ "destination": "/proc", "type": "bind", "source": net.0.path(), "options": ["bind"] }),
        json!({ "destination": "/x/../proc/.", "type": "bind", "source": net.0.path(), "options": ["rbind"] }),
    ];
    volumes.into_iter().try_for_each(|volume| with_volume(Bundle::new(["true"]), volume, &net, "not of type proc"))
}

/// The sources lead out of /proc again by `..` and by a link of the kernel.
fn volume_over_proc_through_dots() -> Result {
    let net = FalseNet::new()?;
    let path = net.0.path().display();
    for source in [format!("/proc/..{path}"), format!("/proc/self/root{path}")] {
        let volume = json!({ "destination": "/proc", "type": "bind", "source": source, "options": ["bind"] });
        with_volume(Bundle::new(["true"]), volume, &net, "")?;
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

fn proc_exchanged_with_a_link() -> Result {
    let container = Bundle::new(["mountinfo"]).dir("proc").dir("elsewhere").symlink("link", "elsewhere").build()?;
    race(&container.rootfs(), ["proc", "link"], rounds(12), || {
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
    let net = FalseNet::new()?;
    let dir = net.0.path();
    let places = ["/proc/self", "/proc/self/attr", "/proc/sys", "/proc/sys/net", "/proc/sysrq-trigger"];
    for place in places {
        let tmpfs = json!({ "destination": place, "type": "tmpfs", "source": "tmpfs" });
        with_volume(Bundle::new(["true"]), tmpfs, &net, "inside /proc")?;
        let source = if place == "/proc/sys" { dir.join("sys") } else { dir.to_owned() };
        let mut volume = json!({ "destination": place, "type": "bind", "source": source, "options": ["bind"] });
        with_volume(Bundle::new(["true"]), volume.clone(), &net, "inside /proc")?;
        volume["destination"] = json!(place.replace("/proc", "/link"));
        with_volume(Bundle::new(["true"]).symlink("link", "proc"), volume, &net, "")?;
    }
    Ok(())
}

/// The second container's volume has a directory, which its neighbour exchanges with a link to /proc/sys.
fn volume_below_proc_by_a_race() -> Result {
    let (volume, net) = (scratch()?, FalseNet::new()?);
    fs::create_dir_all(volume.path().join("a/net"))?;
    symlink("/proc/sys", volume.path().join("b"))?;
    let bundle = Bundle::new(["true"])
        .mount(json!({ "destination": "/vol", "source": volume.path(), "options": ["rbind"] }))
        .mount(json!({ "destination": "/vol/a/net", "source": net.0.path(), "options": ["rbind"] }));
    let container = with_sysctl(bundle).build()?;
    race(volume.path(), ["a", "b"], rounds(20), || {
        container.run()?;
        net.untouched()
    })
}

fn sysctl_is_written_to_the_kernel() -> Result {
    let sentinel = Sentinel::new("file")?;
    let name = "proc/sys/net/ipv4/ip_forward";
    let output = with_sysctl(Bundle::new(["cat", &format!("/{name}")]).file(name, "of the image")).run()?;
    equal("sysctl", output.success()?.stdout.trim_end(), "1").or_broken()?;
    for target in [sentinel.path().join("file").display().to_string(), climb(&sentinel.path().join("file"))] {
        let bundle = Bundle::new(["true"]).set("/mounts", json!([])).symlink(name, &target);
        let container = with_sysctl(bundle).build()?;
        container.run()?;
        sentinel.untouched("file")?;
    }
    // Here the link is inside the container, and its target is a file of the image.
    let bundle = Bundle::new(["cat", "/prey"]).set("/mounts", json!([])).symlink(name, "/prey").file("prey", "0");
    let output = with_sysctl(bundle).run()?;
    ensure_held(!output.status.success() || output.stdout.trim() == "0", &output)
}
