//! The runtime's own file, and the memory of init: no memory is writable and executable.

use crate::harness::*;
use anyhow::{Context, ensure};
use std::fs;

tests![segments_are_not_writable_and_executable, file_is_static, memory_of_init_is_not_writable_and_executable];

const PT_INTERP: u32 = 3;
const PT_GNU_STACK: u32 = 0x6474_e551;
const PF_X: u32 = 1;
const PF_W: u32 = 2;

/// A program header of an ELF file, elf(5).
struct Segment {
    kind: u32,
    flags: u32,
}

fn segments() -> Result<Vec<Segment>> {
    let file = fs::read(&runtime::get().path)?;
    let bytes = |at: usize, count: usize| file.get(at..at + count).context("the file is cut off");
    ensure!(bytes(0, 5)? == b"\x7fELF\x02", "no ELF file of 64 bits");
    let half = |at: usize| Ok::<usize, anyhow::Error>(usize::from(u16::from_le_bytes(bytes(at, 2)?.try_into()?)));
    let word = |at: usize| Ok::<u32, anyhow::Error>(u32::from_le_bytes(bytes(at, 4)?.try_into()?));
    let (table, size, count) = (u64::from_le_bytes(bytes(32, 8)?.try_into()?) as usize, half(54)?, half(56)?);
    (0..count)
        .map(|number| table + number * size)
        .map(|at| Ok(Segment { kind: word(at)?, flags: word(at + 4)? }))
        .collect()
}

/// The kernel maps no part of the file, and no stack, writable and executable.
fn segments_are_not_writable_and_executable() -> Result {
    let segments = segments()?;
    ensure!(segments.iter().any(|it| it.kind == PT_GNU_STACK), "without PT_GNU_STACK the stack is executable");
    for Segment { kind, flags } in segments {
        ensure!(flags & (PF_W | PF_X) != PF_W | PF_X, "segment {kind:#x} is writable and executable");
    }
    Ok(())
}

/// tare needs no library and no dynamic linker, so no library of the host, LD_PRELOAD or LD_LIBRARY_PATH changes it.
fn file_is_static() -> Result {
    if !runtime::is("tare") {
        return skip("the other runtimes are linked dynamically");
    }
    ensure!(segments()?.iter().all(|it| it.kind != PT_INTERP), "the file names a dynamic linker");
    Ok(())
}

/// The same holds for the memory of init while it waits.
fn memory_of_init_is_not_writable_and_executable() -> Result {
    let container = Bundle::new(["pause"]).create()?;
    let maps = fs::read_to_string(format!("/proc/{}/maps", container.pid()?))?;
    ensure!(maps.lines().any(|line| line.contains(" r-xp ")), "no code in {maps}");
    // User-mode Linux makes the memory behind the data of every program executable.
    if fs::read_to_string("/proc/self/maps")?.contains(" rwx") {
        return skip("this kernel makes data executable, that of this program, too");
    }
    let both: Vec<_> = maps.lines().filter(|line| line.contains(" rwx")).collect();
    ensure!(both.is_empty(), "writable and executable: {both:#?}");
    Ok(())
}
