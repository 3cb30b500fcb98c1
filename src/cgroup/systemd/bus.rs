//! Calls to the service manager over D-Bus: org.freedesktop.systemd1(5).

use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use nix::unistd::Pid;

use super::answer::{Gone, PATIENCE, Refused, is};
use super::connect::{directly, own_bus, system_bus};
use super::connection::Connection;
use super::gvariant::GVariant;
use super::marshal;
use super::message::Method;
use super::scope::{Scope, ScopeProperty, Unit};

const SERVICE: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// The bus itself: its name, its object and its interface.
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// The signals that the bus shall pass on: the ends of systemd's jobs.
const JOBS: &str = "type='signal',sender='org.freedesktop.systemd1',path='/org/freedesktop/systemd1',\
    interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
const JOB_REMOVED: &str = "org.freedesktop.systemd1.Manager.JobRemoved";

/// The type of properties in a call: names with values.
const PROPERTIES: &str = "(sv)";
/// The type of the last argument of `StartTransientUnit`, more units, of which there are none.
const MORE_UNITS: &str = "(sa(sv))";

/// Starts the scope with the process as its first.
///
/// If the connection breaks, the unit may exist all the same. It ends with the process.
pub(super) fn start(scope: &Scope, pid: Pid) -> Result<()> {
    let name = &scope.unit.name;
    let started = Bus::connect(scope.unit.user).and_then(|mut bus| bus.start(name, &scope.properties, pid));
    started.map_err(|error| {
        let field = blamed(&scope.properties, &error).unwrap_or_else(|| "linux.cgroupsPath".to_owned());
        error.context(format!("{field}: unable to start unit {name:?}"))
    })
}

/// The field of the property that systemd has refused, if the error names the property. Otherwise an annotation's
/// field, because systemd knows all other properties.
fn blamed(properties: &[ScopeProperty], error: &anyhow::Error) -> Option<String> {
    let Refused { name, words } = error.downcast_ref()?;
    let named = |property: &&ScopeProperty| {
        words.split(|letter: char| !letter.is_alphanumeric()).any(|word| word == property.name)
    };
    if let Some(property) = properties.iter().find(named) {
        return Some(property.field.to_string());
    }
    let annotated = properties.iter().map(|property| property.field.text());
    let annotated: Vec<_> = annotated.filter(|field| field.starts_with("annotations.")).collect();
    let of_a_property =
        name.starts_with("System.Error.") || name.ends_with(".InvalidArgs") || name.contains("Property");
    (of_a_property && !annotated.is_empty()).then(|| annotated.join(" or "))
}

/// Stops the unit and makes systemd forget it.
pub(super) fn stop(unit: &Unit) -> Result<()> {
    let name = unit.name.as_str();
    let stopped = ask(unit.user, |bus| bus.stop(name));
    stopped.with_context(|| format!("unable to stop unit {name:?}"))
}

pub(super) fn set(unit: &Unit, properties: &[ScopeProperty]) -> Result<()> {
    let name = unit.name.as_str();
    let set = ask(unit.user, |bus| bus.set(name, properties));
    set.map(drop).with_context(|| {
        let fields: Vec<_> = properties.iter().map(|property| property.field.text()).collect();
        format!("{}: unable to set properties of unit {name:?}", fields.join(", "))
    })
}

/// Moves a process into the unit's cgroup or a cgroup below it.
pub(super) fn attach(unit: &Unit, below: &str, pid: Pid) -> Result<()> {
    let name = unit.name.as_str();
    let arguments = [GVariant::text(name), GVariant::text(below), pids(pid)];
    let attached = ask(unit.user, |bus| bus.call("AttachProcessesToUnit", &arguments));
    attached.map(drop).with_context(|| format!("error adding pid {pid} to unit {name:?}"))
}

/// The cgroup of the user's service manager, relative to the root of the hierarchy.
pub(super) fn control_group() -> Result<std::path::PathBuf> {
    let path = ask(true, |bus| bus.property("ControlGroup"));
    let path = path.context("unable to ask the user's service manager for its cgroup")?;
    Ok(path.trim_start_matches('/').into())
}

/// Does an action that can be repeated, over a connection of its own. If the connection breaks, repeats the action
/// once.
fn ask<T>(user: bool, what: impl Fn(&mut Bus) -> Result<T>) -> Result<T> {
    let once = || Bus::connect(user).and_then(|mut bus| what(&mut bus));
    match once() {
        Err(error) if error.is::<Gone>() => once(),
        done => done,
    }
}

fn pids(pid: Pid) -> GVariant {
    GVariant::Array("u".to_owned(), vec![GVariant::u32(pid.as_raw().cast_unsigned())])
}

fn name_and_value(name: &str, value: GVariant) -> GVariant {
    GVariant::Tuple(vec![GVariant::text(name), GVariant::Variant(Box::new(value))])
}

pub(super) struct Bus {
    connection: Connection,
    /// Whether systemd itself is the peer. It sends all signals, and knows no names.
    direct: bool,
}

impl Bus {
    /// Connects. If no bus runs, root can also reach the host's manager without one.
    fn connect(user: bool) -> Result<Bus> {
        let bus = if user { own_bus() } else { system_bus() };
        let connection = match bus {
            Ok(connection) => connection,
            Err(_) if user => bus.context("unable to connect to the user's bus")?,
            Err(error) => match nix::unistd::geteuid().is_root().then(directly) {
                Some(Ok(connection)) => return Ok(Bus { connection, direct: true }),
                _ => return Err(error.context("unable to connect to the system bus")),
            },
        };
        let mut bus = Bus { connection, direct: false };
        // The bus answers in order, so the next call's answer also shows that this one was accepted.
        bus.connection.send(&of_the_bus("Hello"), &[])?;
        Ok(bus)
    }

    fn call(&mut self, member: &str, arguments: &[GVariant]) -> Result<Vec<GVariant>> {
        self.connection.call(&Method { destination: SERVICE, path: PATH, interface: MANAGER, member }, arguments)
    }

    /// Subscribes to the ends of jobs from now on.
    fn watch_jobs(&mut self) -> Result<()> {
        if !self.direct {
            self.connection.call(&of_the_bus("AddMatch"), &[GVariant::text(JOBS)])?;
        }
        Ok(())
    }

    pub(super) fn start(&mut self, name: &str, properties: &[ScopeProperty], pid: Pid) -> Result<()> {
        self.watch_jobs()?;
        let answer = self.with_properties(properties, Some(name_and_value("PIDs", pids(pid))), |bus, given| {
            let none = GVariant::Array(MORE_UNITS.to_owned(), Vec::new());
            let arguments = [GVariant::text(name), GVariant::text("replace"), given, none];
            match bus.call("StartTransientUnit", &arguments) {
                // Remove a failed unit of this name.
                Err(error) if is(&error, EXISTS) => {
                    let _ = bus.call("ResetFailedUnit", &[GVariant::text(name)]);
                    bus.call("StartTransientUnit", &arguments)
                }
                other => other,
            }
        })?;
        let result = self.wait(&job_of(answer)?);
        match result.as_deref() {
            Ok("done") => Ok(()),
            _ => {
                let _ = self.call("StopUnit", &[GVariant::text(name), GVariant::text("replace")]);
                let _ = self.call("ResetFailedUnit", &[GVariant::text(name)]);
                bail!("the job of systemd ended as {:?}", result?)
            }
        }
    }

    /// Makes a call with properties. If systemd refuses because it is too old for one of them, repeats the call without
    /// it: the kernel's files get the value anyway.
    fn with_properties(
        &mut self,
        properties: &[ScopeProperty],
        more: Option<GVariant>,
        call: impl Fn(&mut Bus, GVariant) -> Result<Vec<GVariant>>,
    ) -> Result<Vec<GVariant>> {
        for property in properties {
            marshal::check(&property.value).map_err(|why| anyhow!("{}: {why}", property.field))?;
        }
        let given = |known: &dyn Fn(&&ScopeProperty) -> bool| {
            let properties = properties.iter().filter(known);
            let properties = properties.map(|property| name_and_value(&property.name, property.value.clone()));
            GVariant::Array(PROPERTIES.to_owned(), properties.chain(more.clone()).collect())
        };
        let error = match call(self, given(&|_| true)) {
            Err(error) if error.is::<Refused>() && properties.iter().any(|it| it.since.is_some()) => error,
            done => return done,
        };
        let version = self.property("Version").ok().as_deref().and_then(version).unwrap_or(0);
        let known = |property: &&ScopeProperty| property.since <= Some(version);
        if properties.iter().all(|property| known(&property)) {
            return Err(error);
        }
        call(self, given(&known))
    }

    pub(super) fn set(&mut self, name: &str, properties: &[ScopeProperty]) -> Result<Vec<GVariant>> {
        self.with_properties(properties, None, |bus, given| {
            bus.call("SetUnitProperties", &[GVariant::text(name), GVariant::Bool(true), given])
        })
    }

    pub(super) fn stop(&mut self, name: &str) -> Result<()> {
        self.watch_jobs()?;
        match self.call("StopUnit", &[GVariant::text(name), GVariant::text("replace")]) {
            Ok(answer) => drop(self.wait(&job_of(answer)?)?),
            // The unit ends by itself when it is empty.
            Err(error) if is(&error, NO_SUCH_UNIT) => {}
            Err(error) => return Err(error),
        }
        match self.call("ResetFailedUnit", &[GVariant::text(name)]) {
            Err(error) if !is(&error, NO_SUCH_UNIT) => Err(error),
            _ => Ok(()),
        }
    }

    /// A property of the manager.
    pub(super) fn property(&mut self, name: &str) -> Result<String> {
        let interface = "org.freedesktop.DBus.Properties";
        let get = Method { destination: SERVICE, path: PATH, interface, member: "Get" };
        let answer = self.connection.call(&get, &[GVariant::text(MANAGER), GVariant::text(name)])?;
        if let Some(GVariant::Variant(value)) = answer.into_iter().next()
            && let GVariant::Text('s', text) = *value
        {
            return Ok(text);
        }
        bail!("the property {name} of systemd is not a text")
    }

    /// Waits until a job has ended. Returns its result: `done`, `failed`, `timeout`, …
    fn wait(&mut self, job: &str) -> Result<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let signal = self.connection.signal(end)?;
            if signal.signal != JOB_REMOVED {
                continue;
            }
            let body = signal.body().unwrap_or_default();
            if let [_, GVariant::Text('o', path), _, GVariant::Text('s', result)] = body.as_slice()
                && path == job
            {
                return Ok(result.clone());
            }
        }
    }
}

/// A bus or, if `direct`, systemd itself, on an open connection.
#[cfg(any(test, fuzzing))]
pub(super) fn over(stream: std::os::unix::net::UnixStream, direct: bool) -> Bus {
    Bus { connection: Connection::over(stream), direct }
}

/// A method of the bus itself.
fn of_the_bus(member: &str) -> Method<'_> {
    Method { destination: BUS, path: BUS_PATH, interface: BUS, member }
}

fn job_of(answer: Vec<GVariant>) -> Result<String> {
    match answer.into_iter().next() {
        Some(GVariant::Text('o', job)) => Ok(job),
        _ => bail!("systemd has not named a job"),
    }
}

/// The version number in `252.39-1~deb12u2`, `v262` or `systemd 245 (245.4)`.
fn version(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::gvariant::GVariant;
    use super::*;
    use crate::spec::Field;

    #[test]
    fn who_gave_the_property_that_is_refused() {
        let property = |name: &str, field: &str| ScopeProperty {
            name: name.to_owned(),
            value: GVariant::Bool(true),
            field: Field::of("annotations").member(field),
            since: None,
        };
        let own = ScopeProperty { field: Field::of("linux.cgroupsPath"), ..property("Slice", "") };
        let properties = [own, property("Foo", "it.Foo"), property("FooBar", "it.FooBar")];
        for (name, words, wanted) in [
            (
                "org.freedesktop.DBus.Error.PropertyReadOnly",
                "Cannot set property FooBar, or unknown",
                Some("annotations.it.FooBar"),
            ),
            ("org.freedesktop.systemd1.NoSuchUnit", "Invalid Slice", Some("linux.cgroupsPath")),
            ("System.Error.ENXIO", "No such device or address", Some("annotations.it.Foo or annotations.it.FooBar")),
            ("org.freedesktop.systemd1.UnitExists", "Unit x.scope already exists", None),
        ] {
            let error = Refused { name: name.to_owned(), words: words.to_owned() }.into();
            assert_eq!(blamed(&properties, &error).as_deref(), wanted, "{name}");
        }
    }

    #[test]
    fn versions() {
        for (text, wanted) in [
            ("252.39-1~deb12u2", Some(252)),
            ("v262~rc1-1", Some(262)),
            ("systemd 245 (245.4-4ubuntu3)", Some(245)),
            ("239", Some(239)),
            ("", None),
        ] {
            assert_eq!(version(text), wanted, "{text}");
        }
    }
}
