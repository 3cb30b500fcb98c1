//! The calls to the service manager.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use nix::unistd::Pid;

use super::bus;
use super::naming::Manager;
use super::properties::limits;
use super::scope::{Scope, Unit};
use crate::cgroup::writes::Write;

/// The directory by which sd_booted(3) detects systemd.
const RUNNING: &str = "/run/systemd/system";

impl Manager {
    /// The host's manager for root, otherwise the user's own manager. That one is asked for its cgroup.
    ///
    /// Fails if systemd does not run, or if the user's manager cannot be reached.
    pub fn find(user: bool) -> Result<Manager> {
        if !Path::new(RUNNING).is_dir() {
            bail!("systemd not running on this host, cannot use systemd cgroups manager");
        }
        if !user {
            return Ok(Manager::default());
        }
        let root = bus::control_group()?;
        Ok(Manager { user, root })
    }
}

impl Scope {
    /// Starts the unit with `pid` as its first process. The process is in the unit when this returns.
    ///
    /// Fails, leaving nothing behind, if a unit of this name exists or systemd refuses a property.
    pub fn start(&self, pid: Pid) -> Result<()> {
        bus::start(self, pid)
    }
}

impl Unit {
    /// Stops the unit, which kills the processes in it, and makes systemd forget a failure. A missing unit is no error.
    pub fn stop(&self) -> Result<()> {
        bus::stop(self)
    }

    /// Sets properties until the next boot.
    pub fn set(&self, writes: &[Write]) -> Result<()> {
        let mut properties = limits(writes);
        // systemd accepts the policy for the OOM killer only when the unit starts.
        properties.retain(|property| property.name != "OOMPolicy");
        if properties.is_empty() {
            return Ok(());
        }
        bus::set(self, &properties)
    }

    /// Moves the process `pid` into the cgroup `below`, relative to the container's.
    pub fn attach(&self, below: &Path, pid: Pid) -> Result<()> {
        let path: PathBuf = Path::new("/").iter().chain(self.subgroup.iter().flatten()).chain(below).collect();
        bus::attach(self, &path.to_string_lossy(), pid)
    }
}
