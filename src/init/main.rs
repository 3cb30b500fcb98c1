//! The sealed program: what enters the namespaces in place of the runtime.
//!
//! It maps a list of operations, carries them out in order, and becomes the container's process.
//! It decides nothing, formats nothing and allocates nothing; the parent holds the same list, so
//! an index is all that a failure has to say.

#![no_std]
#![no_main]

mod files;
mod mount;
#[allow(dead_code, reason = "operations are made by the parent")]
mod op;
mod process;
mod sys;
mod terminal;

use core::ffi::CStr;

use mount::{FileSystem, Graft, Hidden, Mounts, Node};
use op::{Ask, Message, Op, kind, why};
use sys::{Fault, Fork, Program, Try};
use terminal::Terminal;

/// Status of a program that could not be run, as runc gives it.
const NOT_RUN: i32 = 255;
const PR_SET_DUMPABLE: u32 = 4;

/// `fd` holds the operations from `offset` on, in `length` bytes.
fn main(fd: i32, offset: usize, length: usize) -> ! {
    let Ok(program) = Program::map(fd, offset, length) else { sys::exit(NOT_RUN) };
    sys::close(fd);
    sys::umask(0);
    let mut init = Init { program, channel: program.channel(), mounts: Mounts::new(program), found: c"", close_on_exec: false, entered: false, groups_denied: false, filtered: false };
    for (index, op) in program.ops().iter().enumerate() {
        if let Err(fault) = init.perform(index as u32, op) {
            let Fault { step, errno, detail } = fault;
            init.say(Message { kind: kind::FAILED, index: index as u32, step, errno, detail });
            sys::exit(NOT_RUN);
        }
    }
    sys::exit(NOT_RUN)
}

struct Init {
    program: Program,
    channel: i32,
    mounts: Mounts,
    /// What [`Op::Find`] found.
    found: &'static CStr,
    /// `execve(2)` will close what the container must not have.
    close_on_exec: bool,
    /// The working directory has been entered.
    entered: bool,
    /// The user namespace has setgroups(2) denied.
    groups_denied: bool,
    /// A seccomp filter is in force.
    filtered: bool,
}

impl Init {
    fn say(&self, message: Message) {
        let _ = sys::send(self.channel, &message);
    }

    /// Wait for the parent's word; without a parent there is nothing to live for.
    fn wait(&self) -> Try<()> {
        let mut byte = [0u8];
        match sys::read(self.channel, &mut byte)? {
            0 => Err(Fault::because(why::ORPHAN, 0)),
            _ => Ok(()),
        }
    }

    fn ask(&self, index: u32, what: Ask) -> Try<()> {
        let message = Message { kind: kind::ASK, index, detail: what as u64, ..Message::default() };
        sys::send(self.channel, &message)?;
        self.wait()
    }

    fn warn(&self, index: u32, fault: Fault) {
        let Fault { step, errno, detail } = fault;
        self.say(Message { kind: kind::WARNING, index, step, errno, detail });
    }

    fn perform(&mut self, index: u32, op: &Op) -> Try<()> {
        let text = |text| self.program.text(text);
        let mounts = &mut self.mounts;
        mounts.index = index;
        match *op {
            Op::Signals => sys::reset_signals(),
            Op::Wait => self.wait(),
            Op::Undumpable => sys::prctl(PR_SET_DUMPABLE, 0, 0),
            Op::Dumpable => sys::prctl(PR_SET_DUMPABLE, 1, 0),
            Op::Ask { what } => self.ask(index, what),
            Op::Join { list } => process::join(self.program, list),
            Op::Fork { flags } => self.fork(index, flags),
            Op::Unshare { flags } => sys::unshare(flags),
            Op::TimeOffsets { lines } => files::write(c"/proc/self/timens_offsets", text(lines).to_bytes()),
            Op::BecomeRoot { uid, gid, keep_groups } => {
                process::become_root(uid, gid, keep_groups).map(|denied| self.groups_denied = denied)
            }
            Op::Session => sys::setsid(),
            Op::Keyring { name } => match sys::session_keyring(text(name)) {
                // A kernel without keyrings has none that could be the caller's.
                Err(fault) if fault.errno == sys::ENOSYS => Ok(()),
                other => other,
            },
            Op::Affinity { mask } => self.affinity(index, self.program.words(mask)),
            Op::Hostname { name } => sys::sethostname(text(name)),
            Op::Domainname { name } => sys::setdomainname(text(name)),
            Op::Loopback => sys::loopback_up(),
            Op::Propagation { flags } => mounts.propagation(flags),
            Op::PrivateParent { path } => mounts.private_parent(text(path)),
            Op::Root { path } => mounts.bind_root(text(path)),
            Op::RootDirectory { path, follow } => mounts.take_root(text(path), follow),
            Op::Mount { target, kind, source, instead, options, ref attributes, place, keep } => {
                let it = FileSystem {
                    target: text(target),
                    kind: text(kind),
                    source: text(source),
                    instead: (instead != op::Text::NONE).then(|| text(instead)),
                    options: self.program.texts(options),
                    attributes,
                    place,
                };
                mounts.mount(&it, keep)
            }
            Op::Bind { target, source, instead, recursive, ref attributes, place, keep } => {
                let graft = Graft { target: text(target), attributes, place, keep };
                let instead = (instead != op::Text::NONE).then(|| text(instead));
                mounts.bind(text(source), instead, recursive, &graft)
            }
            Op::Attach { target, tree, ref attributes, place, keep } => {
                let tree = files::Fd(self.program.slot(tree.0));
                mounts.attach(tree, &Graft { target: text(target), attributes, place, keep })
            }
            Op::Unmount { target, mount } => mounts.unmount(text(target), mount),
            Op::Reattribute { mount, ref attributes } => mounts.reattribute(mount, attributes),
            Op::Remount { target, ref attributes, place } => mounts.remount(text(target), attributes, place),
            Op::Hold { path, place, keep } => mounts.hold(text(path), place, keep),
            Op::Directory { base, path, place } => mounts.directory(base, text(path), place),
            Op::Node { name, mode, device, uid, gid, host } => {
                mounts.node(text(name), &Node { mode, device, uid, gid, host: text(host) })
            }
            Op::BindNode { name, source, mode, device } => mounts.bind_node(text(name), text(source), mode, device),
            Op::AttachNode { name, tree } => {
                let tree = files::Fd(self.program.slot(tree.0));
                mounts.attach_node(text(name), tree.0)
            }
            Op::Link { name, target } => mounts.link(text(name), text(target)),
            Op::LinkIf { name, target, host } => match sys::lstatat(sys::AT_FDCWD, text(host)) {
                Ok(_) => mounts.link(text(name), text(target)),
                Err(_) => Ok(()),
            },
            Op::Relink { name, target } => mounts.relink(text(name), text(target)),
            Op::Write { path, value, must } => match files::write(text(path), text(value).to_bytes()) {
                Err(fault) if !must && matches!(fault.errno, sys::EPERM | sys::EACCES) => {
                    self.warn(index, fault);
                    Ok(())
                }
                other => other,
            },
            Op::Pivot { shared } => mounts.pivot(shared),
            Op::Bury { path } => mount::bury(text(path)),
            Op::MoveRoot => mounts.move_root(),
            Op::Chroot => mounts.chroot(),
            Op::ReadOnly { path, mount, inside } => {
                mounts.read_only(&Hidden { path: text(path), mount: self.program.kept(mount), inside: text(inside) })
            }
            Op::Mask { path, mount, inside } => {
                mounts.mask(&Hidden { path: text(path), mount: self.program.kept(mount), inside: text(inside) })
            }
            Op::RootAttributes { ref attributes } => mounts.root_attributes(attributes),
            Op::MakeDirectory { path } => files::ensure_directory(mounts.root, text(path)),
            _ => self.prepare_process(index, op),
        }
    }

    /// The second half of the list: what is done to the process itself.
    fn prepare_process(&mut self, index: u32, op: &Op) -> Try<()> {
        let text = |text| self.program.text(text);
        match *op {
            Op::Chdir { .. } if self.entered => Ok(()),
            Op::Chdir { path, later } => match process::chdir(text(path)) {
                Err(fault) if later && fault.step == sys::CHDIR as u32 => Ok(()),
                other => other.map(|()| self.entered = true),
            },
            Op::OwnStdio { uid } => files::own_stdio(uid),
            Op::Terminal { rows, columns, console } => self.terminal(index, rows, columns, console),
            Op::Umask { mask } => {
                sys::umask(mask);
                Ok(())
            }
            Op::Limit { resource, soft, hard } => sys::setrlimit(resource, soft, hard),
            Op::Scheduler { policy, nice, priority, flags, runtime, deadline, period } => {
                let size = size_of::<sys::SchedAttr>() as u32;
                sys::sched_setattr(&sys::SchedAttr { size, policy, flags, nice, priority, runtime, deadline, period })
            }
            Op::IoPriority { value } => sys::ioprio_set(value),
            Op::Personality { domain } => sys::personality(domain),
            Op::MemoryPolicy { mode, nodes } => sys::set_mempolicy(mode, self.program.words(nodes)),
            Op::NoNewPrivileges => sys::prctl(38, 1, 0),
            Op::Bounding { keep } => process::bounding(keep),
            Op::Shed { keep } => process::shed(keep),
            Op::User { uid, gid, groups, set_groups, keep } => {
                if self.groups_denied && groups.len > 0 {
                    self.warn(index, Fault::because(why::GROUPS_DENIED, sys::EPERM));
                }
                let groups = (set_groups && !self.groups_denied).then(|| self.program.numbers(groups));
                process::user(uid, gid, groups, keep)
            }
            Op::Capabilities { effective, permitted, inheritable, ambient } => {
                let lost = process::capabilities(effective, permitted, inheritable, ambient)?;
                if lost != 0 {
                    self.warn(index, Fault { detail: lost, ..Fault::because(0, sys::EPERM) });
                }
                Ok(())
            }
            Op::Home { uid, envp, slot } => {
                self.program.put(envp, slot, process::home(uid));
                Ok(())
            }
            Op::Find { candidates } => {
                self.found = process::find(self.program, self.program.texts(candidates))?;
                Ok(())
            }
            Op::CloseOnExec { from } => {
                // Linux before 5.11 does not know how; then Close has to succeed.
                self.close_on_exec = sys::close_range_on_exec(from).is_ok();
                Ok(())
            }
            Op::Seccomp { filter, flags, agent } => {
                let listener = sys::seccomp(self.program.words(filter), flags)?;
                self.filtered = true;
                if agent == op::Text::NONE { Ok(()) } else { self.listener(index, listener) }
            }
            Op::Gate { fifo, from } => {
                let fifo = self.program.slot(fifo.0);
                if fifo as u32 > from {
                    self.close(from, fifo as u32 - 1)?;
                }
                self.close(fifo as u32 + 1, u32::MAX)?;
                // Opened for reading and writing by the parent, so it never ends: only a byte
                // from `start` lets this process go on.
                sys::read(fifo, &mut [0u8]).map(|_| ())
            }
            Op::Close { from } => self.close(from, u32::MAX),
            Op::Exec { argv, envp } => {
                let fault = sys::execve(self.found, self.program, argv, envp);
                process::complain(self.found, fault.errno, self.filtered);
                sys::exit(NOT_RUN)
            }
            _ => Err(Fault::because(why::ORPHAN, sys::EINVAL)),
        }
    }

    /// What a filter of the container forbids here is done by `execve(2)`, when it was told to.
    fn close(&self, first: u32, last: u32) -> Try<()> {
        match sys::close_range(first, last) {
            Err(_) if self.close_on_exec => Ok(()),
            other => other,
        }
    }

    fn fork(&self, index: u32, flags: u64) -> Try<()> {
        match sys::fork_sibling(flags)? {
            Fork::Child => self.wait(),
            Fork::Parent(pid) => {
                let message = Message { kind: kind::FORKED, index, detail: pid as u64, ..Message::default() };
                sys::send(self.channel, &message)?;
                sys::exit(0)
            }
        }
    }

    fn terminal(&self, index: u32, rows: u16, columns: u16, console: bool) -> Try<()> {
        let terminal = Terminal::open(self.mounts.root)?;
        if console {
            terminal.console(self.mounts.root)?;
        }
        terminal.take(rows, columns)?;
        let message = Message { kind: kind::TERMINAL, index, ..Message::default() };
        sys::send_descriptor(self.channel, &message, terminal.master.0)
    }

    /// Only once the agent has the listener may there be anything to ask it about, so nothing but
    /// `write(2)` comes in between. A copy left open here would have the container wait for an agent
    /// that has gone.
    fn listener(&self, index: u32, listener: i32) -> Try<()> {
        sys::send(self.channel, &Message { kind: kind::LISTENER, index, detail: listener as u64, ..Message::default() })?;
        self.wait()?;
        sys::close(listener);
        Ok(())
    }

    fn affinity(&self, index: u32, mask: &[u64]) -> Try<()> {
        match sys::sched_setaffinity(mask) {
            Err(fault) if mask.iter().all(|word| *word == u64::MAX) => {
                self.warn(index, fault);
                Ok(())
            }
            other => other,
        }
    }
}
