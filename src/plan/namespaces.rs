//! `linux.namespaces`: which namespaces are new, which are joined, and whether the runtime or `init` enters them.
//!
//! Four rules of the kernel decide this. A process does not enter a pid namespace itself: only its children do.
//! Namespaces that one call makes together with a user namespace belong to it. A new namespace belongs to a joined user
//! namespace only if it is made after the join. A time namespace takes offsets only while no process is in it.

use std::path::PathBuf;

use anyhow::Result;
use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType as Kind};

use super::context::Context;
use super::maps::Maps;
use super::program::{Descriptor, Program};
use super::{process, sysctl};
use crate::init::op::{self, Slot};
use crate::spec::mapping::lines;
use crate::spec::{Config, Field, Refusal, annotation, path_of, refuse};
use crate::tables::namespace;

/// A namespace that the runtime joins before the clone and leaves after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub path: PathBuf,
    /// `CLONE_NEW*`.
    pub flag: u32,
    pub field: Field,
    /// The refusal if the namespace is the runtime's own: the config asks for a change that would affect the host.
    pub claim: Option<Refusal>,
}

/// The namespaces and the clone of the first process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Birth {
    /// `CLONE_NEW*` flags for the clone.
    pub new: u64,
    pub joined: Vec<Joined>,
    /// The offsets of a time namespace that the runtime makes for its children.
    pub time: Option<String>,
    /// `init` continues as a sibling. A message tells the runtime its pid.
    pub forks: bool,
    /// The id maps of a new user namespace.
    pub maps: Option<Maps>,
    /// The id maps that a joined user namespace must have.
    pub expected: Option<Maps>,
    /// Before it enters a namespace, `init` waits until the runtime has written id maps, cgroups and the OOM score.
    pub waits: bool,
}

/// The namespaces of the config, as new and joined ones.
#[derive(Debug)]
struct Sorted {
    /// `CLONE_NEW*` flags of the entries without a path.
    new: u64,
    joined: Vec<Joined>,
}

impl Sorted {
    fn new(config: &Config) -> Sorted {
        let mut sorted = Sorted { new: 0, joined: Vec::new() };
        for (index, entry) in config.namespaces().iter().enumerate() {
            let row = namespace::of(entry.typ());
            match path_of(entry) {
                None => sorted.new |= u64::from(row.flag),
                Some(path) => sorted.joined.push(Joined {
                    path: path.to_owned(),
                    flag: row.flag,
                    field: Field::item("linux.namespaces", index),
                    claim: sysctl::claim(config, entry.typ()),
                }),
            }
        }
        sorted
    }

    fn joins(&self, kind: Kind) -> bool {
        self.joined.iter().any(|joined| joined.flag == namespace::of(kind).flag)
    }

    /// Removes a kind from the new namespaces. Returns whether it was one of them.
    fn take(&mut self, kind: Kind) -> bool {
        let flag = u64::from(namespace::of(kind).flag);
        let had = self.new & flag != 0;
        self.new &= !flag;
        had
    }
}

/// Appends the operations that enter the namespaces. The last one becomes root of the user namespace.
pub fn plan(program: &mut Program, context: &mut Context<'_>) -> Result<Birth> {
    let field = Field::of("linux.namespaces");
    let config = context.config;
    let mut sorted = Sorted::new(config);
    let (uid, gid) = (config.uid_mappings(), config.gid_mappings());
    check_mappings("linux.uidMappings", uid)?;
    check_mappings("linux.gidMappings", gid)?;
    let new_user = sorted.new & u64::from(namespace::of(Kind::User).flag) != 0;
    let joined_user = sorted.joins(Kind::User);
    check_user(context, new_user, joined_user)?;
    let offsets = time_offsets(context, &sorted)?;

    let cgroup = sorted.take(Kind::Cgroup);
    let score = config.process().oom_score_adj();
    // In a user namespace init may not lower its OOM score. The runtime writes it before init can fork.
    let waits = new_user || context.attaches_late() || joined_user && score.is_some();
    let mut birth = Birth { waits, ..Birth::default() };
    if !context.attaches_late() {
        enter_cgroups(program, context.cgroup_targets().iter().map(|target| &*target.controllers));
    }
    match score {
        _ if waits => program.push(&field, op::Talk::Wait),
        Some(score) => process::write_oom_score(program, score, true),
        None => {}
    }
    program.push(&field, op::Enter::Undumpable);
    let time = sorted.take(Kind::Time);
    let time_by_runtime = time && context.facts.caller.is_privileged();
    birth.time = time_by_runtime.then(|| offsets.clone());
    match (joined_user, new_user) {
        (true, _) => joined_first(program, &field, &mut sorted, &mut birth),
        // From inside the new user namespace init could not join namespaces that it does not own.
        (false, true) => (birth.new, birth.joined) = (sorted.new, sorted.joined),
        (false, false) => clone_first(program, &field, &sorted, &mut birth),
    }
    if time && !time_by_runtime {
        new_time(program, &field, &offsets);
    }
    if cgroup {
        program.push(&field, op::Enter::Unshare { flags: u64::from(namespace::of(Kind::Cgroup).flag) });
    }
    if joined_user || new_user {
        let (uid, gid) = config.root_inside().raw();
        program.push(&field, op::Enter::BecomeRoot { uid, gid, keep_groups: annotation::keeps_groups(config) });
    }
    let maps = || Maps { uid: lines(uid), gid: lines(gid) };
    birth.maps = new_user.then(maps);
    birth.expected = (joined_user && !(uid.is_empty() && gid.is_empty())).then(maps);
    Ok(birth)
}

/// Appends the moves into v1 cgroups. v2 has no list of controllers: the process is started in its cgroup.
///
/// The freezer is the last one. If it is frozen, the process stops there, and a forced `delete` must find it in the
/// other hierarchies.
pub fn enter_cgroups<'a>(program: &mut Program, hierarchies: impl Iterator<Item = &'a str> + Clone) {
    let freezes = |controllers: &&str| controllers.split(',').any(|name| name == "freezer");
    let others = hierarchies.clone().filter(|controllers| !controllers.is_empty() && !freezes(controllers));
    for controllers in others.chain(hierarchies.filter(freezes)) {
        let tasks = program.slot(Descriptor::Tasks(controllers.to_owned()));
        program.push(&Field::of("linux.cgroupsPath"), op::Enter::Cgroup { tasks });
    }
}

/// Without a user namespace: the clone makes the new namespaces, and `init` joins the others.
fn clone_first(program: &mut Program, field: &Field, sorted: &Sorted, birth: &mut Birth) {
    birth.new = sorted.new;
    join(program, field, &sorted.joined);
    birth.forks = sorted.joins(Kind::Pid);
    if birth.forks {
        program.push(field, op::Enter::Fork { flags: 0 });
    }
}

/// Makes the time namespace in `init`.
fn new_time(program: &mut Program, field: &Field, offsets: &str) {
    program.push(field, op::Enter::Unshare { flags: u64::from(namespace::of(Kind::Time).flag) });
    if !offsets.is_empty() {
        let lines = program.text(offsets);
        program.push(&Field::of("linux.timeOffsets"), op::Enter::TimeOffsets { lines });
    }
}

/// With a joined user namespace: all new namespaces must belong to it, so `init` makes them after it has joined.
fn joined_first(program: &mut Program, field: &Field, sorted: &mut Sorted, birth: &mut Birth) {
    join(program, field, &sorted.joined);
    let pid = sorted.take(Kind::Pid);
    if sorted.new != 0 {
        program.push(field, op::Enter::Unshare { flags: sorted.new });
    }
    if pid || sorted.joins(Kind::Pid) {
        birth.forks = true;
        let flags = if pid { u64::from(namespace::of(Kind::Pid).flag) } else { 0 };
        program.push(field, op::Enter::Fork { flags });
    }
}

fn join(program: &mut Program, field: &Field, joined: &[Joined]) {
    if joined.is_empty() {
        return;
    }
    let pairs: Vec<(u32, u32)> = joined
        .iter()
        .map(|it| {
            let Joined { path, flag, field, claim } = it.clone();
            let Slot(slot) = program.slot(Descriptor::Namespace { path, flag, field, claim });
            (slot, flag)
        })
        .collect();
    let list = program.pairs(&pairs);
    program.push(field, op::Enter::Join { list });
}

fn check_mappings(key: &'static str, maps: &[LinuxIdMapping]) -> Result<()> {
    for (index, map) in maps.iter().enumerate() {
        let field = Field::item(key, index);
        if map.size() == 0 {
            refuse!(field.member("size"), "must not be 0");
        }
        for (first, name) in [(map.container_id(), "containerID"), (map.host_id(), "hostID")] {
            if first.checked_add(map.size()).is_none() {
                refuse!(
                    field.member("size"),
                    "{} ids from {name} {first} on: there are none beyond {}",
                    map.size(),
                    u32::MAX
                );
            }
        }
    }
    Ok(())
}

fn check_user(context: &Context<'_>, new: bool, joined: bool) -> Result<()> {
    if new && (context.config.uid_mappings().is_empty() || context.config.gid_mappings().is_empty()) {
        refuse!(
            "linux.uidMappings",
            "user namespaces enabled, but no namespace path to join nor mappings to apply specified"
        );
    }
    if context.facts.caller.euid != 0 && !new && !joined {
        refuse!("linux.namespaces", "rootless container requires user namespaces");
    }
    Ok(())
}

/// `linux.timeOffsets` as lines for `/proc/PID/timens_offsets`.
fn time_offsets(context: &Context<'_>, sorted: &Sorted) -> Result<String> {
    let Some(offsets) = context.config.time_offsets() else { return Ok(String::new()) };
    let new = sorted.new & u64::from(namespace::of(Kind::Time).flag) != 0;
    if !offsets.is_empty() && sorted.joins(Kind::Time) {
        refuse!(
            "linux.timeOffsets",
            "time namespace enabled, but both namespace path and time offsets specified -- you may only provide one"
        );
    }
    if !offsets.is_empty() && !new {
        refuse!(
            "linux.timeOffsets",
            "time namespace offsets specified, but time namespace isn't enabled in the config"
        );
    }
    let mut lines: Vec<String> = Vec::new();
    for (clock, offset) in offsets {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            refuse!(Field::of("linux.timeOffsets").member(clock), "unknown clock");
        }
        let nanos = offset.nanosecs().unwrap_or(0);
        if nanos >= 1_000_000_000 {
            refuse!(Field::of("linux.timeOffsets").member(clock).member("nanosecs"), "{nanos} is out of range");
        }
        lines.push(format!("{clock} {} {nanos}\n", offset.secs().unwrap_or(0)));
    }
    lines.sort();
    Ok(lines.concat())
}
