//! `restore`: bring a container back from the files of a checkpoint.

use anyhow::Result;

use super::Log;
use super::checkpoint::{settings, warn_rootless};
use super::create::{make, prepare};
use super::run::{end, stay};
use crate::cli::Invocation;
use crate::criu::{Restore, restore};
use crate::executor::prepare_to_wait;
use crate::plan::restore::Mounts;
use crate::spec::annotation;

/// The command. The result is the exit status.
pub fn run(invocation: &Invocation, log: &Log) -> Result<i32> {
    let detach = invocation.flag("detach");
    let prepared = prepare(invocation, log, false)?;
    warn_rootless(&prepared.host, "restore", invocation, log);
    let mounts = Mounts::of(&prepared.spec, &prepared.extras, &prepared.host, &prepared.options)?;
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
    let mut created = make(&prepared, &front, log, |order, pid_file| restore(&it, order, &mounts, pid_file))?;
    let relay = front.attend(created.terminal.take()).map_err(|error| end(&created, error, log))?;
    if detach {
        return Ok(0);
    }
    stay(&created, relay, false, log)
}
