//! The invariants of messages, for the fuzzer.

use std::os::unix::net::UnixStream;

use anyhow::Result;
use nix::unistd::Pid;

use super::bus;
use super::gvariant::{self, GVariant};
use super::marshal::{self, LARGEST, Marshaller, Unmarshaller};
use super::message::{Method, Received, START, length};
use super::scope::{Scope, ScopeProperty, Unit};
use crate::cgroup::CgroupPlan;
use crate::spec::Field;

/// The number of values in a value.
fn count(value: &GVariant) -> usize {
    1 + match value {
        GVariant::Array(_, values) | GVariant::Tuple(values) => values.iter().map(count).sum(),
        GVariant::Variant(value) => count(value),
        _ => 0,
    }
}

/// A value that was received or parsed can be sent, and arrives as the same one.
fn travels(value: &GVariant) {
    let mut sent = Marshaller::default();
    sent.value(value).expect("a value that can be sent");
    let received = Unmarshaller::new(&sent.bytes, false).values(&value.signature());
    assert_eq!(
        format!("{received:?}"),
        format!("{:?}", Ok::<_, marshal::Invalid>(vec![value])),
        "another value arrives"
    );
}

/// One message. Returns whether it is valid.
pub fn message(data: &[u8]) -> bool {
    if let Some(Ok(whole)) = data.first_chunk::<START>().map(length) {
        assert!(whole <= 2 * LARGEST + START + 8, "a message of {whole} bytes");
    }
    let Ok(received) = Received::parse(data) else { return false };
    let Ok(values) = received.body() else { return false };
    assert!(values.iter().map(count).sum::<usize>() <= 8 * data.len() + 255, "more values than bytes");
    values.iter().for_each(travels);
    true
}

/// The text of a value. Returns whether it is valid.
pub fn text(text: &str) -> bool {
    let Ok(value) = gvariant::parse(text) else { return false };
    let again = gvariant::parse(&value.to_string());
    assert_eq!(format!("{again:?}"), format!("{:?}", Ok::<_, String>(&value)), "{text:?} is another value as {value}");
    if marshal::check(&value).is_ok() {
        travels(&value);
    }
    let _ = value.microseconds();
    true
}

/// The properties of a plan's unit can be sent, or are refused.
pub fn properties(plan: &CgroupPlan) {
    for property in plan.scope.iter().flat_map(|scope| &scope.properties) {
        if marshal::check(&property.value).is_ok() {
            travels(&property.value);
        }
    }
}

fn scope() -> Scope {
    let field = Field::of("annotations");
    let since = |property: ScopeProperty, since| ScopeProperty { since: Some(since), ..property };
    Scope {
        unit: Unit { name: "tare-fuzzed.scope".to_owned(), user: false, subgroup: None },
        slice: "system.slice".to_owned(),
        properties: vec![
            ScopeProperty::new("Slice", GVariant::text("system.slice"), &field),
            since(ScopeProperty::new("MemoryZSwapMax", GVariant::u64(1), &field), 253),
        ],
        path: "system.slice/tare-fuzzed.scope".into(),
    }
}

/// A conversation with a peer that has sent everything already: a start, an end, or a change of properties.
pub fn converse(stream: UnixStream, choice: u8) -> Result<()> {
    let (scope, mut bus) = (scope(), bus::over(stream, choice == 7));
    match choice {
        3 | 7 => bus.start(&scope.unit.name, &scope.properties, Pid::from_raw(7)),
        4 => bus.stop(&scope.unit.name),
        5 => bus.property("ControlGroup").map(drop),
        _ => bus.set(&scope.unit.name, &scope.properties).map(drop),
    }
}

/// A message from the bus. Only the type of its header is unlike that of a call.
fn sent(kind: u8, reply_to: u32, method: &Method<'_>, arguments: &[GVariant]) -> Vec<u8> {
    let field = |code: i128, value: GVariant| {
        GVariant::Tuple(vec![GVariant::Integer('y', code), GVariant::Variant(Box::new(value))])
    };
    let text = |code: char, text: &str| GVariant::Text(code, text.to_owned());
    let signature: String = arguments.iter().map(GVariant::signature).collect();
    let fields = vec![
        field(1, text('o', method.path)),
        field(2, text('s', method.interface)),
        field(3, text('s', method.member)),
        field(4, text('s', method.destination)),
        field(5, GVariant::u32(reply_to)),
        field(8, text('g', &signature)),
    ];
    let mut body = Marshaller::default();
    arguments.iter().for_each(|argument| body.value(argument).expect("a valid argument"));
    let mut message = Marshaller { bytes: vec![b'l', kind, 0, 1] };
    for value in [GVariant::u32(body.bytes.len() as u32), GVariant::u32(9), GVariant::Array("(yv)".to_owned(), fields)]
    {
        message.value(&value).expect("a valid header");
    }
    message.align(8);
    [message.bytes, body.bytes].concat()
}

/// Conversations that end well, and some that do not.
pub fn conversations() -> Vec<(u8, Vec<u8>)> {
    let name = |member| Method {
        destination: "org.freedesktop.DBus.Error.Failed",
        path: "/",
        interface: "org.freedesktop.systemd1.Manager",
        member,
    };
    let exists = Method { destination: "org.freedesktop.systemd1.UnitExists", ..name("x") };
    let property = Method { destination: "org.freedesktop.DBus.Error.PropertyReadOnly", ..name("x") };
    let job = || GVariant::Text('o', "/org/freedesktop/systemd1/job/7".to_owned());
    let reply = |to: u32, values: &[GVariant]| sent(2, to, &name("x"), values);
    let error =
        |to: u32, method: &Method<'_>| sent(3, to, method, &[GVariant::text("Cannot set property MemoryZSwapMax.")]);
    let removed = |how: &str| {
        sent(
            4,
            0,
            &name("JobRemoved"),
            &[GVariant::u32(7), job(), GVariant::text("tare-fuzzed.scope"), GVariant::text(how)],
        )
    };
    let version = |to: u32| reply(to, &[GVariant::Variant(Box::new(GVariant::text("252.39-1~deb12u2")))]);
    let dictionary = GVariant::Array(
        "{sv}".to_owned(),
        vec![GVariant::Tuple(vec![GVariant::text("k"), GVariant::Variant(Box::new(GVariant::Double(1.5)))])],
    );
    vec![
        (0, reply(1, &[GVariant::text("x"), dictionary, GVariant::bytes(b"ab"), GVariant::Bool(true)])),
        (1, removed("done")),
        (3, [reply(1, &[]), reply(2, &[job()]), removed("done")].concat()),
        (
            3,
            [
                reply(1, &[]),
                error(2, &exists),
                reply(3, &[]),
                reply(4, &[job()]),
                removed("failed"),
                reply(5, &[job()]),
                reply(6, &[]),
            ]
            .concat(),
        ),
        (3, [reply(1, &[]), error(2, &property), version(3), removed("done"), reply(4, &[job()])].concat()),
        (4, [reply(1, &[]), reply(2, &[job()]), removed("done"), reply(3, &[])].concat()),
        (5, version(1)),
        (6, [error(1, &property), version(2), reply(3, &[])].concat()),
        (7, [reply(1, &[job()]), removed("done")].concat()),
    ]
}
