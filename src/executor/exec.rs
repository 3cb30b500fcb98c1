//! Joining a running container.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Result, bail};

use super::launch::{NotBorn, RunningInit, Stdio, Surroundings, Waited, launch};
use super::receivers::Receivers;
use super::relay::Terminal;
use super::wait::wait_for_exit;
use super::{agent, tree};
use crate::cgroup::Place;
use crate::init::op::{self, Ask, Op};
use crate::plan::ProcessPlan;
use crate::state::{NotRunning, Record, Status};
use crate::sys::clone::{Child, has_clone3};
use crate::sys::{self, Call};

/// What joins which container.
pub struct Joining<'a> {
    /// The container.
    pub record: &'a Record,
    /// Its status.
    pub status: Status,
    /// How.
    pub plan: &'a ProcessPlan,
    /// The cgroup, within the container's.
    pub place: &'a Place<'a>,
    /// Standard descriptors in place of the caller's.
    pub stdio: Stdio<'a>,
    /// Sockets that receive its descriptors.
    pub receivers: &'a Receivers,
    /// Saves the id of a mount before the mount is attached.
    pub mounted: Option<&'a dyn Fn(u64) -> Result<()>>,
}

/// A process that has joined.
#[derive(Debug)]
pub struct JoinedProcess {
    /// The process, a child of the caller.
    pub child: Child,
    /// Its terminal, unless a console socket has received it.
    pub terminal: Option<Terminal>,
    /// Warnings: what was carried out only in part.
    pub warnings: Vec<String>,
}

/// Must a process be moved into the cgroups after the clone? On pure v2 it is born there, except where only the user's
/// service manager may move it or `clone3(2)` is missing.
pub fn attaches_late(record: &Record) -> bool {
    if record.cgroup.unit().is_some_and(|unit| unit.user) {
        return true;
    }
    record.cgroup.host_dirs().iter().any(|dir| !dir.controllers.is_empty() || !has_clone3())
}

/// Start the process. If the v2 cgroup takes no processes, use the cgroup of the container's first process: a container
/// that manages its cgroup has moved its processes below, and the kernel allows none above them.
fn start<'a>(joining: &Joining<'a>, process: BorrowedFd<'_>, around: Surroundings<'_>) -> Result<RunningInit<'a>> {
    let Joining { plan, place, .. } = joining;
    let leaf = place.open(process)?;
    let around = Surroundings { cgroup: leaf.as_ref().map(|fd| fd.as_fd()), ..around };
    let error = match launch(&plan.program, &around) {
        Err(error) if leaf.is_some() => error,
        other => return other,
    };
    match error.downcast_ref::<NotBorn>().and_then(|not_born| place.instead(process, not_born.errno)) {
        Some(leaf) => launch(&plan.program, &Surroundings { cgroup: Some(leaf.as_fd()), ..around }),
        None => Err(error),
    }
}

/// Run another process: `exec`, or a hook inside.
///
/// `before_running` gets the pid when all is set up; it writes the pid file.
pub fn exec(joining: &Joining<'_>, before_running: impl FnOnce(i32) -> Result<()>) -> Result<JoinedProcess> {
    let Joining { record, status, plan, place, stdio, receivers, mounted } = joining;
    let process = sys::process::pidfd_open(record.pid).named("container init")?;
    if !record.alive()? {
        bail!(NotRunning);
    }
    let trees = tree::open(plan.program.slots())?;
    let around = Surroundings {
        process: Some(process.as_fd()),
        stdio: *stdio,
        trees: &trees,
        preserved: plan.preserved,
        ..Surroundings::default()
    };
    let mut init = start(joining, process.as_fd(), around)?;
    drop(trees);
    let (mut warnings, mut terminal) = (Vec::new(), None);
    let mut before_running = Some(before_running);
    let mut follow = || -> Result<()> {
        if attaches_late(record) {
            let pid = nix::unistd::Pid::from_raw(init.child.pid);
            place.attach(process.as_fd(), pid)?;
            init.go_on()?;
        }
        loop {
            match init.next()? {
                Waited::Warning(text) => warnings.push(text),
                Waited::Terminal(opened) => terminal = receivers.terminal(opened)?,
                Waited::Listener(listener) => {
                    let state = record.for_agent(plan.agent.as_ref(), *status, init.child.pid);
                    agent::hand_over(plan.agent.as_ref(), listener.as_fd(), &state)?;
                    init.go_on()?;
                }
                Waited::Mounted(id) => {
                    mounted.map_or(Ok(()), |write_down| write_down(id))?;
                    init.go_on()?;
                }
                Waited::Ask(Ask::Ready) => {
                    // Without a mount namespace to join, init found the root by the pid of the first process, which
                    // must still live.
                    let by_pid =
                        plan.program.ops().iter().any(|op| matches!(op, Op::Mount(op::Mount::RootDirectory { .. })));
                    if by_pid && wait_for_exit(process.as_fd(), Some(Duration::ZERO))? {
                        bail!(NotRunning);
                    }
                    init.limit(&plan.limits)?;
                    receivers.process("setns", init.child.pidfd.as_fd())?;
                    if let Some(before_running) = before_running.take() {
                        before_running(init.child.pid)?;
                    }
                    init.go_on()?;
                }
                Waited::Closed if before_running.is_none() => return Ok(()),
                Waited::Closed => return Err(init.death()),
                Waited::Ask(Ask::Hooks | Ask::NetDevices) => {
                    bail!("init asks for what only a container's first process may ask")
                }
            }
        }
    };
    if let Err(error) = follow() {
        init.kill();
        return Err(error);
    }
    Ok(JoinedProcess { child: init.child, terminal, warnings })
}
