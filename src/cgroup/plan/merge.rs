//! Merges new limits into those of a container; pure.

use serde_json::{Map, Value};

use crate::tables::limit::{SCALARS, Scalar};

/// Writes `asked` over `stored`; both are `linux.resources` in the types of the spec.
///
/// Fields that `asked` does not have stay. Lists are merged by their keys (device, page size, interface), with the
/// elements of `asked` first, so that an index in an error refers to the caller's list. Leaves device rules alone.
pub fn merge(stored: &mut Map<String, Value>, asked: &Map<String, Value>) {
    for (section, value) in asked {
        match (section.as_str(), value) {
            ("devices", _) => {}
            ("hugepageLimits", Value::Array(asked)) => list(stored, section, asked, &["pageSize"], &[]),
            ("rdma", Value::Object(asked)) => within(stored, section, |stored| {
                for (device, limits) in asked {
                    let limits = limits.as_object().cloned().unwrap_or_default();
                    within(stored, device, |stored| members(stored, &limits, &[]));
                }
            }),
            (_, Value::Object(asked)) => within(stored, section, |stored| {
                members(stored, asked, &unset_by_zero(section));
                if section == "memory" {
                    lift_both(stored, asked);
                }
            }),
            _ => {}
        }
    }
}

/// The names of a section's scalars for which 0 or an empty text means unset. The elements of its lists have fields with
/// the same names, for which the same holds.
fn unset_by_zero(section: &str) -> Vec<&'static str> {
    let scalars = SCALARS.iter().filter(|scalar| scalar.section() == section && scalar.zero_is_unset);
    scalars.map(Scalar::name).collect()
}

/// Lifts the swap limit, too, if the new memory limit is -1 and there is no new swap limit. The same happens at create.
fn lift_both(stored: &mut Map<String, Value>, asked: &Map<String, Value>) {
    let given = |name| asked.get(name).and_then(Value::as_i64).filter(|value| *value != 0);
    if given("limit") == Some(-1) && given("swap").is_none() {
        stored.remove("swap");
    }
}

/// Changes the object `name`, which is empty if it does not exist.
fn within(parent: &mut Map<String, Value>, name: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut inner = match parent.remove(name) {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    };
    change(&mut inner);
    parent.insert(name.to_owned(), Value::Object(inner));
}

fn members(stored: &mut Map<String, Value>, asked: &Map<String, Value>, unset_by_zero: &[&str]) {
    for (name, value) in asked {
        match value {
            Value::Null => {}
            Value::Array(asked) if name == "priorities" => list(stored, name, asked, &["name"], &[]),
            Value::Array(asked) => list(stored, name, asked, &["major", "minor"], unset_by_zero),
            value if is_nothing(value) && unset_by_zero.contains(&name.as_str()) => {}
            value => {
                stored.insert(name.clone(), value.clone());
            }
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    value.as_i64() == Some(0) || value.as_str() == Some("")
}

fn list(parent: &mut Map<String, Value>, name: &str, asked: &[Value], keys: &[&str], unset_by_zero: &[&str]) {
    let mut before = match parent.remove(name) {
        Some(Value::Array(before)) => before,
        _ => Vec::new(),
    };
    let same = |a: &Value, b: &Value| keys.iter().all(|key| a.get(key) == b.get(key));
    let mut merged: Vec<Value> = Vec::with_capacity(asked.len() + before.len());
    for element in asked {
        // If several elements have this key, the last one is in force. It must not follow the new one.
        let old = before.iter().rposition(|old| same(old, element)).map(|index| before.remove(index));
        before.retain(|old| !same(old, element));
        let (Some(Value::Object(mut old)), Value::Object(new)) = (old, element) else {
            merged.push(element.clone());
            continue;
        };
        members(&mut old, new, unset_by_zero);
        merged.push(Value::Object(old));
    }
    merged.append(&mut before);
    parent.insert(name.to_owned(), Value::Array(merged));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_spoken_of_stays() {
        for (stored, asked, wanted) in [
            (json!({}), json!({"cpu": {"period": 5}}), json!({"cpu": {"period": 5}})),
            (
                json!({"cpu": {"quota": 9, "period": 10}, "pids": {"limit": 3}}),
                json!({"cpu": {"period": 20, "quota": null}, "memory": null}),
                json!({"cpu": {"quota": 9, "period": 20}, "pids": {"limit": 3}}),
            ),
            (json!({"cpu": null}), json!({"cpu": {"shares": 2}}), json!({"cpu": {"shares": 2}})),
            (json!({"pids": {"limit": 3}}), json!({"pids": {"limit": 0}}), json!({"pids": {"limit": 0}})),
            (
                json!({"cpu": {"quota": 9}}),
                json!({"cpu": {"quota": 0, "idle": 0}}),
                json!({"cpu": {"quota": 9, "idle": 0}}),
            ),
            (json!({"cpu": {"cpus": "0"}}), json!({"cpu": {"cpus": ""}}), json!({"cpu": {"cpus": "0"}})),
            (
                json!({"memory": {"limit": 5, "swap": 8}}),
                json!({"memory": {"limit": -1}}),
                json!({"memory": {"limit": -1}}),
            ),
            (
                json!({"memory": {"limit": 5}}),
                json!({"memory": {"limit": -1, "swap": 9}}),
                json!({"memory": {"limit": -1, "swap": 9}}),
            ),
            (json!({"devices": [1]}), json!({"devices": [2]}), json!({"devices": [1]})),
            (
                json!({"unified": {"a.b": "1", "c.d": "2"}}),
                json!({"unified": {"a.b": "3"}}),
                json!({"unified": {"a.b": "3", "c.d": "2"}}),
            ),
            (
                json!({"rdma": {"mlx": {"hcaHandles": 3, "hcaObjects": 4}}}),
                json!({"rdma": {"mlx": {"hcaHandles": 0}, "new": {}}}),
                json!({"rdma": {"mlx": {"hcaHandles": 0, "hcaObjects": 4}, "new": {}}}),
            ),
        ] {
            let (mut merged, shown) = (stored.as_object().unwrap().clone(), format!("{stored} {asked}"));
            merge(&mut merged, asked.as_object().unwrap());
            assert_eq!(Value::from(merged), wanted, "{shown}");
        }
    }

    #[test]
    fn lists_are_merged_by_what_they_are_about() {
        let mut stored = json!({
            "blockIO": {
                "weightDevice": [{"major": 8, "minor": 0, "weight": 10, "leafWeight": 20}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}, {"major": 8, "minor": 1, "rate": 2}]
            },
            "hugepageLimits": [{"pageSize": "2MB", "limit": 1}, {"pageSize": "1GB", "limit": 2}],
            "network": {"priorities": [{"name": "lo", "priority": 1}]}
        });
        let asked = json!({
            "blockIO": {
                "weightDevice": [{"major": 8, "minor": 0, "weight": 30}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 2, "rate": 9}, {"major": 8, "minor": 1, "rate": 0}]
            },
            "hugepageLimits": [{"pageSize": "1GB", "limit": 0}],
            "network": {"priorities": [{"name": "eth0", "priority": 0}]}
        });
        merge(stored.as_object_mut().unwrap(), asked.as_object().unwrap());
        let wanted = json!({
            "blockIO": {
                "weightDevice": [{"major": 8, "minor": 0, "weight": 30, "leafWeight": 20}],
                "throttleReadBpsDevice": [
                    {"major": 8, "minor": 2, "rate": 9},
                    {"major": 8, "minor": 1, "rate": 0},
                    {"major": 8, "minor": 0, "rate": 1}
                ]
            },
            // In this list 0 is a limit: no page of this size.
            "hugepageLimits": [{"pageSize": "1GB", "limit": 0}, {"pageSize": "2MB", "limit": 1}],
            "network": {"priorities": [{"name": "eth0", "priority": 0}, {"name": "lo", "priority": 1}]}
        });
        assert_eq!(stored, wanted);
    }
}
