//! A visit to namespaces: the runtime joins them so that its child is born there.

use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, setns};

use crate::sys::Call;
use crate::tables::namespace;

/// The path of this process's own namespace of this kind.
pub fn own_path(flag: u32) -> String {
    let row = namespace::NAMESPACES.iter().find(|row| row.flag == flag);
    format!("/proc/self/ns/{}", row.map_or("", |row| row.file))
}

/// The namespaces that the runtime has joined for the time of a clone. Dropping this returns to the old ones.
#[derive(Debug, Default)]
pub struct Visit {
    back: Vec<(OwnedFd, CloneFlags)>,
}

impl Visit {
    pub fn join(&mut self, namespace: BorrowedFd<'_>, flag: u32) -> Result<()> {
        let flags = CloneFlags::from_bits_retain(flag as i32);
        self.remember(flag)?;
        setns(namespace, flags).named(format_args!("join {} namespace", namespace::names(u64::from(flag)).join(" ")))
    }

    /// Makes a time namespace for the children and sets its offsets.
    pub fn new_time(&mut self, offsets: &str) -> Result<()> {
        const CLONE_NEWTIME: u32 = 0x80;
        self.remember(CLONE_NEWTIME).context("linux.namespaces: time namespaces aren't enabled in the kernel")?;
        nix::sched::unshare(CloneFlags::from_bits_retain(CLONE_NEWTIME as i32))
            .named("linux.namespaces: unshare time")?;
        if offsets.is_empty() {
            return Ok(());
        }
        std::fs::write("/proc/self/timens_offsets", offsets).named("linux.timeOffsets: write timens_offsets")
    }

    /// Joins a namespace whose kind is known; `own` is the one to return to.
    pub fn enter(&mut self, namespace: OwnedFd, own: OwnedFd, kind: CloneFlags) -> Result<()> {
        self.back.push((own, kind));
        setns(namespace, kind).named("join the new namespace")
    }

    fn remember(&mut self, flag: u32) -> Result<()> {
        let path = own_path(flag);
        let own = File::open(&path).named(path)?;
        self.back.push((own.into(), CloneFlags::from_bits_retain(flag as i32)));
        Ok(())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        for (own, flags) in self.back.drain(..).rev() {
            // Returning to the own namespace always succeeds.
            let _ = setns(own, flags);
        }
    }
}
