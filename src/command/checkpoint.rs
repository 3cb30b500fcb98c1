//! `checkpoint`: write a running container to files, and end it unless it is to go on.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

use super::{Log, joining_options, root, tell};
use crate::cli::Invocation;
use crate::criu::{CgroupsMode, Checkpoint, Settings, checkpoint};
use crate::executor::discard;
use crate::host::Host;
use crate::plan::restore::Mounts;
use crate::spec::annotation;
use crate::state::Status;

/// Where the images are by default.
const IMAGES: &str = "checkpoint";

/// The command.
pub fn run(invocation: &Invocation, log: &Log) -> Result<()> {
    let (directory, record) = root(&invocation.global)?.load(invocation.id())?;
    let host = Host::read();
    warn_rootless(&host, "checkpoint", invocation, log);
    match record.status(&directory)? {
        Status::Running | Status::Paused => {}
        status => bail!("Container cannot be checkpointed in {status} state"),
    }
    let (spec, extras) = directory.load_config()?;
    let orders = Checkpoint {
        settings: settings(invocation, record.annotations.get(annotation::CRIU_CONFIG))?,
        parent: parent(invocation)?,
        leave_running: invocation.flag("leave-running"),
        pre_dump: invocation.flag("pre-dump"),
        tcp_skip_in_flight: invocation.flag("tcp-skip-in-flight"),
        link_remap: invocation.flag("link-remap"),
        status_fd: status_fd(invocation)?,
        page_server: page_server(invocation)?,
    };
    let mut options = joining_options(&invocation.global, &host, &record.id, record.bundle.clone());
    options.notify = Some(directory.notify()).filter(|place| place.is_dir());
    let mounts = Mounts::of(&spec, &extras, &host, &options)?;
    checkpoint(&orders, &record, &spec, &mounts)?;
    if orders.leave_running || orders.pre_dump {
        return Ok(());
    }
    tell(log, discard(&record, &directory)?);
    Ok(())
}

/// CRIU does most of what it does only for root.
pub fn warn_rootless(host: &Host, verb: &str, invocation: &Invocation, log: &Log) {
    if !host.privileged() {
        log.warning(&format!("{} {verb} is untested with rootless containers", invocation.global.name));
    }
}

/// The options that `checkpoint` and `restore` share, and the annotation of the container.
pub fn settings(invocation: &Invocation, config: Option<&String>) -> Result<Settings> {
    let cgroups = match invocation.value("manage-cgroups-mode") {
        None | Some("soft") => CgroupsMode::Soft,
        Some("full") => CgroupsMode::Full,
        Some("strict") => CgroupsMode::Strict,
        Some("ignore") => CgroupsMode::Ignore,
        Some(other) => bail!("--manage-cgroups-mode: \"{other}\" is none of soft, full, strict, ignore"),
    };
    if let Some(name) = invocation.values("empty-ns").iter().find(|name| **name != "network") {
        bail!("namespace {name:?} is not supported");
    }
    let path = |name| invocation.value(name).map(std::path::absolute).transpose();
    // CRIU takes a file that is not there for an empty one.
    let default = || format!("/etc/criu/{}.conf", invocation.global.name);
    Ok(Settings {
        images: path("image-path")?.map_or_else(|| std::path::absolute(IMAGES), Ok)?,
        work: path("work-path")?,
        tcp_established: invocation.flag("tcp-established"),
        tcp_close: invocation.flag("tcp-close"),
        ext_unix_sk: invocation.flag("ext-unix-sk"),
        shell_job: invocation.flag("shell-job"),
        file_locks: invocation.flag("file-locks"),
        auto_dedup: invocation.flag("auto-dedup"),
        lazy_pages: invocation.flag("lazy-pages"),
        cgroups,
        empty_network: !invocation.values("empty-ns").is_empty(),
        config: config.map_or_else(|| Some(default()), |file| Some(file.clone()).filter(|file| !file.is_empty())),
    })
}

/// CRIU looks for it from the images on, so that both can be moved together.
fn parent(invocation: &Invocation) -> Result<Option<PathBuf>> {
    let parent = invocation.value("parent-path").map(Path::new);
    if parent.is_some_and(Path::is_absolute) {
        bail!("--parent-path must be relative");
    }
    Ok(parent.map(Path::to_owned))
}

fn status_fd(invocation: &Invocation) -> Result<Option<i32>> {
    match invocation.value("status-fd") {
        None | Some("-1") => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_| anyhow!("invalid value \"{text}\" for flag -status-fd: not a number"))
        }
    }
}

fn page_server(invocation: &Invocation) -> Result<Option<(String, u16)>> {
    let Some(text) = invocation.value("page-server") else { return Ok(None) };
    let Some((address, port)) = text.rsplit_once(':').filter(|(address, _)| !address.is_empty()) else {
        bail!("Use --page-server ADDRESS:PORT to specify page server");
    };
    match port.parse() {
        Ok(port) if port > 0 => Ok(Some((address.to_owned(), port))),
        _ => bail!("--page-server: invalid port number {port:?}"),
    }
}
