//! A direct implementation of what a profile means: slow, but easy to verify.

use std::collections::HashMap;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompArg, LinuxSeccompOperator, LinuxSyscall};

use super::interpreter::Call;
use super::{ALLOW, Abi, ERRNO, KILL_THREAD, X32_BIT, X86_64};

/// A profile, interpreted rule by rule for each number of each architecture.
pub(super) struct Reading<'a> {
    profile: &'a LinuxSeccomp,
    abis: Vec<(Abi, Table<'a>)>,
}

#[derive(Default)]
pub(super) struct Table<'a> {
    rules: HashMap<u32, Vec<Mention<'a>>>,
    newest: Option<u32>,
}

/// A number that a rule names, directly or through another call, which is then identified by this mask and first
/// argument.
#[derive(Clone, Copy)]
pub(super) struct Mention<'a> {
    rule: &'a LinuxSyscall,
    through: Option<(u32, u32)>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(profile: &'a LinuxSeccomp, abis: &[Abi]) -> Self {
        Reading { profile, abis: abis.iter().map(|&abi| (abi, Table::of(profile, abi))).collect() }
    }

    /// The architectures, each with the highest number that the profile names.
    pub(super) fn newest(&self) -> impl Iterator<Item = (Abi, u32)> {
        self.abis.iter().filter_map(|(abi, table)| Some((*abi, table.newest?)))
    }

    fn default(&self) -> u32 {
        self.profile.default_action().as_u32(self.profile.default_errno_ret())
    }

    pub(super) fn says(&self, call: &Call) -> u32 {
        let has_x32 = self.abis.iter().any(|(abi, _)| *abi == Abi::X32);
        // Without x32, the number -1 is a call of x86_64 that a tracer has skipped.
        let x32 = call.arch == X86_64 && call.number >= X32_BIT && (has_x32 || call.number != u32::MAX);
        let abi = self.abis.iter().find(|(abi, _)| abi.audit_arch() == call.arch && (*abi == Abi::X32) == x32);
        let Some((abi, table)) = abi else { return KILL_THREAD };
        let newer = table.newest.is_some_and(|newest| call.number > newest);
        let Some(mentions) = table.rules.get(&call.number) else {
            let lenient = [ALLOW, 0x7ffc_0000].contains(&self.default()) || self.default() >> 16 == 0x7ff0;
            return if newer && !lenient { ERRNO | 38 } else { self.default() };
        };
        let action = |mention: &Mention| mention.rule.action().as_u32(mention.rule.errno_ret());
        let telling = || mentions.iter().filter(|mention| action(mention) != self.default());
        let always = |mention: &&Mention| mention.through.is_none() && args(mention.rule).is_empty();
        telling()
            .find(always)
            .or_else(|| telling().find(|mention| mention.holds(*abi, call)))
            .map_or(self.default(), action)
    }
}

impl<'a> Table<'a> {
    pub(super) fn of(profile: &'a LinuxSeccomp, abi: Abi) -> Self {
        let mut table = Table::default();
        for rule in profile.syscalls().iter().flatten() {
            for name in rule.names() {
                if let Some(number) = abi.number(name) {
                    table.newest = table.newest.max((!abi.is_private(number)).then_some(number));
                    table.rules.entry(number).or_default().push(Mention { rule, through: None });
                }
                if let Some(behind) = abi.multiplexed(name).filter(|_| args(rule).is_empty()) {
                    let through = Some((behind.mask, behind.call));
                    table.rules.entry(behind.number).or_default().push(Mention { rule, through });
                }
            }
        }
        table
    }
}

impl Mention<'_> {
    fn holds(&self, abi: Abi, call: &Call) -> bool {
        if let Some((mask, value)) = self.through {
            return call.args[0] as u32 & mask == value;
        }
        let args = args(self.rule);
        let repeated = repeats(self.rule);
        let holds = |arg: &LinuxSeccompArg| {
            let cut = |value: u64| if abi.is_64_bit() { value } else { value & 0xffff_ffff };
            let (is, value) = (cut(call.args[arg.index()]), cut(arg.value()));
            match arg.op() {
                LinuxSeccompOperator::ScmpCmpNe => is != value,
                LinuxSeccompOperator::ScmpCmpLt => is < value,
                LinuxSeccompOperator::ScmpCmpLe => is <= value,
                LinuxSeccompOperator::ScmpCmpEq => is == value,
                LinuxSeccompOperator::ScmpCmpGe => is >= value,
                LinuxSeccompOperator::ScmpCmpGt => is > value,
                LinuxSeccompOperator::ScmpCmpMaskedEq => is & value == cut(arg.value_two().unwrap_or(0)) & value,
            }
        };
        if repeated { args.iter().any(holds) } else { args.iter().all(holds) }
    }
}

/// Whether the rule has several conditions on one argument.
pub(super) fn repeats(rule: &LinuxSyscall) -> bool {
    let args = args(rule);
    args.iter().any(|arg| args.iter().filter(|other| other.index() == arg.index()).count() > 1)
}

pub(super) fn args(rule: &LinuxSyscall) -> &[LinuxSeccompArg] {
    rule.args().as_deref().unwrap_or_default()
}
