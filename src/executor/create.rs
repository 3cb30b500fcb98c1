//! `create`: makes a container that waits for `start` from a plan.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use anyhow::{Context, Result, bail};
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::ahead::Ahead;
use super::converse::{Answers, Heard, converse};
use super::hooks::HookOwner;
use super::launch::{NotBorn, RunningInit, Stdio, Surroundings, launch, open_namespace};
use super::receivers::Receivers;
use super::relay::Terminal;
use super::visit::Visit;
use super::{agent, hooks, id_map, tree, union};
use crate::cgroup::Cgroup;
use crate::plan::{Facts, Maps, Options, Plan, Program};
use crate::spec::{Config, refuse};
use crate::state::{Directory, Namespaces, Place, Record, Status};
use crate::sys::clone::Child;
use crate::sys::{self, Call, CallError, Errno};
use crate::{network, rdt, trace};

/// Engines look for this text at the start of every failure of a container's first process.
const CHAIN: &str = "unable to start container process: error during container init";

#[derive(Debug)]
pub struct Created {
    /// The first process, a child of the runtime.
    pub child: Child,
    /// The record, as saved.
    pub record: Record,
    pub directory: Directory,
    /// The terminal, unless a console socket has received it.
    pub terminal: Option<Terminal>,
    /// Warnings about operations that were carried out in part.
    pub warnings: Vec<String>,
}

/// The connections of a process to the caller.
#[derive(Clone, Copy, Debug)]
pub struct Connections<'a> {
    /// Standard descriptors that replace the caller's.
    pub stdio: Stdio<'a>,
    /// The sockets that receive the terminal and the pidfd.
    pub receivers: &'a Receivers,
}

/// A container to create.
#[derive(Clone, Copy)]
pub struct Order<'a> {
    pub config: &'a Config,
    /// The bytes of the config, which the record keeps.
    pub text: &'a [u8],
    pub plan: &'a Plan,
    pub facts: &'a Facts,
    pub options: &'a Options,
    /// The path of the container's state directory.
    pub place: &'a Place,
    pub connections: Connections<'a>,
}

/// Without a pid namespace the other processes outlive the first one, and without a cgroup there is no list of them.
const UNKNOWN_PROCESSES: &str = "linux.namespaces: neither a pid namespace nor a cgroup of its own: only the container's \
     first process is known, the others may outlive it. Such configuration is strongly discouraged";

/// Creates a container. A failure undoes every step.
///
/// `before_running` is called when everything is set up and, without a gate, just before the user's program runs. It
/// writes the pid file and runs the `startContainer` hooks.
pub fn create(
    order: &Order<'_>,
    mut ahead: Ahead,
    before_running: impl FnOnce(&Record, &Directory) -> Result<()>,
) -> Result<Created> {
    let Order { plan, options, connections, .. } = *order;
    trace::work("check the root", || check_root(&plan.rootfs))?;
    union::check(plan.union.as_ref())?;
    let record = Record::new(&options.id)?;
    let directory = trace::work("make the state directory", || order.place.create())?;
    let mut work = begin(order, record, &directory)?;
    let gate = if options.gate { Some(trace::work("make the gate", || directory.make_gate())?) } else { None };
    let mounts = || ahead.mounts();
    let trees = trace::work("open trees and devices", || tree::open(plan.program.slots(), mounts)).context(CHAIN)?;
    let entrance = work.record.cgroup.entrance()?;
    let mut init = {
        let mut visit = Visit::default();
        let around = Surroundings {
            namespaces: trace::wait("wait for the network namespace", || ahead.enter(&plan.birth, &mut visit))?,
            cgroup: entrance.as_ref(),
            gate: gate.as_ref().map(|fd| fd.as_fd()),
            stdio: connections.stdio,
            trees: &trees,
            preserved: options.preserve_fds,
            ..Surroundings::default()
        };
        for joined in &plan.birth.joined {
            let namespace = open_namespace(&joined.path, joined.flag, &joined.field, joined.claim.as_ref())?;
            visit.join(namespace.as_fd(), joined.flag).with_context(|| format!("{}.path", joined.field))?;
        }
        if let Some(offsets) = &plan.birth.time {
            visit.new_time(offsets)?;
        }
        launch_there(&plan.program, &around, &work.record.cgroup).context(CHAIN)?
    };
    let born_there = entrance.is_some();
    work.claim = entrance.and_then(|entrance| entrance.v2);
    drop((gate, trees));
    match bring_up(&mut init, &mut work, born_there, order, before_running)
        .and_then(|done| work.finish().map(|()| done))
    {
        Ok(Heard { mut warnings, terminal }) => {
            let record = work.take();
            if !record.namespaces.pid && record.cgroup.host_dirs().is_empty() {
                warnings.push(UNKNOWN_PROCESSES.to_owned());
            }
            Ok(Created { child: init.child, record, directory, terminal, warnings })
        }
        Err(error) => {
            init.kill();
            Err(oom_or(error, &work.record.cgroup).context(CHAIN))
        }
    }
}

/// Starts a program in its cgroup. If the clone fails because the cgroup must be threaded, this makes it threaded and
/// tries again.
fn launch_there<'a>(program: &'a Program, around: &Surroundings<'_>, cgroup: &Cgroup) -> Result<RunningInit<'a>> {
    let error = match launch(program, around) {
        Err(error) => error,
        init => return init,
    };
    match error.downcast_ref::<NotBorn>().filter(|_| around.cgroup.is_some()).map(|not_born| not_born.errno) {
        Some(Errno::EOPNOTSUPP) if cgroup.become_threaded() => launch(program, around),
        Some(Errno::ENOMEM) if cgroup.refused_memory() => {
            Err(error.context("there is no memory for container init (memory limit too low?)"))
        }
        _ => Err(error),
    }
}

/// Creates everything that must exist before the process: the record in its directory, cgroups, RDT groups.
pub(crate) fn begin<'a>(order: &Order<'a>, mut record: Record, directory: &'a Directory) -> Result<Work<'a>> {
    let Order { config, text, plan, options, .. } = *order;
    fill(&mut record, config, plan, options);
    // The record is saved before the cgroup exists, so that `delete` finds what a killed `create` leaves. While the
    // record has no process, `delete` does not kill processes in that cgroup.
    record.cgroup = Cgroup::intended(&plan.cgroup);
    trace::work("write the first record", || directory.save_first(&record, text))?;
    let (moved, claim) = (network::Moved::default(), None);
    let mut work =
        Work { directory, text, record, made: false, claim, moved, hooks: false, gated: options.gate, undo: true };
    if options.notify.is_some() {
        directory.make_notify()?;
    }
    if let Some(union) = &plan.union {
        trace::work("make the writable layer", || union::make(union, &mut work.record))?;
    }
    work.record.cgroup = trace::work("make the cgroup", || Cgroup::create(&plan.cgroup, work.record.owner()))?;
    work.made = !plan.cgroup.is_scope();
    if let Some(rdt) = &plan.rdt {
        let make = || rdt::Groups::create(rdt, Path::new(rdt::RESCTRL));
        work.record.rdt = Some(trace::work("make the RDT groups", make)?);
        directory.save(&work.record, text)?;
    }
    Ok(work)
}

/// Adds a likely reason to an error: if `init` died without a message, the OOM killer has killed it.
fn oom_or(error: anyhow::Error, cgroup: &Cgroup) -> anyhow::Error {
    if cgroup.oom_kills() > 0 {
        return error.context("container init was OOM-killed (memory limit too low?)");
    }
    error
}

/// Everything created so far. Dropping it before `finish` rolls it back.
pub(crate) struct Work<'a> {
    /// The directory, locked until the container is complete.
    pub(crate) directory: &'a Directory,
    /// The text of the config, as the record keeps it.
    pub(crate) text: &'a [u8],
    pub(crate) record: Record,
    /// Whether the cgroup exists.
    made: bool,
    /// The cgroup in which the first process was started. While this descriptor is open, no other `create` takes over
    /// the cgroup.
    claim: Option<OwnedFd>,
    /// The network devices to move back to the host after a failure.
    pub(crate) moved: network::Moved,
    /// Whether the container waits for `start`.
    gated: bool,
    /// Whether hooks have run; if so, the poststop hooks must run too.
    pub(crate) hooks: bool,
    undo: bool,
}

impl Work<'_> {
    /// Moves a running process into the cgroup. With systemd this creates the cgroup.
    pub(crate) fn admit(&mut self, plan: &crate::cgroup::CgroupPlan, pid: i32) -> Result<()> {
        let pid = nix::unistd::Pid::from_raw(pid);
        trace::wait("move init into the cgroup", || self.record.cgroup.admit(plan, pid))?;
        self.made = true;
        trace::work("finish the cgroup", || Cgroup::settle(plan, pid, self.record.owner()))
    }

    /// Keeps everything, notes that the container is complete, and releases the lock.
    ///
    /// # Errors
    /// The lock cannot be released.
    pub(crate) fn finish(&mut self) -> Result<()> {
        trace::work("release the lock", || self.directory.complete(self.gated))?;
        self.undo = false;
        Ok(())
    }

    /// Removes RDT groups and cgroups. Only the record lists them, so it stays if this fails.
    fn remove_groups(&self) -> Result<()> {
        let Record { rdt, cgroup, namespaces, .. } = &self.record;
        rdt.as_ref().map_or(Ok(()), rdt::Groups::remove)?;
        if !self.made {
            return Ok(());
        }
        if !namespaces.pid {
            cgroup.kill_all(nix::sys::signal::Signal::SIGKILL)?;
        }
        cgroup.remove()
    }

    /// Removes all that was made on the host, but the state directory.
    fn remove_all(&self) -> Result<()> {
        self.remove_groups()?;
        union::remove(&self.record)
    }

    /// The record of the complete container.
    pub(crate) fn take(mut self) -> Record {
        std::mem::take(&mut self.record)
    }

    /// Saves the process. From now on other commands find it.
    pub(crate) fn remember(&mut self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        self.record.set_process(pid, pidfd)?;
        trace::work("write the record", || self.directory.save(&self.record, self.text))
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if !self.undo {
            return;
        }
        self.moved.go_back();
        if self.remove_all().is_ok() {
            let _ = self.directory.remove();
        }
        if self.hooks {
            let _ = hooks::poststop(&self.record);
        }
    }
}

/// Checks that the root is a directory, and that no component of its path is a symbolic link. One openat2(2) checks
/// both.
pub(crate) fn check_root(rootfs: &Path) -> Result<()> {
    use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    let shown = rootfs.display();
    match openat2(AT_FDCWD, rootfs, how) {
        Ok(_) => Ok(()),
        Err(Errno::ELOOP) => refuse!("root.path", "invalid rootfs: not an absolute path, or a symlink"),
        Err(Errno::ENOTDIR) => refuse!("root.path", "invalid rootfs: {shown} is not a directory"),
        Err(errno @ (Errno::ENOSYS | Errno::EPERM)) => {
            bail!(CallError::new("root.path: openat2(2) is not available, which keeps paths within the root", errno))
        }
        Err(errno) => bail!(CallError::new(format_args!("root.path: invalid rootfs: stat {shown}"), errno)),
    }
}

fn fill(record: &mut Record, config: &Config, plan: &Plan, options: &Options) {
    record.bundle = options.bundle.clone();
    record.config_file = options.config_file.clone();
    record.rootfs = plan.rootfs.clone();
    record.hooks = plan.hooks.clone();
    record.union = plan.union.as_ref().map(union::intended);
    record.namespaces = Namespaces { pid: config.makes(Kind::Pid), user: config.has(Kind::User) };
    let annotations = config.annotations().into_iter().flatten();
    record.annotations = annotations.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>();
}

/// Does the steps that only the runtime can do for a running process: cgroups that the process was not started in, id
/// maps, the OOM score. `init` waits for them where the order matters.
fn adopt(init: &RunningInit<'_>, work: &mut Work<'_>, born_there: bool, order: &Order<'_>) -> Result<()> {
    let Order { plan, facts, .. } = *order;
    let pid = init.child.pid;
    if !born_there {
        work.admit(&plan.cgroup, pid)?;
    }
    if let Some(maps) = &plan.birth.maps {
        trace::work("write the id maps", || id_map::write(&facts.caller, pid, maps))?;
    }
    if let Some(score) = plan.oom_score_adj {
        trace::work("write the OOM score", || set_oom_score(pid, score))?;
    }
    if let Some(groups) = &work.record.rdt {
        trace::work("move init into the RDT groups", || groups.attach(pid))?;
    }
    if plan.birth.waits {
        init.go_on()?;
    }
    Ok(())
}

/// Writes `process.oomScoreAdj` of a process.
fn set_oom_score(pid: i32, score: i32) -> Result<()> {
    sys::proc::write_newborn(pid, "oom_score_adj", &score.to_string())
        .named(format_args!("process.oomScoreAdj: write oom_score_adj {score}"))
}

/// The answers to the `init` of a container's first process.
struct FirstProcess<'a, 'w, F> {
    work: &'a mut Work<'w>,
    order: &'a Order<'a>,
    /// The maps that a joined user namespace must have. `None` once they are checked.
    expected: Option<&'a Maps>,
    before_running: Option<F>,
}

fn bring_up(
    init: &mut RunningInit<'_>,
    work: &mut Work<'_>,
    born_there: bool,
    order: &Order<'_>,
    before_running: impl FnOnce(&Record, &Directory) -> Result<()>,
) -> Result<Heard> {
    let Order { plan, options, connections, .. } = *order;
    adopt(init, work, born_there, order)?;
    if !plan.birth.forks {
        work.remember(init.child.pid, init.child.pidfd.as_fd())?;
    }
    let expected = plan.birth.expected.as_ref();
    let mut answers = FirstProcess { work, order, expected, before_running: Some(before_running) };
    converse(init, connections.receivers, options.gate, &mut answers)
}

impl<F> FirstProcess<'_, '_, F> {
    /// `init` has joined its user namespace before it asks for anything.
    fn check_maps(&mut self, init: &RunningInit<'_>) -> Result<()> {
        self.expected.take().map_or(Ok(()), |maps| id_map::check(init.child.pid, maps))
    }

    fn remember(&mut self, init: &RunningInit<'_>) -> Result<()> {
        if self.work.record.pid == init.child.pid {
            Ok(())
        } else {
            self.work.remember(init.child.pid, init.child.pidfd.as_fd())
        }
    }
}

impl<F: FnOnce(&Record, &Directory) -> Result<()>> Answers for FirstProcess<'_, '_, F> {
    fn ready(&mut self, init: &RunningInit<'_>) -> Result<()> {
        self.check_maps(init)?;
        self.remember(init)?;
        init.limit(&self.order.plan.limits)?;
        self.order.connections.receivers.process("standard", init.child.pidfd.as_fd())?;
        match self.before_running.take() {
            Some(before_running) => before_running(&self.work.record, self.work.directory),
            None => Ok(()),
        }
    }

    fn listener(&mut self, init: &RunningInit<'_>, listener: BorrowedFd<'_>) -> Result<()> {
        self.remember(init)?;
        let agent = self.order.plan.agent.as_ref();
        let state = self.work.record.for_agent(agent, Status::Creating, init.child.pid);
        trace::work("send the seccomp listener", || agent::hand_over(agent, listener, &state))
    }

    fn hooks(&mut self, init: &RunningInit<'_>) -> Result<()> {
        self.check_maps(init)?;
        let Order { config, plan, facts, options, .. } = *self.order;
        if plan.birth.forks {
            self.work.remember(init.child.pid, init.child.pidfd.as_fd())?;
        }
        self.work.hooks = true;
        let owner = HookOwner { record: &self.work.record, config, facts, options };
        hooks::before_pivot(&owner)
    }

    fn net_devices(&mut self, init: &RunningInit<'_>) -> Result<()> {
        self.check_maps(init)?;
        let move_in = || network::move_in(&self.order.plan.net_devices, init.child.pid);
        self.work.moved = trace::work("move network devices", move_in)?;
        Ok(())
    }
}
