//! The options of the command line that a plan depends on.

use std::path::PathBuf;

use super::rlimit::Limit;

/// The options of the command line that a plan depends on.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The container's id.
    pub id: String,
    /// The path of the bundle, absolute and without symbolic links.
    pub bundle: PathBuf,
    /// The config, if it is not `config.json` of the bundle (`--config`).
    pub config_file: Option<PathBuf>,
    /// The layers of the root file system, the base first (`--layer`).
    pub layers: Vec<PathBuf>,
    /// The writable layer (`--upper`).
    pub upper: Option<PathBuf>,
    /// The name by which the program was called.
    pub program: String,
    /// Let systemd make the cgroup (`--systemd-cgroup`).
    pub systemd_cgroup: bool,
    /// Make no cgroup (`--cgroup-manager=disabled`).
    pub no_cgroup: bool,
    /// Move the root over `/` instead of calling pivot_root(2) (`--no-pivot`).
    pub no_pivot: bool,
    /// Keep the caller's session keyring (`--no-new-keyring`).
    pub no_new_keyring: bool,
    /// The number of descriptors, from 3 on, that the container gets from the caller (`--preserve-fds`).
    pub preserve_fds: u32,
    /// The caller's values of the limits that the runtime has raised for its own work. The container gets these values.
    pub callers_limits: Vec<Limit>,
    /// The number of these descriptors that are sockets of systemd's socket activation (`LISTEN_FDS`).
    pub listen_fds: u32,
    /// The directory that will hold the container's socket for sd_notify(3) (`NOTIFY_SOCKET`).
    pub notify: Option<PathBuf>,
    /// `init` waits for `start` at `exec.fifo`.
    pub gate: bool,
    /// Continue without a cgroup if the caller may not make one and the config sets no limits (`--rootless`).
    pub rootless_cgroups: bool,
}
