//! `SCMP_ACT_NOTIFY`: sends the listener of a seccomp filter to the agent, with the container process state
//! (runtime-spec, config-linux.md, "The Container Process State").

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use anyhow::{Result, anyhow};

use crate::plan::Agent;
use crate::sys::{self, Call};

/// Sends one message with the listener over one connection.
pub fn hand_over(agent: Option<&Agent>, listener: BorrowedFd<'_>, state: &[u8]) -> Result<()> {
    let agent =
        agent.ok_or_else(|| anyhow!("linux.seccomp: init has sent a listener that the profile does not ask for"))?;
    let field = &agent.field;
    let mut socket = sys::socket::connect(agent.socket.as_os_str(), UnixStream::connect_addr).named(format_args!(
        "{field}: failed to connect with seccomp agent specified in the seccomp profile: {}",
        agent.socket.display()
    ))?;
    let sent =
        sys::socket::send(socket.as_fd(), state, listener).named(format_args!("{field}: send the seccomp listener"))?;
    // The descriptor was sent with the first byte. A stream socket may accept only a part of a long state.
    let rest = state.get(sent..).unwrap_or_default();
    socket.write_all(rest).named(format_args!("{field}: send the container process state"))
}
