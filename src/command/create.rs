//! `create`: make a container that waits for `start`.

use anyhow::Result;

use super::front::{Front, FrontOptions};
use super::log::Log;
use super::pid_file::PidFile;
use super::shared::{Begin, bundle, config, manager, options, root};
use crate::cli::{CreateArgs, Global};
use crate::executor::{Ahead, Created, Order, create};
use crate::host::Host;
use crate::plan::{Facts, Options, Plan, compile};
use crate::spec::{self, Config};
use crate::state::{Place, Record};
use crate::trace;

/// All decisions, made before the runtime changes anything.
pub struct Prepared {
    pub config: Config,
    /// The bytes of `config.json`.
    pub text: Vec<u8>,
    pub facts: Facts,
    pub options: Options,
    pub plan: Plan,
    /// The state directory that the container will have.
    pub place: Place,
    /// The file that the caller wants the pid in.
    pub pid_file: Option<PidFile>,
}

impl Prepared {
    pub fn front(&self, caller: &FrontOptions<'_>) -> Result<Front> {
        Front::connect(caller, &self.config, self.config.process())
    }
}

/// Loads and checks the config and compiles the plan. Begins to make a network namespace in `ahead` meanwhile.
pub fn prepare(
    global: &Global,
    args: &CreateArgs,
    log: &Log,
    begin: Begin,
    mut ahead: Option<&mut Ahead>,
) -> Result<Prepared> {
    let root = root(global)?;
    let place = root.container(&args.id)?;
    let host = Host::read();
    let bundle = bundle(args.bundle.as_deref(), args.bundle_argument.as_deref())?;
    let config_file = config(args.config.as_deref())?.unwrap_or_else(|| bundle.join("config.json"));
    let text = trace::work("read config.json", || spec::read(&config_file))?;
    if let Some(ahead) = ahead.as_deref_mut() {
        ahead.guess(&text, &host.caller);
    }
    let config = trace::work("parse and check config.json", || spec::parse(&text))?;
    if let Some(ahead) = ahead {
        ahead.begin_if_asked(&config, &host.caller);
    }
    let mut options = options(global, args, &host, bundle, begin)?;
    options.notify = manager().map(|_| place.notify());
    let pid_file = args.pid_file.as_deref().map(PidFile::new).transpose()?;
    let facts = trace::work("look up facts about the host", || host.facts(&config, &options))?;
    let plan = trace::work("plan", || compile(&config, &facts, &options))?;
    for warning in &plan.warnings {
        log.warning(warning);
    }
    for (op, field) in plan.program.iter() {
        log.debug(|| format!("{field}: {}", crate::plan::describe(op, &plan.program).trim()));
    }
    Ok(Prepared { config, text, facts, options, plan, place, pid_file })
}

/// Runs `maker`, which makes the container of a plan. `maker` calls its second argument to write the pid file before
/// the container runs anything.
pub fn make(
    prepared: &Prepared,
    front: &Front,
    log: &Log,
    maker: impl FnOnce(&Order<'_>, &dyn Fn(&Record) -> Result<()>) -> Result<Created>,
) -> Result<Created> {
    let Prepared { config, text, facts, options, plan, place, pid_file, .. } = prepared;
    let order = Order { config, text, facts, options, plan, place, connections: front.connections() };
    let write = |record: &Record| {
        pid_file.as_ref().map_or(Ok(()), |file| trace::work("write the pid file", || file.write(record.pid)))
    };
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

pub fn run(global: &Global, args: &CreateArgs, log: &Log) -> Result<()> {
    let mut ahead = Ahead::default();
    let prepared = prepare(global, args, log, Begin::AtStart, Some(&mut ahead))?;
    let front = prepared.front(&FrontOptions::of(global, args))?;
    make(&prepared, &front, log, |order, pid_file| create(order, ahead, |record, _| pid_file(record)))?;
    Ok(())
}
