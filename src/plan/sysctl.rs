//! `linux.sysctl`: which belong to a namespace, and are the container's to set.

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

/// Add one write a sysctl, in the order of their names.
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

/// With a slash as the first separator, dots are part of the names: `net/ipv4/conf/eth0.1/mtu`.
fn slashed(name: &str) -> bool {
    name.find(['.', '/']).is_some_and(|at| name.as_bytes()[at] == b'/')
}

/// The other way of writing a name: dots for slashes and slashes for dots.
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

/// The kind of namespace that keeps a sysctl, if one does.
fn keeper(dotted: &str) -> Option<Kind> {
    match dotted {
        "kernel.domainname" => Some(Kind::Uts),
        _ if IPC.contains(&dotted) || dotted.starts_with("fs.mqueue.") => Some(Kind::Ipc),
        _ if dotted.starts_with("net.") => Some(Kind::Network),
        _ if dotted.starts_with("user.") => Some(Kind::User),
        _ => None,
    }
}

/// Why a sysctl cannot be set where the container has no namespace of this kind but the host's.
fn host_only(kind: Kind, name: &str, field: &Field) -> Refusal {
    match kind {
        Kind::Ipc => refusal!(field, "sysctl \"{name}\" is not allowed in the hosts ipc namespace"),
        Kind::Network => refusal!(field, "sysctl \"{name}\" not allowed in host network namespace"),
        Kind::User => refusal!(field, "setting ucounts without a user namespace not allowed: {name}"),
        _ => refusal!(field, "sysctl \"{name}\" is not in a separate kernel namespace"),
    }
}

/// What the container asks of its namespace of this kind, and must not do to the runtime's: the message to refuse it with.
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
