//! A kernel that is only pretended: it knows where each descriptor of `init` leads, refuses what the fuzzer wants it to
//! refuse, and panics if `init` does what it must not do.

use std::collections::BTreeMap;

use super::credentials::Credentials;
use super::rights::RightsAsked;
use crate::init::calls;
use crate::init::fake::{FakeAnswer, FakeKernel, MadeCall};
use crate::init::op::{self, Op, Text, kind};
use crate::plan::{Descriptor, Plan};

/// The place that a descriptor leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenedIn {
    /// A descriptor that the runtime or the caller gave.
    Given,
    /// A path of the host, opened without rights to read or write.
    Host,
    /// The path of the root file system on the host.
    RootPath,
    /// The writable layer, or its work directory.
    Upper,
    /// The container's root, or a path looked up in it without leaving it, or a new file system.
    Inside,
    /// A copy of a mount of the host, which is not attached yet.
    Source,
    /// The kernel's procfs.
    Proc,
    /// A socket, a context of a mount.
    Other,
}

/// An open descriptor.
#[derive(Clone, Debug)]
pub struct OpenFile {
    pub origin: OpenedIn,
    pub path: Vec<u8>,
    pub closed_by_exec: bool,
}

/// The end of `init`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has not ended.
    None,
    /// It has executed the user's program.
    Executed,
    /// It has exited with this status.
    Exited(i32),
}

pub struct PretendedKernel {
    /// The fuzzer's answers, the next one last.
    answers: Vec<u8>,
    image: usize,
    channel: i32,
    /// The path of the root file system.
    pub(super) root: Vec<u8>,
    /// A file system is mounted there, by its name.
    pub(super) root_covered: bool,
    /// The layers of the root.
    pub(super) layers: Vec<Vec<u8>>,
    /// The directories of the writable layer.
    pub(super) upper: Vec<Vec<u8>>,
    /// Devices of the host: path, mode and number.
    pub(super) devices: Vec<(Vec<u8>, u32, u64)>,
    /// Mounts of the host that the plan detaches.
    pub(super) buried: Vec<Vec<u8>>,
    pub(super) files: BTreeMap<i32, OpenFile>,
    next: i32,
    calls: usize,
    /// The root is the container's.
    pub(super) entered: bool,
    pub(super) cwd: OpenedIn,
    credentials: Credentials,
    groups_refused: bool,
    /// The numbers of the calls after the load of the filter.
    after_filter: Vec<u32>,
    /// `init` has told the runtime of a failure, or could not.
    reported: bool,
    execve_failed: bool,
    pub ending: Ending,
}

/// More calls than any `init` makes for these inputs.
const MOST_CALLS: usize = 200_000;

impl PretendedKernel {
    /// The kernel for the `init` of a plan, whose program is at the address `image`.
    pub fn new(plan: &Plan, answers: &[u8], image: usize, channel: i32) -> PretendedKernel {
        let program = &plan.program;
        let bytes = |text: &Text| program.show(*text).as_bytes().to_vec();
        let bury = |op: &Op| match op {
            Op::Rootfs(op::Rootfs::Bury { path }) => Some(bytes(path)),
            _ => None,
        };
        let union = program.ops().iter().find_map(|op| match op {
            Op::Rootfs(op::Rootfs::Union { layers, upper, work, .. }) => Some((*layers, *upper, *work)),
            _ => None,
        });
        let device = |op: &Op| match op {
            Op::Entry(op::Entry::BindNode { source, mode, device, .. }) => Some((bytes(source), *mode, *device)),
            _ => None,
        };
        let layers = union.map(|(layers, ..)| program.show_texts(layers)).unwrap_or_default();
        let upper = union.filter(|(_, upper, _)| *upper != Text::NONE).map(|(_, upper, work)| [upper, work]);
        let given = OpenFile { origin: OpenedIn::Given, path: Vec::new(), closed_by_exec: false };
        let own = OpenFile { closed_by_exec: true, ..given.clone() };
        let files = [(0, given.clone()), (1, given.clone()), (2, given), (3, own.clone()), (channel, own)];
        PretendedKernel {
            answers: answers.iter().rev().copied().collect(),
            image,
            channel,
            root: plan.rootfs.to_string_lossy().into_owned().into_bytes(),
            root_covered: false,
            layers: layers.iter().map(bytes).collect(),
            upper: upper.iter().flatten().map(bytes).collect(),
            devices: program.ops().iter().filter_map(device).collect(),
            buried: program.ops().iter().filter_map(bury).collect(),
            files: files.into(),
            next: 100,
            calls: 0,
            entered: false,
            cwd: OpenedIn::Host,
            credentials: Credentials::of_root(),
            groups_refused: false,
            after_filter: Vec::new(),
            reported: false,
            execve_failed: false,
            ending: Ending::None,
        }
    }

    /// Gives `init` the descriptor of a slot.
    pub fn give(&mut self, fd: i32, descriptor: &Descriptor) {
        let origin = match descriptor {
            Descriptor::Tree(_) => OpenedIn::Source,
            Descriptor::Node(_) | Descriptor::Union(_) => OpenedIn::Inside,
            _ => OpenedIn::Given,
        };
        self.files.insert(fd, OpenFile { origin, path: Vec::new(), closed_by_exec: false });
    }

    /// The next byte of the fuzzer's answers.
    pub(super) fn choice(&mut self) -> u8 {
        self.answers.pop().unwrap_or_default()
    }

    pub(super) fn open(&mut self, origin: OpenedIn, path: &[u8], closed_by_exec: bool) -> isize {
        self.next += 1;
        assert!(self.next < 50_000, "too many descriptors");
        self.files.insert(self.next, OpenFile { origin, path: path.to_vec(), closed_by_exec });
        self.next as isize
    }

    pub(super) fn origin(&self, fd: usize) -> OpenedIn {
        self.files.get(&(fd as i32)).map_or(OpenedIn::Other, |file| file.origin)
    }

    /// The errno that the fuzzer wants, for a call that may fail with it.
    fn fault(&mut self, call: &MadeCall) -> Option<isize> {
        const ERRNOS: [isize; 12] = [1, 2, 4, 11, 12, 13, 16, 17, 20, 22, 38, 40];
        let never = [calls::CLOSE, calls::EXIT_GROUP, calls::MMAP, calls::UMASK, calls::CAPGET, calls::PRLIMIT64];
        if never.contains(&call.number) {
            return None;
        }
        let errno = match self.choice() {
            0..176 => return None,
            other => ERRNOS[usize::from(other) % ERRNOS.len()],
        };
        // The kernel says so only of a capability that it does not know.
        let bounds = call.number == calls::PRCTL && call.arguments[0] == 24;
        Some(if bounds && errno == 22 { -1 } else { -errno })
    }

    /// Checks the state in which `init` has ended.
    pub fn check(&self, asked: &RightsAsked, first_of_init: i32) {
        match self.ending {
            Ending::None => panic!("init has not ended"),
            Ending::Exited(0) => {}
            Ending::Exited(status) => {
                assert_eq!(status, 255, "another status");
                assert!(self.reported || self.execve_failed, "init has failed in silence");
            }
            Ending::Executed => {
                let leaves = |(fd, file): &(&i32, &OpenFile)| **fd >= first_of_init && !file.closed_by_exec;
                let left: Vec<_> = self.files.iter().filter(leaves).collect();
                assert!(left.is_empty(), "descriptors that reach the user's program: {left:?}");
                assert!(self.entered, "the root is not entered");
                asked.received(&self.credentials, self.groups_refused);
            }
        }
        let late = asked.loads_filter_late();
        for number in &self.after_filter {
            let must = match *number {
                calls::READ | calls::WRITE | calls::CLOSE | calls::CLOSE_RANGE | calls::PRLIMIT64 => true,
                calls::EXECVE | calls::EXIT_GROUP => true,
                calls::PRCTL | calls::CAPGET | calls::CAPSET | calls::SETGROUPS => !late,
                calls::SETRESUID | calls::SETRESGID | calls::CHDIR | calls::GETCWD => !late,
                calls::OPENAT | calls::FSTAT | calls::FACCESSAT | calls::FACCESSAT2 => !late,
                _ => false,
            };
            assert!(must, "after the filter: {}", calls::name(*number).unwrap_or_default());
        }
    }

    fn write(&mut self, call: &MadeCall) -> isize {
        let [fd, _, count, ..] = call.arguments;
        let origin = self.origin(fd);
        assert!(!matches!(origin, OpenedIn::Host | OpenedIn::RootPath | OpenedIn::Source), "a write to {origin:?}");
        if fd as i32 == self.channel && call.bytes(1, 4) == kind::FAILED.to_ne_bytes() {
            self.reported = true;
        }
        count as isize
    }

    fn read(&mut self, call: &MadeCall) -> isize {
        let [fd, _, count, ..] = call.arguments;
        if fd as i32 == self.channel {
            let gone = self.choice() == 1;
            self.reported |= gone;
            call.fill(1, &[1]);
            return if gone { 0 } else { 1 };
        }
        match self.origin(fd) {
            OpenedIn::Given | OpenedIn::Other => {
                call.fill(1, &vec![0; count.min(80)]);
                count.min(80) as isize
            }
            _ => {
                let left = self.answers.len().saturating_sub(count.min(16));
                let bytes = self.answers.split_off(left);
                call.fill(1, &bytes);
                bytes.len() as isize
            }
        }
    }

    fn descriptors(&mut self, call: &MadeCall) -> isize {
        let [first, second, third, ..] = call.arguments;
        match call.number {
            calls::CLOSE => drop(self.files.remove(&(first as i32))),
            calls::CLOSE_RANGE => {
                let range = |fd: i32| (first as u32..=second as u32).contains(&(fd as u32));
                match third {
                    4 => self
                        .files
                        .iter_mut()
                        .filter(|(fd, _)| range(**fd))
                        .for_each(|(_, file)| file.closed_by_exec = true),
                    _ => self.files.retain(|fd, _| !range(*fd)),
                }
            }
            calls::DUP3 => {
                let copy = OpenFile { closed_by_exec: false, origin: self.origin(first), path: Vec::new() };
                self.files.insert(second as i32, copy);
            }
            calls::FCNTL if second == 1030 => return self.open(self.origin(first), b"", true),
            _ => {}
        }
        0
    }
}

impl FakeKernel for PretendedKernel {
    fn answer(&mut self, call: &MadeCall) -> FakeAnswer {
        self.calls += 1;
        assert!(self.calls < MOST_CALLS, "init does not come to an end");
        if self.credentials.filtered {
            self.after_filter.push(call.number);
        }
        let [first, second, ..] = call.arguments;
        if let Some(errno) = self.fault(call) {
            self.groups_refused |= call.number == calls::SETGROUPS;
            self.execve_failed |= call.number == calls::EXECVE;
            self.reported |=
                matches!(call.number, calls::WRITE | calls::SENDMSG | calls::READ) && first as i32 == self.channel;
            return FakeAnswer::Result(errno);
        }
        if let Some(result) = self.credentials.call(call) {
            return FakeAnswer::Result(result);
        }
        FakeAnswer::Result(match call.number {
            calls::MMAP => self.image as isize,
            calls::EXIT_GROUP => {
                self.ending = Ending::Exited(first as i32);
                return FakeAnswer::End;
            }
            calls::EXECVE => {
                self.ending = Ending::Executed;
                return FakeAnswer::End;
            }
            calls::SECCOMP => {
                self.credentials.filtered = true;
                if second & 8 != 0 { self.open(OpenedIn::Other, b"", true) } else { 0 }
            }
            calls::CLONE3 | calls::CLONE => isize::from(self.choice() == 7) * 77,
            calls::READ => self.read(call),
            calls::WRITE => self.write(call),
            calls::CLOSE | calls::CLOSE_RANGE | calls::DUP3 | calls::FCNTL => self.descriptors(call),
            calls::PRLIMIT64 if call.arguments[3] != 0 => {
                call.fill(3, &[50_000u64.to_ne_bytes(), 50_000u64.to_ne_bytes()].concat());
                0
            }
            _ => self.on_files(call),
        })
    }
}
