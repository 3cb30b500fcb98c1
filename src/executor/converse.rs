//! The runtime's side of the conversation with `init`: one loop for all processes of a container.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Result, bail};

use super::launch::{RunningInit, Waited};
use super::receivers::Receivers;
use super::relay::Terminal;
use crate::init::op::Ask;
use crate::trace;

/// The runtime's answers to `init`, for one kind of process.
pub trait Answers {
    /// Everything is set up: next, the user's program runs or `init` waits at the gate.
    fn ready(&mut self, init: &RunningInit<'_>) -> Result<()>;

    /// Sends the listener of the process's seccomp filter to the agent.
    fn listener(&mut self, init: &RunningInit<'_>, listener: BorrowedFd<'_>) -> Result<()>;

    /// Runs the hooks that run before `pivot_root`.
    fn hooks(&mut self, _: &RunningInit<'_>) -> Result<()> {
        bail!("only a container's first process may send this request")
    }

    /// Moves network devices into the network namespace of `init`.
    fn net_devices(&mut self, _: &RunningInit<'_>) -> Result<()> {
        bail!("only a container's first process may send this request")
    }

    /// Saves the id of a mount before the mount is attached.
    fn mounted(&mut self, _: u64) -> Result<()> {
        bail!("init has reported a mount of a container that does not run yet")
    }
}

/// The result of a conversation.
#[derive(Debug, Default)]
pub struct Heard {
    /// Warnings about operations that were carried out in part.
    pub warnings: Vec<String>,
    /// The terminal, unless a console socket has received it.
    pub terminal: Option<Terminal>,
}

/// Talks with `init` until the user's program runs or, with a `gate`, until `init` waits there.
///
/// # Errors
/// A failed operation of `init`, its death, or a failed answer.
pub fn converse(
    init: &mut RunningInit<'_>,
    receivers: &Receivers,
    gate: bool,
    answers: &mut impl Answers,
) -> Result<Heard> {
    let mut heard = Heard::default();
    let mut ready = false;
    loop {
        match init.next()? {
            Waited::Warning(text) => {
                heard.warnings.push(text);
                continue;
            }
            Waited::Terminal(opened) => {
                heard.terminal = receivers.terminal(opened)?;
                continue;
            }
            Waited::Closed if ready => return Ok(heard),
            Waited::Closed => return Err(init.death()),
            Waited::Listener(listener) => answers.listener(init, listener.as_fd())?,
            Waited::Mounted(id) => answers.mounted(id)?,
            Waited::Ask(Ask::Hooks) => answers.hooks(init)?,
            Waited::Ask(Ask::NetDevices) => answers.net_devices(init)?,
            Waited::Ask(Ask::Ready) => {
                trace::work("answer init: created", || answers.ready(init))?;
                ready = true;
            }
        }
        init.go_on()?;
        if ready && gate {
            init.at_gate();
            return Ok(heard);
        }
    }
}
