//! `setup`: the configuration that it prints for engines. `hack/engines` gives it to the engines themselves. Here the
//! tests parse it as the engines do, with unusual names and places. Only tare has this command, so other runtimes skip
//! these tests.

use crate::harness::bundle::scratch;
use crate::harness::machine::{self, Layout};
use crate::harness::*;
use anyhow::Context;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use toml_edit::DocumentMut;

tests![
    podman,
    podmans_annotation,
    containerd,
    docker,
    kubernetes,
    engine_unknown,
    engine_missing,
    name_is_the_callers,
    name_that_is_none,
    name_that_docker_keeps_for_itself,
    name_that_cannot_be_a_handler,
    place_of_any_letters,
];

fn call(program: &Path, words: &[&str]) -> Result<Output> {
    call_in(View::Machine, program, words)
}

fn call_in(view: View, program: &Path, words: &[&str]) -> Result<Output> {
    if !runtime::is("tare") {
        return skip("only tare tells engines how to use it");
    }
    Call::of(program, words).view(view).output()
}

/// The output of `setup ENGINE` if tare is at this path.
fn setup(program: &Path, engine: &str) -> Result<String> {
    let output = call(program, &["setup", engine])?;
    equal("standard error", &*output.success()?.stderr, "")?;
    Ok(output.stdout)
}

fn refused(program: &Path, words: &[&str], part: &str) -> Result {
    let output = call(program, words)?;
    equal("exit code", output.code()?, 1)?;
    contains("message", &format!("{}{}", output.stdout, output.stderr), part)
}

fn program() -> &'static Path {
    &runtime::get().path
}

fn place() -> String {
    program().to_string_lossy().into_owned()
}

fn podmans(text: &str, name: &str) -> Result<String> {
    let document: DocumentMut = text.parse().with_context(|| text.to_owned())?;
    equal("runtime", document["engine"]["runtime"].as_str(), Some(name))?;
    for list in ["runtime_supports_json", "runtime_supports_nocgroup"] {
        let list = document["engine"][list].as_array().context("no list")?;
        equal("first of the list", list.get(0).and_then(|item| item.as_str()), Some(name))?;
    }
    let programs = document["engine"]["runtimes"][name].as_array().context("no programs")?;
    equal("programs", programs.len(), 1)?;
    Ok(programs.get(0).and_then(|item| item.as_str()).unwrap_or_default().to_owned())
}

fn containerds(text: &str, name: &str) -> Result<String> {
    let document: DocumentMut = text.parse().with_context(|| text.to_owned())?;
    equal("version", document["version"].as_integer(), Some(3))?;
    let runtime = &document["plugins"]["io.containerd.cri.v1.runtime"]["containerd"]["runtimes"][name];
    equal("type", runtime["runtime_type"].as_str(), Some("io.containerd.runc.v2"))?;
    let systemd = Path::new("/run/systemd/system").is_dir();
    equal("SystemdCgroup", runtime["options"]["SystemdCgroup"].as_bool(), Some(systemd))?;
    Ok(runtime["options"]["BinaryName"].as_str().unwrap_or_default().to_owned())
}

fn dockers(text: &str, name: &str) -> Result<String> {
    let document: Value = serde_json::from_str(text)?;
    equal("default-runtime", &document["default-runtime"], name)?;
    Ok(document["runtimes"][name]["path"].as_str().unwrap_or_default().to_owned())
}

/// A drop-in of containers.conf: the default runtime, its path, and what podman cannot find out by itself.
fn podman() -> Result {
    equal("program", podmans(&setup(program(), "podman")?, "tare")?, place())
}

/// If v2 is the only hierarchy, the drop-in asks for a cgroup below the scope, and keeps annotations that are
/// configured elsewhere.
fn podmans_annotation() -> Result {
    for view in [View::Machine, View::Unified] {
        let machine = machine::get();
        let unified = machine.layout == Layout::Unified || (view == View::Unified && machine.unified.is_some());
        let output = call_in(view, program(), &["setup", "podman"])?;
        let document: DocumentMut = output.success()?.stdout.parse().with_context(|| output.stdout.clone())?;
        equal("table of containers", document.contains_key("containers"), unified)?;
        if !unified {
            continue;
        }
        let list = document["containers"]["annotations"].as_array().context("no list")?;
        equal("entries", list.len(), 2)?;
        let (first, last) = (list.get(0).and_then(|item| item.as_str()), list.get(1));
        equal("annotation", first, Some("run.oci.systemd.subgroup=container"))?;
        let append = last.and_then(|item| item.as_inline_table()?.get("append")?.as_bool());
        equal("append", append, Some(true))?;
    }
    Ok(())
}

/// A file for containerd's `imports`: a runtime with the machine's cgroup driver.
fn containerd() -> Result {
    equal("program", containerds(&setup(program(), "containerd")?, "tare")?, place())
}

/// A whole daemon.json.
fn docker() -> Result {
    equal("program", dockers(&setup(program(), "docker")?, "tare")?, place())
}

/// A RuntimeClass. `hack/engines --engine kubernetes` tests that a cluster accepts it.
fn kubernetes() -> Result {
    let text = setup(program(), "kubernetes")?;
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let wanted =
        ["apiVersion: node.k8s.io/v1", "kind: RuntimeClass", "metadata:", "  name: \"tare\"", "handler: \"tare\""];
    equal("manifest", lines, wanted)
}

/// The error for an unknown engine lists the known ones.
fn engine_unknown() -> Result {
    for engine in ["nosuch", "Docker", ""] {
        refused(program(), &["setup", engine], "none of containerd, docker, kubernetes, podman")?;
    }
    Ok(())
}

/// `setup` takes exactly one engine.
fn engine_missing() -> Result {
    refused(program(), &["setup"], "\"setup\" requires exactly 1 argument")?;
    refused(program(), &["setup", "podman", "docker"], "\"setup\" requires exactly 1 argument")
}

/// The runtime has the name of the link that was called, and the path of the program itself.
fn name_is_the_callers() -> Result {
    let dir = scratch()?;
    let link = dir.path().join("123.runtime_2-x");
    symlink(program(), &link)?;
    equal("podman", podmans(&setup(&link, "podman")?, "123.runtime_2-x")?, place())?;
    equal("containerd", containerds(&setup(&link, "containerd")?, "123.runtime_2-x")?, place())?;
    equal("docker", dockers(&setup(&link, "docker")?, "123.runtime_2-x")?, place())
}

/// A name that would be another key, line or file in the engine's configuration is refused.
fn name_that_is_none() -> Result {
    let dir = scratch()?;
    for name in ["a b", "a\nb", "a\"b", "a]b", "ä", "a: b"] {
        let link = dir.path().join(name);
        symlink(program(), &link)?;
        for engine in ["containerd", "docker", "kubernetes", "podman"] {
            refused(&link, &["setup", engine], "cannot be named")?;
        }
    }
    Ok(())
}

/// dockerd does not start if its configuration has a runtime `runc`; the other engines do.
fn name_that_docker_keeps_for_itself() -> Result {
    let dir = scratch()?;
    let link = dir.path().join("runc");
    symlink(program(), &link)?;
    refused(&link, &["setup", "docker"], "docker does not start")?;
    equal("podman", podmans(&setup(&link, "podman")?, "runc")?, place())?;
    equal("containerd", containerds(&setup(&link, "containerd")?, "runc")?, place())
}

/// The handler of a RuntimeClass must be a DNS label: the API server refuses other names.
fn name_that_cannot_be_a_handler() -> Result {
    let dir = scratch()?;
    for name in ["tare-1.0", "tare_2", "Tare", "-tare", "tare-", &"a".repeat(64)] {
        let link = dir.path().join(name);
        symlink(program(), &link)?;
        refused(&link, &["setup", "kubernetes"], "the handler of a RuntimeClass")?;
        equal("containerd", containerds(&setup(&link, "containerd")?, name)?, place())?;
    }
    let link = dir.path().join("1-tare");
    symlink(program(), &link)?;
    contains("manifest", &setup(&link, "kubernetes")?, "handler: \"1-tare\"\n")
}

/// The directory of the program may have any name.
fn place_of_any_letters() -> Result {
    let dir = scratch()?;
    for name in ["a b", "a'b\"c", "a\\b", "a\nb\t", "\u{1}\u{1f}\u{7f}\u{80}", "ü", "#x", "${HOME}%s"] {
        let place = dir.path().canonicalize()?.join(name);
        fs::create_dir(&place)?;
        let copy = place.join("tare");
        // cp(1) makes the copy: if this process did, a child of another test could inherit the descriptor, and
        // execve(2) would fail (ETXTBSY).
        Call::of(Path::new("cp"), [program(), &copy]).output()?.success()?;
        let wanted = copy.to_string_lossy();
        equal("podman", podmans(&setup(&copy, "podman")?, "tare")?, &*wanted)?;
        equal("containerd", containerds(&setup(&copy, "containerd")?, "tare")?, &*wanted)?;
        equal("docker", dockers(&setup(&copy, "docker")?, "tare")?, &*wanted)?;
        fs::remove_file(&copy)?;
    }
    Ok(())
}
