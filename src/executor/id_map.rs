//! `linux.uidMappings`, `linux.gidMappings`, and the mappings of single mounts.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::{CloneFlags, setns};
use nix::unistd::{Gid, Uid, setgid, setuid};

use crate::plan::{Caller, IdMap, Maps, Owners};
use crate::spec::refuse;
use crate::sys::mount::Depth;
use crate::sys::{self, Call, CallError, Errno, reason};

/// Writes the maps of a new user namespace. If the caller lacks the right, newuidmap and newgidmap write them.
pub fn write(caller: &Caller, pid: i32, maps: &Maps) -> Result<()> {
    let one = |key: &str, file: &str, helper: &str, lines: &str, own: u32| -> Result<()> {
        if caller.euid == 0 {
            return write_file(pid, file, lines).context(key.to_owned());
        }
        if Maps::single(lines, own) {
            if file == "gid_map" {
                write_file(pid, "setgroups", "deny").context(key.to_owned())?;
            }
            return write_file(pid, file, lines).context(key.to_owned());
        }
        run_helper(helper, pid, lines).context(key.to_owned())
    };
    one("linux.gidMappings", "gid_map", "newgidmap", &maps.gid, caller.egid)?;
    one("linux.uidMappings", "uid_map", "newuidmap", &maps.uid, caller.euid)
}

/// Compares the maps in config.json with those of the joined user namespace. Engines give both and expect them to
/// agree.
///
/// # Errors
/// The maps differ. An absent list is not compared.
pub fn check(pid: i32, expected: &Maps) -> Result<()> {
    for (key, file, lines) in
        [("linux.uidMappings", "uid_map", &expected.uid), ("linux.gidMappings", "gid_map", &expected.gid)]
    {
        let path = format!("/proc/{pid}/{file}");
        let own = std::fs::read_to_string(&path).named(path)?;
        if !lines.is_empty() && ranges(&own) != ranges(lines) {
            refuse!(
                key,
                "user namespaces enabled, but both namespace path and non-matching mapping specified -- \
                 you may only provide one"
            );
        }
    }
    Ok(())
}

/// The ranges of a map, sorted: the kernel adds blanks and may change the order.
fn ranges(lines: &str) -> Vec<Vec<u64>> {
    let numbers = |line: &str| line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let mut ranges: Vec<Vec<u64>> = lines.lines().map(numbers).collect();
    ranges.sort();
    ranges
}

fn write_file(pid: i32, file: &str, lines: &str) -> Result<()> {
    sys::proc::write_newborn(pid, file, lines).named(format_args!("write {file}"))
}

fn run_helper(helper: &str, pid: i32, lines: &str) -> Result<()> {
    let command = &mut Command::new(helper);
    let (status, message) =
        sys::process::complain(command.arg(pid.to_string()).args(lines.split_whitespace())).named(helper)?;
    if !status.success() {
        bail!("{helper}: {}", message.trim().replace('\n', ": "));
    }
    Ok(())
}

/// Maps the owners of files on a detached mount. If the map is a list, this creates a user namespace for it.
pub fn map_tree(tree: &OwnedFd, map: &IdMap) -> Result<()> {
    map_to(tree, &namespace_of(map)?, map)
}

/// The user namespace whose ids a map names.
pub fn namespace_of(map: &IdMap) -> Result<File> {
    match &map.owners {
        Owners::Maps { uid, gid } => namespace_with(uid, gid),
        Owners::Joined(path) => File::open(path).named(path.display()),
    }
}

/// Maps the owners of files on a detached mount to the ids of a user namespace.
pub fn map_to(tree: &OwnedFd, namespace: &File, map: &IdMap) -> Result<()> {
    sys::mount::map_owners(tree, namespace.as_fd(), Depth::of(map.recursive)).map_err(|errno| match errno {
        Errno::EINVAL => {
            anyhow!("mount_setattr: {} (does the file system support id-mapped mounts on this kernel?)", reason(errno))
        }
        errno => CallError::new("mount_setattr", errno).into(),
    })
}

/// Makes a user namespace with these maps. An idle process creates it; then only the descriptor keeps it alive.
fn namespace_with(uid: &str, gid: &str) -> Result<File> {
    held(0, |pid| {
        write_file(pid, "uid_map", uid)?;
        write_file(pid, "gid_map", gid)?;
        File::open(format!("/proc/{pid}/ns/user")).map_err(sys::io)
    })
}

/// Moves this process into a new user namespace with these maps, as its root. It keeps its files and loses its rights
/// outside.
///
/// # Errors
/// The maps cannot be written; the process has threads; the error of clone(2) or setns(2).
pub fn enter_user_namespace(caller: &Caller, maps: &Maps) -> Result<()> {
    let namespace = held(0, |pid| {
        write(caller, pid, maps)?;
        let path = format!("/proc/{pid}/ns/user");
        File::open(&path).named(path)
    })?;
    setns(namespace, CloneFlags::CLONE_NEWUSER).named("setns")?;
    setgid(Gid::from_raw(0)).named("setgid")?;
    setuid(Uid::from_raw(0)).named("setuid")
}

/// Opens an object that only a process keeps alive, such as a namespace, through a helper process in a new user
/// namespace and in other new namespaces. The helper is killed afterwards.
pub fn held(others: i32, open: impl FnOnce(i32) -> Result<File>) -> Result<File> {
    let holder = sys::process::hold_user_namespace(others).named("clone3")?;
    let namespace = open(holder.pid);
    let _ = sys::process::pidfd_send_signal(holder.pidfd.as_fd(), libc::SIGKILL);
    let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(holder.pid), None);
    namespace
}
