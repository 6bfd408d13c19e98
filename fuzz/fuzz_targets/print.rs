//! Bytes into JSON, beside the oracle; and what was printed, read again.

#![no_main]
#![expect(dead_code, reason = "the stories have their own way of changing messages")]

#[path = "../../tests/it/differential/generate.rs"]
mod generate;
#[path = "../../tests/it/differential/oracle.rs"]
mod oracle;
mod types;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use types::Chosen;

fuzz_target!(|input: &[u8]| {
    let Some(Chosen { pair, file, name, rest: wire }) = Chosen::of(input) else { return };
    if let Some(text) = pair.compare_printing(&name, wire, file) {
        pair.compare_reading(&name, &text, file);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    match types::fresh(seed) {
        Some(input) => types::put(&input, data, max_size),
        None => fuzzer_mutate(data, size, max_size),
    }
});
