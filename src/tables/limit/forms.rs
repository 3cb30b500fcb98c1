//! Parts of the rows: getters, checks, forms and short constructors.

use super::Form::{Nothing, Refuse, Write};
use super::{Form, Knob, OnRefusal, OptionKind, PropertyKind, Setting, UnitProperty, UpdateOption};

/// The setting of a number of any width.
pub(super) fn number<'a>(value: Option<impl Into<i128>>) -> Option<Setting<'a>> {
    value.map(|value| Setting::Number(value.into()))
}

/// The setting of a text.
pub(super) fn text(value: &Option<String>) -> Option<Setting<'_>> {
    value.as_deref().map(Setting::Text)
}

// Checks.

/// Accepts every value; the kernel refuses a wrong one.
pub(super) fn any(_: &Setting) -> Result<(), String> {
    Ok(())
}

/// Accepts a number of bytes, or -1 for no limit.
pub(super) fn bytes(setting: &Setting) -> Result<(), String> {
    within(setting, -1..=i128::MAX, "is neither a number of bytes nor -1")
}

/// Accepts 0 and 1: a switch that the spec writes as a number.
pub(super) fn zero_or_one(setting: &Setting) -> Result<(), String> {
    within(setting, 0..=1, "is neither 0 nor 1")
}

/// Accepts a weight of BFQ and, before Linux 5.0, of CFQ.
pub fn weight(setting: &Setting) -> Result<(), String> {
    within(setting, 10..=1000, "is not between 10 and 1000")
}

/// Accepts a list of numbers and ranges. The kernel's syntax also has steps, `all` and `N`: the kernel checks those.
pub(super) fn list(setting: &Setting) -> Result<(), String> {
    match setting {
        Setting::Text(list) if list.contains(char::is_control) => {
            Err(format!("{list:?} is not a list of numbers and ranges"))
        }
        _ => Ok(()),
    }
}

/// Accepts a percentage. The message is runc's.
pub(super) fn swappiness(setting: &Setting) -> Result<(), String> {
    within(setting, 0..=100, "")
        .map_err(|_| format!("invalid memory swappiness value: {setting} (valid range is 0-100)"))
}

fn within(setting: &Setting, range: std::ops::RangeInclusive<i128>, words: &str) -> Result<(), String> {
    match setting {
        Setting::Number(number) if !range.contains(number) => Err(format!("{number} {words}")),
        _ => Ok(()),
    }
}

// Forms.

/// Writes the value unchanged.
pub(super) fn plain(setting: &Setting) -> Form {
    Write(setting.to_string())
}

/// For v2: writes `max` for no limit, which is -1 in the spec and, for processes, any negative number.
pub(super) fn or_max(setting: &Setting) -> Form {
    match setting {
        Setting::Number(..0) => Write("max".to_owned()),
        _ => plain(setting),
    }
}

/// For v1: writes -1 for a negative time. The kernel takes any negative number as no limit, systemd only -1.
pub(super) fn or_minus_one(setting: &Setting) -> Form {
    match setting {
        Setting::Number(..0) => Write("-1".to_owned()),
        _ => plain(setting),
    }
}

/// Writes 1 for 0. For the kernel 0 forbids even the first process; users mean "no children".
pub(super) fn processes(setting: &Setting) -> Form {
    match setting {
        Setting::Number(0) => Write("1".to_owned()),
        _ => or_max(setting),
    }
}

/// Writes a number above 0 and ignores all others.
pub(super) fn positive(setting: &Setting) -> Form {
    match setting {
        Setting::Number(1..) => plain(setting),
        _ => Nothing,
    }
}

/// Writes a switch only if it is on: it is off in a new cgroup.
pub(super) fn switched_on(setting: &Setting) -> Form {
    if *setting == Setting::Switch(true) { plain(setting) } else { Nothing }
}

/// Limits the value to the range of v1. The notes are the words of the kernel's documentation and of runc.
pub(super) fn shares(setting: &Setting) -> Form {
    match setting {
        Setting::Number(..2) => Refuse("the minimum allowed cpu-shares is 2"),
        Setting::Number(262_145..) => Refuse("the maximum allowed cpu-shares is 262144"),
        _ => plain(setting),
    }
}

/// Turns v1 shares (2 to 262144) into `cpu.weight` (1 to 10000), by the curve of runc 1.3.2 and crun 1.23. The curve
/// maps the ends of the ranges to each other, and the default to the default (1024 to 100).
pub(super) fn weight_of_shares(setting: &Setting) -> Form {
    let Setting::Number(shares) = setting else { return Nothing };
    let weight = match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (*shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10_f64.powf(exponent).ceil() as u64
        }
    };
    Write(weight.to_string())
}

// Constructors.

/// A scalar without a file in the table: code in `cgroup` carries it out.
pub(super) const CODE: Knob =
    Knob { file: "", form: |_| Nothing, refused: OnRefusal::Fail, first: false, property: None };

/// A scalar that is written to a file.
pub(super) const fn knob(file: &'static str, form: fn(&Setting) -> Form) -> Knob {
    Knob { file, form, ..CODE }
}

/// A scalar without a file: `form` gives the outcome.
pub(super) const fn outcome(form: fn(&Setting) -> Form) -> Knob {
    Knob { form, ..CODE }
}

impl Knob {
    /// Sets the answer to a refused write.
    pub(super) const fn or(self, refused: OnRefusal) -> Knob {
        Knob { refused, ..self }
    }

    /// Sets the property, which every supported systemd knows.
    pub(super) const fn unit(self, name: &'static str, kind: PropertyKind) -> Knob {
        Knob { property: Some(property(name, kind, None)), ..self }
    }
}

/// A property of a unit, with the version of systemd that brought it.
pub(super) const fn property(name: &'static str, kind: PropertyKind, since: Option<u32>) -> UnitProperty {
    UnitProperty { name, kind, since }
}

/// An option of `update`; `order` is its position in the help text.
pub(super) const fn option(
    order: u8,
    name: &'static str,
    kind: OptionKind,
    value: &'static str,
    help: &'static str,
) -> Option<UpdateOption> {
    Some(UpdateOption { order, name, kind, value, help })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_to_weight() {
        for (shares, weight) in [(1, 1), (2, 1), (1024, 100), (262_144, 10_000), (300_000, 10_000)] {
            assert_eq!(weight_of_shares(&Setting::Number(shares)), Write(weight.to_string()), "{shares}");
        }
    }
}
