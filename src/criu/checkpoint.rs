//! `checkpoint`: writes a running container to a directory of images.

use std::io::ErrorKind;
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::messages::{CriuOptions, CriuPageServer, RequestKind};
use super::mounts::{ContainerRoot, options, points, to_leave_out};
use super::worker::Worker;
use super::{DESCRIPTORS, Settings, explained, find_criu, make_directory};
use crate::plan::restore::Mounts;
use crate::spec::Config;
use crate::state::{NotRunning, Record};
use crate::sys::{self, Call};
use crate::tables::namespace;
use anyhow::{Result, bail};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use oci_spec::runtime::LinuxNamespaceType as Kind;

#[derive(Debug)]
pub struct Checkpoint {
    /// The options that `checkpoint` and `restore` share.
    pub settings: Settings,
    /// `--parent-path`, relative to the images.
    pub parent: Option<PathBuf>,
    pub leave_running: bool,
    pub pre_dump: bool,
    pub tcp_skip_in_flight: bool,
    pub link_remap: bool,
    pub status_fd: Option<RawFd>,
    /// `--page-server`: address and port.
    pub page_server: Option<(String, u16)>,
}

/// Writes the images. Afterwards the processes are dead, unless an option keeps them running.
///
/// # Errors
/// The error of CRIU, with the last errors of its log. The container continues to run.
pub fn checkpoint(it: &Checkpoint, record: &Record, config: &Config, mounts: &Mounts) -> Result<()> {
    let criu = find_criu()?;
    if let Some(fd) = it.status_fd {
        check_status_fd(fd)?;
    }
    make_directory(&it.settings.images)?;
    if let Some(parent) = &it.parent {
        let path = it.settings.images.join(parent);
        std::fs::metadata(&path).named(format_args!("invalid --parent-path: {}", path.display()))?;
    }
    let (mut request, directories) = it.settings.request("dump.log", "", record)?;
    it.fill(&mut request, record, mounts);
    externals(&mut request, record, config, mounts, it.pre_dump)?;
    if !it.pre_dump {
        save_descriptors(&mut request, record, &it.settings.images)?;
    }
    let mut worker = Worker::apart(&criu)?;
    worker.check_version()?;
    it.check_features(&mut worker)?;
    // The code above has read facts by pid, and CRIU uses the pid, so check that it has not been reused.
    if !record.alive()? {
        bail!(NotRunning);
    }
    let kind = if it.pre_dump { RequestKind::PreDump } else { RequestKind::Dump };
    let done = worker.carry_out(kind, request, |notice| {
        if let (Some(fd), "status-ready") = (it.status_fd, notice.script.as_str()) {
            // The reader may have exited, which is no error.
            let _ = nix::unistd::write(sys::process::borrow(fd), &[0]);
            let _ = nix::unistd::close(fd);
        }
        Ok(())
    });
    done.map(drop).map_err(|error| explained(error, "checkpoint", &directories.log))
}

/// Checks that the descriptor of `--status-fd` is open and writable.
fn check_status_fd(fd: RawFd) -> Result<()> {
    let flags =
        fcntl(sys::process::borrow(fd), FcntlArg::F_GETFL).named(format_args!("invalid --status-fd argument {fd}"))?;
    if OFlag::from_bits_retain(flags) & OFlag::O_ACCMODE == OFlag::O_RDONLY {
        bail!("invalid --status-fd argument {fd}: not writable");
    }
    Ok(())
}

impl Checkpoint {
    fn fill(&self, request: &mut CriuOptions, record: &Record, mounts: &Mounts) {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        request.pid = Some(record.pid);
        request.root = Some(text(&mounts.rootfs));
        request.leave_running = Some(self.leave_running);
        request.tcp_skip_in_flight = Some(self.tcp_skip_in_flight);
        request.link_remap = Some(self.link_remap);
        request.parent_img = self.parent.as_deref().map(text);
        request.track_mem = (self.parent.is_some() || self.pre_dump).then_some(true);
        request.page_server = self
            .page_server
            .as_ref()
            .map(|(address, port)| CriuPageServer { address: Some(address.clone()), port: Some((*port).into()) });
        // With a freezer no process can escape the dump. Without a cgroup CRIU stops the processes one by one.
        let freezer = record.cgroup.path_for_v1("freezer").or_else(|| record.cgroup.path_for_v2());
        request.freeze_cgroup = freezer.map(text);
    }

    /// Checks the kernel features that some options need: CRIU's own messages about them are hard to find.
    fn check_features(&self, worker: &mut Worker) -> Result<()> {
        if !self.pre_dump && self.parent.is_none() && !self.settings.lazy_pages {
            return Ok(());
        }
        let has = worker.features()?;
        if (self.pre_dump || self.parent.is_some()) && has.mem_track != Some(true) {
            bail!("--pre-dump and --parent-path: CRIU is missing features: MemTrack (CONFIG_MEM_SOFT_DIRTY)");
        }
        if self.settings.lazy_pages && has.lazy_pages != Some(true) {
            bail!("--lazy-pages: CRIU is missing features: LazyPages (userfaultfd)");
        }
        Ok(())
    }
}

/// Names the resources outside the container that a restore must provide: joined namespaces, and mounts from outside.
fn externals(
    request: &mut CriuOptions,
    record: &Record,
    config: &Config,
    mounts: &Mounts,
    pre_dump: bool,
) -> Result<()> {
    let proc = PathBuf::from(format!("/proc/{}", record.pid));
    for (kind, key) in [(Kind::Network, NETWORK_KEY), (Kind::Pid, PID_KEY)] {
        if config.joins(kind).is_none() {
            continue;
        }
        // The namespace is opened by the process, because the path by which the container joined it may no longer
        // exist.
        let file = namespace::of(kind).file;
        let path = proc.join("ns").join(file);
        let inode = std::fs::metadata(&path).named(path.display())?.ino();
        request.external.push(format!("{file}[{inode}]:{key}"));
    }
    if !pre_dump {
        let table = std::fs::read(proc.join("mountinfo")).named("mountinfo")?;
        let root = ContainerRoot::open(&proc.join("root"))?;
        request.external.extend(options(&to_leave_out(mounts, &root, &table)));
    }
    Ok(())
}

/// The name of a joined network namespace in the images, as in runc's.
pub const NETWORK_KEY: &str = "extRootNetNS";
/// The name of a joined pid namespace in the images, as in runc's.
pub const PID_KEY: &str = "extRootPidNS";

/// Saves a description of the standard descriptors, so that a restore can replace them: pipes by their names in the
/// images. Files outside the container are declared to CRIU here.
fn save_descriptors(request: &mut CriuOptions, record: &Record, images: &Path) -> Result<()> {
    let table = format!("/proc/{}/mountinfo", record.pid);
    let table = std::fs::read(&table).named(&table)?;
    let mut names = Vec::new();
    for fd in 0..3 {
        let path = PathBuf::from(format!("/proc/{}/fd/{fd}", record.pid));
        let link = match std::fs::read_link(&path) {
            // The descriptor is closed.
            Err(error) if error.kind() == ErrorKind::NotFound => PathBuf::new(),
            other => other.named(path.display())?,
        };
        let mut name = link.to_string_lossy().into_owned();
        if let Some(file) = file_outside(record.pid, fd, &table) {
            if !request.external.contains(&file) {
                request.external.push(file.clone());
            }
            name = file;
        }
        names.push(name);
    }
    let path = images.join(DESCRIPTORS);
    let text = serde_json::to_vec(&names)?;
    write_private(&path, &text).named(format_args!("write {}", path.display()))
}

fn write_private(path: &Path, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(text)
}

/// The name `file[MOUNT:INODE]`, both in hexadecimal, of a regular file on a mount that the container does not have.
fn file_outside(pid: i32, fd: i32, table: &[u8]) -> Option<String> {
    let file = std::fs::metadata(format!("/proc/{pid}/fd/{fd}")).ok()?;
    let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    let mount: u64 = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()?;
    let outside = points(table).all(|(id, _)| id != mount);
    (file.is_file() && outside).then(|| format!("file[{mount:x}:{:x}]", file.ino()))
}
