//! Limits and device rules as properties of a unit; pure. systemd writes the properties again, for example after
//! `daemon-reload`, so the limits stay in force.

use super::gvariant::GVariant;
use super::scope::ScopeProperty;
use crate::cgroup::device_rule::{Access, DeviceKind, DeviceRule};
use crate::cgroup::writes::{Fallback, Write};
use crate::spec::{Field, bit_list};
use crate::tables::limit::{self, DEFAULT_PERIOD, PropertyKind, io_weight};

/// The keys of `io.max`, with their properties.
const RATES: [(&str, &str); 4] = [
    ("rbps", "IOReadBandwidthMax"),
    ("wbps", "IOWriteBandwidthMax"),
    ("riops", "IOReadIOPSMax"),
    ("wiops", "IOWriteIOPSMax"),
];

/// The v1 files with a number for each device. systemd has no properties for limits of operations.
const V1_DEVICES: [(&str, &str); 4] = [
    ("blkio.weight_device", "BlockIODeviceWeight"),
    ("blkio.bfq.weight_device", "BlockIODeviceWeight"),
    ("blkio.throttle.read_bps_device", "BlockIOReadBandwidth"),
    ("blkio.throttle.write_bps_device", "BlockIOWriteBandwidth"),
];

/// The properties that mean the same as `writes`, on v1 or v2. Invalid values, which the kernel refuses, and files
/// without a property are left out.
pub(in crate::cgroup) fn limits(writes: &[Write]) -> Vec<ScopeProperty> {
    let mut found = Vec::new();
    for write in writes {
        let (file, text, field) = (&*write.file, write.value.trim(), &write.field);
        if let Some((_, property)) = limit::properties().find(|(known, _)| *known == file) {
            let value = match property.kind {
                PropertyKind::Number => number(text.strip_prefix("default ").unwrap_or(text)).map(GVariant::u64),
                PropertyKind::Switch => switch(text).map(GVariant::Bool),
                PropertyKind::OomPolicy => policy(text),
                PropertyKind::Bits => bits(text),
                PropertyKind::Code => None,
            };
            set_since(&mut found, property.name, value, field, property.since);
        }
        match file {
            "io.weight" => device_number(&mut found, "IODeviceWeight", text, field, |weight| weight),
            "io.latency" => latency(&mut found, text, field),
            "cpu.max" => quota(&mut found, text, field),
            "io.bfq.weight" => weight(&mut found, write),
            "io.max" => rates(&mut found, text, field),
            _ => {
                if let Some((_, name)) = V1_DEVICES.iter().find(|(known, _)| *known == file) {
                    device_number(&mut found, name, text, field, |number| number);
                }
            }
        }
    }
    v1_quota(&mut found, writes);
    idle(&mut found, writes);
    found
}

/// Sets a property. As in the kernel's files, the last value counts.
fn set(found: &mut Vec<ScopeProperty>, name: &str, value: Option<GVariant>, field: &Field) {
    set_since(found, name, value, field, None);
}

fn set_since(found: &mut Vec<ScopeProperty>, name: &str, value: Option<GVariant>, field: &Field, since: Option<u32>) {
    let Some(value) = value else { return };
    found.retain(|property| property.name != name);
    found.push(ScopeProperty { since, ..ScopeProperty::new(name, value, field) });
}

/// Appends an element to a list.
fn add(found: &mut Vec<ScopeProperty>, name: &str, element: GVariant, field: &Field) {
    match found.iter_mut().find(|property| property.name == name) {
        Some(ScopeProperty { value: GVariant::Array(_, elements), .. }) => elements.push(element),
        _ => found.push(ScopeProperty::new(name, GVariant::Array(element.signature(), vec![element]), field)),
    }
}

/// Parses a number. The largest number is systemd's infinity.
fn number(text: &str) -> Option<u64> {
    if matches!(text, "max" | "-1") { Some(u64::MAX) } else { text.parse().ok() }
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

/// The property `OOMPolicy`: whether the OOM killer kills one process of the container or all.
fn policy(text: &str) -> Option<GVariant> {
    switch(text).map(|group| GVariant::text(if group { "kill" } else { "continue" }))
}

/// An idle group has the weight 0. A group that is no longer idle has the default weight again.
fn idle(found: &mut Vec<ScopeProperty>, writes: &[Write]) {
    let Some(write) = writes.iter().rfind(|write| write.file == "cpu.idle") else { return };
    let weighs = found.iter().any(|property| property.name == "CPUWeight");
    let since = limit::properties().find(|(file, _)| *file == "cpu.idle").and_then(|(_, property)| property.since);
    match write.value.trim() {
        "1" => set_since(found, "CPUWeight", Some(GVariant::u64(0)), &write.field, since),
        "0" if !weighs => set(found, "CPUWeight", Some(GVariant::u64(u64::MAX)), &write.field),
        _ => {}
    }
}

fn quota(found: &mut Vec<ScopeProperty>, text: &str, field: &Field) {
    let mut words = text.split_whitespace();
    let Some(quota) = words.next().and_then(number) else { return };
    let Some(period) = words.next().map_or(Some(DEFAULT_PERIOD), |text| text.parse().ok()) else { return };
    set_quota(found, quota, period, field);
}

/// Combines the two v1 files, of quota and period.
fn v1_quota(found: &mut Vec<ScopeProperty>, writes: &[Write]) {
    let of = |file| writes.iter().rfind(|write| write.file == file);
    let value = |write: &Write| number(write.value.trim());
    let (quota, period) = (of("cpu.cfs_quota_us"), of("cpu.cfs_period_us"));
    let microseconds = period.and_then(value);
    match (quota.and_then(value), quota, period) {
        (Some(number), Some(write), _) => {
            set_quota(found, number, microseconds.unwrap_or(DEFAULT_PERIOD), &write.field);
        }
        (_, _, Some(write)) => set(found, "CPUQuotaPeriodUSec", microseconds.map(GVariant::u64), &write.field),
        _ => {}
    }
}

/// Sets the CPU quota. systemd uses microseconds per second and rounds to whole percents of a CPU. So this rounds up:
/// the container gets all that it asked for.
fn set_quota(found: &mut Vec<ScopeProperty>, quota: u64, period: u64, field: &Field) {
    if period == 0 {
        return;
    }
    let per_second = match quota {
        u64::MAX => u64::MAX,
        quota => {
            let exact = u128::from(quota) * 1_000_000 / u128::from(period);
            u64::try_from(exact.div_ceil(10_000) * 10_000).unwrap_or(u64::MAX)
        }
    };
    set(found, "CPUQuotaPeriodUSec", Some(GVariant::u64(period)), field);
    set(found, "CPUQuotaPerSecUSec", Some(GVariant::u64(per_second)), field);
}

/// Turns a list such as `0-3,8` into bytes of bits, the lowest first.
fn bits(text: &str) -> Option<GVariant> {
    let mut bytes: Vec<u8> = bit_list(text)?.into_iter().flat_map(u64::to_le_bytes).collect();
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0)? + 1);
    Some(GVariant::bytes(&bytes))
}

/// Maps a weight of BFQ, 10 to 1000, to systemd's range, up to 10000.
fn weight(found: &mut Vec<ScopeProperty>, write: &Write) {
    match &write.fallback {
        Fallback::Instead("io.weight", value) => {
            set(found, "IOWeight", number(value).map(GVariant::u64), &write.field);
        }
        _ => device_number(found, "IODeviceWeight", write.value.trim(), &write.field, io_weight),
    }
}

/// Parses `8:0 100`: the limit of one device. On v1, 0 means no limit.
fn device_number(found: &mut Vec<ScopeProperty>, name: &str, text: &str, field: &Field, scale: impl Fn(u64) -> u64) {
    let Some((device, number)) = text.split_once(' ') else { return };
    if let (Some(path), Ok(number)) = (block_device(device), number.parse()) {
        let number = if number == 0 { u64::MAX } else { scale(number) };
        add(found, name, GVariant::Tuple(vec![path, GVariant::u64(number)]), field);
    }
}

/// Parses `8:0 target=5000`, in microseconds.
fn latency(found: &mut Vec<ScopeProperty>, text: &str, field: &Field) {
    let Some((device, target)) = text.split_once(" target=") else { return };
    if let (Some(path), Ok(target)) = (block_device(device), target.parse()) {
        add(found, "IODeviceLatencyTargetUSec", GVariant::Tuple(vec![path, GVariant::u64(target)]), field);
    }
}

fn rates(found: &mut Vec<ScopeProperty>, text: &str, field: &Field) {
    let Some((device, rates)) = text.split_once(' ') else { return };
    for rate in rates.split_whitespace().filter_map(|rate| rate.split_once('=')) {
        let name = RATES.iter().find(|(key, _)| *key == rate.0).map(|(_, name)| name);
        if let (Some(name), Some(path), Some(value)) = (name, block_device(device), number(rate.1)) {
            add(found, name, GVariant::Tuple(vec![path, GVariant::u64(value)]), field);
        }
    }
}

/// The path of the block device `8:0`.
fn block_device(numbers: &str) -> Option<GVariant> {
    let (major, minor) = numbers.split_once(':')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    Some(GVariant::text(format!("/dev/block/{major}:{minor}")))
}

/// The devices that systemd allows: all that `rules` allow, and more where systemd cannot express a rule. The device
/// program has the exact rules, and the kernel allows an access only if both do.
pub(in crate::cgroup) fn devices(rules: &[(DeviceRule, Field)]) -> Vec<ScopeProperty> {
    let field = Field::of("linux.resources.devices");
    let all = rules.iter().any(|(rule, _)| rule.allow && rule.is_total());
    let none = || ScopeProperty::new("DeviceAllow", GVariant::Array("(ss)".to_owned(), Vec::new()), &field);
    let policy = |name: &str| ScopeProperty::new("DevicePolicy", GVariant::text(name), &field);
    if all {
        return vec![policy("auto"), none()];
    }
    let mut entries: Vec<(String, Access)> = Vec::new();
    for (rule, _) in rules.iter().filter(|(rule, _)| rule.allow) {
        for (kind, name) in [(DeviceKind::Block, "block"), (DeviceKind::Char, "char")] {
            if !rule.kind.covers(kind) {
                continue;
            }
            let path = match (rule.major, rule.minor) {
                (Some(major), Some(minor)) => format!("/dev/{name}/{major}:{minor}"),
                (Some(major), None) => format!("{name}-{major}"),
                (None, _) => format!("{name}-*"),
            };
            match entries.iter_mut().find(|(known, _)| *known == path) {
                Some((_, access)) => *access = access.and(rule.access),
                None => entries.push((path, rule.access)),
            }
        }
    }
    let tuple = |(path, access): (String, Access)| {
        GVariant::Tuple(vec![GVariant::text(path), GVariant::text(access.to_string())])
    };
    let entries = entries.into_iter().map(tuple).collect();
    vec![
        policy("strict"),
        none(),
        ScopeProperty::new("DeviceAllow", GVariant::Array("(ss)".to_owned(), entries), &field),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(file: &'static str, value: &str) -> Write {
        let (file, value) = (file.into(), value.to_owned());
        Write { target: 0, file, value, field: Field::of("x"), fallback: Fallback::Fail }
    }

    fn said(writes: &[(&'static str, &str)]) -> Vec<String> {
        let writes: Vec<Write> = writes.iter().map(|(file, value)| write(file, value)).collect();
        limits(&writes).iter().map(|it| it.to_string().replace("property ", "")).collect()
    }

    #[test]
    fn files_and_properties() {
        for (file, value, wanted) in [
            ("memory.max", "5000", "MemoryMax = uint64 5000"),
            ("memory.max", "max", "MemoryMax = uint64 18446744073709551615"),
            ("memory.swap.max", "0", "MemorySwapMax = uint64 0"),
            ("pids.max", "7", "TasksMax = uint64 7"),
            ("cpuset.cpus", "0-1,9", "AllowedCPUs = [byte 3, 2]"),
            ("cpuset.mems", "0", "AllowedMemoryNodes = [byte 1]"),
            ("io.weight", "default 50", "IOWeight = uint64 50"),
            ("io.bfq.weight", "8:0 10", "IODeviceWeight = [('/dev/block/8:0', uint64 1)]"),
            ("cpu.idle", "1", "CPUWeight = uint64 0"),
            ("io.weight", "8:0 70", "IODeviceWeight = [('/dev/block/8:0', uint64 70)]"),
            ("io.latency", "8:0 target=5000", "IODeviceLatencyTargetUSec = [('/dev/block/8:0', uint64 5000)]"),
            ("memory.oom.group", "1", "OOMPolicy = 'kill'"),
            ("memory.oom.group", "0", "OOMPolicy = 'continue'"),
            ("memory.zswap.max", "0", "MemoryZSwapMax = uint64 0"),
            ("memory.zswap.writeback", "0", "MemoryZSwapWriteback = false"),
        ] {
            assert_eq!(said(&[(file, value)]), [wanted], "{file} {value}");
        }
        for (file, value, wanted) in [
            ("memory.limit_in_bytes", "5000", "MemoryLimit = uint64 5000"),
            ("memory.limit_in_bytes", "-1", "MemoryLimit = uint64 18446744073709551615"),
            ("cpu.shares", "1024", "CPUShares = uint64 1024"),
            ("cpu.cfs_period_us", "50000", "CPUQuotaPeriodUSec = uint64 50000"),
            ("blkio.weight", "500", "BlockIOWeight = uint64 500"),
            ("blkio.weight_device", "8:0 70", "BlockIODeviceWeight = [('/dev/block/8:0', uint64 70)]"),
            (
                "blkio.throttle.read_bps_device",
                "8:0 0",
                "BlockIOReadBandwidth = [('/dev/block/8:0', uint64 18446744073709551615)]",
            ),
        ] {
            assert_eq!(said(&[(file, value)]), [wanted], "{file} {value}");
        }
        for (file, value) in [("memory.max", "x"), ("cpuset.cpus", "0-"), ("cpu.max", "5 0"), ("hugetlb.2MB.max", "0")]
        {
            assert!(said(&[(file, value)]).is_empty(), "{file} {value}");
        }
        assert_eq!(said(&[("memory.high", "1"), ("memory.high", "2")]), ["MemoryHigh = uint64 2"]);
        assert_eq!(said(&[("cpu.weight", "9"), ("cpu.idle", "0")]), ["CPUWeight = uint64 9"]);
    }

    #[test]
    fn what_is_not_known_to_every_systemd() {
        for (file, value, wanted) in [
            ("cpu.idle", "1", Some(252)),
            ("cpu.weight", "100", None),
            ("memory.max", "1", None),
            ("memory.oom.group", "1", Some(253)),
            ("memory.zswap.writeback", "1", Some(256)),
        ] {
            assert_eq!(limits(&[write(file, value)])[0].since, wanted, "{file} {value}");
        }
    }

    #[test]
    fn quotas_are_whole_percents() {
        for (text, period, per_second) in [
            ("50000 100000", 100_000, 500_000),
            ("12345 100000", 100_000, 130_000),
            ("max 50000", 50_000, u64::MAX),
            ("1000", 100_000, 10_000),
        ] {
            let wanted =
                [format!("CPUQuotaPeriodUSec = uint64 {period}"), format!("CPUQuotaPerSecUSec = uint64 {per_second}")];
            assert_eq!(said(&[("cpu.max", text)]), wanted, "{text}");
        }
        assert_eq!(
            said(&[("cpu.cfs_period_us", "50000"), ("cpu.cfs_quota_us", "12345")]),
            ["CPUQuotaPeriodUSec = uint64 50000", "CPUQuotaPerSecUSec = uint64 250000"]
        );
    }

    #[test]
    fn rates_are_lists() {
        assert_eq!(
            said(&[("io.max", "8:0 rbps=5"), ("io.max", "8:16 rbps=6 wiops=max")]),
            [
                "IOReadBandwidthMax = [('/dev/block/8:0', uint64 5), ('/dev/block/8:16', uint64 6)]",
                "IOWriteIOPSMax = [('/dev/block/8:16', uint64 18446744073709551615)]",
            ]
        );
    }
}
