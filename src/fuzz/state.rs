//! For any `state.json`, however damaged, the reader does not panic, and a refusal is one line. A record that is
//! accepted is written and read again as the same record.

use serde_json::json;

use super::seeds;
use crate::spec;
use crate::state;

pub fn run(data: &[u8]) -> bool {
    let (record, config) = state::read(data);
    if let Ok(config) = &config {
        let _ = spec::parse(config.get().as_bytes());
    }
    let record = match record {
        Ok(record) => record,
        Err(why) => {
            assert!(!why.contains(['\n', '\u{1b}']), "not one line: {why:?}");
            return false;
        }
    };
    let config = config.as_ref().map_or("{}", |config| config.get());
    let text = state::write(&record, config);
    let (again, kept) = state::read(&text);
    assert_eq!(format!("{:?}", again.expect("the record that was written")), format!("{record:?}"), "another record");
    assert_eq!(kept.expect("the config that was written").get(), config, "another config");
    true
}

pub fn seeds() -> Vec<Vec<u8>> {
    let record = json!({
        "complete": 1, "freezer": "/sys/fs/cgroup/box/cgroup.freeze", "format": 1, "id": "box", "pid": 77,
        "startTime": 12345, "pidfd": 99, "origin": {"pid": 4026531836u64, "time": 4026531834u64}, "creator": 70,
        "creatorBefore": 12346, "created": "2026-01-01T00:00:00.000000001Z", "bundle": "/bundle",
        "configFile": "/bundle/other.json", "rootfs": "/bundle/rootfs", "annotations": {"a": "b\n"},
        "namespaces": {"pid": true, "user": false},
        "cgroup": {
            "mode": "unified", "inside": "a", "dirs": [{"controllers": "", "mount": "/sys/fs/cgroup", "dir": "/sys/fs/cgroup/box"}],
            "unit": {"name": "tare-box.scope", "user": true, "subgroup": "x"},
        },
        "union": {"layers": ["/a", "/b"], "upper": "/u", "made": ["/w"], "maps": {"uid": "0 1 1\n", "gid": "0 1 1\n"}},
        "mounts": [{"destination": "/data", "mount": 4242}],
    });
    let line = record.to_string();
    let configs = seeds::configs();
    let small = configs
        .iter()
        .filter(|config| config.len() < 3000 && serde_json::from_slice::<serde_json::Value>(config).is_ok());
    let whole = line.strip_suffix('}').unwrap_or_default();
    small.map(|config| [format!("{whole}\n,\"config\":").as_bytes(), config.as_slice(), b"}"].concat()).collect()
}
