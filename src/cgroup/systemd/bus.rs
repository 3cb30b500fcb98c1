//! Calls to the service manager over D-Bus: org.freedesktop.systemd1(5).
//!
//! Each action has its own connection, which the calling thread drives. No other thread is started.

use std::future::poll_fn;
use std::pin::Pin;

use anyhow::{Context, Result, bail};
use futures_core::Stream;
use nix::unistd::Pid;
use zbus::message::Type;
use zbus::{Connection, MatchRule, Message, MessageStream, ObjectPath, OwnedObjectPath, OwnedVariant, Variant};

use super::answer::{Gone, PATIENCE, Refused, answer, is, late, plain};
use super::connect::{directly, open, own_bus};
use super::scope::{Scope, ScopeProperty, Unit};
use super::variant::{Properties, variants};

const SERVICE: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// Starts the scope with the process as its first.
///
/// If the connection breaks, the unit may exist all the same. It ends with the process.
pub(super) fn start(scope: &Scope, pid: Pid) -> Result<()> {
    let name = &scope.unit.name;
    let pids = Variant::from(vec![pid.as_raw().cast_unsigned()]);
    let started = zbus::block_on(async {
        let bus = Bus::connect(scope.unit.user).await?;
        let done = bus.start(name, &scope.properties, pids).await;
        bus.leave(done).await
    });
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
    let annotated =
        properties.iter().map(|property| property.field.as_str()).filter(|field| field.starts_with("annotations."));
    let annotated: Vec<&str> = annotated.collect();
    let of_a_property =
        name.starts_with("System.Error.") || name.ends_with(".InvalidArgs") || name.contains("Property");
    (of_a_property && !annotated.is_empty()).then(|| annotated.join(" or "))
}

/// Stops the unit and makes systemd forget it.
pub(super) fn stop(unit: &Unit) -> Result<()> {
    let name = unit.name.as_str();
    let stopped = ask(unit.user, async |bus| bus.stop(name).await);
    stopped.with_context(|| format!("unable to stop unit {name:?}"))
}

pub(super) fn set(unit: &Unit, properties: &[ScopeProperty]) -> Result<()> {
    let name = unit.name.as_str();
    let set = ask(unit.user, async |bus| {
        let set = async |given: &[(&str, Variant<'_>)]| bus.call("SetUnitProperties", &(name, true, given)).await;
        bus.with_properties(properties, None, set).await.map(drop)
    });
    set.with_context(|| {
        let fields: Vec<&str> = properties.iter().map(|property| property.field.as_str()).collect();
        format!("{}: unable to set properties of unit {name:?}", fields.join(", "))
    })
}

/// Moves a process into the unit's cgroup or a cgroup below it.
pub(super) fn attach(unit: &Unit, below: &str, pid: Pid) -> Result<()> {
    let name = unit.name.as_str();
    let pids = vec![pid.as_raw().cast_unsigned()];
    let attached = ask(unit.user, async |bus| {
        bus.call("AttachProcessesToUnit", &(name, below, &pids)).await.map(drop).map_err(plain)
    });
    attached.with_context(|| format!("error adding pid {pid} to unit {name:?}"))
}

/// The cgroup of the user's service manager, relative to the root of the hierarchy.
pub(super) fn control_group() -> Result<std::path::PathBuf> {
    let path = ask(true, async |bus| bus.property("ControlGroup").await);
    let path = path.context("unable to ask the user's service manager for its cgroup")?;
    Ok(path.trim_start_matches('/').into())
}

/// Does an action that can be repeated, over a connection of its own. If the connection breaks, repeats the action
/// once.
fn ask<T>(user: bool, what: impl AsyncFn(&Bus) -> Result<T>) -> Result<T> {
    let once = || {
        zbus::block_on(async {
            let bus = Bus::connect(user).await?;
            let done = what(&bus).await;
            bus.leave(done).await
        })
    };
    match once() {
        Err(error) if error.is::<Gone>() => once(),
        done => done,
    }
}

struct Bus {
    connection: Connection,
}

impl Bus {
    /// Connects. If no bus runs, root can also reach the host's manager without one.
    async fn connect(user: bool) -> Result<Bus> {
        if user {
            let connection = open(own_bus()?).await.context("unable to connect to the user's bus")?;
            return Ok(Bus { connection });
        }
        let mut connection = open(zbus::connection::Builder::system()).await;
        if connection.is_err() && nix::unistd::geteuid().is_root() {
            connection = directly().await.or(connection);
        }
        Ok(Bus { connection: connection.context("unable to connect to the system bus")? })
    }

    /// Closes the connection, so that nothing of it is left after the call.
    async fn leave<T>(self, done: Result<T>) -> Result<T> {
        // All messages have been sent.
        let _ = self.connection.close().await;
        done
    }

    async fn call<B>(&self, method: &str, body: &B) -> zbus::Result<Message>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        self.connection.call_method(Some(SERVICE), PATH, Some(MANAGER), method, body).await
    }

    /// Receives the jobs that end from now on.
    async fn jobs(&self) -> Result<MessageStream> {
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .path(PATH)
            .interface(MANAGER)
            .member("JobRemoved")
            .build()
            .map_err(plain)?;
        MessageStream::for_match_rule(rule, &self.connection, None).await.map_err(plain)
    }

    async fn start(&self, name: &str, properties: &[ScopeProperty], pids: Variant<'static>) -> Result<()> {
        let mut jobs = self.jobs().await?;
        let none: Vec<(&str, Properties<'_>)> = Vec::new();
        let start = async |given: &[(&str, Variant<'_>)]| {
            let body = (name, "replace", given, &none);
            match self.call("StartTransientUnit", &body).await {
                // Remove a failed unit of this name.
                Err(error) if is(&error, EXISTS) => {
                    let _ = self.call("ResetFailedUnit", &name).await;
                    self.call("StartTransientUnit", &body).await
                }
                other => other,
            }
        };
        let answer = self.with_properties(properties, Some(("PIDs", pids)), start).await?;
        let result = wait(&mut jobs, &job_of(&answer)?).await;
        match result.as_deref() {
            Ok("done") => Ok(()),
            _ => {
                let _ = self.call("StopUnit", &(name, "replace")).await;
                let _ = self.call("ResetFailedUnit", &name).await;
                bail!("the job of systemd ended as {:?}", result?)
            }
        }
    }

    /// Makes a call with properties. If systemd refuses because it is too old for one of them, repeats the call without
    /// it: the kernel's files get the value anyway.
    async fn with_properties(
        &self,
        properties: &[ScopeProperty],
        more: Option<(&'static str, Variant<'static>)>,
        call: impl AsyncFn(&[(&str, Variant<'_>)]) -> zbus::Result<Message>,
    ) -> Result<Message> {
        let mut given = variants(properties)?;
        given.extend(more);
        let error = match call(&given).await {
            Err(error) if answer(&error).is_some() && properties.iter().any(|it| it.since.is_some()) => error,
            done => return done.map_err(plain),
        };
        let version = self.property("Version").await.ok().as_deref().and_then(version).unwrap_or(0);
        if properties.iter().all(|it| it.since <= Some(version)) {
            return Err(plain(error));
        }
        let mut known = properties.iter().map(|it| it.since <= Some(version));
        given.retain(|_| known.next().unwrap_or(true));
        call(&given).await.map_err(plain)
    }

    async fn stop(&self, name: &str) -> Result<()> {
        let mut jobs = self.jobs().await?;
        match self.call("StopUnit", &(name, "replace")).await {
            Ok(answer) => drop(wait(&mut jobs, &job_of(&answer)?).await?),
            // The unit ends by itself when it is empty.
            Err(error) if is(&error, NO_SUCH_UNIT) => {}
            Err(error) => return Err(plain(error)),
        }
        match self.call("ResetFailedUnit", &name).await {
            Err(error) if !is(&error, NO_SUCH_UNIT) => Err(plain(error)),
            _ => Ok(()),
        }
    }

    /// A property of the manager.
    async fn property(&self, name: &str) -> Result<String> {
        let (properties, wanted) = (Some("org.freedesktop.DBus.Properties"), (MANAGER, name));
        let asked = self.connection.call_method(Some(SERVICE), PATH, properties, "Get", &wanted);
        let answer = asked.await.map_err(plain)?;
        let body = answer.body();
        let value: OwnedVariant = body.deserialize().map_err(plain)?;
        String::try_from(value).map_err(plain)
    }
}

/// The version number in `252.39-1~deb12u2`, `v262` or `systemd 245 (245.4)`.
fn version(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

fn job_of(answer: &Message) -> Result<OwnedObjectPath> {
    answer.body().deserialize().map_err(plain)
}

/// Waits until a job has ended. Returns its result: `done`, `failed`, `timeout`, …
async fn wait(jobs: &mut MessageStream, job: &OwnedObjectPath) -> Result<String> {
    let ended = async {
        while let Some(message) = poll_fn(|context| Pin::new(&mut *jobs).poll_next(context)).await {
            let body = message.map_err(plain)?.body();
            let (_, path, _, result): (u32, ObjectPath<'_>, &str, &str) = body.deserialize().map_err(plain)?;
            if path == **job {
                return Ok(result.to_owned());
            }
        }
        Err(Gone.into())
    };
    let runtime = zruntime::Runtime::current().map_err(crate::sys::io)?;
    runtime.timeout(PATIENCE, ended).await.map_err(|_| late())?
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
