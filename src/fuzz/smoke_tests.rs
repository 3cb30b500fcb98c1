//! Each target for a moment, with a fixed seed: no target rots, and each reads its first inputs.

use std::time::{Duration, Instant};

use super::kernel::Ending;
use super::mutate::{Dice, change};
use super::{TARGETS, first_inputs, operations, seeds, target};

const EXECUTIONS: usize = 2000;
const MOMENT: Duration = Duration::from_secs(1);

/// Runs the first inputs, and changed ones until the number or the time is reached.
fn smoke(name: &str) {
    let (target, seeds) = (target(name), first_inputs(target(name)));
    let read = seeds.iter().filter(|seed| (target.run)(seed)).count();
    assert!(read * 3 >= seeds.len(), "{name}: only {read} of {} first inputs are read", seeds.len());
    let (mut dice, start, mut kept) = (Dice::new(1), Instant::now(), Vec::new());
    for _ in 0..EXECUTIONS {
        if start.elapsed() > MOMENT {
            break;
        }
        let mut input = if kept.is_empty() || dice.below(2) == 0 { dice.one(seeds) } else { dice.one(&kept) }.clone();
        change(&mut input, seeds, target.json, &mut dice);
        if (target.run)(&input) && input.len() < 64 << 10 {
            kept.push(input);
        }
    }
    assert!(!kept.is_empty(), "{name}: no changed input is read");
}

macro_rules! smoke {
    ($($name:ident)*) => {
        $(#[test] fn $name() { smoke(stringify!($name)); })*

        #[test]
        fn every_target_has_a_test_and_a_glue() {
            let tested = [$(stringify!($name)),*];
            let glue = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("hack/fuzz.d");
            for target in TARGETS {
                assert!(tested.contains(&target.name), "{} has no test", target.name);
                assert!(glue.join(format!("{}.rs", target.name)).exists(), "{} has no glue", target.name);
            }
            assert!(TARGETS.is_sorted_by_key(|target| target.name));
        }
    };
}

smoke! { accounts cgroups config init mounts operations process resources state systemd }

/// Without a fault, most configs lead to the user's program: the pretended kernel is good enough for that.
#[test]
fn the_pretended_kernel_runs_programs() {
    let configs = seeds::configs();
    let outcomes: Vec<_> = configs.iter().filter_map(|config| operations::outcome(config)).collect();
    let executed = outcomes.iter().filter(|ending| **ending == Ending::Executed).count();
    assert!(executed * 4 > outcomes.len() * 3 && executed > 40, "{executed} of {}: {outcomes:?}", outcomes.len());
}
