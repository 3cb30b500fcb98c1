//! `linux.netDevices`

use anyhow::Result;

use super::facts::Caller;
use crate::spec::{Config, Field, refuse};

/// The names of each device on the host and in the container.
pub fn net_devices(config: &Config, caller: &Caller) -> Result<Vec<(String, String)>> {
    let devices = config.net_devices();
    if caller.euid != 0 && devices.is_some_and(|devices| !devices.is_empty()) {
        refuse!("linux.netDevices", "network devices are not supported for rootless containers");
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, device) in devices.into_iter().flatten() {
        let inside = device.name().clone().filter(|inside| !inside.is_empty()).unwrap_or_else(|| name.clone());
        for (text, field) in
            [(name, Field::of("linux.netDevices")), (&inside, Field::of("linux.netDevices").member(name))]
        {
            let valid = !text.is_empty() && text.len() < 16 && !matches!(text.as_str(), "." | "..");
            if !valid || text.chars().any(|c| c == '/' || c == ':' || c.is_whitespace()) {
                refuse!(field, "invalid network device name \"{text}\"");
            }
        }
        // The kernel replaces %d in a name by a number.
        if !inside.contains("%d") && pairs.iter().any(|(_, known)| *known == inside) {
            refuse!(Field::of("linux.netDevices").member(name), "another device gets the name \"{inside}\" too");
        }
        pairs.push((name.clone(), inside));
    }
    pairs.sort();
    Ok(pairs)
}
