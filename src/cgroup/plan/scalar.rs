//! The scalars of `linux.resources` as writes; pure. All knowledge about a scalar is in its row of [`limit`].

use std::collections::BTreeSet;

use anyhow::Result;

use super::wanted::Wanted;
use crate::cgroup::writes::{Fallback, Writes};
use crate::spec::{Field, refusal, refuse};
use crate::tables::limit::{Form, Getter, Knob, OnRefusal, SCALARS, Scalar, Setting, Version};

/// The value of a scalar, unless it asks for no limit.
fn setting<'a>(scalar: &Scalar, wanted: Wanted<'a>) -> Option<Setting<'a>> {
    let setting = match scalar.getter {
        Getter::Typed(read) => read(wanted.resources),
        Getter::Json => wanted.extras.limit(scalar.field).map(|number| Setting::Number(number.into())),
    };
    setting.filter(|setting| scalar.asks(setting))
}

/// Fails for a value that no kernel accepts.
pub fn check(wanted: Wanted) -> Result<()> {
    for scalar in SCALARS {
        if let Some(setting) = setting(scalar, wanted) {
            (scalar.check)(&setting).map_err(|words| refusal!(scalar.field, "{words}"))?;
        }
    }
    Ok(())
}

/// The controllers of all scalars: first those in `order`, which is the order of writes, then all others.
pub fn controllers(order: &'static [&'static str]) -> impl Iterator<Item = &'static str> {
    let others = SCALARS.iter().map(|scalar| scalar.controller).filter(|name| !order.contains(name));
    order.iter().copied().chain(others.collect::<BTreeSet<_>>())
}

/// The directory for the scalars of a controller.
#[derive(Clone, Copy)]
pub struct Destination {
    pub controller: &'static str,
    pub version: Version,
    /// The directory, if the host has the controller.
    pub target: Option<usize>,
}

/// Appends the scalars of a controller to `writes`.
///
/// Fails if this version of cgroup cannot carry out a value, or if the host lacks the controller.
pub fn plan(writes: &mut Writes, wanted: Wanted, into: Destination) -> Result<()> {
    for first in [true, false] {
        for scalar in SCALARS.iter().filter(|scalar| scalar.controller == into.controller) {
            let knob = scalar.knob(into.version);
            if knob.first == first
                && let Some(setting) = setting(scalar, wanted)
            {
                add(writes, into, scalar.field, knob, (knob.form)(&setting))?;
            }
        }
    }
    Ok(())
}

fn add(writes: &mut Writes, into: Destination, field: &'static str, knob: &Knob, form: Form) -> Result<()> {
    let mut note = |words| writes.notes.push(format!("{field}: {words}"));
    let value = match form {
        Form::Nothing => return Ok(()),
        Form::Refuse(words) => refuse!(field, "{words}"),
        Form::Note(words) => {
            note(words);
            return Ok(());
        }
        Form::Noted(value, words) => {
            note(words);
            value
        }
        Form::Write(value) => value,
    };
    let Some(target) = into.target else {
        refuse!(field, "cgroup controller {:?} is not available", into.controller);
    };
    let fallback = match knob.refused {
        OnRefusal::Fail => Fallback::Fail,
        OnRefusal::Instead(file) => Fallback::Instead(file, value.clone()),
        OnRefusal::Later => Fallback::Later,
        OnRefusal::Skip => Fallback::Skip,
    };
    writes.add_or(target, knob.file, value, Field::of(field), fallback);
    Ok(())
}

/// Leads `linux.resources.cpu.madeUp`, a row that only tests have, along the whole road of a field.
#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use oci_spec::runtime::LinuxResources;

    use super::super::compile::CgroupPlan;
    use super::super::merge::merge;
    use super::super::tests::{hybrid, plan, unified};
    use super::super::update::Existing;
    use super::*;
    use crate::cgroup::layout::{self, Mode};
    use crate::cgroup::systemd;
    use crate::cli::{self, Parsed};
    use crate::spec::{self, Extras};

    /// The config, and its values that the types of `oci-spec` cannot hold.
    fn parsed(cpu: Value) -> Result<(String, Extras)> {
        let config = json!({"ociVersion": "1.3.0", "root": {"path": "rootfs"}, "linux": {"resources": {"cpu": cpu}},
            "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["x"]}})
        .to_string();
        let extras = spec::parse(config.as_bytes())?.extras().clone();
        Ok((config, extras))
    }

    #[test]
    fn a_row_is_read_and_checked() {
        assert_eq!(parsed(json!({"madeUp": 1})).unwrap().1.limits, [("linux.resources.cpu.madeUp", 1)]);
        let error = parsed(json!({"madeUp": "x"})).unwrap_err().to_string();
        assert!(error.starts_with("linux.resources.cpu.madeUp: invalid type: string \"x\""), "{error}");
        let asked = spec::parse_resources(br#"{"cpu": {"madeUp": {}}}"#).unwrap_err().to_string();
        assert!(asked.starts_with("linux.resources.cpu.madeUp: invalid type: map"), "{asked}");
        let (text, _) = parsed(json!({"madeUp": 1, "other": 1})).unwrap();
        let config = spec::parse(text.as_bytes()).unwrap();
        assert_eq!(spec::unknown_properties(text.as_bytes(), &config).unwrap(), ["linux.resources.cpu.other"]);
        let (_, extras) = parsed(json!({"madeUp": 2})).unwrap();
        let refusal = plan(&unified(), None, "{}", &extras).unwrap_err().to_string();
        assert_eq!(refusal, "linux.resources.cpu.madeUp: 2 is neither 0 nor 1");
    }

    #[test]
    fn a_row_is_planned_and_printed() {
        for (layout, wanted) in [(unified(), "cpu.made.up"), (hybrid(), "cpu.made_up_us")] {
            let lines = |cpu| {
                let (_, extras) = parsed(cpu).unwrap();
                let plan = plan(&layout, None, "{}", &extras).unwrap();
                plan.lines().map(|line| line.to_string()).filter(|line| line.contains("madeUp")).collect::<Vec<_>>()
            };
            let wanted = format!("linux.resources.cpu.madeUp  write {wanted} = 1");
            assert_eq!(lines(json!({"madeUp": 1})), [wanted]);
            // Zero means unset.
            assert_eq!(lines(json!({"madeUp": 0})), [""; 0]);
        }
    }

    #[test]
    fn a_row_is_told_to_systemd() {
        for (layout, since) in [(unified(), Some(299)), (hybrid(), None)] {
            let (_, extras) = parsed(json!({"madeUp": 1})).unwrap();
            let plan = plan(&layout, None, "{}", &extras).unwrap();
            let properties = systemd::limits(plan.writes());
            assert_eq!(properties[0].to_string(), "property CPUMadeUp = uint64 1");
            assert_eq!(properties[0].since, since);
        }
    }

    #[test]
    fn a_row_is_updated() {
        let update = |asked: Value| {
            let asked = asked.as_object().unwrap();
            let mut stored = json!({"cpu": {"madeUp": 1, "burst": 7}}).as_object().unwrap().clone();
            merge(&mut stored, asked);
            let cpu = stored["cpu"].clone();
            let resources: LinuxResources = serde_json::from_value(Value::from(stored)).unwrap();
            let (_, extras) = parsed(cpu).unwrap();
            let existing = Existing { mode: Mode::Unified, dirs: &layout::example(&[""]), is_unit: false };
            let plan = CgroupPlan::update(existing, &resources, &extras, asked).unwrap();
            plan.writes().iter().map(|write| format!("{} = {}", write.file, write.value)).collect::<Vec<_>>()
        };
        assert_eq!(update(json!({"cpu": {"madeUp": 0}})), ["cpu.max.burst = 7", "cpu.made.up = 1"]);
        assert_eq!(update(json!({"cpu": {"burst": 8}})), ["cpu.max.burst = 8", "cpu.made.up = 1"]);
        assert_eq!(update(json!({"pids": {}})), [""; 0]);
    }

    #[test]
    fn a_row_has_its_option() {
        let Parsed::Text(help) = cli::parse(["tare", "update", "--help"].map(Into::into)) else { panic!("no help") };
        let line = help.lines().find(|line| line.contains("--cpu-made-up <N>")).unwrap();
        assert!(line.ends_with(" a limit that does not exist"), "{line}");
    }
}
