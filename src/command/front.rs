//! How a new process is connected with whoever calls: sockets, pipes, a terminal.

use anyhow::{Result, bail};
use oci_spec::runtime::Process;

use crate::cli::{CreateArgs, Global};
use crate::executor::{Connections, Pipes, Receivers, Relay, Terminal};
use crate::spec::{Config, annotation, refuse};

/// The command line's words about the caller's side of a process.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The name of the program, for messages.
    pub program: &'a str,
    /// `--console-socket`.
    pub console: Option<&'a str>,
    /// `--pidfd-socket`.
    pub pidfd: Option<&'a str>,
    /// It does not wait for the process.
    pub detach: bool,
}

impl<'a> Caller<'a> {
    /// The caller of `create`, which never waits for the process.
    pub fn of(global: &'a Global, args: &'a CreateArgs) -> Caller<'a> {
        Caller {
            program: &global.name,
            console: args.console_socket.as_deref(),
            pidfd: args.pidfd_socket.as_deref(),
            detach: true,
        }
    }
}

/// The caller's side of a process.
#[derive(Debug)]
pub struct Front {
    receivers: Receivers,
    /// Only where the caller stays, and there is no terminal.
    pipes: Option<Pipes>,
}

impl Front {
    /// Connect what the command line asks for; `config` is the container's.
    ///
    /// # Errors
    /// A terminal that nobody would hold, a socket that waits for none, or that does not answer.
    pub fn connect(caller: &Caller<'_>, config: &Config, process: &Process) -> Result<Front> {
        let terminal = process.terminal() == Some(true);
        let Caller { program: name, console, detach, .. } = *caller;
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
        let receivers = Receivers::connect(console, pidfd)?;
        let pipes = if detach || terminal { None } else { Some(Pipes::new(config.mapped_root())?) };
        Ok(Front { receivers, pipes })
    }

    /// What the process is started with.
    pub fn connections(&self) -> Connections<'_> {
        let stdio = self.pipes.as_ref().map_or([None; 3], Pipes::theirs);
        Connections { stdio, receivers: &self.receivers }
    }

    /// Begin to copy, for a caller that stays.
    pub fn attend(self, terminal: Option<Terminal>) -> Result<Relay> {
        match (terminal, self.pipes) {
            (Some(terminal), _) => terminal.copy(),
            (None, Some(pipes)) => pipes.copy(),
            (None, None) => Ok(Relay::default()),
        }
    }
}
