//! `prune`: remove the layers that nothing uses.

use anyhow::{Context, Result};

use super::log::Log;
use super::shared::{print, root, tell};
use crate::cli::{Global, PruneArgs};
use crate::host::Host;
use crate::image::prune::{ContainerInUse, Pruned, prune};
use crate::image::store::{Store, StoreUse};
use crate::image::user;

pub fn run(global: &Global, args: &PruneArgs, log: &Log) -> Result<()> {
    let caller = Host::read().caller;
    let path = args.store.clone().map_or_else(|| Store::usual(caller.is_privileged()), Ok)?;
    let root = root(global)?;
    // An ordinary user's layers have files of subordinate ids.
    let (_, warning) = user::enter(&caller)?;
    // The lock comes before the list of containers: a container that `run --image` creates now is in the list, or its
    // bundle is locked.
    let store = Store::open(&path, StoreUse::Alone)?;
    let mut containers = Vec::new();
    for id in root.ids().unwrap_or_default() {
        let Some(directory) = root.container(&id)?.open()? else { continue };
        let record = directory.load().with_context(|| format!("container {id}: its layers are unknown"))?;
        containers.extend(record.map(|record| ContainerInUse {
            bundle: record.bundle,
            layers: record.union.map(|union| union.layers).unwrap_or_default(),
        }));
    }
    let Pruned { layers, bytes, kept, bundles } = prune(&store, &containers)?;
    tell(log, warning);
    print(&format!("{layers} layers with {bytes} bytes and {bundles} bundles removed, {kept} layers in use\n"))
}
