//! The types that inputs are of, and inputs to begin with.

use std::sync::LazyLock;

use fastrand::Rng;

use crate::{generate::Generator, oracle::Pair};

/// Files of random types.
const FILES: u8 = 16;
/// Types of each.
const TYPES: u8 = 5;
/// Of so many changes to an input one makes a new message of it, as the generator of the stories thinks of them.
const FRESH_ONE_IN: u8 = 32;

static PAIRS: LazyLock<Vec<Pair>> =
    LazyLock::new(|| (0..u64::from(FILES)).map(|file| Pair::new(&Generator::new(file).file_set())).collect());

/// An input taken apart: its first byte chooses a type, the rest is of that type.
pub(crate) struct Chosen<'i> {
    pub(crate) pair: &'static Pair,
    /// Which file the type is of: what failures call the seed.
    pub(crate) file: u64,
    pub(crate) name: String,
    pub(crate) rest: &'i [u8],
}

impl<'i> Chosen<'i> {
    pub(crate) fn of(input: &'i [u8]) -> Option<Self> {
        let (choice, rest) = input.split_first()?;
        let (file, name) = (choice / TYPES % FILES, choice % TYPES);
        Some(Self {
            pair: &PAIRS[usize::from(file)],
            file: file.into(),
            name: format!("random.M{name}"),
            rest,
        })
    }
}

/// Now and then returns a new input with a message in it, in wire format.
pub(crate) fn fresh(seed: u32) -> Option<Vec<u8>> {
    let mut rng = Rng::with_seed(seed.into());
    if rng.u8(..FRESH_ONE_IN) > 0 {
        return None;
    }
    let choice = rng.u8(..FILES * TYPES);
    let mut generator = Generator::new((choice / TYPES).into());
    generator.rng = rng;
    let mut input = vec![choice];
    input.extend(generator.message(&format!("random.M{}", choice % TYPES)));
    Some(input)
}

/// Puts an input where libFuzzer wants it; returns its size.
pub(crate) fn put(input: &[u8], data: &mut [u8], size_max: usize) -> usize {
    let size = input.len().min(size_max).min(data.len());
    data[..size].copy_from_slice(&input[..size]);
    size
}
