//! Blocks of instructions that test arguments.
//!
//! `seccompiler` compiles conditions well, but supports only one action, one default and one architecture for a
//! program. So each run of rules with the same action is compiled alone, for an arbitrary number and architecture, and
//! the instructions around the rules are removed. All jumps are relative, so the rest works at any position.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::instruction::{RETURN, instruction};
use super::rules::{Condition, Rule, Test};
use crate::spec::refuse;

/// The placeholder action for a rule that matches. The real action replaces it.
const MATCH: u32 = 0x7ff0_beef;
/// The placeholder action for no match.
const MISMATCH: u32 = 0x7ff0_dead;
/// The number of instructions before the rules: load, compare and refuse the architecture; load and compare the number.
const BEFORE: usize = 5;

/// The instructions that return the action of the first matching rule, or else the default. The last rule has a jump to
/// the instruction after the block. It is never taken, but that instruction must exist.
pub(super) fn block(rules: &[Rule], default: u32, is_64_bit: bool) -> Result<Vec<u64>> {
    let mut code = Vec::new();
    for run in rules.chunk_by(|one, next| one.action == next.action) {
        append_run(&mut code, run, is_64_bit)?;
    }
    code.push(instruction(RETURN, 0, 0, default));
    Ok(code)
}

/// Appends the instructions of rules with one action. If none matches, execution continues after them.
fn append_run(code: &mut Vec<u64>, run: &[Rule], is_64_bit: bool) -> Result<()> {
    let rules = run.iter().map(|rule| compile_rule(rule, is_64_bit)).collect::<Result<Vec<_>, _>>()?;
    let (mismatch, matched) = (SeccompAction::Trace(MISMATCH & 0xffff), SeccompAction::Trace(MATCH & 0xffff));
    let filter = SeccompFilter::new(BTreeMap::from([(0, rules)]), mismatch, matched, TargetArch::x86_64)?;
    let program = match BpfProgram::try_from(filter) {
        Err(BackendError::FilterTooLarge(length)) => {
            return super::check_length(length.max(super::MAX_INSTRUCTIONS + 1));
        }
        program => program.context("linux.seccomp")?,
    };
    let [body @ .., last, _] = program.get(BEFORE..).unwrap_or_default() else {
        refuse!("linux.seccomp", "seccompiler has made an unexpected program");
    };
    if (last.code, last.k) != (RETURN, MISMATCH) {
        refuse!("linux.seccomp", "seccompiler has made an unexpected program");
    }
    let action = run.first().map_or(0, |rule| rule.action);
    code.extend(body.iter().map(|step| {
        let k = if (step.code, step.k) == (RETURN, MATCH) { action } else { step.k };
        instruction(step.code, step.jt, step.jf, k)
    }));
    Ok(())
}

fn compile_rule(rule: &Rule, is_64_bit: bool) -> Result<SeccompRule, BackendError> {
    let conditions = rule.conditions.iter().map(|condition| compile_condition(condition, is_64_bit));
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

fn compile_condition(condition: &Condition, is_64_bit: bool) -> Result<SeccompCondition, BackendError> {
    let width = if is_64_bit { SeccompCmpArgLen::Qword } else { SeccompCmpArgLen::Dword };
    let operator = match condition.test {
        Test::Equal => SeccompCmpOp::Eq,
        Test::NotEqual => SeccompCmpOp::Ne,
        Test::Less => SeccompCmpOp::Lt,
        Test::LessOrEqual => SeccompCmpOp::Le,
        Test::Greater => SeccompCmpOp::Gt,
        Test::GreaterOrEqual => SeccompCmpOp::Ge,
        Test::MaskedEqual(mask) => SeccompCmpOp::MaskedEq(mask),
    };
    SeccompCondition::new(condition.argument, width, operator, condition.value)
}
