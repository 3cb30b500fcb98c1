//! Attacks through /dev of an image or of a shared volume: links and files in the place of devices.

use super::attacks;
use super::host::{SECRET, Sentinel, climb, inside, race};
use super::verdict::{OrBroken, ensure_held, rounds};
use crate::harness::bundle::scratch;
use crate::harness::*;
use anyhow::Context;
use nix::unistd::pipe;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;

attacks! {
    dev_that_leads_to_the_host:
        "devices and links are made, or files removed, where the image's link /dev leads on the host",
        ["CVE-2026-41579", "runc", "before 1.3.6"],
        ["CVE-2026-47766", "crun", "before 1.28"];
    console_that_leads_to_the_host:
        "a file is made where the image's link /dev/console leads on the host",
        ["CVE-2026-88264", "crun", "before 1.30"];
    null_that_is_a_file_of_the_host:
        "the image's link /dev/null makes a file of the host the container's standard stream, or gives it away",
        ["CVE-2026-88265", "crun", "before 1.30"];
    masked_by_a_false_null:
        "the image's /dev/null, which is none, is bound over a masked path",
        ["CVE-2025-31133", "runc", "before 1.2.8"],
        ["CVE-2025-62161", "youki", "before 0.5.7"];
    masked_without_a_null:
        "a path stays visible because there is no /dev/null to mask it with",
        ["CVE-2025-31133", "runc", "before 1.2.8"],
        ["CVE-2025-62161", "youki", "before 0.5.7"];
    masked_by_an_exchanged_null:
        "/dev/null of a shared volume becomes a link while paths are masked with it",
        ["CVE-2025-31133", "runc", "before 1.2.8"],
        ["CVE-2025-62161", "youki", "before 0.5.7"];
    console_of_an_exchanged_pts:
        "/dev/console is a file that a neighbour has put in the place of the terminal",
        ["CVE-2025-52565", "runc", "1.0.0-rc3 to 1.2.7"];
}

/// A bundle without a mount at /dev: the image decides what is there.
fn bare_dev<const N: usize>(words: [&str; N]) -> Bundle {
    let proc = json!({ "destination": "/proc", "type": "proc", "source": "proc" });
    Bundle::new(words).set("/mounts", json!([proc])).file("secret", SECRET)
}

/// A mount of this directory of the host at a place in the container.
fn volume(place: &str, source: &Path) -> Value {
    json!({ "destination": place, "type": "bind", "source": source, "options": ["rbind"] })
}

fn dev_that_leads_to_the_host() -> Result {
    for file in ["ptmx", "null", "fd"] {
        let sentinel = Sentinel::new(file)?;
        for way in sentinel.ways() {
            bare_dev(["true"]).symlink("dev", &way).run()?;
            sentinel.untouched(file)?;
        }
    }
    Ok(())
}

/// Creates a container with a terminal. crun takes options before the id only.
fn create_at(container: &Container, receiver: &Receiver) -> Result<Output> {
    let call = container.call(["create"]).console(receiver).arg("--bundle").arg(container.bundle());
    call.arg(&container.id).output_to(container.aside("out"), container.aside("err")).output()
}

fn console_that_leads_to_the_host() -> Result {
    let sentinel = Sentinel::new("file")?;
    let place = sentinel.path().join("new");
    for way in [place.display().to_string(), climb(&place)] {
        let bundle = bare_dev(["true"]).symlink("dev/console", &way).set("/process/terminal", true);
        let container = bundle.mount(json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["newinstance", "ptmxmode=0666", "mode=0620"] }));
        let container = container.build()?;
        let receiver = Receiver::bind(container.aside("console"))?;
        // It may succeed or fail.
        create_at(&container, &receiver)?;
        sentinel.untouched("file")?;
    }
    Ok(())
}

/// Makes a pipe the three standard streams of this process.
fn onto_standard_streams(read: &OwnedFd, write: &OwnedFd) -> std::io::Result<()> {
    for (from, to) in [(read, 0), (write, 1), (write, 2)] {
        // SAFETY: dup2(2) is one async-signal-safe system call on an open descriptor.
        if unsafe { libc::dup2(from.as_raw_fd(), to) } == -1 {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

fn null_that_is_a_file_of_the_host() -> Result {
    for user in [0, 1000] {
        let sentinel = Sentinel::new("file")?;
        let file = sentinel.path().join("file");
        let container = bare_dev(["echo", "of the container"])
            .mount(volume("/shared", sentinel.path()))
            .symlink("dev/null", "/shared/file")
            .set("/process/user", json!({ "uid": user, "gid": user }))
            .build()?;
        // Standard streams that are no devices have the device number 0, as a file has.
        let (read, write) = pipe()?;
        container.launch(["run"]).in_child(move || onto_standard_streams(&read, &write)).output()?;
        sentinel.untouched("file")?;
        let owner = fs::metadata(&file)?.uid();
        ensure_held(owner == 0, format_args!("the host's file belongs to {owner} now"))?;
    }
    Ok(())
}

/// If the container has started, /secret is the null device there.
fn hidden(output: &Output) -> Result {
    if !output.status.success() {
        return Ok(());
    }
    let seen = output.stdout.lines().find(|line| line.starts_with("stat /secret")).context("an answer of stat")?;
    ensure_held(seen.contains(": char") && seen.contains("rdev=1:3"), format_args!("the mask: {seen}"))
}

/// If the image's /dev/null is not the null device, it neither hides a file nor is bound over one.
fn masked_by_a_false_null() -> Result {
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern")?;
    let words = ["cat", "/secret", ",", "stat", "/secret", ",", "openw", "/secret"];
    let masked = |bundle: Bundle| -> Result {
        let output = bundle.set("/linux/maskedPaths", json!(["/secret"])).run()?;
        inside(&output)?;
        hidden(&output)
    };
    for target in ["/proc/sys/kernel/core_pattern", "/secret", "zero", "../nowhere"] {
        masked(bare_dev(words).symlink("dev/null", target))?;
    }
    masked(bare_dev(words).file("dev/null", "a file"))?;
    masked(bare_dev(words).dir("dev/null"))?;
    masked(bare_dev(words).dir("real").symlink("dev", "/real").symlink("real/null", "/secret"))?;
    let dev = scratch()?;
    symlink("/proc/sys/kernel/core_pattern", dev.path().join("null"))?;
    masked(bare_dev(words).mount(volume("/dev", dev.path())))?;
    let null = fs::symlink_metadata("/dev/null")?.file_type();
    ensure_held(null.is_char_device(), "the host's /dev/null has changed")?;
    equal("core_pattern", fs::read_to_string("/proc/sys/kernel/core_pattern")?, before).or_broken()
}

/// Without /dev/null nothing can be hidden. That is an error; the path must not stay visible.
fn masked_without_a_null() -> Result {
    let dev = scratch()?;
    let bundle = bare_dev(["cat", "/secret"]).mount(volume("/dev", dev.path()));
    let output = bundle.set("/linux/maskedPaths", json!(["/secret"])).run()?;
    inside(&output)?;
    if runtime::is("tare") { names_field(&output, "linux.maskedPaths[0]") } else { Ok(()) }
}

/// Copies a device node of the host.
fn copy_node(name: &str, to: &Path) -> Result {
    let meta = fs::metadata(Path::new("/dev").join(name))?;
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::sys::stat::mknod(&to.join(name), nix::sys::stat::SFlag::S_IFCHR, mode, meta.rdev())?;
    Ok(())
}

fn masked_by_an_exchanged_null() -> Result {
    let dev = scratch()?;
    copy_node("null", dev.path())?;
    symlink("/proc/sys/kernel/core_pattern", dev.path().join("link"))?;
    let container = bare_dev(["stat", "/secret", ",", "cat", "/secret"])
        .mount(volume("/dev", dev.path()))
        .set("/linux/maskedPaths", json!(["/secret"]))
        .build()?;
    race(dev.path(), ["null", "link"], rounds(20), || {
        fs::write(container.aside("out"), "")?;
        let output = container.run()?;
        let output = Output { stdout: container.output()?, ..output };
        inside(&output)?;
        hidden(&output)
    })
}

/// The directory that devpts is mounted on belongs to a volume. Its neighbour exchanges it, with the mount, for one with
/// links in the place of terminals.
fn console_of_an_exchanged_pts() -> Result {
    let dev = scratch()?;
    for name in ["pts", "false"] {
        fs::create_dir(dev.path().join(name))?;
    }
    for number in 0..10 {
        symlink("/secret", dev.path().join("false").join(number.to_string()))?;
    }
    symlink("pts/ptmx", dev.path().join("ptmx"))?;
    let container = bare_dev(["stat", "/dev/console"])
        .mount(volume("/dev", dev.path()))
        .mount(json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["newinstance", "ptmxmode=0666", "mode=0620"] }))
        .set("/process/terminal", true)
        .build()?;
    let receiver = Receiver::bind(container.aside("console"))?;
    race(dev.path(), ["pts", "false"], rounds(12), || {
        // It may succeed or fail. If it has failed, no terminal comes.
        if create_at(&container, &receiver)?.status.success() {
            let mut terminal = receiver.terminal()?;
            container.start()?;
            let seen = terminal.read_to_end()?;
            ensure_held(!seen.contains("stat /dev/console") || seen.contains("console: char"), seen)?;
        } else {
            // A terminal that came before the failure must not stay for the next round.
            receiver.forget();
        }
        container.command(["delete", "--force"]).map(drop)
    })
}
