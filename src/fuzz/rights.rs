//! The invariants of a program for `init`, apart from its memory: the rights that the user's program gets are those of
//! the document, and the order of the operations is safe.

use serde_json::Value;

use super::credentials::Credentials;
use super::memory;
use crate::init::op::{self, Ask, Op};
use crate::plan::Program;
use crate::tables::capability;

/// The sets of `process.capabilities`, in the order of [`RightsAsked::sets`].
const SETS: [&str; 5] = ["bounding", "effective", "permitted", "inheritable", "ambient"];

/// The rights that a document asks for, read without tare's own parser.
#[derive(Debug)]
pub struct RightsAsked {
    uid: u64,
    gid: u64,
    groups: Vec<u64>,
    /// `None`: the kernel derives them from the uid.
    sets: Option<[u64; 5]>,
    no_new_privileges: bool,
    filtered: bool,
}

impl RightsAsked {
    /// The rights of `process` in a container whose first process is `first`, from which it inherits.
    pub fn of(process: &Value, first: &Value, filtered: bool) -> RightsAsked {
        let number = |place: &str| process.pointer(place).and_then(Value::as_u64).unwrap_or_default();
        let inherited = |key: &str| Some(&process[key]).filter(|own| !own.is_null()).unwrap_or(&first[key]).clone();
        let capabilities = inherited("capabilities");
        RightsAsked {
            uid: number("/user/uid"),
            gid: number("/user/gid"),
            groups: process["user"]["additionalGids"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_u64)
                .collect(),
            sets: (!capabilities.is_null()).then(|| SETS.map(|set| mask(&capabilities[set]))),
            no_new_privileges: inherited("noNewPrivileges") == Value::Bool(true),
            filtered,
        }
    }
}

impl RightsAsked {
    /// Whether the filter is loaded last, because `no_new_privs` makes that possible.
    pub fn loads_filter_late(&self) -> bool {
        self.no_new_privileges
    }

    /// Checks the credentials with which the user's program runs.
    pub fn received(&self, got: &Credentials, groups_refused: bool) {
        assert_eq!((u64::from(got.uid), u64::from(got.gid)), (self.uid, self.gid), "the user is another one");
        assert_eq!((got.no_new_privileges, got.filtered), (self.no_new_privileges, self.filtered), "{got:?}");
        assert!(!got.keeps_capabilities, "the capabilities survive another change of the user");
        let foreign = |gid: &u32| !self.groups.contains(&u64::from(*gid));
        assert!(groups_refused || !got.groups.iter().flatten().any(foreign), "a group that is not asked for: {got:?}");
        let sets = [got.bounding, got.effective, got.permitted, got.inheritable, got.ambient];
        match self.sets {
            None => assert_eq!((got.inheritable, got.ambient), (0, 0), "capabilities that are not asked for"),
            Some(asked) => {
                let wider = sets.iter().zip(asked).any(|(set, asked)| set & !asked != 0);
                assert!(!wider, "capabilities that are not asked for: {got:?}, {asked:?}");
            }
        }
    }
}

fn mask(set: &Value) -> u64 {
    let names = set.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.filter_map(capability::number).fold(0, |mask, number| mask | 1 << number)
}

/// The place of the one operation of a kind.
fn one(ops: &[Op], what: &str, is: impl Fn(&Op) -> bool) -> usize {
    let mut found = ops.iter().enumerate().filter(|(_, op)| is(op));
    let first = found.next().unwrap_or_else(|| panic!("no operation {what}")).0;
    assert!(found.next().is_none(), "two operations {what}");
    first
}

/// Checks the program of a process.
pub fn check(program: &Program, asked: &RightsAsked) {
    memory::check(program);
    let ops = program.ops();
    let exec = one(ops, "exec", |op| matches!(op, Op::Process(op::Process::Exec { .. })));
    assert_eq!(exec, ops.len() - 1, "an operation after execve");
    let user = one(ops, "user", |op| matches!(op, Op::Rights(op::Rights::User { .. })));
    let late = |op: &Op| matches!(op, Op::Enter(op::Enter::Affinity { .. } | op::Enter::Dumpable));
    for op in &ops[user..] {
        let elsewhere = matches!(op, Op::Enter(_) | Op::Rootfs(_) | Op::Mount(_) | Op::Entry(_)) && !late(op);
        assert!(!elsewhere, "after the change of the user: {op:?}");
    }
    identity(program, user, asked);
    capabilities(ops, user, asked);
    let privileges = |op: &Op| matches!(op, Op::Rights(op::Rights::NoNewPrivileges));
    match asked.no_new_privileges {
        true => assert!(one(ops, "no_new_privs", privileges) < user, "no_new_privs is late"),
        false => assert!(!ops.iter().any(privileges), "no_new_privs is not asked for"),
    }
    filter(ops, user, asked);
    root(ops);
}

fn identity(program: &Program, at: usize, asked: &RightsAsked) {
    let Op::Rights(op::Rights::User { uid, gid, groups, set_groups, keep }) = program.ops()[at] else { unreachable!() };
    assert_eq!((u64::from(uid), u64::from(gid)), (asked.uid, asked.gid), "the user is another one");
    assert!(uid != u32::MAX && gid != u32::MAX, "an id that means: leave it as it is");
    assert_eq!(keep, asked.sets.is_some(), "the capabilities survive the change of the user");
    let given = program.show_numbers(groups);
    assert!(given.iter().all(|gid| asked.groups.contains(&u64::from(*gid))), "a group that is not asked for");
    assert!(given.is_empty() || !set_groups || given.len() == asked.groups.len(), "some groups are missing");
}

fn capabilities(ops: &[Op], user: usize, asked: &RightsAsked) {
    let set = one(ops, "capabilities", |op| matches!(op, Op::Rights(op::Rights::Capabilities { .. })));
    let Op::Rights(op::Rights::Capabilities { effective, permitted, inheritable, ambient }) = ops[set] else {
        unreachable!()
    };
    let bounds: Vec<(usize, u64)> = ops
        .iter()
        .enumerate()
        .filter_map(|(at, op)| match op {
            Op::Rights(op::Rights::Bounding { keep }) => Some((at, *keep)),
            _ => None,
        })
        .collect();
    match (asked.sets, bounds.as_slice()) {
        (None, []) => {
            assert_eq!((inheritable, ambient), (0, 0), "capabilities that are not asked for");
            assert!(set < user, "the inheritable set is emptied late");
        }
        (Some(sets), [(at, bounding)]) => {
            assert_eq!([*bounding, effective, permitted, inheritable, ambient], sets, "other capabilities");
            assert!(*at < user && user < set, "the sets are limited in another order");
        }
        (_, bounds) => panic!("bounding sets: {bounds:?}"),
    }
}

/// Nothing but what must be follows the load of the filter.
fn filter(ops: &[Op], user: usize, asked: &RightsAsked) {
    let is_filter = |op: &Op| matches!(op, Op::Rights(op::Rights::Seccomp { .. }));
    if !asked.filtered {
        return assert!(!ops.iter().any(is_filter), "a filter that is not asked for");
    }
    let at = one(ops, "seccomp", is_filter);
    let late = asked.no_new_privileges;
    assert_eq!(late, at > user, "the filter is loaded at another place");
    for op in &ops[at + 1..] {
        let must = match op {
            Op::Talk(op::Talk::Ask { what: Ask::Ready } | op::Talk::Gate { .. }) => true,
            Op::Process(op::Process::Close { .. } | op::Process::Exec { .. }) => true,
            // Without no_new_privs the load takes privileges, so these steps follow.
            Op::Rights(op::Rights::Bounding { .. } | op::Rights::User { .. } | op::Rights::Capabilities { .. }) => {
                !late
            }
            Op::Process(op::Process::Chdir { .. } | op::Process::Find { .. } | op::Process::Limit { .. }) => !late,
            Op::Enter(op::Enter::Affinity { .. }) => !late,
            _ => false,
        };
        assert!(must, "after the filter: {op:?}");
    }
}

/// Files and mounts are made after the container's root is taken and before the process enters it.
fn root(ops: &[Op]) {
    use op::Rootfs as Root;
    let takes = |op: &Op| {
        matches!(op, Op::Rootfs(Root::Bind { .. } | Root::Union { .. } | Root::Attach { .. } | Root::Open { .. }))
    };
    let leaves = |op: &Op| matches!(op, Op::Rootfs(Root::Pivot { .. } | Root::Move | Root::Chroot));
    let (taken, left) = (ops.iter().position(takes), ops.iter().position(leaves));
    for (at, op) in ops.iter().enumerate() {
        if matches!(op, Op::Mount(_) | Op::Entry(_)) {
            assert!(taken.is_some_and(|taken| taken < at), "before the root is taken: {op:?}");
            assert!(left.is_none_or(|left| at < left), "after the root is left: {op:?}");
        }
    }
}
