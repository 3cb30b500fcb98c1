//! `state.json`: the record of a container.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use anyhow::{Result, anyhow};

use super::life::{alive, now_in_ticks, start_time};
use super::names::FORMAT;
use super::origin::Origin;
use super::status::Status;
use super::time;
use crate::cgroup::{Cgroup, Owner};
use crate::plan::{Agent, Hooks, Maps};
use crate::rdt::Groups;
use crate::spec::OCI_VERSION;
use crate::sys::process::pidfd_number;

/// The namespaces that the container does not share with the runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// A new pid namespace: when its first process ends, the kernel kills the others.
    pub pid: bool,
    /// A user namespace.
    pub user: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// 0 if `create` may be running: then it holds the directory's lock. Else [`COMPLETE`] or [`STARTED`].
    /// [`super::text`] writes it.
    #[serde(default, skip_serializing)]
    pub(super) complete: u8,
    /// The version of the record's format.
    #[serde(default)]
    pub(super) format: u32,
    pub id: String,
    /// The pid of the first process on the host; 0 before it exists.
    pub pid: i32,
    /// While there is no process: `create` held its lock when the record was read. Never written.
    #[serde(skip)]
    pub(super) creating: bool,
    /// The start time of the first process in clock ticks after boot. A pid may be reused, but the pair is unique.
    pub start_time: u64,
    /// The number of the first process by [`pidfd_number`]; 0 if the kernel has none.
    #[serde(default, skip_serializing_if = "zero")]
    pidfd: u64,
    /// The namespaces in which pid and start time are valid.
    #[serde(default)]
    origin: Origin,
    /// The pid of the process that creates the container. It started before `creator_before`.
    #[serde(default)]
    creator: i32,
    /// A time after the start of that process, in clock ticks after boot.
    #[serde(default)]
    creator_before: u64,
    /// The time of creation, RFC 3339.
    pub created: String,
    pub bundle: PathBuf,
    /// The path of the config, unless it is `config.json` in the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file: Option<PathBuf>,
    pub rootfs: PathBuf,
    /// `annotations` of the config.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The hooks that later commands run.
    #[serde(default, skip_serializing_if = "hookless")]
    pub hooks: Hooks,
    pub namespaces: Namespaces,
    pub cgroup: Cgroup,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rdt: Option<Groups>,
    /// The layers, if the root is a union of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub union: Option<Layered>,
    /// The mounts that `mounts add` has made, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Added>,
}

/// A root of layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layered {
    /// The base layer first.
    pub layers: Vec<PathBuf>,
    /// The directory of the writable layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<PathBuf>,
    /// The directories that end with the container, those in another one of them first. They may be missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<PathBuf>,
    /// The maps of the user namespace that owns files in these directories, for an ordinary user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maps: Option<Maps>,
}

/// A mount added to the running container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The destination in the file, cleaned.
    pub destination: PathBuf,
    /// The mount's id. It identifies the mount even if the container has moved it or mounted over it.
    pub mount: u64,
}

fn hookless(hooks: &Hooks) -> bool {
    *hooks == Hooks::default()
}

/// The state in the form of `state` and `list`; the order of the keys is runc's. `A` is the type of the annotations.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Printed<'a, A> {
    pub(super) oci_version: &'a str,
    pub id: &'a str,
    /// 0 without a process.
    pub pid: i32,
    pub status: Status,
    pub bundle: &'a Path,
    pub rootfs: &'a Path,
    pub created: &'a str,
    /// `None` if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<A>,
    /// The user that owns the container.
    pub owner: &'a str,
}

/// The state in the form that hooks read: runtime-spec, runtime.md, "State".
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ForHooks<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "zero")]
    pid: i32,
    bundle: &'a PathBuf,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

/// The state in the form that a seccomp agent reads: runtime-spec, config-linux.md, "The Container Process State".
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ForAgent<'a> {
    oci_version: &'a str,
    fds: [&'a str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    state: ForHooks<'a>,
}

fn zero<T: Default + PartialEq>(number: &T) -> bool {
    *number == T::default()
}

impl Record {
    /// The record of a new container.
    ///
    /// # Errors
    /// `/proc` does not show the pid and time namespaces of this process.
    pub fn new(id: &str) -> Result<Record> {
        Ok(Record {
            format: FORMAT,
            id: id.to_owned(),
            origin: Origin::here()?,
            creator: std::process::id() as i32,
            creator_before: now_in_ticks(),
            created: time::now(),
            ..Record::default()
        })
    }

    /// Record the first process.
    ///
    /// # Errors
    /// The process has exited, or `/proc` cannot be read.
    pub fn set_process(&mut self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        self.start_time = start_time(pid)?.ok_or_else(|| anyhow!("process {pid} is gone"))?;
        // Only `list` needs it, and can do without.
        self.pidfd = pidfd_number(pidfd).ok().flatten().unwrap_or_default();
        self.pid = pid;
        Ok(())
    }

    /// The owner that the marks of the container's cgroup name.
    pub fn owner(&self) -> Owner<'_> {
        Owner { token: &self.created, shares_pids: !self.namespaces.pid }
    }

    /// The process that creates the container, if it still runs.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn creator(&self) -> Result<Option<i32>> {
        // The pid may have been reused by a process that started later.
        if self.creator == 0 || self.origin != Origin::here()? {
            return Ok(None);
        }
        let started = start_time(self.creator)?;
        Ok(started.is_some_and(|started| started <= self.creator_before).then_some(self.creator))
    }

    /// The path of the config, to read it again.
    pub fn config_file(&self) -> PathBuf {
        self.config_file.clone().unwrap_or_else(|| self.bundle.join("config.json"))
    }

    /// Whether the first process lives: the pid exists with the same start time.
    ///
    /// # Errors
    /// The answer cannot be known from this process's namespaces.
    pub fn alive(&self) -> Result<bool> {
        Ok(self.pid != 0 && alive(self.pid, self.start_time, self.origin)?)
    }

    /// Whether this is a record of the same container.
    pub fn is_of(&self, other: &Record) -> bool {
        (self.pid, self.start_time, &self.created) == (other.pid, other.start_time, &other.created)
    }

    /// The form for `state` and `list`.
    pub fn printed<'a>(&'a self, status: Status, owner: &'a str) -> Printed<'a, &'a BTreeMap<String, String>> {
        let Record { id, bundle, rootfs, created, annotations, .. } = self;
        let pid = if status.has_process() { self.pid } else { 0 };
        let annotations = Some(annotations).filter(|annotations| !annotations.is_empty());
        Printed { oci_version: OCI_VERSION, id, pid, status, bundle, rootfs, created, annotations, owner }
    }

    /// The form for the standard input of a hook.
    pub fn for_hooks(&self, status: Status) -> Vec<u8> {
        serde_json::to_vec(&self.state(status)).unwrap_or_default()
    }

    /// The message to the seccomp agent about process `pid`. The listener is sent with it.
    pub fn for_agent(&self, agent: Option<&Agent>, status: Status, pid: i32) -> Vec<u8> {
        let metadata = agent.and_then(|agent| agent.metadata.as_deref());
        let state = self.state(status);
        let process = ForAgent { oci_version: OCI_VERSION, fds: ["seccompFd"], pid, metadata, state };
        serde_json::to_vec(&process).unwrap_or_default()
    }

    fn state(&self, status: Status) -> ForHooks<'_> {
        let Record { id, bundle, annotations, .. } = self;
        let pid = if status == Status::Stopped { 0 } else { self.pid };
        ForHooks { oci_version: OCI_VERSION, id, status, pid, bundle, annotations }
    }
}
