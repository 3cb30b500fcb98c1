//! The mounts of a container, for a checkpoint and a restore.
//!
//! CRIU restores the mounts of the container itself, except those whose source is outside the container: CRIU calls
//! them external mounts and must be told their sources. CRIU makes no mount points, so a restore makes them first, as
//! `create` does.

use std::path::{Path, PathBuf};

use anyhow::Result;
use oci_spec::runtime::LinuxNamespaceType as Kind;

use super::context::Context;
use super::facts::Facts;
use super::options::Options;
use super::order;
use super::program::{Descriptor, Program, Tree};
use crate::init::op::{Entry, Mount, Op, Slot};
use crate::spec::annotation::LAYERS;
use crate::spec::{Config, Field, refuse};

pub use super::order::CriuProgram;

/// A mount whose source is outside the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalMount {
    /// The mount point in the container's root.
    pub target: PathBuf,
    /// The source on the host.
    pub source: PathBuf,
    pub recursive: bool,
}

/// The mounts of a container.
#[derive(Debug)]
pub struct Mounts {
    /// Makes all mounts and the missing mount points in a mount namespace of its own, and then waits for the runtime.
    pub program: Program,
    /// The absolute path of the root file system.
    pub rootfs: PathBuf,
    /// The external mounts, in their order.
    pub outside: Vec<ExternalMount>,
    /// The mount points of all other mounts.
    pub inside: Vec<PathBuf>,
}

impl Mounts {
    /// The mounts of a config.
    ///
    /// # Errors
    /// An error in `mounts` or `linux.devices`; a container without a mount namespace, whose mounts are those of the
    /// runtime; an id-mapped mount.
    pub fn of(config: &Config, facts: &Facts, options: &Options) -> Result<Mounts> {
        let mut context = Context::new(config, facts, options)?;
        if !context.own(Kind::Mount) {
            refuse!("linux.namespaces", "without a mount namespace there is no checkpoint and no restore");
        }
        if config.annotation(LAYERS).is_some() || !options.layers.is_empty() {
            refuse!(Field::of("annotations").member(LAYERS), "with layers there is no checkpoint and no restore");
        }
        let mut program = Program::new();
        order::mount_points(&mut program, &mut context)?;
        // CRIU would bind the source again without the mapping.
        for slot in program.slots() {
            if let Descriptor::Tree(Tree { id_map: Some(_), field, .. }) = slot {
                refuse!(field, "with an id-mapped mount there is no checkpoint and no restore");
            }
        }
        let (outside, inside) = sorted(&program);
        Ok(Mounts { program, rootfs: context.rootfs, outside, inside })
    }
}

/// The external mounts that a program makes, and the mount points of its other mounts.
fn sorted(program: &Program) -> (Vec<ExternalMount>, Vec<PathBuf>) {
    let (mut outside, mut inside) = (Vec::new(), Vec::new());
    let mut directory = PathBuf::from("/");
    let path = |text| Path::new(program.show(text));
    for op in program.ops() {
        match *op {
            Op::Mount(Mount::FileSystem { target, .. }) => inside.push(path(target).to_owned()),
            Op::Entry(Entry::Directory { base, path: text, .. }) => {
                // The directory of the next nodes is below the root, or below the mount that was opened as /dev.
                let start = Path::new(if base == Slot::NONE { "/" } else { "/dev" });
                directory = start.join(path(text).strip_prefix("/").unwrap_or(path(text)));
            }
            op => outside.extend(external(op, program, &directory)),
        }
    }
    (outside, inside)
}

/// The external mount that an operation makes, if any. `directory` is the directory of device nodes.
fn external(op: Op, program: &Program, directory: &Path) -> Option<ExternalMount> {
    let path = |text| Path::new(program.show(text)).to_owned();
    let (target, source, recursive) = match op {
        Op::Mount(Mount::Bind { target, source, recursive, .. }) => (path(target), path(source), recursive),
        Op::Mount(Mount::Attach { target, tree, .. }) => match program.slots().get(tree.0 as usize)? {
            Descriptor::Tree(tree) => (path(target), tree.source.clone(), tree.recursive),
            _ => return None,
        },
        Op::Entry(Entry::BindNode { name, source, .. }) => (directory.join(path(name)), path(source), false),
        // CRIU binds the host's device node, as for runc.
        Op::Entry(Entry::AttachNode { name, .. }) => (directory.join(path(name)), directory.join(path(name)), false),
        Op::Mount(
            Mount::Label { .. }
            | Mount::FileSystem { .. }
            | Mount::Unmount { .. }
            | Mount::Reattribute { .. }
            | Mount::Remount { .. }
            | Mount::ReadOnly { .. }
            | Mount::Mask { .. },
        )
        | Op::Entry(
            Entry::MakeDirectory { .. }
            | Entry::Hold { .. }
            | Entry::Directory { .. }
            | Entry::Node { .. }
            | Entry::Link { .. }
            | Entry::LinkIf { .. }
            | Entry::Relink { .. },
        )
        | Op::Enter(_)
        | Op::Rootfs(_)
        | Op::Process(_)
        | Op::Rights(_)
        | Op::Talk(_) => return None,
    };
    Some(ExternalMount { target, source, recursive })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Layout;

    fn mounts(list: serde_json::Value) -> Result<Mounts> {
        let config = serde_json::json!({
            "ociVersion": "1.3.0", "root": {"path": "rootfs"}, "mounts": list,
            "process": {"args": ["x"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "linux": {"namespaces": [{"type": "mount"}]}
        });
        let config = crate::spec::parse(config.to_string().as_bytes())?;
        let cgroups = Layout::parse("25 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n");
        let facts = Facts::reference(cgroups);
        let options = Options { id: "x".to_owned(), bundle: "/b".into(), ..Options::default() };
        Mounts::of(&config, &facts, &options)
    }

    #[test]
    fn binds_are_from_outside_and_file_systems_are_not() {
        let mounts = mounts(serde_json::json!([
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/data/../logs", "type": "bind", "source": "/srv", "options": ["rbind"]}
        ]));
        let mounts = mounts.unwrap();
        assert_eq!(mounts.rootfs, Path::new("/b/rootfs"));
        assert_eq!(mounts.inside, [Path::new("/dev")]);
        let wanted = ExternalMount { target: "/logs".into(), source: "/srv".into(), recursive: true };
        assert_eq!(mounts.outside, [wanted]);
    }

    #[test]
    fn id_mapped_mounts_are_refused() {
        let maps = serde_json::json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
        let list = serde_json::json!([{
            "destination": "/x", "source": "/srv", "options": ["bind"], "uidMappings": maps, "gidMappings": maps
        }]);
        assert!(mounts(list).unwrap_err().to_string().starts_with("mounts[0]: "));
    }
}
