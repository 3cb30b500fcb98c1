//! The device rules in force, and the writes for v1; pure.

use anyhow::Result;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::cgroup::device_rule::{Access, DeviceKind, DeviceRule};
use crate::cgroup::writes::Writes;
use crate::spec::{Field, refusal, refuse};

const FIELD: Field = Field::of("linux.resources.devices");

/// The first rule denies everything.
const DENY_ALL: DeviceRule = DeviceRule::new(false, DeviceKind::All, [None, None], Access::ALL);

/// The rules of every container: it may make nodes, use the devices of config-linux.md and the terminals, and use tun,
/// which engines' VPN containers need.
const DEFAULTS: [DeviceRule; 11] = {
    const fn allow(kind: DeviceKind, numbers: [Option<u32>; 2], access: Access) -> DeviceRule {
        DeviceRule::new(true, kind, numbers, access)
    }
    const fn char(major: u32, minor: Option<u32>) -> DeviceRule {
        allow(DeviceKind::Char, [Some(major), minor], Access::ALL)
    }
    [
        allow(DeviceKind::Char, [None, None], Access::MKNOD),
        allow(DeviceKind::Block, [None, None], Access::MKNOD),
        char(1, Some(3)),    // null
        char(1, Some(8)),    // random
        char(1, Some(7)),    // full
        char(5, Some(0)),    // tty
        char(1, Some(5)),    // zero
        char(1, Some(9)),    // urandom
        char(136, None),     // pts
        char(5, Some(2)),    // ptmx
        char(10, Some(200)), // tun
    ]
};

/// The rules in force: deny all, the configured rules in their order, the defaults.
///
/// Fails for a rule without access, an unknown kind or access, and numbers out of range.
pub fn rules(configured: &[LinuxDeviceCgroup]) -> Result<Vec<(DeviceRule, Field)>> {
    let mut rules = Vec::with_capacity(configured.len() + 1 + DEFAULTS.len());
    for (index, rule) in configured.iter().enumerate() {
        let field = FIELD.element(index);
        rules.push((parse(rule, &field, index)?, field));
    }
    if !rules.first().is_some_and(|(rule, _)| rule.is_total()) {
        rules.insert(0, (DENY_ALL, FIELD));
    }
    rules.extend(DEFAULTS.map(|rule| (rule, FIELD)));
    Ok(rules)
}

fn parse(rule: &LinuxDeviceCgroup, field: &Field, index: usize) -> Result<DeviceRule> {
    let kind = match rule.typ().unwrap_or_default() {
        LinuxDeviceType::A => DeviceKind::All,
        LinuxDeviceType::B => DeviceKind::Block,
        LinuxDeviceType::C => DeviceKind::Char,
        other => refuse!(field.member("type"), "invalid cgroup device type {:?}", other.as_str()),
    };
    let number = |name: &str, value: Option<i64>| match value {
        None | Some(-1) => Ok(None),
        Some(value) => {
            u32::try_from(value).map(Some).map_err(|_| refusal!(field.member(name), "{value} is not a device number"))
        }
    };
    let access = rule.access().as_deref().unwrap_or_default();
    if access.is_empty() {
        refuse!(field.member("access"), "device access at {index} field cannot be empty");
    }
    let access = Access::parse(access)
        .ok_or_else(|| refusal!(field.member("access"), "{access:?} has other letters than r, w and m"))?;
    let numbers = [number("major", rule.major())?, number("minor", rule.minor())?];
    Ok(DeviceRule::new(rule.allow(), kind, numbers, access))
}

/// Appends the writes that put `rules` in force in a v1 cgroup.
///
/// The controller has one verdict for all devices and a list of exceptions. It removes an exception only by its exact
/// text. So a rule that removes a part of an exception is an error, and a rule that removes several is written as one
/// line for each.
pub fn v1(writes: &mut Writes, rules: &[(DeviceRule, Field)], target: usize) -> Result<()> {
    let mut exceptions: Vec<DeviceRule> = Vec::new();
    // A new cgroup inherits the rules of its parent, so the first rule is always written.
    let mut verdict = None;
    for (rule, field) in rules {
        let mut write = |value: String| {
            let file = if rule.allow { "devices.allow" } else { "devices.deny" };
            writes.add(target, file, value, field.clone());
        };
        if rule.is_total() {
            if verdict != Some(rule.allow) || !exceptions.is_empty() {
                write("a".to_owned());
            }
            verdict = Some(rule.allow);
            exceptions.clear();
            continue;
        }
        for part in by_kind(rule) {
            if verdict == Some(rule.allow) {
                take_back(&mut exceptions, &part, field, &mut write)?;
            } else if !exceptions.iter().any(|exception| exception.covers(&part)) {
                write(part.v1_text());
                exceptions.push(part);
            }
        }
    }
    Ok(())
}

/// Splits a rule into one for block and one for character devices: on v1, `a` means everything, whatever the numbers.
fn by_kind(rule: &DeviceRule) -> Vec<DeviceRule> {
    match rule.kind {
        DeviceKind::All => [DeviceKind::Block, DeviceKind::Char].map(|kind| DeviceRule { kind, ..*rule }).to_vec(),
        _ => vec![*rule],
    }
}

fn take_back(
    exceptions: &mut Vec<DeviceRule>,
    rule: &DeviceRule,
    field: &Field,
    write: &mut impl FnMut(String),
) -> Result<()> {
    for exception in exceptions.iter_mut().filter(|exception| rule.overlaps(exception)) {
        if !rule.covers_devices(exception) {
            refuse!(field, "cgroup v1 cannot take {rule} out of {exception}");
        }
        write(DeviceRule { access: rule.access, ..*exception }.v1_text());
        exception.access.0 &= !rule.access.0;
    }
    exceptions.retain(|exception| exception.access.0 != 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::layout::Mode;
    use crate::cgroup::systemd;

    fn configured(json: &str) -> Vec<LinuxDeviceCgroup> {
        serde_json::from_str(json).unwrap()
    }

    fn v1(json: &str) -> Result<Vec<String>> {
        let mut writes = Writes::new(Mode::Legacy, Vec::new());
        super::v1(&mut writes, &rules(&configured(json))?, 0)?;
        Ok(writes.all.iter().map(|w| format!("{} {}", &w.file[8..], w.value)).collect())
    }

    const V1_DEFAULTS: [&str; 11] = [
        "allow c *:* m",
        "allow b *:* m",
        "allow c 1:3 rwm",
        "allow c 1:8 rwm",
        "allow c 1:7 rwm",
        "allow c 5:0 rwm",
        "allow c 1:5 rwm",
        "allow c 1:9 rwm",
        "allow c 136:* rwm",
        "allow c 5:2 rwm",
        "allow c 10:200 rwm",
    ];

    #[test]
    fn without_rules_the_defaults_are_allowed() {
        let mut wanted = vec!["deny a"];
        wanted.extend(V1_DEFAULTS);
        assert_eq!(v1("[]").unwrap(), wanted);
        let deny_all = r#"[{"allow": false, "access": "rwm"}]"#;
        assert_eq!(v1(deny_all).unwrap(), wanted);
    }

    #[test]
    fn configured_rules_come_first_and_are_not_repeated() {
        let json = r#"[
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
            {"allow": true, "type": "b", "major": 254, "minor": -1, "access": "r"},
            {"allow": true, "type": "a", "major": 9, "minor": 1, "access": "rw"}
        ]"#;
        let mut wanted = vec!["deny a", "allow c 1:3 rwm", "allow b 254:* r", "allow b 9:1 rw"];
        wanted.push("allow c 9:1 rw");
        wanted.extend(V1_DEFAULTS.iter().filter(|rule| **rule != "allow c 1:3 rwm"));
        assert_eq!(v1(json).unwrap(), wanted);
    }

    #[test]
    fn everything_allowed_needs_one_write() {
        let json = r#"[{"allow": true, "type": "a", "access": "rwm"}]"#;
        assert_eq!(v1(json).unwrap(), ["allow a"]);
    }

    #[test]
    fn a_wide_rule_takes_back_each_exception() {
        let json = r#"[
            {"allow": true, "type": "c", "major": 4, "minor": 1, "access": "rw"},
            {"allow": true, "type": "c", "major": 4, "minor": 2, "access": "r"},
            {"allow": false, "type": "c", "major": 4, "access": "w"}
        ]"#;
        let writes = v1(json).unwrap();
        assert_eq!(writes[..4], ["deny a", "allow c 4:1 rw", "allow c 4:2 r", "deny c 4:1 w"]);
    }

    #[test]
    fn refusals_name_the_field() {
        for (json, wanted) in [
            (
                r#"[{"allow": true, "type": "u", "access": "r"}]"#,
                r#"linux.resources.devices[0].type: invalid cgroup device type "u""#,
            ),
            (r#"[{"allow": true}]"#, "linux.resources.devices[0].access: device access at 0 field cannot be empty"),
            (
                r#"[{"allow": true, "access": "rx"}]"#,
                r#"linux.resources.devices[0].access: "rx" has other letters than r, w and m"#,
            ),
            (
                r#"[{"allow": true, "access": "r", "major": -2}]"#,
                "linux.resources.devices[0].major: -2 is not a device number",
            ),
            (
                r#"[{"allow": true, "type": "c", "major": 4, "access": "rw"},
                    {"allow": false, "type": "c", "major": 4, "minor": 1, "access": "w"}]"#,
                "linux.resources.devices[1]: cgroup v1 cannot take deny c 4:1 w out of \
                 allow c 4:* rw",
            ),
        ] {
            assert_eq!(v1(json).unwrap_err().to_string(), wanted);
        }
    }

    /// systemd cannot express some rules exactly; then its properties allow more.
    #[test]
    fn device_rules_allow_no_less() {
        let said = |json: &str| {
            let rules = rules(&configured(json)).unwrap();
            systemd::devices(&rules).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let none = "property DeviceAllow = @a(ss) []".to_owned();
        let everything = said(r#"[{"allow": true, "access": "rwm"}, {"allow": false, "type": "c", "access": "w"}]"#);
        assert_eq!(everything, ["property DevicePolicy = 'auto'".to_owned(), none.clone()]);
        let some = said(
            r#"[{"allow": true, "type": "c", "major": 4, "access": "rw"},
                {"allow": false, "type": "c", "major": 4, "minor": 1, "access": "w"},
                {"allow": true, "type": "b", "minor": 3, "access": "r"}]"#,
        );
        assert_eq!(some[..2], ["property DevicePolicy = 'strict'".to_owned(), none]);
        assert!(some[2].starts_with("property DeviceAllow = [('char-4', 'rw'), ('block-*', 'rm'), ('char-*', 'm'), "));
    }
}
