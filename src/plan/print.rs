//! A plan as text: one line an operation, each with its place in `config.json`.

use std::fmt::Write;

use super::program::{Descriptor, Owners, Program, Tree};
use super::{Hook, Hooks, Plan};
use crate::init::op::{Ask, Attributes, List, Op, Slot, Text, place};
use crate::tables::{capability, mount_option as option, namespace, rlimit};

/// The whole plan: what the parent does, then what `init` does.
pub fn print(plan: &Plan) -> String {
    let mut text = String::new();
    let mut line = |field: &str, what: &str| {
        let _ = writeln!(text, "{field:<34} {what}");
    };
    line("# runtime", "");
    // A scope comes with its first process.
    let late = plan.cgroup.is_scope();
    for it in plan.cgroup.lines().filter(|_| !late) {
        line(it.field.as_str(), &it.operation);
    }
    if let Some(rdt) = &plan.rdt {
        line(
            "linux.intelRdt",
            &format!("class {:?}: {}", rdt.class, [rdt.separate.join(" "), rdt.schemata.join(" ")].join(" ")),
        );
    }
    for joined in &plan.birth.joined {
        line(
            joined.field.as_str(),
            &format!("join {} of {:?} for the clone", namespace::names(u64::from(joined.flag)).join(" "), joined.path),
        );
    }
    if let Some(offsets) = &plan.birth.time {
        let offsets = offsets.trim_end().replace('\n', ", ");
        line("linux.timeOffsets", format!("new time namespace for the child {offsets}").trim_end());
    }
    for slot in plan.program.slots() {
        match slot {
            Descriptor::Tree(Tree { locked, source, recursive, follow, id_map, field }) => {
                let lines = |lines: &str| lines.trim_end().replace('\n', ", ");
                let id_map = match id_map.as_ref().map(|map| &map.owners) {
                    None => String::new(),
                    Some(Owners::Maps { uid, gid }) => {
                        format!(", owners mapped: uid {}; gid {}", lines(uid), lines(gid))
                    }
                    Some(Owners::Joined(path)) => format!(", owners mapped as in {path:?}"),
                };
                let tree = if *recursive { ", with all below" } else { "" };
                let locks = if *locked { ", locked" } else { "" };
                let link = if *follow { "" } else { ", not following a link" };
                line(field.as_str(), &format!("open tree {source:?}{tree}{link}{locks}{id_map}"));
            }
            Descriptor::Namespace { path, field, .. } => line(field.as_str(), &format!("open {path:?}")),
            Descriptor::Node(it) => {
                let node = node(&it.path.to_string_lossy(), it.mode, it.device, it.mode & 0o7777, (it.uid, it.gid));
                line(it.field.as_str(), &format!("mknod {node} on a file system of its own"));
            }
            Descriptor::Gate | Descriptor::Process | Descriptor::Kept(_) => {}
        }
    }
    let new = namespace::names(plan.birth.new).join(" ");
    line("linux.namespaces", format!("clone init into new namespaces: {new}").trim_end_matches([':', ' ']));
    for it in plan.cgroup.lines().filter(|_| late) {
        line(it.field.as_str(), &it.operation);
    }
    if let Some(maps) = &plan.birth.maps {
        line("linux.uidMappings", &format!("write uid_map {}", maps.uid.trim_end().replace('\n', ", ")));
        line("linux.gidMappings", &format!("write gid_map {}", maps.gid.trim_end().replace('\n', ", ")));
    }
    if let Some(maps) = &plan.birth.expected {
        line("linux.uidMappings", &format!("check uid_map {}", maps.uid.trim_end().replace('\n', ", ")));
        line("linux.gidMappings", &format!("check gid_map {}", maps.gid.trim_end().replace('\n', ", ")));
    }
    if let Some(score) = plan.oom_score_adj {
        line("process.oomScoreAdj", &format!("write oom_score_adj {score}"));
    }
    for (outside, inside) in &plan.net_devices {
        line("linux.netDevices", &format!("move {outside} in as {inside}"));
    }
    line("# init", "");
    for (op, field) in plan.program.iter() {
        line(field.as_str(), &describe(op, &plan.program));
        if matches!(op, Op::Ask { what: Ask::Hooks }) {
            before_pivot(&plan.hooks, &mut line);
        }
        if matches!(op, Op::Ask { what: Ask::Ready }) {
            for limit in &plan.limits {
                let what = describe(
                    &Op::Limit { resource: limit.resource, soft: limit.soft, hard: limit.hard },
                    &plan.program,
                );
                line("process.rlimits", &format!("(runtime) {what}"));
            }
        }
    }
    later(&plan.hooks, &mut line);
    for warning in &plan.warnings {
        line("# warning:", warning);
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

fn hooks(name: &str, list: &[Hook], place: &str, line: &mut impl FnMut(&str, &str)) {
    for (index, hook) in list.iter().enumerate() {
        line(&format!("hooks.{name}[{index}]"), &format!("run {:?} {place}", hook.path));
    }
}

fn before_pivot(list: &Hooks, line: &mut impl FnMut(&str, &str)) {
    hooks("prestart", &list.prestart, "in the runtime's namespaces", line);
    hooks("createRuntime", &list.create_runtime, "in the runtime's namespaces", line);
    hooks("createContainer", &list.create_container, "in the container's namespaces", line);
}

fn later(list: &Hooks, line: &mut impl FnMut(&str, &str)) {
    if list.start_container.is_empty() && list.poststart.is_empty() && list.poststop.is_empty() {
        return;
    }
    line("# later", "");
    hooks("startContainer", &list.start_container, "in the container, at start", line);
    hooks("poststart", &list.poststart, "in the runtime's namespaces, after start", line);
    hooks("poststop", &list.poststop, "in the runtime's namespaces, after delete", line);
}

/// One operation in words: the call, and what it is called with.
pub fn describe(op: &Op, program: &Program) -> String {
    let text = |it: Text| program.show(it).to_owned();
    match *op {
        Op::Signals => "reset signals".to_owned(),
        Op::Wait => "wait for the runtime".to_owned(),
        Op::Undumpable => "undumpable".to_owned(),
        Op::Dumpable => "dumpable".to_owned(),
        Op::Ask { what: Ask::Hooks } => "ask the runtime for hooks".to_owned(),
        Op::Ask { what: Ask::NetDevices } => "ask the runtime for network devices".to_owned(),
        Op::Ask { what: Ask::Ready } => "created: let the runtime save the state".to_owned(),
        Op::Join { list } => join(program, list),
        Op::Fork { flags } => format!("fork {}", namespace::names(flags).join(" ")).trim_end().to_owned(),
        Op::Unshare { flags } => format!("unshare {}", namespace::names(flags).join(" ")),
        Op::TimeOffsets { lines } => format!("write timens_offsets {}", text(lines).trim_end().replace('\n', ", ")),
        Op::BecomeRoot { uid, gid, keep_groups } => {
            let who = if (uid, gid) == (0, 0) { "root".to_owned() } else { format!("uid {uid} gid {gid}") };
            let groups = if keep_groups { ", in the caller's groups" } else { "" };
            format!("become {who} of the user namespace{groups}")
        }
        Op::Session => "setsid".to_owned(),
        Op::Keyring { name } => format!("join session keyring {}", text(name)),
        Op::Affinity { mask } => affinity(program, mask),
        Op::Hostname { name } => format!("sethostname {:?}", text(name)),
        Op::Domainname { name } => format!("setdomainname {:?}", text(name)),
        Op::Loopback => "bring lo up".to_owned(),
        Op::Propagation { flags } => format!("make / r{}", propagation(flags)),
        Op::PrivateParent { path } => format!("make the mount that holds {:?} private", text(path)),
        Op::Root { path } => format!("bind {:?} as the root", text(path)),
        Op::RootDirectory { path, follow: _ } => format!("open {:?} as the root", text(path)),
        Op::Write { path, value, must } => {
            format!("write {} = {:?}{}", text(path), text(value), if must { "" } else { ", if that is allowed" })
        }
        Op::Pivot { shared: false } => "pivot_root".to_owned(),
        Op::Pivot { shared: true } => "pivot_root, letting the shared old root go quietly".to_owned(),
        Op::OwnStdio { uid } => format!("give the standard descriptors to uid {uid}"),
        Op::Terminal { rows, columns, console } => terminal(rows, columns, console),
        Op::Bury { path } => format!("detach or cover {:?}", text(path)),
        Op::MoveRoot => "move the root over / and chroot".to_owned(),
        Op::Chroot => "chroot".to_owned(),
        Op::ReadOnly { path, mount, .. } => format!("make {:?} read-only{}", text(path), of_slot(program, mount)),
        Op::Mask { path, mount, .. } => format!("hide {:?}{}", text(path), of_slot(program, mount)),
        Op::RootAttributes { attributes } => format!("set on the root:{}", attributes_text(&attributes)),
        Op::MakeDirectory { path } => format!("mkdir -p {:?}", text(path)),
        _ => mounting(op, program).or_else(|| process(op, program)).unwrap_or_default(),
    }
}

fn terminal(rows: u16, columns: u16, console: bool) -> String {
    let size = if (rows, columns) == (0, 0) { String::new() } else { format!(" of {columns} by {rows}") };
    format!("open a terminal{size}{}", if console { ", also at /dev/console" } else { "" })
}

fn join(program: &Program, list: List) -> String {
    let numbers = program.show_numbers(List { len: list.len * 2, ..list });
    let mut parts = Vec::new();
    for pair in numbers.chunks_exact(2) {
        let names = namespace::names(u64::from(pair[1])).join(" ");
        match program.slots().get(pair[0] as usize) {
            Some(Descriptor::Namespace { path, .. }) => parts.push(format!("{names} of {path:?}")),
            _ => parts.push(format!("{names} of the container")),
        }
    }
    format!("join {}", parts.join(", "))
}

fn affinity(program: &Program, mask: List) -> String {
    let words = program.show_words(mask);
    match words.iter().all(|word| *word == u64::MAX) {
        true => "run on every CPU that the cpuset allows".to_owned(),
        false => format!("run on CPUs {}", cpu_list(&words)),
    }
}

/// A mask as config.json has it: `0-3,8`.
fn cpu_list(words: &[u64]) -> String {
    let is_set = |cpu: usize| words.get(cpu / 64).is_some_and(|word| word >> (cpu % 64) & 1 == 1);
    let starts = (0..words.len() * 64).filter(|cpu| is_set(*cpu) && (*cpu == 0 || !is_set(cpu - 1)));
    let ranges = starts.map(|first| match (first..).take_while(|cpu| is_set(*cpu)).last() {
        Some(last) if last > first => format!("{first}-{last}"),
        _ => first.to_string(),
    });
    ranges.collect::<Vec<_>>().join(",")
}

fn mounting(op: &Op, program: &Program) -> Option<String> {
    let text = |it: Text| program.show(it);
    Some(match *op {
        Op::Mount { target, kind, source, instead, options, attributes, place, keep: _ } => {
            let mut line = format!("mount {} {:?} on {:?}", text(kind), text(source), text(target));
            // What is a flag of the mount too is shown there.
            let flag = |pair: &&[Text]| pair[1] != Text::NONE || text(pair[0]) != "ro";
            for pair in program.show_texts(options).chunks_exact(2).filter(flag) {
                line += &if pair[1] == Text::NONE {
                    format!(" {}", text(pair[0]))
                } else {
                    format!(" {}={}", text(pair[0]), text(pair[1]))
                };
            }
            line += &attributes_text(&attributes);
            line += &rules(place);
            if instead != Text::NONE {
                line += &format!(", or bind {:?}", text(instead));
            }
            line
        }
        Op::Bind { target, source, instead, recursive, attributes, place, keep: _ } => {
            let call = if recursive { "rbind" } else { "bind" };
            let (attributes, rules) = (attributes_text(&attributes), rules(place));
            let instead = if instead == Text::NONE { String::new() } else { format!(", or {:?} ro", text(instead)) };
            format!("{call} {:?} on {:?}{attributes}{rules}{instead}", text(source), text(target))
        }
        Op::Unmount { target, mount } => format!("unmount mount {mount} at {:?}", text(target)),
        Op::Attach { target, tree: Slot(slot), attributes, place, keep: _ } => {
            let source = match program.slots().get(slot as usize) {
                Some(Descriptor::Tree(tree)) => format!("{:?}", tree.source),
                _ => "?".to_owned(),
            };
            format!("attach {source} on {:?}{}{}", text(target), attributes_text(&attributes), rules(place))
        }
        Op::Reattribute { mount, attributes } => {
            format!("set{}:{}", of_slot(program, mount), attributes_text(&attributes))
        }
        Op::Remount { target, attributes, place } => {
            format!("remount {:?}{}{}", text(target), attributes_text(&attributes), rules(place))
        }
        Op::Hold { path, place, keep: _ } => format!("open {:?}{}", text(path), rules(place)),
        Op::Directory { base, path, place } => {
            format!("in {:?}{}{}", text(path), of_slot(program, base), rules(place))
        }
        Op::Node { name, mode, device, uid, gid, host } => {
            let node = node(text(name), mode, device, mode & 0o7777, (uid, gid));
            let instead = if text(host).is_empty() { String::new() } else { format!(", or bind {:?}", text(host)) };
            format!("  mknod {node}{instead}")
        }
        Op::BindNode { name, source, mode, device } => {
            format!("  bind {:?} as {}, if it is {}", text(source), text(name), kind_and_number(mode, device))
        }
        Op::AttachNode { name, tree: Slot(slot) } => match program.slots().get(slot as usize) {
            Some(Descriptor::Node(it)) => format!("  attach {}, {}", text(name), kind_and_number(it.mode, it.device)),
            _ => "?".to_owned(),
        },
        Op::Link { name, target } => format!("  symlink {} -> {}", text(name), text(target)),
        Op::LinkIf { name, target, host } => {
            format!("  symlink {} -> {} if {:?} exists", text(name), text(target), text(host))
        }
        Op::Relink { name, target } => format!("  replace by symlink {} -> {}", text(name), text(target)),
        _ => return None,
    })
}

fn kind_and_number(mode: u32, device: u64) -> String {
    let kind = match mode & 0o170000 {
        0o060000 => 'b',
        0o010000 => 'p',
        _ => 'c',
    };
    format!("{kind} {}:{}", libc::major(device), libc::minor(device))
}

fn node(name: &str, kind: u32, device: u64, mode: u32, (uid, gid): (u32, u32)) -> String {
    format!("{name} {} mode {mode:o} owner {uid}:{gid}", kind_and_number(kind, device))
}

/// Where a descriptor comes from that `init` keeps open.
fn of_slot(program: &Program, slot: Slot) -> String {
    match program.slots().get(slot.0 as usize) {
        Some(Descriptor::Kept(usize::MAX)) => " of the image's /dev".to_owned(),
        Some(Descriptor::Kept(index)) => format!(" of mounts[{index}]"),
        _ => String::new(),
    }
}

fn process(op: &Op, program: &Program) -> Option<String> {
    let text = |it: Text| program.show(it);
    Some(match *op {
        Op::Chdir { path, later: true } => format!("chdir {:?} if the old identity may", text(path)),
        Op::Chdir { path, .. } => format!("chdir {:?}", text(path)),
        Op::Umask { mask } => format!("umask {mask:04o}"),
        Op::Limit { resource, soft, hard } => {
            let value = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() };
            let name = rlimit::NAMES.get(resource as usize).copied().unwrap_or("?");
            format!("setrlimit {name} soft {} hard {}", value(soft), value(hard))
        }
        Op::Scheduler { policy, nice, priority, flags, runtime, deadline, period } => format!(
            "sched_setattr policy {policy} nice {nice} priority {priority} flags {flags:#x} runtime {runtime} deadline {deadline} period {period}"
        ),
        Op::IoPriority { value } => format!("ioprio_set class {} level {}", value >> 13, value & 7),
        Op::Personality { domain } => format!("personality {domain:#x}"),
        Op::MemoryPolicy { mode, nodes } => format!("set_mempolicy {mode:#x} nodes {:x?}", program.show_words(nodes)),
        Op::NoNewPrivileges => "no_new_privs".to_owned(),
        Op::Bounding { keep } => format!("bounding set: {}", set(keep)),
        Op::Shed { keep } => format!("keep no other capabilities than: {}", set(keep)),
        Op::User { uid, gid, groups, set_groups, keep: _ } => {
            let groups = match set_groups {
                true => format!("groups {:?}", program.show_numbers(groups)),
                false => "groups kept".to_owned(),
            };
            format!("become uid {uid} gid {gid} {groups}")
        }
        Op::Capabilities { effective, permitted, inheritable, ambient } => format!(
            "capset effective: {}; permitted: {}; inheritable: {}; ambient: {}",
            set(effective),
            set(permitted),
            set(inheritable),
            set(ambient)
        ),
        Op::Home { uid, .. } => format!("HOME of uid {uid} from /etc/passwd, else /"),
        Op::Find { candidates } => {
            let candidates: Vec<_> = program.show_texts(candidates).into_iter().map(text).collect();
            format!("find the program: {candidates:?}")
        }
        Op::Gate { from, .. } => format!("close descriptors from {from} on but the gate, and wait for start"),
        Op::CloseOnExec { from } => format!("close descriptors from {from} on at execve"),
        Op::Seccomp { filter, flags, agent: Text::NONE } => {
            format!("load seccomp filter of {} instructions, flags {flags:#x}", filter.len)
        }
        Op::Seccomp { filter, flags, agent } => {
            let agent = program.show(agent);
            format!("load seccomp filter of {} instructions, flags {flags:#x}, its listener for {agent:?}", filter.len)
        }
        Op::Close { from } => format!("close descriptors from {from} on"),
        // The environment may hold secrets: only its names are shown.
        Op::Exec { argv, envp } => {
            let names = program.show_addresses(envp);
            let names: Vec<_> = names.iter().map(|entry| entry.split('=').next().unwrap_or_default()).collect();
            format!("execve {:?} with {}", program.show_addresses(argv), names.join(" "))
        }
        _ => return None,
    })
}

fn set(mask: u64) -> String {
    if mask == 0 || mask == u64::MAX {
        return if mask == 0 { "none" } else { "what there is" }.to_owned();
    }
    let names = capability::names(mask);
    names.iter().map(|name| name.trim_start_matches("CAP_")).collect::<Vec<_>>().join(" ")
}

fn propagation(flags: u64) -> &'static str {
    match flags {
        option::SHARED => "shared",
        option::SLAVE => "slave",
        option::PRIVATE => "private",
        option::UNBINDABLE => "unbindable",
        _ => "?",
    }
}

fn attributes_text(it: &Attributes) -> String {
    let mut text = String::new();
    for (prefix, set, clear) in [("", it.set, it.clear), ("r", it.tree_set, it.tree_clear)] {
        for (bit, on, off) in [
            (option::RDONLY, "ro", "rw"),
            (option::NOSUID, "nosuid", "suid"),
            (option::NODEV, "nodev", "dev"),
            (option::NOEXEC, "noexec", "exec"),
            (option::NOSYMFOLLOW, "nosymfollow", "symfollow"),
            (option::NODIRATIME, "nodiratime", "diratime"),
            (option::NOATIME, "noatime", ""),
            (option::STRICTATIME, "strictatime", ""),
        ] {
            if set & bit != 0 {
                text += &format!(" {prefix}{on}");
            } else if clear & bit != 0 && !off.is_empty() {
                text += &format!(" {prefix}{off}");
            }
        }
        if clear & option::ATIME != 0 && set & option::ATIME == 0 {
            text += &format!(" {prefix}relatime");
        }
    }
    for (kind, recursive) in it.propagation.changes() {
        text += &format!(" {}{}", if recursive { "r" } else { "" }, propagation(kind));
    }
    text
}

fn rules(bits: u32) -> String {
    let mut text = String::new();
    for (bit, what) in [
        (place::PLAIN, "a plain directory only"),
        (place::KEEP_MODE, "with the mode of what it covers"),
        (place::COPY_UP, "filled with what it covers"),
        (place::PROC_ONLY, "a procfs only"),
        (place::EXACT, "with no other flags"),
        (place::SLAVE, "a slave of the host's"),
        (place::NO_FOLLOW, "over a link itself"),
        (place::SOURCE_NO_FOLLOW, "not following a link"),
        (place::COPY_LINK, "or as a link of the same text"),
        (place::LIVING, "in a living container"),
        (place::I_VERSION, "by mount(2) with MS_I_VERSION"),
    ] {
        if bits & bit != 0 {
            text += &format!(", {what}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn masks_are_lists_of_processors() {
        for (words, wanted) in
            [(&[0b1][..], "0"), (&[0b1_0000_1110], "1-3,8"), (&[1 << 63, 0b11], "63-65"), (&[0, 1 << 63], "127")]
        {
            assert_eq!(super::cpu_list(words), wanted);
        }
    }
}
