//! The connection between the caller and a new process: sockets, pipes, a terminal.

use anyhow::{Result, bail};
use oci_spec::runtime::Process;

use crate::cli::{CreateArgs, Global};
use crate::executor::{Connections, Pipes, Receivers, Relay, Terminal};
use crate::spec::{Config, annotation, refuse};
use crate::trace;

/// The options of the command line about the caller's side of a process.
#[derive(Clone, Copy, Debug)]
pub struct FrontOptions<'a> {
    /// The name that the runtime was called by, for messages.
    pub program: &'a str,
    /// `--console-socket`.
    pub console: Option<&'a str>,
    /// `--pidfd-socket`.
    pub pidfd: Option<&'a str>,
    /// The runtime does not wait for the process.
    pub detach: bool,
}

impl<'a> FrontOptions<'a> {
    /// The options of `create`, which never waits for the process.
    pub fn of(global: &'a Global, args: &'a CreateArgs) -> FrontOptions<'a> {
        FrontOptions {
            program: &global.name,
            console: args.console_socket.as_deref(),
            pidfd: args.pidfd_socket.as_deref(),
            detach: true,
        }
    }
}

#[derive(Debug)]
pub struct Front {
    receivers: Receivers,
    /// Only if the runtime waits for the process and the process has no terminal.
    pipes: Option<Pipes>,
}

impl Front {
    /// Connects to the sockets that the command line and the annotation name, and makes the pipes; `config` is the
    /// container's.
    ///
    /// # Errors
    /// A terminal without a holder, a console socket without a terminal, or a socket that does not answer.
    pub fn connect(caller: &FrontOptions<'_>, config: &Config, process: &Process) -> Result<Front> {
        let terminal = process.terminal() == Some(true);
        let FrontOptions { program: name, console, detach, .. } = *caller;
        if terminal && detach && console.is_none() {
            refuse!("process.terminal", "cannot allocate tty if {name} will detach without setting console socket");
        }
        if console.is_some() && !(terminal && detach) {
            bail!("--console-socket: cannot use console socket if {name} will not detach or allocate tty");
        }
        let option = caller.pidfd.map(|path| ("--pidfd-socket", path));
        let annotation = config.annotation(annotation::PIDFD_RECEIVER);
        let annotation = annotation.map(|path| (annotation::PIDFD_RECEIVER_FIELD, path));
        let pidfd = option.into_iter().chain(annotation);
        let receivers = trace::work("connect to the caller's sockets", || Receivers::connect(console, pidfd))?;
        let pipes = if detach || terminal { None } else { Some(Pipes::new(config.mapped_root())?) };
        Ok(Front { receivers, pipes })
    }

    /// The descriptors that the process starts with, and the sockets.
    pub fn connections(&self) -> Connections<'_> {
        let stdio = self.pipes.as_ref().map_or([None; 3], Pipes::theirs);
        Connections { stdio, receivers: &self.receivers }
    }

    /// Starts to copy between the caller and the process, if the runtime waits for the process.
    pub fn attend(self, terminal: Option<Terminal>) -> Result<Relay> {
        match (terminal, self.pipes) {
            (Some(terminal), _) => terminal.copy(),
            (None, Some(pipes)) => pipes.copy(),
            (None, None) => Ok(Relay::default()),
        }
    }
}
