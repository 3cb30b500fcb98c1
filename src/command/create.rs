//! `create`: make a container that waits for `start`.

use anyhow::Result;

use super::front::{Caller, Front};
use super::log::Log;
use super::pid_file::PidFile;
use super::shared::{Begin, bundle, config, manager, options, root};
use crate::cli::{CreateArgs, Global};
use crate::executor::{Created, Order, create};
use crate::host::Host;
use crate::plan::{Facts, Options, Plan, compile};
use crate::spec::{self, Config};
use crate::state::{Place, Record};

/// Everything that is decided before anything is touched.
pub struct Prepared {
    /// The config.
    pub config: Config,
    /// Its bytes.
    pub text: Vec<u8>,
    /// The host.
    pub facts: Facts,
    /// The command line.
    pub options: Options,
    /// The plan.
    pub plan: Plan,
    /// The place for the state.
    pub place: Place,
    /// Where the pid is written to.
    pub pid_file: Option<PidFile>,
}

impl Prepared {
    /// Connect with the caller.
    pub fn front(&self, caller: &Caller<'_>) -> Result<Front> {
        Front::connect(caller, &self.config, self.config.process())
    }
}

/// Load, check and plan.
pub fn prepare(global: &Global, args: &CreateArgs, log: &Log, begin: Begin) -> Result<Prepared> {
    let root = root(global)?;
    let place = root.container(&args.id)?;
    let host = Host::read();
    let bundle = bundle(args.bundle.as_deref(), args.bundle_argument.as_deref())?;
    let config_file = config(args.config.as_deref())?.unwrap_or_else(|| bundle.join("config.json"));
    let text = spec::read(&config_file)?;
    let config = spec::parse(&text)?;
    let mut options = options(global, args, &host, bundle, begin)?;
    options.notify = manager().map(|_| place.notify());
    let pid_file = args.pid_file.as_deref().map(PidFile::new).transpose()?;
    let facts = host.facts(&config, &options)?;
    let plan = compile(&config, &facts, &options)?;
    for warning in &plan.warnings {
        log.warning(warning);
    }
    for (op, field) in plan.program.iter() {
        log.debug(&format!("{field}: {}", crate::plan::describe(op, &plan.program).trim()));
    }
    Ok(Prepared { config, text, facts, options, plan, place, pid_file })
}

/// Make the container of a plan. `maker` does it, and is handed what writes the pid file before
/// anything runs.
pub fn make(
    prepared: &Prepared,
    front: &Front,
    log: &Log,
    maker: impl FnOnce(&Order<'_>, &dyn Fn(&Record) -> Result<()>) -> Result<Created>,
) -> Result<Created> {
    let Prepared { config, text, facts, options, plan, place, pid_file, .. } = prepared;
    let order = Order { config, text, facts, options, plan, place, connections: front.connections() };
    let write = |record: &Record| pid_file.as_ref().map_or(Ok(()), |file| file.write(record.pid));
    let created = maker(&order, &write).inspect_err(|_| {
        if let Some(file) = pid_file {
            file.remove();
        }
    })?;
    for warning in &created.warnings {
        log.warning(warning);
    }
    Ok(created)
}

/// The command.
pub fn run(global: &Global, args: &CreateArgs, log: &Log) -> Result<()> {
    let prepared = prepare(global, args, log, Begin::AtStart)?;
    let front = prepared.front(&Caller::of(global, args))?;
    make(&prepared, &front, log, |order, pid_file| create(order, |record, _| pid_file(record)))?;
    Ok(())
}
