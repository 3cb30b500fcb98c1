//! The network namespace that is made while the container is planned.

use anyhow::Result;
use nix::sched::CloneFlags;
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::launch::Visit;
use crate::plan::{Birth, Caller};
use crate::spec::{Config, path_of};
use crate::sys::ahead::NewNetwork;

const NETWORK: u64 = CloneFlags::CLONE_NEWNET.bits() as u64;
const USER: u64 = CloneFlags::CLONE_NEWUSER.bits() as u64;

/// A network namespace in the making, if the config asks for a new one.
#[derive(Debug, Default)]
pub struct Ahead(Option<NewNetwork>);

impl Ahead {
    /// Begins to make the namespace before the config is parsed, if its text looks as if it asks for one. A wrong guess
    /// costs time only.
    pub fn guess(&mut self, text: &[u8], caller: &Caller) {
        if caller.is_privileged() && std::str::from_utf8(text).is_ok_and(asks_for_network) {
            self.begin();
        }
    }

    /// Begins to make the namespace if the config asks for one and it was not guessed. With a user namespace the clone
    /// makes it, because it must belong to that one.
    pub fn begin_if_asked(&mut self, config: &Config, caller: &Caller) {
        let namespaces = config.namespaces();
        let new = namespaces.iter().any(|entry| entry.typ() == Kind::Network && path_of(entry).is_none());
        let user = namespaces.iter().any(|entry| entry.typ() == Kind::User);
        if self.0.is_none() && new && !user && caller.is_privileged() {
            self.begin();
        }
    }

    /// Without a helper the clone makes the namespace, and reports why it cannot.
    fn begin(&mut self) {
        self.0 = NewNetwork::begin().ok();
    }

    /// Enters the namespace for the time of the clone, unless the guess was wrong. Returns the namespaces that the clone
    /// still has to make.
    ///
    /// # Errors
    /// The error of `setns(2)`.
    pub fn enter(self, birth: &Birth, visit: &mut Visit) -> Result<u64> {
        let guessed_well = birth.new & (NETWORK | USER) == NETWORK;
        match self.0.filter(|_| guessed_well).map(NewNetwork::finish) {
            Some(Ok(networks)) => {
                visit.enter(networks.new, networks.own, CloneFlags::CLONE_NEWNET)?;
                Ok(birth.new & !NETWORK)
            }
            _ => Ok(birth.new),
        }
    }
}

/// Whether the text of a config has a list of namespaces in which no entry has a path, with a network and without a user
/// namespace.
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
