//! For any config and any answers of the kernel `init` does not panic and comes to an end, changes nothing outside the
//! root before it enters it, and runs the user's program only with the rights that the config asks for.
//!
//! `init` runs with a kernel of the fuzzer's own. After the separator follow its answers: the first byte chooses the
//! host, and each call takes one byte. When there are none left, every call succeeds.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use super::config::calls;
use super::kernel::{Ending, PretendedKernel};
use super::mutate::SEPARATOR;
use super::rights::RightsAsked;
use super::{memory, seeds};
use crate::init::fake;
use crate::plan::{Descriptor, Plan, compile};
use crate::spec;

/// The socket to the runtime.
const CHANNEL: i32 = 4;
/// The number of the first slot's descriptor.
const FIRST_SLOT: i32 = 10;

pub fn run(data: &[u8]) -> bool {
    outcome(data).is_some()
}

/// The end of `init`; `None` if it does not run.
pub fn outcome(data: &[u8]) -> Option<Ending> {
    let (config, answers) = data.split_at(data.iter().position(|byte| *byte == SEPARATOR).unwrap_or(data.len()));
    let (choice, answers) = answers.get(1..).and_then(<[u8]>::split_first).unwrap_or((&0, &[]));
    let parsed = spec::parse(config).ok()?;
    let document: Value = serde_json::from_slice(config).ok()?;
    let hosts = calls();
    let (facts, options) = &hosts[usize::from(*choice) % hosts.len()];
    let plan = compile(&parsed, facts, options).ok()?;
    memory::check(&plan.program);
    let process = &document["process"];
    let asked = RightsAsked::of(process, process, !document["linux"]["seccomp"].is_null());
    Some(simulate(&plan, answers, &asked, 3 + options.preserve_fds as i32))
}

fn simulate(plan: &Plan, answers: &[u8], asked: &RightsAsked, first_of_init: i32) -> Ending {
    let program = &plan.program;
    let slot = |(at, descriptor): (usize, &Descriptor)| match descriptor {
        Descriptor::Kept(_) => -1,
        _ => FIRST_SLOT + at as i32,
    };
    let slots: Vec<i32> = program.slots().iter().enumerate().map(slot).collect();
    let image = fake::memory(program.data(), program.ops(), &slots, CHANNEL);
    let mut kernel = PretendedKernel::new(plan, answers, image.as_ptr() as usize, CHANNEL);
    for (fd, descriptor) in slots.iter().zip(program.slots()) {
        kernel.give(*fd, descriptor);
    }
    let kernel = Rc::new(RefCell::new(kernel));
    fake::run(kernel.clone(), image.len() * 8);
    let kernel = kernel.borrow();
    kernel.check(asked, first_of_init);
    kernel.ending
}

pub fn seeds() -> Vec<Vec<u8>> {
    // A fault at one call, which is another one for each config.
    let with = |(at, config): (usize, &Vec<u8>)| {
        let host = [SEPARATOR, (at % 4) as u8];
        [config.as_slice(), &host, &vec![0; at * 7 % 500], &[177 + (at % 70) as u8, 0]].concat()
    };
    let all = seeds::configs();
    (0..4).flat_map(|_| &all).enumerate().map(with).collect()
}
