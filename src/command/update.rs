//! `update`: change the limits of a container.

use std::io::Read;

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value};

use super::log::Log;
use super::shared::root;
use crate::cgroup;
use crate::cli::{Global, UpdateArgs, bytes};
use crate::spec;
use crate::state::{MISSING, NotRunning, Record, Status};
use crate::sys::Call;
use crate::tables::limit::OptionKind;

type Object = Map<String, Value>;

pub fn run(global: &Global, args: &UpdateArgs, log: &Log) -> Result<()> {
    let asked = asked(args, log)?;
    let directory = root(global)?.container(&args.id)?.open()?;
    let directory = directory.ok_or_else(|| anyhow!(MISSING))?;
    let locked = directory.lock_record()?.ok_or_else(|| anyhow!(MISSING))?;
    let record = &locked.record;
    if matches!(record.status(&directory)?, Status::Stopped | Status::Creating) {
        bail!(NotRunning);
    }
    let mut config: Value = serde_json::from_str(directory.config()?.get())?;
    within(&mut config, "/linux/resources", |stored| cgroup::merge(stored, &asked))?;
    let rdt = SchemataUpdate::of(args, record)?;
    if rdt.asked() {
        within(&mut config, "/linux/intelRdt", |stored| rdt.keep(stored))?;
    }
    let config = config.to_string();
    let merged = spec::parse(config.as_bytes())?;
    let resources = merged.resources().cloned().unwrap_or_default();
    let plan = cgroup::CgroupPlan::update(record.cgroup.existing(), &resources, merged.extras(), &asked)?;
    for note in plan.notes() {
        log.warning(note);
    }
    let before = record.cgroup.update(&plan)?;
    let kept = rdt.write(record, || directory.save(record, config.as_bytes()));
    kept.inspect_err(|_| before.restore())
}

/// The limits to change, in the form of `linux.resources`. With `--resources` the other options are ignored.
fn asked(args: &UpdateArgs, log: &Log) -> Result<Object> {
    if let Some(file) = args.from.resources.as_deref() {
        return spec::parse_resources(&read(file)?);
    }
    if args.limits.0.iter().any(|(_, option, _)| option.kind == OptionKind::Ignored) {
        log.warning("Kernel memory settings are ignored and will be removed");
    }
    let mut asked = Object::new();
    for (scalar, option, text) in &args.limits.0 {
        let value = value(option.kind, text).map_err(|error| anyhow!("invalid value for {}: {error}", option.name))?;
        if let Some(value) = value {
            let section = asked.entry(scalar.section()).or_insert_with(|| Value::Object(Object::new()));
            section[scalar.name()] = value;
        }
    }
    // This refuses a value that does not fit the type of its field, and names the field.
    spec::parse_resources(Value::from(asked).to_string().as_bytes())
}

fn read(file: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => std::io::stdin().read_to_end(&mut bytes).map(drop),
        file => std::fs::read(file).map(|read| bytes = read),
    };
    let name = if file == "-" { "standard input" } else { file };
    read.named(format_args!("--resources: open {name}"))?;
    Ok(bytes)
}

/// The text of an option as JSON; `None` if the option is ignored.
fn value(kind: OptionKind, text: &str) -> Result<Option<Value>> {
    let invalid = |_| anyhow!("{text:?} is not a number");
    Ok(Some(match kind {
        OptionKind::Unsigned => Value::from(text.parse::<u64>().map_err(invalid)?),
        OptionKind::Signed => Value::from(text.parse::<i64>().map_err(invalid)?),
        OptionKind::Size if text == "-1" => Value::from(-1),
        OptionKind::Size => Value::from(bytes(text)?),
        OptionKind::Text => Value::from(text),
        OptionKind::Ignored => return Ok(None),
    }))
}

/// Changes the object at `place` in the config, and creates it first if it is absent.
fn within(config: &mut Value, place: &str, change: impl FnOnce(&mut Object)) -> Result<()> {
    let mut value = config;
    for name in place.split('/').skip(1) {
        let object = value.as_object_mut().ok_or_else(|| anyhow!("{place}: not an object"))?;
        value = object.entry(name).or_insert(Value::Null);
        if value.is_null() {
            *value = Value::Object(Object::new());
        }
    }
    change(value.as_object_mut().ok_or_else(|| anyhow!("{place}: not an object"))?);
    Ok(())
}

/// The schemata of Intel RDT to change.
struct SchemataUpdate<'a> {
    l3: Option<&'a str>,
    bandwidth: Option<&'a str>,
}

impl<'a> SchemataUpdate<'a> {
    fn of(args: &'a UpdateArgs, record: &Record) -> Result<SchemataUpdate<'a>> {
        let value = |option: &'a Option<String>| option.as_deref().filter(|_| args.from.resources.as_deref().is_none());
        let rdt = SchemataUpdate { l3: value(&args.l3_cache_schema), bandwidth: value(&args.mem_bw_schema) };
        if rdt.asked() && record.rdt.is_none() {
            let option = if rdt.l3.is_some() { "l3-cache-schema" } else { "mem-bw-schema" };
            bail!("--{option}: updating a non-existent Intel RDT configuration is not supported");
        }
        Ok(rdt)
    }

    fn asked(&self) -> bool {
        self.l3.is_some() || self.bandwidth.is_some()
    }

    fn keep(&self, stored: &mut Object) {
        for (name, schema) in [("l3CacheSchema", self.l3), ("memBwSchema", self.bandwidth)] {
            if let Some(schema) = schema {
                stored.insert(name.to_owned(), Value::from(schema));
            }
        }
    }

    /// Writes the schemata and calls `go_on`. If `go_on` fails, restores the old schemata.
    fn write(&self, record: &Record, go_on: impl FnOnce() -> Result<()>) -> Result<()> {
        let Some(groups) = record.rdt.as_ref().filter(|_| self.asked()) else { return go_on() };
        let before = groups.update(self.l3, self.bandwidth)?;
        go_on().inspect_err(|_| groups.restore(&before))
    }
}
