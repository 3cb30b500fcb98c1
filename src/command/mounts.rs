//! `mounts`: add mounts to a running container or remove them. The command is crun's.

use std::cell::RefCell;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use oci_spec::runtime::Mount;

use super::log::Log;
use super::shared::{joining_options, root};
use crate::cli::{Global, MountsArgs};
use crate::executor::{Joining, Receivers, attaches_late, exec};
use crate::host::Host;
use crate::mountinfo;
use crate::plan::{Exec, ProcessPlan};
use crate::spec::{Field, clean, place, refuse};
use crate::state::{Added, Directory, MISSING, NotRunning, Record, Status};
use crate::sys::Call;

pub fn run(global: &Global, args: &MountsArgs, log: &Log) -> Result<()> {
    let mounts = read(&args.file)?;
    let (directory, record) = root(global)?.load(&args.id)?;
    match record.status(&directory)? {
        Status::Running | Status::Created => {}
        Status::Paused => bail!("container paused"),
        _ => bail!(NotRunning),
    }
    let config = directory.load_config()?;
    let destinations = mounts.iter().map(|mount| clean(mount.destination())).collect::<Vec<_>>();
    let config = config.with_mounts(mounts);
    let host = Host::read();
    let options = joining_options(global, &host, &record.id, record.bundle.clone());
    let (pid, attaches_late) = (record.pid, attaches_late(&record));
    let facts = host.facts_to_join(&config, config.process(), &options)?;
    let cgroups = record.cgroup.host_dirs();
    let joined = Exec { config: &config, facts: &facts, options: &options, pid, cgroups, attaches_late };
    let living = Living { joined, directory: &directory, record: &record, log };
    match args.action.as_str() {
        "add" => living.add_all(&destinations),
        "remove" => living.remove_all(&destinations),
        other => bail!("unknown command {other:?}: add or remove"),
    }
}

/// Reads the file: a list in the form of `mounts` of `config.json`.
fn read(file: &str) -> Result<Vec<Mount>> {
    let bytes = std::fs::read(file).named(format_args!("open {file}"))?;
    let text = std::str::from_utf8(&bytes).with_context(|| file.to_owned())?;
    serde_json::from_str(text).map_err(|error| match place::of_error(text, &error).as_str() {
        "" => anyhow!("{file}: {error}"),
        path => anyhow!("{file}: mounts{path}: {error}"),
    })
}

/// A running container, and the mounts to change.
struct Living<'a> {
    joined: Exec<'a>,
    directory: &'a Directory,
    record: &'a Record,
    log: &'a Log,
}

impl Living<'_> {
    /// Plans all mounts before the first one. If one fails, removes those that it has added.
    fn add_all(&self, destinations: &[PathBuf]) -> Result<()> {
        let plans = (0..destinations.len()).map(|index| self.joined.add_mount(index)).collect::<Result<Vec<_>>>()?;
        let mine = RefCell::new(Vec::new());
        for (plan, destination) in plans.iter().zip(destinations) {
            let write_down = |mount| {
                let added = Added { destination: destination.clone(), mount };
                self.change(|all| all.push(added.clone()))?;
                mine.borrow_mut().push(added);
                Ok(())
            };
            if let Err(error) = self.carry_out(plan, write_down) {
                return match self.undo(&mine.borrow()) {
                    Ok(()) => Err(error),
                    Err(undo) => {
                        Err(error
                            .context(format!("the mounts that were made could not be removed: {undo:#}; before that")))
                    }
                };
            }
        }
        Ok(())
    }

    /// Removes the mounts that this run has added. The last one may be in the record without being mounted.
    fn undo(&self, mine: &[Added]) -> Result<()> {
        for added in mine.iter().rev() {
            if self.point(added)?.is_some() {
                self.remove(&Field::of("mounts"), added)?;
            }
            self.change(|all| all.retain(|known| known != added))?;
        }
        Ok(())
    }

    /// Removes the mounts, the last one first. It removes only a mount that `mounts add` has made, found by its id.
    fn remove_all(&self, destinations: &[PathBuf]) -> Result<()> {
        for (index, destination) in destinations.iter().enumerate().rev() {
            let field = Field::item("mounts", index);
            let all = self.directory.load()?.ok_or_else(|| anyhow!(MISSING))?.mounts;
            let Some(added) = all.iter().rfind(|added| added.destination == *destination) else {
                refuse!(field.member("destination"), "{destination:?}: nothing was added there by \"mounts add\"");
            };
            self.remove(&field, added)?;
            self.change(|all| all.retain(|known| known != added))?;
        }
        Ok(())
    }

    fn remove(&self, field: &Field, added: &Added) -> Result<()> {
        let Some(point) = self.point(added)? else {
            refuse!(
                field.member("destination"),
                "{:?}: what was added there is not mounted any more",
                added.destination
            );
        };
        self.carry_out(&self.joined.remove_mount(field, &point, added.mount)?, |_| Ok(()))
    }

    /// The current mount point of an added mount, as the container sees it.
    fn point(&self, added: &Added) -> Result<Option<PathBuf>> {
        let path = format!("/proc/{}/mountinfo", self.joined.pid);
        let table = std::fs::read(&path).named(path)?;
        Ok(mountinfo::lines(&table).find(|line| line.id == added.mount).map(|line| line.point()))
    }

    /// Changes the record's list of added mounts, under the lock of the record.
    fn change(&self, edit: impl FnOnce(&mut Vec<Added>)) -> Result<()> {
        let mut locked = self.directory.lock_record()?.ok_or_else(|| anyhow!(MISSING))?;
        edit(&mut locked.record.mounts);
        self.directory.save(&locked.record, self.directory.config()?.get().as_bytes())
    }

    fn carry_out(&self, plan: &ProcessPlan, mounted: impl Fn(u64) -> Result<()>) -> Result<()> {
        let receivers = Receivers::default();
        let place = self.record.cgroup.place(&[], self.record.pid)?;
        let joining = Joining {
            record: self.record,
            status: Status::Running,
            plan,
            place: &place,
            stdio: [None; 3],
            receivers: &receivers,
            mounted: Some(&mounted),
        };
        let done = exec(&joining, |_| Ok(()))?;
        for warning in plan.warnings.iter().chain(&done.warnings) {
            self.log.warning(warning);
        }
        // init has reported success, so its exit status is irrelevant.
        let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(done.child.pid), None);
        Ok(())
    }
}
