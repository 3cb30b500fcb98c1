//! `linux.sysctl`: a container may set only sysctls that belong to one of its namespaces.

use anyhow::Result;
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::context::Context;
use super::program::Program;
use crate::init::op;
use crate::spec::{Config, Field, Refusal, refusal, refuse};

/// The sysctls of an ipc namespace that do not begin with `fs.mqueue.`.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Appends a write for each sysctl, in the order of the names.
pub fn plan(program: &mut Program, context: &Context<'_>) -> Result<()> {
    let Some(sysctls) = context.config.sysctl() else { return Ok(()) };
    let mut names: Vec<&String> = sysctls.keys().collect();
    names.sort();
    for name in names {
        let field = Field::of("linux.sysctl").member(name);
        check(context, name, &sysctls[name], &field)?;
        let path = program.text(&format!("/proc/sys/{}", file(name)));
        let value = program.text(&sysctls[name]);
        program.push(&field, op::Process::Write { path, value, must: true });
    }
    Ok(())
}

/// Whether slashes separate the parts, as in `net/ipv4/conf/eth0.1/mtu`: the first separator decides (sysctl.d(5)).
fn slashed(name: &str) -> bool {
    name.find(['.', '/']).is_some_and(|at| name.as_bytes()[at] == b'/')
}

/// The name with dots and slashes exchanged.
fn swapped(name: &str) -> String {
    let other = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    name.chars().map(other).collect()
}

fn dotted(name: &str) -> String {
    if slashed(name) { swapped(name) } else { name.to_owned() }
}

fn file(name: &str) -> String {
    if slashed(name) { name.to_owned() } else { swapped(name) }
}

/// The kind of namespace that a sysctl belongs to, if any.
fn keeper(dotted: &str) -> Option<Kind> {
    match dotted {
        "kernel.domainname" => Some(Kind::Uts),
        _ if IPC.contains(&dotted) || dotted.starts_with("fs.mqueue.") => Some(Kind::Ipc),
        _ if dotted.starts_with("net.") => Some(Kind::Network),
        _ if dotted.starts_with("user.") => Some(Kind::User),
        _ => None,
    }
}

/// The refusal of a sysctl if the container is in the host's namespace of this kind.
fn host_only(kind: Kind, name: &str, field: &Field) -> Refusal {
    match kind {
        Kind::Ipc => refusal!(field, "sysctl \"{name}\" is not allowed in the hosts ipc namespace"),
        Kind::Network => refusal!(field, "sysctl \"{name}\" not allowed in host network namespace"),
        Kind::User => refusal!(field, "setting ucounts without a user namespace not allowed: {name}"),
        _ => refusal!(field, "sysctl \"{name}\" is not in a separate kernel namespace"),
    }
}

/// The refusal if a joined namespace of this kind is the runtime's own, and the config asks for a change of it.
pub fn claim(config: &Config, kind: Kind) -> Option<Refusal> {
    if kind == Kind::Uts {
        for (key, name) in [("hostname", config.hostname()), ("domainname", config.domainname())] {
            if name.is_some() {
                return Some(refusal!(key, "unable to set {key} without a private UTS namespace"));
            }
        }
    }
    let sysctls = config.sysctl()?;
    let name = sysctls.keys().filter(|name| keeper(&dotted(name)) == Some(kind)).min()?;
    Some(host_only(kind, name, &Field::of("linux.sysctl").member(name)))
}

fn check(context: &Context<'_>, name: &str, value: &str, field: &Field) -> Result<()> {
    if file(name).split('/').any(|part| matches!(part, "" | "." | "..")) {
        refuse!(field, "not the name of a sysctl");
    }
    let dotted = dotted(name);
    if dotted == "kernel.hostname" {
        refuse!(field, "sysctl \"kernel.hostname\" is not allowed as it conflicts with the OCI \"hostname\" field");
    }
    let domain = context.config.domainname().filter(|domain| *domain != value);
    if let (Some(domain), "kernel.domainname") = (domain, &*dotted) {
        refuse!(field, "\"{value}\" conflicts with the OCI \"domainname\" field, which is \"{domain}\"");
    }
    match keeper(&dotted) {
        Some(kind) if context.own(kind) => Ok(()),
        kind => Err(host_only(kind.unwrap_or(Kind::Uts), name, field).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators() {
        for (name, expected) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/conf/eth0.1/x", "net/ipv4/conf/eth0.1/x"),
            ("net.ipv4.conf.eth0/1.x", "net/ipv4/conf/eth0.1/x"),
        ] {
            assert_eq!(file(name), expected);
        }
        assert_eq!(dotted("net/ipv4/conf/eth0.1/x"), "net.ipv4.conf.eth0/1.x");
    }
}
