//! `exec`: run another process in a container.

use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use oci_spec::runtime::{Capability, LinuxCapabilities, Process, User};

use super::front::{Front, FrontOptions};
use super::log::Log;
use super::pid_file::PidFile;
use super::run::{OUTPUT, PROGRAM};
use super::shared::{Failure, joining_options, preserve_fds, root};
use crate::cli::{ExecArgs, Global};
use crate::executor::{
    Connections, Joining, Orphans, Terminal, attaches_late, exec, forward_until_exit, prepare_to_wait,
};
use crate::host::Host;
use crate::plan::Exec;
use crate::spec::{self, Config, ProcessConfig};
use crate::state::{Record, Status};
use crate::sys::clone::Child;
use crate::sys::{self, Call, heap};
use crate::tables::capability;
use crate::trace;

/// Exit status if exec itself fails, to tell it from the status of the process.
const FAILED: u8 = 255;

pub fn run(global: &Global, args: &ExecArgs, log: &Log) -> Result<i32, Failure> {
    heap::fail_with(FAILED.into());
    join(global, args, log).map_err(|error| Failure { message: format!("exec failed: {error:#}"), status: FAILED })
}

fn join(global: &Global, args: &ExecArgs, log: &Log) -> Result<i32> {
    let (directory, record) = trace::work("load the record", || root(global)?.load(&args.id))?;
    let status = trace::work("look up the status", || record.status(&directory))?;
    check_status(status, args)?;
    let cgroups: Vec<&str> = args.cgroup.iter().map(String::as_str).collect();
    let place = trace::work("look up the cgroup", || record.cgroup.place(&cgroups, record.pid))?;
    let host = Host::read();
    // The container keeps the config that it was created with. Only the defaults of the process come from the bundle's
    // file, so that changes there take effect.
    let kept = trace::work("read the container's config", || directory.config())?;
    let config = trace::work("load the container's config", || spec::parse(kept.get().as_bytes()))?;
    let mut process = trace::work("read the bundle's process", || match &args.process {
        Some(file) => process_of(file),
        None => process(args, &record, kept.get(), &config),
    })?;
    process.inherit(config.process());
    if args.process.is_none() {
        add_capabilities(&mut process, &args.cap)?;
    }
    spec::check_process(&process)?;
    let mut options = joining_options(global, &host, &record.id, record.bundle.clone());
    options.preserve_fds = preserve_fds(&args.preserve_fds, 0)?;
    let facts = trace::work("look up facts about the host", || host.facts_to_join(&config, &process, &options))?;
    let joined = Exec {
        config: &config,
        facts: &facts,
        options: &options,
        pid: record.pid,
        cgroups: record.cgroup.host_dirs(),
        attaches_late: attaches_late(&record),
    };
    let plan = trace::work("plan", || joined.plan(&process))?;
    let pid_file = args.pid_file.as_deref().map(PidFile::new).transpose()?;
    let detach = args.detach;
    let front = Front::connect(&caller(global, args), &config, &process)?;
    if !detach {
        prepare_to_wait(Orphans::Leave)?;
    }
    let Connections { stdio, receivers } = front.connections();
    let joining = Joining { record: &record, status, plan: &plan, place: &place, stdio, receivers, mounted: None };
    let write = |pid| pid_file.as_ref().map_or(Ok(()), |file| trace::work("write the pid file", || file.write(pid)));
    let joined = exec(&joining, write).context("unable to start container process")?;
    for warning in plan.warnings.iter().chain(&joined.warnings) {
        log.warning(warning);
    }
    if detach { Ok(0) } else { wait(front, joined.terminal, &joined.child) }
}

fn check_status(status: Status, args: &ExecArgs) -> Result<()> {
    match status {
        Status::Stopped | Status::Creating => bail!("cannot exec in a stopped container"),
        Status::Paused if !args.ignore_paused => {
            bail!("cannot exec in a paused container (use --ignore-paused to override)")
        }
        Status::Paused | Status::Created | Status::Running => Ok(()),
    }
}

/// Stays with the process until it exits. Returns its exit status.
fn wait(front: Front, terminal: Option<Terminal>, child: &Child) -> Result<i32> {
    let attended = front.attend(terminal).and_then(|mut relay| {
        let status = trace::wait(PROGRAM, || forward_until_exit(child, &mut relay))?;
        Ok((status, relay))
    });
    let (status, relay) = attended.inspect_err(|_| {
        // The caller does not learn its pid, so nothing would wait for the process.
        let _ = sys::process::pidfd_send_signal(child.pidfd.as_fd(), libc::SIGKILL);
    })?;
    trace::pause(OUTPUT, || relay.finish());
    Ok(status)
}

fn caller<'a>(global: &'a Global, args: &'a ExecArgs) -> FrontOptions<'a> {
    FrontOptions {
        program: &global.name,
        console: args.console_socket.as_deref(),
        pidfd: args.pidfd_socket.as_deref(),
        detach: args.detach,
    }
}

/// The process as `--process` describes it.
fn process_of(file: &Path) -> Result<ProcessConfig> {
    let bytes = std::fs::read(file).named(format_args!("open {}", file.display()))?;
    spec::parse_process(&bytes)
}

/// The process of the bundle's config with the options applied. Mostly the bundle's file still has the text `kept`,
/// which was parsed as `config`; then it is not parsed a second time.
fn process(args: &ExecArgs, record: &Record, kept: &str, config: &Config) -> Result<ProcessConfig> {
    if args.command.is_empty() {
        bail!("exec args cannot be empty");
    }
    let bytes = spec::read(&record.config_file())?;
    let mut process = if bytes.trim_ascii() == kept.as_bytes().trim_ascii() {
        config.process().clone()
    } else {
        spec::parse(&bytes)?.process().clone()
    };
    process.set_args(Some(args.command.clone()));
    process.set_terminal(Some(args.tty));
    if let Some(cwd) = &args.cwd {
        process.set_cwd(cwd.clone());
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend_from_slice(&args.env);
    process.set_env(Some(env));
    if let Some(label) = &args.process_label {
        process.set_selinux_label(Some(label.clone()));
    }
    if let Some(profile) = &args.apparmor {
        process.set_apparmor_profile(Some(profile.clone()));
    }
    if args.no_new_privs.is_some() {
        process.set_no_new_privileges(args.no_new_privs);
    }
    let user = user(process.user(), args)?;
    process.set_user(user);
    Ok(process)
}

/// `--user UID[:GID]` takes numbers only. Without a group the config's group stays.
fn user(user: &User, args: &ExecArgs) -> Result<User> {
    let mut user = user.clone();
    if let Some(text) = &args.user {
        let (uid, gid) = text.split_once(':').map_or((text.as_str(), None), |(uid, gid)| (uid, Some(gid)));
        user.set_uid(uid.parse().map_err(|_| anyhow!("bad uid: {uid:?}"))?);
        if let Some(gid) = gid {
            user.set_gid(gid.parse().map_err(|_| anyhow!("bad gid: {gid:?}"))?);
        }
    }
    let mut groups = user.additional_gids().clone().unwrap_or_default();
    for gid in &args.additional_gids {
        groups.push(gid.parse().map_err(|_| anyhow!("additional-gids must be a positive number {gid}"))?);
    }
    user.set_additional_gids(Some(groups));
    Ok(user)
}

/// Five empty sets. The type's default is not empty.
fn no_capabilities() -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(None).set_effective(None).set_permitted(None).set_inheritable(None).set_ambient(None);
    sets
}

/// `--cap` adds to the bounding, effective and permitted sets; to the ambient set only if the config has an inheritable
/// set; never to the inheritable set (CVE-2022-29162).
fn add_capabilities(process: &mut Process, names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut sets = process.capabilities().clone().unwrap_or_else(no_capabilities);
    let inheritable = sets.inheritable().as_ref().is_some_and(|set| !set.is_empty());
    for name in names {
        let known = capability::number(name).ok_or_else(|| anyhow!("--cap: unknown capability \"{name}\""))?;
        let text = serde_json::Value::from(capability::NAMES[known as usize]);
        let one: Capability = serde_json::from_value(text)?;
        let with = |set: &Option<oci_spec::runtime::Capabilities>| {
            let mut set = set.clone().unwrap_or_default();
            set.insert(one);
            Some(set)
        };
        sets.set_bounding(with(sets.bounding()));
        sets.set_effective(with(sets.effective()));
        sets.set_permitted(with(sets.permitted()));
        if inheritable {
            sets.set_ambient(with(sets.ambient()));
        }
    }
    process.set_capabilities(Some(sets));
    Ok(())
}
