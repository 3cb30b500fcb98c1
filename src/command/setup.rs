//! `setup`: what an engine's configuration has to say for it to use this program, ready to be copied.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::print;
use crate::cli::Invocation;

/// The command.
pub fn run(invocation: &Invocation) -> Result<()> {
    let program = std::env::current_exe().context("where this program lies")?;
    let program = program.to_str().context("the path of this program is not UTF-8")?;
    let name = invocation.global.name.as_str();
    print(&match invocation.id() {
        "containerd" => containerd(name, program, Path::new("/run/systemd/system").is_dir()),
        "docker" => docker(name, program),
        "kubernetes" => kubernetes(name),
        "podman" => podman(name, program),
        other => bail!("setup: {other:?} is none of containerd, docker, kubernetes, podman"),
    });
    Ok(())
}

/// Quoted as TOML and JSON both read it.
fn quoted(text: &str) -> String {
    json!(text).to_string()
}

/// A file that `config.toml` of containerd 2 imports. Both containerd and the kubelet take the cgroup
/// driver from it, so it says systemd where systemd runs.
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

/// The whole of `daemon.json`, which knows no comments and imports nothing.
fn docker(name: &str, program: &str) -> String {
    let text = json!({ "runtimes": { name: { "path": program } }, "default-runtime": name });
    format!("{text:#}\n")
}

/// For the cluster; each node has containerd set up as [`containerd`] says.
fn kubernetes(name: &str) -> String {
    format!(
        "# kubectl apply -f; then runtimeClassName: {name} in a pod\n\
         apiVersion: node.k8s.io/v1\n\
         kind: RuntimeClass\n\
         metadata:\n  \
           name: {name}\n\
         handler: {name}\n"
    )
}

/// A drop-in. podman goes by the runtime's name to tell what it can do.
fn podman(name: &str, program: &str) -> String {
    let (quoted_name, program) = (quoted(name), quoted(program));
    format!(
        "# /etc/containers/containers.conf.d/{name}.conf, or ~/.config/containers/containers.conf.d/{name}.conf\n\
         [engine]\n\
         runtime = {quoted_name}\n\
         runtime_supports_json = [{quoted_name}, {{append = true}}]\n\
         runtime_supports_nocgroups = [{quoted_name}, {{append = true}}]\n\
         [engine.runtimes]\n\
         {quoted_name} = [{program}]\n"
    )
}
