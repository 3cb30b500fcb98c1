//! Attacks through the target of a mount, which an image or a shared volume leads elsewhere.

use super::attacks;
use super::host::{SECRET, Sentinel, not_mounted, race};
use super::verdict::{OrBroken, ensure_held, refused, rounds};
use crate::harness::bundle::scratch;
use crate::harness::*;
use anyhow::Context;
use std::fs;
use std::os::unix::fs::symlink;

attacks! {
    mount_target_that_is_a_link_of_the_image:
        "the target of a mount is made, or mounted on, where a link of the image leads on the host",
        ["CVE-2019-18837", "crun", "before 0.10.5"],
        ["CVE-2015-3629", "libcontainer of Docker", "before 1.6.1"];
    mount_target_in_a_shared_volume:
        "a mount goes to the host because a component of its target becomes a link meanwhile",
        ["CVE-2021-30465", "runc", "before 1.0.0-rc95"];
    mount_target_made_in_a_shared_volume:
        "directories of a missing target are made on the host because a component becomes a link meanwhile",
        ["CVE-2024-45310", "runc", "before 1.1.14"];
    values_longer_than_16_bits:
        "a length of more than 16 bits wraps, so that a part of a value is read as something else",
        ["CVE-2021-43784", "runc", "before 1.0.3"];
}

/// A link in the middle of the target, and one at its end.
fn mount_target_that_is_a_link_of_the_image() -> Result {
    let sentinel = Sentinel::new("file")?;
    fs::create_dir(sentinel.path().join("deep")).context("a target on the host")?;
    let source = scratch()?;
    fs::write(source.path().join("mark"), "")?;
    for way in sentinel.ways() {
        for place in ["/link/new", "/link/new/deeper", "/link/deep", "/link"] {
            for kind in ["tmpfs", "bind"] {
                let mut mount = json!({ "destination": place, "type": kind, "source": source.path() });
                mount["options"] = json!(if kind == "bind" { &["bind"][..] } else { &[] });
                Bundle::new(["true"]).symlink("link", &way).mount(mount).run()?;
                let names = fs::read_dir(sentinel.path())?.count();
                ensure_held(names == 2, format_args!("{names} entries on the host after a {kind} at {place}"))?;
                not_mounted(&[sentinel.path()])?;
            }
        }
    }
    fs::remove_dir(sentinel.path().join("deep")).context("the directory on the host").or_broken()?;
    sentinel.untouched("file")
}

/// Runs containers that mount at `/vol/a/…` while `a` in that volume is exchanged with a link to the host. A second
/// mount shows the host's directory: a first mount that has gone there hides its file.
fn attack(destination: &str, make_parents: bool) -> Result {
    let sentinel = Sentinel::new("file")?;
    let deep = sentinel.path().join("deep");
    fs::create_dir(&deep).context("the target on the host")?;
    fs::write(deep.join("file"), SECRET)?;
    let volume = scratch()?;
    for link in sentinel.ways() {
        let (a, b) = (volume.path().join("a"), volume.path().join("b"));
        let _ = fs::remove_file(&b).or_else(|_| fs::remove_dir_all(&b));
        let _ = fs::remove_file(&a).or_else(|_| fs::remove_dir_all(&a));
        fs::create_dir(&a)?;
        if !make_parents {
            fs::create_dir(a.join("deep"))?;
        }
        symlink(link, &b)?;
        let container = Bundle::new(["ls", "/seen"])
            .mount(json!({ "destination": "/vol", "source": volume.path(), "options": ["rbind"] }))
            .mount(json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs" }))
            .mount(json!({ "destination": "/seen", "source": deep, "options": ["rbind"] }))
            .build()?;
        race(volume.path(), ["a", "b"], rounds(12), || {
            fs::write(container.aside("out"), "")?;
            // The container may start or fail. Only the host must be untouched.
            let output = container.run()?;
            let seen = container.output()?;
            let hidden = output.status.success() && !seen.contains("ls /seen: file");
            ensure_held(!hidden, format_args!("a mount has covered the host's directory: {seen}"))?;
            let names = (fs::read_dir(sentinel.path())?.count(), fs::read_dir(&deep)?.count());
            ensure_held(names == (2, 1), format_args!("entries on the host: {names:?}"))?;
            not_mounted(&[sentinel.path(), volume.path()])
        })?;
    }
    fs::remove_dir_all(deep)?;
    sentinel.untouched("file")
}

fn mount_target_in_a_shared_volume() -> Result {
    attack("/vol/a/deep", false)
}

fn mount_target_made_in_a_shared_volume() -> Result {
    attack("/vol/a/new/directories", true)
}

/// Such values arrive whole, or are refused.
fn values_longer_than_16_bits() -> Result {
    let long = "x".repeat(70_000);
    let container = Bundle::new(["args", ",", "pause"]).set("/annotations/long", long.clone()).create()?;
    let seen = container.state()?["annotations"]["long"].as_str().map(str::len);
    ensure_held(seen == Some(70_000), format_args!("length of the annotation: {seen:?}"))?;
    let output = Bundle::new(["echo", &long]).run()?;
    let seen = output.success()?.stdout.trim_end().len();
    ensure_held(seen == 70_000, format_args!("length of the argument: {seen}"))?;
    let source = format!("/{}", "x/".repeat(35_000));
    let mount = json!({ "destination": "/mnt", "source": source, "options": ["bind"] });
    refused(Bundle::new(["true"]).mount(mount), "mounts[2]")?;
    let mount = json!({ "destination": format!("/{long}"), "type": "tmpfs", "source": "tmpfs" });
    refused(Bundle::new(["true"]).mount(mount), "mounts[2]")?;
    let maps: Vec<_> = (0..5000).map(|id| json!({ "containerID": id, "hostID": 100_000 + id, "size": 1 })).collect();
    let bundle = Bundle::new(["true"]).user_namespace(100_000, 1).set("/linux/uidMappings", maps);
    refused(bundle, "linux.uidMappings").map(drop)
}
