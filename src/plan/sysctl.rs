//! `linux.sysctl`: which belong to a namespace, and are the container's to set.

use anyhow::{Result, bail};
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::Context;
use super::program::Program;
use crate::init::op::Op;
use crate::spec::Field;

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
    let Some(sysctls) = context.linux().and_then(|linux| linux.sysctl().as_ref()) else { return Ok(()) };
    let mut names: Vec<&String> = sysctls.keys().collect();
    names.sort();
    for name in names {
        let field = Field::of("linux.sysctl").member(name);
        let dotted = dotted(name);
        check(context, name, &dotted, &field)?;
        let path = program.text(&format!("/proc/sys/{}", file(name)));
        let value = program.text(&sysctls[name]);
        program.push(&field, Op::Write { path, value });
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

fn check(context: &Context<'_>, name: &str, dotted: &str, field: &Field) -> Result<()> {
    if file(name).split('/').any(|part| matches!(part, "" | "." | "..")) {
        bail!("{field}: not the name of a sysctl");
    }
    if IPC.contains(&dotted) || dotted.starts_with("fs.mqueue.") {
        return match context.own(Kind::Ipc) {
            true => Ok(()),
            false => bail!("{field}: sysctl \"{name}\" is not allowed in the hosts ipc namespace"),
        };
    }
    if dotted.starts_with("net.") {
        return match context.own(Kind::Network) {
            true => Ok(()),
            false => bail!("{field}: sysctl \"{name}\" not allowed in host network namespace"),
        };
    }
    if dotted.starts_with("user.") {
        return match context.own(Kind::User) {
            true => Ok(()),
            false => bail!("{field}: setting ucounts without a user namespace not allowed: {name}"),
        };
    }
    match dotted {
        "kernel.domainname" if context.own(Kind::Uts) => Ok(()),
        "kernel.hostname" => {
            bail!("{field}: sysctl \"kernel.hostname\" is not allowed as it conflicts with the OCI \"hostname\" field")
        }
        _ => bail!("{field}: sysctl \"{name}\" is not in a separate kernel namespace"),
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
