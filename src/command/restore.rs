//! `restore`: bring a container back from the files of a checkpoint.

use anyhow::Result;

use super::Log;
use super::checkpoint::{settings, warn_rootless};
use super::create::{Prepared, prepare};
use super::front::Front;
use super::run::{end, remove};
use crate::cli::Invocation;
use crate::executor::criu::{Restore, restore};
use crate::executor::{Created, Order, forward_until_exit, prepare_to_wait};
use crate::plan::annotation;
use crate::plan::restore::Mounts;
use crate::spec;
use crate::state::Record;

/// The command. The result is the exit status.
pub fn run(invocation: &Invocation, log: &Log) -> Result<i32> {
    let detach = invocation.flag("detach");
    let prepared = prepare(invocation, log, false)?;
    warn_rootless(&prepared.host, "restore", invocation, log);
    let (_, extras) = spec::parse(&prepared.config)?;
    let mounts = Mounts::of(&prepared.spec, &extras, &prepared.host, &prepared.options)?;
    let text = |name| invocation.value(name).map(str::to_owned);
    let annotations = prepared.spec.annotations().as_ref();
    let it = Restore {
        settings: settings(invocation, annotations.and_then(|map| map.get(annotation::CRIU_CONFIG)))?,
        lsm_profile: text("lsm-profile"),
        lsm_mount_context: text("lsm-mount-context"),
    };
    let front = prepared.front(invocation, detach)?;
    if !detach {
        prepare_to_wait(!invocation.flag("no-subreaper"))?;
    }
    let mut created = bring_back(&it, &prepared, &front, &mounts)?;
    for warning in &created.warnings {
        log.warning(warning);
    }
    let mut relay = match front.attend(created.terminal.take()) {
        Ok(relay) => relay,
        Err(error) => {
            end(&prepared, &created, log)?;
            return Err(error);
        }
    };
    if detach {
        return Ok(0);
    }
    let status = forward_until_exit(&created.child, &mut relay)?;
    let removed = remove(&prepared, &created, log);
    relay.finish();
    removed.map(|()| status)
}

fn bring_back(it: &Restore, prepared: &Prepared, front: &Front, mounts: &Mounts) -> Result<Created> {
    let Prepared { config, spec, host, options, plan, directory, pid_file } = prepared;
    let order = Order { config, spec, host, options, plan, directory, connections: front.connections() };
    let write = |record: &Record| pid_file.as_ref().map_or(Ok(()), |file| file.write(record.pid));
    restore(it, &order, mounts, write).inspect_err(|_| {
        if let Some(file) = pid_file {
            file.remove();
        }
    })
}
