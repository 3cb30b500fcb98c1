//! The options before the command.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use clap::{Arg, ArgAction};

use super::option::{Opt, go_bool, option, switch, takes};

/// The options before the command, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Global {
    /// The name that the program was called by: `tare`, or `runc` through a link.
    pub name: String,
    /// `--root`.
    pub root: Option<PathBuf>,
    /// `--log`.
    pub log: Option<PathBuf>,
    /// `--log-format json`.
    pub log_json: bool,
    /// `--debug`.
    pub debug: bool,
    /// `--trace`.
    pub trace: Option<PathBuf>,
    /// `--systemd-cgroup`, or `--cgroup-manager=systemd`.
    pub systemd_cgroup: bool,
    /// `--cgroup-manager=disabled`.
    pub no_cgroup: bool,
    /// `--rootless`; `None` for `auto`.
    pub rootless: Option<bool>,
}

takes! {
    /// The options before the command, as they were given.
    GlobalArgs() {
        debug: bool = switch("debug", "log debug messages"),
        log: Option<PathBuf> = option("log", "FILE", "write the log to this file instead of standard error"),
        log_format: Option<String> = option("log-format", "FORMAT", "format of the log: text or json"),
        root: Option<PathBuf> = option("root", "DIR", "directory for the state of containers"),
        cgroup_manager: Option<String> =
            option("cgroup-manager", "MANAGER", "cgroupfs, systemd or disabled (no cgroup at all)"),
        systemd_cgroup: bool =
            switch("systemd-cgroup", "let systemd make cgroups; cgroupsPath has the form SLICE:PREFIX:NAME"),
        rootless: Option<String> =
            option("rootless", "WHEN", "tolerate missing permission for cgroups: true, false or auto"),
        trace: Option<PathBuf> =
            option("trace", "FILE", "write the durations of all steps to this file, for a viewer such as ui.perfetto.dev"),
        version: bool = version(),
    }
}

/// `--version`, the only boolean option without `=true` and `=false`.
fn version() -> Opt<bool> {
    Opt::new(Arg::new("version").long("version").short('v').action(ArgAction::SetTrue).help("print the version"))
}

impl Global {
    /// Checks the options and sets the fields.
    ///
    /// # Errors
    /// A value that its option does not take; two options that contradict each other.
    pub(super) fn set(&mut self, args: GlobalArgs) -> Result<()> {
        self.debug = args.debug;
        self.systemd_cgroup = args.systemd_cgroup;
        match args.cgroup_manager.as_deref() {
            None | Some("cgroupfs") => {}
            Some("systemd") => self.systemd_cgroup = true,
            Some("disabled") if self.systemd_cgroup => bail!("--cgroup-manager=disabled contradicts --systemd-cgroup"),
            Some("disabled") => self.no_cgroup = true,
            Some(other) => bail!("invalid cgroup-manager: {other}"),
        }
        self.log = args.log;
        self.trace = args.trace;
        self.log_json = match args.log_format.as_deref() {
            None | Some("text") => false,
            Some("json") => true,
            Some(other) => bail!("invalid log-format: {other}"),
        };
        self.rootless = match args.rootless.as_deref() {
            None | Some("auto") => None,
            Some(other) => Some(go_bool(other).ok_or_else(|| anyhow!("invalid value {other:?} for flag -rootless"))?),
        };
        if let Some(root) = args.root {
            let root = std::path::absolute(root)?;
            if root == Path::new("/") {
                bail!("Option --root argument should not be set to /");
            }
            self.root = Some(root);
        }
        Ok(())
    }
}
