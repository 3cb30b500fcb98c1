//! `state.json`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use anyhow::{Result, anyhow};

use super::life::{alive, now_in_ticks, start_time};
use super::names::FORMAT;
use super::origin::Origin;
use super::status::Status;
use super::time;
use crate::cgroup::{Cgroup, Owner};
use crate::plan::{Agent, Hooks};
use crate::rdt::Groups;
use crate::spec::OCI_VERSION;

/// Which namespaces the container has of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespaces {
    /// A new pid namespace: its processes die with the first one.
    pub pid: bool,
    /// A user namespace.
    pub user: bool,
}

/// What is known of a container.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Which of its formats this is.
    #[serde(default)]
    pub(super) format: u32,
    /// The id.
    pub id: String,
    /// Pid of the first process on the host; 0 before there is one.
    pub pid: i32,
    /// Its start time in clock ticks after boot. Pids are reused; this pair is unique.
    pub start_time: u64,
    /// From where both are seen.
    #[serde(default)]
    origin: Origin,
    /// Pid of the creating process, which started before `creator_before`.
    #[serde(default)]
    creator: i32,
    /// A time after that process started, in clock ticks after boot.
    #[serde(default)]
    creator_before: u64,
    /// When it was created, RFC 3339.
    pub created: String,
    /// The bundle.
    pub bundle: PathBuf,
    /// Path of the config, unless it is `config.json` in the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_file: Option<PathBuf>,
    /// The root file system.
    pub rootfs: PathBuf,
    /// `annotations` of the config.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Hooks that are still to run.
    #[serde(default, skip_serializing_if = "hookless")]
    pub hooks: Hooks,
    /// Its namespaces.
    pub namespaces: Namespaces,
    /// Its control groups.
    pub cgroup: Cgroup,
    /// Its Intel RDT groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rdt: Option<Groups>,
    /// Mounts added later, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Added>,
}

/// A mount added to the running container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Where it was to be, cleaned.
    pub destination: PathBuf,
    /// The mount's id: the container may have moved it, or mounted over it.
    pub mount: u64,
}

fn hookless(hooks: &Hooks) -> bool {
    *hooks == Hooks::default()
}

/// The state as `state` and `list` print it; the order of the keys is runc's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Printed<'a> {
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: Status,
    bundle: &'a PathBuf,
    rootfs: &'a PathBuf,
    created: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
    owner: String,
}

/// The state as hooks read it: runtime-spec, runtime.md, "State".
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

/// The state that a seccomp agent gets: runtime-spec, config-linux.md, "The Container Process State".
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

fn zero(pid: &i32) -> bool {
    *pid == 0
}

impl Record {
    /// The record of a new container.
    ///
    /// # Errors
    /// A `/proc` that does not tell where this process is.
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
    /// It is gone, or `/proc` cannot be read.
    pub fn set_process(&mut self, pid: i32) -> Result<()> {
        self.start_time = start_time(pid)?.ok_or_else(|| anyhow!("process {pid} is gone"))?;
        self.pid = pid;
        Ok(())
    }

    /// Whose its cgroup is.
    pub fn owner(&self) -> Owner<'_> {
        Owner { token: &self.created, shares_pids: !self.namespaces.pid }
    }

    /// The process that creates the container, if it is still there.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn creator(&self) -> Result<Option<i32>> {
        // Its pid may have been reused by a process that started later.
        if self.creator == 0 || self.origin != Origin::here()? {
            return Ok(None);
        }
        let started = start_time(self.creator)?;
        Ok(started.is_some_and(|started| started <= self.creator_before).then_some(self.creator))
    }

    /// The config's path, to read it again.
    pub fn config_file(&self) -> PathBuf {
        self.config_file.clone().unwrap_or_else(|| self.bundle.join("config.json"))
    }

    /// Does the first process still live, with the same start time?
    ///
    /// # Errors
    /// Nobody can tell from here.
    pub fn alive(&self) -> Result<bool> {
        Ok(self.pid != 0 && alive(self.pid, self.start_time, self.origin)?)
    }

    /// Is this a record of the same container?
    pub fn is_of(&self, other: &Record) -> bool {
        (self.pid, self.start_time, &self.created) == (other.pid, other.start_time, &other.created)
    }

    /// For `state` and `list`.
    pub fn printed(&self, status: Status, owner: String) -> Printed<'_> {
        let Record { id, bundle, rootfs, created, annotations, .. } = self;
        let pid = if matches!(status, Status::Stopped | Status::Creating) { 0 } else { self.pid };
        Printed { oci_version: OCI_VERSION, id, pid, status, bundle, rootfs, created, annotations, owner }
    }

    /// For the standard input of a hook.
    pub fn for_hooks(&self, status: Status) -> Vec<u8> {
        serde_json::to_vec(&self.state(status)).unwrap_or_default()
    }

    /// The message to the seccomp agent of process `pid`; the listener is sent with it.
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

impl Printed<'_> {
    /// The process, 0 when there is none.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Who owns the container.
    pub fn owner(&self) -> &str {
        &self.owner
    }
}
