//! Old kernels and narrow sandboxes: a system call that came after Linux 3.16 does not exist (ENOSYS), or a sandbox
//! that does not know it forbids it (EPERM). The runtime does without it, or says in one line which call it needs.
//!
//! `hack/lacking` runs other tests in the same way.

use crate::faults::furnished;
use crate::harness::lacking::Lacking;
use crate::harness::*;
use anyhow::{Context, ensure};
use nix::errno::Errno;
use nix::sys::resource::Resource;

tests![
    without_openat2,
    without_clone3,
    without_mount_setattr,
    without_open_tree,
    without_fsopen,
    without_close_range,
    without_pidfd_open,
    without_memfd_create,
    without_the_mount_calls,
    without_any_of_them,
];

const MOUNT_CALLS: [&str; 6] = ["open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "mount_setattr"];

/// The life of a container, with all commands lacking the calls. A command may refuse in one line that names a missing
/// call; then a command that has the call removes the container, and nothing is left.
fn lives(bundle: Bundle, lacking: &Lacking) -> Result {
    let container = bundle.build()?;
    let refused = life(&container, lacking)?;
    if let Some(output) = refused {
        let lines = output.stderr.lines().filter(|line| !line.starts_with("warning: ")).count();
        ensure!(lines == 1 && lacking.named_in(&output.stderr).is_some(), "no line that names the call: {output}");
        container.command(["delete", "--force"])?.success()?;
    }
    container.nothing_left()
}

/// Returns the output of the first command that fails.
fn life(container: &Container, lacking: &Lacking) -> Result<Option<Output>> {
    macro_rules! succeeds {
        ($call:expr) => {{
            // Without close_range init closes each number up to the limit: the billion that systemd allows takes minutes.
            let output = $call.limiting(Resource::RLIMIT_NOFILE, 4096, 4096).lacking(lacking).output()?;
            if !output.status.success() {
                return Ok(Some(output));
            }
            output
        }};
    }
    let created = succeeds!(container.launch(["create"]));
    ensure!(created.stderr.is_empty(), "a message of a container that is created: {created}");
    succeeds!(container.named("start"));
    container.wait_status("running")?;
    succeeds!(container.exec_call([], ["echo", "inside"])).has_line("inside")?;
    succeeds!(container.call(["kill"]).args([&*container.id, "KILL"]));
    container.wait_status("stopped")?;
    succeeds!(container.named("delete"));
    container.nothing_left()?;
    succeeds!(container.launch(["run", "--detach"]));
    succeeds!(container.named("force"));
    Ok(None)
}

fn without(calls: &[&str]) -> Result {
    let plain = || Bundle::new(["pause"]);
    for errno in [Errno::ENOSYS, Errno::EPERM] {
        let lacking = Lacking::new(calls, errno)?;
        lives(plain(), &lacking).with_context(|| format!("{calls:?} answer {errno}"))?;
        lives(furnished(plain()), &lacking).with_context(|| format!("{calls:?} answer {errno}, furnished"))?;
    }
    Ok(())
}

fn without_openat2() -> Result {
    without(&["openat2"])
}

fn without_clone3() -> Result {
    without(&["clone3"])
}

fn without_mount_setattr() -> Result {
    without(&["mount_setattr"])
}

fn without_open_tree() -> Result {
    without(&["open_tree"])
}

fn without_fsopen() -> Result {
    without(&["fsopen"])
}

fn without_close_range() -> Result {
    without(&["close_range"])
}

fn without_pidfd_open() -> Result {
    without(&["pidfd_open"])
}

fn without_memfd_create() -> Result {
    without(&["memfd_create"])
}

/// Before Linux 5.2, or where a sandbox knows only mount(2).
fn without_the_mount_calls() -> Result {
    without(&MOUNT_CALLS)
}

fn without_any_of_them() -> Result {
    let others = ["openat2", "clone3", "close_range", "pidfd_open", "memfd_create"];
    without(&[&MOUNT_CALLS[..], &others].concat())
}
