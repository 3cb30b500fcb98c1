//! `spec`: a configuration as a starting point.

use crate::harness::bundle::scratch;
use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;

tests![
    writes_the_default_configuration,
    in_the_current_directory,
    does_not_overwrite,
    can_be_run,
    rootless,
    form,
    directory_that_is_missing,
    words_about_an_existing_file,
];

fn spec(options: &[&str]) -> Result<Value> {
    let dir = scratch()?;
    Call::new(["spec"]).args(options).args(["--bundle"]).arg(dir.path()).output()?.success()?;
    Ok(serde_json::from_slice(&fs::read(dir.path().join("config.json"))?)?)
}

/// `spec` writes runc's default configuration.
fn writes_the_default_configuration() -> Result {
    let config = spec(&[])?;
    equal("args", &config["process"]["args"], &json!(["sh"]))?;
    equal("terminal", &config["process"]["terminal"], true)?;
    equal("noNewPrivileges", &config["process"]["noNewPrivileges"], true)?;
    equal("cwd", &config["process"]["cwd"], "/")?;
    equal("root", &config["root"], &json!({ "path": "rootfs", "readonly": true }))?;
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    for set in ["bounding", "effective", "permitted"] {
        equal(set, &config["process"]["capabilities"][set], &capabilities)?;
    }
    let destinations: Vec<_> =
        config["mounts"].as_array().context("mounts")?.iter().map(|m| &m["destination"]).collect();
    let wanted = ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"];
    equal("mounts", destinations, wanted.iter().map(|d| json!(d)).collect::<Vec<_>>().iter().collect::<Vec<_>>())?;
    let kinds: Vec<_> =
        config["linux"]["namespaces"].as_array().context("namespaces")?.iter().map(|n| &n["type"]).collect();
    for kind in ["pid", "network", "ipc", "uts", "mount"] {
        ensure!(kinds.contains(&&json!(kind)), "no {kind} in {kinds:?}");
    }
    contains("masked paths", &config["linux"]["maskedPaths"].to_string(), "/proc/kcore")?;
    contains("read-only paths", &config["linux"]["readonlyPaths"].to_string(), "/proc/sys")
}

/// Without `--bundle` the file is written to the working directory.
fn in_the_current_directory() -> Result {
    let dir = scratch()?;
    Call::new(["spec"]).current_dir(dir.path()).output()?.success()?;
    ensure!(dir.path().join("config.json").exists(), "no config.json");
    Ok(())
}

/// `spec` does not overwrite a file.
fn does_not_overwrite() -> Result {
    let dir = scratch()?;
    fs::write(dir.path().join("config.json"), "mine")?;
    Call::new(["spec", "-b"]).arg(dir.path()).output()?.fails_with("exists")?;
    equal("file", fs::read_to_string(dir.path().join("config.json"))?, "mine")
}

/// `run` accepts the output of `spec`, with a program instead of the shell and without a terminal.
fn can_be_run() -> Result {
    let mut config = spec(&[])?;
    config["process"]["args"] = json!(["/payload", "ids", ",", "caps", ",", "uts"]);
    config["process"]["terminal"] = json!(false);
    let container = Bundle::new([]).dir("proc").dir("dev").dir("sys").build()?;
    config["linux"]["cgroupsPath"] = json!(format!("{}/{}", machine::cgroup_parent(), container.id));
    container.edit_config(|old| *old = config)?;
    let output = container.run()?;
    output.success()?.says("uid", "0")?.says("effective", "20000420")?.says("bounding", "20000420").map(drop)
}

/// `--rootless` has a user namespace that maps the caller alone, no network namespace and no resources.
fn rootless() -> Result {
    let config = spec(&["--rootless"])?;
    let text = config["linux"]["namespaces"].to_string();
    ensure!(text.contains("\"user\"") && !text.contains("\"network\""), "{text}");
    for map in ["uidMappings", "gidMappings"] {
        equal(map, &config["linux"][map], &json!([{ "containerID": 0, "hostID": 0, "size": 1 }]))?;
    }
    ensure!(config["linux"].get("resources").is_none(), "{config}");
    ensure!(!config["mounts"].to_string().contains("gid=5"), "{config}");
    Ok(())
}

/// The file is indented by tabs, and `spec` prints nothing.
fn form() -> Result {
    let dir = scratch()?;
    let output = Call::new(["spec"]).current_dir(dir.path()).output()?;
    equal("output", format!("{}{}", output.success()?.stdout, output.stderr), "")?;
    let text = fs::read_to_string(dir.path().join("config.json"))?;
    ensure!(text.starts_with("{\n\t\"ociVersion\""), "{text}");
    Ok(())
}

/// `--bundle` must exist.
fn directory_that_is_missing() -> Result {
    Call::new(["spec", "--bundle", "/nosuch/conformance"]).output()?.fails_with("no such file or directory").map(drop)
}

/// The error for an existing file has these words.
fn words_about_an_existing_file() -> Result {
    let dir = scratch()?;
    fs::write(dir.path().join("config.json"), "mine")?;
    let output = Call::new(["spec"]).current_dir(dir.path()).output()?;
    output.fails_with("File config.json exists. Remove it first").map(drop)
}
