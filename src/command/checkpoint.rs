//! `checkpoint`: write a running container to files. The container ends unless an option keeps it running.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::log::Log;
use super::shared::{joining_options, root, tell};
use crate::cli::{CheckpointArgs, CriuArgs, Global};
use crate::criu::{CgroupsMode, Checkpoint, Settings, checkpoint};
use crate::executor::discard;
use crate::host::Host;
use crate::plan::Caller;
use crate::plan::restore::Mounts;
use crate::spec::annotation;
use crate::state::Status;

/// Directory of the images, relative to the working directory, if `--image-path` is absent.
const IMAGES: &str = "checkpoint";

pub fn run(global: &Global, args: &CheckpointArgs, log: &Log) -> Result<()> {
    let (directory, record) = root(global)?.load(&args.id)?;
    let host = Host::read();
    warn_rootless(&host.caller, "checkpoint", global, log);
    match record.status(&directory)? {
        Status::Running | Status::Paused => {}
        status => bail!("Container cannot be checkpointed in {status} state"),
    }
    let config = directory.load_config()?;
    let orders = Checkpoint {
        settings: settings(global, &args.criu, record.annotations.get(annotation::CRIU_CONFIG).map(String::as_str))?,
        parent: parent(args)?,
        leave_running: args.leave_running,
        pre_dump: args.pre_dump,
        tcp_skip_in_flight: args.tcp_skip_in_flight,
        link_remap: args.link_remap,
        status_fd: status_fd(args)?,
        page_server: page_server(args)?,
    };
    let mut options = joining_options(global, &host, &record.id, record.bundle.clone());
    options.notify = Some(directory.notify()).filter(|place| place.is_dir());
    options.layers = record.union.as_ref().map(|it| it.layers.clone()).unwrap_or_default();
    let facts = host.facts(&config, &options)?;
    let mounts = Mounts::of(&config, &facts, &options)?;
    checkpoint(&orders, &record, &config, &mounts)?;
    if orders.leave_running || orders.pre_dump {
        return Ok(());
    }
    tell(log, discard(&record, &directory)?);
    Ok(())
}

/// Warns a caller without root's rights: CRIU does most of its work only for root.
pub fn warn_rootless(caller: &Caller, verb: &str, global: &Global, log: &Log) {
    if !caller.is_privileged() {
        log.warning(&format!("{} {verb} is untested with rootless containers", global.name));
    }
}

/// Turns the options that `checkpoint` and `restore` share, and the container's annotation `org.criu.config`, into the
/// settings of CRIU.
pub fn settings(global: &Global, args: &CriuArgs, config: Option<&str>) -> Result<Settings> {
    let cgroups = match args.manage_cgroups_mode.as_deref() {
        None | Some("soft") => CgroupsMode::Soft,
        Some("full") => CgroupsMode::Full,
        Some("strict") => CgroupsMode::Strict,
        Some("ignore") => CgroupsMode::Ignore,
        Some(other) => bail!("--manage-cgroups-mode: \"{other}\" is none of soft, full, strict, ignore"),
    };
    if let Some(name) = args.empty_ns.iter().find(|name| *name != "network") {
        bail!("namespace {name:?} is not supported");
    }
    let path = |path: &Option<PathBuf>| path.as_deref().map(std::path::absolute).transpose();
    // CRIU treats a missing file like an empty one.
    let default = || format!("/etc/criu/{}.conf", global.name);
    Ok(Settings {
        images: path(&args.image_path)?.map_or_else(|| std::path::absolute(IMAGES), Ok)?,
        work: path(&args.work_path)?,
        tcp_established: args.tcp_established,
        tcp_close: args.tcp_close,
        ext_unix_sk: args.ext_unix_sk,
        shell_job: args.shell_job,
        file_locks: args.file_locks,
        auto_dedup: args.auto_dedup,
        lazy_pages: args.lazy_pages,
        cgroups,
        empty_network: !args.empty_ns.is_empty(),
        config: config.map_or_else(|| Some(default()), |file| Some(file.to_owned()).filter(|file| !file.is_empty())),
    })
}

/// `--parent-path`. CRIU resolves it relative to the directory of the images, so that a user can move both together.
fn parent(args: &CheckpointArgs) -> Result<Option<PathBuf>> {
    if args.parent_path.as_deref().is_some_and(Path::is_absolute) {
        bail!("--parent-path must be relative");
    }
    Ok(args.parent_path.clone())
}

/// `--status-fd`; -1 means no descriptor.
fn status_fd(args: &CheckpointArgs) -> Result<Option<i32>> {
    Ok(args.status_fd.get()?.filter(|fd| *fd != -1))
}

fn page_server(args: &CheckpointArgs) -> Result<Option<(String, u16)>> {
    let Some(text) = &args.page_server else { return Ok(None) };
    let Some((address, port)) = text.rsplit_once(':').filter(|(address, _)| !address.is_empty()) else {
        bail!("Use --page-server ADDRESS:PORT to specify page server");
    };
    match port.parse() {
        Ok(port) if port > 0 => Ok(Some((address.to_owned(), port))),
        _ => bail!("--page-server: invalid port number {port:?}"),
    }
}
