//! `restore`: makes a running container from a directory of images.

use std::fs::{File, Permissions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use nix::sched::CloneFlags;
use nix::unistd::Gid;
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::checkpoint::{NETWORK_KEY, PID_KEY};
use super::messages::{CriuCgroupRoot, CriuInheritedFd, CriuJoinedNamespace, RequestKind};
use super::mounts::{ContainerRoot, External, options as mount_options, to_put_in};
use super::worker::{Notice, SocketPair, Worker};
use super::{DESCRIPTORS, Settings, explained, find_criu};
use crate::cgroup::Mode;
use crate::executor::Created;
use crate::executor::create::{Order, Work, begin, check_root};
use crate::executor::launch::{RunningInit, Surroundings, Waited, inherit, launch, open_namespace};
use crate::executor::{Terminal, hooks, tree};
use crate::init::op::Ask;
use crate::network;
use crate::plan::restore::{self, Mounts};
use crate::spec::{Config, Field, Ids, path_of, refuse};
use crate::state::{Directory, Record};
use crate::sys::clone::Child;
use crate::sys::{self, Call};
use crate::tables::namespace;
use crate::trace;

const NEW_MOUNTS: u64 = CloneFlags::CLONE_NEWNS.bits() as u64;

#[derive(Debug)]
pub struct Restore {
    /// The options that `checkpoint` and `restore` share.
    pub settings: Settings,
    /// `--lsm-profile`: type and name.
    pub lsm_profile: Option<String>,
    pub lsm_mount_context: Option<String>,
}

/// Restores a container. A failure undoes every step.
///
/// `before_running` is called when the processes exist and before they continue. It writes the pid file.
///
/// # Errors
/// The error of CRIU, with the last errors of its log; a failed hook.
pub fn restore(
    it: &Restore,
    order: &Order<'_>,
    mounts: &Mounts,
    before_running: impl FnOnce(&Record) -> Result<()>,
) -> Result<Created> {
    let criu = trace::work("find criu", find_criu)?;
    let inherited = Inherited::of(&it.settings.images, order.config)?;
    check_root(&order.plan.rootfs)?;
    let record = Record::new(&order.options.id)?;
    let directory = trace::work("make the state directory", || order.place.create())?;
    let mut work = begin(order, record, &directory)?;
    let (names, warnings) = trace::work("make mount points", || make_mount_points(mounts))?;
    let root = TemporaryRoot::make(&directory)?;
    let _searchable = Searchable::make(&it.settings.images, order.config)?;
    let mut worker = trace::work("start criu", || start(&criu, &mut work, order, &root.path))?;
    trace::wait("ask criu for its version", || worker.check_version())?;
    let seen_by_criu = format!("/proc/{}/root", worker.pid());
    let (mut request, directories) = it.settings.request("restore.log", &seen_by_criu, &work.record)?;
    request.rst_sibling = Some(true);
    request.evasive_devices = Some(true);
    request.lsm_profile = it.lsm_profile.clone();
    request.lsm_mount_context = it.lsm_mount_context.clone();
    request.root = Some(root.path.to_string_lossy().into_owned());
    request.cgroup_roots = cgroup_roots(worker.pid())?;
    request.external.extend(mount_options(&names));
    request.inherit_fds = inherited.fds;
    request.join_ns = inherited.namespaces;
    let mut served = Served { work: &mut work, order, terminal: None, before_running: Some(before_running) };
    let restore = || worker.carry_out(RequestKind::Restore, request, |notice| served.serve(notice));
    let answer = trace::wait("wait for criu to restore", restore);
    answer.map_err(|error| explained(error, "restore", &directories.log))?;
    let terminal = served.terminal;
    let pid = work.record.pid;
    let pidfd = pidfd_of(pid)?;
    remember_time_namespace(&work, order)?;
    work.finish()?;
    let record = work.take();
    drop(root);
    Ok(Created { child: Child { pid, pidfd }, record, directory, terminal, warnings })
}

fn pidfd_of(pid: i32) -> Result<OwnedFd> {
    sys::process::pidfd_open(pid).named("pidfd_open")
}

/// The answers to CRIU's notifications.
struct Served<'a, 'b, F> {
    work: &'a mut Work<'b>,
    order: &'a Order<'b>,
    terminal: Option<Terminal>,
    before_running: Option<F>,
}

impl<F: FnOnce(&Record) -> Result<()>> Served<'_, '_, F> {
    fn serve(&mut self, notice: Notice) -> Result<()> {
        match notice.script.as_str() {
            "setup-namespaces" => {
                self.work.record.pid = notice.pid;
                self.work.moved = network::move_in(&self.order.plan.net_devices, notice.pid)?;
                self.work.hooks = true;
                hooks::once_there_are_namespaces(&self.work.record)
            }
            // The master of the container's terminal, which no process has open yet.
            "orphan-pts-master" => {
                let master = notice.fd.ok_or_else(|| anyhow!("process.terminal: criu sent no terminal"))?;
                self.terminal = self.order.connections.receivers.terminal(master)?;
                Ok(())
            }
            "post-restore" => {
                self.work.remember(notice.pid, pidfd_of(notice.pid)?.as_fd())?;
                self.order.connections.receivers.process("standard", pidfd_of(notice.pid)?.as_fd())?;
                self.before_running.take().map_or(Ok(()), |run| run(&self.work.record))
            }
            _ => Ok(()),
        }
    }
}

/// Descriptors of resources outside the container, kept open until CRIU has them.
#[derive(Default)]
struct Inherited {
    fds: Vec<CriuInheritedFd>,
    namespaces: Vec<CriuJoinedNamespace>,
    opened: Vec<OwnedFd>,
}

impl Inherited {
    fn of(images: &Path, config: &Config) -> Result<Inherited> {
        let mut it = Inherited::default();
        it.descriptors(images)?;
        it.join(config)?;
        Ok(it)
    }

    fn push(&mut self, fd: RawFd, key: &str) {
        self.fds.push(CriuInheritedFd { key: key.to_owned(), fd });
    }

    /// Replaces pipes and files from outside by the caller's descriptors.
    fn descriptors(&mut self, images: &Path) -> Result<()> {
        let path = images.join(DESCRIPTORS);
        let text = std::fs::read_to_string(&path).named(format_args!("open {}", path.display()))?;
        let names: Vec<String> = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        for (fd, name) in names.into_iter().enumerate().take(3) {
            // CRIU compares the size of a file.
            let file = std::fs::metadata(format!("/proc/self/fd/{fd}")).is_ok_and(|file| file.is_file());
            if name.starts_with("file[") && !file {
                bail!("standard descriptor {fd} was a file outside of the container and has to be one again");
            }
            let known = self.fds.iter().any(|known| known.key == name);
            if !known && (name.starts_with("pipe:") || name.starts_with("file[")) {
                self.push(fd as RawFd, &name);
            }
        }
        Ok(())
    }

    /// Passes the namespaces that the config joins: network and pid namespaces as descriptors, the others by path.
    fn join(&mut self, config: &Config) -> Result<()> {
        for (index, entry) in config.namespaces().iter().enumerate() {
            let Some(path) = path_of(entry) else { continue };
            let field = Field::item("linux.namespaces", index);
            let row = namespace::of(entry.typ());
            let file = open_namespace(path, row.flag, &field, None)?;
            match entry.typ() {
                kind @ (Kind::Network | Kind::Pid) => {
                    inherit(file.as_raw_fd())?;
                    self.push(file.as_raw_fd(), if kind == Kind::Network { NETWORK_KEY } else { PID_KEY });
                    self.opened.push(file);
                }
                Kind::Mount | Kind::Cgroup => {
                    refuse!(field.member("path"), "a restored container cannot join a {} namespace", row.name)
                }
                _ => {
                    let ns_file = path.to_string_lossy().into_owned();
                    self.namespaces.push(CriuJoinedNamespace { ns: row.file.to_owned(), ns_file });
                }
            }
        }
        Ok(())
    }
}

/// Makes all mounts in a temporary mount namespace. Only the mount points remain, and the names by which CRIU knows the
/// external mounts.
fn make_mount_points(mounts: &Mounts) -> Result<(External, Vec<String>)> {
    let trees = tree::open(mounts.program.slots(), || None)?;
    let around = Surroundings { namespaces: NEW_MOUNTS, trees: &trees, ..Surroundings::default() };
    let mut init = launch(&mounts.program, &around)?;
    let named = wait_for_ready(&mut init).and_then(|warnings| {
        let path = format!("/proc/{}/root{}", init.child.pid, mounts.rootfs.display());
        let table = std::fs::read("/proc/self/mountinfo").named("mountinfo")?;
        Ok((to_put_in(mounts, &ContainerRoot::open(Path::new(&path))?, &table), warnings))
    });
    init.kill();
    named
}

fn wait_for_ready(init: &mut RunningInit<'_>) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    loop {
        match init.next()? {
            Waited::Warning(text) => warnings.push(text),
            Waited::Ask(Ask::Ready) => return Ok(warnings),
            other @ (Waited::Ask(_) | Waited::Terminal(_) | Waited::Listener(_) | Waited::Mounted(_)) => {
                bail!("unexpected message of init in a restore: {other:?}")
            }
            Waited::Closed => bail!("init died before the restore"),
        }
    }
}

/// Starts CRIU in the cgroup of its future children. With systemd this creates the scope, in which they stay.
fn start(criu: &Path, work: &mut Work<'_>, order: &Order<'_>, root: &Path) -> Result<Worker> {
    let line = SocketPair::new()?;
    let rootfs = &order.plan.rootfs;
    let worker = restore::CriuProgram { criu, line: line.number(), rootfs, root, no_pivot: order.options.no_pivot };
    let program = worker.program(&environment());
    // CRIU does not move itself in v1 hierarchies.
    let only_v2 = work.record.cgroup.mode() == Mode::Unified;
    let entrance = if only_v2 { work.record.cgroup.entrance()? } else { None };
    let around = Surroundings {
        namespaces: NEW_MOUNTS,
        cgroup: entrance.as_ref(),
        stdio: order.connections.stdio,
        ..Surroundings::default()
    };
    let mut init = launch(&program, &around)?;
    let born_there = entrance.is_some();
    let prepare = |init: &mut RunningInit<'_>, work: &mut Work<'_>| -> Result<()> {
        wait_for_ready(init)?;
        if !born_there {
            work.admit(&order.plan.cgroup, init.child.pid)?;
        }
        work.record.rdt.as_ref().map_or(Ok(()), |groups| groups.attach(init.child.pid))
    };
    if let Err(error) = prepare(&mut init, work) {
        init.kill();
        return Err(error);
    }
    init.go_on()?;
    Ok(line.held_by(init.child))
}

/// The environment of this process, for CRIU: it looks up other programs in PATH.
fn environment() -> Vec<String> {
    let text = |text: std::ffi::OsString| text.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some(format!("{}={}", text(name)?, text(value)?))).collect()
}

/// The current cgroup for each controller, which replaces the one in the images.
fn cgroup_roots(pid: i32) -> Result<Vec<CriuCgroupRoot>> {
    let path = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&path).named(path)?;
    let mut roots = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        for controller in controllers.split(',') {
            roots.push(CriuCgroupRoot { controller: Some(controller.to_owned()), path: path.to_owned() });
        }
    }
    Ok(roots)
}

/// Saves the time namespace that CRIU has made so that the clocks of the processes do not jump. A process that joins
/// the container must join this namespace too.
fn remember_time_namespace(work: &Work<'_>, order: &Order<'_>) -> Result<()> {
    let of = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/time")).ok();
    let own = of(&work.record.pid.to_string()) != of("self");
    if !own || order.config.has(Kind::Time) {
        return Ok(());
    }
    let mut config: serde_json::Value = serde_json::from_str(std::str::from_utf8(work.text)?)?;
    let list = config.pointer_mut("/linux/namespaces").and_then(serde_json::Value::as_array_mut);
    if let Some(list) = list {
        list.push(serde_json::json!({"type": "time"}));
    }
    work.directory.save(&work.record, &serde_json::to_vec(&config)?)
}

/// A mount point for the root file system, which is mounted in another mount namespace.
struct TemporaryRoot {
    path: PathBuf,
}

impl TemporaryRoot {
    fn make(directory: &Directory) -> Result<TemporaryRoot> {
        Ok(TemporaryRoot { path: directory.make_mount_point()? })
    }
}

impl Drop for TemporaryRoot {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// Makes a directory searchable during the restore: CRIU also reads the images inside the container's user namespace,
/// whose root is another user on the host. The group of that user gets the right.
struct Searchable {
    directory: File,
    mode: u32,
    group: Gid,
}

impl Searchable {
    fn make(images: &Path, config: &Config) -> Result<Option<Searchable>> {
        let Some(Ids { gid: group, .. }) = config.mapped_root() else { return Ok(None) };
        let directory = File::open(images).named(format_args!("open {}", images.display()))?;
        let before = directory.metadata().map_err(sys::io)?;
        if before.mode() & 0o001 != 0 {
            return Ok(None);
        }
        let it = Searchable { directory, mode: before.mode() & 0o7777, group: Gid::from_raw(before.gid()) };
        it.set(group, it.mode & !0o070 | 0o010);
        Ok(Some(it))
    }

    /// Sets group and mode. If this fails, CRIU reports that it cannot read the images.
    fn set(&self, group: Gid, mode: u32) {
        let _ = std::os::unix::fs::fchown(&self.directory, None, Some(group.as_raw()));
        let _ = self.directory.set_permissions(Permissions::from_mode(mode));
    }
}

impl Drop for Searchable {
    fn drop(&mut self) {
        self.set(self.group, self.mode);
    }
}
