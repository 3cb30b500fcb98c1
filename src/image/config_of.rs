//! The config of an image whose layers come from no image.

use anyhow::Result;
use serde_json::{Value, json};

use super::platform::Platform;
use crate::spec::Config;

/// A config without layers. The program, its environment, user and working directory are those of `config.json`.
pub fn config_of(config: &Config) -> Result<Value> {
    let process = serde_json::to_value(&**config.process())?;
    let id = |name: &str| process["user"][name].as_u64().unwrap_or_default();
    let platform = Platform::host();
    Ok(json!({
        "architecture": platform.architecture,
        "os": platform.os,
        "config": {
            "User": format!("{}:{}", id("uid"), id("gid")),
            "Env": process["env"].as_array().cloned().unwrap_or_default(),
            "Cmd": process["args"].as_array().cloned().unwrap_or_default(),
            "WorkingDir": process["cwd"].as_str().unwrap_or("/"),
        },
        "rootfs": { "type": "layers", "diff_ids": [] },
        "history": [],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_of_the_config() {
        let text = json!({
            "ociVersion": "1.2.0",
            "root": { "path": "rootfs" },
            "process": { "user": { "uid": 5, "gid": 6 }, "cwd": "/a", "args": ["x", "y"], "env": ["A=b"] },
            "linux": {},
        });
        let config = crate::spec::parse(text.to_string().as_bytes()).unwrap();
        let made = config_of(&config).unwrap();
        let wanted = json!({ "User": "5:6", "Env": ["A=b"], "Cmd": ["x", "y"], "WorkingDir": "/a" });
        assert_eq!(made["config"], wanted);
        assert_eq!(made["os"], "linux");
    }
}
