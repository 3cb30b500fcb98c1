//! The network namespace that is made while the container is planned.

use anyhow::Result;
use nix::sched::CloneFlags;
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::launch::Visit;
use crate::plan::{Birth, Caller};
use crate::spec::{Config, path_of};
use crate::sys::ahead::NewNetwork;

const NETWORK: u64 = CloneFlags::CLONE_NEWNET.bits() as u64;

/// A network namespace in the making, if the config asks for a new one.
#[derive(Debug, Default)]
pub struct Ahead(Option<NewNetwork>);

impl Ahead {
    /// Begins to make the namespace. Not if there is a user namespace, to which a new network namespace must belong.
    /// Without a helper the clone makes the namespace, and reports why it cannot.
    pub fn begin(config: &Config, caller: &Caller) -> Ahead {
        let namespaces = config.namespaces();
        let new = namespaces.iter().any(|entry| entry.typ() == Kind::Network && path_of(entry).is_none());
        let user = namespaces.iter().any(|entry| entry.typ() == Kind::User);
        let wanted = new && !user && caller.is_privileged();
        Ahead(wanted.then(NewNetwork::begin).and_then(Result::ok))
    }

    /// Enters the namespace for the time of the clone. Returns the namespaces that the clone still has to make.
    ///
    /// # Errors
    /// The error of `setns(2)`.
    pub fn enter(self, birth: &Birth, visit: &mut Visit) -> Result<u64> {
        match self.0.filter(|_| birth.new & NETWORK != 0).map(NewNetwork::finish) {
            Some(Ok(networks)) => {
                visit.enter(networks.new, networks.own, CloneFlags::CLONE_NEWNET)?;
                Ok(birth.new & !NETWORK)
            }
            _ => Ok(birth.new),
        }
    }
}
