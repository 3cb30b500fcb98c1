//! The fuzz targets: parsers and planners that read what others wrote, with the invariants that hold for any input.
//!
//! `hack/fuzz` runs each target with libFuzzer; the glue is in `hack/fuzz.d/`. The unit tests run each target for a
//! moment with a fixed seed, so that no target rots. A broken invariant is a panic.

mod accounts;
mod cgroups;
mod config;
mod credentials;
mod files;
mod hosts;
mod init;
mod invariants;
mod kernel;
mod memory;
mod mounts;
mod mutate;
mod operations;
mod process;
mod resources;
mod rights;
mod seeds;
#[cfg(test)]
mod smoke_tests;
mod state;
mod systemd;

pub use hosts::{HYBRID, UNIFIED};

use mutate::Dice;

/// A target.
struct FuzzTarget {
    name: &'static str,
    /// Whether its inputs begin with a JSON text.
    json: bool,
    /// Checks the invariants for one input. Returns whether the input was read; if not, it is of no use to the fuzzer.
    run: fn(&[u8]) -> bool,
    seeds: fn() -> Vec<Vec<u8>>,
}

const TARGETS: &[FuzzTarget] = &[
    FuzzTarget { name: "accounts", json: false, run: accounts::run, seeds: accounts::seeds },
    FuzzTarget { name: "cgroups", json: false, run: cgroups::run, seeds: cgroups::seeds },
    FuzzTarget { name: "config", json: true, run: config::run, seeds: seeds::configs },
    FuzzTarget { name: "init", json: false, run: init::run, seeds: init::seeds },
    FuzzTarget { name: "mounts", json: false, run: mounts::run, seeds: mounts::seeds },
    FuzzTarget { name: "operations", json: true, run: operations::run, seeds: operations::seeds },
    FuzzTarget { name: "process", json: true, run: process::run, seeds: process::seeds },
    FuzzTarget { name: "resources", json: true, run: resources::run, seeds: resources::seeds },
    FuzzTarget { name: "state", json: true, run: state::run, seeds: state::seeds },
    FuzzTarget { name: "systemd", json: false, run: systemd::run, seeds: systemd::seeds },
];

fn target(name: &str) -> &'static FuzzTarget {
    TARGETS.iter().find(|target| target.name == name).expect("a known target")
}

/// The first inputs of a target, which are made once.
fn first_inputs(target: &FuzzTarget) -> &'static [Vec<u8>] {
    seeds::cached(target.name, target.seeds)
}

/// Runs a target. Returns whether the input is of use to the fuzzer.
pub fn run(name: &str, data: &[u8]) -> bool {
    (target(name).run)(data)
}

/// Changes an input, for libFuzzer: `size` bytes of `data` are the input. Returns the new size. `other` is libFuzzer's
/// own mutation, which serves every other time.
pub fn mutate(
    name: &str,
    data: &mut [u8],
    size: usize,
    seed: u32,
    other: impl FnOnce(&mut [u8], usize) -> usize,
) -> usize {
    let mut dice = Dice::new(seed.into());
    if dice.below(2) == 0 {
        return other(data, size);
    }
    let mut input = data[..size].to_vec();
    mutate::change(&mut input, first_inputs(target(name)), target(name).json, &mut dice);
    input.truncate(data.len());
    data[..input.len()].copy_from_slice(&input);
    input.len()
}

/// Writes the first inputs of a target to the directory that the environment names in `TARE_FUZZ_SEEDS`.
pub fn write_seeds(name: &str) {
    let Some(directory) = std::env::var_os("TARE_FUZZ_SEEDS") else { return };
    for (index, seed) in (target(name).seeds)().iter().enumerate() {
        std::fs::write(std::path::Path::new(&directory).join(format!("seed-{index}")), seed)
            .expect("a seed is written");
    }
}
