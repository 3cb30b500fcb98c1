//! Mount points with restrictions: the root, and everything at or below `/proc`.

use std::path::Path;

use anyhow::Result;

use super::entry::MountEntry;
use crate::spec::refuse;

/// Files below `/proc` that may be covered: those that lxcfs provides, and two that tools rely on.
const ALLOWED_IN_PROC: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
];

pub fn check_place(entry: &MountEntry<'_>) -> Result<()> {
    let field = || entry.field.member("destination");
    let (shown, is_proc) = (entry.destination.display(), entry.kind() == "proc");
    if entry.is_at("/") {
        refuse!(field(), "mountpoint \"/\" is on the top of rootfs");
    }
    if entry.is_at("/proc") {
        if !is_proc && entry.options.bind.is_none() || entry.options.remount {
            refuse!(field(), "\"{shown}\" cannot be mounted because it is not of type proc");
        }
    } else if entry.is_below("/proc")
        && let Ok(inside) = entry.destination.strip_prefix("/proc")
    {
        let allowed = ALLOWED_IN_PROC.iter().any(|known| inside == Path::new(known));
        if !allowed && !is_proc {
            refuse!(field(), "\"{shown}\" cannot be mounted because it is inside /proc");
        }
    }
    Ok(())
}
