//! `/dev`: the default devices, the listed ones, and the links that programs expect.

use std::path::Path;

use anyhow::{Result, bail};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use super::Context;
use super::mounts::clean;
use super::program::Program;
use crate::init::op::Op;
use crate::spec::Field;

/// config-linux.md, "Default Devices".
const DEFAULTS: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// config.md of the runtime-spec, "Dev symbolic links".
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// `makedev(3)`.
fn device_number(major: u64, minor: u64) -> u64 {
    (major & 0xfff) << 8 | (minor & 0xff) | (minor & !0xff) << 12 | (major & !0xfff) << 32
}

/// Add nodes and links. A `/dev` that is bound from the host is left alone.
pub fn plan(program: &mut Program, context: &mut Context<'_>) -> Result<()> {
    let field = Field::of("linux.devices");
    let listed = context.linux().and_then(|linux| linux.devices().clone()).unwrap_or_default();
    if context.dev_is_bound() {
        return Ok(());
    }
    let path = program.text("/dev");
    program.push(&field, Op::Directory { path });
    for (name, major, minor) in DEFAULTS {
        if listed.iter().any(|device| clean(device.path()) == Path::new("/dev").join(name)) {
            continue;
        }
        node(
            program,
            context,
            &field,
            &Path::new("/dev").join(name),
            Node { mode: 0o020666, device: device_number(major, minor), uid: 0, gid: 0 },
        );
    }
    for (name, target) in LINKS {
        let (name, target) = (program.text(name), program.text(target));
        program.push(&field, Op::Link { name, target });
    }
    let (name, target, host) = (program.text("core"), program.text("/proc/kcore"), program.text("/proc/kcore"));
    program.push(&field, Op::LinkIf { name, target, host });
    let (name, target) = (program.text("ptmx"), program.text("pts/ptmx"));
    program.push(&field, Op::Relink { name, target });
    for (index, device) in listed.iter().enumerate() {
        add(program, context, device, &Field::item("linux.devices", index))?;
    }
    Ok(())
}

struct Node {
    mode: u32,
    device: u64,
    uid: u32,
    gid: u32,
}

fn node(program: &mut Program, context: &Context<'_>, field: &Field, path: &Path, it: Node) {
    let name = program.text(&path.file_name().unwrap_or_default().to_string_lossy());
    if context.binds_devices() {
        let source = program.text(&path.to_string_lossy());
        program.push(field, Op::BindNode { name, source });
    } else {
        let Node { mode, device, uid, gid } = it;
        program.push(field, Op::Node { name, mode, device, uid, gid });
    }
}

fn add(program: &mut Program, context: &Context<'_>, device: &LinuxDevice, field: &Field) -> Result<()> {
    let path = clean(device.path());
    let (Some(parent), Some(_)) = (path.parent(), path.file_name()) else {
        bail!("{field}.path: {:?} is not the path of a device", device.path());
    };
    if path == Path::new("/dev/ptmx") {
        if (device.typ(), device.major(), device.minor()) != (LinuxDeviceType::C, 5, 2) {
            bail!("{field}.path: /dev/ptmx always leads to the container's own devpts");
        }
        // A privileged container is given all devices of the host, this one too; it has its own already.
        return Ok(());
    }
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => 0o020000,
        LinuxDeviceType::B => 0o060000,
        LinuxDeviceType::P => 0o010000,
        LinuxDeviceType::A => bail!("{field}.type: \"a\" is for rules, not for nodes"),
    };
    let number = |value: i64, name: &str| match u32::try_from(value) {
        Ok(value) => Ok(u64::from(value)),
        Err(_) => bail!("{field}.{name}: {value} is out of range"),
    };
    // The numbers of a FIFO mean nothing.
    let device_number = if kind == 0o010000 {
        0
    } else {
        device_number(number(device.major(), "major")?, number(device.minor(), "minor")?)
    };
    if kind != 0o010000 && device.major() == 0 && device.minor() == 0 {
        bail!("{field}.major: major and minor are required for a device of this type");
    }
    let mode = device.file_mode().unwrap_or(0o666);
    if mode & !0o7777 != 0 && mode & 0o170000 != kind {
        bail!("{field}.fileMode: {mode:o} contradicts the type");
    }
    let directory = program.text(&parent.to_string_lossy());
    program.push(field, Op::Directory { path: directory });
    let (uid, gid) = (device.uid().unwrap_or(0), device.gid().unwrap_or(0));
    node(program, context, field, &path, Node { mode: kind | mode & 0o7777, device: device_number, uid, gid });
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_those_of_makedev() {
        for (major, minor) in [(1, 3), (8, 666), (253, 70000), (4096, 1)] {
            assert_eq!(super::device_number(major, minor), libc::makedev(major as u32, minor as u32));
        }
    }
}
