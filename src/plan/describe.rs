//! One operation in words: the call, and its arguments.

use super::program::{Descriptor, Program};
use crate::init::op::{self, Ask, Attributes, List, Op, Rules, Slot, Text};
use crate::spec::Ids;
use crate::tables::{capability, mount_option as option, namespace, rlimit};

/// One operation in words.
pub fn describe(op: &Op, program: &Program) -> String {
    match op {
        Op::Enter(op) => enter(op, program),
        Op::Mount(op) => mount(op, program),
        Op::Process(op) => process(op, program),
        Op::Talk(op) => talk(op),
    }
}

fn enter(op: &op::Enter, program: &Program) -> String {
    use op::Enter as Do;
    let text = |it: Text| program.show(it);
    match *op {
        Do::Signals => "reset signals".to_owned(),
        Do::Undumpable => "undumpable".to_owned(),
        Do::Dumpable => "dumpable".to_owned(),
        Do::Join { list } => join(program, list),
        Do::Fork { flags } => format!("fork {}", namespace::names(flags).join(" ")).trim_end().to_owned(),
        Do::Unshare { flags } => format!("unshare {}", namespace::names(flags).join(" ")),
        Do::TimeOffsets { lines } => format!("write timens_offsets {}", text(lines).trim_end().replace('\n', ", ")),
        Do::BecomeRoot { uid, gid, keep_groups } => {
            let who = if (uid, gid) == (0, 0) { "root".to_owned() } else { format!("uid {uid} gid {gid}") };
            let groups = if keep_groups { ", in the caller's groups" } else { "" };
            format!("become {who} of the user namespace{groups}")
        }
        Do::Session => "setsid".to_owned(),
        Do::Keyring { name } => format!("join session keyring {}", text(name)),
        Do::Affinity { mask } => affinity(program, mask),
        Do::Hostname { name } => format!("sethostname {:?}", text(name)),
        Do::Domainname { name } => format!("setdomainname {:?}", text(name)),
        Do::Loopback => "bring lo up".to_owned(),
    }
}

fn mount(op: &op::Mount, program: &Program) -> String {
    use op::Mount as Do;
    let text = |it: Text| program.show(it);
    match *op {
        Do::Propagation { flags } => format!("make / r{}", propagation(flags)),
        Do::PrivateParent { path } => format!("make the mount that holds {:?} private", text(path)),
        Do::Root { path } => format!("bind {:?} as the root", text(path)),
        Do::RootDirectory { path, follow: _ } => format!("open {:?} as the root", text(path)),
        Do::Pivot { shared: false } => "pivot_root".to_owned(),
        Do::Pivot { shared: true } => "pivot_root, letting the shared old root go quietly".to_owned(),
        Do::Bury { path } => format!("detach or cover {:?}", text(path)),
        Do::MoveRoot => "move the root over / and chroot".to_owned(),
        Do::Chroot => "chroot".to_owned(),
        Do::ReadOnly { path, mount, .. } => format!("make {:?} read-only{}", text(path), of_slot(program, mount)),
        Do::Mask { path, mount, .. } => format!("hide {:?}{}", text(path), of_slot(program, mount)),
        Do::RootAttributes { attributes } => format!("set on the root:{}", attributes_text(&attributes)),
        Do::MakeDirectory { path } => format!("mkdir -p {:?}", text(path)),
        Do::FileSystem { target, kind, source, instead, options, attributes, rules, keep: _ } => {
            let mut line = format!("mount {} {:?} on {:?}", text(kind), text(source), text(target));
            // An option that is also a flag of the mount is shown as the flag.
            let flag = |pair: &&[Text]| pair[1] != Text::NONE || text(pair[0]) != "ro";
            for pair in program.show_texts(options).chunks_exact(2).filter(flag) {
                line += &if pair[1] == Text::NONE {
                    format!(" {}", text(pair[0]))
                } else {
                    format!(" {}={}", text(pair[0]), text(pair[1]))
                };
            }
            line += &attributes_text(&attributes);
            line += &rules_text(rules);
            if instead != Text::NONE {
                line += &format!(", or bind {:?}", text(instead));
            }
            line
        }
        Do::Bind { target, source, instead, recursive, attributes, rules, keep: _ } => {
            let call = if recursive { "rbind" } else { "bind" };
            let (attributes, rules) = (attributes_text(&attributes), rules_text(rules));
            let instead = if instead == Text::NONE { String::new() } else { format!(", or {:?} ro", text(instead)) };
            format!("{call} {:?} on {:?}{attributes}{rules}{instead}", text(source), text(target))
        }
        Do::Unmount { target, mount } => format!("unmount mount {mount} at {:?}", text(target)),
        Do::Attach { target, tree: Slot(slot), attributes, rules, keep: _ } => {
            let source = match program.slots().get(slot as usize) {
                Some(Descriptor::Tree(tree)) => format!("{:?}", tree.source),
                _ => "?".to_owned(),
            };
            format!("attach {source} on {:?}{}{}", text(target), attributes_text(&attributes), rules_text(rules))
        }
        Do::Reattribute { mount, attributes } => {
            format!("set{}:{}", of_slot(program, mount), attributes_text(&attributes))
        }
        Do::Remount { target, attributes, rules } => {
            format!("remount {:?}{}{}", text(target), attributes_text(&attributes), rules_text(rules))
        }
        Do::Hold { path, rules, keep: _ } => format!("open {:?}{}", text(path), rules_text(rules)),
        Do::Directory { base, path, rules } => {
            format!("in {:?}{}{}", text(path), of_slot(program, base), rules_text(rules))
        }
        Do::Node { name, mode, device, uid, gid, host } => {
            let node = node(text(name), mode, device, mode & 0o7777, Ids::new(uid, gid));
            let instead = if text(host).is_empty() { String::new() } else { format!(", or bind {:?}", text(host)) };
            format!("  mknod {node}{instead}")
        }
        Do::BindNode { name, source, mode, device } => {
            format!("  bind {:?} as {}, if it is {}", text(source), text(name), kind_and_number(mode, device))
        }
        Do::AttachNode { name, tree: Slot(slot) } => match program.slots().get(slot as usize) {
            Some(Descriptor::Node(it)) => format!("  attach {}, {}", text(name), kind_and_number(it.mode, it.device)),
            _ => "?".to_owned(),
        },
        Do::Link { name, target } => format!("  symlink {} -> {}", text(name), text(target)),
        Do::LinkIf { name, target, host } => {
            format!("  symlink {} -> {} if {:?} exists", text(name), text(target), text(host))
        }
        Do::Relink { name, target } => format!("  replace by symlink {} -> {}", text(name), text(target)),
    }
}

fn process(op: &op::Process, program: &Program) -> String {
    use op::Process as Do;
    let text = |it: Text| program.show(it);
    match *op {
        Do::Write { path, value, must } => {
            format!("write {} = {:?}{}", text(path), text(value), if must { "" } else { ", if that is allowed" })
        }
        Do::OwnStdio { uid } => format!("give the standard descriptors to uid {uid}"),
        Do::Chdir { path, later: true } => format!("chdir {:?} if the old identity may", text(path)),
        Do::Chdir { path, .. } => format!("chdir {:?}", text(path)),
        Do::Umask { mask } => format!("umask {mask:04o}"),
        Do::Limit { resource, soft, hard } => {
            let value = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() };
            let name = rlimit::NAMES.get(resource as usize).copied().unwrap_or("?");
            format!("setrlimit {name} soft {} hard {}", value(soft), value(hard))
        }
        Do::Scheduler { policy, nice, priority, flags, runtime, deadline, period } => format!(
            "sched_setattr policy {policy} nice {nice} priority {priority} flags {flags:#x} runtime {runtime} deadline {deadline} period {period}"
        ),
        Do::IoPriority { value } => format!("ioprio_set class {} level {}", value >> 13, value & 7),
        Do::Personality { domain } => format!("personality {domain:#x}"),
        Do::MemoryPolicy { mode, nodes } => format!("set_mempolicy {mode:#x} nodes {:x?}", program.show_words(nodes)),
        Do::NoNewPrivileges => "no_new_privs".to_owned(),
        Do::Bounding { keep } => format!("bounding set: {}", set(keep)),
        Do::Shed { keep } => format!("keep no other capabilities than: {}", set(keep)),
        Do::User { uid, gid, groups, set_groups, keep: _ } => {
            let groups = match set_groups {
                true => format!("groups {:?}", program.show_numbers(groups)),
                false => "groups kept".to_owned(),
            };
            format!("become uid {uid} gid {gid} {groups}")
        }
        Do::Capabilities { effective, permitted, inheritable, ambient } => format!(
            "capset effective: {}; permitted: {}; inheritable: {}; ambient: {}",
            set(effective),
            set(permitted),
            set(inheritable),
            set(ambient)
        ),
        Do::Home { uid, .. } => format!("HOME of uid {uid} from /etc/passwd, else /"),
        Do::Find { candidates } => {
            let candidates: Vec<_> = program.show_texts(candidates).into_iter().map(text).collect();
            format!("find the program: {candidates:?}")
        }
        Do::CloseOnExec { from } => format!("close descriptors from {from} on at execve"),
        Do::Seccomp { filter, flags, agent: Text::NONE } => {
            format!("load seccomp filter of {} instructions, flags {flags:#x}", filter.len)
        }
        Do::Seccomp { filter, flags, agent } => {
            let agent = program.show(agent);
            format!("load seccomp filter of {} instructions, flags {flags:#x}, its listener for {agent:?}", filter.len)
        }
        Do::Close { from } => format!("close descriptors from {from} on"),
        // The environment may hold secrets: only its names are shown.
        Do::Exec { argv, envp } => {
            let names = program.show_addresses(envp);
            let names: Vec<_> = names.iter().map(|entry| entry.split('=').next().unwrap_or_default()).collect();
            format!("execve {:?} with {}", program.show_addresses(argv), names.join(" "))
        }
    }
}

fn talk(op: &op::Talk) -> String {
    use op::Talk as Do;
    match *op {
        Do::Wait => "wait for the runtime".to_owned(),
        Do::Ask { what: Ask::Hooks } => "ask the runtime for hooks".to_owned(),
        Do::Ask { what: Ask::NetDevices } => "ask the runtime for network devices".to_owned(),
        Do::Ask { what: Ask::Ready } => "created: let the runtime save the state".to_owned(),
        Do::Terminal { rows, columns, console } => terminal(rows, columns, console),
        Do::Gate { from, .. } => format!("close descriptors from {from} on but the gate, and wait for start"),
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

fn kind_and_number(mode: u32, device: u64) -> String {
    let kind = match mode & 0o170000 {
        0o060000 => 'b',
        0o010000 => 'p',
        _ => 'c',
    };
    format!("{kind} {}:{}", libc::major(device), libc::minor(device))
}

pub fn node(name: &str, kind: u32, device: u64, mode: u32, owner: Ids) -> String {
    format!("{name} {} mode {mode:o} owner {owner}", kind_and_number(kind, device))
}

/// The origin of a descriptor that `init` keeps open.
fn of_slot(program: &Program, slot: Slot) -> String {
    match program.slots().get(slot.0 as usize) {
        Some(Descriptor::Kept(usize::MAX)) => " of the image's /dev".to_owned(),
        Some(Descriptor::Kept(index)) => format!(" of mounts[{index}]"),
        _ => String::new(),
    }
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

fn rules_text(rules: Rules) -> String {
    let mut text = String::new();
    for (rule, what) in [
        (Rules::PLAIN, "a plain directory only"),
        (Rules::KEEP_MODE, "with the mode of what it covers"),
        (Rules::COPY_UP, "filled with what it covers"),
        (Rules::PROC_ONLY, "a procfs only"),
        (Rules::EXACT, "with no other flags"),
        (Rules::SLAVE, "a slave of the host's"),
        (Rules::NO_FOLLOW, "over a link itself"),
        (Rules::SOURCE_NO_FOLLOW, "not following a link"),
        (Rules::COPY_LINK, "or as a link of the same text"),
        (Rules::LIVING, "in a living container"),
        (Rules::I_VERSION, "by mount(2) with MS_I_VERSION"),
    ] {
        if rules.has(rule) {
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
