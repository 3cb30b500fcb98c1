//! The namespaces that are made while the container is planned.

use anyhow::Result;
use nix::sched::CloneFlags;
use oci_spec::runtime::LinuxNamespaceType;

use super::visit::Visit;
use crate::plan::{Birth, Caller, binds};
use crate::spec::{Config, path_of};
use crate::sys::ahead::{AheadKind, NewAndOwn, NewNamespace};

const NETWORK: u64 = CloneFlags::CLONE_NEWNET.bits() as u64;
const USER: u64 = CloneFlags::CLONE_NEWUSER.bits() as u64;

/// The namespaces in the making.
#[derive(Debug, Default)]
pub struct Ahead {
    /// If the config asks for a new network namespace.
    network: Option<NewNamespace>,
    /// If bind mounts are opened for a user namespace.
    mounts: Option<NewNamespace>,
}

impl Ahead {
    /// Begins to make the network namespace before the config is parsed, if its text looks as if it asks for one. A
    /// wrong guess costs time only.
    pub fn guess(&mut self, text: &[u8], caller: &Caller) {
        if caller.is_privileged() && std::str::from_utf8(text).is_ok_and(asks_for_network) {
            self.network = begin(AheadKind::Network);
        }
    }

    /// Begins to make the namespaces that the config asks for and that were not guessed. With a user namespace the
    /// clone makes the network namespace, because it must belong to that one.
    pub fn begin_if_asked(&mut self, config: &Config, caller: &Caller) {
        use LinuxNamespaceType::{Mount, Network, User};
        if !caller.is_privileged() {
            return;
        }
        let new = |it| config.namespaces().iter().any(|entry| entry.typ() == it && path_of(entry).is_none());
        if !config.has(User) {
            if self.network.is_none() && new(Network) {
                self.network = begin(AheadKind::Network);
            }
        } else if config.has(Mount) && config.mounts().iter().any(binds) {
            self.mounts = begin(AheadKind::LockedMounts);
        }
    }

    /// The mount namespace in which trees for a user namespace are opened, if it was made.
    pub fn mounts(&mut self) -> Option<NewAndOwn> {
        self.mounts.take()?.finish().ok()
    }

    /// Enters the network namespace for the time of the clone, unless the guess was wrong. Returns the namespaces that
    /// the clone still has to make.
    ///
    /// # Errors
    /// The error of `setns(2)`.
    pub fn enter(self, birth: &Birth, visit: &mut Visit) -> Result<u64> {
        let guessed_well = birth.new & (NETWORK | USER) == NETWORK;
        match self.network.filter(|_| guessed_well).map(NewNamespace::finish) {
            Some(Ok(networks)) => {
                visit.enter(networks.new, networks.own, CloneFlags::CLONE_NEWNET)?;
                Ok(birth.new & !NETWORK)
            }
            _ => Ok(birth.new),
        }
    }
}

/// Without a helper, the step that needs the namespace makes it, and reports why it cannot.
fn begin(kind: AheadKind) -> Option<NewNamespace> {
    NewNamespace::begin(kind).ok()
}

/// Whether the text of a config has a list of namespaces in which no entry has a path, with a network and without a
/// user namespace.
fn asks_for_network(text: &str) -> bool {
    let list = text.find("\"namespaces\"").map(|at| &text[at..]);
    let list = list.and_then(|rest| rest.split_once(']')).map(|(list, _)| list);
    list.is_some_and(|list| {
        list.contains("\"network\"") && !["\"user\"", "\"path\""].iter().any(|other| list.contains(other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_look_as_if_they_ask_for_a_network() {
        let text = |list: &str| format!(r#"{{"linux": {{"namespaces": [{list}], "x": "user"}}}}"#);
        for (list, asks) in [
            (r#"{"type": "network"}, {"type": "pid"}"#, true),
            (r#"{"type": "pid"}"#, false),
            (r#"{"type": "network"}, {"type": "user"}"#, false),
            (r#"{"type": "network", "path": "/x"}"#, false),
            ("", false),
        ] {
            assert_eq!(asks_for_network(&text(list)), asks, "{list}");
        }
        assert!(!asks_for_network("{}") && !asks_for_network(r#"{"namespaces": [{"type": "network"}"#));
    }
}
