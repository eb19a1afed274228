//! Random tests: every run draws a seed of its own and prints it; `PROPTEST_RNG_SEED=<seed>` draws the same again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};

use proptest::test_runner::{Config, RngSeed};

/// Configuration of a random test with this many cases. No failure is kept in a file: the seed repeats it.
pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed()), ..Config::default() }
}

/// Seed of this run, printed where its test fails.
#[allow(clippy::print_stdout, reason = "the test runner shows it beside the failure")]
pub(crate) fn seed() -> u64 {
    // proptest reads the variable.
    let seed = match Config::default().rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().build_hasher().finish(),
    };
    println!("to draw the same again: PROPTEST_RNG_SEED={seed}");
    seed
}
