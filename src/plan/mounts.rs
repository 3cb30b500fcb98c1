//! `mounts`: what is mounted where, with which flags, in which order.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType as Kind, Mount};

use super::cgroup_mount::View;
use super::context::Context;
use super::program::{Descriptor, IdMap, NO_ATTRIBUTES, Owners, Program, Tree};
use crate::init::op::{self, Attributes, Op, Rules, Slot, Text};
use crate::spec::{Field, clean, mapping, refusal, refuse};
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

/// The options of one mount, sorted by what they do.
#[derive(Debug, Default)]
struct Options<'a> {
    attributes: Attributes,
    /// `Some(true)` for `rbind`.
    bind: Option<bool>,
    remount: bool,
    copy_up: bool,
    /// `Some(true)` for `ridmap`.
    id_map: Option<bool>,
    /// Mappings behind `idmap=`.
    id_map_text: Option<&'a str>,
    /// Rules for symbolic links.
    links: Rules,
    /// Flags of the superblock that only mount(2) can set.
    legacy: Rules,
    /// Some word is for the superblock.
    superblock: bool,
    /// The file system's own: key and value.
    data: Vec<(&'a str, Option<&'a str>)>,
}

impl<'a> Options<'a> {
    /// The last word on a flag wins, as with mount(8); podman has empty words in between. Words that add up do so in
    /// any order: `rbind` beside `bind` is recursive, a mount may become a slave and then shared.
    fn parse(mount: &'a Mount, field: &Field) -> Result<Self> {
        let mut it = Options::default();
        for text in mount.options().iter().flatten().filter(|text| !text.is_empty()) {
            if let Some((name @ ("idmap" | "ridmap"), maps)) = text.split_once('=') {
                (it.id_map, it.id_map_text) = (Some(name == "ridmap"), Some(maps));
                continue;
            }
            match option::effect(text) {
                Some(effect) => {
                    it.apply(effect).map_err(|why| refusal!(field.member("options"), "\"{text}\": {why}"))?
                }
                None => it.data.push(match text.split_once('=') {
                    Some((key, value)) => (key, Some(value)),
                    None => (text.as_str(), None),
                }),
            }
        }
        if mount.typ().as_deref() == Some("bind") && it.bind.is_none() {
            it.bind = Some(false);
        }
        let Attributes { set, clear, tree_set, tree_clear, .. } = &mut it.attributes;
        if *tree_set & (option::NOATIME | option::STRICTATIME) == option::NOATIME | option::STRICTATIME {
            refuse!(field.member("options"), "rnoatime and rstrictatime exclude each other");
        }
        settle_atime(set, clear, true);
        settle_atime(tree_set, tree_clear, false);
        Ok(it)
    }

    /// Why it cannot be, on failure.
    fn apply(&mut self, effect: Effect) -> Result<(), &'static str> {
        let Options { attributes: it, .. } = self;
        match effect {
            Effect::Set(bit) => (it.set, it.clear) = (it.set | bit, it.clear & !bit),
            Effect::Clear(bit) => (it.set, it.clear) = (it.set & !bit, it.clear | bit),
            Effect::TreeSet(bit) => (it.tree_set, it.tree_clear) = (it.tree_set | bit, it.tree_clear & !bit),
            Effect::TreeClear(bit) => (it.tree_set, it.tree_clear) = (it.tree_set & !bit, it.tree_clear | bit),
            Effect::Propagation(flag, recursive) => {
                let Some(words) = it.propagation.and(flag, recursive) else {
                    return Err("too many words on propagation");
                };
                it.propagation = words;
            }
            Effect::Superblock(name) => {
                self.superblock = true;
                self.data.push((name, None));
            }
            Effect::Legacy(rule, true) => (self.superblock, self.legacy) = (true, self.legacy | rule),
            Effect::Legacy(rule, false) => (self.superblock, self.legacy) = (true, self.legacy.without(rule)),
            Effect::Bind(recursive) => self.bind = Some(recursive || self.bind == Some(true)),
            Effect::CopyUp => self.copy_up = true,
            Effect::CopyLink => self.links |= Rules::COPY_LINK | Rules::SOURCE_NO_FOLLOW,
            Effect::SourceNoFollow => self.links |= Rules::SOURCE_NO_FOLLOW,
            Effect::TargetNoFollow => self.links |= Rules::NO_FOLLOW,
            Effect::IdMap(recursive) => self.id_map = Some(recursive),
            Effect::Remount => self.remount = true,
            Effect::Nothing => {}
        }
        Ok(())
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.data.iter().rev().find(|(known, _)| *known == key).and_then(|(_, value)| *value)
    }
}

/// The access time words as the kernel takes them: for mount(2) they are three flags, of which `strictatime` and then
/// `noatime` win, for mount_setattr(2) one number that is cleared as a whole. mount(2) also keeps the number and
/// `nodiratime` together: who sets one of them and not the other has the default of the other.
fn settle_atime(set: &mut u64, clear: &mut u64, together: bool) {
    let words = (*set | *clear) & option::ATIME;
    if words != 0 || together && *set & option::NODIRATIME != 0 {
        let chosen = match *set {
            set if set & option::STRICTATIME != 0 => option::STRICTATIME,
            set => set & option::NOATIME,
        };
        if together && *set & (option::ATIME | option::NODIRATIME) != 0 {
            *clear |= option::NODIRATIME & !*set;
        }
        *set = *set & !option::ATIME | chosen;
        *clear |= option::ATIME;
    }
}

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
    let mut options = Options::parse(mount, field)?;
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
    options: Options<'_>,
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

fn check_place(destination: &Path, kind: &str, options: &Options<'_>, field: &Field) -> Result<()> {
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

fn has_mappings(mount: &Mount) -> bool {
    mount.uid_mappings().as_ref().is_some_and(|maps| !maps.is_empty())
        || mount.gid_mappings().as_ref().is_some_and(|maps| !maps.is_empty())
}

struct Bind<'a> {
    mount: &'a Mount,
    field: &'a Field,
    target: Text,
    options: Options<'a>,
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

/// The owners of an id-mapped bind: given on the mount, or those of the container.
fn id_map(context: &Context<'_>, mount: &Mount, options: &Options<'_>, field: &Field) -> Result<Option<IdMap>> {
    let (uid, gid) =
        (mount.uid_mappings().as_deref().unwrap_or_default(), mount.gid_mappings().as_deref().unwrap_or_default());
    if uid.is_empty() != gid.is_empty() {
        refuse!(field, "id-mapped mounts must have both uid and gid mappings specified");
    }
    if uid.is_empty() && options.id_map.is_none() {
        return Ok(None);
    }
    if context.facts.caller.euid != 0 {
        refuse!(field, "id-mapped mounts are not supported for rootless containers");
    }
    let recursive = options.id_map.unwrap_or(false);
    let maps =
        |uid, gid| IdMap { owners: Owners::Maps { uid: mapping::lines(uid), gid: mapping::lines(gid) }, recursive };
    if let Some(text) = options.id_map_text {
        if !uid.is_empty() {
            refuse!(field.member("options"), "idmap has mappings, and so has the mount");
        }
        let (uid, gid) =
            inline_maps(context, text).map_err(|why| refusal!(field.member("options"), "idmap={text}: {why}"))?;
        return Ok(Some(IdMap { owners: Owners::Maps { uid, gid }, recursive }));
    }
    if !uid.is_empty() {
        return Ok(Some(maps(uid, gid)));
    }
    let (uid, gid) = (context.config.uid_mappings(), context.config.gid_mappings());
    match context.config.joins(Kind::User) {
        _ if !uid.is_empty() && !gid.is_empty() => Ok(Some(maps(uid, gid))),
        Some(path) => Ok(Some(IdMap { owners: Owners::Joined(path.to_owned()), recursive })),
        None => refuse!(field.member("options"), "idmap needs mappings, of the mount or of the container"),
    }
}

/// The mappings behind crun's `idmap=uids=0-1000-1#1-2000-10;gids=@0-0-100`: first id of the file
/// system, first id of the host, count. With `@` the second one is an id of the container.
fn inline_maps(context: &Context<'_>, text: &str) -> Result<(String, String), String> {
    let (mut uid, mut gid) = (None, None);
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (lines, maps, list) = match part.split_once('=') {
            Some(("uids", list)) => (&mut uid, context.config.uid_mappings(), list),
            Some(("gids", list)) => (&mut gid, context.config.gid_mappings(), list),
            _ => return Err(format!("{part:?} is neither uids= nor gids=")),
        };
        let triplets = list.split('#').map(|triplet| inline_map(triplet, maps));
        *lines = Some(triplets.collect::<Result<String, String>>()?);
    }
    match (uid, gid) {
        (Some(uid), Some(gid)) => Ok((uid, gid)),
        _ => Err("id-mapped mounts must have both uid and gid mappings specified".to_owned()),
    }
}

/// One range as a line for `/proc/PID/uid_map`.
fn inline_map(triplet: &str, container: &[LinuxIdMapping]) -> Result<String, String> {
    let (relative, numbers) = triplet.strip_prefix('@').map_or((false, triplet), |numbers| (true, numbers));
    let numbers: Option<Vec<u32>> = numbers.split('-').map(|number| number.parse().ok()).collect();
    let Some([inside, mut outside, size]) = numbers.and_then(|numbers| <[u32; 3]>::try_from(numbers).ok()) else {
        return Err(format!("invalid mapping specified \"{triplet}\""));
    };
    if relative {
        let holds = |map: &&LinuxIdMapping| {
            outside >= map.container_id()
                && u64::from(outside) + u64::from(size) <= u64::from(map.container_id()) + u64::from(map.size())
        };
        let Some(map) = container.iter().find(holds) else {
            return Err(format!("\"{triplet}\": the container's user namespace has no such range"));
        };
        outside = map.host_id() + (outside - map.container_id());
    }
    Ok(format!("{inside} {outside} {size}\n"))
}

struct FileSystem<'a> {
    mount: &'a Mount,
    index: usize,
    kind: &'a str,
    target: Text,
    destination: &'a Path,
    options: Options<'a>,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::op::Propagation;
    use option::*;

    fn parsed(options: &[&str]) -> Attributes {
        let mount: Mount =
            serde_json::from_value(serde_json::json!({"destination": "/x", "options": options})).unwrap();
        Options::parse(&mount, &Field::of("mounts")).unwrap().attributes
    }

    fn propagation(words: &[(u64, bool)]) -> Propagation {
        words.iter().fold(Propagation::NONE, |all, (flag, recursive)| all.and(*flag, *recursive).unwrap())
    }

    #[test]
    fn the_last_word_wins() {
        assert_eq!(parsed(&["ro", "rw"]), Attributes { clear: RDONLY, ..NO_ATTRIBUTES });
        assert_eq!(parsed(&["rw", "ro", "nosuid"]), Attributes { set: RDONLY | NOSUID, ..NO_ATTRIBUTES });
        assert_eq!(parsed(&["rro"]), Attributes { tree_set: RDONLY, ..NO_ATTRIBUTES });
    }

    #[test]
    fn access_time_words_have_an_order_of_their_own() {
        let strict = Attributes { set: STRICTATIME, clear: ATIME | NODIRATIME, ..NO_ATTRIBUTES };
        let none = Attributes { set: NOATIME, ..strict };
        let relative = Attributes { set: 0, ..strict };
        for (words, wanted) in [
            (["noatime", "strictatime"], strict),
            (["strictatime", "noatime"], strict),
            (["strictatime", "relatime"], strict),
            (["relatime", "noatime"], none),
            (["noatime", "norelatime"], none),
            (["noatime", "relatime"], none),
            (["strictatime", "nostrictatime"], Attributes { clear: ATIME, ..relative }),
            (["relatime", "atime"], relative),
        ] {
            assert_eq!(parsed(&words), wanted, "{words:?}");
        }
        let both = Attributes { set: NOATIME | NODIRATIME, clear: ATIME, ..NO_ATTRIBUTES };
        assert_eq!(parsed(&["nodiratime", "noatime"]), both);
        assert_eq!(parsed(&["rnoatime"]), Attributes { tree_set: NOATIME, tree_clear: ATIME, ..NO_ATTRIBUTES });
    }

    #[test]
    fn words_on_propagation_are_taken_one_after_the_other() {
        let words = parsed(&["rslave", "shared"]).propagation;
        assert_eq!(words, propagation(&[(SLAVE, true), (SHARED, false)]));
        assert_eq!(words.changes().collect::<Vec<_>>(), [(SLAVE, true), (SHARED, false)]);
        let many = ["slave"; 17].map(str::to_owned);
        let mount: Mount = serde_json::from_value(serde_json::json!({"destination": "/x", "options": many})).unwrap();
        assert!(Options::parse(&mount, &Field::of("mounts")).is_err());
    }

    #[test]
    fn bind_is_recursive_when_one_word_says_so() {
        for (words, recursive) in [(["rbind", "bind"], true), (["bind", "rbind"], true), (["bind", "bind"], false)] {
            let mount: Mount =
                serde_json::from_value(serde_json::json!({"destination": "/x", "options": words})).unwrap();
            assert_eq!(Options::parse(&mount, &Field::of("mounts")).unwrap().bind, Some(recursive), "{words:?}");
        }
    }
}
