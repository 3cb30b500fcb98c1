//! Invariants of every target.

use serde_json::Value;

/// A refusal is one line that begins with the place in the document. Returns the line.
pub fn refusal(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    assert!(text.contains(": "), "no place in: {text}");
    assert!(!text.contains(['\n', '\r', '\0', '\u{1b}']), "not one line: {text:?}");
    text
}

/// A text of a config in which each value is the given one.
pub fn config(changes: &[(&str, Value)]) -> Vec<u8> {
    let mut config = serde_json::json!({
        "ociVersion": "1.2.0",
        "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "root": {"path": "rootfs"},
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    });
    for (place, value) in changes {
        let mut here = &mut config;
        for key in place.split('/').skip(1) {
            here = &mut here[key];
        }
        *here = value.clone();
    }
    config.to_string().into_bytes()
}
