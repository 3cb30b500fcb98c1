//! `mounts`: what is mounted where, with which flags, in which order.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use oci_spec::runtime::Mount;

use super::cgroup_mount::View;
use super::context::Context;
use super::mount_options::MountOptions;
use super::mount_owners::{has_mappings, id_map};
use super::program::{Descriptor, IdMap, NO_ATTRIBUTES, Program, Tree};
use crate::init::op::{self, Attributes, Op, Rules, Slot, Text};
use crate::spec::{Field, clean, refuse};
use crate::tables::mount_option::{self as option, Effect};

/// Files below `/proc` that may be covered: what lxcfs provides, and two that tools rely on.
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

/// Where the container finds the directory with the socket of the service manager.
pub const NOTIFY: &str = "/run/notify";

/// Which mounts of the config later operations need, and which paths they have: destinations, cleaned. A remount
/// makes none.
pub struct Standing(Vec<Option<String>>);

impl Standing {
    /// Read the destinations of all mounts.
    pub fn new(context: &Context<'_>) -> Standing {
        let destination = |mount: &Mount| {
            let remount = |text: &String| option::effect(text) == Some(Effect::Remount);
            let remounts = mount.options().iter().flatten().any(remount);
            (!remounts).then(|| clean(mount.destination()).to_string_lossy().into_owned())
        };
        Standing(context.config.mounts().iter().map(destination).collect())
    }

    /// The last mount that a path of the container lies on, and the path on it. A path with `..` may lead anywhere.
    pub fn below(&self, path: &str) -> Option<(usize, String)> {
        if Path::new(path).components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let path = clean(Path::new(path)).to_string_lossy().into_owned();
        let inside = |destination: &Option<String>| {
            let rest = path.strip_prefix(destination.as_deref()?)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/').to_owned())
        };
        self.0.iter().enumerate().rev().find_map(|(index, destination)| Some((index, inside(destination)?)))
    }

    /// The mount exactly at a path.
    pub fn at(&self, path: &str) -> Option<usize> {
        self.0.iter().rposition(|destination| destination.as_deref() == Some(path))
    }
}

/// The mounts that stay open: those that something is hidden on, and `/dev`.
fn kept(context: &Context<'_>) -> Vec<usize> {
    let standing = Standing::new(context);
    let paths = context.config.readonly_paths().iter().chain(context.config.masked_paths());
    let hidden = paths.filter_map(|path| Some(standing.below(path)?.0));
    hidden.chain(standing.at("/dev")).collect()
}

/// What is to happen to mounts, beside the list of operations.
#[derive(Debug, Default)]
pub struct Pending {
    /// What has to wait until everything stands.
    late: Vec<(Field, Op)>,
    /// Mounts of the config that stay open for others.
    kept: Vec<usize>,
}

/// Add the operations of all mounts; what has to wait until everything stands comes back.
pub fn plan(program: &mut Program, context: &mut Context<'_>) -> Result<Vec<(Field, Op)>> {
    let mut pending = Pending { kept: kept(context), ..Pending::default() };
    for (index, mount) in context.config.mounts().iter().enumerate() {
        add(program, context, mount, index, &mut pending)?;
    }
    if let Some(source) = context.options.notify.clone() {
        let target = program.text(NOTIFY);
        let set = option::RDONLY | option::NOSUID | option::NODEV | option::NOEXEC;
        let attributes = Attributes { set, ..NO_ATTRIBUTES };
        let field = Field::of("NOTIFY_SOCKET");
        let graft = Graft { source, recursive: false, id_map: None, attributes, rules: Rules::NONE, keep: Slot::NONE };
        attach(program, context, &field, target, graft);
    }
    Ok(pending.late)
}

/// Add the operations of one mount for a living container.
pub fn plan_living(program: &mut Program, context: &mut Context<'_>, index: usize) -> Result<()> {
    let Some(mount) = context.config.mounts().get(index) else { return Ok(()) };
    let destination = clean(mount.destination());
    if ["/proc", "/sys"].iter().any(|special| destination.starts_with(special)) {
        refuse!(
            Field::item("mounts", index).member("destination"),
            "{destination:?}: nothing at or below /proc and /sys is mounted in a living container"
        );
    }
    add(program, context, mount, index, &mut Pending::default())
}

fn add(
    program: &mut Program,
    context: &mut Context<'_>,
    mount: &Mount,
    index: usize,
    pending: &mut Pending,
) -> Result<()> {
    let field = &Field::item("mounts", index);
    let destination = clean(mount.destination());
    if !mount.destination().is_absolute() {
        context
            .warn(format!("{field}.destination: {:?} is not absolute: taken as {destination:?}", mount.destination()));
    }
    let mut options = MountOptions::parse(mount, field)?;
    let kind = mount.typ().as_deref().unwrap_or_default();
    check_place(&destination, kind, &options, field)?;
    let target = destination.to_string_lossy();
    let target = program.text(&target);
    let living = Rules::LIVING.when(context.joining);
    if options.remount {
        if destination == Path::new("/dev")
            && options.attributes.set & option::RDONLY != 0
            && let Some(standing) = Standing::new(context).at("/dev").filter(|_| !context.joining)
        {
            // Nodes are made there once all mounts stand.
            options.attributes.set &= !option::RDONLY;
            let mount = program.slot(Descriptor::Kept(standing));
            let attributes = Attributes { set: option::RDONLY, ..NO_ATTRIBUTES };
            pending.late.push((field.clone(), op::Mount::Reattribute { mount, attributes }.into()));
        }
        return remount(program, target, &destination, options, field, living);
    }
    let keep = match pending.kept.contains(&index) {
        true => program.slot(Descriptor::Kept(index)),
        false => Slot::NONE,
    };
    if let Some(recursive) = options.bind {
        return bind(program, context, Bind { mount, field, target, options, recursive, keep });
    }
    if options.links != Rules::NONE {
        refuse!(field.member("options"), "copy-symlink, src-nofollow and dest-nofollow are for bind mounts only");
    }
    if options.id_map.is_some() || has_mappings(mount) {
        refuse!(field, "id-mapped mounts are only supported for bind-mounts");
    }
    match kind {
        "" => refuse!(field.member("type"), "must not be empty for a mount that is not a bind mount"),
        "cgroup" | "cgroup2" => {
            let source = mount.source().as_deref().map(Path::to_string_lossy).unwrap_or_default();
            let view = View {
                target,
                destination: &destination,
                source: &source,
                attributes: options.attributes,
                options: &options.data,
                rules: options.legacy,
                index,
                keep,
                field,
            };
            super::cgroup_mount::plan(program, context, &view, &mut pending.late)
        }
        "sysfs" if context.in_user_namespace() && !context.own_network() => {
            // Only the owner of the network namespace may have a sysfs of his own.
            let (source, attributes) = (program.text("/sys"), options.attributes);
            let rules = Rules::PLAIN | Rules::EXACT;
            program.push(
                field,
                op::Mount::Bind { target, source, instead: Text::NONE, recursive: true, attributes, rules, keep },
            );
            Ok(())
        }
        kind => {
            let label = context.config.mount_label();
            for (key, value) in &options.data {
                if let ("uid" | "gid", Some(Ok(id))) = (*key, value.map(str::parse)) {
                    context.check_mapped(id, key, || field.member("options"))?;
                }
            }
            let it = FileSystem { mount, index, kind, target, destination: &destination, options, label, keep, living };
            file_system(program, field, it, &mut pending.late)
        }
    }
}

/// Other flags for what is mounted there by now; those that are not named go, as with mount(2).
fn remount(
    program: &mut Program,
    target: Text,
    destination: &Path,
    options: MountOptions<'_>,
    field: &Field,
    living: Rules,
) -> Result<()> {
    if let Some((key, _)) = options.data.first() {
        refuse!(field.member("options"), "\"{key}\": a remount takes the flags of a mount only");
    }
    let inside = Rules::IN_PROC.when(destination.starts_with("/proc"));
    let rules = Rules::EXACT | inside | living | options.links.only(Rules::NO_FOLLOW);
    program.push(field, op::Mount::Remount { target, attributes: options.attributes, rules });
    Ok(())
}

fn check_place(destination: &Path, kind: &str, options: &MountOptions<'_>, field: &Field) -> Result<()> {
    let shown = destination.display();
    if destination == Path::new("/") {
        refuse!(field.member("destination"), "mountpoint \"/\" is on the top of rootfs");
    }
    if destination == Path::new("/proc") {
        let bound = options.bind.is_some();
        if kind != "proc" && !bound || options.remount {
            refuse!(field.member("destination"), "\"{shown}\" cannot be mounted because it is not of type proc");
        }
    } else if let Ok(inside) = destination.strip_prefix("/proc") {
        let allowed = ALLOWED_IN_PROC.iter().any(|known| inside == Path::new(known));
        if !allowed && kind != "proc" {
            refuse!(field.member("destination"), "\"{shown}\" cannot be mounted because it is inside /proc");
        }
    }
    Ok(())
}

struct Bind<'a> {
    mount: &'a Mount,
    field: &'a Field,
    target: Text,
    options: MountOptions<'a>,
    recursive: bool,
    keep: Slot,
}

fn bind(program: &mut Program, context: &mut Context<'_>, it: Bind<'_>) -> Result<()> {
    let Bind { mount, field, target, options, recursive, keep } = it;
    let Some(source) = mount.source().as_deref().filter(|source| !source.as_os_str().is_empty()) else {
        refuse!(field.member("source"), "must not be empty for a bind mount");
    };
    if options.copy_up {
        refuse!(field.member("options"), "tmpcopyup is for tmpfs only");
    }
    for (key, _) in &options.data {
        // As mount(2) itself has it: there is no file system here to take the option.
        context.warn(format!("{field}.options: \"{key}\" has no effect on a bind mount"));
    }
    // A relative source is relative to the bundle, as config.md has it.
    let source = if source.is_absolute() { source.to_path_buf() } else { context.options.bundle.join(source) };
    let attributes = options.attributes;
    let exact = attributes.set | attributes.clear != 0 || options.superblock;
    let mut rules = options.links | Rules::EXACT.when(exact);
    let destination = clean(mount.destination());
    rules |= Rules::LIVING.when(context.joining);
    rules |= Rules::IN_PROC.when(destination.starts_with("/proc"));
    rules |= Rules::PROC_ONLY.when(destination == Path::new("/proc"));
    let id_map = id_map(context, mount, &options, field)?;
    attach(program, context, field, target, Graft { source, recursive, id_map, attributes, rules, keep });
    Ok(())
}

/// A tree of the host, and how it is attached.
struct Graft {
    source: PathBuf,
    recursive: bool,
    id_map: Option<IdMap>,
    attributes: Attributes,
    rules: Rules,
    keep: Slot,
}

fn attach(program: &mut Program, context: &Context<'_>, field: &Field, target: Text, graft: Graft) {
    let Graft { source, recursive, id_map, attributes, mut rules, keep } = graft;
    if id_map.is_some() || context.sources_by_parent() {
        let follow = !rules.has(Rules::SOURCE_NO_FOLLOW);
        rules = rules.without(Rules::SOURCE_NO_FOLLOW);
        // What init opens itself is as the whole tree was made before.
        let propagation = context.config.rootfs_propagation();
        let locked = context.in_user_namespace();
        if !locked && !matches!(propagation, "shared" | "rshared") {
            rules |= Rules::SLAVE;
        }
        let tree =
            program.slot(Descriptor::Tree(Tree { locked, source, recursive, follow, id_map, field: field.clone() }));
        program.push(field, op::Mount::Attach { target, tree, attributes, rules, keep });
    } else {
        let source = program.text(&source.to_string_lossy());
        program
            .push(field, op::Mount::Bind { target, source, instead: Text::NONE, recursive, attributes, rules, keep });
    }
}

struct FileSystem<'a> {
    mount: &'a Mount,
    index: usize,
    kind: &'a str,
    target: Text,
    destination: &'a Path,
    options: MountOptions<'a>,
    /// `linux.mountLabel`.
    label: Option<&'a str>,
    keep: Slot,
    /// [`Rules::LIVING`] or nothing.
    living: Rules,
}

fn file_system(program: &mut Program, field: &Field, it: FileSystem<'_>, late: &mut Vec<(Field, Op)>) -> Result<()> {
    let FileSystem { mount, index, kind, target, destination, options, label, mut keep, living } = it;
    if options.copy_up && kind != "tmpfs" {
        refuse!(field.member("options"), "tmpcopyup is for tmpfs only");
    }
    let mut rules = living | options.legacy;
    rules |= match kind {
        "proc" => Rules::PLAIN | Rules::IN_PROC,
        "sysfs" => Rules::PLAIN,
        // Nodes and links are made in there.
        _ if destination == Path::new("/dev") => Rules::PLAIN,
        _ => Rules::NONE,
    };
    if kind == "tmpfs" && options.value("mode").is_none() {
        rules |= Rules::KEEP_MODE;
    }
    rules |= Rules::COPY_UP.when(options.copy_up);
    let mut attributes = options.attributes;
    attributes.clear = 0;
    let mut data = options.data;
    // What is mounted or made below these comes later, so they become read-only at the end. In a living container
    // nothing comes later.
    let waits = living == Rules::NONE && (kind == "tmpfs" || destination == Path::new("/dev"));
    if attributes.set & option::RDONLY != 0 && waits {
        attributes.set &= !option::RDONLY;
        let read_only = Attributes { set: option::RDONLY, ..NO_ATTRIBUTES };
        keep = program.slot(Descriptor::Kept(index));
        late.push((field.clone(), op::Mount::Reattribute { mount: keep, attributes: read_only }.into()));
    } else if attributes.set & option::RDONLY != 0 && kind != "tmpfs" {
        data.push(("ro", None));
    }
    // What has labels of its own is left alone.
    if let Some(label) = label.filter(|_| !matches!(kind, "proc" | "sysfs" | "mqueue")) {
        data.push(("context", Some(label)));
    }
    let source = mount.source().as_deref().map(Path::to_string_lossy).unwrap_or_default();
    let (kind, source) = (program.text(kind), program.text(&source));
    let options = program.options(&data);
    let instead = Text::NONE;
    program.push(field, op::Mount::FileSystem { target, kind, source, instead, options, attributes, rules, keep });
    Ok(())
}
