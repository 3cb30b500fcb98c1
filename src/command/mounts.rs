//! `mounts`: put file systems into a living container, or take them away; crun's.

use anyhow::{Context, Result, anyhow, bail};
use oci_spec::runtime::{Mount, Spec};

use super::{Log, joining_options, root};
use crate::cli::Invocation;
use crate::executor::{Joining, Receivers, attaches_late, exec};
use crate::host::Host;
use crate::plan::{Exec, MountChange, ProcessPlan};
use crate::spec::Extras;
use crate::state::{Record, Status};

/// The command.
pub fn run(invocation: &Invocation, log: &Log) -> Result<()> {
    let [verb, id, file] = invocation.arguments.as_slice() else { bail!("mounts: three arguments") };
    let change = match verb.as_str() {
        "add" => MountChange::Add,
        "remove" => MountChange::Remove,
        other => bail!("unknown command {other:?}: add or remove"),
    };
    let mounts = read(file)?;
    let (directory, record) = root(&invocation.global)?.load(id)?;
    match record.status(&directory)? {
        Status::Running | Status::Created => {}
        Status::Paused => bail!("container paused"),
        _ => bail!("container not running"),
    }
    let (mut spec, extras) = directory.load_config()?;
    spec.set_mounts(Some(mounts));
    apply(invocation, &record, (&spec, &extras), change, log)
}

/// The file: a list as `mounts` of `config.json` is one.
fn read(file: &str) -> Result<Vec<Mount>> {
    let bytes = std::fs::read(file).map_err(|error| anyhow!("open {file}: {}", crate::sys::io(error)))?;
    let list = &mut serde_json::Deserializer::from_slice(&bytes);
    serde_path_to_error::deserialize(list).map_err(|error| match error.path().to_string().as_str() {
        "." => anyhow!("{file}: {}", error.into_inner()),
        path => anyhow!("{file}: mounts{path}: {}", error.inner()),
    })
}

/// Everything is planned before anything is mounted, and what was mounted before a failure is taken
/// away again.
fn apply(
    invocation: &Invocation,
    record: &Record,
    (spec, extras): (&Spec, &Extras),
    change: MountChange,
    log: &Log,
) -> Result<()> {
    let host = Host::read();
    let options = joining_options(&invocation.global, &host, &record.id, record.bundle.clone());
    let pid = record.pid;
    let joined = Exec { spec, extras, host: &host, options: &options, pid, attaches_late: attaches_late(record) };
    let count = spec.mounts().as_ref().map_or(0, Vec::len);
    if change == MountChange::Remove {
        return carry_out(record, &joined.mounts(change, 0..count)?, log);
    }
    let plans = (0..count).map(|index| joined.mounts(change, index..index + 1)).collect::<Result<Vec<_>>>()?;
    for (index, plan) in plans.iter().enumerate() {
        if let Err(error) = carry_out(record, plan, log) {
            let undo = joined.mounts(MountChange::Remove, 0..index)?;
            return carry_out(record, &undo, log).context(format!("{error:#}; and to undo the others")).and(Err(error));
        }
    }
    Ok(())
}

fn carry_out(record: &Record, plan: &ProcessPlan, log: &Log) -> Result<()> {
    let receivers = Receivers::default();
    let place = record.cgroup.place(&[], record.pid)?;
    let joining =
        Joining { record, status: Status::Running, plan, place: &place, stdio: [None; 3], receivers: &receivers };
    let done = exec(&joining, |_| Ok(()))?;
    for warning in plan.warnings.iter().chain(&done.warnings) {
        log.warning(warning);
    }
    // It has said that all is done; how it ends does not matter.
    let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(done.child.pid), None);
    Ok(())
}
