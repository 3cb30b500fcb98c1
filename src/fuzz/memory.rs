//! The rules for the memory of a program: `init` relies on them, and checks no offset and no length itself.

use crate::init::op::{self, BASE, DATA, Enter, Entry, List, Mount, Op, Process, Rights, Rootfs, Slot, Talk, Text};
use crate::plan::Program;

struct ProgramMemory<'a>(&'a Program);

/// Checks every text, list and slot that an operation names.
pub fn check(program: &Program) {
    let memory = ProgramMemory(program);
    for op in program.ops() {
        match op {
            Op::Enter(op) => memory.enter(op),
            Op::Rootfs(op) => memory.rootfs(op),
            Op::Mount(op) => memory.mount(op),
            Op::Entry(op) => memory.entry(op),
            Op::Process(op) => memory.process(op),
            Op::Rights(op) => memory.rights(op),
            Op::Talk(op) => memory.talk(op),
        }
    }
}

impl ProgramMemory<'_> {
    /// The bytes, which end with the one NUL that a C string has.
    fn text(&self, text: Text) {
        let (at, len) = (text.at as usize, text.len as usize);
        let bytes = self.0.data().get(at..=at + len).unwrap_or_else(|| panic!("{text:?} is outside"));
        assert_eq!(bytes.iter().position(|byte| *byte == 0), Some(len), "a text with a NUL: {bytes:?}");
    }

    fn all(&self, texts: &[Text]) {
        texts.iter().for_each(|text| self.text(*text));
    }

    fn given(&self, text: Text) {
        if text != Text::NONE {
            self.text(text);
        }
    }

    fn list(&self, list: List, size: usize) {
        let end = list.at as usize + list.len as usize * size;
        assert!(list.at.is_multiple_of(8) && end <= self.0.data().len(), "{list:?} of {size} bytes each is outside");
    }

    fn texts(&self, list: List) {
        self.list(list, size_of::<Text>());
        self.0.show_texts(list).iter().for_each(|text| self.given(*text));
    }

    fn slot(&self, slot: Slot) {
        assert!((slot.0 as usize) < self.0.slots().len(), "{slot:?} is outside");
    }

    fn kept(&self, slot: Slot) {
        if slot != Slot::NONE {
            self.slot(slot);
        }
    }

    /// An array for execve(2): addresses of texts, then at least one null.
    fn addresses(&self, list: List) {
        self.list(list, 8);
        let words = self.0.show_words(list);
        let texts = words.iter().take_while(|word| **word != 0).count();
        assert!(texts < words.len() && words[texts..].iter().all(|word| *word == 0), "no null at the end");
        for word in &words[..texts] {
            let at = (*word as usize).checked_sub(BASE + DATA).filter(|at| self.0.data()[*at..].contains(&0));
            assert!(at.is_some(), "an address outside: {word:#x}");
        }
    }

    fn enter(&self, op: &Enter) {
        match *op {
            Enter::Cgroup { tasks } => self.slot(tasks),
            Enter::Join { list } => {
                self.list(list, 8);
                let pairs = self.0.show_numbers(List { len: list.len * 2, ..list });
                pairs.chunks(2).for_each(|pair| self.slot(Slot(pair[0])));
                // `init` notes the late ones in the bits of a word.
                assert!(list.len < 64, "too many namespaces");
            }
            Enter::TimeOffsets { lines: text }
            | Enter::Keyring { name: text }
            | Enter::Hostname { name: text }
            | Enter::Domainname { name: text } => self.text(text),
            Enter::Affinity { mask } => self.list(mask, 8),
            Enter::Signals | Enter::Undumpable | Enter::Dumpable | Enter::Fork { .. } | Enter::Unshare { .. } => {}
            Enter::BecomeRoot { .. } | Enter::Session | Enter::Loopback => {}
        }
    }

    fn rootfs(&self, op: &Rootfs) {
        match *op {
            Rootfs::PrivateParent { path }
            | Rootfs::Bind { path }
            | Rootfs::Open { path, .. }
            | Rootfs::Bury { path } => self.text(path),
            Rootfs::Union { path, layers, upper, work, options, data, .. } => {
                self.all(&[path, data]);
                self.texts(layers);
                self.texts(options);
                if upper != Text::NONE {
                    self.all(&[upper, work]);
                }
                assert_eq!(options.len % 2, 0, "an option without a value");
            }
            Rootfs::Attach { path, tree } => {
                self.text(path);
                self.slot(tree);
            }
            Rootfs::Propagation { .. } | Rootfs::Attributes { .. } | Rootfs::Pivot { .. } => {}
            Rootfs::Move | Rootfs::Chroot => {}
        }
    }

    fn mount(&self, op: &Mount) {
        match *op {
            Mount::Label { label } => self.text(label),
            Mount::FileSystem { target, kind, source, instead, options, keep, .. } => {
                self.all(&[target, kind, source]);
                self.given(instead);
                self.texts(options);
                assert_eq!(options.len % 2, 0, "an option without a value");
                self.kept(keep);
            }
            Mount::Bind { target, source, instead, keep, .. } => {
                self.all(&[target, source]);
                self.given(instead);
                self.kept(keep);
            }
            Mount::Attach { target, tree, keep, .. } => {
                self.text(target);
                self.slot(tree);
                self.kept(keep);
            }
            Mount::Unmount { target, .. } | Mount::Remount { target, .. } => self.text(target),
            Mount::Reattribute { mount, .. } => self.slot(mount),
            Mount::ReadOnly { path, mount, inside } | Mount::Mask { path, mount, inside } => {
                self.text(path);
                self.kept(mount);
                // Without a mount there is nothing inside.
                if mount != Slot::NONE {
                    self.text(inside);
                }
                self.given(inside);
            }
        }
    }

    fn entry(&self, op: &Entry) {
        match *op {
            Entry::MakeDirectory { path } => self.text(path),
            Entry::Hold { path, keep: slot, .. } | Entry::Directory { base: slot, path, .. } => {
                self.text(path);
                self.kept(slot);
            }
            Entry::Node { name, host, .. } => self.all(&[name, host]),
            Entry::BindNode { name, source, .. } => self.all(&[name, source]),
            Entry::AttachNode { name, tree } => {
                self.text(name);
                self.slot(tree);
            }
            Entry::Link { name, target } | Entry::Relink { name, target } => {
                self.all(&[name, target]);
            }
            Entry::LinkIf { name, target, host } => self.all(&[name, target, host]),
        }
    }

    fn process(&self, op: &Process) {
        match *op {
            Process::Write { path, value, .. } => self.all(&[path, value]),
            Process::Chdir { path, .. } => self.text(path),
            Process::MemoryPolicy { nodes, .. } => self.list(nodes, 8),
            Process::Home { envp, slot, .. } => {
                self.addresses(envp);
                assert!(slot + 1 < envp.len, "no free place before the null");
            }
            Process::Find { candidates } => self.texts(candidates),
            Process::Exec { argv, envp } => {
                self.addresses(argv);
                self.addresses(envp);
            }
            Process::OwnStdio { .. } | Process::Umask { .. } | Process::Limit { .. } | Process::Scheduler { .. } => {}
            Process::IoPriority { .. } | Process::Personality { .. } => {}
            Process::CloseOnExec { .. } | Process::Close { .. } => {}
        }
    }

    fn rights(&self, op: &Rights) {
        match *op {
            Rights::User { groups, .. } => self.list(groups, 4),
            Rights::Seccomp { filter, agent, .. } => {
                self.list(filter, 8);
                // struct sock_fprog has the length in 16 bits.
                assert!(filter.len <= u16::MAX.into(), "a filter of {} instructions", filter.len);
                self.given(agent);
            }
            Rights::NoNewPrivileges | Rights::Bounding { .. } | Rights::Shed { .. } | Rights::Capabilities { .. } => {}
        }
    }

    fn talk(&self, op: &Talk) {
        match *op {
            op::Talk::Gate { fifo, .. } => self.slot(fifo),
            Talk::Wait | Talk::Ask { .. } | Talk::Terminal { .. } => {}
        }
    }
}
