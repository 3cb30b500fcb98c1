//! Options of the command line that belong to a plan.

use std::path::PathBuf;

use super::rlimit::Limit;

/// The command line's part of a plan, beside `config.json`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The container's id.
    pub id: String,
    /// The bundle, absolute and without links.
    pub bundle: PathBuf,
    /// The config, where it is not `config.json` of the bundle (`--config`).
    pub config_file: Option<PathBuf>,
    /// The name that the program was called by.
    pub program: String,
    /// Have the cgroup made by systemd (`--systemd-cgroup`).
    pub systemd_cgroup: bool,
    /// Make no cgroup at all (`--cgroup-manager=disabled`).
    pub no_cgroup: bool,
    /// Move the root instead of pivoting (`--no-pivot`).
    pub no_pivot: bool,
    /// Keep the caller's session keyring (`--no-new-keyring`).
    pub no_new_keyring: bool,
    /// Descriptors from 3 on that the container keeps (`--preserve-fds`).
    pub preserve_fds: u32,
    /// Limits of the caller that the runtime has raised for its own work, and the container has as they were.
    pub callers_limits: Vec<Limit>,
    /// How many of them are sockets of the service manager (`LISTEN_FDS`).
    pub listen_fds: u32,
    /// The directory that will hold a socket for the service manager (`NOTIFY_SOCKET`).
    pub notify: Option<PathBuf>,
    /// Wait for `start` on `exec.fifo`.
    pub gate: bool,
    /// Go without a cgroup where there is no permission and nothing was asked (`--rootless`).
    pub rootless_cgroups: bool,
}
