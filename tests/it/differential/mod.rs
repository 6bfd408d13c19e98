//! Our converters against `prost-reflect`, on types and messages nobody thought of.
//!
//! A seed makes a file of random message types, a message of one of them in some legal spelling of the wire format, and
//! then bytes and texts that are nearly right. Both sides must say the same, or both must refuse. Where the oracle is
//! wrong by the specification, [`oracle`] says so, case by case.
//!
//! `CAUSEWAY_FUZZ_SECONDS=1800 cargo test --release differential` goes on for half an hour and prints what it did.

mod generate;
mod oracle;

use std::time::Duration;

use proptest::prelude::*;

use generate::{Generator, mutate};
use oracle::Pair;

/// Messages tried per set of random types: making types costs more than making messages.
const MESSAGES_PER_POOL: usize = 24;

/// Runs everything that one seed leads to; returns how many conversions were compared.
fn run(seed: u64) -> usize {
    let mut generator = Generator::new(seed);
    let pair = Pair::new(&generator.file_set());
    let mut compared = 0;
    for _ in 0..MESSAGES_PER_POOL {
        let name = generator.message_name();
        let wire = generator.message(&name);
        let mut bad = wire.clone();
        mutate(&mut generator.rng, &mut bad);
        compared += 2;
        pair.compare_printing(&name, &bad, seed);
        let Some(json) = pair.compare_printing(&name, &wire, seed) else { continue };
        pair.compare_reading(&name, &json, seed);
        for _ in 0..4 {
            let mut text = json.clone().into_bytes();
            mutate(&mut generator.rng, &mut text);
            pair.compare_reading(&name, &String::from_utf8_lossy(&text), seed);
        }
        compared += 5;
    }
    compared
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn says_what_the_oracle_says(seed: u64) {
        run(seed);
    }
}

#[test]
fn goes_on_as_long_as_it_is_told() {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
    let seconds = std::env::var("CAUSEWAY_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let first = fastrand::u64(..);
    let mut seed = first;
    let mut compared = 0;
    while tokio::time::Instant::now() < end {
        compared += run(seed);
        seed = seed.wrapping_add(1);
    }
    println!("compared {compared} conversions, seeds {first} to {seed}");
}

/// The oracle reads a map's entry out of a number, here in an `Any` of which one piece has the type and another the value.
#[test]
fn what_the_oracle_is_known_to_misread_may_come_in_pieces() {
    const FILE: u64 = 10;
    let any = |field: &[u8], content: &[u8]| {
        let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let field = [field, &[length(content)], content].concat();
        [&[0xfa, 0x12, length(&field)], &field[..]].concat()
    };
    let wire = [any(&[0x12], &[0x28, 0]), any(&[0x0a], b"type.googleapis.com/random.M2")].concat();
    let pair = Pair::new(&Generator::new(FILE).file_set());
    let text = pair.compare_printing("random.M1", &wire, FILE).unwrap();
    assert_eq!(text, r#"{"f2X9":{"@type":"type.googleapis.com/random.M2"}}"#);
}
