//! `setup`: print the configuration that makes an engine use this runtime, ready to be copied.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::shared::print;
use crate::cgroup::{Layout, Mode};
use crate::cli::Global;
use crate::spec::annotation::SYSTEMD_SUBGROUP;

pub fn run(global: &Global, engine: &str) -> Result<()> {
    let program = std::env::current_exe().context("find the path of this program")?;
    let program = program.to_str().context("the path of this program is not UTF-8")?;
    let name = global.name.as_str();
    check(name, engine)?;
    let text = match engine {
        "containerd" => containerd(name, program, Path::new("/run/systemd/system").is_dir()),
        "docker" => docker(name, program),
        "kubernetes" => kubernetes(name),
        "podman" => podman(name, program, Layout::read()?.mode()),
        other => bail!("setup: {other:?} is none of containerd, docker, kubernetes, podman"),
    };
    print(&text)
}

/// Refuses a program name that cannot be the name of a runtime or of a file. The name is that of the link or copy that
/// was called.
fn check(name: &str, engine: &str) -> Result<()> {
    if !name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter)) {
        bail!("setup: a runtime cannot be named {name:?}, as this program is: letters, digits, '-', '_' and '.' only");
    }
    let label = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let fits = name.len() <= 63 && name.chars().all(label) && !name.starts_with('-') && !name.ends_with('-');
    if engine == "kubernetes" && !fits {
        bail!("setup: {name:?} cannot be the handler of a RuntimeClass: it has to be a DNS label");
    }
    if (engine, name) == ("docker", "runc") {
        bail!("setup: docker does not start with a runtime of the name runc in its configuration, which is its own");
    }
    Ok(())
}

/// Quotes a text in a form that TOML, JSON and YAML share. TOML does not allow an unescaped DEL.
fn quoted(text: &str) -> String {
    json!(text).to_string().replace('\x7f', "\\u007f")
}

/// A file that `config.toml` of containerd 2 imports. containerd and the kubelet both take the cgroup driver from it,
/// so it names systemd where systemd runs.
fn containerd(name: &str, program: &str, systemd: bool) -> String {
    let (runtimes, key) = ("plugins.'io.containerd.cri.v1.runtime'.containerd", quoted(name));
    format!(
        "# /etc/containerd/conf.d/{name}.toml; then: systemctl restart containerd\n\
         # config.toml has to import it: imports = [\"/etc/containerd/conf.d/*.toml\"]\n\
         version = 3\n\
         [{runtimes}.runtimes.{key}]\n  \
           runtime_type = 'io.containerd.runc.v2'\n  \
           [{runtimes}.runtimes.{key}.options]\n    \
             BinaryName = {}\n    \
             SystemdCgroup = {systemd}\n",
        quoted(program)
    )
}

/// A whole `daemon.json`: the format has no comments and no imports.
fn docker(name: &str, program: &str) -> String {
    let text = json!({ "runtimes": { name: { "path": program } }, "default-runtime": name });
    format!("{text:#}\n")
}

/// A manifest for the cluster. Each node needs containerd configured as in [`containerd`].
fn kubernetes(name: &str) -> String {
    // YAML may read an unquoted name as a number.
    let quoted = quoted(name);
    format!(
        "# kubectl apply -f; then runtimeClassName: {name} in a pod\n\
         apiVersion: node.k8s.io/v1\n\
         kind: RuntimeClass\n\
         metadata:\n  \
           name: {quoted}\n\
         handler: {quoted}\n"
    )
}

/// A drop-in file. podman derives the features of a runtime from its name.
///
/// conmon reports an OOM kill when it reads one from the cgroup's `memory.events`, and stops reading after the first
/// event of any kind. A cgroup below the scope, as with crun, has OOM kills as its only events: the kernel counts
/// "limit reached" at the scope.
fn podman(name: &str, program: &str, mode: Mode) -> String {
    let (quoted_name, program) = (quoted(name), quoted(program));
    let subgroup = match mode {
        Mode::Unified => format!("[containers]\nannotations = [\"{SYSTEMD_SUBGROUP}=container\", {{append = true}}]\n"),
        _ => String::new(),
    };
    format!(
        "# /etc/containers/containers.conf.d/{name}.conf, or ~/.config/containers/containers.conf.d/{name}.conf\n\
         [engine]\n\
         runtime = {quoted_name}\n\
         runtime_supports_json = [{quoted_name}, {{append = true}}]\n\
         runtime_supports_nocgroup = [{quoted_name}, {{append = true}}]\n\
         [engine.runtimes]\n\
         {quoted_name} = [{program}]\n\
         {subgroup}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// dockerd refuses a `daemon.json` with a runtime `runc`: "runtime name 'runc' is reserved".
    #[test]
    fn names_that_can_be_a_runtimes() {
        for (engine, name, fits) in [
            ("docker", "tare", true),
            ("podman", "tare-1.0_2", true),
            ("docker", "runc", false),
            ("containerd", "runc", true),
            ("podman", "a\nb", false),
            ("containerd", "a b", false),
            ("kubernetes", "a: b", false),
            ("kubernetes", "a.b", false),
            ("kubernetes", "-a", false),
        ] {
            assert_eq!(check(name, engine).is_ok(), fits, "{engine} {name:?}");
        }
    }

    #[test]
    fn a_number_is_a_name() {
        let text = kubernetes("123");
        assert!(text.ends_with("  name: \"123\"\nhandler: \"123\"\n"), "{text}");
    }
}
