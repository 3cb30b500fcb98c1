//! The target `init` of `src/fuzz/`, with libFuzzer.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target, fuzzer_mutate};

const TARGET: &str = "init";

fuzz_target!(init: tare::fuzz::write_seeds(TARGET), |data: &[u8]| -> Corpus {
    if tare::fuzz::run(TARGET, data) { Corpus::Keep } else { Corpus::Reject }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    tare::fuzz::mutate(TARGET, data, size, seed, |data, size| fuzzer_mutate(data, size, max_size))
});
