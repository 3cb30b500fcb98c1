//! The program: a switch over the architectures, then a balanced tree over the numbers.
//!
//! A filter can only jump forward. So the program is written from its end to its start: then the target of a jump
//! exists already, and its distance is known.

use std::collections::HashMap;

use anyhow::Result;

use super::conditions;
use super::instruction::{IF_EQUAL, IF_NOT_LESS, JUMP, LOAD, RETURN, instruction};
use super::rules::{AbiRules, Interval, KILL_THREAD, Outcome};

/// The offset of the number in `struct seccomp_data`.
const NUMBER: u32 = 0;
/// The offset of the architecture in `struct seccomp_data`.
const ARCH: u32 = 4;

/// The program for these sections. Calls of all other architectures kill the thread.
pub(super) fn program(sections: &[AbiRules]) -> Result<Vec<u64>> {
    let mut writer = Assembler::default();
    // The last instruction must be a return.
    let mut next = Jump::At(writer.write(RETURN, 0, 0, KILL_THREAD));
    for section in sections.iter().rev() {
        let root = writer.tree(&section.intervals)?;
        writer.run_into(root);
        let entry = Jump::At(writer.write(LOAD, 0, 0, NUMBER));
        next = writer.branch(IF_EQUAL, section.audit_arch, entry, next);
    }
    writer.run_into(next);
    writer.write(LOAD, 0, 0, ARCH);
    writer.backwards.reverse();
    Ok(writer.backwards)
}

/// The target of a branch.
#[derive(Clone, Copy, Debug)]
enum Jump {
    /// An action. If the nearest return of this action is too far, another one is written.
    Return(u32),
    /// An instruction that has been written.
    At(usize),
}

/// A program that grows from its end. Positions count from the end.
#[derive(Default)]
struct Assembler {
    backwards: Vec<u64>,
    /// The nearest return of each action, of which a profile has few.
    returns: Vec<(u32, usize)>,
    /// The blocks that test arguments. Architectures share them.
    blocks: HashMap<Vec<u64>, usize>,
}

impl Assembler {
    /// Writes the search for the interval of a number.
    fn tree(&mut self, intervals: &[Interval]) -> Result<Jump> {
        let (low, high) = intervals.split_at(intervals.len() / 2);
        match (low, high) {
            ([], [only]) => self.outcome(&only.outcome),
            ([], _) => Ok(Jump::Return(KILL_THREAD)),
            (_, [middle, ..]) => {
                let greater = self.tree(high)?;
                let less = self.tree(low)?;
                Ok(self.branch(IF_NOT_LESS, middle.first, greater, less))
            }
            (_, []) => self.tree(low),
        }
    }

    fn outcome(&mut self, outcome: &Outcome) -> Result<Jump> {
        let (rules, default, is_64_bit) = match outcome {
            Outcome::Action(action) => return Ok(Jump::Return(*action)),
            Outcome::First { rules, default, is_64_bit } => (rules, *default, *is_64_bit),
        };
        let block = conditions::block(rules, default, is_64_bit)?;
        if let Some(&place) = self.blocks.get(&block) {
            return Ok(Jump::At(place));
        }
        self.backwards.extend(block.iter().rev());
        let place = self.backwards.len() - 1;
        self.blocks.insert(block, place);
        Ok(Jump::At(place))
    }

    /// Writes a test of the word that is loaded.
    fn branch(&mut self, test: u16, k: u32, yes: Jump, no: Jump) -> Jump {
        // To reach `no`, one more instruction may be inserted.
        let yes = self.reach(yes, 1);
        let no = self.reach(no, 0);
        let here = self.backwards.len();
        Jump::At(self.write(test, distance(here, yes), distance(here, no), k))
    }

    /// The position of an instruction that leads to `target`. It is near enough for a branch `slack` instructions
    /// further on.
    fn reach(&mut self, target: Jump, slack: usize) -> usize {
        let here = self.backwards.len();
        let near = |place: usize| here + slack - place - 1 <= usize::from(u8::MAX);
        match target {
            Jump::At(place) if near(place) => place,
            Jump::At(place) => self.write(JUMP, 0, 0, (here - place - 1) as u32),
            Jump::Return(action) => self.near_return(action, near),
        }
    }

    /// The position of a return that is near enough.
    fn near_return(&mut self, action: u32, near: impl Fn(usize) -> bool) -> usize {
        let known = self.returns.iter().position(|(of, _)| *of == action);
        if let Some(place) = known.map(|known| self.returns[known].1).filter(|place| near(*place)) {
            return place;
        }
        let place = self.write(RETURN, 0, 0, action);
        match known {
            Some(known) => self.returns[known].1 = place,
            None => self.returns.push((action, place)),
        }
        place
    }

    /// Makes the next instruction continue at `target`.
    fn run_into(&mut self, target: Jump) {
        let here = self.backwards.len();
        match target {
            Jump::At(place) if place + 1 == here => {}
            Jump::At(place) => _ = self.write(JUMP, 0, 0, (here - place - 1) as u32),
            Jump::Return(action) => _ = self.write(RETURN, 0, 0, action),
        }
    }

    /// Writes one instruction and returns its position.
    fn write(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> usize {
        self.backwards.push(instruction(code, jt, jf, k));
        self.backwards.len() - 1
    }
}

/// The number of instructions between a branch and a near position.
fn distance(from: usize, to: usize) -> u8 {
    (from - to - 1) as u8
}
