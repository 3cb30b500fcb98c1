//! Starts a process that joins a running container.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use anyhow::{Result, bail};

use super::converse::{Answers, Heard, converse};
use super::launch::{NotBorn, RunningInit, Stdio, Surroundings, launch};
use super::receivers::Receivers;
use super::relay::Terminal;
use super::wait::wait_for_exit;
use super::{agent, tree};
use crate::cgroup::ExecPlace;
use crate::init::op::{self, Op};
use crate::plan::ProcessPlan;
use crate::state::{NotRunning, Record, Status};
use crate::sys::clone::{Child, has_clone3};
use crate::sys::{self, Call};
use crate::trace;

/// A process that is about to join a container.
pub struct Joining<'a> {
    pub record: &'a Record,
    pub status: Status,
    pub plan: &'a ProcessPlan,
    /// The cgroup of the process, at or below the container's.
    pub place: &'a ExecPlace<'a>,
    /// Standard descriptors that replace the caller's.
    pub stdio: Stdio<'a>,
    /// The sockets that receive the terminal and the pidfd.
    pub receivers: &'a Receivers,
    /// Saves the id of a mount before the mount is attached.
    pub mounted: Option<&'a dyn Fn(u64) -> Result<()>>,
}

/// A process that has joined a container.
#[derive(Debug)]
pub struct JoinedProcess {
    /// The process, a child of the runtime.
    pub child: Child,
    /// The terminal, unless a console socket has received it.
    pub terminal: Option<Terminal>,
    /// Warnings about operations that were carried out in part.
    pub warnings: Vec<String>,
}

/// Whether the process must be moved into its cgroups after the clone: only the user's service manager may move it
/// there, or `clone3(2)` is missing, which starts it in a v2 cgroup.
pub fn attaches_late(record: &Record) -> bool {
    record.cgroup.unit().is_some_and(|unit| unit.user) || record.cgroup.path_for_v2().is_some() && !has_clone3()
}

/// Starts the process. If the v2 cgroup takes no processes, this uses the cgroup of the container's first process: a
/// container that manages its cgroup has moved its processes to cgroups below, and the kernel allows no process above
/// those.
fn start<'a>(joining: &Joining<'a>, process: BorrowedFd<'_>, around: Surroundings<'_>) -> Result<RunningInit<'a>> {
    let Joining { plan, place, .. } = joining;
    let mut entrance = place.open(process)?;
    let error = match launch(&plan.program, &Surroundings { cgroup: entrance.as_ref(), ..around }) {
        Err(error) => error,
        init => return init,
    };
    let Some(entrance) = entrance.as_mut().filter(|entrance| entrance.v2.is_some()) else { return Err(error) };
    match error.downcast_ref::<NotBorn>().and_then(|not_born| place.instead(process, not_born.errno)) {
        None => Err(error),
        leaf => {
            entrance.v2 = leaf;
            launch(&plan.program, &Surroundings { cgroup: Some(entrance), ..around })
        }
    }
}

/// Starts another process: for `exec`, or for a hook inside the container.
///
/// `before_running` gets the pid before the user's program runs, and writes the pid file.
pub fn exec(joining: &Joining<'_>, before_running: impl FnOnce(i32) -> Result<()>) -> Result<JoinedProcess> {
    let Joining { record, plan, place, stdio, .. } = joining;
    let process = sys::process::pidfd_open(record.pid).named("container init: pidfd_open")?;
    if !record.alive()? {
        bail!(NotRunning);
    }
    let trees = trace::work("open trees and devices", || tree::open(plan.program.slots(), || None))?;
    let around = Surroundings {
        process: Some(process.as_fd()),
        stdio: *stdio,
        trees: &trees,
        preserved: plan.preserved,
        ..Surroundings::default()
    };
    let mut init = start(joining, process.as_fd(), around)?;
    drop(trees);
    let follow = || -> Result<Heard> {
        if attaches_late(record) {
            let pid = nix::unistd::Pid::from_raw(init.child.pid);
            trace::wait("move init into the cgroup", || place.attach(process.as_fd(), pid))?;
            init.go_on()?;
        }
        let mut answers = Joins { joining, first: process.as_fd(), before_running: Some(before_running) };
        converse(&mut init, joining.receivers, false, &mut answers)
    };
    match follow() {
        Ok(Heard { warnings, terminal }) => Ok(JoinedProcess { child: init.child, terminal, warnings }),
        Err(error) => {
            init.kill();
            Err(error)
        }
    }
}

/// The answers to the `init` of a process that joins a container.
struct Joins<'a, F> {
    joining: &'a Joining<'a>,
    /// The container's first process.
    first: BorrowedFd<'a>,
    before_running: Option<F>,
}

impl<F: FnOnce(i32) -> Result<()>> Answers for Joins<'_, F> {
    fn ready(&mut self, init: &RunningInit<'_>) -> Result<()> {
        let Joining { plan, receivers, .. } = self.joining;
        // Without a mount namespace to join, init found the root by the pid of the first process. Check that the
        // process still lives: otherwise the pid may have been reused.
        let by_pid = plan.program.ops().iter().any(|op| matches!(op, Op::Rootfs(op::Rootfs::Open { .. })));
        if by_pid && wait_for_exit(self.first, Some(Duration::ZERO))? {
            bail!(NotRunning);
        }
        init.limit(&plan.limits)?;
        receivers.process("setns", init.child.pidfd.as_fd())?;
        self.before_running.take().map_or(Ok(()), |before_running| before_running(init.child.pid))
    }

    fn listener(&mut self, init: &RunningInit<'_>, listener: BorrowedFd<'_>) -> Result<()> {
        let Joining { record, status, plan, .. } = self.joining;
        let state = record.for_agent(plan.agent.as_ref(), *status, init.child.pid);
        trace::work("send the seccomp listener", || agent::hand_over(plan.agent.as_ref(), listener, &state))
    }

    fn mounted(&mut self, id: u64) -> Result<()> {
        self.joining.mounted.map_or(Ok(()), |write_down| write_down(id))
    }
}
