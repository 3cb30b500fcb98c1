//! Checks of `linux.resources` that need only the document; pure.

use anyhow::Result;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory};

use super::scalar;
use super::wanted::Wanted;
use crate::spec::{Field, refusal, refuse};
use crate::tables::limit::{self, Setting};

/// Fails for a value that no kernel accepts, and for values that contradict each other.
pub fn resources(wanted: Wanted) -> Result<()> {
    scalar::check(wanted)?;
    let Wanted { resources, extras } = wanted;
    if let Some(wanted) = resources.memory() {
        memory(wanted)?;
    }
    if let Some(wanted) = resources.cpu() {
        cpu(wanted)?;
    }
    if let Some(wanted) = resources.block_io() {
        block_io(wanted)?;
    }
    for (index, (size, _)) in extras.hugepage_limits.iter().enumerate() {
        if !is_page_size(size) {
            refuse!(
                Field::item("linux.resources.hugepageLimits", index).member("pageSize"),
                "{size:?} is not a page size"
            );
        }
    }
    for device in resources.rdma().iter().flat_map(|limits| limits.keys()) {
        if device.is_empty() || device.contains(char::is_whitespace) {
            refuse!("linux.resources.rdma", "{device:?} is not the name of a device");
        }
    }
    let network = resources.network().as_ref();
    let priorities = network.and_then(|network| network.priorities().as_deref());
    for (index, priority) in priorities.unwrap_or_default().iter().enumerate() {
        let name = priority.name();
        if name.is_empty() || name.contains(char::is_whitespace) {
            refuse!(Field::item("linux.resources.network.priorities", index).member("name"), "{name:?} is not a name");
        }
    }
    Ok(())
}

/// Checks the section `memory`. `swap` is the sum of memory and swap.
fn memory(memory: &LinuxMemory) -> Result<()> {
    match (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0)) {
        (0, swap) if swap > 0 => {
            refuse!("linux.resources.memory.swap", "unable to set swap limit without memory limit")
        }
        (limit, swap) if limit > 0 && swap > 0 && swap < limit => {
            refuse!("linux.resources.memory.swap", "memory+swap limit should be >= memory limit")
        }
        _ => Ok(()),
    }
}

fn cpu(cpu: &LinuxCpu) -> Result<()> {
    let quota = cpu.quota().filter(|quota| *quota > 0).map(i64::cast_unsigned);
    match (cpu.burst(), quota) {
        (Some(burst), Some(quota)) if burst > quota => {
            refuse!("linux.resources.cpu.burst", "{burst} is more than the quota of {quota}")
        }
        _ => Ok(()),
    }
}

fn block_io(block_io: &LinuxBlockIo) -> Result<()> {
    let field = Field::of("linux.resources.blockIO");
    for (index, device) in block_io.weight_device().iter().flatten().enumerate() {
        let field = field.member("weightDevice").element(index);
        for (name, value) in [("weight", device.weight()), ("leafWeight", device.leaf_weight())] {
            if let Some(value) = value.filter(|value| *value != 0) {
                limit::weight(&Setting::Number(value.into()))
                    .map_err(|words| refusal!(field.member(name), "{words}"))?;
            }
        }
        device_number(&field, device.major(), device.minor())?;
    }
    for (key, list) in [
        ("throttleReadBpsDevice", block_io.throttle_read_bps_device()),
        ("throttleWriteBpsDevice", block_io.throttle_write_bps_device()),
        ("throttleReadIOPSDevice", block_io.throttle_read_iops_device()),
        ("throttleWriteIOPSDevice", block_io.throttle_write_iops_device()),
    ] {
        for (index, device) in list.iter().flatten().enumerate() {
            device_number(&field.member(key).element(index), device.major(), device.minor())?;
        }
    }
    Ok(())
}

/// Checks a device number. The kernel reads only 32 bits of each number, so the limit would apply to another device.
fn device_number(field: &Field, major: i64, minor: i64) -> Result<()> {
    for (name, value) in [("major", major), ("minor", minor)] {
        if u32::try_from(value).is_err() {
            refuse!(field.member(name), "{value} is not a device number");
        }
    }
    Ok(())
}

/// Whether the text is a page size as the kernel spells it. It becomes part of a file name.
fn is_page_size(text: &str) -> bool {
    let number = ["KB", "MB", "GB"].iter().find_map(|unit| text.strip_suffix(unit));
    number.is_some_and(|digits| {
        !digits.starts_with('0')
            && !digits.is_empty()
            && digits.len() < 20
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::LinuxResources;

    use super::*;
    use crate::spec::Extras;

    #[test]
    fn device_numbers_are_not_cut_off() {
        let throttle = r#"{"blockIO": {"throttleReadIOPSDevice": [{"major": 4294967304, "minor": 0, "rate": 1}]}}"#;
        let wanted = "linux.resources.blockIO.throttleReadIOPSDevice[0].major: 4294967304 is not a device number";
        assert_eq!(refusal(throttle), wanted);
        let weight = r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": -1, "weight": 100}]}}"#;
        assert_eq!(refusal(weight), "linux.resources.blockIO.weightDevice[0].minor: -1 is not a device number");
    }

    fn refusal(json: &str) -> String {
        let wanted: LinuxResources = serde_json::from_str(json).unwrap();
        match resources(Wanted { resources: &wanted, extras: &Extras::default() }) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn contradictions_are_refused_by_name() {
        for (json, wanted) in [
            (r#"{"memory": {"limit": 10, "swap": 10}}"#, ""),
            (r#"{"memory": {"limit": -1, "swap": 10}}"#, ""),
            (
                r#"{"memory": {"limit": 10, "swap": 9}}"#,
                "linux.resources.memory.swap: memory+swap limit should be >= memory limit",
            ),
            (
                r#"{"memory": {"swap": 9}}"#,
                "linux.resources.memory.swap: unable to set swap limit without memory limit",
            ),
            (r#"{"memory": {"limit": -2}}"#, "linux.resources.memory.limit: -2 is neither a number of bytes nor -1"),
            (
                r#"{"memory": {"swappiness": 101}}"#,
                "linux.resources.memory.swappiness: invalid memory swappiness value: 101 \
                 (valid range is 0-100)",
            ),
            (r#"{"cpu": {"idle": 2}}"#, "linux.resources.cpu.idle: 2 is neither 0 nor 1"),
            (
                r#"{"cpu": {"quota": 100, "burst": 101}}"#,
                "linux.resources.cpu.burst: 101 is more than the quota of 100",
            ),
            (r#"{"cpu": {"cpus": "0\n1"}}"#, r#"linux.resources.cpu.cpus: "0\n1" is not a list of numbers and ranges"#),
            (r#"{"blockIO": {"weight": 9}}"#, "linux.resources.blockIO.weight: 9 is not between 10 and 1000"),
            (r#"{"blockIO": {"weight": 0}}"#, ""),
            (
                r#"{"blockIO": {"weightDevice": [{"weight": 1001}]}}"#,
                "linux.resources.blockIO.weightDevice[0].weight: 1001 is not between 10 and 1000",
            ),
            (r#"{"rdma": {"a b": {}}}"#, r#"linux.resources.rdma: "a b" is not the name of a device"#),
        ] {
            assert_eq!(refusal(json), wanted, "{json}");
        }
    }

    #[test]
    fn page_sizes_cannot_be_paths() {
        for good in ["64KB", "2MB", "1GB"] {
            assert!(is_page_size(good), "{good}");
        }
        for bad in ["", "MB", "2M", "02MB", "../x/2MB", "2 MB", "-2MB", "2mb", "2TB"] {
            assert!(!is_page_size(bad), "{bad}");
        }
    }
}
