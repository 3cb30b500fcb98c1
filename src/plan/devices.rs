//! `/dev`: the default devices, those of `linux.devices`, and the symbolic links that the specification demands.

use std::path::Path;

use anyhow::Result;
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType, LinuxIdMapping};

use super::context::Context;
use super::program::{self, Descriptor, Program};
use crate::init::op::{self, Rules, Slot};
use crate::spec::mapping::host_id;
use crate::spec::{Field, Ids, clean, refusal, refuse};

/// `S_IFIFO`
const FIFO: u32 = 0o010000;
/// The kernel has 12 bits for a major number and 20 bits for a minor number.
const MAJOR_MAX: u64 = (1 << 12) - 1;
const MINOR_MAX: u64 = (1 << 20) - 1;

/// config-linux.md, "Default Devices".
const DEFAULTS: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// runtime-linux.md, "Dev symbolic links".
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// `makedev(3)`.
fn device_number(major: u64, minor: u64) -> u64 {
    (major & 0xfff) << 8 | (minor & 0xff) | (minor & !0xff) << 12
}

/// The directory `/dev` of the image, if the config has no mount there.
const OWN_DEV: Descriptor = Descriptor::Kept(usize::MAX);

/// If the config has no mount at `/dev`, opens the directory of the image before a mount can cover it. It must be a
/// plain directory: a symbolic link could lead to a directory of the host that is bound elsewhere, and nodes and links
/// must never be made there.
pub fn hold(program: &mut Program, context: &Context<'_>) {
    if context.standing().at("/dev").is_none() {
        let (path, keep) = (program.text("/dev"), program.slot(OWN_DEV));
        program.push(&Field::of("linux.devices"), op::Entry::Hold { path, rules: Rules::PLAIN, keep });
    }
}

/// Appends device nodes and links. A `/dev` that is bound from the host is left unchanged.
pub fn plan(program: &mut Program, context: &mut Context<'_>) -> Result<()> {
    let field = Field::of("linux.devices");
    let listed = context.config.devices();
    if context.dev_is_bound() {
        return Ok(());
    }
    let dev = program.slot(context.standing().at("/dev").map_or(OWN_DEV, Descriptor::Kept));
    let path = program.text("/");
    program.push(&field, op::Entry::Directory { base: dev, path, rules: Rules::PLAIN });
    for (name, major, minor) in DEFAULTS {
        let path = Path::new("/dev").join(name);
        if listed.iter().any(|device| clean(device.path()) == path) {
            continue;
        }
        let device = device_number(major, minor);
        node(
            program,
            context,
            &field,
            &path,
            NodeAttributes { mode: 0o020666, device, uid: 0, gid: 0, listed: false },
        )?;
    }
    for (name, target) in LINKS {
        let (name, target) = (program.text(name), program.text(target));
        program.push(&field, op::Entry::Link { name, target });
    }
    let (name, target, host) = (program.text("core"), program.text("/proc/kcore"), program.text("/proc/kcore"));
    program.push(&field, op::Entry::LinkIf { name, target, host });
    let (name, target) = (program.text("ptmx"), program.text("pts/ptmx"));
    program.push(&field, op::Entry::Relink { name, target });
    for (index, device) in listed.iter().enumerate() {
        add(program, context, device, dev, &Field::item("linux.devices", index))?;
    }
    Ok(())
}

struct NodeAttributes {
    mode: u32,
    device: u64,
    uid: u32,
    gid: u32,
    /// Whether the node is in `linux.devices`. The others are those of every container.
    listed: bool,
}

impl NodeAttributes {
    /// Checks an entry of `linux.devices`.
    fn of(entry: &LinuxDevice, field: &Field) -> Result<NodeAttributes> {
        let kind = match entry.typ() {
            LinuxDeviceType::C | LinuxDeviceType::U => 0o020000,
            LinuxDeviceType::B => 0o060000,
            LinuxDeviceType::P => FIFO,
            LinuxDeviceType::A => refuse!(field.member("type"), "\"a\" is for rules, not for nodes"),
        };
        // A FIFO has no device number.
        let device = if kind == FIFO { 0 } else { number_of(entry, field)? };
        let mode = entry.file_mode().unwrap_or(0o666);
        if mode & !0o7777 != 0 && mode & !0o7777 != kind {
            refuse!(field.member("fileMode"), "{mode:o} contradicts the type");
        }
        let (uid, gid) = (entry.uid().unwrap_or(0), entry.gid().unwrap_or(0));
        for (id, name) in [(uid, "uid"), (gid, "gid")] {
            if id == u32::MAX {
                refuse!(field.member(name), "{id} is no id");
            }
        }
        Ok(NodeAttributes { mode: kind | mode & 0o7777, device, uid, gid, listed: true })
    }
}

/// The device number of an entry of `linux.devices`.
fn number_of(entry: &LinuxDevice, field: &Field) -> Result<u64> {
    let number = |value: i64, most: u64, name: &str| match u64::try_from(value) {
        Ok(value) if value <= most => anyhow::Ok(value),
        _ => refuse!(field.member(name), "{value} is out of range: the kernel has numbers up to {most}"),
    };
    let device = device_number(number(entry.major(), MAJOR_MAX, "major")?, number(entry.minor(), MINOR_MAX, "minor")?);
    if device == 0 {
        refuse!(field.member("major"), "major and minor are required for a device of this type");
    }
    Ok(device)
}

fn node(program: &mut Program, context: &Context<'_>, field: &Field, path: &Path, it: NodeAttributes) -> Result<()> {
    let NodeAttributes { mode, device, uid, gid, listed } = it;
    let name = program.text(&path.file_name().unwrap_or_default().to_string_lossy());
    let host = path.to_string_lossy();
    if !context.binds_devices() || mode & 0o170000 == FIFO {
        // A FIFO needs no capability, so it is made and never bound: that of the host has the host's readers and
        // writers.
        let host = program.text(if mode & 0o170000 == FIFO { "" } else { &host });
        program.push(field, op::Entry::Node { name, mode, device, uid, gid, host });
        return Ok(());
    }
    let (uid_maps, gid_maps) = (context.config.uid_mappings(), context.config.gid_mappings());
    if listed && !uid_maps.is_empty() && !gid_maps.is_empty() && context.facts.caller.is_privileged() {
        // As in crun, the numbers of the config decide, not the device that the host has at this path.
        let outside = |maps: &[LinuxIdMapping], id: u32, name: &str| {
            let mapped = host_id(maps, id);
            mapped.ok_or_else(|| refusal!(field.member(name), "{name} {id} is not mapped in linux.{name}Mappings"))
        };
        let owner = Ids::new(outside(uid_maps, uid, "uid")?, outside(gid_maps, gid, "gid")?);
        let (path, field) = (path.to_path_buf(), field.clone());
        let node = program::Node { mode, device, owner, path, field: field.clone() };
        let tree = program.slot(Descriptor::Node(node));
        program.push(&field, op::Entry::AttachNode { name, tree });
        return Ok(());
    }
    let source = program.text(&host);
    program.push(field, op::Entry::BindNode { name, source, mode, device });
    Ok(())
}

fn add(program: &mut Program, context: &Context<'_>, device: &LinuxDevice, dev: Slot, field: &Field) -> Result<()> {
    let path = clean(device.path());
    let (Some(parent), Some(_)) = (path.parent(), path.file_name()) else {
        refuse!(field.member("path"), "{:?} is not the path of a device", device.path());
    };
    if path == Path::new("/dev/ptmx") {
        if (device.typ(), device.major(), device.minor()) != (LinuxDeviceType::C, 5, 2) {
            refuse!(field.member("path"), "/dev/ptmx always leads to the container's own devpts");
        }
        // Engines list all devices of the host for a privileged container, including this one. The container has its
        // own.
        return Ok(());
    }
    // Nodes below /dev are made in the directory that was opened as /dev. The directory of any other node is looked up
    // without following a symbolic link.
    let (base, directory) = match parent.strip_prefix("/dev") {
        Ok(rest) => (dev, Path::new("/").join(rest)),
        Err(_) => (Slot::NONE, parent.to_path_buf()),
    };
    let directory = program.text(&directory.to_string_lossy());
    program.push(field, op::Entry::Directory { base, path: directory, rules: Rules::PLAIN });
    node(program, context, field, &path, NodeAttributes::of(device, field)?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_those_of_makedev() {
        for (major, minor) in [(1, 3), (8, 666), (253, 70000), (4095, 1_048_575)] {
            assert_eq!(super::device_number(major, minor), libc::makedev(major as u32, minor as u32));
        }
    }
}
