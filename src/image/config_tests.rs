use super::*;

fn template() -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "terminal": true, "user": {"uid": 0, "gid": 0}, "args": ["sh"],
            "env": ["PATH=/usr/bin:/bin", "TERM=xterm"], "cwd": "/",
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "tare",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        ],
        "linux": {},
    })
}

fn image(settings: Value) -> ImageConfiguration {
    let image = json!({
        "os": "linux", "architecture": "arm", "variant": "v7", "author": "A", "created": "2026-01-02T03:04:05Z",
        "os.version": "6", "os.features": ["a", "b"], "config": settings, "rootfs": {"type": "layers", "diff_ids": []},
    });
    serde_json::from_value(image).unwrap()
}

fn converted(settings: Value) -> Result<RuntimeConfig> {
    let accounts = Accounts {
        passwd: Some(b"root:x:0:0::/root:\napp:x:1000:1001::/home/app:\n"),
        group: Some(b"app:x:1001:\nlog:x:20:app\n"),
    };
    let owner = |path: &Path| (path == Path::new("/var/lib/db")).then_some((70, 71));
    from_image(template(), &image(settings), &ImageFiles { accounts, owner: &owner })
}

#[test]
fn a_whole_config() {
    let settings = json!({
        "User": "app", "WorkingDir": "/srv", "Entrypoint": ["/entry", "-x"], "Cmd": ["a", "b"],
        "Env": ["TERM=dumb", "A=1", "B==", "A=2"],
        "Volumes": {"/var/lib/db/inner": {}, "/var/lib/db": {}, "//var/./lib/db/": {}},
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}, "9": {}, "5000-5010/tcp": {}},
        "StopSignal": "SIGRTMIN+3", "Labels": {"a.b": "c", "org.opencontainers.image.author": "label"},
        "Healthcheck": {"Test": ["NONE"]}, "Shell": ["/bin/sh"], "OnBuild": ["RUN x"], "ArgsEscaped": true,
    });
    let RuntimeConfig { config, warnings } = converted(settings).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let mut wanted = template();
    wanted["process"]["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [20]});
    wanted["process"]["args"] = json!(["/entry", "-x", "a", "b"]);
    wanted["process"]["env"] = json!(["PATH=/usr/bin:/bin", "TERM=dumb", "A=2", "B=="]);
    wanted["process"]["cwd"] = json!("/srv");
    wanted["root"]["readonly"] = json!(false);
    let volume = |destination: &str, options: Value| json!({"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options});
    let mounts = wanted["mounts"].as_array_mut().unwrap();
    mounts.push(volume("/var/lib/db", json!(["nosuid", "nodev", "tmpcopyup", "uid=70", "gid=71"])));
    mounts.push(volume("/var/lib/db/inner", json!(["nosuid", "nodev", "tmpcopyup"])));
    wanted["annotations"] = json!({
        "a.b": "c",
        "org.opencontainers.image.architecture": "arm",
        "org.opencontainers.image.author": "label",
        "org.opencontainers.image.created": "2026-01-02T03:04:05Z",
        "org.opencontainers.image.exposedPorts": "9,53/udp,5000-5010/tcp,8080/tcp",
        "org.opencontainers.image.os": "linux",
        "org.opencontainers.image.os.features": "a,b",
        "org.opencontainers.image.os.version": "6",
        "org.opencontainers.image.stopSignal": "SIGRTMIN+3",
        "org.opencontainers.image.variant": "v7",
    });
    assert_eq!(config, wanted);
}

#[test]
fn an_image_without_settings_but_a_program() {
    let RuntimeConfig { config, warnings } = converted(json!({"Cmd": ["x"], "Env": null, "User": ""})).unwrap();
    assert!(warnings.is_empty());
    let mut process = template()["process"].clone();
    process["args"] = json!(["x"]);
    assert_eq!(config["process"], process);
    assert_eq!(config["mounts"], template()["mounts"]);
}

/// All annotations that tare carries out are left out, also one that is new in the list.
#[test]
fn labels_that_something_acts_upon_are_left_out() {
    let names = ["dev.tare.layers", "run.oci.new", "org.systemd.property.ExecStop", "org.criu.config", ""];
    let names: Vec<&str> = names.into_iter().chain(UNSAFE.iter().copied()).collect();
    let labels: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!("1"))).collect();
    let all = labels.len();
    let RuntimeConfig { config, warnings } = converted(json!({"Cmd": ["x"], "Labels": labels})).unwrap();
    let annotations = config["annotations"].as_object().unwrap();
    assert!(annotations.keys().all(|name| name.starts_with(PREFIX)), "{annotations:?}");
    assert_eq!(warnings.len(), all);
    let line = "the label \"dev.tare.layers\" of the image is left out: a runtime or an engine acts upon it";
    assert!(warnings.iter().any(|warning| warning == line), "{warnings:?}");
}

#[test]
fn wrong_fields_are_refused_by_name() {
    for (settings, text) in [
        (json!({}), "the image's Entrypoint and Cmd are empty: the image names no program"),
        (json!({"Entrypoint": [""]}), "the image's Entrypoint or Cmd begins with an empty word"),
        (json!({"Env": ["A"]}), "the image's Env: \"A\" is not of the form NAME=VALUE"),
        (json!({"Env": ["=A"]}), "the image's Env: \"=A\" is not of the form NAME=VALUE"),
        (json!({"WorkingDir": "x"}), "the image's WorkingDir: \"x\" is not an absolute path"),
        (json!({"User": "x"}), "the image's User: etc/passwd of the image has no user \"x\""),
        (json!({"StopSignal": "SIGX"}), "the image's StopSignal: \"SIGX\" is not a signal"),
        (json!({"StopSignal": "65"}), "the image's StopSignal: \"65\" is not a signal"),
        (json!({"Volumes": {"/": {}}}), "the image's Volumes: \"/\" would cover a mount that the container needs"),
        (json!({"Volumes": {"/./": {}}}), "the image's Volumes: \"/./\" would cover a mount that the container needs"),
        (
            json!({"Volumes": {"/proc": {}}}),
            "the image's Volumes: \"/proc\" would cover a mount that the container needs",
        ),
        (
            json!({"Volumes": {"//dev/x": {}}}),
            "the image's Volumes: \"//dev/x\" would cover a mount that the container needs",
        ),
        (
            json!({"Volumes": {"/a/../b": {}}}),
            "the image's Volumes: \"/a/../b\" is not an absolute path without \"..\"",
        ),
        (json!({"Volumes": {"a": {}}}), "the image's Volumes: \"a\" is not an absolute path without \"..\""),
    ] {
        let mut settings = settings;
        if settings.as_object().is_some_and(|members| !members.is_empty() && !members.contains_key("Entrypoint")) {
            settings["Cmd"] = json!(["x"]);
        }
        assert_eq!(converted(settings).unwrap_err().to_string(), text);
    }
    for port in ["", "0", "x", "80/icmp", "65536/tcp", "+80", "9-8/tcp", "80,81/tcp", "1-"] {
        let message = converted(json!({"Cmd": ["x"], "ExposedPorts": {port: {}}})).unwrap_err().to_string();
        assert!(message.contains("the image's ExposedPorts"), "{port}: {message}");
    }
}
