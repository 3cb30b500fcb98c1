//! Device rules as an eBPF program for a v2 cgroup; pure.
//!
//! The kernel runs the program for every mknod(2) and open(2) of a device. 0 means "refuse".

use crate::cgroup::device_rule::{Access, DeviceKind, DeviceRule};
use crate::sys::bpf::Insn;

/// The instructions of a device program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceProgram {
    insns: Vec<Insn>,
}

// Registers. R1 has the argument, `struct bpf_cgroup_dev_ctx *`; R0 returns the verdict.
const VERDICT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
/// The requested accesses that no rule has allowed yet.
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

// Operations, named as in the kernel's documentation (Documentation/bpf/instruction-set.rst).
const LDXW: u8 = 0x61;
const LDXH: u8 = 0x69;
const MOV: u8 = 0xb7;
const AND: u8 = 0x57;
const JA: u8 = 0x05;
const JEQ: u8 = 0x15;
const JNE: u8 = 0x55;
const JSET: u8 = 0x45;
const EXIT: u8 = 0x95;

/// The target of a jump in the program under construction.
#[derive(Clone, Copy)]
enum Goto {
    /// The instruction that returns this verdict, which is not the default.
    Decide(bool),
    /// The instruction after this number of others.
    Over(usize),
}

/// Consecutive rules with the same verdict. Their order does not matter.
struct Run {
    allow: bool,
    rules: Vec<DeviceRule>,
}

impl DeviceProgram {
    /// The program for `rules`; later rules win. `None` if they allow everything.
    ///
    /// An access without a rule is denied.
    pub fn new<'a>(rules: impl DoubleEndedIterator<Item = &'a DeviceRule>) -> Option<Self> {
        let (runs, default) = runs(rules);
        if runs.is_empty() && default {
            return None;
        }
        let mut code = Code::default();
        code.prologue(&runs);
        for run in &runs {
            code.run(run);
        }
        Some(DeviceProgram { insns: code.finish(default) })
    }

    /// The number of instructions.
    #[allow(clippy::len_without_is_empty, reason = "a program without instructions does not exist")]
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    /// The instructions, in order.
    pub fn insns(&self) -> &[Insn] {
        &self.insns
    }
}

/// The rules in runs, from the last rule to the first, and the verdict if no rule matches.
fn runs<'a>(rules: impl DoubleEndedIterator<Item = &'a DeviceRule>) -> (Vec<Run>, bool) {
    let mut runs: Vec<Run> = Vec::new();
    let mut default = false;
    for rule in rules.rev() {
        if rule.is_total() {
            default = rule.allow;
            break;
        }
        // Rules about different devices can change places. So a rule that overlaps none in the last run can join the
        // run before, which has the same verdict.
        let last = runs.len().wrapping_sub(1);
        let index = match runs.get(last) {
            Some(run) if run.allow == rule.allow => last,
            Some(run) if !run.rules.iter().any(|other| other.overlaps(rule)) => last.wrapping_sub(1),
            _ => runs.len(),
        };
        match runs.get_mut(index) {
            Some(run) => run.rules.push(*rule),
            None => runs.push(Run { allow: rule.allow, rules: vec![*rule] }),
        }
    }
    for run in &mut runs {
        simplify(&mut run.rules);
    }
    // A run with a rule that matches everything is the default, and the runs after it are never reached.
    if let Some(index) = runs.iter().position(|run| run.rules.iter().any(DeviceRule::is_total)) {
        default = runs[index].allow;
        runs.truncate(index);
    }
    while runs.last().is_some_and(|run| run.allow == default) {
        runs.pop();
    }
    (runs, default)
}

/// Joins rules of a run that differ only in access or kind, and removes rules that another one includes, until nothing
/// changes.
fn simplify(rules: &mut Vec<DeviceRule>) {
    let mut index = 0;
    while index < rules.len() {
        let rule = rules[index];
        let joined = rules.iter().enumerate().find_map(|(other, with)| {
            let joined = if other == index { None } else { join(&rule, with) };
            joined.map(|joined| (other, joined))
        });
        match joined {
            Some((other, joined)) => {
                rules[other] = joined;
                rules.remove(index);
                // The new rule may join with any of the others.
                index = 0;
            }
            None => index += 1,
        }
    }
    rules.sort_by_key(|rule| (rule.access == Access::ALL, rule.kind, rule.major, rule.minor));
}

/// The rule that means the same as both together, if there is one.
fn join(a: &DeviceRule, b: &DeviceRule) -> Option<DeviceRule> {
    if b.covers(a) {
        return Some(*b);
    }
    if (a.major, a.minor) != (b.major, b.minor) {
        return None;
    }
    if a.kind == b.kind {
        return Some(DeviceRule { access: Access(a.access.0 | b.access.0), ..*a });
    }
    let both = a.access == b.access && a.kind != DeviceKind::All && b.kind != DeviceKind::All;
    both.then_some(DeviceRule { kind: DeviceKind::All, ..*a })
}

/// A program under construction.
#[derive(Default)]
struct Code {
    insns: Vec<Insn>,
    /// The jumps to the verdicts, which are written last.
    decisions: Vec<(usize, bool)>,
}

impl Code {
    fn emit(&mut self, code: u8, to: u8, from: u8, off: i16, imm: i32) {
        self.insns.push(Insn { code, regs: to | from << 4, off, imm });
    }

    fn jump(&mut self, code: u8, register: u8, imm: u32, jump: Goto) {
        let off = match jump {
            Goto::Over(count) => count as i16,
            Goto::Decide(allow) => {
                self.decisions.push((self.insns.len(), allow));
                0
            }
        };
        self.emit(code, register, 0, off, imm.cast_signed());
    }

    /// Loads the values that the rules test. The type is the low half of `access_type`, the access the high half; the
    /// verifier allows reads of one half.
    fn prologue(&mut self, runs: &[Run]) {
        let any = |test: fn(&DeviceRule) -> bool| runs.iter().any(|run| run.rules.iter().any(test));
        if any(|rule| rule.kind != DeviceKind::All) {
            self.emit(LDXH, KIND, CONTEXT, 0, 0);
        }
        if any(|rule| rule.access != Access::ALL) {
            self.emit(LDXH, ACCESS, CONTEXT, 2, 0);
        }
        if any(|rule| rule.major.is_some()) {
            self.emit(LDXW, MAJOR, CONTEXT, 4, 0);
        }
        if any(|rule| rule.minor.is_some()) {
            self.emit(LDXW, MINOR, CONTEXT, 8, 0);
        }
    }

    /// Writes one run. Rules are grouped by their first test, so that one jump skips a group.
    fn run(&mut self, run: &Run) {
        for same_kind in run.rules.chunk_by(|a, b| a.kind == b.kind) {
            let kind = same_kind[0].kind;
            let number = if kind == DeviceKind::Block { 1 } else { 2 };
            let wide = |rule: &DeviceRule| rule.minor.is_none() && rule.access == Access::ALL;
            if let [rule @ DeviceRule { major: None, .. }] = same_kind
                && wide(rule)
            {
                self.jump(JEQ, KIND, number, Goto::Decide(run.allow));
                continue;
            }
            let mut body = Code::default();
            for same_major in same_kind.chunk_by(|a, b| a.major == b.major) {
                body.majors(same_major, run.allow);
            }
            if kind != DeviceKind::All {
                self.jump(JNE, KIND, number, Goto::Over(body.insns.len()));
            }
            self.append(body);
        }
    }

    /// Writes the rules of one kind and major number.
    fn majors(&mut self, rules: &[DeviceRule], allow: bool) {
        let mut body = Code::default();
        // The test of the major number decides alone: one `jeq` instead of `jne` and a jump.
        if let ([rule], true) = (rules, rules[0].access == Access::ALL)
            && let (Some(major), None) = (rule.major, rule.minor)
        {
            return self.jump(JEQ, MAJOR, major, Goto::Decide(allow));
        }
        for rule in rules {
            body.minor(rule, allow);
        }
        if let Some(major) = rules[0].major {
            self.jump(JNE, MAJOR, major, Goto::Over(body.insns.len()));
        }
        self.append(body);
    }

    /// Writes one rule, after the tests of kind and major number.
    fn minor(&mut self, rule: &DeviceRule, allow: bool) {
        let mut body = Code::default();
        match (rule.access == Access::ALL, allow) {
            (true, _) => {
                return match rule.minor {
                    Some(minor) => self.jump(JEQ, MINOR, minor, Goto::Decide(allow)),
                    None => self.jump(JA, 0, 0, Goto::Decide(allow)),
                };
            }
            (false, false) => {
                body.jump(JSET, ACCESS, rule.access.0.into(), Goto::Decide(false));
            }
            (false, true) => {
                let rest = Access::ALL.0 & !rule.access.0;
                body.emit(AND, ACCESS, 0, 0, rest.into());
                body.jump(JEQ, ACCESS, 0, Goto::Decide(true));
            }
        }
        if let Some(minor) = rule.minor {
            self.jump(JNE, MINOR, minor, Goto::Over(body.insns.len()));
        }
        self.append(body);
    }

    fn append(&mut self, other: Code) {
        let start = self.insns.len();
        self.insns.extend(other.insns);
        self.decisions.extend(other.decisions.into_iter().map(|(at, allow)| (start + at, allow)));
    }

    /// Writes the verdicts and sets the targets of the jumps. The default comes first, because the rules end in front
    /// of it. An unused verdict is left out: the verifier refuses unreachable code.
    fn finish(mut self, default: bool) -> Vec<Insn> {
        let ends = [default, !default];
        let mut at = [0; 2];
        for verdict in ends {
            let used = verdict == default || self.decisions.iter().any(|(_, to)| *to == verdict);
            if used {
                at[usize::from(verdict)] = self.insns.len();
                self.emit(MOV, VERDICT, 0, 0, verdict.into());
                self.emit(EXIT, 0, 0, 0, 0);
            }
        }
        for (from, verdict) in self.decisions {
            self.insns[from].off = (at[usize::from(verdict)] - from - 1) as i16;
        }
        self.insns
    }
}

#[cfg(test)]
#[path = "device_program_tests.rs"]
mod tests;
