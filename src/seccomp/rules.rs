//! The outcome of every system call number in a profile.

use anyhow::Result;
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

use super::names::{Abi, Multiplexed, X32_BIT};
use crate::spec::{Field, refuse};

/// The kernel's `SECCOMP_RET_KILL_THREAD`.
pub(super) const KILL_THREAD: u32 = 0;
/// The kernel's `SECCOMP_RET_ERRNO | ENOSYS`.
const ERRNO_ENOSYS: u32 = 0x0005_0000 | 38;
/// The kernel's `SECCOMP_RET_USER_NOTIF`.
const NOTIFY: u32 = 0x7fc0_0000;
/// The system call by which `init` reports the listener to the runtime.
const BRINGS_OUT: &str = "write";
/// The largest errno that the kernel lets a system call return.
const MAX_ERRNO: u32 = 4095;
/// The number of arguments of a system call.
const ARGUMENTS: usize = 6;

/// A profile, parsed and checked.
#[derive(Debug)]
pub(super) struct Policy<'a> {
    default: u32,
    /// Whether calls newer than the profile answer `ENOSYS`.
    newer_is_enosys: bool,
    rules: Vec<NamedRule<'a>>,
}

/// One element of `linux.seccomp.syscalls`.
#[derive(Debug)]
struct NamedRule<'a> {
    names: &'a [String],
    action: u32,
    /// The rule matches if all conditions of one alternative hold, or if there are none.
    alternatives: Vec<Vec<Condition>>,
}

/// A reason for which a number has an outcome of its own.
#[derive(Clone, Copy, Debug)]
enum Reason<'a> {
    Rule(&'a NamedRule<'a>),
    /// A rule without conditions names the call behind this one, with the action.
    Behind(Multiplexed, u32),
    /// The number ends the table.
    Default,
}

/// Numbers of calls with indices, in one word each: a profile has a thousand, and words are sorted fast.
struct Numbers(Vec<u64>);

impl Numbers {
    fn push(&mut self, number: u32, index: usize) {
        self.0.push(u64::from(number) << 32 | index as u64);
    }

    /// Each number with its indices, both in ascending order.
    fn sorted(&mut self) -> impl Iterator<Item = (u32, impl Iterator<Item = usize>)> {
        self.0.sort_unstable();
        let number = |word: u64| (word >> 32) as u32;
        let same = self.0.chunk_by(move |one, other| number(*one) == number(*other));
        same.map(move |words| (number(words[0]), words.iter().map(|word| *word as u32 as usize)))
    }
}

/// A test of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) argument: u8,
    pub(super) test: Test,
    pub(super) value: u64,
}

/// The comparison of an argument with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// Both are masked with this before they are compared.
    MaskedEqual(u64),
}

/// The action if all conditions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) action: u32,
    pub(super) conditions: Vec<Condition>,
}

/// The outcome of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// One action for all arguments.
    Action(u32),
    /// The action of the first matching rule, or else the default.
    First { rules: Vec<Rule>, default: u32, is_64_bit: bool },
}

/// Numbers with the same outcome: from `first` up to the next interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) first: u32,
    pub(super) outcome: Outcome,
}

/// The calls with one `AUDIT_ARCH_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AbiRules {
    pub(super) audit_arch: u32,
    /// In ascending order; the first interval starts at zero.
    pub(super) intervals: Vec<Interval>,
}

impl<'a> Policy<'a> {
    pub(super) fn read(profile: &'a LinuxSeccomp) -> Result<Self> {
        use LinuxSeccompAction::{ScmpActAllow, ScmpActLog, ScmpActNotify, ScmpActTrace};

        let default = profile.default_action();
        if default == ScmpActNotify {
            refuse!("linux.seccomp.defaultAction", "{default} cannot be used as default action");
        }
        let rules = profile.syscalls().iter().flatten().enumerate();
        Ok(Policy {
            default: action(default, profile.default_errno_ret(), &Field::of("linux.seccomp"), "defaultErrnoRet")?,
            newer_is_enosys: !matches!(default, ScmpActAllow | ScmpActLog | ScmpActTrace),
            rules: rules.map(|(index, rule)| NamedRule::read(index, rule)).collect::<Result<_>>()?,
        })
    }

    /// Whether any rule notifies an agent, even for a call that this host lacks.
    pub(super) fn notifies(&self) -> bool {
        self.rules.iter().any(|rule| rule.action == NOTIFY && !rule.names.is_empty())
    }

    /// The sections for these architectures, in the same order.
    pub(super) fn sections(&self, abis: &[Abi]) -> Vec<AbiRules> {
        let mut sections: Vec<AbiRules> = Vec::new();
        for &abi in abis {
            let audit_arch = abi.audit_arch();
            if !sections.iter().any(|section| section.audit_arch == audit_arch) {
                sections.push(AbiRules { audit_arch, intervals: self.section(abi, abis) });
            }
        }
        sections
    }

    /// The intervals of the section that `abi` is in. For x86_64 this section also has the numbers of x32.
    fn section(&self, abi: Abi, abis: &[Abi]) -> Vec<Interval> {
        if !matches!(abi, Abi::X86_64 | Abi::X32) {
            return self.intervals(abi, 0);
        }
        let killed = |first| vec![Interval { first, outcome: Outcome::Action(KILL_THREAD) }];
        let mut intervals = if abis.contains(&Abi::X86_64) { self.intervals(Abi::X86_64, 0) } else { killed(0) };
        if abis.contains(&Abi::X32) {
            intervals.append(&mut self.intervals(Abi::X32, X32_BIT));
            return intervals;
        }
        // A tracer skips a call by setting its number to -1, which is not a call of x32.
        let skipped = intervals.last().map(|last| Interval { first: u32::MAX, outcome: last.outcome.clone() });
        intervals.append(&mut killed(X32_BIT));
        intervals.extend(skipped);
        intervals
    }

    /// The outcomes of all numbers from `first` on.
    fn intervals(&self, abi: Abi, first: u32) -> Vec<Interval> {
        let (named, newest) = self.named(abi);
        let unnamed = |number: u32| match newest {
            Some(newest) if self.newer_is_enosys && number > newest => Outcome::Action(ERRNO_ENOSYS),
            _ => Outcome::Action(self.default),
        };
        let mut intervals = vec![Interval { first, outcome: unnamed(first) }];
        let mut next = first;
        for (number, outcome) in named {
            if number > next {
                begin(&mut intervals, next, unnamed(next));
            }
            begin(&mut intervals, number, outcome);
            next = number + 1;
        }
        begin(&mut intervals, next, unnamed(next));
        intervals
    }

    /// The outcomes of the numbers named in rules, in ascending order, and the highest of them. The highest number
    /// always gets an entry, since the numbers above it answer ENOSYS.
    fn named(&self, abi: Abi) -> (Vec<(u32, Outcome)>, Option<u32>) {
        let names = self.rules.iter().map(|rule| rule.names.len()).sum();
        let mut reasons: Vec<Reason<'_>> = Vec::with_capacity(names);
        let mut numbers = Numbers(Vec::with_capacity(names));
        let mut newest = None;
        let mut private = Vec::new();
        for rule in &self.rules {
            let says_default = rule.action == self.default;
            for name in rule.names {
                let number = abi.number(name);
                match number {
                    Some(number) if abi.is_private(number) => private.push(number),
                    _ => newest = newest.max(number),
                }
                if says_default {
                    continue;
                }
                if let Some(number) = number {
                    numbers.push(number, reasons.len());
                    reasons.push(Reason::Rule(rule));
                }
                // A filter cannot read the arguments of a multiplexed call, because they are in memory.
                if let Some(behind) = abi.multiplexed(name).filter(|_| rule.alternatives.is_empty()) {
                    numbers.push(behind.number, reasons.len());
                    reasons.push(Reason::Behind(behind, rule.action));
                }
            }
        }
        for number in newest.into_iter().chain(private) {
            numbers.push(number, reasons.len());
            reasons.push(Reason::Default);
        }
        let same = numbers.sorted();
        (same.map(|(number, at)| (number, self.outcome(abi, at.map(|at| reasons[at])))).collect(), newest)
    }

    /// The outcome of a number, for these reasons.
    fn outcome<'b>(&self, abi: Abi, reasons: impl Iterator<Item = Reason<'b>>) -> Outcome {
        let mut rules = Vec::new();
        for reason in reasons {
            match reason {
                // A rule without conditions decides, whatever follows.
                Reason::Rule(rule) if rule.alternatives.is_empty() => return Outcome::Action(rule.action),
                Reason::Rule(NamedRule { action, alternatives, .. }) => rules.extend(
                    alternatives.iter().map(|conditions| Rule { action: *action, conditions: conditions.clone() }),
                ),
                Reason::Behind(behind, action) => rules.push(Rule { action, conditions: vec![behind.into()] }),
                Reason::Default => {}
            }
        }
        match rules.is_empty() {
            true => Outcome::Action(self.default),
            false => Outcome::First { rules, default: self.default, is_64_bit: abi.is_64_bit() },
        }
    }
}

impl<'a> NamedRule<'a> {
    fn read(index: usize, rule: &'a LinuxSyscall) -> Result<Self> {
        let field = Field::item("linux.seccomp.syscalls", index);
        let action = action(rule.action(), rule.errno_ret(), &field, "errnoRet")?;
        if let Some(at) = rule.names().iter().position(|name| action == NOTIFY && name == BRINGS_OUT) {
            refuse!(field.member("names").element(at), "{} cannot be used for the {BRINGS_OUT} syscall", rule.action());
        }
        let conditions = rule.args().iter().flatten().enumerate();
        let conditions =
            conditions.map(|(index, arg)| Condition::read(&field, index, arg)).collect::<Result<Vec<_>>>()?;
        Ok(NamedRule { names: rule.names(), action, alternatives: alternatives(conditions) })
    }
}

/// Conditions on the same argument become alternatives, each with all conditions on other arguments.
fn alternatives(conditions: Vec<Condition>) -> Vec<Vec<Condition>> {
    let mut seen = [false; ARGUMENTS];
    let repeated =
        conditions.iter().any(|condition| std::mem::replace(&mut seen[usize::from(condition.argument)], true));
    if repeated {
        conditions.into_iter().map(|condition| vec![condition]).collect()
    } else if conditions.is_empty() {
        Vec::new()
    } else {
        vec![conditions]
    }
}

impl Condition {
    fn read(rule: &Field, index: usize, arg: &LinuxSeccompArg) -> Result<Self> {
        let argument = match u8::try_from(arg.index()) {
            Ok(argument) if usize::from(argument) < ARGUMENTS => argument,
            _ => refuse!(
                rule.member("args").element(index).member("index"),
                "there is no argument {}, only 0 to 5",
                arg.index()
            ),
        };
        let (test, value) = match arg.op() {
            LinuxSeccompOperator::ScmpCmpEq => (Test::Equal, arg.value()),
            LinuxSeccompOperator::ScmpCmpNe => (Test::NotEqual, arg.value()),
            LinuxSeccompOperator::ScmpCmpLt => (Test::Less, arg.value()),
            LinuxSeccompOperator::ScmpCmpLe => (Test::LessOrEqual, arg.value()),
            LinuxSeccompOperator::ScmpCmpGt => (Test::Greater, arg.value()),
            LinuxSeccompOperator::ScmpCmpGe => (Test::GreaterOrEqual, arg.value()),
            LinuxSeccompOperator::ScmpCmpMaskedEq => {
                (Test::MaskedEqual(arg.value()), arg.value_two().unwrap_or_default())
            }
        };
        Ok(Condition { argument, test, value })
    }
}

impl From<Multiplexed> for Condition {
    fn from(behind: Multiplexed) -> Self {
        Condition { argument: 0, test: Test::MaskedEqual(behind.mask.into()), value: behind.call.into() }
    }
}

/// The kernel's `SECCOMP_RET_*` with its data for an action of the profile.
fn action(action: LinuxSeccompAction, errno: Option<u32>, place: &Field, errno_field: &str) -> Result<u32> {
    use LinuxSeccompAction::{ScmpActErrno, ScmpActTrace};

    let largest = match action {
        ScmpActErrno => MAX_ERRNO,
        ScmpActTrace => u32::from(u16::MAX),
        _ if errno.is_some() => refuse!(place.member(errno_field), "{action} does not take an errno"),
        _ => 0,
    };
    match errno {
        Some(errno) if errno > largest => {
            refuse!(place.member(errno_field), "{errno} is over the largest errno, {largest}")
        }
        _ => Ok(action.as_u32(errno)),
    }
}

/// Starts an interval with `outcome` at `first`, which is not below the last interval's start.
fn begin(intervals: &mut Vec<Interval>, first: u32, outcome: Outcome) {
    intervals.pop_if(|last| last.first == first);
    if intervals.last().is_none_or(|last| last.outcome != outcome) {
        intervals.push(Interval { first, outcome });
    }
}
