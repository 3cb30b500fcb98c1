//! The eight kinds of namespace.

use oci_spec::runtime::LinuxNamespaceType as Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// The kind in the types of `oci-spec`.
    pub kind: Kind,
    /// The name in `config.json`.
    pub name: &'static str,
    /// The name of the link below `/proc/PID/ns`.
    pub file: &'static str,
    /// `CLONE_NEW*`, `linux/sched.h`.
    pub flag: u32,
}

/// All kinds, in the order of their names.
pub const NAMESPACES: [Namespace; 8] = [
    Namespace { kind: Kind::Cgroup, name: "cgroup", file: "cgroup", flag: 0x0200_0000 },
    Namespace { kind: Kind::Ipc, name: "ipc", file: "ipc", flag: 0x0800_0000 },
    Namespace { kind: Kind::Mount, name: "mount", file: "mnt", flag: 0x0002_0000 },
    Namespace { kind: Kind::Network, name: "network", file: "net", flag: 0x4000_0000 },
    Namespace { kind: Kind::Pid, name: "pid", file: "pid", flag: 0x2000_0000 },
    Namespace { kind: Kind::Time, name: "time", file: "time", flag: 0x0000_0080 },
    Namespace { kind: Kind::User, name: "user", file: "user", flag: 0x1000_0000 },
    Namespace { kind: Kind::Uts, name: "uts", file: "uts", flag: 0x0400_0000 },
];

pub fn of(kind: Kind) -> Namespace {
    let found = NAMESPACES.iter().find(|namespace| namespace.kind == kind);
    *found.unwrap_or(&NAMESPACES[0])
}

/// The names of the kinds in a set of `CLONE_NEW*` flags.
pub fn names(flags: u64) -> Vec<&'static str> {
    NAMESPACES
        .iter()
        .filter(|namespace| flags & u64::from(namespace.flag) != 0)
        .map(|namespace| namespace.name)
        .collect()
}
