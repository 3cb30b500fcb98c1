//! `restore`: make a container from the files of a checkpoint.

use anyhow::Result;

use super::checkpoint::{settings, warn_rootless};
use super::create::{make, prepare};
use super::front::FrontOptions;
use super::log::Log;
use super::run::{AtEnd, end, stay};
use super::shared::Begin;
use crate::cli::{CreateArgs, Global, RestoreArgs};
use crate::criu::{Restore, restore};
use crate::executor::{Orphans, prepare_to_wait};
use crate::plan::restore::Mounts;
use crate::spec::annotation;

pub fn run(global: &Global, args: &RestoreArgs, log: &Log) -> Result<i32> {
    let detach = args.detach;
    let create = created(args);
    let prepared = prepare(global, &create, log, Begin::AtOnce, None)?;
    warn_rootless(&prepared.facts.caller, "restore", global, log);
    let mounts = Mounts::of(&prepared.config, &prepared.facts, &prepared.options)?;
    let it = Restore {
        settings: settings(global, &args.criu, prepared.config.annotation(annotation::CRIU_CONFIG))?,
        lsm_profile: args.lsm_profile.clone(),
        lsm_mount_context: args.lsm_mount_context.clone(),
    };
    let front = prepared.front(&FrontOptions { detach, ..FrontOptions::of(global, &create) })?;
    if !detach {
        prepare_to_wait(Orphans::of(args.no_subreaper))?;
    }
    let mut created = make(&prepared, &front, log, |order, pid_file| restore(&it, order, &mounts, pid_file))?;
    let relay = front.attend(created.terminal.take()).map_err(|error| end(&created, error, log))?;
    if detach {
        return Ok(0);
    }
    stay(&created, relay, AtEnd::Remove, log)
}

/// The options of `create` for an empty container, which CRIU fills.
fn created(args: &RestoreArgs) -> CreateArgs {
    CreateArgs {
        id: args.id.clone(),
        bundle_argument: args.bundle_argument.clone(),
        bundle: args.bundle.clone(),
        console_socket: args.console_socket.clone(),
        pid_file: args.pid_file.clone(),
        no_pivot: args.no_pivot,
        ..CreateArgs::default()
    }
}
